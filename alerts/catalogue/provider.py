"""Does the provider accept what we send? Judged by attempts, so that an outage shows at once (D3).

A window is the newest value of a counter less its smallest in the window. The counters come from
SQL: where rows are purged and a counter falls, `increase()` would add all of its value to the
window; this difference only misses what was counted before the fall.

An attempt that timed out counts as not accepted: whether the provider took it is not known, but
for a page it is one more call without an answer.
"""

from alerts.links import TraceSearch
from alerts.rule import OUTLAST_S, Alert, Onset, Recording, RuleGroup
from alerts.timing import MINUTE
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import ALL_CHANNELS, AlertName, Family, Level, Priority, Slo
from outbound_slo.vocabulary.spans import Tag
from outbound_slo.vocabulary.statuses import Channel

_WHATSAPP = Channel.WHATSAPP.label

# Jaeger answers this for every span that ended badly, whatever the code.
_FAILED_CALLS = TraceSearch(tags={Tag.ERROR: "true"})

# From the last accepted message on the last minute has to pass; at this pace twenty attempts, and
# ten, have failed by then.
_ACCEPTED_NO_MORE = Onset("nothing is accepted, at one message per second", MINUTE)

# The share of five minutes that has to fail, and one message more.
_ALL_FAIL = Onset(
    "every attempt fails, at one message per second",
    t.ALERT_FAILURE_HIGH.ratio * 5 * MINUTE + 1,
)

_RECORDINGS = (
    # Two exporters show the same rows: the larger number is the newer one.
    Recording(
        m.ATTEMPTS_SUM,
        'sum by (channel) (max by (channel, outcome, error_code) ($ATTEMPTS{outcome=~"$judged"}))',
    ),
    Recording(
        m.ACCEPTED_SUM,
        """\
sum by (channel) (max by (channel, outcome, error_code) ($ATTEMPTS{outcome="$accepted"}))
  or 0 * $ATTEMPTS_SUM""",
    ),
    Recording(m.ATTEMPTS_1M, "$ATTEMPTS_SUM - min_over_time($ATTEMPTS_SUM[1m])"),
    Recording(m.ACCEPTED_1M, "$ACCEPTED_SUM - min_over_time($ACCEPTED_SUM[1m])"),
    Recording(m.ATTEMPTS_5M, "$ATTEMPTS_SUM - min_over_time($ATTEMPTS_SUM[5m])"),
    Recording(m.ACCEPTED_5M, "$ACCEPTED_SUM - min_over_time($ACCEPTED_SUM[5m])"),
    # A late answer can turn an old unknown attempt into an accepted one: never below zero.
    Recording(
        m.FAILURE_RATIO,
        """\
clamp_min($ATTEMPTS_5M - $ACCEPTED_5M, 0) / ($ATTEMPTS_5M > 0)
  or 0 * $ATTEMPTS_5M""",
    ),
)

# The last minute tells that it has begun, five minutes tell that it is worth a page at night: a
# minute without traffic is no outage. A breaker that holds calls back makes no attempts: that is
# the outage going on. A channel that had everything accepted, however little, is well; one of few
# messages is as well where one was accepted and none has failed in the last minute: a single bounce
# does not make an outage of all channels out of another channel's.
_OUTAGE_REFUSED = Alert(
    name=AlertName.OUTAGE,
    family=Family.PROVIDER,
    slo=Slo.SEND_SUCCESS,
    priority=Priority.P0,
    level=Level.L2,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_ALL_REFUSED, "open": t.ALERT_BREAKER},
    expression="""\
sum($ATTEMPTS_5M - $ACCEPTED_5M) >= $line
  and sum($ACCEPTED_1M) == 0
  and (sum($ATTEMPTS_1M) > 0 or max($BREAKER_STATE) > $open)
  unless on () (
    $ACCEPTED_5M > 0
    unless $ACCEPTED_5M < ($ATTEMPTS_5M >= $line)
    unless $ACCEPTED_1M < $ATTEMPTS_1M
  )""",
    summary='No channel gets a message out: {{ $value | printf "%.0f" }} attempts failed',
    description=(
        "Nothing was accepted by any provider for a minute, and attempts fail on every channel in "
        "use. Look for what the channels share: network, credentials, the last deployment."
    ),
    traces=_FAILED_CALLS,
    onset=_ACCEPTED_NO_MORE,
    keep_firing_s=OUTLAST_S,
)

_OUTAGE_STOPPED = Alert(
    name=AlertName.OUTAGE,
    family=Family.PROVIDER,
    slo=Slo.SEND_LATENCY,
    priority=Priority.P0,
    level=Level.L2,
    channel=ALL_CHANNELS,
    tier=2,
    lines={"line": t.ALERT_DUE_AGE},
    expression="""\
max(
  $OLDEST_AGE{state="due"}
  unless on (channel) $CHANNEL_PAUSED > 0
) > $line
  and sum($ACCEPTED_5M) == 0""",
    summary="Nothing is sent: a message has been due for {{ $value | humanizeDuration }}",
    description=(
        "Messages are due and none was accepted for 5 minutes: no sender works, or all that are "
        "due are refused. Check that the sender runs and reaches the database."
    ),
    onset=Onset("no sender works, while messages become due", t.ALERT_DUE_AGE.value),
    keep_firing_s=OUTLAST_S,
)

# The breaker has judged a minimum of calls already. While it holds calls back, a minute has only
# a few probes, and no message that is accepted: that is the outage going on, not its end. An idle
# channel stays half-open for want of messages: what is planned for tomorrow, or paused, is nothing
# that it holds back; what is due or waits for another attempt is.
_PROVIDER_DOWN = Alert(
    name=AlertName.PROVIDER_DOWN,
    family=Family.PROVIDER,
    slo=Slo.SEND_SUCCESS,
    priority=Priority.P1,
    level=Level.L2,
    channel=_WHATSAPP,
    lines={"line": t.ALERT_NONE_ACCEPTED, "open": t.ALERT_BREAKER},
    expression="""\
(
  $ATTEMPTS_1M >= $line
  or
  $ATTEMPTS_1M
    and on () max($BREAKER_STATE{name="$whatsapp"}) > $open
    and on (channel) ($OLDEST_AGE{state="due"} > 0 or $RETRY_COUNT > 0)
)
and $ACCEPTED_1M{channel="$whatsapp"} == 0""",
    summary='WhatsApp accepts none of {{ $value | printf "%.0f" }} attempts within a minute',
    description=(
        "No WhatsApp message was accepted for a minute, though attempts were made or the circuit "
        "breaker holds them back. Queued messages wait and are tried again."
    ),
    traces=_FAILED_CALLS,
    onset=_ACCEPTED_NO_MORE,
    keep_firing_s=OUTLAST_S,
)

# With the breaker not closed, few attempts are no excuse: its judgement replaces the minimum. Not
# on an idle channel, where it stays half-open: two wrong numbers there are no outage.
_HIGH_FAILURE_RATE = Alert(
    name=AlertName.HIGH_FAILURE_RATE,
    family=Family.PROVIDER,
    slo=Slo.SEND_SUCCESS,
    priority=Priority.P1,
    level=Level.L2,
    channel=_WHATSAPP,
    lines={
        "line": t.ALERT_FAILURE_HIGH,
        "minimum": t.MINIMUM_ATTEMPTS,
        "open": t.ALERT_BREAKER,
    },
    expression="""\
$FAILURE_RATIO{channel="$whatsapp"} > $line
and (
  $ATTEMPTS_5M >= $minimum
  or
  $ATTEMPTS_5M
    and on () max($BREAKER_STATE{name="$whatsapp"}) > $open
    and on (channel) ($OLDEST_AGE{state="due"} > 0 or $RETRY_COUNT > 0)
)""",
    summary="WhatsApp: {{ $value | humanizePercentage }} of attempts fail",
    description=(
        "Share of the attempts of the last 5 minutes that WhatsApp did not accept, time-outs "
        "included. Failed attempts are retried; messages are lost only when their attempts end."
    ),
    traces=_FAILED_CALLS,
    onset=_ALL_FAIL,
)

_ELEVATED = Alert(
    name=AlertName.ELEVATED_FAILURE_RATE,
    family=Family.PROVIDER,
    slo=Slo.SEND_SUCCESS,
    priority=Priority.P2,
    level=Level.L1,
    lines={"line": t.ALERT_FAILURE_ELEVATED, "minimum": t.MINIMUM_ATTEMPTS},
    expression="""\
$FAILURE_RATIO > $line
  and $ATTEMPTS_5M >= $minimum""",
    summary=("{{ $labels.channel }}: {{ $value | humanizePercentage }} of attempts fail"),
    description=(
        "Fewer than 95 % of the attempts on this channel are accepted. Find the error code that "
        "dominates; one code or one organisation is a different story from all of them."
    ),
    traces=_FAILED_CALLS,
)

_HIGH_ELSEWHERE = Alert(
    name=AlertName.ELEVATED_FAILURE_RATE,
    family=Family.PROVIDER,
    slo=Slo.SEND_SUCCESS,
    priority=Priority.P1,
    level=Level.L2,
    tier=2,
    lines={"line": t.ALERT_FAILURE_HIGH, "minimum": t.MINIMUM_ATTEMPTS},
    expression="""\
$FAILURE_RATIO{channel!="$whatsapp"} > $line
  and $ATTEMPTS_5M >= $minimum""",
    summary=("{{ $labels.channel }}: {{ $value | humanizePercentage }} of attempts fail"),
    description=(
        "Share of the attempts of the last 5 minutes that the channel's provider did not accept, "
        "time-outs included. Treat it as an outage of this provider."
    ),
    traces=_FAILED_CALLS,
    onset=_ALL_FAIL,
)

GROUP = RuleGroup(
    name="outbound-provider",
    recordings=_RECORDINGS,
    alerts=(
        _OUTAGE_REFUSED,
        _OUTAGE_STOPPED,
        _PROVIDER_DOWN,
        _HIGH_FAILURE_RATE,
        _ELEVATED,
        _HIGH_ELSEWHERE,
    ),
)
