"""Time ranges and steps as Grafana works them out: `now-6h`, `$__interval`, `$__rate_interval`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from alerts.timing import format_duration, parse_duration
from outbound_slo.vocabulary.mistakes import UserMistake

SCRAPE_INTERVAL_S = 15.0
"""Seconds between scrapes where nobody says otherwise; Grafana's data source has the same."""

LONGEST_S = 92 * 86_400.0
"""Seconds of the longest range that is drawn: a quarter."""

MOST_POINTS = 11_000
"""Points per series that Prometheus gives at most."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BACK = re.compile(r"now(?:-(\d{1,9})([smhdw]))?")
_UNIX_MS = 10**11
_LATEST_S = 32_503_680_000.0

# Grafana's table: an interval shorter than the first number becomes the second (seconds).
_ROUND = (
    (0.01, 0.001), (0.015, 0.01), (0.035, 0.02), (0.075, 0.05), (0.15, 0.1), (0.35, 0.2),
    (0.75, 0.5), (1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30),
    (90, 60), (210, 120), (450, 300), (750, 600), (1050, 900), (1500, 1200), (2700, 1800),
    (5400, 3600), (9000, 7200), (16_200, 10_800), (32_400, 21_600), (86_400, 43_200),
    (604_800, 86_400), (1_814_400, 604_800),
)  # fmt: skip
_LONGEST_STEP_S = 2_592_000


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From one instant to a later one, both in Unix seconds."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return self.end_s - self.start_s


def parse_range(since: str, until: str, now_s: float) -> TimeRange:
    """Read the ends of a range.

    Args:
        since: `now-6h`, an ISO 8601 time, or Unix seconds or milliseconds.
        until: The same.
        now_s: What `now` is, in Unix seconds.

    Raises:
        UserMistake: An end can't be read, or the range is empty, longer than a quarter, or not of
            these centuries.

    """
    chosen = TimeRange(_parse_moment(since, now_s), _parse_moment(until, now_s))
    if chosen.duration_s < 1:
        raise UserMistake(f"The range from {since} to {until} is empty", "Begin before the end")
    if chosen.duration_s > LONGEST_S:
        raise UserMistake(
            f"The range from {since} to {until} is longer than {LONGEST_S / 86_400:g} days",
            "Choose a shorter one",
        )
    if chosen.start_s < 0 or chosen.end_s > _LATEST_S:
        raise UserMistake(
            f"The range from {since} to {until} leaves the years 1970 to 2999", "Choose another"
        )
    return chosen


def _parse_moment(text: str, now_s: float) -> float:
    mistake = UserMistake(
        f"{text!r} is no moment", "Write now, now-6h, 2026-03-01T09:00:00Z or Unix seconds"
    )
    back = _BACK.fullmatch(text)
    if back:
        return now_s - (int(back[1]) * _UNITS[back[2]] if back[1] else 0)
    if re.fullmatch(r"\d{1,13}", text):
        unix = float(text)
        return unix / 1000 if unix >= _UNIX_MS else unix
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise mistake from None


def parse_interval(text: str) -> float:
    """Read a duration such as `15s` or `1m` in seconds; `>15s` is Grafana's word for the same.

    Raises:
        UserMistake: It is none, or it is zero.

    """
    try:
        seconds = parse_duration(text.removeprefix(">"))
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise UserMistake(f"{text!r} is no duration", "Write it as 15s or 1m")
    return seconds


def round_interval(seconds: float) -> float:
    """Round a step as Grafana does (`roundInterval` in @grafana/data)."""
    return next((float(step) for edge, step in _ROUND if seconds < edge), float(_LONGEST_STEP_S))


def choose_step(chosen: TimeRange, most_points: int, shortest_s: float) -> float:
    """Choose the seconds between two points (`$__interval`).

    Args:
        chosen: What is shown.
        most_points: Points for which the panel has room.
        shortest_s: No step is shorter: the scrape interval, or what panel or query ask for.

    """
    step = max(round_interval(chosen.duration_s / most_points), shortest_s)
    return max(step, round_interval(chosen.duration_s / MOST_POINTS + 0.001))


def rate_interval(step_s: float, scrape_s: float) -> float:
    """Give Grafana's `$__rate_interval` in seconds: it never has fewer than four scrapes."""
    return max(step_s + scrape_s, 4 * scrape_s)


def name_intervals(chosen: TimeRange, step_s: float, scrape_s: float) -> dict[str, str]:
    """Give the values of Grafana's own variables of time by their names."""
    whole = round(chosen.duration_s)
    return {
        "__from": str(round(chosen.start_s * 1000)),
        "__to": str(round(chosen.end_s * 1000)),
        "__interval": format_duration(step_s),
        "__interval_ms": str(round(step_s * 1000)),
        "__rate_interval": format_duration(rate_interval(step_s, scrape_s)),
        "__range": f"{whole}s",
        "__range_s": str(whole),
        "__range_ms": str(whole * 1000),
    }


def align(chosen: TimeRange, step_s: float) -> TimeRange:
    """Move both ends down to multiples of the step, so that a reload draws the same points."""
    return TimeRange(chosen.start_s // step_s * step_s, chosen.end_s // step_s * step_s)
