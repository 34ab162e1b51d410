"""VACUUM and REINDEX of the queue's tables, one after the other, beside senders at work.

Both can be interrupted at any moment and run again. VACUUM never in the form FULL, which locks the
table and copies it. 001's REINDEX TABLE locks out every sender for as long as it takes, so ours is
CONCURRENTLY; cut short, that leaves invalid indexes, which the next run removes first.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from operations.indexes import Condition, read_indexes
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake

_QUERIES = load_queries("operations", "sql/maintenance.sql")
_WATCH_S = 0.5
_LOCK = 0x6F75_7475  # "outu": one upkeep at a time.
# A build that nobody waits for any more ends within this time, and not after hours.
_SESSION = """
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_connection_check_interval = '2s'
"""
Watch = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """One table after its VACUUM.

    Attributes:
        table: Its name.
        seconds: How long it took.
        dead_before: Dead rows before, as estimated.
        dead_after: Dead rows after: those that somebody's snapshot still needs.
        bytes_before: Size without indexes.
        bytes_after: The same afterwards; space inside is reused, only an empty end is given back.

    """

    table: str
    seconds: float
    dead_before: int
    dead_after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True)
class Reindexed:
    """One table after its REINDEX.

    Attributes:
        table: Its name.
        seconds: How long it took.
        dropped: Invalid indexes of an earlier run that were removed.
        repaired: Other invalid indexes, built anew.
        bytes_before: Size of its indexes.
        bytes_after: The same afterwards.

    """

    table: str
    seconds: float
    dropped: tuple[str, ...]
    repaired: tuple[str, ...]
    bytes_before: int
    bytes_after: int


def prepare_session(connection: psycopg.Connection) -> None:
    """Make a session fit for hours of work, and the only one that does such work.

    Args:
        connection: In autocommit.

    Raises:
        UserMistake: Another such session is at work.

    """
    for statement in _SESSION.split(";"):
        connection.execute(statement.encode())
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    if row != (True,):
        raise UserMistake(
            "Another 'ops maintenance' is at work on this database",
            "Let it end; 'outbound-slo ops maintenance bloat' shows its session",
        )


def vacuum_table(connection: psycopg.Connection, table: str, watch: Watch) -> Vacuumed:
    """Vacuum and analyze one table.

    Args:
        connection: A prepared session.
        table: Its name.
        watch: Called twice a second while it runs.

    Raises:
        UserMistake: The role may not, which PostgreSQL only mentions.
        psycopg.Error: The server gave it up.

    """
    before = _locate(connection, table)
    warnings: list[str] = []

    def listen(notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            warnings.append(notice.message_primary or "")

    statement = sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(before["schema_name"], table))
    started = time.monotonic()
    connection.add_notice_handler(listen)
    try:
        run_watched(connection, statement, watch)
    finally:
        connection.remove_notice_handler(listen)
    if warnings:
        raise UserMistake(
            f"{table} was not vacuumed: {warnings[0]}", "Use the role that owns the tables"
        )
    after = _locate(connection, table)
    return Vacuumed(
        table,
        time.monotonic() - started,
        before["dead_rows"],
        after["dead_rows"],
        before["table_bytes"],
        after["table_bytes"],
    )


def reindex_table(connection: psycopg.Connection, table: str, watch: Watch) -> Reindexed:
    """Build one table's indexes anew beside the writers; first, clear up after a run cut short.

    It waits for transactions older than itself to end, and holds up nobody meanwhile.

    Args:
        connection: A prepared session.
        table: Its name.
        watch: Called twice a second while it runs.

    Raises:
        psycopg.Error: The server gave it up; an invalid index may be left for the next run.

    """
    before = _locate(connection, table)
    started = time.monotonic()
    dropped, repaired = [], []
    for index in read_indexes(connection, [table]):
        name = sql.Identifier(index.schema_name, index.index_name)
        if index.condition is Condition.LEFTOVER:
            drop = sql.SQL("DROP INDEX CONCURRENTLY {}").format(name)
            run_watched(connection, drop, watch)
            dropped.append(index.index_name)
        elif index.condition is Condition.INVALID:
            # REINDEX TABLE passes over it.
            mend = sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(name)
            run_watched(connection, mend, watch)
            repaired.append(index.index_name)
    statement = sql.SQL("REINDEX TABLE CONCURRENTLY {}").format(
        sql.Identifier(before["schema_name"], table)
    )
    run_watched(connection, statement, watch)
    after = _locate(connection, table)
    return Reindexed(
        table,
        time.monotonic() - started,
        tuple(dropped),
        tuple(repaired),
        before["index_bytes"],
        after["index_bytes"],
    )


def run_watched(
    connection: psycopg.Connection, statement: sql.Composed, watch: Watch, every_s: float = _WATCH_S
) -> None:
    """Run a long statement, and cancel it on the server when this process is interrupted."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(connection.execute, statement)
        try:
            while not wait({running}, timeout=every_s).done:
                watch()
        except BaseException:
            connection.cancel()
            raise
        running.result()


def read_progress(connection: psycopg.Connection, pid: int) -> str | None:
    """Say how far another session's VACUUM or REINDEX is: `scanning heap, 45 %`.

    Returns:
        None where it has neither under way, or waits to begin.

    """
    for block in ("vacuum_progress", "reindex_progress"):
        row = connection.execute(_QUERIES[block].encode(), {"pid": pid}).fetchone()
        if row is not None:
            phase, share = row
            return phase if share is None else f"{phase}, {100 * share:.0f} %"
    return None


def list_present(connection: psycopg.Connection, names: Sequence[str]) -> list[str]:
    """Keep the names of the tables that are in this database."""
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS w (name) WHERE to_regclass(name) IS NOT NULL",
        (list(names),),
    ).fetchall()
    return [name for (name,) in rows]


def _locate(connection: psycopg.Connection, table: str) -> Mapping[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES["locate"].encode(), {"name": table})
        row = cursor.fetchone()
    if row is None:
        raise UserMistake(f"The table {table} is gone", "See 'outbound-slo db status'")
    return row
