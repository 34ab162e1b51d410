"""Meta's rate limits: what is admitted, what is refused with which code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.simulator import limits as limits_module
from outbound_slo.simulator.limits import LimitCode, Limits, Throttle

PAIR = Limits(pair_limit=True)


def admit(throttle: Throttle, times: list[float], recipient: str = "336") -> int:
    breaches = [throttle.find_breach("1065", recipient, now) for now in times]
    return breaches.count(None)


def test_without_limits_everything_is_admitted() -> None:
    assert admit(Throttle(Limits()), [1.0] * 1000) == 1000


def test_a_pair_may_borrow_45_and_the_next_is_131056() -> None:
    throttle = Throttle(PAIR)
    assert admit(throttle, [1000.0] * 45) == 45
    assert throttle.find_breach("1065", "336", 1000.0) is LimitCode.PAIR


def test_what_a_pair_borrowed_is_paid_back_one_in_six_seconds() -> None:
    throttle = Throttle(PAIR)
    admit(throttle, [1000.0] * 45)
    assert admit(throttle, [1005.9]) == 0
    assert admit(throttle, [1006.0, 1006.0]) == 1
    assert admit(throttle, [1006.0 + 45 * 6] * 46) == 45


def test_a_pair_is_a_number_and_a_recipient() -> None:
    throttle = Throttle(PAIR)
    admit(throttle, [1000.0] * 45)
    assert throttle.find_breach("1065", "337", 1000.0) is None
    assert throttle.find_breach("2076", "336", 1000.0) is None


def test_a_number_beyond_its_throughput_is_130429_whoever_the_recipient() -> None:
    throttle = Throttle(Limits(messages_per_second=80))
    taken = [throttle.find_breach("1065", str(number), 1000.0) for number in range(81)]
    assert taken == [None] * 80 + [LimitCode.THROUGHPUT]
    assert throttle.find_breach("1065", "x", 1000.0 + 1 / 80) is None


@given(
    gaps=st.lists(st.floats(min_value=0, max_value=30), max_size=200),
    burst=st.integers(min_value=1, max_value=10),
)
def test_never_more_than_the_burst_and_what_time_has_paid_back(
    gaps: list[float], burst: int
) -> None:
    throttle = Throttle(Limits(pair_limit=True, pair_burst=burst))
    now, admitted = 0.0, 0
    for gap in gaps:
        now += gap
        admitted += throttle.find_breach("1065", "336", now) is None
        assert admitted <= burst + now / 6 + 1e-6


def test_paid_back_pairs_are_forgotten_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "_CROWDED", 100)
    throttle = Throttle(PAIR)
    for number in range(250):
        throttle.find_breach("1065", str(number), number * 6.0)
    assert len(throttle._pairs.paid_back) <= 100
