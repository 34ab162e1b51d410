from hypothesis import given
from hypothesis import strategies as st

from sender.breaker import Breaker, BreakerPolicy, BreakerState

POLICY = BreakerPolicy(window=10, minimum_calls=4, open_s=60.0, probes=2, slow_call_s=5.0)


def _call(breaker: Breaker, now: float, *, failed: bool, duration_s: float = 0.1) -> None:
    assert breaker.admit(now)
    breaker.record(now, failed=failed, duration_s=duration_s)


def _opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(POLICY.minimum_calls):
        _call(breaker, now, failed=True)
    return breaker


def test_it_stays_closed_below_the_minimum_of_calls() -> None:
    breaker = Breaker(POLICY)
    for _ in range(POLICY.minimum_calls - 1):
        _call(breaker, 0.0, failed=True)
    assert breaker.state(0.0) is BreakerState.CLOSED
    assert breaker.failure_rate() == -1.0


def test_it_opens_at_the_failure_rate_and_not_below() -> None:
    below = Breaker(POLICY)
    for failed in (False, False, False, True, False, True):
        _call(below, 0.0, failed=failed)
    assert below.state(0.0) is BreakerState.CLOSED
    at = Breaker(POLICY)
    for failed in (False, False, True, True):
        _call(at, 0.0, failed=failed)
    assert at.failure_rate() == 50.0
    assert at.state(0.0) is BreakerState.OPEN


def test_slow_calls_open_it_without_one_failure() -> None:
    breaker = Breaker(POLICY)
    for _ in range(POLICY.minimum_calls):
        _call(breaker, 0.0, failed=False, duration_s=5.0)
    assert breaker.slow_call_rate() == 100.0
    assert breaker.state(0.0) is BreakerState.OPEN


def test_while_open_it_admits_nothing_and_names_the_wait() -> None:
    breaker = _opened(now=100.0)
    assert not breaker.admit(159.9)
    assert breaker.capacity(159.9) == 0
    assert abs(breaker.wait_s(130.0) - 30.0) < 1e-9


def test_half_open_it_admits_just_the_probes() -> None:
    breaker = _opened()
    assert breaker.state(60.0) is BreakerState.HALF_OPEN
    assert [breaker.admit(60.0) for _ in range(3)] == [True, True, False]


def test_good_probes_close_it_with_an_empty_window() -> None:
    breaker = _opened()
    for _ in range(POLICY.probes):
        _call(breaker, 60.0, failed=False)
    assert breaker.state(60.0) is BreakerState.CLOSED
    assert breaker.failure_rate() == -1.0


def test_failed_probes_open_it_for_another_round() -> None:
    breaker = _opened()
    for _ in range(POLICY.probes):
        _call(breaker, 60.0, failed=True)
    assert breaker.state(119.9) is BreakerState.OPEN
    assert breaker.state(120.0) is BreakerState.HALF_OPEN


def test_a_released_probe_makes_room_for_another() -> None:
    breaker = _opened()
    assert breaker.admit(60.0)
    assert breaker.admit(60.0)
    breaker.release()
    assert breaker.admit(60.0)


def test_answers_of_calls_from_before_it_opened_change_nothing() -> None:
    breaker = _opened(now=0.0)
    breaker.record(1.0, failed=False, duration_s=0.1)
    assert breaker.state(1.0) is BreakerState.OPEN
    assert breaker.failure_rate() == 100.0


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 90)), max_size=80))
def test_it_is_never_open_longer_than_its_time(calls: list[tuple[bool, float]]) -> None:
    breaker = Breaker(POLICY)
    now = 0.0
    for failed, pause in calls:
        now += pause
        if breaker.admit(now):
            breaker.record(now, failed=failed, duration_s=0.1)
        assert 0.0 <= breaker.wait_s(now) <= POLICY.open_s
        assert (breaker.wait_s(now) > 0) == (breaker.state(now) is BreakerState.OPEN)
