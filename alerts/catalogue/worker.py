"""Whether anybody sends, and whether what was switched off is still meant to be off.

A worker that idles, or none at all, is no trouble while nothing is due. A paused channel holds what
is due on purpose; whether it was forgotten is an alert of its own.
"""

from alerts.rule import Alert, RuleGroup
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import ALL_CHANNELS, AlertName, Family, Level, Priority, Slo

_UNSERVED = Alert(
    name=AlertName.WORKER_INACTIVE,
    family=Family.WORKER,
    priority=Priority.P2,
    level=Level.L1,
    channel=ALL_CHANNELS,
    slo=Slo.SEND_LATENCY,
    lines={"line": t.ALERT_UNSERVED},
    expression="""\
max(
  $OLDEST_AGE{state="due"}
  unless on (channel) $CHANNEL_PAUSED > 0
) > $line
  and max($SENDERS{state="claiming"}) == 0""",
    summary="No sender takes messages; one has been due for {{ $value | humanizeDuration }}",
    description=(
        "Senders are stopped, told not to work (OUTBOUND_WORKER_ENABLED=false) or gone, and "
        "messages are due. On purpose? Then pause the channels, which says so."
    ),
)

# Signed off in order, a sender leaves no sign behind: it was stopped, and tier 1 is for that.
_SILENT = Alert(
    name=AlertName.WORKER_INACTIVE,
    family=Family.WORKER,
    priority=Priority.P1,
    level=Level.L1,
    channel=ALL_CHANNELS,
    tier=2,
    slo=Slo.SEND_LATENCY,
    lines={"line": t.ALERT_WORKER_SILENT, "due": t.ALERT_UNSERVED},
    expression="""\
time() - max($SENDER_SEEN_AT) > $line
  and max(
    $OLDEST_AGE{state="due"}
    unless on (channel) $CHANNEL_PAUSED > 0
  ) > $due""",
    summary="No sign of life of any sender for {{ $value | humanizeDuration }}",
    description=(
        "The last sender died or lost the database without signing off, and messages are due. "
        "Its messages in flight are taken back by the next sender that starts."
    ),
)

_PAUSE_LASTING = tuple(
    Alert(
        name=AlertName.PAUSE_LASTING,
        family=Family.WORKER,
        priority=priority,
        level=Level.L1,
        tier=tier,
        lines={"line": line},
        expression="max by (channel) ($PAUSED_SINCE) > $line",
        summary="{{ $labels.channel }} has been paused for {{ $value | humanizeDuration }}",
        description=(
            "Somebody paused the channel and it still is. Messages wait in QUEUED, no other alert "
            "counts them as late, and those with an end date expire. Is the reason still there?"
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_PAUSE_4H, Priority.P3), (t.ALERT_PAUSE_24H, Priority.P2)), start=1
    )
)

GROUP = RuleGroup(
    name="outbound-worker",
    recordings=(),
    alerts=(_UNSERVED, _SILENT, *_PAUSE_LASTING),
)
