"""The courier: posts status updates and inbound messages when they are due, and tries again."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import aiohttp

from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.meta_webhooks import StatusUpdate
from outbound_slo.simulator.packing import Event, Packer, Parcel
from outbound_slo.simulator.sendgrid_events import MailEvent

TICK_SECONDS = 0.02
"""How finely due times are told apart: short against any latency that is judged here."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How often a POST that was not taken is repeated: after a wait that doubles each time.

    Meta goes on for seven days; a simulator that must end does not.
    """

    tries: int = 6
    first_seconds: float = 0.5
    longest_seconds: float = 8.0
    answer_seconds: float = 5.0

    def find_wait(self, tries: int) -> float | None:
        """Return the seconds to wait after so many tries, or None to give up."""
        if tries >= self.tries:
            return None
        return min(self.first_seconds * 2.0 ** (tries - 1), self.longest_seconds)


class Post(Protocol):
    """Post a parcel; return the HTTP status, or 0 if no answer came."""

    async def __call__(self, parcel: Parcel) -> int:
        """Send it."""


class Courier:
    """Holds events until they are due, then posts them, a bounded number at a time.

    `behaviour` may be replaced at any time and counts for what is posted from then on. Due times
    are kept by tick: a list for each costs less than a place in the order for every event.
    """

    def __init__(
        self,
        post: Post,
        packer: Packer,
        behaviour: Behaviour,
        persistence: Persistence,
        clock: Callable[[], float],
        *,
        at_once: int = 32,
    ) -> None:
        """Set up in a running loop; `clock` gives epoch seconds, `at_once` bounds the POSTs."""
        self.behaviour = behaviour
        self.counts: Counter[str] = Counter()
        self.packer = packer
        self.post = post
        self._persistence = persistence
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(at_once)
        self._ticks: dict[int, list[Event | Parcel]] = {}
        self._order: list[int] = []
        self._held = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._outstanding = 0

    @property
    def pending(self) -> int:
        """Events and repeats that wait for their time, and POSTs in flight."""
        return self._held + self._outstanding

    def schedule(self, event: Event, delay: float) -> None:
        """Post an event `delay` seconds from now."""
        if not self.packer.address.reaches(event):
            self.counts["without_address"] += 1
            return
        self.counts["scheduled"] += 1
        self._enter(event, delay)

    async def run(self) -> None:
        """Post what falls due until cancelled."""
        try:
            while True:
                await asyncio.sleep(self.behaviour.collect_ms / 1000)
                await self._post_due()
        finally:
            for task in self._tasks:
                task.cancel()

    async def flush(self, limit_seconds: float) -> int:
        """Make all that waits due at once, and wait until it is posted.

        A POST that is refused meanwhile keeps its back-off. Returns what is still pending after
        at most `limit_seconds`; while paused nothing goes.
        """
        now = self._clock()
        waiting = [item for tick in sorted(self._ticks) for item in self._ticks[tick]]
        self._ticks = {0: [_hasten(item, now) for item in waiting]}
        self._order = [0]
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                # Polled, not signalled: pausing must end the wait too, and it is no event.
                while self.pending and not self.behaviour.paused:
                    await self._post_due()
                    await asyncio.sleep(TICK_SECONDS)
        return self.pending

    def _enter(self, item: Event | Parcel, delay: float) -> None:
        tick = int((self._loop.time() + delay) / TICK_SECONDS) + 1
        held = self._ticks.get(tick)
        if held is None:
            self._ticks[tick] = [item]
            heapq.heappush(self._order, tick)
        else:
            held.append(item)
        self._held += 1

    def _take_due(self) -> list[Event | Parcel]:
        """Take what is due, in order."""
        now = int(self._loop.time() / TICK_SECONDS)
        taken: list[Event | Parcel] = []
        while self._order and self._order[0] <= now:
            taken += self._ticks.pop(heapq.heappop(self._order))
        self._held -= len(taken)
        return taken

    async def _post_due(self) -> None:
        if self.behaviour.paused:
            return
        taken = self._take_due()
        if not taken:
            return
        parcels = [item for item in taken if isinstance(item, Parcel)]
        events = [item for item in taken if not isinstance(item, Parcel)]
        parcels.extend(self.packer.pack(events, self.behaviour))
        self._outstanding += len(parcels)
        for parcel in parcels:
            await self._places.acquire()
            task = asyncio.create_task(self._deliver(parcel))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, parcel: Parcel) -> None:
        """Post one parcel; enter it again, later, if it was not taken."""
        try:
            status = await self.post(parcel)
            self.counts["posts"] += 1
            if parcel.is_taken(status):
                self.counts["delivered"] += parcel.events
                return
            self.counts["refused_posts"] += 1
            wait = self._persistence.find_wait(parcel.tries + 1)
            if wait is None:
                self.counts["abandoned"] += parcel.events
            else:
                self._enter(replace(parcel, tries=parcel.tries + 1), wait)
        finally:
            self._outstanding -= 1
            self._places.release()


def _hasten(item: Event | Parcel, now: float) -> Event | Parcel:
    """Let a status that is posted before its time say that it happened now."""
    if isinstance(item, StatusUpdate | MailEvent) and item.occurred_at > now:
        return item._replace(occurred_at=now)
    return item


def create_post(session: aiohttp.ClientSession, answer_seconds: float) -> Post:
    """Build the real poster over a client session."""
    timeout = aiohttp.ClientTimeout(total=answer_seconds)

    async def post(parcel: Parcel) -> int:
        try:
            async with session.post(
                parcel.url, data=parcel.body, headers=parcel.headers, timeout=timeout
            ) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    return post
