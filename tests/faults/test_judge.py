"""The judge finds each thing that must not be, and nothing where all is well."""

from dataclasses import replace

import pytest

from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus
from tests.faults.evidence import find_crashes
from tests.faults.judge import (
    OPERATOR,
    Acceptance,
    AttemptRow,
    Evidence,
    Fault,
    MessageRow,
    OutcomeChange,
    StatusChange,
    judge,
)
from tests.faults.plan import Allowance

_S, _O = MessageStatus, AttemptOutcome
SENDER = "outbound-slo sender"

# Message 1 went out at once; message 2 was accepted by attempt 1, whose answer was lost, and again
# by attempt 2.
GOOD = Evidence(
    confirmed=frozenset({"a", "b"}),
    messages=(MessageRow(1, "a", _S.DELIVERED, None), MessageRow(2, "b", _S.SENT, None)),
    attempts=(
        AttemptRow(1, 1, _O.SENT, 200, possible_duplicate=False, survived=True),
        AttemptRow(2, 1, _O.UNKNOWN, None, possible_duplicate=True, survived=True),
        AttemptRow(2, 2, _O.SENT, 200, possible_duplicate=False, survived=True),
    ),
    status_changes=(
        StatusChange(1, _S.QUEUED, _S.SENDING, 1, SENDER),
        StatusChange(2, _S.QUEUED, _S.SENDING, 1, SENDER),
        StatusChange(1, _S.SENDING, _S.SENT, 1, SENDER),
        StatusChange(1, _S.SENT, _S.DELIVERED, 1, SENDER),
        StatusChange(2, _S.SENDING, _S.QUEUED, 1, SENDER),
        StatusChange(2, _S.QUEUED, _S.SENDING, 2, SENDER),
        StatusChange(2, _S.SENDING, _S.SENT, 2, SENDER),
    ),
    outcome_changes=(
        OutcomeChange(1, 1, _O.IN_FLIGHT, _O.SENT, marked=False),
        OutcomeChange(2, 1, _O.IN_FLIGHT, _O.UNKNOWN, marked=False),
        OutcomeChange(2, 2, _O.IN_FLIGHT, _O.SENT, marked=False),
    ),
    acceptances=(
        Acceptance(1, 1, answered=True),
        Acceptance(2, 1, answered=False),
        Acceptance(2, 2, answered=True),
    ),
)
FIRST, SECOND, THIRD = GOOD.attempts
STRICT = Allowance()


def _faults(evidence: Evidence, allowance: Allowance = STRICT) -> list[Fault]:
    return [violation.fault for violation in judge(evidence, allowance).violations]


def _with_attempt(number: int, attempt: AttemptRow) -> Evidence:
    attempts = [*GOOD.attempts]
    attempts[number] = attempt
    return replace(GOOD, attempts=tuple(attempts))


def _with_message(number: int, message: MessageRow) -> Evidence:
    messages = [*GOOD.messages]
    messages[number] = message
    return replace(GOOD, messages=tuple(messages))


def test_a_marked_duplicate_whose_answer_was_lost_is_counted_and_no_violation() -> None:
    verdict = judge(GOOD, STRICT)
    assert verdict.violations == ()
    assert (verdict.messages, verdict.accepted, verdict.lost) == (2, 3, 0)
    assert (verdict.duplicated, verdict.marked, verdict.unknown) == (1, 1, 1)


SENT_BACK = StatusChange(1, _S.DELIVERED, _S.QUEUED, 1, SENDER)
REWRITTEN = OutcomeChange(1, 1, _O.SENT, _O.FAILED, marked=False)
BAD = {
    "a confirmed message that is not stored": (
        replace(GOOD, confirmed=GOOD.confirmed | {"c"}),
        Fault.NOT_STORED,
    ),
    "a message that waits for ever": (
        _with_message(1, MessageRow(2, "b", _S.QUEUED, None)),
        Fault.UNFINISHED,
    ),
    "a message that is in flight for ever": (
        _with_message(1, MessageRow(2, "b", _S.SENDING, None)),
        Fault.UNFINISHED,
    ),
    "a message called sent that nobody has": (
        replace(GOOD, acceptances=GOOD.acceptances[1:]),
        Fault.NEVER_ACCEPTED,
    ),
    "a message that failed for our own troubles": (
        _with_message(1, MessageRow(2, "b", _S.FAILED, "outcome_unknown")),
        Fault.FAILED,
    ),
    "a duplicate whose first attempt is not marked": (
        _with_attempt(1, replace(SECOND, possible_duplicate=False)),
        Fault.UNMARKED_DUPLICATE,
    ),
    "an attempt that was accepted twice": (
        replace(GOOD, acceptances=(*GOOD.acceptances, GOOD.acceptances[2])),
        Fault.ATTEMPT_TWICE,
    ),
    "a mark on an attempt that had its answer": (
        _with_attempt(1, replace(SECOND, http_status=500)),
        Fault.KNOWN_YET_MARKED,
    ),
    "a status that went backwards": (
        replace(GOOD, status_changes=(*GOOD.status_changes, SENT_BACK)),
        Fault.BACKWARDS,
    ),
    "an outcome that was rewritten": (
        replace(GOOD, outcome_changes=(*GOOD.outcome_changes, REWRITTEN)),
        Fault.OUTCOME_REWRITTEN,
    ),
    "an attempt that nobody settled": (
        _with_attempt(0, replace(FIRST, outcome=_O.IN_FLIGHT)),
        Fault.ATTEMPT_LEFT,
    ),
    "two requests to one recipient at once": (replace(GOOD, overlaps=1), Fault.OVERLAP),
    "a sender that lingered": (replace(GOOD, endings=("sender-0 lingered",)), Fault.BAD_END),
    "a traceback": (replace(GOOD, crashes=("KeyError: 'x'",)), Fault.CRASH),
    "a false alarm about damage": (
        replace(GOOD, contradictions=("orphaned_attempts",)),
        Fault.FALSE_ALARM,
    ),
}


@pytest.mark.parametrize(("evidence", "fault"), BAD.values(), ids=BAD.keys())
def test_the_judge_finds(evidence: Evidence, fault: Fault) -> None:
    assert fault in _faults(evidence)


def test_an_attempt_swept_away_under_a_living_process_that_was_answered_is_found() -> None:
    swept = replace(GOOD.outcome_changes[1], marked=True)
    answered = replace(GOOD.acceptances[1], answered=True)
    evidence = replace(
        GOOD,
        outcome_changes=(GOOD.outcome_changes[0], swept, GOOD.outcome_changes[2]),
        acceptances=(GOOD.acceptances[0], answered, GOOD.acceptances[2]),
    )
    assert _faults(evidence) == [Fault.KNOWN_YET_MARKED]
    dead = tuple(replace(attempt, survived=False) for attempt in evidence.attempts)
    assert _faults(replace(evidence, attempts=dead)) == []


def test_one_lost_message_is_lost_once_however_often_it_was_found() -> None:
    waiting = _with_message(1, MessageRow(2, "b", _S.QUEUED, None))
    assert judge(waiting, STRICT).lost == 1
    assert judge(replace(waiting, confirmed=waiting.confirmed | {"c"}), STRICT).lost == 2


def test_what_an_operator_sends_again_is_no_duplicate_of_ours_and_no_move_backwards() -> None:
    reset = StatusChange(2, _S.SENT, _S.QUEUED, 1, OPERATOR)
    by_hand = replace(
        _with_attempt(1, AttemptRow(2, 1, _O.SENT, 200, possible_duplicate=False, survived=True)),
        status_changes=(*GOOD.status_changes, reset),
    )
    verdict = judge(by_hand, STRICT)
    assert verdict.violations == ()
    assert (verdict.duplicated, verdict.by_hand) == (0, 1)


def test_an_operator_may_bring_a_message_back_but_not_end_it() -> None:
    ended = StatusChange(1, _S.DELIVERED, _S.SENT, 1, OPERATOR)
    evidence = replace(GOOD, status_changes=(*GOOD.status_changes, ended))
    assert _faults(evidence) == [Fault.BACKWARDS]


def test_what_a_scenario_allows_is_let_pass() -> None:
    failed = replace(_with_message(1, MessageRow(2, "b", _S.FAILED, "131021")), overlaps=3)
    assert set(_faults(failed)) == {Fault.FAILED, Fault.OVERLAP}
    assert _faults(failed, Allowance(overlaps=True, failed_codes=frozenset({"131021"}))) == []


def test_a_repetition_is_a_violation_where_every_receipt_comes_in_the_end() -> None:
    assert _faults(GOOD) == []
    assert _faults(GOOD, Allowance(repetitions=False)) == [Fault.NOT_HELD]


def test_a_scenario_that_means_messages_to_go_again_says_so_if_none_did() -> None:
    assert judge(GOOD, STRICT, resends=True).violations == ()
    unmarked = [replace(attempt, possible_duplicate=False) for attempt in GOOD.attempts]
    found = judge(replace(GOOD, attempts=tuple(unmarked)), STRICT, resends=True).violations
    assert Fault.NEVER_RESENT in {violation.fault for violation in found}


def test_a_traceback_is_named_by_its_last_line() -> None:
    log = (
        "ready\nTraceback (most recent call last):\n"
        '  File "x.py", line 1, in <module>\n    boom()\nKeyError: 3\n'
    )
    assert find_crashes(log) == ["KeyError: 3"]
    assert find_crashes("all is well\n") == []
    group = "    | Traceback (most recent call last):\n    |   File x\n    | OSError: gone\nready\n"
    assert find_crashes(group) == ["OSError: gone"]
