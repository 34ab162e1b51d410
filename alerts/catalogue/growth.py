"""What gets worse before it crosses a line: the queue, the dead letters, the retries.

A queue that is long because somebody scheduled a campaign, paused a channel or waits for the
morning is no trouble. What grows here is what should have gone out: messages are due, and no pause
explains it.
"""

from alerts.links import TraceSearch
from alerts.rule import Alert, RuleGroup
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Family, Level, Priority, Slo
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import MessageStatus

# Above its lowest of half an hour alone would still hold while a campaign drains: the slope tells.
_QUEUE_GROWING = tuple(
    Alert(
        name=AlertName.QUEUE_GROWING,
        family=Family.QUEUE,
        priority=priority,
        level=Level.L1,
        tier=tier,
        slo=Slo.SEND_LATENCY,
        lines={"line": line, "late": t.MINIMUM_LATE},
        expression="""\
$QUEUED_SUM - min_over_time($QUEUED_SUM[30m]) > $line
  and deriv($QUEUED_SUM[10m]) > 0
  and on (channel) $OLDEST_AGE{state="due"} >= $late
  unless on (channel) $CHANNEL_PAUSED > 0""",
        summary=(
            '{{ $labels.channel }}: {{ $value | printf "%.0f" }} messages more are queued than '
            "half an hour ago"
        ),
        description=(
            "The queue grows, and messages in it have been due for a minute and more: less goes "
            "out than comes in. Planned waits and paused channels do not count."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_QUEUE_GROWTH, Priority.P3), (t.ALERT_QUEUE_SURGE, Priority.P2)), start=1
    )
)

_DEAD_GROWING = tuple(
    Alert(
        name=AlertName.DLQ_GROWING,
        family=Family.DEAD_LETTERS,
        priority=priority,
        level=Level.L1,
        tier=tier,
        slo=Slo.SEND_SUCCESS,
        lines={"line": line, "share": t.ALERT_DEAD_GROWTH_SHARE},
        expression="""\
$DEAD_UNWANTED - min_over_time($DEAD_UNWANTED[1h]) > $line
  and $DEAD_UNWANTED - min_over_time($DEAD_UNWANTED[1h])
    > $share * ($FINISHED_SUM - min_over_time($FINISHED_SUM[1h]))""",
        summary=(
            '{{ $labels.channel }}: {{ $value | printf "%.0f" }} more dead letters within an hour'
        ),
        traces=TraceSearch(
            SpanName.OUTBOUND_MESSAGE_PROCESS,
            {Tag.STATUS: MessageStatus.FAILED.value},
            {Tag.MESSAGE_CHANNEL: "channel"},
        ),
        description=(
            "Messages fail for good, and they are more than one in a hundred of those that end. "
            "Opt-outs and missing consents are not among them. Group them by error code."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_DEAD_GROWTH, Priority.P3), (t.ALERT_DEAD_SURGE, Priority.P2)), start=1
    )
)

# Messages put off by a rule of ours wait without failing, and a pause ends all attempts: neither
# is a storm. After an outage the pile is high too, but what is tried succeeds.
_RETRY_STORM = tuple(
    Alert(
        name=AlertName.RETRY_STORM,
        family=Family.PROVIDER,
        priority=priority,
        level=Level.L1,
        tier=tier,
        slo=Slo.SEND_SUCCESS,
        lines={"line": line, "minimum": t.MINIMUM_ATTEMPTS},
        expression="""\
max by (channel) ($RETRY_COUNT) > $line
  and on (channel) max by (channel) ($RETRY_COUNT) > $ACCEPTED_5M
  and on (channel) $ATTEMPTS_5M - $ACCEPTED_5M >= $minimum""",
        summary=(
            '{{ $labels.channel }}: {{ $value | printf "%.0f" }} messages wait for another attempt'
        ),
        traces=TraceSearch(tags={Tag.ERROR: "true"}),
        description=(
            "More messages wait for another attempt than were accepted in 5 minutes, and attempts "
            "go on failing: most of the traffic is repetition. It costs rate limit and quota."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_RETRIES_100, Priority.P3), (t.ALERT_RETRIES_1000, Priority.P2)), start=1
    )
)

GROUP = RuleGroup(
    name="outbound-growth",
    recordings=(),
    alerts=(*_QUEUE_GROWING, *_DEAD_GROWING, *_RETRY_STORM),
)
