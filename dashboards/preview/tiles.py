"""Stat and gauge panels: each series reduced to one number on a tile or a dial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.preview.charts import Curve
from dashboards.preview.values import format_value, reduce_values, show

Json = Mapping[str, Any]

_FULL = 100.0
_SPARK_POINTS = 120
_NEWEST = frozenset({"last", "lastNotNull"})


@dataclass(frozen=True, slots=True)
class Arc:
    """A stretch of a dial between two shares of its whole, and its colour."""

    start: float
    end: float
    colour: str


@dataclass(frozen=True, slots=True)
class Dial:
    """A dial: how far its hand is (0 to 1), its thresholds, and what its ends are called."""

    share: float
    arcs: tuple[Arc, ...]
    least: str
    most: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One number.

    Attributes:
        name: Of its series; shown where `named`.
        text: The number with its unit, or the word that it is mapped to.
        colour: Grafana's name or hex code; "none" if unmarked.
        curve: Its course over the range; empty where none is drawn.
        dial: Of a gauge; None for a stat.
        seen_ms: When Prometheus had a number last, where it has none at the end of the range; None
            where it has.

    """

    name: str
    text: str
    colour: str
    named: bool
    curve: tuple[float | None, ...] = ()
    dial: Dial | None = None
    seen_ms: int | None = None


def build_tiles(
    panel: Json, curves: Sequence[Curve], start_s: float, step_s: float
) -> tuple[Tile, ...]:
    """Build what a stat or gauge panel shows: a tile for each series."""
    options = panel.get("options", {})
    calc = next(iter(options.get("reduceOptions", {}).get("calcs", [])), "lastNotNull")
    is_gauge = panel["type"] == "gauge"
    mode = options.get("textMode", "auto")
    named = is_gauge or mode in {"value_and_name", "name"} or (mode == "auto" and len(curves) > 1)
    drawn = options.get("graphMode") == "area" and not is_gauge
    tiles = []
    for curve in curves:
        value = reduce_values(curve.values, calc)
        shown = show(value, curve.field)
        tiles.append(
            Tile(
                name=curve.name,
                text=curve.name if mode == "name" else shown.text,
                colour=shown.colour,
                named=named and mode != "name",
                curve=_thin(curve.values) if drawn else (),
                dial=_make_dial(value, curve.field) if is_gauge else None,
                seen_ms=_date(curve.values, start_s, step_s) if calc in _NEWEST else None,
            )
        )
    return tuple(tiles)


def _date(values: Sequence[float | None], start_s: float, step_s: float) -> int | None:
    """Tell when there was a value last, if there is none at the end.

    Prometheus itself takes a sample of five minutes ago for the present one, so no gap is small.
    The last step alone may be one that has not been scraped yet.
    """
    last = max((at for at, value in enumerate(values) if value is not None), default=None)
    if last is None or last >= len(values) - 2:
        return None
    return round((start_s + last * step_s) * 1000)


def _thin(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """Keep what a curve of the size of a thumb can show: the highest of each stretch."""
    size = -(-len(values) // _SPARK_POINTS)
    return tuple(
        reduce_values(values[start : start + size], "max") for start in range(0, len(values), size)
    )


def _make_dial(value: float | None, field: Json) -> Dial:
    unit, decimals = field.get("unit") or "short", field.get("decimals") or 0
    # Where nothing is said, a share ends at 1 and all else at 100, as on Grafana's dials.
    whole = 1.0 if unit == "percentunit" else _FULL
    least = float(field.get("min") or 0)
    most = float(whole if field.get("max") is None else field["max"])

    def place(number: float) -> float:
        return min(max((number - least) / (most - least), 0.0), 1.0) if most > least else 0.0

    steps = field.get("thresholds", {}).get("steps", [])
    starts = [0.0 if step["value"] is None else place(step["value"]) for step in steps]
    arcs = tuple(
        Arc(start, end, step["color"])
        for step, start, end in zip(steps, starts, [*starts, 1.0][1:], strict=True)
        if end > start
    )
    share = 0.0 if value is None else place(value)
    return Dial(
        share, arcs, format_value(least, unit, decimals), format_value(most, unit, decimals)
    )
