"""How one number is shown: its text with unit, and its colour by mappings and thresholds."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from outbound_slo.vocabulary.mistakes import UserMistake

Json = Mapping[str, Any]

PLAIN = "none"
"""Colour of a value that no threshold and no mapping marks."""

_SIGNIFICANT = 3
_MOST_DECIMALS = 6
_SECONDS = (
    (60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (math.inf, 86_400, "d"),
)  # fmt: skip
_PARTS_OF_SECONDS = ((1e-3, 1e-6, "µs"), (1, 1e-3, "ms"))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_LARGE = ("", " K", " M", " B", " T")
_LARGE_FROM = 1e5
_SUFFIXES = {"": "", "none": "", "short": "", "cps": " /s", "reqps": " req/s"}
_TIMES = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_EXPONENT_FROM = 1e21
_DIGITS = (1, 2, 3)
_ENDS = (0.0, 100.0)


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as people see it; `colour` is Grafana's name or hex code, "none" if unmarked."""

    text: str
    colour: str


def show(value: float | None, field: Json) -> Shown:
    """Give a value's text and colour by a field's mappings, thresholds, unit and decimals."""
    mapped = map_value(value, field)
    if value is None:
        words = field.get("noValue") or "No data"
        return Shown(mapped.get("text") or words, mapped.get("color") or PLAIN)
    text = format_value(value, field.get("unit") or "short", field.get("decimals"))
    return Shown(mapped.get("text") or text, mapped.get("color") or threshold_colour(value, field))


def threshold_colour(value: float, field: Json) -> str:
    """Give the colour of the highest threshold that the value reached."""
    colour = PLAIN
    for step in field.get("thresholds", {}).get("steps", []):
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return colour


def map_value(value: float | str | None, field: Json) -> Json:
    """Find the first mapping (value, range, regex or special) that fits; empty if none does."""
    for mapping in field.get("mappings", []):
        options = mapping["options"]
        result = _MAPPERS[mapping["type"]](value, options) if mapping["type"] in _MAPPERS else None
        if result is not None:
            return result
    return {}


def _map_exactly(value: float | str | None, options: Json) -> Json | None:
    for key, result in options.items():
        if isinstance(value, str):
            fits = key == value
        else:
            fits = value is not None and _as_number(key) == value
        if fits:
            found: Json = result
            return found
    return None


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _map_range(value: float | str | None, options: Json) -> Json | None:
    number = _as_number(value) if isinstance(value, str) else value
    if number is None or math.isnan(number):
        return None
    low, high = options.get("from"), options.get("to")
    if (low is None or number >= low) and (high is None or number <= high):
        found: Json = options["result"]
        return found
    return None


def _map_special(value: float | str | None, options: Json) -> Json | None:
    is_nan = isinstance(value, float) and math.isnan(value)
    fits = {
        "null": value is None,
        "nan": is_nan,
        "null+nan": value is None or is_nan,
        "empty": value == "",
    }
    found: Json = options["result"]
    return found if fits.get(options.get("match", ""), False) else None


def search_pattern(pattern: str, text: str) -> re.Match[str] | None:
    """Search as Grafana does: `/pattern/flags` anywhere in a text, a pattern alone in its whole.

    Raises:
        UserMistake: The pattern can't be read.

    """
    found = re.fullmatch(r"/(.*)/([a-z]*)", pattern, re.DOTALL)
    inner, flags = (found[1], found[2]) if found else (rf"^{pattern}\Z", "")
    try:
        return re.search(inner, text, re.IGNORECASE if "i" in flags else 0)
    except re.error as failure:
        raise UserMistake(f"The preview can't read the pattern {pattern}: {failure}", "") from None


def _map_pattern(value: float | str | None, options: Json) -> Json | None:
    if not isinstance(value, str) or search_pattern(options.get("pattern", ""), value) is None:
        return None
    found: Json = options["result"]
    return found


_MAPPERS = {
    "value": _map_exactly,
    "range": _map_range,
    "regex": _map_pattern,
    "special": _map_special,
}


def format_value(value: float, unit: str = "short", decimals: int | None = None) -> str:
    """Write a number with its unit for people.

    Args:
        value: The number; need not be finite.
        unit: Grafana's id; written out are none, short, times such as s and ms, percent,
            percentunit, bytes, cps and reqps, others stand behind the number as they are.
        decimals: Digits after the point; as many as tell something if None.

    """
    if math.isnan(value):
        return "NaN"
    if value < 0:
        return f"-{_write(-value, unit, decimals)}"
    return _write(value, unit, decimals)


def _write(value: float, unit: str, decimals: int | None) -> str:
    if math.isinf(value):
        return "∞"
    if unit in {"percent", "percentunit"}:
        return _write_percent(value * (100 if unit == "percentunit" else 1), decimals)
    if unit in _TIMES:
        return _write_seconds(value * _TIMES[unit], decimals)
    if unit == "bytes":
        return _write_scaled(value, 1024, [f" {name}" for name in _BYTES], decimals)
    if unit == "short" and value >= _LARGE_FROM:
        return _write_scaled(value, 1000, _LARGE, decimals)
    # A unit that is not known is at least told.
    suffix = _SUFFIXES.get(unit, f" {unit.removeprefix('suffix:').strip()}")
    return _write_number(value, decimals) + suffix


def _write_percent(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{_round(value, decimals)} %"
    # 99.97 % is not everything, and 0.02 % is not nothing; 99.99999 % is.
    digits = next(
        (each for each in _DIGITS if value in _ENDS or float(f"{value:.{each}f}") not in _ENDS), 1
    )
    return f"{_round(value, digits)} %"


def _write_seconds(value: float, decimals: int | None) -> str:
    if value == 0:
        return "0 s"
    for below, size, unit in _PARTS_OF_SECONDS:
        if value < below:
            return f"{_round(value / size, decimals or 0)} {unit}"
    below, size, unit = next(each for each in _SECONDS if value < each[0])
    return f"{_round(value / size, 1 if decimals is None else decimals)} {unit}"


def _write_scaled(value: float, base: int, names: Sequence[str], decimals: int | None) -> str:
    step = 0
    while value >= base and step < len(names) - 1:
        value, step = value / base, step + 1
    return f"{_write_number(value, decimals)}{names[step]}"


def _write_number(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return _round(value, decimals)
    if value == int(value):
        return _round(value, 0)
    digits = _SIGNIFICANT - 1 - math.floor(math.log10(value))
    text = _round(value, min(max(digits, 0), _MOST_DECIMALS))
    return text.rstrip("0").rstrip(".") if "." in text else text


def _round(value: float, decimals: int) -> str:
    """Round half up, as browsers do, so that page and terminal agree on every digit."""
    if value >= _EXPONENT_FROM:
        return f"{value:.2e}"
    exact = Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{exact:,f}"


_REDUCERS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "lastNotNull": lambda present: present[-1],
    "firstNotNull": lambda present: present[0],
    "max": max,
    "min": min,
    "mean": lambda present: sum(present) / len(present),
    "sum": sum,
    "range": lambda present: max(present) - min(present),
}

KNOWN_CALCS = frozenset({*_REDUCERS, "first", "last"})
"""Grafana's names of what a series can be reduced by."""


def reduce_values(values: Sequence[float | None], calc: str) -> float | None:
    """Reduce a series to one number; None where it holds none.

    Args:
        values: Its values by time, None where it has none.
        calc: One of `KNOWN_CALCS`.

    """
    if calc in {"last", "first"}:
        return values[-1 if calc == "last" else 0] if values else None
    present = [value for value in values if value is not None]
    return _REDUCERS.get(calc, _REDUCERS["lastNotNull"])(present) if present else None
