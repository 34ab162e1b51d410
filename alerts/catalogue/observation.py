"""Can the other alerts be believed? Old data, no data and no traffic are three different things."""

from alerts.rule import Alert, Recording, RuleGroup
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
    summary="The exporter's numbers are {{ $value | humanizeDuration }} old",
    description=(
        "The exporter answers but could not refresh from the database. Queue, latency and failure "
        "alerts stand still until it can: what is silent now is not known to be well."
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
    alerts=(_STALE, _NO_DATA, _NO_TRAFFIC, _SPANS_DROPPED, _WATCHDOG),
)
