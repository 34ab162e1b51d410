"""The ledger: what was taken, what was taken twice."""

from outbound_slo.simulator.ledger import Acceptance, Ledger


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
