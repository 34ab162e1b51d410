"""The worker: claims what is due, keeps attempts in flight, settles them in batches.

A claim that brought something is followed by the next as soon as there is room and the limits per
second let more go; when nothing is left the worker sleeps until the bell rings, something becomes
due or the poll interval is over (D20). A channel whose breaker is open is not claimed at all: its
messages wait in the queue.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
import structlog

from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel
from sender.attempt import Attempted, Attempter
from sender.bell import Bell
from sender.breaker import Breaker
from sender.faults import is_passing
from sender.flight import Flight
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
    wake_up,
)
from sender.settler import PAUSE_S, Settler
from tracing.setup import Tracing

_log = structlog.get_logger(component=WORKER)

SECOND_LOOK_S = 0.2
"""A transaction may have queued a message without calling, just before this sender slept."""

_UNSENT = frozenset({AttemptOutcome.DEFERRED, AttemptOutcome.REFUSED})
HOLD_S = 1.0
"""Seconds to leave an organisation's messages alone that has just been throttled."""

_BUSY_S = 0.25
_CONTENTION_PAUSE_S = 0.02
_GATHER_S = 0.005
_SEVERAL = 8  # With fewer in flight a result is written at once: receipts are on their heels.


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
        writing: Pool,
        attempter: Attempter,
        breakers: Mapping[Channel, Breaker],
        tracing: Tracing,
        metrics: SenderMetrics,
        bell: Bell,
        limits: Limits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Work on the channels that `breakers` has; results go through the pool `writing`."""
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
        self._flight = Flight(rules.concurrency, self._attempt, metrics.in_flight.set)
        self._stopping = asyncio.Event()
        self._claiming = False
        self._asleep_until = float("-inf")
        self._busy_since = float("inf")
        self._looked = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._missed_news = False
        self._settler = Settler(
            writing,
            tracing,
            metrics,
            self._let_go,
            lambda: self._flight.size >= _SEVERAL and not self._stopping.is_set(),
            rules.concurrency,
            clock,
        )

    def stop(self) -> None:
        """Claim no more; `run` returns when all in flight is settled, or `drain_s` is over."""
        self._stopping.set()
        self._flight.stir()
        self._bell.ring()

    def is_settling(self) -> bool:
        """Tell whether results are written as they come; false while the database takes none."""
        return self._settler.is_writing

    def is_claiming(self) -> bool:
        """Tell whether messages are taken: not while switched off, nor once it stops."""
        return self._claiming and not self._stopping.is_set()

    def in_flight(self) -> int:
        """Give the number of messages that are taken and not over."""
        return self._flight.size

    async def run(self, *, claiming: bool = True) -> None:
        """Work until `stop` is called, then settle what is in flight.

        Args:
            claiming: False only waits for `stop`: the worker is switched off.

        Raises:
            ExceptionGroup: Settling met something that it was not made for.

        """
        self._claiming = claiming
        settling = asyncio.create_task(self._settler.run())
        # A worker that can't write what became of its messages must not take more of them.
        settling.add_done_callback(lambda _: self.stop())
        try:
            if claiming:
                await self._claim_until_stopped()
            else:
                await self._stopping.wait()
            await self._drain()
        finally:
            for task in (settling, self._looking):
                if task is not None:
                    task.cancel()
        if settling.done() and not settling.cancelled():
            settling.result()

    async def _drain(self) -> None:
        """Let what is in flight end; what can't be written in time is found by the sweep."""
        try:
            async with asyncio.timeout(self._rules.drain_s):
                await self._flight.land()
                await self._settler.finish()
                await wake_up(self._pool, worker=self._rules.name)
        except TimeoutError:
            _log.error(
                "stopped with messages in flight; the recovery window will find them",
                attempts=self._flight.size,
                unsettled=self._settler.backlog,
            )
        except psycopg.Error as fault:
            _log.warning("could not sign off", error=type(fault).__name__)
        self._flight.abandon()

    async def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._take_turn()
            except psycopg.Error as fault:
                if not is_passing(fault):
                    raise
                _log.warning("claim failed, trying again", error=type(fault).__name__)
                await self._pause(PAUSE_S)

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
        await self._refresh_book(rooms)
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
            if self._flight.room >= quantum:
                return self._flight.room
            if self._flight.room == 0:
                await self._flight.wait_for_landing()
            else:
                await asyncio.sleep(_GATHER_S)
                return self._flight.room
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

    async def _refresh_book(self, rooms: Mapping[str, int]) -> None:
        """See that something is known to claim from; where it is, a look need not be waited for."""
        now = time.monotonic()
        has_work = self._book.has_work(now, rooms)
        if not self._book.needs_look(now):
            if not has_work:
                self._book.suspect_news()
                self._missed_news = True
        elif not has_work:
            await self._look()
        elif self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_aside())

    async def _look_aside(self) -> None:
        try:
            await self._look()
        except psycopg.Error as fault:
            _log.warning("look failed", error=type(fault).__name__)

    async def _look(self) -> None:
        channels = [channel.value for channel in self._breakers]
        asked = time.monotonic()
        self._missed_news = False
        states, took_s = await look_for_lanes(self._pool, channels)
        # Two may be under way: what the older one saw is no news.
        if asked > self._looked:
            self._looked = asked
            self._book.note_look(states, time.monotonic(), took_s, asked)

    async def _claim(self, rooms: Mapping[str, int]) -> tuple[int, bool]:
        """Claim once; gives how many messages came, and whether others were moved on."""
        started = time.monotonic()
        shares = self._book.plan(rooms, started, self._in_flight)
        held = {channel: self._book.held(channel, started) for channel in rooms}
        probe = [channel for channel in rooms if not self._book.knows_urgent(channel)]
        order = Order(rooms, shares, held, self._rules.strict_order, probe)
        found = await claim(
            self._pool, worker=self._rules.name, order=order, sampler=self._tracing.sampler
        )
        now = time.monotonic()
        self._book.note_claim(shares, found.candidates, now, now - started)
        if found.messages:
            _log.info(f"Processing {len(found.messages)} pending outbound messages")
        claimed = Counter(message.channel for message in found.messages)
        for channel, count in claimed.items():
            self._metrics.claimed.labels(Channel(channel).label).inc(count)
        self._in_flight.update(message.org_id for message in found.messages)
        self._flight.take(found.messages)
        for channel, permits in rooms.items():
            self._limits.give_back(channel, permits - claimed[channel])
        parked = any(one.verdict is Verdict.PARKED for one in found.candidates)
        return len(found.messages), parked

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
        if self._missed_news:
            # The bell may have told that a held lane is free, which only a look shows.
            wait = min(wait, self._book.next_look_s(now))
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
        self._settler.take(attempted)

    def _let_go(self, batch: Sequence[Attempted]) -> None:
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
