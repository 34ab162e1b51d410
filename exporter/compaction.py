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
_RECLAIM_ROWS = 5_000
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
    found = connection.execute(statements["find_work"].encode()).fetchone()
    if found is None or not found[0]:
        return 0
    with connection.transaction():
        connection.execute(statements["hurry"].encode())
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


def compact_all(connection: psycopg.Connection, batch_rows: int = _BATCH_ROWS) -> int:
    """Compact batch by batch until little is left, and give the space back.

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
    if total >= _RECLAIM_ROWS:
        statement = load_queries("exporter", "compaction.sql")["reclaim"]
        connection.execute(statement.encode())
    return total


class Compactor:
    """Compacts after each refresh: none reads a delta twice. Gives way where it may not."""

    def __init__(self) -> None:
        """Begin without a complaint."""
        self._complained = False

    def after_refresh(self, connection: psycopg.Connection) -> None:
        """Compact; a failure is logged once and costs nothing but table size."""
        try:
            compact_all(connection)
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
