"""The SLA table of runbook 000, asked of the real Prometheus at the end of a run.

Promises come from the vocabulary's thresholds, series from the recording rules. Latencies and the
success rate are judged over the whole run, as differences of counters; queue, stuck messages and
quota at its end. Beside each stands the worst moment, which the incident makes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary.metrics import Metric
from outbound_slo.vocabulary.statuses import Channel, StuckReason
from outbound_slo.vocabulary.thresholds import (
    MINIMUM_FINISHED,
    SLA_TABLE,
    Subject,
    Threshold,
)

_WHATSAPP = f'channel="{Channel.WHATSAPP.label}"'
"""000's table is WhatsApp's."""


@dataclass(frozen=True, slots=True)
class SlaRow:
    """One promise and how it went.

    Attributes:
        title: What is promised, in words.
        basis: Over what the value was taken.
        value: In the promise's unit; None where Prometheus has no data.
        worst: The worst moment of the run, same unit.

    """

    title: str
    promise: Threshold
    basis: str
    value: float | None
    worst: float | None

    @property
    def is_met(self) -> bool:
        """Whether the promise was kept; without data it was not."""
        return self.value is not None and self.promise.holds(self.value)


@dataclass(frozen=True, slots=True)
class _Indicator:
    """How to ask for one row; both expressions take a window such as `180s`."""

    title: str
    basis: str
    value: Callable[[str], str]
    worst: Callable[[str], str]


_WHOLE_RUN = "whole run"
_AT_THE_END = "at the end"


def _growth(series: str, window: str) -> str:
    """How much a counter grew; as the rules do it, right from the first sample on."""
    return f"({series} - min_over_time({series}[{window}]))"


def _latency(title: str, histogram: Metric, recorded: Metric, quantile: str) -> _Indicator:
    buckets = f"{histogram.name}_bucket{{{_WHATSAPP}}}"
    moments = f'{recorded.name}{{{_WHATSAPP},quantile="{quantile}"}}'
    return _Indicator(
        title,
        _WHOLE_RUN,
        lambda window: (
            f"histogram_quantile({quantile}, max by (le) ({_growth(buckets, window)})) >= 0"
        ),
        lambda window: f"max(max_over_time({moments}[{window}]))",
    )


def _success() -> _Indicator:
    sent = f"{m.SENT_SUM.name}{{{_WHATSAPP}}}"
    finished = f"{m.FINISHED_SUM.name}{{{_WHATSAPP}}}"
    # A moment with a handful of messages is no moment to judge (T3): in an outage only those end
    # that would have been refused anyway.
    enough = f"{m.FINISHED_5M.name}{{{_WHATSAPP}}} >= {MINIMUM_FINISHED.value:g}"
    ratio = f"{m.SUCCESS_RATIO.name}{{{_WHATSAPP}}} and on () {enough}"
    return _Indicator(
        "Success rate",
        _WHOLE_RUN,
        lambda window: f"100 * {_growth(sent, window)} / ({_growth(finished, window)} > 0)",
        lambda window: f"100 * min(min_over_time(({ratio})[{window}:1s]))",
    )


def _level(title: str, series: str, factor: int = 1) -> _Indicator:
    return _Indicator(
        title,
        _AT_THE_END,
        lambda _window: f"{factor} * max({series})",
        lambda window: f"{factor} * max(max_over_time({series}[{window}]))",
    )


_INDICATORS: Mapping[Subject, _Indicator] = {
    Subject.SEND_LATENCY: _latency("Send latency", m.SEND_LATENCY, m.SEND_LATENCY_QUANTILE, "0.95"),
    Subject.DELIVERY_LATENCY: _latency(
        "Delivery latency", m.DELIVERY_LATENCY, m.DELIVERY_LATENCY_QUANTILE, "0.99"
    ),
    Subject.SUCCESS_RATE: _success(),
    Subject.QUEUE_DEPTH: _level("Queue depth", f"{m.QUEUED_SUM.name}{{{_WHATSAPP}}}"),
    Subject.STUCK: _level(
        "Stuck messages",
        f'{m.STUCK.name}{{{_WHATSAPP},reason="{StuckReason.SENDING_TOO_LONG.value}"}}',
    ),
    Subject.QUOTA: _level("Quota usage", m.QUOTA_RATIO.name, factor=100),
}


def write_expressions(window_s: float) -> Mapping[Subject, tuple[str, str]]:
    """Write each row's two expressions, value and worst moment, for a run of `window_s` seconds."""
    window = f"{round(window_s)}s"
    return {
        promise.subject: (
            _INDICATORS[promise.subject].value(window),
            _INDICATORS[promise.subject].worst(window),
        )
        for promise in SLA_TABLE
    }


def read_sla(prometheus: PrometheusApi, window_s: float) -> Sequence[SlaRow]:
    """Ask for the whole table.

    Args:
        prometheus: The server with the demo's data.
        window_s: Seconds since it started.

    Raises:
        UserMistake: Prometheus does not answer.

    """
    expressions = write_expressions(window_s)
    return [
        SlaRow(
            title=_INDICATORS[promise.subject].title,
            promise=promise,
            basis=_INDICATORS[promise.subject].basis,
            value=_read_number(prometheus, expressions[promise.subject][0]),
            worst=_read_number(prometheus, expressions[promise.subject][1]),
        )
        for promise in SLA_TABLE
    ]


def _read_number(prometheus: PrometheusApi, expression: str) -> float | None:
    samples = prometheus.query(expression)
    return samples[0].value if samples else None
