"""The worker: claims what is due, keeps attempts in flight, settles them in batches.

A full claim is followed by the next at once; an empty one waits for the poll interval (D20). A
channel whose breaker is open is not claimed at all: its messages wait in the queue.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg
import structlog

from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import Channel
from sender.attempt import Attempted, Attempter
from sender.breaker import Breaker
from sender.faults import is_passing
from sender.metrics import SenderMetrics
from sender.outbox import ClaimedMessage, Pool, claim, settle
from tracing.setup import Tracing

_log = structlog.get_logger()

DATABASE_PAUSE_S = 1.0
"""Seconds to wait before asking a database again that did not answer."""


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """Settings of the loop: rows per claim, seconds between empty claims, attempts in flight."""

    name: str
    batch_size: int
    poll_interval_s: float
    concurrency: int


class Worker:
    """One process's loop over the outbox."""

    def __init__(
        self,
        rules: WorkerRules,
        pool: Pool,
        attempter: Attempter,
        breakers: Mapping[Channel, Breaker],
        tracing: Tracing,
        metrics: SenderMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Work on the channels that `breakers` has."""
        self._rules = rules
        self._pool = pool
        self._attempter = attempter
        self._breakers = breakers
        self._tracing = tracing
        self._metrics = metrics
        self._clock = clock
        self._finished: asyncio.Queue[Attempted] = asyncio.Queue()
        self._running: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Claim no more; `run` returns when all in flight is settled."""
        self._stopping.set()
        self._room.set()

    async def run(self, *, claiming: bool = True) -> None:
        """Work until `stop` is called, then settle what is in flight.

        Args:
            claiming: False only waits for `stop`: the worker is switched off.

        """
        settler = asyncio.create_task(self._settle_forever())
        try:
            if claiming:
                await self._claim_until_stopped()
            else:
                await self._stopping.wait()
            if self._running:
                await asyncio.gather(*self._running)
            await self._finished.join()
        finally:
            settler.cancel()

    async def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            room = self._rules.concurrency - len(self._running)
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            claimed, wanted = await self._claim(min(room, self._rules.batch_size))
            if claimed < wanted or wanted == 0:
                await self._idle()

    async def _claim(self, limit: int) -> tuple[int, int]:
        """Claim for the channels that may send; gives how many came and how many were wanted."""
        total = wanted = 0
        open_channels = []
        for channel, breaker in self._breakers.items():
            capacity = breaker.capacity(time.monotonic())
            self._metrics.breaker_state.labels(channel.label).set(breaker.state(time.monotonic()))
            if capacity is None:
                open_channels.append(channel)
            elif capacity > 0:
                # Half-open: only as many as there are probes, and a claim of their own.
                total += await self._claim_some(min(limit, capacity), [channel])
        if open_channels:
            wanted = limit
            total += await self._claim_some(limit, open_channels)
        return total, wanted

    async def _claim_some(self, limit: int, channels: list[Channel]) -> int:
        try:
            messages = await claim(
                self._pool, worker=self._rules.name, limit=limit, channels=channels
            )
        except psycopg.Error as fault:
            if not is_passing(fault):
                raise
            _log.warning("claim failed, trying again", error=type(fault).__name__)
            await asyncio.sleep(DATABASE_PAUSE_S)
            return 0
        if messages:
            _log.info(f"Processing {len(messages)} pending outbound messages")
        for message in messages:
            self._metrics.claimed.labels(Channel(message.channel).label).inc()
            task = asyncio.create_task(self._attempt(message))
            self._running.add(task)
            task.add_done_callback(self._end_attempt)
        self._metrics.in_flight.set(len(self._running))
        return len(messages)

    def _end_attempt(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._metrics.in_flight.set(len(self._running))
        self._room.set()

    async def _attempt(self, message: ClaimedMessage) -> None:
        try:
            attempted = await self._attempter.run(message)
        except Exception:  # noqa: BLE001 - one message's crash must not end the loop
            # The message stays in SENDING and the sweep finds it: a fault of ours is not hidden
            # behind a retry.
            _log.exception("attempt crashed", messageId=message.id)
            return
        settlement = attempted.settlement
        if settlement.error_code is not None:
            _log.warning(
                "handleFailure",
                messageId=message.id,
                errorCode=settlement.error_code,
                outcome=settlement.outcome.value,
                traceId=attempted.span.trace_id,
            )
        await self._finished.put(attempted)

    async def _idle(self) -> None:
        waits = [self._rules.poll_interval_s]
        for breaker in self._breakers.values():
            wait = breaker.wait_s(time.monotonic())
            if wait > 0:
                waits.append(wait)
        try:
            await asyncio.wait_for(self._stopping.wait(), min(waits))
        except TimeoutError:
            return

    async def _settle_forever(self) -> None:
        while True:
            batch = [await self._finished.get()]
            while len(batch) < self._rules.concurrency and not self._finished.empty():
                batch.append(self._finished.get_nowait())
            await self._settle(batch)
            for _ in batch:
                self._finished.task_done()

    async def _settle(self, batch: list[Attempted]) -> None:
        batch.sort(key=lambda one: one.settlement.message_id)
        while True:
            started = time.time_ns()
            try:
                await settle(self._pool, [one.settlement for one in batch])
                break
            except psycopg.Error as fault:
                if is_passing(fault):
                    _log.warning("settling failed, trying again", error=type(fault).__name__)
                    await asyncio.sleep(DATABASE_PAUSE_S)
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
                break
        self._close_stories(batch, started, time.time_ns())

    def _close_stories(self, batch: list[Attempted], started: int, saved: int) -> None:
        self._metrics.last_settled.set(self._clock())
        for one in batch:
            status = one.settlement.status
            tags = {Tag.STATUS: None if status is None else status.value}
            parent = one.span.context
            self._tracing.record(
                SpanName.DATABASE_SAVE, tags, parent=parent, start_ns=started, end_ns=saved
            )
            self._tracing.record(
                SpanName.METRICS_RECORD, parent=parent, start_ns=saved, end_ns=time.time_ns()
            )
            one.span.end()
