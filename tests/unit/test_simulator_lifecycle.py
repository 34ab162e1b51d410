"""The statuses that follow an acceptance: which, when, in what order."""

import pytest

from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.lifecycle import Behaviour, Step, plan_life

CALM = Behaviour(delivery_ms=1000, read_rate=0, batch_rate=0)


def plan(*, is_readable: bool = True, seed: int = 1, **changes: object) -> tuple[Step, ...]:
    behaviour = CALM.model_copy(update=changes)
    return plan_life(behaviour, create_rng(seed), is_readable=is_readable)


def names(steps: tuple[Step, ...]) -> list[str]:
    return [step.status for step in steps]


@pytest.mark.parametrize("seed", range(20))
def test_a_calm_life_is_sent_then_delivered_then_read(seed: int) -> None:
    steps = plan(read_rate=1.0, seed=seed)
    assert names(steps) == ["sent", "delivered", "read"]
    assert all(step.due == step.occurred for step in steps)
    times = [step.due for step in steps]
    assert times == sorted(times)
    assert 0.5 <= steps[1].due <= 1.5


def test_what_cannot_be_read_is_never_read() -> None:
    assert names(plan(read_rate=1.0, is_readable=False)) == ["sent", "delivered"]


def test_a_message_read_at_once_skips_delivered() -> None:
    assert names(plan(read_rate=1.0, read_at_once_rate=1.0)) == ["sent", "read"]


def test_a_message_never_delivered_ends_with_sent() -> None:
    assert names(plan(never_delivered_rate=1.0, read_rate=1.0)) == ["sent"]


def test_a_silent_message_says_nothing() -> None:
    assert plan(silent_rate=1.0) == ()


def test_a_failed_message_only_fails() -> None:
    assert names(plan(failed_rate=1.0, read_rate=1.0)) == ["failed"]


def test_late_statuses_keep_the_time_at_which_they_happened() -> None:
    calm, late = plan(), plan(late_rate=1.0, late_ms=9000.0)
    assert [step.occurred for step in late] == [step.occurred for step in calm]
    assert [step.due - step.occurred for step in late] == pytest.approx([9.0, 9.0])


def test_each_status_comes_twice_when_all_are_duplicated() -> None:
    steps = plan(duplicate_rate=1.0)
    assert sorted(names(steps)) == ["delivered", "delivered", "sent", "sent"]
    assert [step.due for step in steps] == sorted(step.due for step in steps)
    assert len({(step.status, step.occurred) for step in steps}) == 2


@pytest.mark.parametrize("seed", range(20))
def test_out_of_order_posts_delivered_before_sent(seed: int) -> None:
    steps = plan(out_of_order_rate=1.0, seed=seed)
    assert names(steps) == ["delivered", "sent"]
    assert steps[0].occurred > steps[1].occurred


def test_rates_are_shares_of_the_messages() -> None:
    behaviour = CALM.model_copy(update={"never_delivered_rate": 0.25})
    rng = create_rng(4)
    lives = [plan_life(behaviour, rng, is_readable=True) for _ in range(2000)]
    # 500 expected, standard deviation 19.4: five of them either way.
    assert 400 < sum(len(life) == 1 for life in lives) < 600


def test_the_same_seed_makes_the_same_life() -> None:
    first, second = (
        plan(seed=11, read_rate=0.5, late_rate=0.5, duplicate_rate=0.5) for _ in range(2)
    )
    assert first == second
