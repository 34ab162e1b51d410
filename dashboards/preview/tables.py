"""Tables: from the answers of a panel's queries to sorted rows of cells. Pure.

The transformations are Grafana's `merge` and `organize`; the panels use no others.
"""

import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashboards.preview.fields import Link, field_for, list_links
from dashboards.preview.values import PLAIN, map_value, show
from outbound_slo.embedded.prometheus_api import Sample

Json = Mapping[str, Any]
Row = dict[str, float | str]
Frame = list[Row]

TIME = "Time"
VALUE = "Value"
_NO_CELL = "-"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: As people see it.
        colour: Grafana's name or hex code; "none" if unmarked.
        order: What its column is sorted by.
        links: Where it leads.

    """

    text: str
    colour: str
    order: float | str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `paint` says where a cell's colour goes: nowhere (auto), the text or behind it."""

    name: str
    numeric: bool
    paint: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order in which they are shown; `sorted_by` is a column's place, -1 if none."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sorted_by: int = -1
    descending: bool = False


def build_table(
    panel: Json, answers: Sequence[tuple[str, Sequence[Sample]]], values: Mapping[str, str]
) -> Table:
    """Build what a table panel shows.

    Args:
        panel: The panel.
        answers: The samples of each query, by its letter, in their order.
        values: Values of the variables, for links.

    """
    frames = [
        _read_frame(samples, VALUE if len(answers) == 1 else f"{VALUE} #{letter}")
        for letter, samples in answers
    ]
    for transformation in panel.get("transformations", []):
        if transformation["id"] == "merge":
            frames = [merge_frames(frames)]
    # Without a merge Grafana shows one frame at a time, the first one to begin with.
    shown = frames[0] if frames else []
    names = list(dict.fromkeys(name for row in shown for name in row))
    titles = {name: name for name in names}
    for transformation in panel.get("transformations", []):
        if transformation["id"] == "organize":
            names, titles = _organize(names, transformation.get("options", {}))
    return _sort(_lay_out(panel, shown, names, titles, values), panel.get("options", {}))


def _read_frame(samples: Sequence[Sample], value_name: str) -> Frame:
    labels = sorted({name for sample in samples for name in sample.labels if name != "__name__"})
    return [
        {
            TIME: sample.at,
            **{name: sample.labels.get(name, "") for name in labels},
            value_name: sample.value,
        }
        for sample in samples
    ]


def merge_frames(frames: Sequence[Frame]) -> Frame:
    """Join rows that contradict each other in no column; the others stay for themselves.

    The rows of one frame have the same columns. They are looked up by what they share with the
    rows before them, since customers may be thousands.
    """
    merged: Frame = []
    for frame in frames:
        places: dict[tuple[str, ...], dict[tuple[float | str, ...], deque[int]]] = {}
        columns = frame[0].keys() if frame else ()
        for at, each in enumerate(merged):
            _note(places, each, columns, at)
        for row in frame:
            waiting = [
                places[shared][found]
                for shared in places
                if places[shared].get(found := tuple(row[name] for name in shared))
            ]
            if waiting:
                at = min(waiting, key=lambda each: each[0]).popleft()
                merged[at].update(row)
            else:
                at = len(merged)
                merged.append(dict(row))
            _note(places, merged[at], columns, at)
    return merged


def _note(
    places: dict[tuple[str, ...], dict[tuple[float | str, ...], deque[int]]],
    row: Row,
    columns: Collection[str],
    at: int,
) -> None:
    shared = tuple(name for name in columns if name in row)
    key = tuple(row[name] for name in shared)
    places.setdefault(shared, {}).setdefault(key, deque()).append(at)


def _organize(names: Sequence[str], options: Json) -> tuple[list[str], dict[str, str]]:
    excluded = options.get("excludeByName", {})
    places, titles = options.get("indexByName", {}), options.get("renameByName", {})
    kept = [name for name in names if not excluded.get(name)]
    # A stable sort: who has no place keeps its turn behind those that have one.
    kept.sort(key=lambda name: places.get(name, len(names) + len(places)))
    return kept, {name: titles.get(name) or name for name in kept}


def _lay_out(
    panel: Json,
    rows: Frame,
    names: Sequence[str],
    titles: Mapping[str, str],
    values: Mapping[str, str],
) -> Table:
    fields = {name: field_for(panel, titles[name], name) for name in names}
    shown = [name for name in names if not fields[name].get("custom", {}).get("hidden")]
    columns = tuple(
        Column(
            name=fields[name].get("displayName") or titles[name],
            numeric=name != TIME and any(isinstance(row.get(name), float) for row in rows),
            paint=fields[name].get("custom", {}).get("cellOptions", {}).get("type", "auto"),
        )
        for name in shown
    )
    cells = tuple(
        tuple(_make_cell(name, row.get(name), fields[name], values) for name in shown)
        for row in rows
    )
    return Table(columns, cells)


def _make_cell(
    name: str, value: float | str | None, field: Json, values: Mapping[str, str]
) -> Cell:
    raw = "" if value is None else f"{value:g}" if isinstance(value, float) else value
    links = list_links(field.get("links", []), {**values, "__value.raw": raw})
    if name == TIME and isinstance(value, float):
        return Cell(f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC", PLAIN, value)
    if isinstance(value, str):
        mapped = map_value(value, field)
        return Cell(mapped.get("text") or value, mapped.get("color") or PLAIN, value, links)
    if value is None and not field.get("noValue"):
        # A row that only some of the queries know: a dash, not the words for an empty panel.
        field = {**field, "noValue": _NO_CELL}
    shown = show(value, field)
    return Cell(shown.text, shown.colour, float("-inf") if value is None else value, links)


def _sort(table: Table, options: Json) -> Table:
    wanted = next(iter(options.get("sortBy") or []), None)
    names = [column.name for column in table.columns]
    if wanted is None or wanted.get("displayName") not in names:
        return table
    place, descending = names.index(wanted["displayName"]), bool(wanted.get("desc"))
    numeric = table.columns[place].numeric

    def order(row: tuple[Cell, ...]) -> tuple[float, str]:
        value = row[place].order
        if numeric and isinstance(value, float):
            # What is no number stands with what is not there.
            return (float("-inf") if math.isnan(value) else value, "")
        return 0.0, str(value)

    rows = tuple(sorted(table.rows, key=order, reverse=descending))
    return Table(table.columns, rows, place, descending)
