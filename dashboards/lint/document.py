"""A dashboard's JSON as the lint reads it: ours, or a file of whose form nothing is known."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from dashboards.files import read_file
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus

Json = dict[str, Any]

VARIABLE: Final = re.compile(r"\$\{(\w+)(?:[.:][^}]*)?\}|\$(\w+)|\[\[(\w+)(?::\w+)?\]\]")
"""The three spellings of Grafana's variables."""

_FARTHEST: Final = 10_000
_DURATIONS: Final = frozenset({"__rate_interval", "__interval", "__range"})
# Values that the lint of labels compares with those that a label can have.
_CHOICES: Final = {
    "channel": Channel.WHATSAPP.label,
    "status": MessageStatus.QUEUED.label,
    "outcome": AttemptOutcome.FAILED.label,
}
# A length that nobody writes by hand, so that a range which follows the zoom is recognised.
PROBE: Final = "7919s"
"""Stands for a range that Grafana chooses, wherever an expression is parsed."""


@dataclass(frozen=True)
class Query:
    """A query: of a panel, of an annotation or of a variable."""

    where: str
    document: Json

    @property
    def expression(self) -> str:
        """Its PromQL as written; empty for another kind of query."""
        found = self.document.get("expr", "")
        return found if isinstance(found, str) else ""

    @property
    def filled(self) -> str:
        """Its PromQL with something in the place of Grafana's variables."""
        return fill(self.expression)


@dataclass(frozen=True)
class Panel:
    """A panel, also one that lies in a collapsed row."""

    document: Json

    @property
    def id(self) -> int | None:
        """Its number; None where it has none."""
        found = self.document.get("id")
        return found if isinstance(found, int) else None

    @property
    def title(self) -> str:
        """Its title."""
        return str(self.document.get("title") or "")

    @property
    def type(self) -> str:
        """Its type."""
        return str(self.document.get("type") or "")

    @property
    def name(self) -> str:
        """Number and title, for findings."""
        return f"{'?' if self.id is None else self.id} {self.title or '(no title)'}"

    @property
    def defaults(self) -> Json:
        """Settings of its fields."""
        found = mapping(self.document.get("fieldConfig")).get("defaults")
        return mapping(found)

    @property
    def overrides(self) -> Sequence[Json]:
        """Settings of single fields: each a property with its id and value."""
        configured = mapping(self.document.get("fieldConfig")).get("overrides")
        return [
            setting for each in mappings(configured) for setting in mappings(each.get("properties"))
        ]

    @property
    def queries(self) -> Sequence[Query]:
        """What it asks."""
        return [
            Query(str(each.get("refId", "?")), each)
            for each in mappings(self.document.get("targets"))
        ]

    @property
    def place(self) -> tuple[int, int, int, int] | None:
        """Left, top, width and height in grid units; None where they are none of a page's."""
        found = mapping(self.document.get("gridPos"))
        sides = [found.get(side) for side in ("x", "y", "w", "h")]
        x, y, width, height = (side if isinstance(side, int) else -1 for side in sides)
        is_place = min(x, y) >= 0 and min(width, height) > 0
        # The places of a grid are counted one by one.
        return (x, y, width, height) if is_place and max(y, height) <= _FARTHEST else None


@dataclass(frozen=True)
class Document:
    """A dashboard.

    Attributes:
        file: Where it comes from, for findings.
        json: What Grafana loads.

    """

    file: str
    json: Json

    @property
    def uid(self) -> str:
        """Its uid; empty where it has none."""
        return str(self.json.get("uid") or "")

    @property
    def name(self) -> str:
        """Its uid, or its file where it has none."""
        return self.uid or self.file

    @property
    def title(self) -> str:
        """Its title."""
        return str(self.json.get("title") or "")

    @cached_property
    def everything(self) -> Sequence[Panel]:
        """Panels and headings from top to bottom, those of collapsed rows below their row."""
        found: list[Panel] = []
        for each in mappings(self.json.get("panels")):
            found += [Panel(each), *map(Panel, mappings(each.get("panels")))]
        return found

    @property
    def panels(self) -> Sequence[Panel]:
        """Panels without headings."""
        return [panel for panel in self.everything if panel.type != "row"]

    @property
    def variables(self) -> Sequence[Json]:
        """Its variables."""
        return mappings(mapping(self.json.get("templating")).get("list"))

    @property
    def annotations(self) -> Sequence[Query]:
        """Queries of its annotations."""
        listed = mappings(mapping(self.json.get("annotations")).get("list"))
        return [Query(str(each.get("name", "?")), each) for each in listed]

    def list_queries(self) -> Iterator[tuple[Panel | None, Query]]:
        """Give every query that has PromQL, with its panel; None for an annotation's."""
        for panel in self.panels:
            for query in panel.queries:
                if query.expression:
                    yield panel, query
        for query in self.annotations:
            if query.expression:
                yield None, query


def read_document(path: Path) -> Document:
    """Read a file; raises `UserMistake` as `read_file` does."""
    return Document(path.name, read_file(path))


def fill(expression: str) -> str:
    """Put something that parses in the place of Grafana's variables."""
    return VARIABLE.sub(_sample, expression)


def _sample(found: re.Match[str]) -> str:
    name = next(group for group in found.groups() if group)
    if name in _DURATIONS:
        return PROBE
    return "1" if name.startswith("__") else _CHOICES.get(name, "x")


def mapping(value: object) -> Json:
    """Give a JSON object, or an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[Json]:
    """Give the objects of a list, or none where it is something else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def list_texts(value: object) -> Iterator[str]:
    """Give every text within a JSON value."""
    match value:
        case str():
            yield value
        case Mapping():
            for inner in value.values():
                yield from list_texts(inner)
        case list():
            for inner in value:
                yield from list_texts(inner)
