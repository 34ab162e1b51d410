"""The indexes of the queue's tables: used, useless, broken, missing.

001's SQL for this names columns that pg_stat_user_indexes does not have.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import psycopg
from psycopg.rows import class_row

from operations.bloat import Advice
from operations.tables import TABLES, PlannedIndex, all_planned_indexes
from outbound_slo.database import load_queries

_QUERIES = load_queries("operations", "sql/maintenance.sql")
_LEFTOVER = re.compile(r"_cc(new|old)\d*$")


class Condition(StrEnum):
    """How an index is.

    IDLE: no query has used it since statistics began, on this server. Where a migration makes it,
    it stays: what it is for may be rare. Where none does, it costs every write for nothing.
    INVALID: a build of it was cut short; it costs writes and serves nobody.
    LEFTOVER: the same, made by REINDEX CONCURRENTLY beside the one that serves.
    BUILDING: a build is at work on its table.
    """

    USED = "used"
    IDLE = "idle"
    BUILDING = "building"
    INVALID = "invalid"
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True)
class IndexState:
    """One index.

    Attributes:
        table_name: The table it serves; also for an index of that table's TOAST table.
        index_name: Its name.
        schema_name: Its schema.
        bytes: Its size.
        scans: How often a query has used it.
        rows_read: Entries that those have read.
        valid: Whether queries may use it.
        unique: Whether it keeps rows apart, used or not.
        building: Whether some build is at work on the table.
        toast: Whether it is PostgreSQL's own, of a TOAST table.

    """

    table_name: str
    index_name: str
    schema_name: str
    bytes: int
    scans: int
    rows_read: int
    valid: bool
    unique: bool
    building: bool
    toast: bool

    @property
    def condition(self) -> Condition:
        """How it is."""
        if not self.valid:
            if self.building:
                return Condition.BUILDING
            return Condition.LEFTOVER if _LEFTOVER.search(self.index_name) else Condition.INVALID
        return Condition.USED if self.scans or self.unique or self.toast else Condition.IDLE


@dataclass(frozen=True, slots=True)
class IndexSurvey:
    """All indexes of our tables.

    Attributes:
        indexes: By table, the most used first.
        planned: Those that the applied migrations make.
        since: Since when scans are counted; None: since the database was made.

    """

    indexes: Sequence[IndexState]
    planned: Sequence[PlannedIndex]
    since: datetime | None

    @property
    def missing(self) -> tuple[PlannedIndex, ...]:
        """What a migration made and is gone."""
        there = {index.index_name for index in self.indexes}
        return tuple(each for each in self.planned if each.name not in there)

    @property
    def advice(self) -> tuple[Advice, ...]:
        """What has to be mended: broken and missing indexes."""
        broken = (
            Advice(
                f"{index.index_name} is {index.condition}: its build was cut short",
                f"outbound-slo ops maintenance reindex {index.table_name}",
            )
            for index in self.indexes
            if index.condition in {Condition.INVALID, Condition.LEFTOVER}
        )
        missing = (Advice(f"{each.name} is missing", each.statement) for each in self.missing)
        return (*broken, *missing)

    @property
    def hints(self) -> tuple[Advice, ...]:
        """What may be dropped: idle indexes that no migration makes."""
        ours = {each.name for each in self.planned}
        return tuple(
            Advice(
                f"{index.index_name} was never used on this server",
                f"DROP INDEX CONCURRENTLY {index.schema_name}.{index.index_name}",
            )
            for index in self.indexes
            if index.condition is Condition.IDLE and index.index_name not in ours
        )


def survey_indexes(connection: psycopg.Connection) -> IndexSurvey:
    """Read the indexes of our tables, and what the migrations that were applied have made."""
    applied = set(connection.execute(_QUERIES["applied"].encode()).fetchall())
    row = connection.execute(_QUERIES["statistics_since"].encode()).fetchone()
    return IndexSurvey(
        read_indexes(connection, list(TABLES)),
        [each for each in all_planned_indexes() if each.migration in applied],
        row[0] if row else None,
    )


def read_indexes(connection: psycopg.Connection, names: Sequence[str]) -> list[IndexState]:
    """Read the indexes of some tables."""
    with connection.cursor(row_factory=class_row(IndexState)) as cursor:
        cursor.execute(_QUERIES["indexes"].encode(), {"names": list(names)})
        return cursor.fetchall()
