"""Recounting the outbox: proves that the rollup is right, and puts it right where it is not.

Triggers cannot see everything (docs/rollup.md lists what). A recount reads rows and rollup in one
snapshot, where a change and its delta are visible together, so it is exact under writers and holds
nobody up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from outbound_slo.database import connect, load_queries
from outbound_slo.vocabulary.mistakes import UserMistake

VERIFICATION_LOCK = 0x7665_7269  # "veri": any number works, as long as our versions agree.


@dataclass(frozen=True, slots=True)
class Drift:
    """A state whose number is wrong.

    Attributes:
        channel: As in the database, in capitals.
        status: The messages' status.
        detail: A dead letter's code, `retry`, or empty.
        counted: How many messages there are.
        rolled_up: How many the rollup says.

    """

    channel: str
    status: str
    detail: str
    counted: int
    rolled_up: int

    @property
    def messages(self) -> int:
        """How many messages the rollup lacks; negative where it has too many."""
        return self.counted - self.rolled_up


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a recount found.

    Attributes:
        drifts: States that differ.
        missing_triggers: Names of triggers that are not there or are switched off.
        repaired: Whether the drifts were put right.

    """

    drifts: Sequence[Drift]
    missing_triggers: Sequence[str]
    repaired: bool

    @property
    def size(self) -> int:
        """How many messages stand wrong, counted once per state that they are wrong in."""
        return sum(abs(drift.messages) for drift in self.drifts)

    @property
    def sound(self) -> bool:
        """Whether the numbers are right now and will stay so."""
        return (self.repaired or not self.drifts) and not self.missing_triggers


def verify(conninfo: str, *, repair: bool) -> Verdict:
    """Recount all messages and compare.

    Args:
        conninfo: Where the database is; the role must own the rollup's tables.
        repair: Whether to put right what differs.

    Raises:
        UserMistake: The database can't be reached, or has no rollup.
        psycopg.Error: The role may not.

    """
    statements = load_queries("exporter", "rollup/statements.sql")
    with connect(conninfo, autocommit=True) as connection:
        row = connection.execute(statements["is_there"].encode()).fetchone()
        if row is None or not row[0]:
            raise UserMistake(
                "The rollup is not installed in this database",
                "Run 'outbound-slo exporter rollup install'",
            )
        connection.execute(statements["lock_verification"].encode(), {"lock": VERIFICATION_LOCK})
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            drifts = [Drift(*row) for row in connection.execute(statements["recount"].encode())]
            missing = find_missing_triggers(connection)
            verdict = Verdict(drifts, missing, repaired=repair and bool(drifts))
            if repair:
                for drift in drifts:
                    _correct(connection, statements["correct"], drift)
            connection.execute(
                statements["note_verified"].encode(),
                {
                    "drift": verdict.size,
                    "repaired": verdict.size if repair else 0,
                    "counted": (repair or not drifts) and not missing,
                },
            )
    return verdict


def find_missing_triggers(connection: psycopg.Connection) -> Sequence[str]:
    """Name the rollup's triggers that are not there, or that somebody switched off."""
    statements = load_queries("exporter", "rollup/statements.sql")
    rows = connection.execute(statements["triggers"].encode())
    return [name for name, works in rows if not works]


def _correct(connection: psycopg.Connection, statement: str, drift: Drift) -> None:
    connection.execute(
        statement.encode(),
        {
            "channel": drift.channel,
            "status": drift.status,
            "detail": drift.detail,
            "messages": drift.messages,
        },
    )
