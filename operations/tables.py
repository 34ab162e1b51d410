"""The tables and indexes that our migrations make, and what each table is to the queue."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from exporter.migrations import rollup_migrations
from outbound_slo.database import Migration, core_migrations
from outbound_slo.vocabulary.mistakes import UserMistake

_BLOCK = re.compile(r"^-- name:.*$", re.MULTILINE)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_INDEX = re.compile(
    r"\bCREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?"
    r"(?P<made>\w+)\s+ON\s+(?P<table>\w+)\s*[^;]*"
    r"|\bDROP\s+INDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+EXISTS\s+)?(?P<dropped>\w+)"
)
_HEAD = re.compile(
    r"^CREATE\s+(UNIQUE\s+)?INDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?", re.IGNORECASE
)


class Role(StrEnum):
    """What a table is to the queue, and so whether a backup holds it.

    QUEUE: without it the queue, or the watch over it, can't go on as it was; in every backup.
    DERIVED: counted from the others, and counted again after a restore.
    PASSING: senders write it anew within seconds.
    SCHEMA: says which migrations there are; `db migrate` writes it.
    """

    QUEUE = "queue"
    DERIVED = "derived"
    PASSING = "passing"
    SCHEMA = "schema"


TABLES: Mapping[str, Role] = MappingProxyType(
    {
        "dossier": Role.QUEUE,
        "outbound_message": Role.QUEUE,
        "outbound_attempt": Role.QUEUE,
        "outbound_message_archive": Role.QUEUE,
        "whatsapp_provider_config": Role.QUEUE,
        "whatsapp_rate_limit": Role.QUEUE,
        "whatsapp_session_window": Role.QUEUE,
        "consentement": Role.QUEUE,
        "contact_preferences": Role.QUEUE,
        "recipient_wish": Role.QUEUE,
        "message": Role.QUEUE,
        "provider_webhook": Role.QUEUE,
        "provider_webhook_health": Role.QUEUE,
        "provider_event_seen": Role.QUEUE,
        "provider_notice": Role.QUEUE,
        "whatsapp_template": Role.QUEUE,
        "outbound_switch": Role.QUEUE,
        "outbound_operation": Role.QUEUE,
        "outbound_operation_row": Role.QUEUE,
        "outbound_watched_organisation": Role.QUEUE,
        "outbound_sender": Role.PASSING,
        "outbound_idle_sender": Role.PASSING,
        "outbound_event_total": Role.DERIVED,
        "outbound_event_delta": Role.DERIVED,
        "outbound_message_delta": Role.DERIVED,
        "outbound_state_total": Role.DERIVED,
        "outbound_cohort_total": Role.DERIVED,
        "outbound_latency_edge": Role.DERIVED,
        "outbound_rollup": Role.DERIVED,
        "outbound_slo_migration": Role.SCHEMA,
    }
)
"""Every table of our migrations."""

BACKED_UP: tuple[str, ...] = tuple(name for name, role in TABLES.items() if role is Role.QUEUE)
"""What a backup holds."""


@dataclass(frozen=True, slots=True)
class PlannedIndex:
    """An index that a migration makes beside those of constraints.

    Attributes:
        name: Its name.
        table: Its table.
        migration: Component and number of the migration.
        statement: What makes it without holding up writers.

    """

    name: str
    table: str
    migration: tuple[str, int]
    statement: str


def all_planned_indexes() -> tuple[PlannedIndex, ...]:
    """Read from the migrations which indexes there have to be."""
    return plan_indexes([*core_migrations(), *rollup_migrations()])


def plan_indexes(migrations: Iterable[Migration]) -> tuple[PlannedIndex, ...]:
    """Follow what migrations make and drop; in the order of making."""
    planned: dict[str, PlannedIndex] = {}
    for migration in migrations:
        # Statements end with a semicolon, or where the next named block begins.
        text = _COMMENT.sub("", _BLOCK.sub(";", migration.text))
        for match in _INDEX.finditer(text):
            if match["dropped"]:
                planned.pop(match["dropped"], None)
                continue
            statement = _HEAD.sub(r"CREATE \1INDEX CONCURRENTLY ", " ".join(match[0].split()))
            planned[match["made"]] = PlannedIndex(
                match["made"], match["table"], (migration.component, migration.number), statement
            )
    return tuple(planned.values())


def choose_tables(wanted: Iterable[str], present: Iterable[str]) -> tuple[str, ...]:
    """Give the tables that a person named, or all of ours that are there, in the order of `TABLES`.

    Raises:
        UserMistake: One is none of ours, or is not in this database.

    """
    there, named = set(present), list(dict.fromkeys(wanted))
    for name in named:
        if name not in TABLES:
            raise UserMistake(
                f"{name} is no table of the outbox", "'outbound-slo ops maintenance bloat' has them"
            )
        if name not in there:
            raise UserMistake(
                f"The table {name} is not in this database", "Run 'outbound-slo db migrate'"
            )
    return tuple(name for name in TABLES if name in (named or there))
