"""Keeping the event counters small: deltas are moved into totals."""

import logging

import psycopg

from exporter.failures import classify
from outbound_slo.database import load_queries

DELTA_TABLE = "outbound_event_delta"
COMPACTION_LOCK = 0x636F_6D70  # "comp": any number works, as long as all of our versions agree.

_BATCH_ROWS = 50_000
_LOG = logging.getLogger(__name__)


def compact(connection: psycopg.Connection, batch_rows: int = _BATCH_ROWS) -> int | None:
    """Move up to a batch of deltas into the totals, in one short transaction.

    Args:
        connection: In autocommit mode, with no transaction open.
        batch_rows: Most deltas to move.

    Returns:
        How many were moved; None when another exporter is at it.

    Raises:
        psycopg.Error: The role may not, the tables are missing, or the database is a replica.

    """
    statements = load_queries("exporter", "compaction.sql")
    with connection.transaction():
        connection.execute(statements["hurry"].encode())
        locked = connection.execute(
            statements["try_lock"].encode(), {"lock": COMPACTION_LOCK}
        ).fetchone()
        if locked is None or not locked[0]:
            return None
        moved = connection.execute(
            statements["move_deltas"].encode(), {"limit": batch_rows}
        ).fetchone()
        return int(moved[0]) if moved else 0


class Compactor:
    """Compacts every few refreshes, and gives way where it may not.

    Args:
        every: Refreshes between two compactions.

    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._refreshes = 0
        self._complained = False

    def after_refresh(self, connection: psycopg.Connection) -> None:
        """Compact if it is time; a failure is logged once and costs nothing but table size."""
        self._refreshes += 1
        if self._refreshes % self._every:
            return
        try:
            compact(connection)
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
