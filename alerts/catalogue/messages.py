"""How messages fare: the share that is sent, and how long sending and delivery take.

Success is judged by messages that ended, as 000's SLA counts it; a message that is still being
retried has not ended (D3). Latencies are quantiles of the exporter's histograms (D4), under the
names that 000's panels ask for.
"""

from alerts.links import TraceSearch
from alerts.rule import Alert, Recording, RuleGroup
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Family, Level, Priority, Slo
from outbound_slo.vocabulary.metrics import Metric
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import MessageStatus
from outbound_slo.vocabulary.thresholds import Threshold

_QUANTILES = ("0.5", "0.95", "0.99")

# Prometheus's template language, kept out of the f-strings for their braces.
_CHANNEL = "{{ $labels.channel }}"
_VALUE = "{{ $value | humanizeDuration }}"


def _record_quantiles(recorded: Metric, histogram: str, count: str) -> tuple[Recording, ...]:
    """Three quantiles of a histogram over 5 minutes, zero where nothing was timed."""
    return tuple(
        Recording(
            recorded,
            f"""\
histogram_quantile({quantile}, max by (channel, le) (
  ${{{histogram}}}_bucket - min_over_time(${{{histogram}}}_bucket[5m])
)) and on (channel) ${count} > 0
  or on (channel) 0 * ${count}""",
            {"quantile": quantile},
        )
        for quantile in _QUANTILES
    )


def _record_count(recorded: Metric, histogram: str) -> Recording:
    return Recording(
        recorded,
        f"max by (channel) (${{{histogram}}}_count - min_over_time(${{{histogram}}}_count[5m]))",
    )


_RECORDINGS = (
    Recording(
        m.FINISHED_SUM,
        'sum by (channel) (max by (channel, outcome, error_code) ($FINISHED{outcome=~"$judged"}))',
    ),
    Recording(
        m.SENT_SUM,
        """\
sum by (channel) (max by (channel, outcome, error_code) ($FINISHED{outcome="$accepted"}))
  or 0 * $FINISHED_SUM""",
    ),
    Recording(m.FINISHED_5M, "$FINISHED_SUM - min_over_time($FINISHED_SUM[5m])"),
    Recording(m.SENT_5M, "$SENT_SUM - min_over_time($SENT_SUM[5m])"),
    Recording(
        m.SUCCESS_RATIO,
        """\
clamp_max($SENT_5M / ($FINISHED_5M > 0), 1)
  or 0 * $FINISHED_5M + 1""",
    ),
    _record_count(m.SEND_LATENCY_5M, "SEND_LATENCY"),
    *_record_quantiles(m.SEND_LATENCY_QUANTILE, "SEND_LATENCY", "SEND_LATENCY_5M"),
    _record_count(m.DELIVERY_LATENCY_5M, "DELIVERY_LATENCY"),
    *_record_quantiles(m.DELIVERY_LATENCY_QUANTILE, "DELIVERY_LATENCY", "DELIVERY_LATENCY_5M"),
)

_SUCCESS_LOW = Alert(
    name=AlertName.SUCCESS_RATE_LOW,
    family=Family.SUCCESS,
    slo=Slo.SEND_SUCCESS,
    priority=Priority.P2,
    level=Level.L1,
    lines={"line": t.ALERT_SUCCESS_LOW, "minimum": t.MINIMUM_FINISHED},
    expression="""\
$SUCCESS_RATIO < $line
  and $FINISHED_5M >= $minimum""",
    summary="{{ $labels.channel }}: only {{ $value | humanizePercentage }} of messages succeed",
    description=(
        "Of the messages that ended in the last 5 minutes, sent or failed for good, too few were "
        "sent. The failed ones are dead letters: they wait for a person."
    ),
    traces=TraceSearch(
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        {Tag.STATUS: MessageStatus.FAILED.value},
        {Tag.MESSAGE_CHANNEL: "channel"},
    ),
)


def _latency(
    name: AlertName,
    tier: int,
    priority: Priority,
    line: Threshold,
    *,
    recorded: str,
    quantile: str,
    count: str,
    what: str,
) -> Alert:
    return Alert(
        name=name,
        family=Family.LATENCY,
        slo=_SLO[name],
        priority=priority,
        level=Level.L1,
        tier=tier,
        lines={"line": line, "minimum": t.MINIMUM_TIMED},
        expression=f"""\
max by (channel) (${recorded}{{quantile="{quantile}"}}) > $line
  and on (channel) ${count} >= $minimum""",
        summary=f"{_CHANNEL}: {what} {line.statistic} is {_VALUE}",
        description=_MEANING[name],
        traces=_TRACES[name],
    )


_SLO = {
    AlertName.SEND_LATENCY_HIGH: Slo.SEND_LATENCY,
    AlertName.DELIVERY_LATENCY_HIGH: Slo.DELIVERY_LATENCY,
}

_MEANING = {
    AlertName.SEND_LATENCY_HIGH: (
        "Time from when a message was due until the provider accepted it; planned waits do not "
        "count. Look at queue depth and the duration of provider calls first."
    ),
    AlertName.DELIVERY_LATENCY_HIGH: (
        "Time from the provider's acceptance until the device had the message, as the provider's "
        "webhooks tell it. Late webhooks do not raise it, a slow provider does."
    ),
}

_TRACES = {
    AlertName.SEND_LATENCY_HIGH: TraceSearch(
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        {Tag.STATUS: MessageStatus.SENT.value},
        {Tag.MESSAGE_CHANNEL: "channel"},
    ),
    # A receipt's spans know their status and not their channel.
    AlertName.DELIVERY_LATENCY_HIGH: TraceSearch(
        SpanName.STATUS_UPDATE, {Tag.NEW_STATUS: MessageStatus.DELIVERED.value}
    ),
}

GROUP = RuleGroup(
    name="outbound-messages",
    recordings=_RECORDINGS,
    alerts=(
        _SUCCESS_LOW,
        _latency(
            AlertName.SEND_LATENCY_HIGH,
            1,
            Priority.P2,
            t.ALERT_SEND_LATENCY,
            recorded="SEND_LATENCY_QUANTILE",
            quantile="0.95",
            count="SEND_LATENCY_5M",
            what="send latency",
        ),
        *(
            _latency(
                AlertName.DELIVERY_LATENCY_HIGH,
                tier,
                priority,
                line,
                recorded="DELIVERY_LATENCY_QUANTILE",
                quantile=quantile,
                count="DELIVERY_LATENCY_5M",
                what="delivery latency",
            )
            for tier, priority, line, quantile in (
                (1, Priority.P3, t.ALERT_DELIVERY_P95, "0.95"),
                (2, Priority.P3, t.ALERT_DELIVERY_P99, "0.99"),
                (3, Priority.P1, t.ALERT_DELIVERY_SLA, "0.99"),
            )
        ),
    ),
)
