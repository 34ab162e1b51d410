"""Dead letters into the archive, and out of it (001, DLQ procedure 3; 002, scenario 2; D33)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from operations.change import Applied, Group, Survey
from outbound_slo.database import load_queries
from sender.archive import Leftovers, Shelf, archive_dead, choose_leftovers, purge_archived
from sender.audit import KEEP_DAYS, Operation

_QUERIES = load_queries("operations", "sql/archiving.sql")
_HEADINGS = ("Channel", "Code", "Oldest")


@dataclass(frozen=True, slots=True)
class Archive:
    """The change that moves dead letters into the archive."""

    leftovers: Leftovers
    command: str = "dlq archive"
    undoes: int | None = None

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return _tell(self.leftovers)

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`."""
        keys = choose_leftovers(connection, Shelf.OUTBOX, self.leftovers)
        return Survey(
            keys,
            "dead letters",
            "to move to outbound_message_archive; their attempts go, and are kept for an undo",
            _HEADINGS,
            _count(connection, "outbox", keys),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        moved, there = archive_dead(connection, keys, self.leftovers.age_s, operation)
        gone = len(keys) - moved - there
        return Applied(moved, +Counter(already_in_archive=there, moved_on=gone))


@dataclass(frozen=True, slots=True)
class Purge:
    """The change that deletes rows of the archive, once `save` has them."""

    leftovers: Leftovers
    save: Callable[[psycopg.Connection, Sequence[int]], None] | None
    target: str | None = None
    command: str = "dlq purge"
    undoes: int | None = None

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return _tell(self.leftovers) | {"to": self.target}

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`."""
        keys = choose_leftovers(connection, Shelf.ARCHIVE, self.leftovers)
        effect = f"to be deleted; an undo brings them back within {KEEP_DAYS} days"
        return Survey(
            keys,
            "archived messages",
            f"to be written to {self.target}, then {effect}" if self.save else effect,
            _HEADINGS,
            _count(connection, "archive", keys),
            () if self.save or not keys else ("--to FILE would write them to a file before",),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""

        def save(ids: Sequence[int]) -> None:
            if self.save and ids:
                self.save(connection, ids)

        gone = purge_archived(connection, keys, operation, save)
        return Applied(gone, +Counter(moved_on=len(keys) - gone))


def _count(connection: psycopg.Connection, name: str, keys: Sequence[int]) -> tuple[Group, ...]:
    found = connection.execute(_QUERIES[name].encode(), {"ids": list(keys)})
    return tuple(
        Group((channel, code, oldest), messages) for channel, code, oldest, messages in found
    )


def _tell(leftovers: Leftovers) -> dict[str, object]:
    return {
        "days": round(leftovers.age_s / 86400, 3),
        "codes": leftovers.codes and list(leftovers.codes),
        "channel": leftovers.channel and leftovers.channel.value,
        "org": leftovers.org,
        "limit": leftovers.limit,
    }
