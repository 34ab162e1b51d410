"""Fills in a summary: the small part of Prometheus's template language that alerts here use.

Labels, the value, `printf` of it and the two humanising functions; anything else stays as written.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

_FIELD: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_LABEL: Final = re.compile(r"\$labels\.(\w+)")
_PRINTF: Final = re.compile(r"\$value\s*\|\s*printf\s+\"(%[-+0-9.]*[fgeds])\"")


def fill_template(text: str, labels: Mapping[str, str], value: float) -> str:
    """Fill in labels and value as Prometheus does."""
    return _FIELD.sub(lambda found: _fill(found[0], found[1], labels, value), text)


def _fill(field: str, inner: str, labels: Mapping[str, str], value: float) -> str:
    if label := _LABEL.fullmatch(inner):
        return labels.get(label[1], "")
    if printf := _PRINTF.fullmatch(inner):
        return printf[1].replace("s", "g") % value
    plain = re.sub(r"\s+", "", inner)
    if plain == "$value":
        return f"{value:.4g}"
    if plain == "$value|humanizePercentage":
        return f"{value * 100:.4g}%"
    if plain == "$value|humanizeDuration":
        return humanise_duration(value)
    return field


def humanise_duration(seconds: float) -> str:
    """Write a duration as Prometheus's humanizeDuration does.

    >>> humanise_duration(0), humanise_duration(90061), humanise_duration(1.5)
    ('0s', '1d 1h 1m 1s', '1.5s')
    """
    if math.isnan(seconds) or math.isinf(seconds) or seconds == 0:
        return "0s" if seconds == 0 else f"{seconds:.4g}"
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    if rest < 1:
        return f"{sign}{rest * 1000:.4g}ms"
    if rest < 60:  # noqa: PLR2004 - below a minute the fraction is shown
        return f"{sign}{rest:.4g}s"
    whole = int(rest)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (whole % 60, "s")]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return sign + " ".join(f"{count}{unit}" for count, unit in parts[first:])
