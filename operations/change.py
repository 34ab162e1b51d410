"""How a change is carried out: surveyed, written down, done in batches, and fit to be cut short.

Each batch is one transaction that changes rows, keeps them as they were and counts them, so that a
kill at any moment leaves whole batches and a true count. What is left is found by the same command
again, since a change chooses rows by the state that it ends.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg

from sender.audit import (
    FORGET_AT_ONCE,
    Author,
    Operation,
    OperationState,
    begin_operation,
    finish_operation,
    forget_rows,
    hold_operation,
    note_progress,
)

BATCH = 200
"""Rows in one transaction: few enough that a settlement never waits long for their locks."""

LOCK_MS = 3000
STATEMENT_MS = 60_000
_TRIES = 3
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of a survey that have something in common.

    Attributes:
        cells: What they have in common, under the survey's headings.
        rows: How many they are.

    """

    cells: tuple[object, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What a change would do, before it does anything.

    Attributes:
        keys: Keys of the rows, in the order in which they will be changed.
        noun: What the rows are, as "messages".
        effect: What is to become of them, as "to go back to the queue, due at once".
        headings: Headings of the groups.
        groups: The rows by what they have in common.
        warnings: What a person should know before saying yes.
        undo: What `ops undo` will not bring back; empty if it brings all of it back.

    """

    keys: Sequence[Any]
    noun: str
    effect: str
    headings: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    warnings: tuple[str, ...] = ()
    undo: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What one batch did: rows changed, and rows left alone by reason."""

    changed: int
    skipped: Mapping[str, int] = field(default_factory=dict)


class Change(Protocol):
    """One procedure of the runbooks that changes rows."""

    @property
    def command(self) -> str:
        """What is typed after `outbound-slo ops`."""

    @property
    def parameters(self) -> Mapping[str, object]:
        """Its options for the audit; JSON values, no secret among them."""

    @property
    def undoes(self) -> int | None:
        """The operation that it takes back, if it is an undo."""

    def survey(self, connection: psycopg.Connection) -> Survey:
        """Choose the rows; changes nothing."""

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """Change some of the rows in the caller's transaction, as far as they still are as chosen.

        Keeps them as they were with `sender.audit.keep_rows` or `note_made`.
        """


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a change ended.

    Attributes:
        operation: Its number and stamp.
        state: Done, or interrupted between two batches.
        planned: Rows that were chosen.
        changed: Rows that were changed.
        skipped: Rows left alone, by reason.

    """

    operation: Operation
    state: OperationState
    planned: int
    changed: int
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a change goes.

    Attributes:
        batch: Rows in one transaction.
        per_second: Rows per second at most; 0 for no limit.

    """

    batch: int = BATCH
    per_second: float = 0.0

    @property
    def step(self) -> int:
        """Rows in one transaction: no more than a second's worth."""
        return min(self.batch, max(1, int(self.per_second))) if self.per_second else self.batch


def carry_out(
    connection: psycopg.Connection,
    change: Change,
    survey: Survey,
    author: Author,
    *,
    pace: Pace,
    stopped: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Carry out a change that was surveyed.

    Args:
        connection: In autocommit; each batch is a transaction of its own.
        change: What to do.
        survey: What it found.
        author: Who asks.
        pace: How fast.
        stopped: Asked between batches; true ends the change there.
        on_progress: Told how many rows each batch has looked at.
        sleep: Waits some seconds.
        clock: Seconds, for the pace.

    Raises:
        psycopg.Error: The database refused a batch or went away; batches before it stand, and the
            operation is marked as failed if that can still be written.

    """
    _forget(connection)
    with connection.transaction():
        operation = begin_operation(
            connection,
            change.command,
            author,
            parameters=change.parameters,
            planned=len(survey.keys),
            undoes=change.undoes,
        )
    changed, skipped = 0, Counter[str]()
    began = clock()
    with hold_operation(connection, operation):
        try:
            for start in range(0, len(survey.keys), pace.step):
                if pace.per_second:
                    _wait(began + start / pace.per_second, stopped, sleep, clock)
                if stopped():
                    break
                keys = survey.keys[start : start + pace.step]
                applied = _apply(connection, change, operation, keys)
                changed += applied.changed
                skipped.update(applied.skipped)
                on_progress(len(keys))
        except BaseException:
            _close(connection, operation, OperationState.FAILED)
            raise
        done = changed + skipped.total() >= len(survey.keys)
        state = OperationState.DONE if done else OperationState.INTERRUPTED
        _close(connection, operation, state)
    return Outcome(operation, state, len(survey.keys), changed, dict(skipped))


def _wait(
    until: float,
    stopped: Callable[[], bool],
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> None:
    while (left := until - clock()) > 0 and not stopped():
        sleep(min(left, _LOOK_S))


def _forget(connection: psycopg.Connection) -> None:
    forgotten = FORGET_AT_ONCE
    while forgotten == FORGET_AT_ONCE:
        with connection.transaction():
            bound_transaction(connection)
            forgotten = forget_rows(connection)


def bound_transaction(connection: psycopg.Connection) -> None:
    """Let no statement of this transaction wait long for a lock, or run long."""
    connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS}".encode())
    connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_MS}".encode())


def _apply(
    connection: psycopg.Connection, change: Change, operation: Operation, keys: Sequence[Any]
) -> Applied:
    """Apply one batch, again if senders were in the way."""
    for turn in range(_TRIES):
        try:
            with connection.transaction():
                bound_transaction(connection)
                applied = change.apply(connection, operation, keys)
                note_progress(connection, operation, applied.changed, applied.skipped)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
            if turn + 1 == _TRIES:
                raise
        else:
            return applied
    raise AssertionError("every turn returns or raises")


def _close(connection: psycopg.Connection, operation: Operation, state: OperationState) -> None:
    if not connection.closed and not connection.broken:
        finish_operation(connection, operation, state)
