"""Taking an operation back, row by row, as far as rows are still as it left them.

A message that was sent meanwhile is not called back by anything: it stays as it is, and the undo
says so. What an undo changes is kept too, so that it can be undone in turn.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from operations.change import Applied, Group, Survey
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.audit import (
    KEEP_DAYS,
    LOCK_CLASS,
    Operation,
    Relation,
    fit,
    keep_rows,
    note_made,
    write_alike,
)
from sender.requeue import FALLBACK_SUFFIX, find_fallbacks

_QUERIES = load_queries("operations", "sql/undo.sql")

MOVED_ON = "changed_since"
"""Reason for leaving a row alone: somebody, most likely a sender, has changed it since."""

IN_THE_WAY = "another_in_its_place"
"""Reason for leaving a row alone: another row has what it needs to be one of, such as its key."""


FELL_BACK = "sent_another_way"
"""Reason for leaving a message alone: it, or what stood for it, is on its way or has arrived."""


@dataclass(frozen=True, slots=True)
class PastOperation:
    """A row of the audit.

    Attributes:
        running: A session is at it now.
        kept: There are rows that an undo could bring back.

    """

    id: int
    command: str
    operator: str
    ticket: str | None
    state: str
    changed: int
    undoes: int | None
    started_at: datetime
    finished_at: datetime | None
    running: bool
    kept: bool

    @property
    def fate(self) -> str:
        """How it ended, in a word."""
        if self.state == "RUNNING":
            return "running" if self.running else "killed"
        return self.state.lower()


@dataclass(frozen=True, slots=True)
class KeptRow:
    """One row to bring back: `made` by the operation, `taken` away by it, or changed."""

    relation: Relation
    key: str
    made: bool
    taken: bool


def read_operations(
    connection: psycopg.Connection, number: int | None = None, *, limit: int = 20
) -> Sequence[PastOperation]:
    """Read one operation, or the latest."""
    with connection.cursor(row_factory=class_row(PastOperation)) as cursor:
        cursor.execute(
            _QUERIES["read_operation"].encode(),
            {"id": number, "limit": limit, "class": LOCK_CLASS, "days": KEEP_DAYS},
        )
        return cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Undo:
    """The change that takes an operation back."""

    number: int

    @property
    def command(self) -> str:
        """See `Change`."""
        return "undo"

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {"operation": self.number}

    @property
    def undoes(self) -> int | None:
        """See `Change`."""
        return self.number

    def survey(self, connection: psycopg.Connection) -> Survey:
        """Find the rows that the operation has kept.

        Raises:
            UserMistake: There is no such operation, it is under way, or it kept nothing.

        """
        found = read_operations(connection, self.number)
        if not found:
            raise UserMistake(
                f"There is no operation {self.number}", "'outbound-slo ops log' lists them"
            )
        past = found[0]
        if past.running:
            raise UserMistake(
                f"Operation {self.number} is still under way", "Stop it first, or let it end"
            )
        if not past.kept:
            raise UserMistake(
                f"Operation {self.number} (ops {past.command}) kept nothing that could be undone",
                f"It changed no rows of the queue, or began more than {KEEP_DAYS} days ago",
            )
        cursor = connection.execute(_QUERIES["read_rows"].encode(), {"id": self.number})
        keys = [KeptRow(Relation(table), key, made, taken) for table, key, made, taken in cursor]
        counted = connection.execute(_QUERIES["count_rows"].encode(), {"id": self.number})
        return Survey(
            keys,
            "rows",
            f"to become what they were before operation {self.number} ({past.command}, "
            f"{past.operator}), unless changed since",
            ("Table", "Were"),
            tuple(Group((table, kind), rows) for table, kind, rows in counted),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        # A failure that is put back was counted when it happened.
        connection.execute("SET LOCAL outbound_slo.undoing = 'on'")
        write_alike(connection)
        changed, skipped = 0, Counter[str]()
        rows: Sequence[KeptRow] = keys
        for (relation, made, taken), some in groupby(
            rows, key=lambda row: (row.relation, row.made, row.taken)
        ):
            names = [row.key for row in some]
            if made:
                done = self._take_away(connection, operation, relation, names)
            else:
                barred = self._find_barred(connection, relation, names, taken=taken)
                skipped[FELL_BACK if relation is Relation.MESSAGE else IN_THE_WAY] += len(barred)
                names = [key for key in names if key not in barred]
                carry = self._bring_back if taken else self._restore
                done = carry(connection, operation, relation, names)
            changed += done
            if done < len(names):
                skipped[IN_THE_WAY if taken else MOVED_ON] += len(names) - done
        # What waited for a switch, an account or a quota may go now.
        connection.execute("NOTIFY outbound_message")
        return Applied(changed, +skipped)

    def _find_barred(
        self,
        connection: psycopg.Connection,
        relation: Relation,
        keys: Sequence[str],
        *,
        taken: bool,
    ) -> set[str]:
        """Find rows that must stay away, since a recipient would get the same thing twice."""
        values = {
            "id": self.number,
            "relation": relation.value,
            "keys": list(keys),
            "suffix": FALLBACK_SUFFIX,
        }
        if taken:
            cursor = connection.execute(_QUERIES["find_unwelcome"].encode(), values)
            return {key for (key,) in cursor}
        if relation is not Relation.MESSAGE:
            return set()
        # Held before they are judged: who makes an SMS of one holds it too.
        self._find_untouched(connection, relation, keys)
        live = [int(key) for (key,) in connection.execute(_QUERIES["find_live"].encode(), values)]
        return {str(number) for number in find_fallbacks(connection, live)}

    def _take_away(
        self,
        connection: psycopg.Connection,
        operation: Operation,
        relation: Relation,
        keys: Sequence[str],
    ) -> int:
        if relation is Relation.ATTEMPT:
            # With its message it has gone; where the message stays, so does what was tried.
            gone = connection.execute(_QUERIES["find_gone"].encode(), {"keys": list(keys)})
            return len(gone.fetchall())
        if relation is Relation.ARCHIVE:
            back = connection.execute(_QUERIES["find_replaced"].encode(), {"keys": list(keys)})
            keys = [key for (key,) in back]
        untouched = self._find_untouched(connection, relation, keys)
        typed = _type(relation, untouched)
        with ExitStack() as kept:
            kept.enter_context(keep_rows(connection, operation, relation, typed))
            if relation is Relation.MESSAGE:
                found = connection.execute(_QUERIES["read_attempts_of"].encode(), {"typed": typed})
                attempts = [number for (number,) in found]
                kept.enter_context(keep_rows(connection, operation, Relation.ATTEMPT, attempts))
            connection.execute(fit(_QUERIES["take_away"], relation), {"typed": typed})
        return len(untouched)

    def _bring_back(
        self,
        connection: psycopg.Connection,
        operation: Operation,
        relation: Relation,
        keys: Sequence[str],
    ) -> int:
        values = {"id": self.number, "relation": relation.value, "keys": list(keys)}
        cursor = connection.execute(fit(_QUERIES["bring_back"], relation), values)
        back = [key for (key,) in cursor]
        note_made(connection, operation, relation, _type(relation, back), ["updated_at"])
        return len(back)

    def _restore(
        self,
        connection: psycopg.Connection,
        operation: Operation,
        relation: Relation,
        keys: Sequence[str],
    ) -> int:
        untouched = self._find_untouched(connection, relation, keys)
        if relation is Relation.ATTEMPT:
            values = {"typed": _type(relation, untouched)}
            latest = connection.execute(_QUERIES["find_latest"].encode(), values)
            untouched = [key for (key,) in latest]
        done = 0
        # One by one only where a row of before and one of now can't both be, such as two messages
        # in flight to one recipient.
        try:
            with connection.transaction():
                return self._write(connection, operation, relation, untouched)
        except psycopg.errors.UniqueViolation:
            for key in untouched:
                try:
                    with connection.transaction():
                        done += self._write(connection, operation, relation, [key])
                except psycopg.errors.UniqueViolation:
                    continue
        return done

    def _write(
        self,
        connection: psycopg.Connection,
        operation: Operation,
        relation: Relation,
        keys: Sequence[str],
    ) -> int:
        typed = _type(relation, keys)
        values = {
            "id": self.number,
            "relation": relation.value,
            "keys": list(keys),
            "typed": typed,
        }
        columns = [
            name for (name,) in connection.execute(_QUERIES["name_columns"].encode(), values)
        ]
        if not columns:
            return 0
        assignments = sql.SQL(", ").join(
            sql.SQL("{0} = p.{0}").format(sql.Identifier(name)) for name in sorted(columns)
        )
        statement = sql.SQL(_QUERIES["restore"]).format(
            relation=sql.Identifier(relation.value),
            key=sql.Identifier(relation.key),
            assignments=assignments,
        )
        with keep_rows(connection, operation, relation, typed):
            return connection.execute(statement, values).rowcount

    def _find_untouched(
        self, connection: psycopg.Connection, relation: Relation, keys: Sequence[str]
    ) -> list[str]:
        values = {
            "id": self.number,
            "relation": relation.value,
            "keys": list(keys),
            "typed": _type(relation, keys),
        }
        return [
            key for (key,) in connection.execute(fit(_QUERIES["find_untouched"], relation), values)
        ]


def _type(relation: Relation, keys: Sequence[str]) -> list[Any]:
    return [int(key) for key in keys] if relation.key == "id" else list(keys)
