"""A database full of work on which the runbooks' statements are carried out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import DictRow, dict_row, tuple_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.statuses import Channel
from sender.lanes import LaneBook
from sender.outbox import ClaimedMessage, Order, read_claim, read_lanes, write_order
from sender.quiet_hours import NO_DEFAULT
from sender.rules import Deferral, Refusal, judge
from tests.runbooks.extraction import Statement

SHELL_VALUES: Mapping[str, str] = {
    "AGE_HOURS": "24",
    "ARCHIVE_FILE": "dlq_archive.csv",
    "BATCH_SIZE": "10",
    "ERROR_SQL": "('0','1','131016')",
    "LIMIT": "100",
}
"""What the shell variables in the runbooks' SQL stand for, as their scripts set them."""

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_WORLD = load_queries("tests.runbooks", "world.sql")["world"]
_SQL = load_queries("sender", "sql/outbox.sql")

EXTENSIONS = ("pgcrypto", "pg_stat_statements")
"""For 001's rotation of secrets and 002's list of slow queries; an administrator adds them."""


def fill_in(statement: Statement, scratch: Path) -> bytes:
    """Give a statement as the shell hands it over, with `scratch` for the server's /tmp.

    Raises:
        KeyError: It has a shell variable that no value is known for.

    """
    filled = _VARIABLE.sub(lambda name: SHELL_VALUES[name[1] or name[2]], statement.text)
    return filled.replace("'/tmp/", f"'{scratch}/").encode()


def fill_world(connection: Connection[Any]) -> None:
    """Add the extensions and the rows of world.sql."""
    for extension in EXTENSIONS:
        connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}".encode())
    connection.execute(_WORLD.encode())
    # Rows with given numbers do not move the identity on.
    connection.execute("ALTER TABLE outbound_message ALTER COLUMN id RESTART WITH 1000")


@dataclass(frozen=True, slots=True)
class Bench:
    """The filled database in one session, with the runbooks' statements at hand.

    Attributes:
        connection: In autocommit mode, as psql is.
        statements: All statements of the runbooks by their places.
        scratch: A directory that the server may write.

    """

    connection: Connection[DictRow]
    statements: Mapping[str, Statement]
    scratch: Path

    def run(self, place: str) -> Cursor[DictRow]:
        """Carry out the runbook's statement at `runbook:line`."""
        return self.connection.execute(fill_in(self.statements[place], self.scratch))

    def change(self, assignments: str, message: int) -> None:
        """Set columns of one message, for example `status = 'SENDING'`."""
        query = f"UPDATE outbound_message SET {assignments} WHERE id = %s"
        self.connection.execute(query.encode(), (message,))

    def ask(self, query: str) -> Any:  # noqa: ANN401 - whatever the query asks for
        """Give the one value that a query asks for."""
        row = self.connection.execute(query.encode()).fetchone()
        return None if row is None else next(iter(row.values()))

    def message(self, number: int) -> DictRow:
        """Give one message's row."""
        query = "SELECT * FROM outbound_message WHERE id = %s"
        return next(self.connection.execute(query, (number,)))

    def claim(self) -> dict[int, ClaimedMessage]:
        """Give what the sender would take now, by number; nothing stays taken."""
        channels = [channel.value for channel in Channel]
        rooms = dict.fromkeys(channels, 100)
        with (
            self.connection.transaction(force_rollback=True),
            self.connection.cursor(row_factory=tuple_row) as cursor,
        ):
            cursor.execute(_SQL["lanes"].encode(), {"channels": channels})
            book = LaneBook()
            book.note_look(read_lanes(cursor.fetchall()), 0.0, 0.0)
            order = Order(rooms, book.plan(rooms, 0.0, {}))
            cursor.execute(_SQL["claim"].encode(), write_order(order, "bench"))
            names = [column.name for column in cursor.description or ()]
            found = read_claim(names, cursor.fetchall())
            return {message.id: message for message in found.messages}

    def obstacle(self, number: int) -> Refusal | Deferral | None:
        """Give what the sender's own rules hold against sending a due message now."""
        return judge(
            self.claim()[number], has_provider=True, now=datetime.now(UTC), quiet=NO_DEFAULT
        )


def seat(connection: Connection[Any], statements: Mapping[str, Statement], scratch: Path) -> Bench:
    """Make a bench of an open connection."""
    connection.row_factory = dict_row
    return Bench(connection, statements, scratch)
