"""What piles up: queued messages, stuck ones, dead letters.

Each pile has one ladder of lines (D10, D22), leaned against WhatsApp and against all channels
together. From 2,000 queued or 500 dead letters on it pages; the last two rungs call the levels
of 001's escalation tree.
"""

from dataclasses import dataclass, replace

from alerts.links import TraceSearch
from alerts.rule import Alert, Onset, Recording, RuleGroup
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import ALL_CHANNELS, AlertName, Family, Level, Priority, Slo
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import Channel, MessageStatus
from outbound_slo.vocabulary.thresholds import Threshold

_RECORDINGS = (
    Recording(m.QUEUED_SUM, 'max by (channel) ($QUEUE_DEPTH{status="$queued"})'),
    Recording(m.QUEUED_TOTAL, "sum($QUEUED_SUM)"),
    # Who opted out or never consented makes a dead letter too, and nobody has anything to mend. No
    # dead letters is a number as well: zero.
    Recording(
        m.DEAD_UNWANTED,
        """\
sum by (channel) (
  max by (channel, error_code, category) ($DEAD_LETTERS{error_code!~"$wish_codes"})
)
  or 0 * $QUEUED_SUM""",
    ),
    Recording(m.DEAD_TOTAL, "sum($DEAD_UNWANTED)"),
)


@dataclass(frozen=True, slots=True)
class _Rung:
    line: Threshold
    priority: Priority
    level: Level


_QUEUE_LADDER = (
    _Rung(t.ALERT_QUEUE_500, Priority.P3, Level.L1),
    _Rung(t.ALERT_QUEUE_1000, Priority.P2, Level.L1),
    _Rung(t.ALERT_QUEUE_2000, Priority.P1, Level.L1),
    _Rung(t.ALERT_QUEUE_5000, Priority.P1, Level.L2),
    _Rung(t.ALERT_QUEUE_10000, Priority.P1, Level.L3),
)

_DEAD_LADDER = (
    _Rung(t.ALERT_DEAD_100, Priority.P2, Level.L1),
    _Rung(t.ALERT_DEAD_500, Priority.P1, Level.L1),
    _Rung(t.ALERT_DEAD_1000, Priority.P1, Level.L2),
    _Rung(t.ALERT_DEAD_2000, Priority.P1, Level.L3),
)

# A pile says nothing about how fast it grows: the budget begins where the line is crossed.
_CROSSED = Onset("the line is crossed", 0)

_DEAD_TRACES = TraceSearch(
    SpanName.OUTBOUND_MESSAGE_PROCESS, {Tag.STATUS: MessageStatus.FAILED.value}
)
_WHATSAPP_DEAD_TRACES = replace(_DEAD_TRACES, labels={Tag.MESSAGE_CHANNEL: "channel"})
_SLO = {Family.QUEUE: Slo.SEND_LATENCY, Family.DEAD_LETTERS: Slo.SEND_SUCCESS}

_QUEUE_MEANING = (
    "Messages wait in QUEUED. Either less goes out than comes in, or the messages wait for a "
    "retry or a planned time: compare with the failure rate and the number in retry."
)

_DEAD_MEANING = (
    "Messages failed for good and wait for a person. Group them by error code: temporary errors "
    "can be retried in bulk, wrong recipients and templates can not. Opt-outs and missing consents "
    "are not among them."
)


def _climb(
    ladder: tuple[_Rung, ...],
    name: AlertName,
    family: Family,
    pile: str,
    *,
    channel: str,
    summary: str,
    description: str,
    traces: TraceSearch | None = None,
) -> tuple[Alert, ...]:
    return tuple(
        Alert(
            name=name,
            family=family,
            slo=_SLO[family],
            priority=rung.priority,
            level=rung.level,
            channel=channel,
            tier=tier,
            lines={"line": rung.line},
            expression=f"{pile} > $line",
            summary=summary,
            description=description,
            traces=traces,
            onset=_CROSSED,
        )
        for tier, rung in enumerate(ladder, start=1)
    )


def _stuck_traces(status: MessageStatus) -> TraceSearch:
    """Find the attempts after which messages stayed as they are."""
    return TraceSearch(
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        {Tag.STATUS: status.value},
        {Tag.MESSAGE_CHANNEL: "channel"},
    )


_STUCK_IN_SENDING = Alert(
    name=AlertName.STUCK_IN_SENDING,
    family=Family.STUCK,
    slo=Slo.SEND_LATENCY,
    priority=Priority.P2,
    level=Level.L1,
    channel=Channel.WHATSAPP.label,
    lines={"line": t.ALERT_STUCK_SENDING},
    expression="""\
max by (channel) ($STUCK{channel="$whatsapp",reason="$sending_too_long"}) > $line""",
    summary='{{ $value | printf "%.0f" }} WhatsApp messages are stuck in SENDING',
    description=(
        "Claimed more than 5 minutes ago and not settled: their answer was lost, or the process "
        "that had them is gone. The sweep takes them back after 10 minutes; these it did not."
    ),
    traces=_stuck_traces(MessageStatus.SENDING),
)

_STUCK_IN_QUEUE = Alert(
    name=AlertName.STUCK_IN_QUEUE,
    family=Family.STUCK,
    slo=Slo.SEND_LATENCY,
    priority=Priority.P2,
    level=Level.L1,
    lines={"line": t.ALERT_STUCK_QUEUED},
    expression="""\
max by (channel, reason) ($STUCK{reason=~"$waiting_too_long"}) > $line""",
    summary=(
        '{{ $labels.channel }}: {{ $value | printf "%.0f" }} messages are stuck in QUEUED '
        "({{ $labels.reason }})"
    ),
    description=(
        "Due and not claimed, or without progress for two hours; planned waits do not count. "
        "Either no sender takes this channel, or something holds these messages."
    ),
    traces=_stuck_traces(MessageStatus.QUEUED),
)

GROUP = RuleGroup(
    name="outbound-backlog",
    recordings=_RECORDINGS,
    alerts=(
        *_climb(
            _QUEUE_LADDER,
            AlertName.QUEUE_BACKUP,
            Family.QUEUE,
            '$QUEUED_SUM{channel="$whatsapp"}',
            channel=Channel.WHATSAPP.label,
            summary='{{ $value | printf "%.0f" }} WhatsApp messages are queued',
            description=_QUEUE_MEANING,
        ),
        *_climb(
            _QUEUE_LADDER,
            AlertName.TOTAL_QUEUE_BACKUP,
            Family.QUEUE,
            "$QUEUED_TOTAL",
            channel=ALL_CHANNELS,
            summary='{{ $value | printf "%.0f" }} messages are queued on all channels together',
            description=_QUEUE_MEANING,
        ),
        _STUCK_IN_SENDING,
        _STUCK_IN_QUEUE,
        *_climb(
            _DEAD_LADDER,
            AlertName.DLQ_OVERFLOW,
            Family.DEAD_LETTERS,
            '$DEAD_UNWANTED{channel="$whatsapp"}',
            channel=Channel.WHATSAPP.label,
            summary='{{ $value | printf "%.0f" }} WhatsApp messages are dead letters',
            description=_DEAD_MEANING,
            traces=_WHATSAPP_DEAD_TRACES,
        ),
        *_climb(
            _DEAD_LADDER,
            AlertName.TOTAL_DLQ_OVERFLOW,
            Family.DEAD_LETTERS,
            "$DEAD_TOTAL",
            channel=ALL_CHANNELS,
            summary='{{ $value | printf "%.0f" }} messages on all channels are dead letters',
            description=_DEAD_MEANING,
            traces=_DEAD_TRACES,
        ),
    ),
)
