"""The PromQL of the panels, built from the metric vocabulary.

Runbook 000's expressions with their faults corrected: no `rate()` of a gauge, label values in
lower case, no division by nothing (D1 to D4). Where nothing happened an expression gives no value
instead of NaN, and the panel says so in words.

Exporters that run side by side all say the same, so their series are merged by `max` before
anything is summed; senders each speak for themselves.

`$channel` and `$__rate_interval` are Grafana's; `dashboards.preview` puts values in their place.
"""

from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.metrics import Metric, MetricKind
from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus

CHANNEL = "$channel"
"""The dashboard's channel variable."""

RATE_INTERVAL = "$__rate_interval"
"""Grafana's own window for rates: at least four scrapes, more when zoomed out."""

PATTERN_WINDOW = "1h"
"""000: error patterns of the last hour."""

EVENT_WINDOW = "5m"
"""000: rates of success and volume over five minutes."""

TOP_ERRORS = 10
"""000: rows of the table of error patterns."""

_CHANNEL_ONLY = {"channel": CHANNEL}
_SUFFIX_LABELS = {"_bucket": frozenset({"le"})}


def select(metric: Metric, labels: dict[str, str] | None = None, suffix: str = "") -> str:
    """Write a selector, such as `name{channel="whatsapp"}`.

    Args:
        metric: From the vocabulary.
        labels: Values that labels must equal.
        suffix: `_bucket`, `_sum` or `_count` of a histogram.

    Raises:
        ValueError: The metric has no such label, or is no histogram and cannot have the suffix.

    """
    wanted = labels or {}
    if suffix and metric.kind is not MetricKind.HISTOGRAM:
        raise ValueError(f"{metric.name} is a {metric.kind}: it has no {suffix}")
    strange = wanted.keys() - set(metric.labels) - _SUFFIX_LABELS.get(suffix, frozenset())
    if strange:
        raise ValueError(f"{metric.name} has no label {', '.join(sorted(strange))}")
    matchers = ",".join(f'{name}="{value}"' for name, value in wanted.items())
    return f"{metric.name}{suffix}{{{matchers}}}" if matchers else f"{metric.name}{suffix}"


def latency_quantile(recorded: Metric, quantile: float) -> str:
    """Latency in seconds at a quantile: the recorded series, else straight from the histogram.

    The second half serves a Prometheus that has not loaded the recording rules, and it is what
    lets Grafana find exemplars, since recorded series have none. Without traffic the record is 0
    and the histogram gives NaN: the comparisons drop both, for no message is not a fast message.
    """
    if recorded.alias_of is None:
        raise ValueError(f"{recorded.name} is recorded from no histogram")
    histogram = metrics.METRICS[recorded.alias_of]
    ready = select(recorded, {**_CHANNEL_ONLY, "quantile": f"{quantile:g}"})
    buckets = select(histogram, _CHANNEL_ONLY, "_bucket")
    computed = f"histogram_quantile({quantile:g}, max by (le) (rate({buckets}[{RATE_INTERVAL}])))"
    return f"(max({ready}) > 0) or ({computed} >= 0)"


def quantile_of(histogram: Metric, quantile: float, *, merge: str) -> str:
    """Quantile of a channel's histogram, in its unit; no value where nothing was timed.

    Args:
        histogram: The histogram.
        quantile: From 0 to 1.
        merge: `max` for exporters, which all show the same; `sum` for senders.

    """
    buckets = select(histogram, _CHANNEL_ONLY, "_bucket")
    rates = f"{merge} by (le) (rate({buckets}[{RATE_INTERVAL}]))"
    return f"histogram_quantile({quantile:g}, {rates}) >= 0"


def success_rate() -> str:
    """Percent of the messages that ended in five minutes that ended as sent.

    Messages that our own rules refused are in neither number (D3).
    """
    sent, failed = _count_ended(AttemptOutcome.SENT), _count_ended(AttemptOutcome.FAILED)
    return f"100 * {sent} / ({sent} + {failed} > 0)"


def _count_ended(outcome: AttemptOutcome) -> str:
    finished = select(metrics.FINISHED, {**_CHANNEL_ONLY, "outcome": outcome.label})
    return f"sum(max by (error_code) (increase({finished}[{EVENT_WINDOW}])))"


def queue_depth() -> str:
    """Messages that wait in QUEUED."""
    queued = {**_CHANNEL_ONLY, "status": MessageStatus.QUEUED.label}
    return f"max({select(metrics.QUEUE_DEPTH, queued)})"


def stuck_sending() -> str:
    """Messages stuck in SENDING; of several rules' counts the widest, since they overlap (D23)."""
    sending = {**_CHANNEL_ONLY, "status": MessageStatus.SENDING.label}
    return f"max({select(metrics.STUCK, sending)})"


def quota_usage() -> str:
    """Percent of its quota that the organisation with the highest use has used."""
    used, limit = select(metrics.QUOTA_USED), select(metrics.QUOTA_LIMIT)
    return f"topk(1, 100 * max by (org_id) ({used}) / (max by (org_id) ({limit}) > 0))"


def session_expiration() -> str:
    """Seconds until the next open session window closes."""
    return f"min({select(metrics.SESSION_EXPIRATION, _CHANNEL_ONLY)})"


def error_patterns() -> str:
    """Failed attempts per second and error code over the last hour, the ten most frequent."""
    failed = select(metrics.ATTEMPTS, {**_CHANNEL_ONLY, "outcome": AttemptOutcome.FAILED.label})
    rates = f"max by (error_code) (rate({failed}[{PATTERN_WINDOW}]))"
    return f"topk({TOP_ERRORS}, {rates} > 0)"


def finished_rate(outcome: AttemptOutcome) -> str:
    """Messages per second that ended with an outcome."""
    ended = select(metrics.FINISHED, {**_CHANNEL_ONLY, "outcome": outcome.label})
    return f"sum(max by (error_code) (rate({ended}[{EVENT_WINDOW}])))"


def retry_count() -> str:
    """Messages that wait for another attempt."""
    return f"max({select(metrics.RETRY_COUNT, _CHANNEL_ONLY)})"


def dead_letters() -> str:
    """Messages whose attempts are used up."""
    return f"sum(max by (error_code, category) ({select(metrics.DEAD_LETTERS, _CHANNEL_ONLY)}))"


def breaker_state() -> str:
    """State of each sender process's circuit breaker: 0 closed, 1 open, 2 half-open."""
    return select(metrics.BREAKER_STATE, {"name": CHANNEL})
