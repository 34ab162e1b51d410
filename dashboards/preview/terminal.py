"""A dashboard without Grafana: its panels' values at one instant, drawn on its grid.

Reads the generated JSON, so what is shown is what Grafana would ask for: the same expressions,
units, lines and words for nothing.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dashboards.preview.fields import (
    field_for,
    name_series,
    refuse_unknown,
    rename,
    words_for_nothing,
)
from dashboards.preview.tables import build_table
from dashboards.preview.values import PLAIN, show
from dashboards.preview.variables import fill
from dashboards.words import tame
from outbound_slo.embedded.prometheus_api import Sample
from outbound_slo.vocabulary.mistakes import UserMistake

Ask = Callable[[str], Sequence[Sample]]
Json = Mapping[str, Any]

# At the closest zoom: four scrapes of 15 s.
_BUILT_IN = MappingProxyType({"__rate_interval": "1m", "__interval": "15s", "__range": "6h"})
_LEAST_COLUMNS = 28
_SEVERITY = {PLAIN: 0, "transparent": 0, "green": 1, "yellow": 2, "orange": 3, "red": 4}
_INKS = {name: name for name in ("green", "yellow", "red")} | {"orange": "dark_orange"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a panel: the series' name, the value as text, and its colour ("none" if any)."""

    name: str
    value: float
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class PanelReading:
    """A panel's values at one instant.

    Attributes:
        title: The panel's title.
        row: Its y on the grid; panels of one row stand side by side.
        width: Its width in grid units, 24 to a row.
        readings: Its values; empty where Prometheus has none.
        nothing: What the panel says then.
        error: Why it could not be read, in one line; empty if all is well.

    """

    title: str
    row: int
    width: int
    readings: tuple[Reading, ...]
    nothing: str
    error: str = ""

    @property
    def colour(self) -> str:
        """The worst colour among its values; a panel that could not be read is red."""
        if self.error:
            return "red"
        colours = [reading.colour for reading in self.readings]
        return max(colours, key=lambda colour: _SEVERITY.get(colour, 0), default=PLAIN)


def fill_variables(expression: str, channel: str) -> str:
    """Put values in the place of Grafana's variables."""
    return _fill(expression, {"channel": channel})


def _fill(expression: str, values: Mapping[str, str]) -> str:
    return fill(expression, {**_BUILT_IN, **values}, escaped=True)


def read_dashboard(
    document: Json, ask: Ask, channel: str, variables: Mapping[str, str] | None = None
) -> list[PanelReading]:
    """Ask for the current values of every panel; what fails is told in its panel.

    Args:
        document: The dashboard's JSON.
        ask: Evaluates an expression now.
        channel: The channel to show, in lower case.
        variables: Values of the other variables, by name; Grafana's own are those of the last six
            hours at the closest zoom unless they are among them.

    """
    values = {**(variables or {}), "channel": channel}
    return [_read(panel, ask, values) for panel in document["panels"] if panel.get("type") != "row"]


def _read(panel: Json, ask: Ask, values: Mapping[str, str]) -> PanelReading:
    readings: tuple[Reading, ...] = ()
    error = ""
    try:
        refuse_unknown(panel)
        readings = tuple(_read_panel(panel, ask, values))
    except UserMistake as mistake:
        error = mistake.what
    return PanelReading(
        title=fill(panel.get("title", ""), values),
        row=panel["gridPos"]["y"],
        width=panel["gridPos"]["w"],
        readings=readings,
        nothing=words_for_nothing(panel),
        error=error,
    )


def _read_panel(panel: Json, ask: Ask, values: Mapping[str, str]) -> Iterator[Reading]:
    answers = [
        (target, ask(_fill(target["expr"], values)))
        for target in panel.get("targets", [])
        if not target.get("hide")
    ]
    if panel.get("type") == "table":
        yield from _read_rows(panel, answers, values)
        return
    for target, samples in answers:
        for sample in samples:
            name = name_series(target, sample.labels, values)
            field = field_for(panel, name)
            text, colour = show_value(sample.value, field)
            yield Reading(rename(name, field, sample.labels), sample.value, text, colour)


def _read_rows(
    panel: Json, answers: Sequence[tuple[Json, Sequence[Sample]]], values: Mapping[str, str]
) -> Iterator[Reading]:
    """Give a reading for each number in a table, named by the row's words and its column."""
    found = [(target["refId"], samples) for target, samples in answers]
    table = build_table(panel, found, values)
    several = sum(column.numeric for column in table.columns) > 1
    for row in table.rows:
        pairs = list(zip(table.columns, row, strict=True))
        words = [cell.text for column, cell in pairs if not column.numeric]
        for column, cell in pairs:
            if column.numeric and isinstance(cell.order, float) and math.isfinite(cell.order):
                name = " ".join([*words, *([column.name] if several else [])])
                yield Reading(name, cell.order, cell.text, cell.colour)


def show_value(value: float, field: Json) -> tuple[str, str]:
    """Give a value's text and colour by a field's mappings, unit and thresholds."""
    shown = show(value, field)
    return shown.text, shown.colour


def draw_dashboard(
    title: str, panels: Sequence[PanelReading], width: int, hint: str = ""
) -> RenderableType:
    """Draw the panels row by row, as wide as their places on the grid.

    Args:
        title: Above them.
        panels: What was read.
        width: Columns of the terminal; where a panel would get too few, a row becomes several.
        hint: What is to be known before any of it is believed.

    """
    rows: list[RenderableType] = [Text(tame(title), style="bold")]
    if hint:
        rows.append(Text(hint, style="red"))
    for _, members in groupby(panels, key=lambda panel: panel.row):
        for side_by_side in _part(list(members), width):
            row = Table.grid(expand=True)
            for panel in side_by_side:
                row.add_column(ratio=panel.width)
            row.add_row(*(_draw_panel(panel) for panel in side_by_side))
            rows.append(row)
    return Group(*rows)


def _part(row: Sequence[PanelReading], width: int) -> list[Sequence[PanelReading]]:
    """Part a row into as few lines as give each panel room, as even as they can be."""
    for lines in range(1, len(row) + 1):
        size = -(-len(row) // lines)
        parts = [row[start : start + size] for start in range(0, len(row), size)]
        narrowest = min(
            panel.width * width / sum(each.width for each in part)
            for part in parts
            for panel in part
        )
        if narrowest >= _LEAST_COLUMNS:
            return parts
    return [[panel] for panel in row]


def _draw_panel(panel: PanelReading) -> Panel:
    # As `Text`, since brackets in a plain string are rich's markup.
    lines = Table.grid(expand=True, padding=(0, 1))
    lines.add_column(overflow="fold")
    lines.add_column(justify="right", no_wrap=True)
    for reading in panel.readings:
        lines.add_row(
            Text(tame(reading.name)), Text(tame(reading.text), style=_style(reading.colour))
        )
    if panel.error:
        lines.add_row(Text(tame(panel.error), style="red"), "")
    elif not panel.readings:
        lines.add_row(Text(tame(panel.nothing), style="dim"), "")
    title = Text(tame(panel.title), overflow="ellipsis")
    return Panel(lines, title=title, title_align="left", border_style=_style(panel.colour))


def _style(colour: str) -> str:
    """Give rich's style for a colour; "transparent" is Grafana's word for an unmarked range."""
    return _INKS.get(colour, "")
