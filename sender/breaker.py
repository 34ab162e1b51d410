"""A circuit breaker over a sliding window of calls, with resilience4j's states and words. Pure.

Runbook 000 describes it: it opens on the share of failed or of slow calls, fails fast while open
(60 s), then lets a few probes decide. The clock is passed in. Libraries looked at (pybreaker,
circuitbreaker, aiobreaker) count consecutive failures and know neither a rate nor slow calls.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum


class BreakerState(IntEnum):
    """States with the numbers that 000's dashboard maps."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to open and when to close.

    Attributes:
        window: Calls that the rates are taken over.
        minimum_calls: Below this number of calls the breaker stays closed.
        failure_rate: Percent of failed calls that opens it.
        slow_call_rate: Percent of slow calls that opens it.
        slow_call_s: A call is slow from this many seconds.
        open_s: Seconds to stay open before probing.
        probes: Calls let through while half-open; all must have answered before it decides.

    """

    window: int = 100
    minimum_calls: int = 20
    failure_rate: float = 50.0
    slow_call_rate: float = 100.0
    slow_call_s: float = 5.0
    open_s: float = 60.0
    probes: int = 5


@dataclass(frozen=True, slots=True)
class _Call:
    failed: bool
    slow: bool


class Breaker:
    """One provider's breaker in one process; not shared between threads."""

    def __init__(self, policy: BreakerPolicy) -> None:
        """Start closed, with an empty window."""
        self.policy = policy
        self._calls: deque[_Call] = deque(maxlen=policy.window)
        self._state = BreakerState.CLOSED
        self._opened_at = 0.0
        self._probes_out = 0
        self._probe_results: list[_Call] = []

    def state(self, now: float) -> BreakerState:
        """Give the state; an open breaker turns half-open when its time is over."""
        if self._state is BreakerState.OPEN and now - self._opened_at >= self.policy.open_s:
            self._state = BreakerState.HALF_OPEN
            self._probes_out = 0
            self._probe_results = []
        return self._state

    def failure_rate(self) -> float:
        """Percent of failed calls; -1 while there are too few (resilience4j's convention)."""
        return self._rate(sum(call.failed for call in self._calls))

    def slow_call_rate(self) -> float:
        """Percent of slow calls; -1 while there are too few."""
        return self._rate(sum(call.slow for call in self._calls))

    def capacity(self, now: float) -> int | None:
        """How many calls may start now: None for no limit, 0 while open."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return None
        if state is BreakerState.OPEN:
            return 0
        return max(0, self.policy.probes - self._probes_out)

    def admit(self, now: float) -> bool:
        """Ask for one call; a call that was admitted has to be recorded or released."""
        capacity = self.capacity(now)
        if capacity is None:
            return True
        if capacity == 0:
            return False
        self._probes_out += 1
        return True

    def release(self) -> None:
        """Give an admitted call back that was never made."""
        if self._state is BreakerState.HALF_OPEN and self._probes_out > len(self._probe_results):
            self._probes_out -= 1

    def wait_s(self, now: float) -> float:
        """Seconds until an open breaker lets probes through; 0 in the other states."""
        if self.state(now) is not BreakerState.OPEN:
            return 0.0
        return self.policy.open_s - (now - self._opened_at)

    def record(self, now: float, *, failed: bool, duration_s: float) -> None:
        """Note how an admitted call went."""
        call = _Call(failed, duration_s >= self.policy.slow_call_s)
        state = self.state(now)
        if state is BreakerState.OPEN:
            # Calls that were under way when it opened say nothing new.
            return
        if state is BreakerState.HALF_OPEN:
            self._record_probe(now, call)
            return
        self._calls.append(call)
        if self._too_bad():
            self._open(now)

    def _record_probe(self, now: float, call: _Call) -> None:
        self._probe_results.append(call)
        if len(self._probe_results) < self.policy.probes:
            return
        failed = 100.0 * sum(c.failed for c in self._probe_results) / len(self._probe_results)
        slow = 100.0 * sum(c.slow for c in self._probe_results) / len(self._probe_results)
        if failed >= self.policy.failure_rate or slow >= self.policy.slow_call_rate:
            self._calls.extend(self._probe_results)
            self._open(now)
        else:
            self._calls.clear()
            self._state = BreakerState.CLOSED

    def _open(self, now: float) -> None:
        self._state = BreakerState.OPEN
        self._opened_at = now

    def _rate(self, count: int) -> float:
        if len(self._calls) < self.policy.minimum_calls:
            return -1.0
        return 100.0 * count / len(self._calls)

    def _too_bad(self) -> bool:
        return (
            self.failure_rate() >= self.policy.failure_rate
            or self.slow_call_rate() >= self.policy.slow_call_rate
        )
