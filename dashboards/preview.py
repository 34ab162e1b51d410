"""A dashboard without Grafana: its panels' values at one instant, drawn on its grid.

Reads the generated JSON, so what is shown is what Grafana would ask for: the same expressions,
units, lines and words for nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dashboards.expressions import CHANNEL, RATE_INTERVAL
from outbound_slo.embedded.prometheus_api import Sample

Ask = Callable[[str], Sequence[Sample]]
Json = Mapping[str, Any]

_SHORTEST_RATE = "1m"
"""Grafana's rate interval at the closest zoom: four scrapes of 15 s."""

_MINUTE, _HOUR = 60, 3600
_PLAIN = "none"
_SEVERITY = {_PLAIN: 0, "transparent": 0, "green": 1, "yellow": 2, "red": 3}


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

    """

    title: str
    row: int
    width: int
    readings: tuple[Reading, ...]
    nothing: str

    @property
    def colour(self) -> str:
        """The worst colour among its values."""
        colours = [reading.colour for reading in self.readings]
        return max(colours, key=lambda colour: _SEVERITY.get(colour, 0), default=_PLAIN)


def fill_variables(expression: str, channel: str) -> str:
    """Put values in the place of Grafana's variables."""
    return expression.replace(CHANNEL, channel).replace(RATE_INTERVAL, _SHORTEST_RATE)


def read_dashboard(document: Json, ask: Ask, channel: str) -> list[PanelReading]:
    """Ask for the current values of every panel.

    Args:
        document: The dashboard's JSON.
        ask: Evaluates an expression now.
        channel: The channel to show, in lower case.

    """
    return [
        PanelReading(
            title=panel["title"],
            row=panel["gridPos"]["y"],
            width=panel["gridPos"]["w"],
            readings=tuple(_read_panel(panel, ask, channel)),
            nothing=panel["fieldConfig"]["defaults"].get("noValue", "No data"),
        )
        for panel in document["panels"]
        if panel.get("type") != "row"
    ]


def _read_panel(panel: Json, ask: Ask, channel: str) -> Iterator[Reading]:
    defaults = panel["fieldConfig"]["defaults"]
    for target in panel["targets"]:
        for sample in ask(fill_variables(target["expr"], channel)):
            text, colour = show_value(sample.value, defaults)
            yield Reading(_name_series(target, sample.labels), sample.value, text, colour)


def show_value(value: float, defaults: Json) -> tuple[str, str]:
    """Give a value's text and colour by a panel's field defaults (mappings, unit, thresholds)."""
    for mapping in defaults.get("mappings", []):
        mapped = mapping["options"].get(f"{value:g}")
        if mapped:
            return mapped["text"], mapped["color"]
    steps = defaults.get("thresholds", {"steps": []})["steps"]
    colour = _PLAIN
    for step in steps:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return format_value(value, defaults.get("unit", "short")), colour


def format_value(value: float, unit: str) -> str:
    """Write a value with its unit (Grafana's ids `s`, `percent`, `short`) for people."""
    if unit == "percent":
        return f"{value:.1f} %"
    if unit == "s":
        return _format_seconds(value)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"


def _format_seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < _MINUTE:
        return f"{value:.1f} s"
    if value < _HOUR:
        return f"{value / _MINUTE:.1f} min"
    return f"{value / _HOUR:.1f} h"


def _name_series(target: Json, labels: Mapping[str, str]) -> str:
    if target["format"] == "table":
        return " ".join(labels.values())
    name: str = target["legendFormat"]
    for label, value in labels.items():
        name = name.replace(f"{{{{{label}}}}}", value)
    return name


def draw_dashboard(title: str, panels: Sequence[PanelReading]) -> RenderableType:
    """Draw the panels row by row, as wide as their places on the grid."""
    rows: list[RenderableType] = [Text(title, style="bold")]
    for _, members in groupby(panels, key=lambda panel: panel.row):
        side_by_side = list(members)
        row = Table.grid(expand=True)
        for panel in side_by_side:
            row.add_column(ratio=panel.width)
        row.add_row(*(_draw_panel(panel) for panel in side_by_side))
        rows.append(row)
    return Group(*rows)


def _draw_panel(panel: PanelReading) -> Panel:
    lines = Table.grid(expand=True, padding=(0, 1))
    lines.add_column(overflow="fold")
    lines.add_column(justify="right", no_wrap=True)
    for reading in panel.readings:
        lines.add_row(reading.name, Text(reading.text, style=_style(reading.colour)))
    if not panel.readings:
        lines.add_row(Text(panel.nothing, style="dim"), "")
    return Panel(lines, title=panel.title, title_align="left", border_style=_style(panel.colour))


def _style(colour: str) -> str:
    """Give rich's style for a colour; "transparent" is Grafana's word for an unmarked range."""
    return "" if colour in {_PLAIN, "transparent"} else colour
