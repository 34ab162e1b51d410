"""The way out for finished spans: a bounded queue, a thread, and a count of every span lost.

Spans come as bytes, made by whoever ended them. The thread only joins them and posts: it holds
the interpreter for a fraction of a millisecond per batch, so the event loop never waits for it.
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass

from tracing.collector import Collector
from tracing.wire import RequestWriter

_log = logging.getLogger(__name__)

QUEUE_CAPACITY = 65_536
"""Spans waiting for export at most: four seconds of 1,000 messages/s at fifteen spans each."""
QUEUE_BYTES = 32 * 1024 * 1024
"""Bytes waiting for export at most, whichever bound is met first."""
BATCH_SIZE = 4096
BATCH_BYTES = 1024 * 1024
"""A batch ends with the span that takes it beyond this."""
BATCH_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """What became of the spans that ended: exported, dropped, or still waiting for the exporter."""

    exported: int
    dropped: int
    waiting: int


class SpanExport:
    """Queues finished spans and exports them from a thread of its own; any thread may call it."""

    def __init__(
        self,
        collector: Collector,
        request: RequestWriter,
        *,
        capacity: int = QUEUE_CAPACITY,
        capacity_bytes: int = QUEUE_BYTES,
    ) -> None:
        """Start the thread.

        Args:
            collector: Where spans go.
            request: Makes requests of them.
            capacity: Spans that may wait; beyond it they are dropped and counted.
            capacity_bytes: Their bytes, likewise.

        """
        self._collector = collector
        self._request = request
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._batch_size = min(BATCH_SIZE, capacity)
        self._lock = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._travelling = 0
        self._exported = 0
        self._dropped = 0
        self._closed = False
        self._reachable = True
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._giving_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def take(self, span: bytes) -> None:
        """Queue a finished span, or count it as dropped; never waits."""
        with self._lock:
            if (
                self._closed
                or len(self._queue) >= self._capacity
                or self._queued_bytes >= self._capacity_bytes
            ):
                self._dropped += 1
                return
            self._queue.append(span)
            self._queued_bytes += len(span)
            full = len(self._queue) == self._batch_size
        if full:
            self._wake.set()

    def counts(self) -> SpanCounts:
        """Give the counts of this moment."""
        with self._lock:
            waiting = len(self._queue) + self._travelling
            if self._closed:
                return SpanCounts(self._exported, self._dropped + waiting, 0)
            return SpanCounts(self._exported, self._dropped, waiting)

    def close(self, timeout_s: float) -> None:
        """Export what waits for at most `timeout_s` seconds; the rest counts as dropped."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        # A wait between two tries ends here; a socket that hangs is left to the daemon thread.
        self._giving_up.set()
        with self._lock:
            self._closed = True

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(BATCH_INTERVAL_S)
            self._wake.clear()
            self._export_some()
        while self._queue and not self._giving_up.is_set():
            self._export_some()
        self._collector.close()

    def _export_some(self) -> None:
        """Export a batch, and further ones while whole batches wait."""
        while batch := self._next_batch():
            self._export(batch)
            if len(self._queue) < self._batch_size or self._giving_up.is_set():
                return

    def _next_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        with self._lock:
            while self._queue and len(batch) < self._batch_size and size < BATCH_BYTES:
                span = self._queue.popleft()
                batch.append(span)
                size += len(span)
            self._queued_bytes -= size
            self._travelling = len(batch)
        return batch

    def _export(self, batch: list[bytes]) -> None:
        posted = self._collector.post(self._request.write(batch), self._giving_up)
        lost = len(batch) if posted.fault else min(posted.rejected, len(batch))
        with self._lock:
            self._travelling = 0
            self._dropped += lost
            self._exported += len(batch) - lost
            dropped = self._dropped
        url = self._collector.url
        if self._reachable and posted.fault:
            _log.warning(
                "trace collector %s takes no spans (%s); dropping and counting them meanwhile",
                url,
                posted.fault,
            )
        elif not self._reachable and not posted.fault:
            _log.warning("trace collector %s is back; %d spans were dropped", url, dropped)
        if posted.rejected:
            _log.warning("trace collector %s refused %d of %d spans", url, lost, len(batch))
        self._reachable = not posted.fault
