"""Throughput limits: how many messages a channel may send a second. Pure, but for whom it asks.

A claim asks once for the permits of all its channels, claims no more than were granted and puts
back what was not used. Permits come from a token bucket per channel: in this process, or in Redis,
where all senders share it (`sender.shared_limits`).
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

BURST_S = 0.1
"""Seconds' worth of permits that a bucket holds: in no second do more than 1.1 times the limit go.
Meta counts messages per second and does not say over which window."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Messages per second, more than 0."""

    per_second: float

    @property
    def burst(self) -> float:
        """Most permits that may be taken at once."""
        return max(1.0, self.per_second * BURST_S)

    @property
    def grain(self) -> int:
        """Fewest permits worth a claim, unless fewer are wanted."""
        return max(1, math.floor(self.burst / 2))

    def split(self, parts: int) -> "Limit":
        """Give one of so many equal parts."""
        return Limit(self.per_second / parts)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of one bucket: permits wanted, and unused ones that are put back."""

    wanted: int
    returned: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What a bucket gives: permits or, where there are none, the seconds until there are some."""

    permits: int
    wait_s: float = 0.0


class Bucket:
    """A token bucket: up to any moment it has given at most `burst + per_second * time`."""

    def __init__(self, limit: Limit, now: float, level: float | None = None) -> None:
        """Hold `level` permits at `now` (seconds), or as many as fit."""
        self._limit = limit
        self._level = limit.burst if level is None else level
        self._at = now

    def take(self, wish: Wish, now: float) -> Grant:
        """Put back and take permits; a clock that goes back adds none."""
        gained = max(0.0, now - self._at) * self._limit.per_second
        self._level = min(self._limit.burst, self._level + gained + wish.returned)
        self._at = now
        if wish.wanted <= 0:
            return Grant(0)
        least = min(wish.wanted, self._limit.grain)
        if self._level < least:
            # Rounded up to milliseconds, as Redis does: a wait of nearly nothing helps nobody.
            missing = (least - self._level) / self._limit.per_second
            return Grant(0, math.ceil(missing * 1000) / 1000)
        permits = min(wish.wanted, math.floor(self._level))
        self._level -= permits
        return Grant(permits)


class Store(Protocol):
    """Where the buckets are."""

    async def ask(self, wishes: Mapping[str, Wish]) -> Mapping[str, Grant]:
        """Ask the buckets of several channels; never raises for want of an answer."""

    async def watch(self) -> None:
        """Keep an eye on the store until cancelled."""

    async def close(self) -> None:
        """Let go of what is open."""


class LocalBuckets:
    """The buckets of one process alone."""

    def __init__(self, limits: Mapping[str, Limit], clock: Callable[[], float]) -> None:
        """Fill a bucket per channel; `clock` gives seconds that do not go back."""
        self._limits = limits
        self._clock = clock
        self._buckets = {channel: Bucket(limit, clock()) for channel, limit in limits.items()}

    def start_over(self, senders: int) -> None:
        """Empty the buckets, and fill them from now on with one of `senders` equal shares."""
        self._buckets = {
            channel: Bucket(limit.split(senders), self._clock(), 0.0)
            for channel, limit in self._limits.items()
        }

    def take(self, wishes: Mapping[str, Wish]) -> dict[str, Grant]:
        """Take from the buckets of several channels."""
        now = self._clock()
        return {channel: self._buckets[channel].take(wish, now) for channel, wish in wishes.items()}

    async def ask(self, wishes: Mapping[str, Wish]) -> Mapping[str, Grant]:
        """Take; there is nobody to wait for."""
        return self.take(wishes)

    async def watch(self) -> None:
        """Return at once: what is in this process can't go away."""

    async def close(self) -> None:
        """Do nothing."""


class Limits:
    """What the worker asks before each claim."""

    def __init__(
        self, limits: Mapping[str, Limit], store: Store, on_wait: Callable[[str], None]
    ) -> None:
        """Limit the channels named; all others may send as they like.

        Args:
            limits: Limit per channel.
            store: Their buckets.
            on_wait: Called with each channel that has to wait.

        """
        self._limits = limits
        self._store = store
        self._on_wait = on_wait
        self._unused: Counter[str] = Counter()
        self._wait_s = math.inf

    @property
    def wait_s(self) -> float:
        """Seconds until something may go that the last `take` withheld; infinity if nothing was."""
        return self._wait_s

    async def take(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Give how many of the messages wanted may go, per channel that may send any."""
        wishes = {
            channel: Wish(number, self._unused.pop(channel, 0))
            for channel, number in wanted.items()
            if channel in self._limits
        }
        grants = await self._store.ask(wishes) if wishes else {}
        waits = {channel: grant.wait_s for channel, grant in grants.items() if grant.permits == 0}
        for channel in waits:
            self._on_wait(channel)
        self._wait_s = min(waits.values(), default=math.inf)
        allowed = {
            channel: grants[channel].permits if channel in grants else number
            for channel, number in wanted.items()
        }
        return {channel: number for channel, number in allowed.items() if number > 0}

    def give_back(self, channel: str, permits: int) -> None:
        """Put back permits that no message used; they go with the next question."""
        if channel in self._limits and permits > 0:
            self._unused[channel] += permits

    async def flush(self) -> None:
        """Put back what is unused now, before a longer wait: other senders may need it."""
        wishes = {channel: Wish(0, number) for channel, number in self._unused.items()}
        self._unused.clear()
        if wishes:
            await self._store.ask(wishes)

    async def watch(self) -> None:
        """Keep an eye on the store until cancelled."""
        await self._store.watch()

    async def close(self) -> None:
        """Let go of what is open."""
        await self._store.close()
