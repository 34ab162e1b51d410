from dataclasses import replace

import pytest

from outbound_slo.vocabulary.errors import Limit
from outbound_slo.vocabulary.statuses import Channel
from sender.rests import Rests
from tests.unit.test_sender_rules import GOOD


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


SAME = {
    "same": GOOD,
    "other recipient": replace(GOOD, to_recipient="+33612345670"),
    "other organisation": replace(GOOD, org_id="org-2", to_recipient="+33612345670"),
    "other number": replace(
        GOOD, org_id="org-2", to_recipient="+33612345670", phone_number_id="99"
    ),
    "other channel": replace(GOOD, channel=Channel.SMS.value),
}


@pytest.mark.parametrize(
    ("limit", "held"),
    [
        (Limit.RECIPIENT, {"same"}),
        (Limit.ORGANISATION, {"same", "other recipient"}),
        (Limit.NUMBER, {"same", "other recipient", "other organisation"}),
        (Limit.ACCOUNT, {"same", "other recipient", "other organisation", "other number"}),
    ],
)
def test_a_rest_holds_those_whose_rate_was_limited_and_nobody_else(
    limit: Limit, held: set[str]
) -> None:
    rests = Rests(_Clock())
    rests.note(GOOD, limit, 30.0)
    assert {name for name, message in SAME.items() if rests.find(message)} == held


def test_a_rest_ends_by_itself() -> None:
    clock = _Clock()
    rests = Rests(clock)
    assert rests.note(GOOD, Limit.ORGANISATION, 30.0) == 30.0
    clock.now += 29.0
    found = rests.find(GOOD)
    assert found is not None
    assert (found.limit, found.seconds) == (Limit.ORGANISATION, 1.0)
    clock.now += 1.0
    assert rests.find(GOOD) is None


def test_the_longest_of_several_rests_counts() -> None:
    rests = Rests(_Clock())
    rests.note(GOOD, Limit.ORGANISATION, 300.0)
    rests.note(GOOD, Limit.RECIPIENT, 16.0)
    found = rests.find(GOOD)
    assert found is not None
    assert found.limit is Limit.ORGANISATION


def test_ten_thousand_rests_are_remembered_and_the_oldest_forgotten() -> None:
    rests = Rests(_Clock())
    for number in range(10_001):
        rests.note(replace(GOOD, to_recipient=f"+336{number:08d}"), Limit.RECIPIENT, 30.0)
    assert rests.find(replace(GOOD, to_recipient="+33600000000")) is None
    assert rests.find(replace(GOOD, to_recipient="+33600010000")) is not None
