"""How much of the queue's tables is dead weight, and who keeps vacuum from taking it away (001)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import psycopg
from psycopg.rows import class_row, dict_row

from operations.tables import TABLES
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.thresholds import (
    UPKEEP_DEAD_ROWS,
    UPKEEP_DEAD_SHARE,
    UPKEEP_FROZEN_AGE,
    UPKEEP_PREPARED,
    UPKEEP_TRANSACTION,
)

_QUERIES = load_queries("operations", "sql/maintenance.sql")


@dataclass(frozen=True, slots=True)
class Advice:
    """What is over a line, and the command that mends it."""

    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class TableState:
    """One table as PostgreSQL's statistics have it.

    Attributes:
        name: Its name.
        total_bytes: Size with indexes and TOAST.
        table_bytes: Size without indexes.
        index_bytes: Size of the indexes.
        live_rows: Estimate.
        dead_rows: Estimate; rows that nobody sees any more.
        vacuumed_at: Last vacuum, by hand or by autovacuum; None: never.
        analyzed_at: Last analysis; None: never.
        frozen_age: Transactions since the oldest one in it.
        freeze_max_age: Age at which autovacuum vacuums it whatever else is set.

    """

    name: str
    total_bytes: int
    table_bytes: int
    index_bytes: int
    live_rows: int
    dead_rows: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    frozen_age: int
    freeze_max_age: int

    @property
    def dead_share(self) -> float:
        """Dead rows in percent of all rows; 0 for an empty table."""
        rows = self.live_rows + self.dead_rows
        return 100.0 * self.dead_rows / rows if rows else 0.0

    def advise(self) -> tuple[Advice, ...]:
        """Say what is over a line."""
        mend = f"outbound-slo ops maintenance vacuum {self.name}"
        found = []
        if UPKEEP_DEAD_ROWS.holds(self.dead_rows) and UPKEEP_DEAD_SHARE.holds(self.dead_share):
            found.append(f"{self.dead_share:.0f} % of its rows are dead")
        if UPKEEP_FROZEN_AGE.holds(100.0 * self.frozen_age / self.freeze_max_age):
            found.append(f"its oldest transaction lies {self.frozen_age:,} back, and is not frozen")
        # A table of few rows is read as a whole, whatever the planner believes.
        if self.analyzed_at is None and UPKEEP_DEAD_ROWS.holds(self.live_rows):
            found.append("it was never analyzed: the planner guesses")
        return tuple(Advice(f"{self.name}: {what}", mend) for what in found)


class HolderKind(StrEnum):
    """What keeps dead rows from being removed."""

    TRANSACTION = "transaction"
    PREPARED = "prepared transaction"
    SLOT = "replication slot"


@dataclass(frozen=True, slots=True)
class Holder:
    """One that holds vacuum back.

    Attributes:
        kind: What it is.
        name: Process id, global id or slot's name.
        who: Application and role; a slot's consumer is unknown.
        state: As PostgreSQL calls it: active, idle in transaction, inactive, …
        age_s: Seconds since it began; None for a slot.
        transactions_behind: How many transactions its snapshot lies back; None where it has none.

    """

    kind: HolderKind
    name: str
    who: str
    state: str
    age_s: float | None
    transactions_behind: int | None

    def advise(self) -> tuple[Advice, ...]:
        """Say whether it is over its line, and how to be rid of it."""
        quoted = self.name.replace("'", "''")
        age = self.age_s or 0.0
        match self.kind:
            case HolderKind.TRANSACTION if UPKEEP_TRANSACTION.holds(age):
                what = f"the transaction of process {self.name} ({self.who}) is old"
                mend = f"let it end, or: SELECT pg_terminate_backend({self.name})"
            case HolderKind.PREPARED if UPKEEP_PREPARED.holds(age):
                what = f"the prepared transaction {self.name} was never ended"
                mend = f"ask its owner, then: ROLLBACK PREPARED '{quoted}'"
            case HolderKind.SLOT if self.state != "active":
                what = f"nobody reads the replication slot {self.name}"
                mend = f"if nobody will: SELECT pg_drop_replication_slot('{quoted}')"
            case _:
                return ()
        return (Advice(what, mend),)


@dataclass(frozen=True, slots=True)
class Bloat:
    """Tables, largest first, and what holds vacuum back, oldest first."""

    tables: Sequence[TableState]
    holders: Sequence[Holder]

    @property
    def advice(self) -> tuple[Advice, ...]:
        """All that is over a line; holders first, since no vacuum helps while they are there."""
        subjects: tuple[Holder | TableState, ...] = (*self.holders, *self.tables)
        return tuple(advice for subject in subjects for advice in subject.advise())


def read_bloat(connection: psycopg.Connection) -> Bloat:
    """Read the statistics of our tables and look who holds vacuum back."""
    with connection.cursor(row_factory=class_row(TableState)) as cursor:
        cursor.execute(_QUERIES["tables"].encode(), {"names": list(TABLES)})
        tables = cursor.fetchall()
    return Bloat(tables, read_holders(connection))


def read_holders(connection: psycopg.Connection) -> list[Holder]:
    """Find transactions, prepared transactions and slots that hold back this database's vacuum."""
    holders: list[Holder] = []
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(_QUERIES["transactions"].encode()).fetchall():
            who = f"{row['application']}, {row['role']}" if row["role"] else row["application"]
            holders.append(
                Holder(
                    HolderKind.TRANSACTION,
                    str(row["pid"]),
                    who,
                    row["state"],
                    row["age_s"],
                    row["transactions_behind"],
                )
            )
        holders.extend(
            Holder(
                HolderKind.PREPARED,
                row["gid"],
                row["role"],
                "prepared",
                row["age_s"],
                row["transactions_behind"],
            )
            for row in cursor.execute(_QUERIES["prepared"].encode()).fetchall()
        )
        holders.extend(
            Holder(
                HolderKind.SLOT,
                row["name"],
                "",
                "active" if row["active"] else "inactive",
                None,
                row["transactions_behind"],
            )
            for row in cursor.execute(_QUERIES["slots"].encode()).fetchall()
        )
    return holders
