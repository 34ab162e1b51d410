"""Whether a fault hits: rates, limits, order."""

import random

import pytest
from pydantic import ValidationError

from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.faults import (
    DropFault,
    ErrorFault,
    FaultBoard,
    FaultSet,
    LatencyFault,
    Verdict,
)

RECIPIENT = "+33612345678"
NUMBER = "106540352242922"


def board_with(*faults: ErrorFault | LatencyFault | DropFault) -> FaultBoard:
    board = FaultBoard()
    board.replace(FaultSet(faults=faults), now=100.0)
    return board


def judge(
    board: FaultBoard,
    *,
    provider: str = "meta",
    recipient: str | None = RECIPIENT,
    now: float = 100.0,
    rng: random.Random | None = None,
) -> Verdict:
    return board.judge(provider, recipient, NUMBER, now, rng or create_rng(1))


def test_without_faults_nothing_befalls_a_request() -> None:
    assert judge(FaultBoard()) == Verdict(0.0, None)


def test_a_rate_hits_its_share_of_requests() -> None:
    board = board_with(ErrorFault(kind="error", rate=0.3))
    rng = create_rng(5)
    hits = sum(judge(board, rng=rng).fault is not None for _ in range(2000))
    # 600 expected, standard deviation 20.5: five of them either way.
    assert 500 < hits < 700
    assert board.describe(100.0)[0]["hits"] == hits


def test_a_rate_of_zero_never_hits() -> None:
    board = board_with(ErrorFault(kind="error", rate=0))
    assert all(judge(board).fault is None for _ in range(100))


def test_a_fault_of_one_provider_leaves_the_others_alone() -> None:
    board = board_with(ErrorFault(kind="error", provider="twilio"))
    assert judge(board, provider="meta").fault is None
    assert judge(board, provider="twilio").fault is not None


@pytest.mark.parametrize("prefix", ["+336", "336"])
def test_a_recipient_prefix_matches_with_and_without_plus(prefix: str) -> None:
    board = board_with(ErrorFault(kind="error", recipient_prefix=prefix))
    assert judge(board, recipient="+33612345678").fault is not None
    assert judge(board, recipient="33612345678").fault is not None
    assert judge(board, recipient="+33712345678").fault is None


def test_an_unreadable_request_meets_only_faults_without_a_prefix() -> None:
    limited = ErrorFault(kind="error", recipient_prefix="33")
    assert judge(board_with(limited), recipient=None).fault is None
    assert judge(board_with(ErrorFault(kind="error")), recipient=None).fault is not None


def test_a_fault_of_one_business_number_leaves_the_others_alone() -> None:
    mine = ErrorFault(kind="error", provider="meta", phone_number_id=NUMBER)
    other = ErrorFault(kind="error", provider="meta", phone_number_id="1")
    assert judge(board_with(mine)).fault is mine
    assert judge(board_with(other)).fault is None


def test_a_fault_ends_after_its_seconds() -> None:
    board = board_with(ErrorFault(kind="error", for_seconds=10))
    assert judge(board, now=109.9).fault is not None
    assert judge(board, now=110.0).fault is None
    assert board.describe(110.0)[0]["active"] is False


def test_a_fault_ends_after_the_requests_it_hit() -> None:
    board = board_with(ErrorFault(kind="error", for_requests=2))
    assert [judge(board).fault is not None for _ in range(4)] == [True, True, False, False]


def test_latencies_add_up_before_the_fault_that_ends_the_request() -> None:
    fault = ErrorFault(kind="error")
    slow = LatencyFault(kind="latency", latency_ms=250)
    verdict = judge(board_with(slow, slow, fault))
    assert verdict == Verdict(0.5, fault)


def test_a_latency_spreads_upwards() -> None:
    board = board_with(LatencyFault(kind="latency", latency_ms=100, latency_spread_ms=400))
    rng = create_rng(3)
    drawn = [judge(board, rng=rng).extra_seconds for _ in range(200)]
    assert min(drawn) >= 0.1
    assert max(drawn) < 0.5
    assert max(drawn) - min(drawn) > 0.3


def test_the_first_fault_that_hits_wins() -> None:
    first, second = DropFault(kind="drop"), ErrorFault(kind="error")
    assert judge(board_with(first, second)).fault is first


def test_replacing_heals_what_was_before() -> None:
    board = board_with(ErrorFault(kind="error"))
    board.replace(FaultSet(faults=()), now=101.0)
    assert judge(board).fault is None


def test_the_same_seed_makes_the_same_decisions() -> None:
    def decide() -> list[bool]:
        board, rng = board_with(ErrorFault(kind="error", rate=0.5)), create_rng(9)
        return [judge(board, rng=rng).fault is not None for _ in range(50)]

    assert decide() == decide()


def test_a_business_number_needs_the_provider_that_has_them() -> None:
    with pytest.raises(ValidationError, match="needs provider meta"):
        ErrorFault(kind="error", provider="twilio", phone_number_id=NUMBER)
