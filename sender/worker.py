"""The worker: claims what is due, keeps attempts in flight, settles them in batches.

A claim that brought something is followed by the next as soon as there is room and the limits per
second let more go; when nothing is left the worker sleeps until the bell rings, something becomes
due or the poll interval is over (D20). A channel whose breaker is open is not claimed at all: its
messages wait in the queue.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter

import psycopg
import structlog

from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel
from sender.attempt import Attempted, Attempter
from sender.bell import Bell
from sender.breaker import Breaker
from sender.faults import is_passing
from sender.journal import tell_attempt
from sender.lanes import LaneBook, Verdict
from sender.limits import Limits
from sender.logs import WORKER
from sender.metrics import SenderMetrics
from sender.outbox import (
    ClaimedMessage,
    Order,
    Pool,
    claim,
    fall_asleep,
    look_for_lanes,
    settle,
    wake_up,
)
from sender.turns import in_turns
from tracing.setup import Tracing

_log = structlog.get_logger(component=WORKER)

DATABASE_PAUSE_S = 1.0
"""Seconds to wait before asking a database again that did not answer."""

SECOND_LOOK_S = 0.2
"""A transaction may have queued a message without calling, just before this sender slept."""

_UNSENT = frozenset({AttemptOutcome.DEFERRED, AttemptOutcome.REFUSED})
HOLD_S = 1.0
"""Seconds to leave an organisation's messages alone that has just been throttled."""

_BUSY_S = 0.25
_CONTENTION_PAUSE_S = 0.02
_GATHER_S = 0.005


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """Settings of the loop.

    Attributes:
        name: What attempt rows call this process.
        batch_size: Messages per claim.
        poll_interval_s: Longest sleep in seconds.
        concurrency: Attempts in flight.
        strict_order: Whether a message waits for every earlier one of its conversation (D19).
        drain_s: Seconds after `stop` in which what is in flight may end and be settled.

    """

    name: str
    batch_size: int
    poll_interval_s: float
    concurrency: int
    strict_order: bool = False
    drain_s: float = 15.0


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
        bell: Bell,
        limits: Limits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Work on the channels that `breakers` has."""
        self._rules = rules
        self._pool = pool
        self._attempter = attempter
        self._breakers = breakers
        self._tracing = tracing
        self._metrics = metrics
        self._bell = bell
        self._limits = limits
        self._clock = clock
        self._book = LaneBook()
        self._in_flight: Counter[str] = Counter()
        self._finished: asyncio.Queue[Attempted] = asyncio.Queue()
        self._running: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._asleep_until = float("-inf")
        self._busy_since = float("inf")
        self._settling_fails = False

    def stop(self) -> None:
        """Claim no more; `run` returns when all in flight is settled, or `drain_s` is over."""
        self._stopping.set()
        self._room.set()
        self._bell.ring()

    def is_settling(self) -> bool:
        """Tell whether results are written as they come; false while the database takes none."""
        return not self._settling_fails

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
            await self._drain()
        finally:
            settler.cancel()

    async def _drain(self) -> None:
        """Let what is in flight end; what can't be written in time is found by the sweep."""
        try:
            async with asyncio.timeout(self._rules.drain_s):
                if self._running:
                    await asyncio.wait(self._running)
                await self._finished.join()
                await wake_up(self._pool, worker=self._rules.name)
        except TimeoutError:
            _log.error(
                "stopped with messages in flight; the recovery window will find them",
                attempts=len(self._running),
                unsettled=self._finished.qsize(),
            )
        except psycopg.Error as fault:
            _log.warning("could not sign off", error=type(fault).__name__)
        for task in self._running:
            task.cancel()

    async def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._take_turn()
            except psycopg.Error as fault:
                if not is_passing(fault):
                    raise
                _log.warning("claim failed, trying again", error=type(fault).__name__)
                await self._pause(DATABASE_PAUSE_S)

    async def _take_turn(self) -> None:
        room = await self._wait_for_room()
        # Before anything is looked at: what rings from now on is news.
        self._bell.silence()
        wanted = self._measure_rooms(min(room, self._rules.batch_size))
        if self._stopping.is_set() or room == 0:
            return
        rooms = await self._limits.take(wanted)
        if not wanted:
            await self._sleep(rooms)
            return
        if not rooms:
            # Some may go in a moment: nobody needs to call.
            await self._pause(min(self._limits.wait_s, self._rules.poll_interval_s))
            return
        now = time.monotonic()
        if self._book.needs_look(now):
            await self._look()
        elif not self._book.has_work(now, rooms):
            self._book.suspect_news()
        taken, parked = await self._claim(rooms)
        if taken:
            await self._stay_awake()
        elif parked:
            return
        elif self._book.has_work(time.monotonic(), rooms):
            # What is there is locked by somebody, who is about to claim or to settle it.
            await self._pause(_CONTENTION_PAUSE_S)
        else:
            await self._limits.flush()
            await self._sleep(rooms)

    async def _wait_for_room(self) -> int:
        """Wait until a claim is worth its round trip."""
        quantum = max(1, min(self._rules.batch_size, self._rules.concurrency // 8))
        while not self._stopping.is_set():
            room = self._rules.concurrency - len(self._running)
            if room >= quantum:
                return room
            self._room.clear()
            if room == 0:
                await self._room.wait()
            else:
                await asyncio.sleep(_GATHER_S)
                return self._rules.concurrency - len(self._running)
        return 0

    def _measure_rooms(self, room: int) -> dict[str, int]:
        """Give the messages wanted per channel; a half-open breaker wants its probes only."""
        rooms: dict[str, int] = {}
        now = time.monotonic()
        for channel, breaker in self._breakers.items():
            capacity = breaker.capacity(now)
            wanted = room if capacity is None else min(room, capacity)
            if wanted > 0:
                rooms[channel.value] = wanted
        return rooms

    async def _look(self) -> None:
        channels = [channel.value for channel in self._breakers]
        states, took_s = await look_for_lanes(self._pool, channels)
        self._book.note_look(states, time.monotonic(), took_s)

    async def _claim(self, rooms: Mapping[str, int]) -> tuple[int, bool]:
        """Claim once; gives how many messages came, and whether others were moved on."""
        started = time.monotonic()
        shares = self._book.plan(rooms, started, self._in_flight)
        held = {channel: self._book.held(channel, started) for channel in rooms}
        probe = [channel for channel in rooms if not self._book.knows_urgent(channel)]
        order = Order(rooms, shares, held, self._rules.strict_order, probe)
        found = await claim(self._pool, worker=self._rules.name, order=order)
        now = time.monotonic()
        self._book.note_claim(shares, found.candidates, now, now - started)
        if found.messages:
            _log.info(f"Processing {len(found.messages)} pending outbound messages")
        # Those that hurry first, and not all at once.
        async for message in in_turns(sorted(found.messages, key=attrgetter("priority"))):
            self._start(message)
        claimed = Counter(message.channel for message in found.messages)
        for channel, permits in rooms.items():
            self._limits.give_back(channel, permits - claimed[channel])
        self._metrics.in_flight.set(len(self._running))
        parked = any(one.verdict is Verdict.PARKED for one in found.candidates)
        return len(found.messages), parked

    def _start(self, message: ClaimedMessage) -> None:
        channel = Channel(message.channel)
        self._metrics.claimed.labels(channel.label).inc()
        self._in_flight[message.org_id] += 1
        task = asyncio.create_task(self._attempt(message))
        self._running.add(task)
        task.add_done_callback(self._end_attempt)

    async def _pause(self, seconds: float) -> None:
        """Pause, but not beyond a stop."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def _asleep(self) -> bool:
        return self._asleep_until > time.monotonic()

    async def _stay_awake(self) -> None:
        """Take the request to be called back once the work goes on for a while."""
        now = time.monotonic()
        self._busy_since = min(self._busy_since, now)
        if self._asleep() and now - self._busy_since > _BUSY_S:
            self._asleep_until = float("-inf")
            await wake_up(self._pool, worker=self._rules.name)

    async def _sleep(self, rooms: Mapping[str, int]) -> None:
        """Wait for work, having asked to be called."""
        self._busy_since = float("inf")
        now = time.monotonic()
        wait = min([self._rules.poll_interval_s, self._limits.wait_s, *self._breaker_waits(now)])
        wait = min(wait, max(_CONTENTION_PAUSE_S, self._book.next_due_s(now, rooms)))
        if rooms and self._asleep_until < now + wait:
            asked = self._rules.poll_interval_s + wait
            await fall_asleep(self._pool, worker=self._rules.name, seconds=asked)
            self._asleep_until = now + asked
            # What was queued before the request could be seen called nobody.
            if self._book.needs_look(now):
                await self._look()
            else:
                self._book.suspect_news()
            if self._book.has_work(time.monotonic(), rooms):
                return
            wait = min(wait, SECOND_LOOK_S)
        await self._bell.wait(wait)

    def _breaker_waits(self, now: float) -> list[float]:
        waits = [breaker.wait_s(now) for breaker in self._breakers.values()]
        return [wait for wait in waits if wait > 0]

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
            _log.exception("attempt crashed", messageId=message.id, channel=message.channel)
            self._in_flight[message.org_id] -= 1
            return
        tell_attempt(message, attempted.settlement)
        await self._finished.put(attempted)

    async def _settle_forever(self) -> None:
        while True:
            batch = [await self._finished.get()]
            if self._running and not self._stopping.is_set():
                # A little later there are more to write in one go.
                await asyncio.sleep(_GATHER_S)
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
                self._settling_fails = False
                break
            except psycopg.Error as fault:
                if is_passing(fault):
                    self._settling_fails = True
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
        self._let_go(batch)
        await self._close_stories(batch, started, time.time_ns())

    def _let_go(self, batch: list[Attempted]) -> None:
        now = time.monotonic()
        for one in batch:
            org = one.message.org_id
            self._in_flight[org] -= 1
            if self._in_flight[org] <= 0:
                del self._in_flight[org]
            if one.settlement.outcome in _UNSENT:
                self._limits.give_back(one.message.channel, 1)
            if one.settlement.throttle_s is not None and one.message.channel == Channel.WHATSAPP:
                # The settlement wrote it down; until the next look has seen that, this does.
                rest = min(one.settlement.throttle_s, HOLD_S)
                self._book.hold(one.message.channel, org, rest, now)

    async def _close_stories(self, batch: list[Attempted], started: int, saved: int) -> None:
        self._metrics.last_settled.set(self._clock())
        async for one in in_turns(batch):
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
