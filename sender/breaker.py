"""A circuit breaker over a sliding window of calls, with resilience4j's states and words. Pure.

Runbook 000 describes it: it opens on the share of failed or of slow calls, fails fast while open
(60 s), then lets a few probes decide. The clock is passed in. Why it is our own, and where it
differs from resilience4j: docs/decisions/0004.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

TOO_FEW = -1.0
"""What a rate shows below the minimum of calls (resilience4j's convention)."""


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
        probes: Calls let through while half-open; they decide by the same two rates.
        probing_s: Seconds that the probes have to answer; one that is lost would otherwise keep
            the breaker half-open for good.

    """

    window: int = 100
    minimum_calls: int = 20
    failure_rate: float = 50.0
    slow_call_rate: float = 100.0
    slow_call_s: float = 5.0
    open_s: float = 60.0
    probes: int = 5
    probing_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call, to be recorded or released; it ends with the state that gave it."""

    era: int


@dataclass(frozen=True, slots=True)
class _Call:
    failed: bool
    slow: bool


class _Window:
    """The last calls, and how many of them were failed and slow."""

    def __init__(self, size: int) -> None:
        self._calls: deque[_Call] = deque(maxlen=size)
        self.failed = 0
        self.slow = 0

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: _Call) -> None:
        if len(self._calls) == self._calls.maxlen:
            oldest = self._calls[0]
            self.failed -= oldest.failed
            self.slow -= oldest.slow
        self._calls.append(call)
        self.failed += call.failed
        self.slow += call.slow


class Breaker:
    """One provider's breaker in one process; not shared between threads."""

    def __init__(self, policy: BreakerPolicy) -> None:
        """Start closed, with an empty window."""
        self.policy = policy
        self._calls = _Window(policy.window)
        self._state = BreakerState.CLOSED
        self._era = 0
        self._opened_at = 0.0
        # Since when some probe has been under way without a break; None while none is.
        self._probing_since: float | None = None
        self._probes_out = 0
        self._answers = _Window(policy.probes)

    def state(self, now: float) -> BreakerState:
        """Give the state; time alone ends an open spell, and a round whose probes are lost."""
        if (
            self._state is BreakerState.HALF_OPEN
            and self._probing_since is not None
            and now - self._probing_since >= self.policy.probing_s
        ):
            self._open(self._probing_since + self.policy.probing_s)
        if self._state is BreakerState.OPEN and now - self._opened_at >= self.policy.open_s:
            self._enter(BreakerState.HALF_OPEN)
            self._probing_since = None
            self._probes_out = 0
            self._answers = _Window(self.policy.probes)
        return self._state

    def failure_rate(self) -> float:
        """Percent of failed calls, -1 while there are too few; until it closes, what opened it."""
        return self._rate(self._calls.failed)

    def slow_call_rate(self) -> float:
        """Percent of slow calls, -1 while there are too few; until it closes, what opened it."""
        return self._rate(self._calls.slow)

    def buffered(self) -> tuple[int, int]:
        """Give the calls that the rates are taken over: failed ones, successful ones."""
        return self._calls.failed, len(self._calls) - self._calls.failed

    def capacity(self, now: float) -> int | None:
        """How many calls may start now: None for no limit, 0 while open."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return None
        if state is BreakerState.OPEN:
            return 0
        return max(0, self.policy.probes - self._probes_out)

    def admit(self, now: float) -> Permit | None:
        """Ask for one call: a permit to be recorded or released, or None."""
        capacity = self.capacity(now)
        if capacity == 0:
            return None
        if capacity is not None:
            if self._probes_out == len(self._answers):
                self._probing_since = now
            self._probes_out += 1
        return Permit(self._era)

    def release(self, permit: Permit) -> None:
        """Give a permit back whose call was never made, or says nothing of the provider."""
        if permit.era != self._era or self._state is not BreakerState.HALF_OPEN:
            return
        self._probes_out -= 1
        self._stop_waiting()

    def wait_s(self, now: float) -> float:
        """Seconds until an open breaker lets probes through; 0 in the other states."""
        if self.state(now) is not BreakerState.OPEN:
            return 0.0
        return self.policy.open_s - (now - self._opened_at)

    def record(self, permit: Permit, now: float, *, failed: bool, duration_s: float) -> None:
        """Note how a call went; one that was admitted in an earlier state says nothing new."""
        state = self.state(now)
        if permit.era != self._era:
            return
        call = _Call(failed, duration_s >= self.policy.slow_call_s)
        if state is BreakerState.HALF_OPEN:
            self._record_probe(now, call)
            return
        self._calls.add(call)
        if self._reaches(self.failure_rate(), self.slow_call_rate()):
            self._open(now)

    def _record_probe(self, now: float, call: _Call) -> None:
        self._answers.add(call)
        self._stop_waiting()
        # Of all probes, not of those that have answered: it opens as soon as the rest can't help.
        failed, slow = self._answers.failed, self._answers.slow
        probes = self.policy.probes
        if self._reaches(100.0 * failed / probes, 100.0 * slow / probes):
            self._open(now)
        elif len(self._answers) == probes:
            self._enter(BreakerState.CLOSED)
            self._calls = _Window(self.policy.window)

    def _stop_waiting(self) -> None:
        """Without a probe under way there is none to lose: an idle channel stays half-open."""
        if self._probes_out == len(self._answers):
            self._probing_since = None

    def _open(self, at: float) -> None:
        self._enter(BreakerState.OPEN)
        self._opened_at = at

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._era += 1

    def _rate(self, count: int) -> float:
        # A window smaller than the minimum would never open.
        if len(self._calls) < min(self.policy.minimum_calls, self.policy.window):
            return TOO_FEW
        return 100.0 * count / len(self._calls)

    def _reaches(self, failure_rate: float, slow_call_rate: float) -> bool:
        return (
            failure_rate >= self.policy.failure_rate or slow_call_rate >= self.policy.slow_call_rate
        )
