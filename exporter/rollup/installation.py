"""Putting the rollup into a database that is at work, and taking it out again.

A trigger is made under a lock that waits for running writers, and everyone who comes later waits
behind it. So the wait is cut short and tried again, and what is there already is counted afterwards
without any lock (`exporter.rollup.verification`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from exporter.migrations import rollup_migrations
from exporter.rollup.verification import Verdict, find_missing_triggers, verify
from outbound_slo.database import connect, load_queries, migrate
from outbound_slo.vocabulary.mistakes import UserMistake

_STATEMENTS = "rollup/statements.sql"
# A migration takes the locks of two tables, one after the other, and a writer may wait for both.
_LOCKS = 2
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to hold up writers, and how often to come again.

    Attributes:
        lock_timeout_ms: No writer waits longer than this for one of our tries, in milliseconds.
        tries: After so many it is given up.
        pause: Called between two tries.

    """

    lock_timeout_ms: int
    tries: int
    pause: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Installation:
    """What was done.

    Attributes:
        applied: Migrations applied now.
        restored: Triggers that were missing or switched off and are back.
        verdict: What the count found, and put right.

    """

    applied: Sequence[str]
    restored: Sequence[str]
    verdict: Verdict


def install(conninfo: str, patience: Patience) -> Installation:
    """Install the rollup, or complete what is there, and count what the tables hold.

    Args:
        conninfo: Where the database is; the role must own the tables.
        patience: How long to hold up writers.

    Raises:
        UserMistake: The tables are missing, partitioned or lack columns, or their lock could not
            be had in any try.
        psycopg.Error: The role may not.

    """
    with connect(conninfo, autocommit=True) as connection:
        _check_tables(connection)
    hurried = _with_lock_timeout(conninfo, patience.lock_timeout_ms // _LOCKS)
    applied = _insist(patience, lambda: migrate(hurried, rollup_migrations()))
    restored = _restore_triggers(conninfo, patience)
    return Installation(applied, restored, verify(conninfo, repair=True))


def remove(conninfo: str, patience: Patience) -> None:
    """Take the rollup out; its counters are lost.

    Raises:
        UserMistake: The tables' lock could not be had in any try.
        psycopg.Error: The role may not.

    """
    statements = load_queries("exporter", _STATEMENTS)

    def drop() -> None:
        with connect(conninfo, autocommit=True) as connection, connection.transaction():
            _hurry(connection, patience.lock_timeout_ms // _LOCKS)
            connection.execute(statements["remove_triggers"].encode())
            connection.execute(statements["remove_rest"].encode())

    _insist(patience, drop)


def _check_tables(connection: psycopg.Connection) -> None:
    statements = load_queries("exporter", _STATEMENTS)
    for name, kind, has_heirs in connection.execute(statements["tables"].encode()).fetchall():
        if kind is None:
            raise UserMistake(
                f"There is no table {name} in this database",
                "Run 'outbound-slo db migrate', or point DATABASE_URL at the outbox",
            )
        if kind != "r" or has_heirs:
            raise UserMistake(
                f"{name} is partitioned, and changes of its partitions would escape the rollup",
                "Serve this database with a pack of your own that counts rows; see docs/rollup.md",
            )
    missing = connection.execute(statements["missing_columns"].encode()).fetchall()
    if missing:
        names = ", ".join(f"{table}.{column}" for table, column in missing)
        raise UserMistake(
            f"The rollup needs columns that are not there: {names}",
            "Add them: docs/rollup.md has the statement; an outbox of this project gets them by "
            "'outbound-slo db migrate'",
        )


def _restore_triggers(conninfo: str, patience: Patience) -> Sequence[str]:
    statements = load_queries("exporter", _STATEMENTS)
    with connect(conninfo, autocommit=True) as connection:
        missing = find_missing_triggers(connection)

    def put_back(name: str) -> None:
        with connect(conninfo, autocommit=True) as connection, connection.transaction():
            _hurry(connection, patience.lock_timeout_ms)
            connection.execute(statements[name].encode())

    for name in missing:
        _insist(patience, partial(put_back, name))
    return missing


def _hurry(connection: psycopg.Connection, lock_timeout_ms: int) -> None:
    statement = load_queries("exporter", _STATEMENTS)["hurry"]
    connection.execute(statement.encode(), {"lock_timeout": f"{lock_timeout_ms}ms"})


def _with_lock_timeout(conninfo: str, lock_timeout_ms: int) -> str:
    given = conninfo_to_dict(conninfo).get("options") or ""
    return make_conninfo(conninfo, options=f"{given} -c lock_timeout={lock_timeout_ms}ms".strip())


def _insist(patience: Patience, work: Callable[[], _Result]) -> _Result:
    """Try until no lock is in the way."""
    for remaining in reversed(range(patience.tries)):
        try:
            return work()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            pass
        except UserMistake as mistake:
            if not isinstance(mistake.__cause__, psycopg.errors.LockNotAvailable):
                raise
        if remaining:
            patience.pause()
    raise UserMistake(
        f"A transaction held the outbox's tables in each of {patience.tries} tries of "
        f"{patience.lock_timeout_ms} ms",
        "Find it in pg_stat_activity, or try again with more --tries or a longer --lock-timeout-ms",
    )
