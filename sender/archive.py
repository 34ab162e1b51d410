"""Dead letters out of the outbox, and later out of the archive (001, DLQ procedure 3; 002; D33)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.statuses import Channel
from sender.audit import Operation, Relation, keep_rows, note_made

_QUERIES = load_queries("sender", "sql/archive.sql")


class Shelf(StrEnum):
    """Where dead letters lie."""

    OUTBOX = "outbox"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Which dead letters.

    Attributes:
        age_s: Seconds since they were last touched, at least.
        codes: Error codes; None for any.
        channel: One channel; None for all.
        org: One organisation; None for all.
        limit: Messages at most.

    """

    age_s: float
    codes: tuple[str, ...] | None = None
    channel: Channel | None = None
    org: str | None = None
    limit: int = 1_000_000


def choose_leftovers(
    connection: psycopg.Connection, shelf: Shelf, leftovers: Leftovers
) -> list[int]:
    """Find them, those first that were touched least lately.

    Raises:
        psycopg.Error: The database does not answer.

    """
    values: dict[str, object] = {
        "age_s": leftovers.age_s,
        "codes": leftovers.codes and list(leftovers.codes),
        "channel": leftovers.channel and leftovers.channel.value,
        "org": leftovers.org,
        "limit": leftovers.limit,
    }
    name = "choose_dead" if shelf is Shelf.OUTBOX else "choose_archived"
    return _read_ids(connection, name, values)


def archive_dead(
    connection: psycopg.Connection, ids: Sequence[int], age_s: float, operation: Operation
) -> tuple[int, int]:
    """Move dead letters into the archive in the caller's transaction; their attempts go.

    Returns:
        How many were moved, and how many were left since the archive has such a number.

    Raises:
        psycopg.Error: The database does not answer.

    """
    held = _read_ids(connection, "hold_dead", {"ids": list(ids), "age_s": age_s})
    there = set(_read_ids(connection, "find_archived", {"ids": held}))
    free = [number for number in held if number not in there]
    attempts = _read_ids(connection, "find_attempts", {"ids": free})
    with (
        keep_rows(connection, operation, Relation.MESSAGE, free),
        keep_rows(connection, operation, Relation.ATTEMPT, attempts),
    ):
        connection.execute(_QUERIES["archive"].encode(), {"ids": free})
    note_made(connection, operation, Relation.ARCHIVE, free, ("status", "updated_at"))
    return len(free), len(there)


def purge_archived(
    connection: psycopg.Connection,
    ids: Sequence[int],
    operation: Operation,
    save: Callable[[Sequence[int]], None],
) -> int:
    """Delete rows of the archive in the caller's transaction, once `save` has them; tells how many.

    Raises:
        psycopg.Error: The database does not answer.

    """
    held = _read_ids(connection, "hold_archived", {"ids": list(ids)})
    save(held)
    with keep_rows(connection, operation, Relation.ARCHIVE, held):
        connection.execute(_QUERIES["purge"].encode(), {"ids": held})
    return len(held)


def _read_ids(connection: psycopg.Connection, name: str, values: dict[str, object]) -> list[int]:
    return [number for (number,) in connection.execute(_QUERIES[name].encode(), values)]
