"""The calls to a provider, as the senders see them: their circuit breakers and how long they take.

These are metrics of the senders' own processes. Each has a breaker of its own; a channel is as bad
as its worst sender says.
"""

from alerts.links import TraceSearch
from alerts.rule import Alert, Recording, RuleGroup
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Family, Level, Priority, Slo
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import MessageStatus

_RECORDINGS = (
    # Half-open is not closed: 1, 2, 1 is one trouble that lasts, not three changes.
    Recording(
        m.BREAKER_HOLDS,
        """\
max by (instance, channel) (
  clamp_max(label_replace($BREAKER_STATE, "channel", "$$1", "name", "(.+)"), 1)
)""",
    ),
    Recording(m.PROVIDER_CALL_5M, "sum by (channel) (increase(${PROVIDER_CALL}_count[5m]))"),
    Recording(
        m.PROVIDER_CALL_P95,
        """\
histogram_quantile(0.95, sum by (channel, le) (increase(${PROVIDER_CALL}_bucket[5m])))
  and on (channel) $PROVIDER_CALL_5M > 0
  or on (channel) 0 * $PROVIDER_CALL_5M""",
    ),
)

# Without messages a breaker stays half-open for want of probes; that holds nobody up, nor does it
# hold up what is planned for later.
_BREAKER_OPEN = Alert(
    name=AlertName.BREAKER_OPEN,
    family=Family.PROVIDER,
    priority=Priority.P2,
    level=Level.L1,
    slo=Slo.SEND_SUCCESS,
    lines={"line": t.ALERT_BREAKER_OPEN},
    expression="""\
sum by (channel) ($BREAKER_HOLDS) > $line
  and on (channel) ($OLDEST_AGE{state="due"} > 0 or $RETRY_COUNT > 0)
  unless on (channel) $CHANNEL_PAUSED > 0""",
    summary=(
        '{{ $labels.channel }}: {{ $value | printf "%.0f" }} senders hold their calls back '
        "(circuit breaker)"
    ),
    traces=TraceSearch(tags={Tag.ERROR: "true"}),
    description=(
        "At least one sender's breaker has not closed for three minutes, so its probes fail too. "
        "Messages wait and use up no attempts. Look at the provider and at the error codes."
    ),
)

# The breaker's judgement replaces the minimum of attempts, as it lets only a few through.
_BREAKER_BY_HAND = Alert(
    name=AlertName.BREAKER_OPEN,
    family=Family.PROVIDER,
    priority=Priority.P1,
    level=Level.L2,
    tier=2,
    slo=Slo.SEND_SUCCESS,
    lines={
        "line": t.ALERT_BREAKER_BY_HAND,
        "minimum": t.MINIMUM_ATTEMPTS,
        "open": t.ALERT_BREAKER_OPEN,
    },
    expression="""\
$FAILURE_RATIO > $line
  and on (channel) (
    $ATTEMPTS_5M >= $minimum
    or on (channel) sum by (channel) ($BREAKER_HOLDS) > $open
  )""",
    summary=(
        "{{ $labels.channel }}: {{ $value | humanizePercentage }} of attempts have failed for ten "
        "minutes: take the channel out"
    ),
    traces=TraceSearch(tags={Tag.ERROR: "true"}),
    description=(
        "More attempts fail than succeed. Pause the channel, so that messages keep their attempts "
        "for when the provider is back; urgent ones may take another channel."
    ),
)

_BREAKER_FLAPPING = Alert(
    name=AlertName.BREAKER_FLAPPING,
    family=Family.PROVIDER,
    priority=Priority.P2,
    level=Level.L1,
    slo=Slo.SEND_SUCCESS,
    lines={"line": t.ALERT_BREAKER_FLAPS},
    expression="max by (channel) (resets($BREAKER_HOLDS[30m])) > $line",
    summary=(
        '{{ $labels.channel }}: a circuit breaker closed {{ $value | printf "%.0f" }} times in '
        "half an hour"
    ),
    traces=TraceSearch(tags={Tag.ERROR: "true"}),
    description=(
        "The probes succeed and the load that follows fails: the provider takes less than we "
        "send. Send more slowly; a limit per second is better than a breaker that comes and goes."
    ),
)

_PROVIDER_SLOW = tuple(
    Alert(
        name=AlertName.PROVIDER_SLOW,
        family=Family.LATENCY,
        priority=priority,
        level=Level.L1,
        tier=tier,
        slo=Slo.SEND_LATENCY,
        lines={"line": line, "minimum": t.MINIMUM_CALLS},
        expression="""\
$PROVIDER_CALL_P95 > $line
  and on (channel) $PROVIDER_CALL_5M >= $minimum""",
        summary="{{ $labels.channel }}: calls to the provider take {{ $value | humanizeDuration }}",
        traces=TraceSearch(
            SpanName.OUTBOUND_MESSAGE_PROCESS,
            {Tag.STATUS: MessageStatus.SENT.value},
            {Tag.MESSAGE_CHANNEL: "channel"},
        ),
        description=(
            "Time from the request to the provider's answer, the slowest twentieth of the calls. "
            "Each sender makes a limited number of calls at once, so slow ones fill the queue."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_CALL_SLOW, Priority.P3), (t.ALERT_CALL_CRAWLS, Priority.P2)), start=1
    )
)

GROUP = RuleGroup(
    name="outbound-calls",
    recordings=_RECORDINGS,
    alerts=(_BREAKER_OPEN, _BREAKER_BY_HAND, _BREAKER_FLAPPING, *_PROVIDER_SLOW),
)
