"""The verdict on a scenario: the provider's ledger against the database. Pure.

Lost is a message that was confirmed to its producer and reached no good end, or that we call sent
while no provider has it. Duplicated is one that providers took more than once; each of its earlier
attempts must have been marked as a possible duplicate, and nothing may be marked whose outcome a
living process knew.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus, may_move
from tests.faults.plan import Allowance

OPERATOR = "operator"
COMMAND = "outbound-slo ops"
"""Commands have to wait for what may have been accepted; a person at psql does not."""

_PEOPLE = frozenset({OPERATOR, COMMAND})
"""application_name of the connection that plays an operator: D17 lets only those reset."""

_ACCEPTED = frozenset({MessageStatus.SENT, MessageStatus.DELIVERED})
_UNSETTLED = frozenset({AttemptOutcome.IN_FLIGHT.value, AttemptOutcome.UNKNOWN.value})
_FINISHED = frozenset({MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.FAILED})


class Fault(StrEnum):
    """What a scenario must never show."""

    NOT_STORED = "confirmed, but not in the database"
    UNFINISHED = "still waiting or in flight at the end"
    NEVER_ACCEPTED = "called sent, but no provider has it"
    FAILED = "failed although nothing but our troubles stood in its way"
    UNMARKED_DUPLICATE = "accepted again, but the attempt before is not marked"
    ATTEMPT_TWICE = "one attempt accepted twice"
    KNOWN_YET_MARKED = "marked as a possible duplicate, but its answer had been received"
    BACKWARDS = "a status went where the sender may not take it"
    OUTCOME_REWRITTEN = "an outcome that was known was changed"
    ATTEMPT_LEFT = "the message is at its end, an attempt is still called in flight"
    OVERLAP = "two requests to one recipient at once"
    NOT_HELD = "accepted twice, though the receipt of the first was only held up"
    NEVER_RESENT = "no message was sent again, though some had to be"
    BAD_END = "a process that was asked to end did not end well"
    CRASH = "a process wrote a traceback"
    FALSE_ALARM = "the exporter's checks call it damage"


LOSSES = frozenset({Fault.NOT_STORED, Fault.UNFINISHED, Fault.NEVER_ACCEPTED, Fault.FAILED})


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message at the end."""

    id: int
    key: str
    status: MessageStatus
    error_code: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt at the end.

    Attributes:
        survived: The process that made it was neither killed nor frozen in this scenario.

    """

    message_id: int
    number: int
    outcome: AttemptOutcome
    http_status: int | None
    possible_duplicate: bool
    survived: bool


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A move of a message, by whose connection."""

    message_id: int
    old: MessageStatus
    new: MessageStatus
    attempt: int
    application: str


@dataclass(frozen=True, slots=True)
class OutcomeChange:
    """A change of what an attempt is said to have come to.

    Attributes:
        marked: The attempt was marked as a possible duplicate when the change was made: then
            not the process that made it speaks, but the sweep.

    """

    message_id: int
    attempt: int
    old: AttemptOutcome
    new: AttemptOutcome
    marked: bool


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A line of the provider's ledger; `answered` is False where the answer was withheld."""

    message_id: int
    attempt: int
    answered: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known when a scenario is over.

    Attributes:
        confirmed: Keys of the messages whose commit was confirmed to the producer.
        overlaps: Requests that met another one to the same recipient at the provider.
        endings: Processes that were asked to end and did not end well, in words.
        crashes: Tracebacks in the senders' logs, each by its last line.
        contradictions: Checks of the exporter for damaged data that found something.

    """

    confirmed: frozenset[str]
    messages: tuple[MessageRow, ...]
    attempts: tuple[AttemptRow, ...]
    status_changes: tuple[StatusChange, ...]
    outcome_changes: tuple[OutcomeChange, ...]
    acceptances: tuple[Acceptance, ...]
    overlaps: int = 0
    endings: tuple[str, ...] = ()
    crashes: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be, and where."""

    fault: Fault
    where: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a scenario.

    Attributes:
        messages: Messages put on the queue.
        accepted: Acceptances in the ledger.
        lost: Messages lost.
        duplicated: Acceptances beyond the first of a message, less those that an operator ordered.
        marked: Attempts marked as possible duplicates.
        unknown: Attempts whose outcome was unknown at some time.
        by_hand: Moves that an operator made.

    """

    messages: int
    accepted: int
    lost: int
    duplicated: int
    marked: int
    unknown: int
    by_hand: int
    violations: tuple[Violation, ...] = field(default=())


def judge(evidence: Evidence, allowance: Allowance, *, resends: bool = False) -> Verdict:
    """Weigh the evidence; with `resends` something must have been sent again."""
    case = _Case(evidence, allowance)
    violations = tuple(case.find_violations())
    if resends and not any(attempt.possible_duplicate for attempt in evidence.attempts):
        violations += (Violation(Fault.NEVER_RESENT, "all attempts"),)
    lost = {violation.where for violation in violations if violation.fault in LOSSES}
    return Verdict(
        messages=len(evidence.confirmed),
        accepted=len(evidence.acceptances),
        lost=len(lost),
        duplicated=sum(1 for _ in case.find_repetitions()),
        marked=sum(attempt.possible_duplicate for attempt in evidence.attempts),
        unknown=len(case.unknown_attempts()),
        by_hand=sum(change.application in _PEOPLE for change in evidence.status_changes),
        violations=violations,
    )


class _Case:
    """The evidence, arranged by message and attempt."""

    def __init__(self, evidence: Evidence, allowance: Allowance) -> None:
        self.evidence = evidence
        self.allowance = allowance
        self.attempts: Mapping[tuple[int, int], AttemptRow] = {
            (row.message_id, row.number): row for row in evidence.attempts
        }
        self.taken: defaultdict[int, list[Acceptance]] = defaultdict(list)
        for acceptance in evidence.acceptances:
            self.taken[acceptance.message_id].append(acceptance)
        # The attempts after which an operator asked for another send of a message at its end.
        self.ordered = {
            (change.message_id, change.attempt)
            for change in evidence.status_changes
            if change.application in _PEOPLE and change.old in _FINISHED
        }

    def find_violations(self) -> Iterator[Violation]:
        yield from self._judge_losses()
        yield from self._judge_duplicates()
        yield from self._judge_marks()
        yield from self._judge_moves()
        yield from self._judge_attempts()
        if self.evidence.overlaps and not self.allowance.overlaps:
            yield Violation(Fault.OVERLAP, f"{self.evidence.overlaps} times")
        yield from (Violation(Fault.BAD_END, ending) for ending in self.evidence.endings)
        yield from (Violation(Fault.FALSE_ALARM, c) for c in self.evidence.contradictions)
        for crash, times in Counter(self.evidence.crashes).items():
            yield Violation(Fault.CRASH, f"{crash} ({times} times)")

    def _judge_losses(self) -> Iterator[Violation]:
        stored = {message.key for message in self.evidence.messages}
        for key in sorted(self.evidence.confirmed - stored):
            yield Violation(Fault.NOT_STORED, f"message {key}")
        for message in self.evidence.messages:
            where = f"message {message.id}"
            if message.status is MessageStatus.FAILED:
                if message.error_code not in self.allowance.failed_codes:
                    yield Violation(Fault.FAILED, f"{where}: {message.error_code}")
            elif message.status not in _ACCEPTED:
                yield Violation(Fault.UNFINISHED, f"{where}: {message.status.value}")
            elif message.id not in self.taken:
                yield Violation(Fault.NEVER_ACCEPTED, where)

    def find_repetitions(self) -> Iterator[tuple[int, int]]:
        """Give message and attempt of each acceptance that another attempt's followed.

        By the attempts' numbers, not by time: a frozen process may wake and send the earlier
        attempt after the later one.
        """
        for message_id, taken in self.taken.items():
            attempts = sorted(acceptance.attempt for acceptance in taken)
            for earlier, later in pairwise(attempts):
                if not any((message_id, no) in self.ordered for no in range(earlier, later)):
                    yield message_id, earlier

    def _judge_duplicates(self) -> Iterator[Violation]:
        for (message_id, number), times in Counter(
            (acceptance.message_id, acceptance.attempt) for acceptance in self.evidence.acceptances
        ).items():
            if times > 1:
                yield Violation(Fault.ATTEMPT_TWICE, _name(message_id, number))
        for message_id, number in self.find_repetitions():
            if not self.allowance.repetitions:
                yield Violation(Fault.NOT_HELD, _name(message_id, number))
            attempt = self.attempts.get((message_id, number))
            if attempt is None or not attempt.possible_duplicate:
                yield Violation(Fault.UNMARKED_DUPLICATE, _name(message_id, number))

    def _judge_marks(self) -> Iterator[Violation]:
        answered = {
            (acceptance.message_id, acceptance.attempt)
            for acceptance in self.evidence.acceptances
            if acceptance.answered
        }
        # What the sending process itself called unknown, before any sweep came to it.
        given_up = {
            (change.message_id, change.attempt)
            for change in self.evidence.outcome_changes
            if change.new is AttemptOutcome.UNKNOWN and not change.marked
        }
        taken_away = {
            (change.message_id, change.attempt)
            for change in self.evidence.status_changes
            if change.application == OPERATOR and change.old is MessageStatus.SENDING
        }
        for attempt in self.evidence.attempts:
            key = (attempt.message_id, attempt.number)
            # A dead or frozen process could tell nobody, and an operator did not wait to be told.
            if not attempt.possible_duplicate or not attempt.survived or key in taken_away:
                continue
            was_told = attempt.http_status is not None or (key in answered and key not in given_up)
            if was_told:
                yield Violation(Fault.KNOWN_YET_MARKED, _name(*key))

    def _judge_moves(self) -> Iterator[Violation]:
        for change in self.evidence.status_changes:
            if change.application in _PEOPLE and change.new is MessageStatus.QUEUED:
                continue
            if not may_move(change.old, change.new):
                where = f"message {change.message_id}: {change.old.value} to {change.new.value}"
                yield Violation(Fault.BACKWARDS, f"{where} by {change.application}")

    def _judge_attempts(self) -> Iterator[Violation]:
        for change in self.evidence.outcome_changes:
            if change.old.value not in _UNSETTLED:
                where = _name(change.message_id, change.attempt)
                move = f"{change.old.value} to {change.new.value}"
                yield Violation(Fault.OUTCOME_REWRITTEN, f"{where}: {move}")
        ended = {row.id for row in self.evidence.messages if row.status in _FINISHED}
        for attempt in self.evidence.attempts:
            if attempt.outcome is AttemptOutcome.IN_FLIGHT and attempt.message_id in ended:
                yield Violation(Fault.ATTEMPT_LEFT, _name(attempt.message_id, attempt.number))

    def unknown_attempts(self) -> frozenset[tuple[int, int]]:
        """Name the attempts that were called unknown at some time, or are marked."""
        seen: Iterable[tuple[int, int]] = (
            (change.message_id, change.attempt)
            for change in self.evidence.outcome_changes
            if change.new is AttemptOutcome.UNKNOWN
        )
        marked = (
            (row.message_id, row.number) for row in self.evidence.attempts if row.possible_duplicate
        )
        return frozenset(seen) | frozenset(marked)


def _name(message_id: int, number: int) -> str:
    return f"message {message_id}, attempt {number}"
