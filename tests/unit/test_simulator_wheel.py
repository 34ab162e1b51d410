"""The timer wheel on a clock that only the test moves."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.simulator.wheel import TimerWheel

GRAIN = 0.002


class Loop:
    """The part of an event loop that a wheel uses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []
        self.complaints: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., None], *arguments: object) -> None:
        self.timers.append((when, callback, arguments))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(context)

    def run_until(self, end: float) -> None:
        for when, callback, arguments in sorted(self.timers, key=lambda timer: timer[0]):
            if when <= end:
                self.now = when
                callback(*arguments)
        self.timers = [timer for timer in self.timers if timer[0] > end]
        self.now = end


@pytest.fixture
def loop() -> Loop:
    return Loop()


def build(loop: Loop) -> TimerWheel:
    return TimerWheel(loop, GRAIN)  # type: ignore[arg-type] # only three methods are used


@given(delay=st.floats(min_value=0, max_value=600))
def test_a_call_comes_never_early_and_at_most_a_grain_late(delay: float) -> None:
    loop = Loop()
    called: list[float] = []
    build(loop).call_later(delay, lambda: called.append(loop.now))
    loop.run_until(1000.0)
    (at,) = called
    assert -1e-9 <= at - (100.0 + delay) <= GRAIN + 1e-9


def test_calls_that_fall_due_together_share_one_timer_and_keep_their_order(loop: Loop) -> None:
    wheel = build(loop)
    called: list[int] = []
    for number in range(5):
        wheel.call_later(0.0501 + number * 1e-6, partial(called.append, number))
    assert len(loop.timers) == 1
    loop.run_until(101.0)
    assert called == [0, 1, 2, 3, 4]


def test_a_call_that_fails_is_reported_and_keeps_no_other_from_its_turn(loop: Loop) -> None:
    wheel = build(loop)
    called: list[str] = []

    def fail() -> None:
        raise ValueError("broken")

    wheel.call_later(0.05, fail)
    wheel.call_later(0.05, lambda: called.append("next"))
    loop.run_until(101.0)
    assert called == ["next"]
    assert [str(each["exception"]) for each in loop.complaints] == ["broken"]


def test_a_stopped_wheel_calls_nothing(loop: Loop) -> None:
    wheel = build(loop)
    called: list[str] = []
    wheel.call_later(0.05, lambda: called.append("too late"))
    wheel.stop()
    loop.run_until(101.0)
    assert called == []
