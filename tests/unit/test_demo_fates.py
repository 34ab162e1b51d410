import pytest

from outbound_slo.demo.fates import Fate, Loss, OutboxRow, Reckoning, reckon
from outbound_slo.vocabulary.statuses import MessageStatus as S

PASSING = {"131016"}


def count(*rows: OutboxRow, queued: set[int], accepted: dict[str, int]) -> Reckoning:
    return reckon(queued, {row.id: row for row in rows}, accepted, PASSING)


def test_messages_that_both_sides_know_as_sent_are_neither_lost_nor_twice() -> None:
    found = count(
        OutboxRow(1, S.DELIVERED, None, True),
        OutboxRow(2, S.SENT, None, True),
        queued={1, 2},
        accepted={"1": 1, "2": 1},
    )
    assert found.queued == 2
    assert found.fates == {Fate.DELIVERED: 1, Fate.SENT: 1, Fate.REFUSED: 0, Fate.LOST: 0}
    assert not found.lost
    assert not found.twice
    assert not found.strangers


@pytest.mark.parametrize(
    ("row", "accepted", "loss"),
    [
        (None, {}, Loss.NO_ROW),
        (OutboxRow(1, S.QUEUED, "131016", False), {}, Loss.UNFINISHED),
        (OutboxRow(1, S.SENDING, None, False), {"1": 1}, Loss.UNFINISHED),
        (OutboxRow(1, S.FAILED, "131016", False), {}, Loss.EATEN),
        (OutboxRow(1, S.SENT, None, True), {}, Loss.NOT_AT_PROVIDER),
        (OutboxRow(1, S.DELIVERED, None, True), {}, Loss.NOT_AT_PROVIDER),
        (OutboxRow(1, S.FAILED, "131021", False), {"1": 1}, Loss.UNRECORDED),
    ],
)
def test_every_way_to_lose_a_message_is_told_apart(
    row: OutboxRow | None, accepted: dict[str, int], loss: Loss
) -> None:
    rows = (row,) if row else ()
    found = count(*rows, queued={1}, accepted=accepted)
    assert [(lost.id, lost.loss) for lost in found.lost] == [(1, loss)]
    assert found.fates[Fate.LOST] == 1


@pytest.mark.parametrize(
    ("row", "accepted"),
    [
        # Refused by a rule of ours, or by the provider for a reason that stays.
        (OutboxRow(1, S.FAILED, "opted_out", False), {}),
        (OutboxRow(1, S.FAILED, "131021", False), {}),
        # Taken by the provider and failed afterwards, as its webhook said.
        (OutboxRow(1, S.FAILED, "131016", True), {"1": 1}),
    ],
)
def test_a_message_refused_for_good_is_not_lost(row: OutboxRow, accepted: dict[str, int]) -> None:
    found = count(row, queued={1}, accepted=accepted)
    assert not found.lost
    assert found.fates[Fate.REFUSED] == 1


def test_a_message_that_the_provider_took_twice_is_counted_with_its_times() -> None:
    found = count(
        OutboxRow(1, S.DELIVERED, None, True),
        OutboxRow(2, S.DELIVERED, None, True),
        queued={1, 2},
        accepted={"1": 2, "2": 1},
    )
    assert found.twice == {1: 2}


def test_what_the_provider_has_and_nobody_queued_is_a_stranger() -> None:
    found = count(
        OutboxRow(1, S.DELIVERED, None, True), queued={1}, accepted={"1": 1, "99": 1, "x": 2}
    )
    assert found.strangers == ["99", "x"]
