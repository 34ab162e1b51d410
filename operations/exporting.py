"""Rows of the outbox as CSV, streamed: as much memory for a million messages as for ten."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psycopg
from psycopg import sql

from operations.files import open_lasting
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel

_QUERIES = load_queries("operations", "sql/dlq.sql")
_FORMULA = r"^[=+@\t\r-]"

CRITICAL_TEMPLATES = ("appointment_reminder", "urgent_notification")
"""001's templates that must arrive."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One of 001's exports: its query, its columns in order, and those that hold people's text."""

    query: str
    columns: tuple[str, ...]
    texts: frozenset[str]


_TEXTS = frozenset(
    ("org_id", "to_recipient", "template_code", "subject", "error_code", "error_message")
) | {"lead_name", "lead_email", "payload_json"}

DEAD_LETTERS = Sheet(
    "export",
    (
        *("id", "org_id", "dossier_id", "channel", "to_recipient", "template_code", "subject"),
        *("error_code", "error_message", "attempt_count", "max_attempts", "created_at"),
        *("updated_at", "days_in_dlq", "lead_name", "lead_email"),
    ),
    _TEXTS,
)
"""001, "Export DLQ Messages for Analysis"."""

CRITICAL_FAILURES = Sheet(
    "export_critical",
    (
        *("id", "org_id", "dossier_id", "to_recipient", "template_code", "subject"),
        *("payload_json", "lead_name", "lead_email", "created_at"),
    ),
    _TEXTS,
)
"""001, "Export Failed Critical Messages"."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows go into a sheet; None for any."""

    channel: Channel | None = None
    org: str | None = None
    templates: tuple[str, ...] | None = None
    age_s: float = 0.0

    @property
    def values(self) -> Mapping[str, object]:
        """As the queries take them."""
        return {
            "channel": self.channel and self.channel.value,
            "org": self.org,
            "templates": self.templates and list(self.templates),
            "age_s": self.age_s,
        }


def write_sheet(
    connection: psycopg.Connection,
    sheet: Sheet,
    selection: Selection,
    out: BinaryIO,
    *,
    defused: bool,
) -> int:
    """Write a sheet as PostgreSQL's CSV with a heading; tells how many rows it has.

    Args:
        connection: In a transaction, whose instant the rows belong to.
        sheet: Which.
        selection: Which rows.
        out: Where to.
        defused: Put an apostrophe before texts that a spreadsheet would take for a formula. A
            phone number begins with +, so it is one of them.

    Raises:
        psycopg.Error: The database does not answer.

    """
    cells = (_write_cell(name, defused=defused and name in sheet.texts) for name in sheet.columns)
    statement = sql.SQL(
        "COPY (SELECT {cells} FROM ({rows}) AS e ORDER BY e.created_at DESC, e.id DESC)"
        " TO STDOUT WITH (FORMAT csv, HEADER)"
    ).format(cells=sql.SQL(", ").join(cells), rows=sql.SQL(_QUERIES[sheet.query]))
    with connection.cursor() as cursor:
        with cursor.copy(statement, selection.values) as copy:
            out.writelines(copy)
        return max(0, cursor.rowcount)


def _write_cell(name: str, *, defused: bool) -> sql.Composable:
    column = sql.Identifier("e", name)
    if not defused:
        return column
    return sql.SQL(
        "CASE WHEN {0}::text ~ {1} THEN '''' || {0}::text ELSE {0}::text END AS {2}"
    ).format(column, sql.Literal(_FORMULA), sql.Identifier(name))


@dataclass(slots=True)
class Keepsake:
    r"""A CSV file that takes rows of the archive, all columns, each batch for good.

    `\copy outbound_message_archive FROM 'FILE' CSV HEADER` brings them back.
    """

    path: Path
    _file: BinaryIO | None = field(default=None, init=False)
    _whole: int = field(default=0, init=False)
    _last: Sequence[int] = field(default=(), init=False)

    def save(self, connection: psycopg.Connection, ids: Sequence[int]) -> None:
        """Write rows and wait until they are on the disk.

        Raises:
            UserMistake: The file is there already, or can't be made or written.

        """
        if self._file is None:
            self._file = open_lasting(self.path)
        self.settle(connection)
        heading = self._whole == 0
        statement = sql.SQL(
            "COPY (SELECT * FROM outbound_message_archive WHERE id = ANY (%(ids)s) ORDER BY id)"
            " TO STDOUT WITH (FORMAT csv, HEADER {heading})"
        ).format(heading=sql.SQL("true" if heading else "false"))
        with connection.cursor() as cursor, cursor.copy(statement, {"ids": list(ids)}) as copy:
            rows = b"".join(copy)
        try:
            self._file.write(rows)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._cut()
            raise UserMistake(
                f"{self.path} can't be written: {error.strerror}",
                "Nothing of this batch was deleted; name a file on another disk",
            ) from error

        self._last = list(ids)

    def settle(self, connection: psycopg.Connection) -> None:
        """Take the last rows out of the file again if they are still in the archive.

        They are deleted in the transaction that saved them, which may be rolled back after that.

        Raises:
            psycopg.Error: The database does not answer; they stay in the file.

        """
        if self._file is None or not self._last:
            return
        statement = "SELECT EXISTS (SELECT FROM outbound_message_archive WHERE id = ANY (%s))"
        row = connection.execute(statement, (list(self._last),)).fetchone()
        if row == (True,):
            self._cut()
        else:
            self._whole = self._file.tell()
        self._last = ()

    def close(self) -> None:
        """Close the file, and remove it if there is nothing in it."""
        if self._file is not None:
            self._file.close()
            if self.path.stat().st_size == 0:
                self.path.unlink()

    def _cut(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                # What could not be written may still be in the buffer.
                self._file.flush()
            self._file.truncate(self._whole)
            self._file.seek(self._whole)
