from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outbound_slo.vocabulary.statuses import Channel
from sender.breaker import Breaker, BreakerPolicy, BreakerState, Permit
from sender.metrics import SenderMetrics

POLICY = BreakerPolicy(
    window=10, minimum_calls=4, open_s=60.0, probes=4, slow_call_s=5.0, probing_s=30.0
)


def _call(breaker: Breaker, now: float, *, failed: bool, duration_s: float = 0.1) -> None:
    permit = breaker.admit(now)
    assert permit is not None
    breaker.record(permit, now, failed=failed, duration_s=duration_s)


def _opened(now: float = 0.0, policy: BreakerPolicy = POLICY) -> Breaker:
    breaker = Breaker(policy)
    for _ in range(policy.minimum_calls):
        _call(breaker, now, failed=True)
    return breaker


def _admit(breaker: Breaker, now: float) -> Permit:
    permit = breaker.admit(now)
    assert permit is not None
    return permit


def test_it_stays_closed_below_the_minimum_of_calls() -> None:
    breaker = Breaker(POLICY)
    for _ in range(POLICY.minimum_calls - 1):
        _call(breaker, 0.0, failed=True)
    assert breaker.state(0.0) is BreakerState.CLOSED
    assert breaker.failure_rate() == -1.0


def test_a_minimum_above_the_window_counts_as_the_window() -> None:
    breaker = Breaker(BreakerPolicy(window=3, minimum_calls=20))
    for _ in range(3):
        _call(breaker, 0.0, failed=True)
    assert breaker.state(0.0) is BreakerState.OPEN


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


def test_calls_that_left_the_window_no_longer_count() -> None:
    breaker = Breaker(POLICY)
    for failed in (False, False, False, True):
        _call(breaker, 0.0, failed=failed, duration_s=9.0 if failed else 0.1)
    for _ in range(POLICY.window):
        _call(breaker, 0.0, failed=False)
    assert (breaker.failure_rate(), breaker.slow_call_rate()) == (0.0, 0.0)
    assert breaker.buffered() == (0, POLICY.window)


def test_while_open_it_admits_nothing_names_the_wait_and_shows_what_opened_it() -> None:
    breaker = _opened(now=100.0)
    assert breaker.admit(159.9) is None
    assert breaker.capacity(159.9) == 0
    assert abs(breaker.wait_s(130.0) - 30.0) < 1e-9
    assert breaker.failure_rate() == 100.0


def test_half_open_it_admits_just_the_probes() -> None:
    breaker = _opened()
    assert breaker.state(60.0) is BreakerState.HALF_OPEN
    admitted = [breaker.admit(60.0) is not None for _ in range(5)]
    assert admitted == [True, True, True, True, False]


def test_good_probes_close_it_with_an_empty_window() -> None:
    breaker = _opened()
    for _ in range(POLICY.probes):
        _call(breaker, 60.0, failed=False)
    assert breaker.state(60.0) is BreakerState.CLOSED
    assert breaker.failure_rate() == -1.0
    assert breaker.buffered() == (0, 0)


def test_it_opens_again_as_soon_as_the_other_probes_cannot_help() -> None:
    breaker = _opened()
    _call(breaker, 60.0, failed=True)
    assert breaker.state(60.0) is BreakerState.HALF_OPEN
    _call(breaker, 61.0, failed=True)
    assert breaker.state(120.9) is BreakerState.OPEN
    assert breaker.state(121.0) is BreakerState.HALF_OPEN


def test_slow_probes_do_not_close_it() -> None:
    breaker = _opened()
    for _ in range(POLICY.probes):
        _call(breaker, 60.0, failed=False, duration_s=8.0)
    assert breaker.state(60.0) is BreakerState.OPEN


def test_a_released_probe_makes_room_for_another() -> None:
    breaker = _opened()
    first, *_ = [_admit(breaker, 60.0) for _ in range(POLICY.probes)]
    assert breaker.admit(60.0) is None
    breaker.release(first)
    assert breaker.admit(60.0) is not None
    assert breaker.admit(60.0) is None


def test_answers_of_calls_from_before_it_opened_change_nothing() -> None:
    breaker = Breaker(POLICY)
    early = _admit(breaker, 0.0)
    for _ in range(POLICY.minimum_calls):
        _call(breaker, 0.0, failed=True)
    late = [early] * POLICY.probes
    breaker.record(early, 1.0, failed=False, duration_s=0.1)
    assert breaker.failure_rate() == 100.0
    # Half-open, such answers are no probes' answers either.
    assert breaker.state(60.0) is BreakerState.HALF_OPEN
    for permit in late:
        breaker.record(permit, 60.0, failed=False, duration_s=70.0)
    assert breaker.state(60.0) is BreakerState.HALF_OPEN
    assert breaker.capacity(60.0) == POLICY.probes


def test_lost_probes_open_it_again_instead_of_wedging_it() -> None:
    breaker = _opened()
    lost = _admit(breaker, 60.0)
    for _ in range(POLICY.probes - 1):
        _call(breaker, 60.0, failed=False)
    assert breaker.state(89.9) is BreakerState.HALF_OPEN
    assert breaker.admit(89.9) is None
    assert breaker.state(90.0) is BreakerState.OPEN
    assert breaker.state(150.0) is BreakerState.HALF_OPEN
    assert breaker.capacity(150.0) == POLICY.probes
    breaker.record(lost, 150.0, failed=False, duration_s=90.0)
    breaker.release(lost)
    assert breaker.capacity(150.0) == POLICY.probes


def test_without_traffic_it_waits_half_open_for_its_probes() -> None:
    breaker = _opened()
    _call(breaker, 60.0, failed=False)
    breaker.release(_admit(breaker, 61.0))
    assert breaker.state(1e6) is BreakerState.HALF_OPEN


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _shown(metrics: SenderMetrics) -> Callable[[str], float | None]:
    def show(name: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"name": "whatsapp"})

    return show


def test_the_page_is_current_when_only_time_has_passed() -> None:
    clock, metrics, breaker = _Clock(), SenderMetrics(), _opened()
    metrics.watch_breaker(Channel.WHATSAPP, breaker, clock)
    show = _shown(metrics)
    assert show("resilience4j_circuitbreaker_state") == 1.0
    assert show("resilience4j_circuitbreaker_failure_rate") == 100.0
    assert show("resilience4j_circuitbreaker_slow_call_rate") == 0.0
    clock.now = 60.0
    assert show("resilience4j_circuitbreaker_state") == 2.0


@pytest.mark.parametrize(("kind", "calls"), [("failed", 4.0), ("successful", 0.0)])
def test_the_page_shows_the_calls_behind_the_rates(kind: str, calls: float) -> None:
    metrics = SenderMetrics()
    metrics.watch_breaker(Channel.WHATSAPP, _opened(), _Clock())
    labels = {"name": "whatsapp", "kind": kind}
    found = metrics.registry.get_sample_value("resilience4j_circuitbreaker_buffered_calls", labels)
    assert found == calls


class BreakerLife(RuleBasedStateMachine):
    """Calls that are admitted, answered, released and forgotten in any order, at any pace."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now = 0.0
        self.out: list[Permit] = []
        self.opened_at: float | None = None

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        before = self.breaker.state(self.now)
        permit = self.breaker.admit(self.now)
        if before is BreakerState.CLOSED:
            assert permit is not None
        if before is BreakerState.OPEN:
            assert permit is None
        if permit is not None:
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), failed=st.booleans(), duration_s=st.sampled_from([0.1, 5.0]))
    def answer(self, data: st.DataObject, failed: bool, duration_s: float) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.breaker.record(permit, self.now, failed=failed, duration_s=duration_s)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.breaker.capacity(self.now)
        current = permit.era == self.breaker._era
        self.breaker.release(permit)
        if before is not None and current:
            assert self.breaker.capacity(self.now) == before + 1

    @precondition(lambda self: self.out)
    @rule()
    def lose(self) -> None:
        self.out.pop()

    @invariant()
    def open_only_for_its_time(self) -> None:
        state = self.breaker.state(self.now)
        wait = self.breaker.wait_s(self.now)
        assert 0.0 <= wait <= POLICY.open_s
        assert (wait > 0) == (state is BreakerState.OPEN)

    @invariant()
    def probes_are_bounded(self) -> None:
        state = self.breaker.state(self.now)
        current = [permit for permit in self.out if permit.era == self.breaker._era]
        if state is BreakerState.HALF_OPEN:
            capacity = self.breaker.capacity(self.now)
            assert capacity is not None
            assert len(current) + capacity <= POLICY.probes
        if state is BreakerState.OPEN:
            assert not current

    @invariant()
    def rates_are_shares_or_too_few(self) -> None:
        failed, successful = self.breaker.buffered()
        assert 0 <= failed + successful <= POLICY.window
        rate = self.breaker.failure_rate()
        if failed + successful < POLICY.minimum_calls:
            assert rate == -1.0
        else:
            assert rate == 100.0 * failed / (failed + successful)

    def teardown(self) -> None:
        # Whatever became of the probes, two quiet spells later good ones get through and close it.
        if self.breaker.state(self.now) is BreakerState.CLOSED:
            return
        # A second more each: a sum of floats may fall short of what was added.
        self.now += POLICY.probing_s + 1
        self.breaker.state(self.now)
        self.now += POLICY.open_s + 1
        for _ in range(POLICY.probes):
            permit = self.breaker.admit(self.now)
            if permit is not None:
                self.breaker.record(permit, self.now, failed=False, duration_s=0.1)
        assert self.breaker.state(self.now) is BreakerState.CLOSED


TestBreakerLife = BreakerLife.TestCase
TestBreakerLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 90)), max_size=80))
def test_it_is_never_open_longer_than_its_time(calls: list[tuple[bool, float]]) -> None:
    breaker = Breaker(POLICY)
    now = 0.0
    for failed, pause in calls:
        now += pause
        permit = breaker.admit(now)
        if permit is not None:
            breaker.record(permit, now, failed=failed, duration_s=0.1)
        assert 0.0 <= breaker.wait_s(now) <= POLICY.open_s
        assert (breaker.wait_s(now) > 0) == (breaker.state(now) is BreakerState.OPEN)
