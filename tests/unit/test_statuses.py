from itertools import product

import pytest

from outbound_slo.states_page import PATH, build_states_page
from outbound_slo.vocabulary.statuses import (
    MOVES,
    OPERATOR_MOVES,
    TRANSITIONS,
    AttemptOutcome,
    MessageStatus,
    Mover,
    may_move,
)

PROGRESS = [
    MessageStatus.QUEUED,
    MessageStatus.SENDING,
    MessageStatus.SENT,
    MessageStatus.DELIVERED,
]


def test_every_status_has_its_moves() -> None:
    assert set(TRANSITIONS) == set(MessageStatus)


def test_nothing_goes_backwards_but_a_send_that_did_not_happen() -> None:
    for before, after in product(PROGRESS, PROGRESS):
        if PROGRESS.index(after) < PROGRESS.index(before):
            back_to_queue = (before, after) == (MessageStatus.SENDING, MessageStatus.QUEUED)
            assert may_move(before, after) is back_to_queue


def test_what_was_delivered_stays_delivered() -> None:
    assert not TRANSITIONS[MessageStatus.DELIVERED]


def test_only_a_late_receipt_brings_a_failed_message_back() -> None:
    back = {(move.mover, move.after) for move in MOVES if move.before is MessageStatus.FAILED}
    assert back == {
        (Mover.RECEIPT, MessageStatus.SENT),
        (Mover.RECEIPT, MessageStatus.DELIVERED),
    }


def test_only_the_claim_puts_a_message_in_flight() -> None:
    assert {move.mover for move in MOVES if move.after is MessageStatus.SENDING} == {Mover.CLAIM}


def test_each_arrow_of_each_mover_is_there_once_and_moves() -> None:
    arrows = [(move.mover, move.before, move.after) for move in (*MOVES, *OPERATOR_MOVES)]
    assert len(arrows) == len(set(arrows))
    assert all(before is not after for _, before, after in arrows)
    assert {mover for mover, *_ in arrows} == set(Mover)


def test_labels_are_lower_case() -> None:
    assert MessageStatus.QUEUED.label == "queued"


@pytest.mark.parametrize("move", [*MOVES, *OPERATOR_MOVES], ids=str)
def test_the_page_draws_and_lists_every_move(move: object) -> None:
    page = build_states_page()[PATH]
    [found] = [one for one in (*MOVES, *OPERATOR_MOVES) if one is move]
    [arrow] = [line for line in page.splitlines() if f"{found.before} --> {found.after}:" in line]
    assert found.mover in arrow
    assert f"| {found.mover} | {found.before} | {found.after} | {found.condition} |" in page


def test_the_page_explains_every_state_and_every_outcome() -> None:
    page = build_states_page()[PATH]
    for name in (*MessageStatus, *AttemptOutcome):
        assert f"\n| {name} | " in page
