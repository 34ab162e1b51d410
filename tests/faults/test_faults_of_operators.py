"""Nothing is lost while a person resets messages in SQL."""

from tests.faults.judge import Verdict
from tests.faults.scenarios import operators

SCENARIOS = operators.SCENARIOS


def test_nothing_is_lost_and_every_duplicate_is_one_that_had_to_be_possible(
    verdict: Verdict,
) -> None:
    assert verdict.accepted >= verdict.messages > 0
    assert verdict.lost == 0
    assert verdict.duplicated <= verdict.marked
    assert [f"{one.fault.value}: {one.where}" for one in verdict.violations[:20]] == []
