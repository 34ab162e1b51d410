"""Does the exporter do its work? Each of these makes a number wrong that others rely on."""

from alerts.rule import Alert, RuleGroup
from alerts.timing import MINUTE
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import (
    ALL_CHANNELS,
    AlertName,
    Family,
    Level,
    Priority,
    Slo,
)

_QUERY_FAILING = Alert(
    name=AlertName.QUERY_FAILING,
    family=Family.OBSERVATION,
    slo=Slo.EXPORTER_AVAILABILITY,
    priority=Priority.P2,
    level=Level.L1,
    channel=ALL_CHANNELS,
    # With a standby, whichever exporter leads has the say.
    expression="max by (pack, query) ($QUERY_SUCCESS) == 0",
    hold_s=3 * MINUTE,
    summary=(
        'Query {{ $labels.pack }}/{{ $labels.query }} fails: success = {{ $value | printf "%.0f" }}'
    ),
    description=(
        "The metrics of this query are absent, and alerts on them are blind. The reason is a label "
        "of outbound_exporter_query_errors_total: timeout, permission, schema, connection, "
        "cardinality or data."
    ),
)

_SERIES_DROPPED = Alert(
    name=AlertName.SERIES_DROPPED,
    family=Family.OBSERVATION,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    expression="max by (pack, query) ($QUERY_DROPPED_SERIES) > 0",
    hold_s=10 * MINUTE,
    summary='{{ $value | printf "%.0f" }} series of {{ $labels.query }} are left out',
    description=(
        "A query gives more label sets than max_series of its metrics allows. Sums over them are "
        "too small. Either a label holds what it should not, or the limit is too low."
    ),
)

_COUNTER_REBASED = Alert(
    name=AlertName.COUNTER_REBASED,
    family=Family.OBSERVATION,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    expression="max($COUNTER_REBASES - min_over_time($COUNTER_REBASES[5m])) > 0",
    hold_s=0,
    summary='Counters fell {{ $value | printf "%.0f" }} times in the database',
    description=(
        "A counter's source is lower than before: the database was restored, failed over with "
        "loss, or somebody changed the rollup's tables. The page kept its height; what was counted "
        "between the two states is uncertain."
    ),
)

_RELOAD_FAILED = Alert(
    name=AlertName.RELOAD_FAILED,
    family=Family.OBSERVATION,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    expression="min($CONFIG_RELOAD_SUCCESS) == 0",
    hold_s=5 * MINUTE,
    summary='An exporter goes on with its old packs: reload = {{ $value | printf "%.0f" }}',
    description=(
        "The packs on disk are not fit to be served. The exporter kept what it had; a restart "
        "would end with an error."
    ),
)

_ROLLUP_DRIFT = Alert(
    name=AlertName.ROLLUP_DRIFT,
    family=Family.OBSERVATION,
    priority=Priority.P2,
    level=Level.L1,
    channel=ALL_CHANNELS,
    expression="max($ROLLUP_DRIFT) > 0 or max($ROLLUP_MISSING_TRIGGERS) > 0",
    hold_s=5 * MINUTE,
    summary='The rollup is off by {{ $value | printf "%.0f" }} (messages or triggers)',
    description=(
        "The last recount found messages in another state than the rollup says, or triggers are "
        "missing or switched off. Queue depth and dead letters are wrong until it is repaired."
    ),
)

_ROLLUP_UNCOMPACTED = Alert(
    name=AlertName.ROLLUP_UNCOMPACTED,
    family=Family.OBSERVATION,
    slo=Slo.EXPORTER_AVAILABILITY,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_DELTAS},
    expression="max($ROLLUP_DELTAS) > $line",
    summary='{{ $value | printf "%.0f" }} rows of the rollup wait for compaction',
    description=(
        "No exporter compacts, or not fast enough. Numbers stay right, but each refresh takes "
        "longer."
    ),
)

GROUP = RuleGroup(
    name="outbound-exporter",
    recordings=(),
    alerts=(
        _QUERY_FAILING,
        _SERIES_DROPPED,
        _COUNTER_REBASED,
        _RELOAD_FAILED,
        _ROLLUP_DRIFT,
        _ROLLUP_UNCOMPACTED,
    ),
)
