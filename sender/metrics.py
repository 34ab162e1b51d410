"""What this process counts about itself; everything about messages comes from the exporter."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from outbound_slo.vocabulary import metrics as names
from outbound_slo.vocabulary.metrics import Metric
from outbound_slo.vocabulary.notices import NoticeKind, NoticeSeverity
from outbound_slo.vocabulary.statuses import Channel
from sender import rules
from sender.breaker import TOO_FEW, Breaker
from sender.callbacks import Caller
from sender.receipts import Effect

API_VERSION_ENDS = {
    "v18.0": date(2026, 1, 26),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
}
"""Last days of Graph API versions, from Meta's changelog as of September 2026 (D13)."""


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    name = metric.name.removesuffix("_total")
    return Counter(name, metric.help, metric.labels, registry=registry)


def _gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


class SenderMetrics:
    """The metrics of one sender process, in a registry of their own."""

    def __init__(self) -> None:
        """Make every series that can be known, at zero: an absent one can't be told from none."""
        registry = CollectorRegistry()
        self.registry = registry
        self.started = _gauge(names.SENDER_STARTED, registry)
        self.breaker_state = _gauge(names.BREAKER_STATE, registry)
        self.breaker_failure_rate = _gauge(names.BREAKER_FAILURE_RATE, registry)
        self.breaker_slow_call_rate = _gauge(names.BREAKER_SLOW_CALL_RATE, registry)
        self.breaker_buffered_calls = _gauge(names.BREAKER_BUFFERED_CALLS, registry)
        self.breaker_not_permitted = _counter(names.BREAKER_NOT_PERMITTED, registry)
        self.webhooks = _counter(names.WEBHOOKS, registry)
        self.receipts = _counter(names.RECEIPTS, registry)
        self.provider_notices = _counter(names.PROVIDER_NOTICES, registry)
        self.recipient_wishes = _counter(names.RECIPIENT_WISHES, registry)
        self.signature_failures = _counter(names.SIGNATURE_FAILURES, registry)
        self.in_flight = _gauge(names.IN_FLIGHT, registry)
        self.claimed = _counter(names.CLAIMED, registry)
        self.last_settled = _gauge(names.LAST_PROCESSED, registry)
        self.recovered = _counter(names.RECOVERED, registry)
        self.resends_held = _gauge(names.RESENDS_HELD, registry)
        self.refusals = _counter(names.REFUSALS, registry)
        self.deferrals = _counter(names.DEFERRALS, registry)
        self.limited_claims = _counter(names.LIMITED_CLAIMS, registry)
        self.shared_limit_up = _gauge(names.SHARED_LIMIT_UP, registry)
        self.dropped_spans = _counter(names.DROPPED_SPANS, registry)
        self.version_days = _gauge(names.API_VERSION_DAYS, registry)
        self.provider_call = Histogram(
            names.PROVIDER_CALL.name,
            names.PROVIDER_CALL.help,
            names.PROVIDER_CALL.labels,
            buckets=names.PROVIDER_CALL_BUCKETS,
            registry=registry,
        )
        for channel in Channel:
            self.claimed.labels(channel.label)
            self.resends_held.labels(channel.label)
            self.limited_claims.labels(channel.label)
            self.provider_call.labels(channel.label)
            for code in rules.REFUSALS:
                self.refusals.labels(channel.label, code.value)
            for code in rules.DEFERRALS:
                self.deferrals.labels(channel.label, code.value)
            self.breaker_state.labels(channel.label).set(0)
            self.breaker_failure_rate.labels(channel.label).set(TOO_FEW)
            self.breaker_slow_call_rate.labels(channel.label).set(TOO_FEW)
            self.breaker_not_permitted.labels(channel.label)
            for kind in ("failed", "successful"):
                self.breaker_buffered_calls.labels(channel.label, kind)
        for result in ("requeued", "failed"):
            self.recovered.labels(result)
        self._open_callback_series()
        self._dropped_seen = 0

    def watch_breaker(self, channel: Channel, breaker: Breaker, clock: Callable[[], float]) -> None:
        """Ask the breaker itself on every scrape: time moves it even when nothing is sent."""
        name = channel.label
        self.breaker_state.labels(name).set_function(lambda: breaker.state(clock()))
        self.breaker_failure_rate.labels(name).set_function(breaker.failure_rate)
        self.breaker_slow_call_rate.labels(name).set_function(breaker.slow_call_rate)
        failed = self.breaker_buffered_calls.labels(name, "failed")
        failed.set_function(lambda: breaker.buffered()[0])
        successful = self.breaker_buffered_calls.labels(name, "successful")
        successful.set_function(lambda: breaker.buffered()[1])

    def _open_callback_series(self) -> None:
        for caller in Caller:
            for result in ("accepted", "rejected", "malformed"):
                self.webhooks.labels(caller.value, result)
            for effect in Effect:
                self.receipts.labels(caller.value, effect.value)
            for wish in ("stop", "resume"):
                self.recipient_wishes.labels(caller.channel.label, wish)
        for kind in NoticeKind:
            for severity in NoticeSeverity:
                self.provider_notices.labels(Caller.WHATSAPP.value, kind.value, severity.value)

    def note_start(self, version: str, at: datetime) -> None:
        """Show since when this process runs, and which version it is."""
        self.started.labels(version).set(at.timestamp())

    def note_api_version(self, version: str, now: Callable[[], datetime]) -> None:
        """Show the days left to the configured Graph API version, where its end is known.

        Args:
            version: As in the provider's address, such as `v25.0`.
            now: The time of day, asked at every scrape: a sender runs for weeks.

        """
        ends = API_VERSION_ENDS.get(version)
        if ends is not None:
            shown = self.version_days.labels(version)
            shown.set_function(lambda: (ends - now().astimezone(UTC).date()).days)

    def note_token(self, expires_at: datetime | None, now: Callable[[], datetime]) -> None:
        """Show the days, and parts of one, until the access token ends; less than 0 afterwards.

        Args:
            expires_at: With its zone; None where nobody said, and then there is no series.
            now: The time of day, asked at every scrape.

        """
        if expires_at is not None:
            shown = _gauge(names.TOKEN_DAYS, self.registry)
            shown.set_function(lambda: (expires_at - now()) / timedelta(days=1))

    def note_dropped_spans(self, total: int) -> None:
        """Bring the counter up to the tracing room's own count."""
        if total > self._dropped_seen:
            self.dropped_spans.inc(total - self._dropped_seen)
            self._dropped_seen = total

    def render(self) -> bytes:
        """Give the page in Prometheus's text format."""
        return generate_latest(self.registry)
