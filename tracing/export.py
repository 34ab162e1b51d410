"""The way out for finished spans: a bounded queue, a thread, and a count of every span lost.

Built on the SDK's batch processor and OTLP/HTTP exporter. What is added is what an operator needs:
a queue that refuses instead of evicting in silence, an exact count of losses, one log line per
outage instead of one per batch, and a shutdown that ends when it says.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

_log = logging.getLogger(__name__)
_library_log = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")

QUEUE_CAPACITY = 8192
"""Spans waiting for export at most: 1.4 s of 1,000 messages/s at six spans each."""
BATCH_SIZE = 512
BATCH_INTERVAL_MS = 500
EXPORT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """What became of the spans that ended: exported, dropped, or still waiting for the exporter."""

    exported: int
    dropped: int
    waiting: int


class SpanLedger:
    """Counts each finished span until it is exported or lost; safe to use from any thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._admitted = 0
        self._refused = 0
        self._taken = 0
        self._exported = 0
        self._failed = 0
        self._closed = False

    def admit(self) -> bool:
        """Count a finished span; False means that it is dropped, the queue being full or closed."""
        with self._lock:
            if self._closed or self._admitted - self._taken >= self._capacity:
                self._refused += 1
                return False
            self._admitted += 1
            return True

    def take(self, spans: int) -> None:
        """Count spans that left the queue for the exporter."""
        with self._lock:
            self._taken += spans

    def settle(self, spans: int, *, exported: bool) -> None:
        """Count a batch that the exporter has delivered or given up."""
        with self._lock:
            if exported:
                self._exported += spans
            else:
                self._failed += spans

    def close(self) -> None:
        """Refuse further spans; those still waiting count as dropped unless exported yet."""
        with self._lock:
            self._closed = True

    def counts(self) -> SpanCounts:
        """Give the counts of this moment."""
        with self._lock:
            waiting = self._admitted - self._exported - self._failed
            dropped = self._refused + self._failed
            if self._closed:
                return SpanCounts(self._exported, dropped + waiting, 0)
            return SpanCounts(self._exported, dropped, waiting)


class _RememberingSession(requests.Session):
    """Keeps why the last call failed: the exporter itself tells only that it did."""

    last_fault = "no answer"

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as the base class
        try:
            response = super().request(*args, **kwargs)
        except requests.RequestException as fault:
            self.last_fault = type(fault).__name__
            raise
        if not response.ok:
            self.last_fault = f"HTTP {response.status_code}"
        return response


class CountingExporter(SpanExporter):
    """OTLP/HTTP export that keeps the ledger, and logs an outage once, and once its end."""

    def __init__(self, url: str, ledger: SpanLedger, timeout_s: float) -> None:
        """Export to `url` (with its path), giving up a batch after `timeout_s` seconds."""
        # The library logs every failed batch; this class logs every outage.
        _library_log.setLevel(logging.CRITICAL)
        self._url = url
        self._ledger = ledger
        self._session = _RememberingSession()
        self._exporter = OTLPSpanExporter(
            endpoint=url, timeout=timeout_s, compression=Compression.Gzip, session=self._session
        )
        self._reachable = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch; never raises."""
        self._ledger.take(len(spans))
        result = self._exporter.export(spans)
        exported = result is SpanExportResult.SUCCESS
        self._ledger.settle(len(spans), exported=exported)
        if self._reachable and not exported:
            _log.warning(
                "trace collector %s takes no spans (%s); dropping and counting them meanwhile",
                self._url,
                self._session.last_fault,
            )
        elif exported and not self._reachable:
            dropped = self._ledger.counts().dropped
            _log.warning("trace collector %s is back; %d spans were dropped", self._url, dropped)
        self._reachable = exported
        return result

    def shutdown(self) -> None:
        """Stop retrying and close the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK left it unannotated


class BoundedSpanProcessor(BatchSpanProcessor):
    """A batch processor that refuses what its queue cannot hold, and closes in a stated time."""

    def __init__(
        self,
        url: str,
        *,
        capacity: int = QUEUE_CAPACITY,
        batch_size: int = BATCH_SIZE,
        interval_ms: int = BATCH_INTERVAL_MS,
        timeout_s: float = EXPORT_TIMEOUT_S,
    ) -> None:
        """Start the background thread that exports to `url`."""
        self.ledger = SpanLedger(capacity)
        self._counting_exporter = CountingExporter(url, self.ledger, timeout_s)
        super().__init__(
            self._counting_exporter,
            max_queue_size=capacity,
            max_export_batch_size=min(batch_size, capacity),
            schedule_delay_millis=interval_ms,
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span, or count it as dropped; never waits."""
        if span.context is not None and span.context.trace_flags.sampled and self.ledger.admit():
            super().on_end(span)

    def close(self, timeout_s: float) -> None:
        """Export what waits for at most `timeout_s` seconds; the rest counts as dropped."""
        closing = threading.Thread(target=self.shutdown, name="span-export-close", daemon=True)
        closing.start()
        closing.join(timeout_s)
        if closing.is_alive():
            # Interrupts the exporter's back-off; a socket that hangs is left to its daemon thread.
            self._counting_exporter.shutdown()
        self.ledger.close()
