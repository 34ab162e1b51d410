"""How long alerts look back and wait, and how much faster a demonstration's clock runs.

Rules, Alertmanager's waits and Prometheus's intervals are all written through one `Timing`, so
that a demonstration runs the production rules and differs in one number only.
"""

import math
import re
from dataclasses import dataclass

from outbound_slo.vocabulary.mistakes import UserMistake

SECOND = 1.0
MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0

_SCRAPE_INTERVAL_S = 15.0
_SHORTEST_SCRAPE_INTERVAL_S = 1.0
_SCRAPES_PER_WINDOW = 4
_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
_SIZES_MS = dict(_UNITS_MS) | {"y": 31_536_000_000, "w": 604_800_000, "ms": 1}
_DURATION_PART = re.compile(r"(\d+)(ms|[ywdhms])")
_DURATION = re.compile(r"0|(?:\d+(?:ms|[ywdhms]))+")


def format_duration(seconds: float) -> str:
    """Write a duration as Prometheus and Alertmanager read it, exact to the millisecond.

    >>> format_duration(300), format_duration(90), format_duration(1.5), format_duration(0)
    ('5m', '1m30s', '1500ms', '0s')
    """
    rest = round(seconds * 1000)
    if rest % 1000:
        return f"{rest}ms"
    parts: list[str] = []
    for unit, size in _UNITS_MS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_duration(text: str) -> float:
    """Read a duration as Prometheus writes it; gives seconds.

    Raises:
        ValueError: It is none.

    >>> parse_duration("1m30s"), parse_duration("1500ms")
    (90.0, 1.5)

    """
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is no duration")
    return (
        sum(int(number) * _SIZES_MS[unit] for number, unit in _DURATION_PART.findall(text))
        / _SIZES_MS["s"]
    )


@dataclass(frozen=True, slots=True)
class Timing:
    """Divides every duration by one scale; 1 is production, 20 turns 5 minutes into 15 seconds.

    Attributes:
        scale: How many times faster than production; at least 1.

    Raises:
        UserMistake: The scale is below 1 or no finite number.

    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale >= 1):
            raise UserMistake(
                f"A time scale of {self.scale:g} can't be used", "Give a number from 1 upwards"
            )

    def seconds(self, seconds: float) -> float:
        """Scale a duration given in production seconds; the result is in seconds."""
        return seconds / self.scale

    def duration(self, seconds: float) -> str:
        """Scale a duration given in production seconds and write it for Prometheus."""
        return format_duration(self.seconds(seconds))

    def window(self, seconds: float) -> str:
        """Scale a look-back window, but keep at least four scrapes in it.

        A window with one sample says nothing, and one with two says nothing when a scrape fails.
        """
        shortest = _SCRAPES_PER_WINDOW * self.scrape_interval_s
        return format_duration(max(self.seconds(seconds), shortest))

    def interval(self, seconds: float) -> str:
        """Scale the time between evaluations, but never below that between scrapes."""
        return format_duration(max(self.seconds(seconds), self.scrape_interval_s))

    @property
    def scrape_interval_s(self) -> float:
        """Seconds between scrapes, and between evaluations: 15 in production, never below 1."""
        return max(self.seconds(_SCRAPE_INTERVAL_S), _SHORTEST_SCRAPE_INTERVAL_S)
