"""The way out for finished spans: a bounded queue, a thread, and a count of every span lost.

Spans come as bytes, made by whoever ended them, and are put into batches at once. The thread only
joins a batch and posts it: it holds the interpreter, or the lock, for a fraction of a millisecond,
so an event loop never waits for it.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tracing.collector import Collector
from tracing.privacy import scrub_url
from tracing.wire import RequestWriter, frame_span

_log = logging.getLogger(__name__)

QUEUE_CAPACITY = 65_536
"""Spans waiting for export at most: four seconds of 1,000 messages/s at fifteen spans each."""
QUEUE_BYTES = 32 * 1024 * 1024
"""Bytes waiting for export at most, whichever bound is met first."""
BATCH_SIZE = 4096
BATCH_BYTES = 2 * 1024 * 1024
"""A batch is full when it has reached one of these."""
BATCH_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """What became of the spans that ended: exported, dropped, or still waiting for the exporter."""

    exported: int
    dropped: int
    waiting: int


@dataclass(slots=True)
class _Batch:
    """Spans that travel together, framed for their request, and their bytes."""

    spans: list[bytes] = field(default_factory=list)
    size: int = 0


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
        self._full: deque[_Batch] = deque()
        self._filling = _Batch()
        self._queued = 0
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
        framed = frame_span(span)
        size = len(framed)
        with self._lock:
            if (
                self._closed
                or self._queued >= self._capacity
                or self._queued_bytes + size > self._capacity_bytes
            ):
                self._dropped += 1
                return
            self._queued += 1
            self._queued_bytes += size
            batch = self._filling
            batch.spans.append(framed)
            batch.size += size
            if len(batch.spans) < self._batch_size and batch.size < BATCH_BYTES:
                return
            self._full.append(batch)
            self._filling = _Batch()
        self._wake.set()

    def counts(self) -> SpanCounts:
        """Give the counts of this moment."""
        with self._lock:
            waiting = self._queued + self._travelling
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
        while self._queued and not self._giving_up.is_set():
            self._export_some()
        self._collector.close()

    def _export_some(self) -> None:
        """Export what waits: full batches, and one that is not."""
        more = True
        while more and not self._giving_up.is_set():
            batch, more = self._next_batch()
            if batch.spans:
                self._export(batch.spans)

    def _next_batch(self) -> tuple[_Batch, bool]:
        """Take a batch from the queue, and tell whether a full one is left."""
        with self._lock:
            if self._full:
                batch = self._full.popleft()
            else:
                batch, self._filling = self._filling, _Batch()
            self._queued -= len(batch.spans)
            self._queued_bytes -= batch.size
            self._travelling = len(batch.spans)
            return batch, bool(self._full)

    def _export(self, batch: Sequence[bytes]) -> None:
        posted = self._collector.post(self._request.write(batch), self._giving_up)
        lost = len(batch) if posted.fault else min(posted.rejected, len(batch))
        with self._lock:
            self._travelling = 0
            self._dropped += lost
            self._exported += len(batch) - lost
            dropped = self._dropped
        url = scrub_url(self._collector.url)
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
