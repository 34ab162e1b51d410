"""Can the other alerts be believed? Old data, no data and no traffic are three different things."""

from alerts.rule import Alert, Onset, Recording, RuleGroup
from alerts.timing import MINUTE
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import (
    ALL_CHANNELS,
    AlertName,
    Family,
    Level,
    Priority,
    Slo,
)

NO_DATA_HOLD_S = 2 * MINUTE
"""Well below `KEEP_FIRING_S`: who was paged hears of missing data before the page is taken back."""

_SNAPSHOT_AGE = Recording(m.SNAPSHOT_AGE, "time() - max($EXPORTER_SNAPSHOT_AGE)")

_STALE = Alert(
    name=AlertName.EXPORTER_STALE,
    family=Family.OBSERVATION,
    slo=Slo.EXPORTER_AVAILABILITY,
    priority=Priority.P1,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_SNAPSHOT_AGE},
    expression="$SNAPSHOT_AGE > $line",
    onset=Onset("no refresh succeeds", t.ALERT_SNAPSHOT_AGE.value),
    summary="The exporter's numbers are {{ $value | humanizeDuration }} old",
    description=(
        "The exporter answers but could not refresh from the database. Queue, latency and failure "
        "alerts stand still until it can: what is silent now is not known to be well."
    ),
)

_EXPORTER_GONE = Alert(
    name=AlertName.EXPORTER_DOWN,
    family=Family.OBSERVATION,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_EXPORTER_GONE},
    # The only one that is gone is the next tier's.
    expression="""\
count($UP{job="$exporter_job"} == 0) > $line
  and sum($UP{job="$exporter_job"}) > 0""",
    keep_firing_s=0,
    summary='{{ $value | printf "%.0f" }} of the exporters cannot be scraped; another can',
    description=(
        "Numbers come as before, from the exporter that is left. When that one goes too, nobody "
        "takes over."
    ),
)

_EXPORTERS_GONE = Alert(
    name=AlertName.EXPORTER_DOWN,
    family=Family.OBSERVATION,
    priority=Priority.P1,
    level=Level.L1,
    channel=ALL_CHANNELS,
    tier=2,
    lines={"line": t.ALERT_EXPORTERS_GONE},
    # No target at all is none that answers.
    expression='(sum($UP{job="$exporter_job"}) or vector(0)) == $line',
    keep_firing_s=0,
    summary='{{ $value | printf "%.0f" }} exporters can be scraped',
    description=(
        "No exporter answers Prometheus, or Prometheus knows of none under the job "
        "outbound-exporter. Every alert on messages is blind; those that were firing go on for a "
        "few minutes and then end."
    ),
)

_RULES_MISSED = Alert(
    name=AlertName.RULES_FAILING,
    family=Family.OBSERVATION,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_RULES_MISSED},
    expression="""\
sum by (rule_group) (increase($RULE_ITERATIONS_MISSED{rule_group=~"$our_groups"}[10m])) > $line""",
    summary=(
        '{{ $value | printf "%.0f" }} evaluations of {{ $labels.rule_group }} were left out in ten '
        "minutes"
    ),
    description=(
        "Prometheus is still at one evaluation when the next is due. Its alerts come late, and "
        "their waits are longer than written."
    ),
)

_RULES_FAILED = Alert(
    name=AlertName.RULES_FAILING,
    family=Family.OBSERVATION,
    priority=Priority.P2,
    level=Level.L1,
    channel=ALL_CHANNELS,
    tier=2,
    lines={"line": t.ALERT_RULES_FAILED},
    expression="""\
sum by (rule_group) (increase($RULE_FAILURES{rule_group=~"$our_groups"}[10m])) > $line""",
    summary='{{ $labels.rule_group }}: {{ $value | printf "%.0f" }} failures in ten minutes',
    description=(
        "A rule that cannot be evaluated neither records nor fires: what it watches is not "
        "watched. Prometheus's log and its page of rules give the error."
    ),
)

_NO_DATA = Alert(
    name=AlertName.NO_DATA,
    family=Family.OBSERVATION,
    slo=Slo.EXPORTER_AVAILABILITY,
    priority=Priority.P1,
    level=Level.L1,
    channel=ALL_CHANNELS,
    expression="absent($QUEUE_DEPTH) or absent($ATTEMPTS)",
    hold_s=NO_DATA_HOLD_S,
    onset=Onset("the exporter stops", 0),
    keep_firing_s=0,
    summary='No queue or attempt numbers in Prometheus: absent = {{ $value | printf "%.0f" }}',
    description=(
        "No exporter is scraped, or the one that is does not show these series. Every alert on "
        "messages is blind; those that were firing go on for a few minutes and then end."
    ),
)

_NO_TRAFFIC = Alert(
    name=AlertName.NO_TRAFFIC,
    family=Family.OBSERVATION,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_NO_TRAFFIC},
    expression="sum($ATTEMPTS_5M) == $line",
    keep_firing_s=0,
    summary='{{ $value | printf "%.0f" }} attempts on any channel for half an hour',
    description=(
        "The data is there and says that nothing is sent. Fine at night; by day, ask what feeds "
        "the queue. Shares and latencies have nothing to judge meanwhile."
    ),
)

_SPANS_DROPPED = Alert(
    name=AlertName.SPANS_DROPPED,
    family=Family.OBSERVATION,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_DROPPED_SPANS},
    # Over ten minutes, so that a collector that fails now and then is one alert, not many.
    expression="sum(increase($DROPPED_SPANS[10m])) > $line",
    summary='{{ $value | printf "%.0f" }} spans lost in ten minutes',
    description=(
        "The trace collector is away, refuses spans or is too slow. Messages are sent all the "
        "same, but their traces have holes: what a trace does not show may have happened."
    ),
)

_WATCHDOG = Alert(
    name=AlertName.WATCHDOG,
    family=Family.WATCHDOG,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    expression="vector(1)",
    keep_firing_s=0,
    summary='Paging works: {{ $value | printf "%.0f" }} (always firing)',
    description=(
        "Fires all the time and goes to a dead man's switch. When it stops arriving there, "
        "Prometheus, Alertmanager or the way between them is broken."
    ),
)

GROUP = RuleGroup(
    name="outbound-observation",
    recordings=(_SNAPSHOT_AGE,),
    alerts=(
        _STALE,
        _EXPORTER_GONE,
        _EXPORTERS_GONE,
        _NO_DATA,
        _NO_TRAFFIC,
        _RULES_MISSED,
        _RULES_FAILED,
        _SPANS_DROPPED,
        _WATCHDOG,
    ),
)
