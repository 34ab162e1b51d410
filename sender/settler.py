"""Writing what became of attempts: in batches as they end, and then the end of their stories."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
import structlog

from outbound_slo.vocabulary.spans import SpanName, Tag
from sender.attempt import Attempted
from sender.faults import is_passing
from sender.logs import WORKER
from sender.metrics import SenderMetrics
from sender.outbox import Pool, settle
from sender.turns import in_turns
from tracing.setup import Tracing

_log = structlog.get_logger(component=WORKER)

PAUSE_S = 1.0
"""Seconds to wait before asking a database again that did not answer."""

_FIRST_PAUSE_S = 0.1  # Connections that are ended are most often there again at once.

GATHER_S = 0.02
"""Seconds that a result waits for others to be written with, while more are on their way."""

_UNTOLD = 4  # Batches that may wait for their spans; the writing waits if there are more.


@dataclass(frozen=True, slots=True)
class _Written:
    """Attempts that were settled together, and when, in ns."""

    batch: Sequence[Attempted]
    started_ns: int
    saved_ns: int
    wanted: frozenset[int] = frozenset()


class Settler:
    """Settles attempts.

    Args:
        pool: The sender's connections.
        tracing: Where spans go.
        metrics: Where the time of the last settlement goes.
        let_go: Called with what was settled.
        expects_more: Whether waiting a little for others makes sense.
        most: Attempts settled in one statement.
        clock: Wall time in seconds.

    """

    def __init__(
        self,
        pool: Pool,
        tracing: Tracing,
        metrics: SenderMetrics,
        let_go: Callable[[Sequence[Attempted]], None],
        expects_more: Callable[[], bool],
        most: int,
        clock: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._tracing = tracing
        self._metrics = metrics
        self._let_go = let_go
        self._expects_more = expects_more
        self._most = most
        self._clock = clock
        self._finished: asyncio.Queue[Attempted] = asyncio.Queue()
        self._written: asyncio.Queue[_Written] = asyncio.Queue(_UNTOLD)
        self._fails = False

    @property
    def is_writing(self) -> bool:
        """Whether results are written as they come; false while the database takes none."""
        return not self._fails

    @property
    def backlog(self) -> int:
        """How many results wait to be written."""
        return self._finished.qsize()

    def take(self, attempted: Attempted) -> None:
        """Take a result, to be written soon."""
        self._finished.put_nowait(attempted)

    async def run(self) -> None:
        """Settle, and tell the stories to their ends, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settle_forever())
            tasks.create_task(self._tell_forever())

    async def finish(self) -> None:
        """Wait until everything taken is written and told."""
        await self._finished.join()

    async def _settle_forever(self) -> None:
        while True:
            batch = [await self._finished.get()]
            if self._expects_more():
                await asyncio.sleep(GATHER_S)
            while len(batch) < self._most and not self._finished.empty():
                batch.append(self._finished.get_nowait())
            await self._settle(batch)

    async def _settle(self, batch: list[Attempted]) -> None:
        batch.sort(key=lambda one: one.settlement.message_id)
        wanted: frozenset[int] = frozenset()
        pause = _FIRST_PAUSE_S
        while True:
            started = time.time_ns()
            try:
                written = await settle(self._pool, [one.settlement for one in batch])
                wanted = written.wanted
                self._fails = False
                break
            except psycopg.Error as fault:
                if is_passing(fault):
                    self._fails = True
                    _log.warning("settling failed, trying again", error=type(fault).__name__)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, PAUSE_S)
                    continue
                if len(batch) > 1:
                    for one in batch:
                        await self._settle([one])
                    return
                # It stays in SENDING, where the sweep and the stuck alerts see it.
                _log.exception(
                    "settlement refused by the database",
                    messageId=batch[0].settlement.message_id,
                    error=type(fault).__name__,
                )
                batch[0].span.fail(type(fault).__name__)
                wanted = frozenset({batch[0].settlement.message_id})
                break
        self._let_go(batch)
        await self._written.put(_Written(batch, started, time.time_ns(), wanted))

    async def _tell_forever(self) -> None:
        """Close the spans of what is written, aside from the writing."""
        while True:
            written = await self._written.get()
            self._metrics.last_settled.set(self._clock())
            async for one in in_turns(written.batch):
                self._close_story(one, written)
                self._finished.task_done()

    def _close_story(self, one: Attempted, written: _Written) -> None:
        settlement, status = one.settlement, one.settlement.status
        one.span.decide(keep=settlement.trace_kept or settlement.message_id in written.wanted)
        tags: dict[Tag, object] = {
            Tag.STATUS: None if status is None else status.value,
            Tag.DB_OPERATION_BATCH_SIZE: len(written.batch),
        }
        parent, saved = one.span.context, written.saved_ns
        self._tracing.record(
            SpanName.DATABASE_SAVE, tags, parent=parent, start_ns=written.started_ns, end_ns=saved
        )
        self._tracing.record(
            SpanName.METRICS_RECORD, parent=parent, start_ns=saved, end_ns=time.time_ns()
        )
        one.span.end()
