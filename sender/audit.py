"""The audit of what people do: one row per operation, and rows as they were before it.

Commands and the HTTP face write it in the transaction of the change itself, so that what it says
was changed was changed, whatever is killed when. `ops undo` reads it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from outbound_slo.database import load_queries

_QUERIES = load_queries("sender", "sql/audit.sql")

FORGET = _QUERIES["forget"]
"""The statement that forgets `limit` rows of operations older than `days`."""

KEEP_DAYS = 7
"""Days for which rows are kept for an undo, as 001 keeps a replaced webhook secret."""

LOCK_CLASS = 0x6F70
"""First number of the advisory lock that a running operation holds; the second is its id."""

FORGET_AT_ONCE = 5000
"""Rows that are forgotten in one transaction."""

_PASSING = ["turn", "due_at", "due_since", "freed_at"]
# Attempts are counted when they leave IN_FLIGHT, so none goes back there.
_PASSING_OF_ATTEMPTS = ["outcome", "error_code", "finished_at"]
_LONGEST_STAMP = 200


class Relation(StrEnum):
    """A table whose rows operations change."""

    MESSAGE = "outbound_message"
    ATTEMPT = "outbound_attempt"
    ARCHIVE = "outbound_message_archive"
    RATE_LIMIT = "whatsapp_rate_limit"
    PROVIDER_CONFIG = "whatsapp_provider_config"
    SWITCH = "outbound_switch"

    @property
    def key(self) -> str:
        """The column that tells its rows apart."""
        return {Relation.RATE_LIMIT: "org_id", Relation.SWITCH: "channel"}.get(self, "id")


class OperationState(StrEnum):
    """How an operation ended; RUNNING without a session behind it was killed."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    INTERRUPTED = "INTERRUPTED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks for a change, and under which ticket."""

    operator: str
    ticket: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One change under way.

    Attributes:
        id: Its number, which `ops undo` takes.
        stamp: What it writes into `updated_by`, in the runbooks' manner: `ops-12-dlq-retry-ana`.

    """

    id: int
    stamp: str


def begin_operation(
    connection: psycopg.Connection,
    command: str,
    author: Author,
    *,
    parameters: Mapping[str, object] | None = None,
    planned: int | None = None,
    undoes: int | None = None,
) -> Operation:
    """Write that a change begins.

    Args:
        connection: In whose transaction it is written.
        command: As typed after `outbound-slo ops`; `retry over HTTP` for the HTTP face.
        author: Who asks.
        parameters: Its options; no secret among them.
        planned: Rows that it sets out to change.
        undoes: The operation that it takes back.

    """
    cursor = _execute(
        connection,
        "begin",
        command=command,
        parameters=Jsonb(dict(parameters or {})),
        operator=author.operator,
        ticket=author.ticket,
        planned=planned,
        undoes=undoes,
    )
    row = cursor.fetchone()
    assert row is not None  # noqa: S101 - INSERT … RETURNING gives one
    parts = ["ops", str(row[0]), *command.split(), author.operator, author.ticket]
    stamp = "-".join(part for part in parts if part)
    return Operation(row[0], stamp[:_LONGEST_STAMP])


def forget_rows(connection: psycopg.Connection) -> int:
    """Forget rows kept for longer than `KEEP_DAYS`, some at a time; gives how many.

    Senders do it, too (`sender/upkeep.py`), so that it happens where nobody operates anything.
    """
    return _execute(connection, "forget", days=KEEP_DAYS, limit=FORGET_AT_ONCE).rowcount


def finish_operation(
    connection: psycopg.Connection, operation: Operation, state: OperationState
) -> None:
    """Write how it ended."""
    _execute(connection, "finish", id=operation.id, state=state.value)


def note_progress(
    connection: psycopg.Connection,
    operation: Operation,
    changed: int,
    skipped: Mapping[str, int] | None = None,
) -> None:
    """Add to the counts of rows changed and, by reason, left alone."""
    _execute(
        connection,
        "note_progress",
        id=operation.id,
        changed=changed,
        skipped=Jsonb(dict(skipped or {})),
    )


@contextmanager
def hold_operation(connection: psycopg.Connection, operation: Operation) -> Iterator[None]:
    """Let others see that this session is at it, until it ends or dies."""
    _execute(connection, "hold", id=operation.id, **{"class": LOCK_CLASS})
    try:
        yield
    finally:
        if not connection.closed:
            _execute(connection, "let_go", id=operation.id, **{"class": LOCK_CLASS})


@contextmanager
def keep_rows(
    connection: psycopg.Connection, operation: Operation, relation: Relation, keys: Sequence[Any]
) -> Iterator[None]:
    """Keep rows as they are while the block changes or deletes them; all in one transaction.

    An operation keeps a row once. Lock the rows before, or one may change between.
    """
    values = {"id": operation.id, "relation": relation.value, "keys": list(keys)}
    write_alike(connection)
    _execute(connection, "keep", relation, **values)
    yield
    passing = _PASSING_OF_ATTEMPTS if relation is Relation.ATTEMPT else _PASSING
    _execute(connection, "compare", relation, passing=passing, **values)


def note_made(
    connection: psycopg.Connection,
    operation: Operation,
    relation: Relation,
    keys: Sequence[Any],
    columns: Sequence[str],
) -> None:
    """Write down rows that the operation made; an undo deletes those whose `columns` are as now."""
    write_alike(connection)
    _execute(
        connection,
        "note_made",
        relation,
        id=operation.id,
        relation=relation.value,
        keys=list(keys),
        columns=list(columns),
    )


def write_alike(connection: psycopg.Connection) -> None:
    """Have this transaction write times and bytes as every other one that keeps rows does."""
    _execute(connection, "write_alike")


def fit(statement: str, relation: Relation) -> sql.Composed:
    """Put a table's name and key in place of `{relation}` and `{key}`."""
    return sql.SQL(statement).format(
        relation=sql.Identifier(relation.value), key=sql.Identifier(relation.key)
    )


def _execute(
    connection: psycopg.Connection,
    name: str,
    table: Relation = Relation.MESSAGE,
    /,
    **values: object,
) -> psycopg.Cursor[tuple[Any, ...]]:
    return connection.execute(fit(_QUERIES[name], table), values)
