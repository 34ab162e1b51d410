"""Which organisations the rollup counts apart: few, chosen by people.

Each is a label's value on nine or more series, so there is an end to how many.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from exporter.complaint import show
from outbound_slo.database import connect, load_queries
from outbound_slo.vocabulary.mistakes import UserMistake

MOST_WATCHED = 50
"""Organisations that may be watched at a time: with three channels and outcomes, 450 series."""

LONGEST_NAME = 128
"""Characters of an organisation's id; the table has the same limit."""

_QUERIES = load_queries("exporter", "rollup/organisations.sql")


@dataclass(frozen=True, slots=True)
class Organisation:
    """One that is watched.

    Attributes:
        org_id: As its messages have it.
        since: From when on its messages are counted.

    """

    org_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is watched now, and what a command did.

    Attributes:
        organisations: All that are watched, by name.
        changed: Those that the command added or took away.
        strangers: Those that it added and that have no message, which may be misspelt.

    """

    organisations: Sequence[Organisation]
    changed: Sequence[str] = ()
    strangers: Sequence[str] = ()


def read_watch(conninfo: str) -> Watch:
    """Tell who is watched.

    Raises:
        UserMistake: The database can't be reached, or its rollup counts no organisations.
        psycopg.Error: The role may not.

    """
    with connect(conninfo, autocommit=True) as connection:
        _check_rollup(connection)
        return Watch(_list(connection))


def watch(conninfo: str, names: Sequence[str]) -> Watch:
    """Count organisations apart from now on; those that are watched already go on.

    Args:
        conninfo: Where the database is; the role must own the rollup's tables.
        names: Their ids.

    Raises:
        UserMistake: A name can't be a label, there would be too many, the database can't be
            reached, or its rollup counts no organisations. Nothing is changed then.
        psycopg.Error: The role may not.

    """
    for name in names:
        _check_name(name)

    def choose(present: Sequence[str]) -> list[str]:
        added = sorted(set(names).difference(present))
        if len(present) + len(added) > MOST_WATCHED:
            raise UserMistake(
                f"{MOST_WATCHED} organisations may be watched; {len(present)} are, and "
                f"{len(added)} would come",
                "Let go of some first: 'outbound-slo exporter watched' lists them",
            )
        return added

    return _change(conninfo, "watch", choose)


def unwatch(conninfo: str, names: Sequence[str]) -> Watch:
    """Count organisations apart no longer; what was counted stays, for when they are watched again.

    Args:
        conninfo: Where the database is; the role must own the rollup's tables.
        names: Their ids.

    Raises:
        UserMistake: One is not watched, the database can't be reached, or its rollup counts no
            organisations. Nothing is changed then.
        psycopg.Error: The role may not.

    """

    def choose(present: Sequence[str]) -> list[str]:
        unknown = sorted(set(names).difference(present))
        if unknown:
            raise UserMistake(
                f"Nobody watches {', '.join(map(show, unknown))}",
                "'outbound-slo exporter watched' lists those that are watched",
            )
        return sorted(set(names))

    return _change(conninfo, "unwatch", choose)


def _change(
    conninfo: str, statement: str, choose: Callable[[Sequence[str]], Sequence[str]]
) -> Watch:
    with connect(conninfo, autocommit=True) as connection:
        _check_rollup(connection)
        with connection.transaction():
            connection.execute(_QUERIES["lock"].encode())
            chosen = choose([each.org_id for each in _list(connection)])
            names = {"organisations": list(chosen)}
            connection.execute(_QUERIES[statement].encode(), names)
            organisations = _list(connection)
        strangers = connection.execute(_QUERIES["strangers"].encode(), names).fetchall()
        told = [name for (name,) in strangers] if statement == "watch" else []
        return Watch(organisations, chosen, told)


def _list(connection: psycopg.Connection) -> Sequence[Organisation]:
    rows = connection.execute(_QUERIES["list"].encode()).fetchall()
    return [Organisation(*row) for row in rows]


def _check_rollup(connection: psycopg.Connection) -> None:
    row = connection.execute(_QUERIES["is_there"].encode()).fetchone()
    if row is None or not row[0]:
        raise UserMistake(
            "The rollup of this database counts no organisations",
            "Run 'outbound-slo exporter rollup install'",
        )


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UserMistake(
            f"{show(name)} can't be the name of an organisation on a page of metrics",
            f"Give 1 to {LONGEST_NAME} characters that can be printed",
        )
