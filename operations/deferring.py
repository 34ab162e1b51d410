"""Letting what is not urgent wait while a quota runs out, and letting it go (002, option C)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from operations.change import Applied, Group, Survey
from operations.undo import MOVED_ON
from outbound_slo.database import load_queries
from sender.audit import Operation
from sender.deferral import DEFER, defer_messages, release_messages

_QUERIES = load_queries("operations", "sql/quota.sql")

SPARED = ("urgent_alert", "appointment_reminder")
"""Templates that 002 leaves alone."""

LONGEST_H = 7 * 24.0
"""Longest deferral, in hours: as long as the audit keeps what a message's time was before."""

_MOST_GROUPS = 20


@dataclass(frozen=True, slots=True)
class Deferral:
    """The change that lets queued WhatsApp messages wait.

    Attributes:
        hours: How long, from the start of the operation.
        spared: Templates that go on.
        templates: These templates alone; None for all.
        org_id: One organisation; None for all.
        undoes: Nothing: it is no undo.

    """

    hours: float
    spared: tuple[str, ...] = SPARED
    org_id: str | None = None
    templates: tuple[str, ...] | None = None
    undoes: int | None = None

    @property
    def command(self) -> str:
        """See `Change`."""
        return DEFER

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {
            "hours": self.hours,
            "except_template": list(self.spared),
            "org_id": self.org_id,
            "template": self.templates and list(self.templates),
        }

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`."""
        with connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                _QUERIES["choose_deferrable"].encode(),
                {
                    "hours": self.hours,
                    "spared": list(self.spared),
                    "templates": self.templates and list(self.templates),
                    "org_id": self.org_id,
                    "command": DEFER,
                },
            )
            rows = cursor.fetchall()
        free = [row for row in rows if not row["expires"] and not row["deferred"]]
        expiring = sum(row["expires"] and not row["deferred"] for row in rows)
        deferred = sum(row["deferred"] for row in rows)
        warnings = []
        if expiring:
            warnings.append(f"{expiring:,} are left alone: they would expire meanwhile")
        if deferred:
            warnings.append(f"{deferred:,} are left alone: they are deferred already")
        return Survey(
            [row["id"] for row in free],
            "messages",
            f"to wait for {self.hours:g} hours; {self._tell_others()} go on",
            ("Org", "Template"),
            _group(free),
            tuple(warnings),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        done = defer_messages(connection, operation, keys, self.hours)
        return Applied(done, {MOVED_ON: len(keys) - done} if done < len(keys) else {})

    def _tell_others(self) -> str:
        if self.templates:
            return "urgent ones and those of other templates"
        return f"urgent ones, those without a template and {_list(self.spared)}"


@dataclass(frozen=True, slots=True)
class Release:
    """The change that lets deferred messages go.

    Attributes:
        org_id: One organisation; None for all.
        undoes: Nothing: it is no undo.

    """

    org_id: str | None = None
    undoes: int | None = None

    @property
    def command(self) -> str:
        """See `Change`."""
        return f"{DEFER} --end"

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {"org_id": self.org_id}

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`."""
        with connection.cursor(row_factory=dict_row) as cursor:
            asked = {"org_id": self.org_id, "command": DEFER}
            cursor.execute(_QUERIES["choose_deferred"].encode(), asked)
            rows = cursor.fetchall()
        return Survey(
            [row["id"] for row in rows],
            "messages",
            "to be due as they were before they were deferred",
            ("Org", "Template"),
            _group(rows),
            (),
            "what a sender has taken meanwhile",
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        done = release_messages(connection, operation, keys)
        return Applied(done, {MOVED_ON: len(keys) - done} if done < len(keys) else {})


def _group(rows: Sequence[Mapping[str, Any]]) -> tuple[Group, ...]:
    """Count by organisation and template, the most first; many small ones together."""
    counts = Counter((row["org_id"], row["template"]) for row in rows).most_common()
    shown = [Group(cells, rows) for cells, rows in counts[:_MOST_GROUPS]]
    rest = sum(rows for _, rows in counts[_MOST_GROUPS:])
    return (*shown, Group(("others", ""), rest)) if rest else tuple(shown)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "no template"
