"""Is what the database holds what was written? 001's tree: mend nothing, call level 2."""

from alerts.rule import Alert, RuleGroup
from alerts.timing import HOUR
from exporter.failures import Reason
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import ALL_CHANNELS, AlertName, Family, Level, Priority

_KEEP_FIRING_S = HOUR
"""Damage does not heal: where it is not seen any more, somebody has to say why."""

_DO_NOT_FIX = (
    "Call level 2 at once and do not attempt fixes: no REINDEX, no VACUUM, no DELETE, no restart. "
    "Each may destroy what a restore needs."
)

_CONTRADICTIONS = Alert(
    name=AlertName.DATA_CORRUPTION,
    family=Family.CORRUPTION,
    priority=Priority.P1,
    level=Level.L2,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_INTEGRITY},
    expression="max by (check) ($INTEGRITY) > $line",
    keep_firing_s=_KEEP_FIRING_S,
    summary='Data corruption ({{ $labels.check }}): {{ $value | printf "%.0f" }} found',
    description=(
        f"{_DO_NOT_FIX} Rows contradict what indexes and foreign keys guarantee, or a page did not "
        "match its checksum."
    ),
)

_UNREADABLE = Alert(
    name=AlertName.DATA_CORRUPTION,
    family=Family.CORRUPTION,
    priority=Priority.P1,
    level=Level.L2,
    channel=ALL_CHANNELS,
    tier=2,
    lines={"line": t.ALERT_UNREADABLE},
    expression=f'sum(increase($QUERY_ERRORS{{reason="{Reason.CORRUPTION}"}}[10m])) > $line',
    keep_firing_s=_KEEP_FIRING_S,
    summary='PostgreSQL reports corrupted data or indexes {{ $value | printf "%.0f" }} times',
    description=(
        f"{_DO_NOT_FIX} Queries of the exporter fail because a table, a TOAST value or an index "
        "cannot be read; outbound_exporter_query_errors_total tells which."
    ),
)

GROUP = RuleGroup(name="outbound-corruption", recordings=(), alerts=(_CONTRADICTIONS, _UNREADABLE))
