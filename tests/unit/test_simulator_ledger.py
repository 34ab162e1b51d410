"""The ledger: what was taken, what was taken twice."""

from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.simulator.ledger import Acceptance, CountingLedger, Ledger


def taken(message_id: str = "wamid.1", *, attempt: str = "1", answered: bool = True) -> Acceptance:
    return Acceptance("meta", message_id, "+33612345678", attempt, 0.9, 1.0, answered)


def test_a_message_taken_twice_is_a_duplicate() -> None:
    ledger = Ledger()
    ledger.record("41", taken("wamid.1"))
    ledger.record("42", taken("wamid.2"))
    ledger.record("41", taken("wamid.3", attempt="2"))
    assert ledger.summarise()["duplicates"] == 1
    assert [each.attempt for each in ledger.find_duplicates()["41"]] == ["1", "2"]
    assert [each.message_id for each in ledger.find("41")] == ["wamid.1", "wamid.3"]


def test_three_times_is_two_too_many() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.record("41", taken())
    summary = ledger.summarise()
    assert (summary["duplicates"], summary["duplicated_messages"]) == (2, 1)
    assert (summary["accepted"], summary["messages"]) == (3, 1)


def test_messages_without_a_reference_are_counted_but_never_duplicates() -> None:
    ledger = Ledger()
    ledger.record(None, taken())
    ledger.record(None, taken())
    summary = ledger.summarise()
    assert (summary["accepted"], summary["unreferenced"], summary["duplicates"]) == (2, 2, 0)


def test_withheld_answers_are_counted() -> None:
    ledger = Ledger()
    ledger.record("41", taken(answered=False))
    assert ledger.summarise()["unanswered"] == 1


def test_beyond_its_limit_the_oldest_message_is_forgotten_and_said_so() -> None:
    ledger = Ledger(limit=2)
    for name in ("1", "2", "3"):
        ledger.record(name, taken())
    assert list(ledger.list_messages()) == ["2", "3"]
    summary = ledger.summarise()
    assert (summary["forgotten"], summary["accepted"]) == (1, 3)


def test_clearing_starts_anew() -> None:
    ledger = Ledger()
    ledger.record("41", taken())
    ledger.clear()
    assert ledger.find("41") == []
    assert ledger.summarise()["accepted"] == 0


SHORT = st.sampled_from(["0", "1", "2", "4095", "4096", "999999999999999"])
OTHER = st.sampled_from(["", "01", "-1", "٣", "abc", "1" * 16, "1.0"])


@given(messages=st.lists(SHORT | OTHER, max_size=60))
def test_a_counting_ledger_counts_what_a_full_one_does(messages: list[str]) -> None:
    full, counting = Ledger(), CountingLedger()
    for number, message in enumerate(messages):
        for ledger in (full, counting):
            ledger.record(message, taken(f"wamid.{number}"))
    assert counting.summarise() == full.summarise()
    assert {each: counting.count(each) for each in messages} == {
        each: full.count(each) for each in messages
    }
    assert {message: again[1:] for message, again in full.find_duplicates().items()} == (
        counting.find_duplicates()
    )


def test_a_counting_ledger_keeps_what_came_after_the_first_acceptance() -> None:
    ledger = CountingLedger()
    for attempt in ("1", "2", "3"):
        ledger.record("41", taken(attempt=attempt))
    assert [each.attempt for each in ledger.find("41")] == ["2", "3"]
    assert ledger.list_messages() == {}


def test_a_counting_ledger_needs_a_byte_for_a_message_of_a_dense_range() -> None:
    ledger = CountingLedger()
    for number in range(100_000):
        ledger.record(str(number), taken())
    assert sum(len(page) for page in ledger._pages.values()) <= 100_000 + 4096
    assert ledger._others == {}


def test_a_counting_ledger_says_255_for_more_and_counts_the_duplicates_exactly() -> None:
    ledger = CountingLedger()
    for _ in range(300):
        ledger.record("41", taken())
    assert ledger.count("41") == 255
    assert ledger.summarise()["duplicates"] == 299
    ledger.clear()
    assert (ledger.count("41"), ledger.summarise()["messages"]) == (0, 0)


def test_a_forgotten_duplicate_is_no_longer_counted() -> None:
    ledger = Ledger(limit=1)
    ledger.record("41", taken())
    ledger.record("41", taken())
    ledger.record("42", taken())
    summary = ledger.summarise()
    assert (summary["duplicates"], summary["duplicated_messages"], summary["accepted"]) == (0, 0, 3)
