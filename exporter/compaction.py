"""Keeping the rollup small: deltas are moved into totals, matured cohorts into events."""

import logging

import psycopg

from exporter.failures import classify
from outbound_slo.database import load_queries

DELTA_TABLE = "outbound_event_delta"
COMPACTION_LOCK = 0x636F_6D70  # "comp": any number works, as long as all of our versions agree.

_BATCH_ROWS = 50_000
# One turn takes what a minute of single sends at full rate leaves; the rest waits for the next.
_BATCHES_PER_TURN = 8
RECLAIM_ROWS = 5_000
"""Deltas moved before their space is given back."""

_LOG = logging.getLogger(__name__)


def compact(connection: psycopg.Connection, batch_rows: int = _BATCH_ROWS) -> int | None:
    """Move up to a batch of deltas of each kind into the totals, in one short transaction.

    Args:
        connection: In autocommit mode, with no transaction open.
        batch_rows: Most deltas to move of each kind (attempts; messages).

    Returns:
        How many were moved; None when another exporter is at it.

    Raises:
        psycopg.Error: The role may not, the tables are missing, or the database is a replica.

    """
    statements = load_queries("exporter", "compaction.sql")
    with connection.transaction():
        if not _find_work(connection, statements["find_work"]):
            return 0
        locked = connection.execute(
            statements["try_lock"].encode(), {"lock": COMPACTION_LOCK}
        ).fetchone()
        if locked is None or not locked[0]:
            return None
        moved = 0
        for block in ("move_events", "move_messages"):
            row = connection.execute(statements[block].encode(), {"limit": batch_rows}).fetchone()
            moved += int(row[0]) if row else 0
        connection.execute(statements["fold_cohorts"].encode())
        return moved


def _find_work(connection: psycopg.Connection, statements: str) -> bool:
    cursor = connection.execute(statements.encode())
    while cursor.description is None and cursor.nextset():
        pass
    row = cursor.fetchone()
    return row is not None and bool(row[0])


def compact_all(connection: psycopg.Connection, batch_rows: int = _BATCH_ROWS) -> int:
    """Compact batch by batch until little is left.

    Returns:
        How many deltas were moved.

    Raises:
        psycopg.Error: As `compact`.

    """
    total = 0
    for _ in range(_BATCHES_PER_TURN):
        moved = compact(connection, batch_rows) or 0
        total += moved
        if moved < batch_rows:
            break
    return total


def reclaim(connection: psycopg.Connection) -> None:
    """Give the space of moved deltas back.

    Raises:
        psycopg.Error: The database does not answer.

    """
    connection.execute(load_queries("exporter", "compaction.sql")["reclaim"].encode())


class Compactor:
    """Compacts after each refresh: none reads a delta twice. Gives way where it may not."""

    def __init__(self) -> None:
        """Begin with nothing moved, and without a complaint."""
        self._moved = 0
        self._complained = False

    def after_refresh(self, connection: psycopg.Connection) -> None:
        """Compact; a failure is logged once and costs nothing but table size."""
        try:
            self._moved += compact_all(connection)
            if self._moved >= RECLAIM_ROWS:
                self._moved = 0
                reclaim(connection)
        except psycopg.Error as error:
            if not self._complained:
                failure = classify(error)
                _LOG.warning(
                    "Event deltas are not compacted (%s: %s). Counters stay right, but reading "
                    "them grows slower; see docs/exporter.md",
                    failure.reason,
                    failure.text,
                )
                self._complained = True
        else:
            self._complained = False
