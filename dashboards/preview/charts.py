"""Time series panels: lines on a grid of instants, their axes, lines of thresholds and legend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.preview.fields import choose_colour, field_for
from dashboards.preview.values import reduce_values, show

Json = Mapping[str, Any]

_DIGITS = 6
_LEGEND_CALCS = {
    "lastNotNull": "Last *", "last": "Last", "firstNotNull": "First *", "first": "First",
    "max": "Max", "mean": "Mean", "min": "Min", "range": "Range", "sum": "Total",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Curve:
    """A series as it was asked for: its name, its field, a value (or None) each instant, labels."""

    name: str
    field: Json
    values: tuple[float | None, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """A series as it is drawn.

    Attributes:
        name: As the legend has it.
        colour: Grafana's name or hex code, or `palette:` and a number.
        values: One for each instant; None is a gap.
        unit: Grafana's id.
        decimals: Digits after the point; None for as many as tell something.
        right: Whether its axis is the right one.
        style: `line` or `bars`.
        width: Of the line, in pixels.
        fill: Opacity of the area below it, 0 to 100.
        stacked: Whether it stands on the lines before it.
        legend: Its reduced values as text, in the order of the chart's calcs.
        texts: Words for some values, by value, from mappings.

    """

    name: str
    colour: str
    values: tuple[float | None, ...]
    unit: str
    decimals: int | None
    right: bool
    style: str
    width: float
    fill: float
    stacked: bool
    legend: tuple[str, ...]
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Axis:
    """A vertical axis; `least` and `most` are None where the data decides.

    `reaches` is what it shows at least, data or not.
    """

    label: str
    unit: str
    decimals: int | None
    least: float | None
    most: float | None
    reaches: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """A panel of lines.

    Attributes:
        start_ms: The first instant.
        step_ms: From one instant to the next.
        lines: The series.
        left: The left axis.
        right: The right axis; None if no series is on it.
        steps: Thresholds as pairs of value (None for the lowest) and colour.
        mark_lines: Whether thresholds are drawn as lines.
        mark_areas: Whether their ranges are filled.
        calcs: Headings of the legend's columns.

    """

    start_ms: int
    step_ms: int
    lines: tuple[Line, ...]
    left: Axis
    right: Axis | None
    steps: tuple[tuple[float | None, str], ...]
    mark_lines: bool
    mark_areas: bool
    calcs: tuple[str, ...]


def build_chart(panel: Json, curves: Sequence[Curve], start_ms: int, step_s: float) -> Chart:
    """Build what a time series panel shows."""
    defaults = field_for(panel)
    calcs = [
        calc
        for calc in panel.get("options", {}).get("legend", {}).get("calcs", [])
        if calc in _LEGEND_CALCS
    ]
    lines = [_draw_line(curve, index, calcs) for index, curve in enumerate(curves)]
    fields = [curve.field for curve in curves]
    left = [field for field, line in zip(fields, lines, strict=True) if not line.right]
    right = [field for field, line in zip(fields, lines, strict=True) if line.right]
    style = defaults.get("custom", {}).get("thresholdsStyle", {}).get("mode", "off")
    steps = defaults.get("thresholds", {}).get("steps", [])
    return Chart(
        start_ms=start_ms,
        step_ms=round(step_s * 1000),
        lines=tuple(lines),
        left=_describe_axis(left[0] if left else defaults),
        right=_describe_axis(right[0]) if right else None,
        steps=tuple((step["value"], step["color"]) for step in steps),
        mark_lines="line" in style or "dashed" in style,
        mark_areas="area" in style,
        calcs=tuple(_LEGEND_CALCS[calc] for calc in calcs),
    )


def _draw_line(curve: Curve, index: int, calcs: Sequence[str]) -> Line:
    field, custom = curve.field, curve.field.get("custom", {})
    return Line(
        name=curve.name,
        colour=choose_colour(field, reduce_values(curve.values, "lastNotNull"), index),
        values=tuple(None if each is None else _shorten(each) for each in curve.values),
        unit=field.get("unit") or "short",
        decimals=field.get("decimals"),
        right=custom.get("axisPlacement") == "right",
        style="bars" if custom.get("drawStyle") == "bars" else "line",
        width=custom.get("lineWidth", 1),
        fill=custom.get("fillOpacity", 0),
        stacked=custom.get("stacking", {}).get("mode", "none") == "normal",
        legend=tuple(show(reduce_values(curve.values, calc), field).text for calc in calcs),
        texts={
            value: result["text"]
            for mapping in field.get("mappings", [])
            if mapping["type"] == "value"
            for value, result in mapping["options"].items()
            if result.get("text")
        },
    )


def _shorten(value: float) -> float:
    """Keep the digits that a screen can show; a day of points is a third smaller for it."""
    return float(f"{value:.{_DIGITS}g}")


def _describe_axis(field: Json) -> Axis:
    return Axis(
        label=field.get("custom", {}).get("axisLabel") or "",
        unit=field.get("unit") or "short",
        decimals=field.get("decimals"),
        least=field.get("min"),
        most=field.get("max"),
        reaches=field.get("custom", {}).get("axisSoftMax"),
    )
