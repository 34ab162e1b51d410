"""Lengths of time as people type them: `90s`, `30m`, `2h`, `1h30m`, `1d`."""

import re

from outbound_slo.vocabulary.mistakes import UserMistake

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_WRITTEN = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")
_LONGEST_S = 30 * 86400.0


def read_duration(option: str, written: str | None) -> float | None:
    """Read a length of time in seconds; None where none is given.

    Raises:
        UserMistake: It can't be read, is nothing, or is longer than 30 days.

    """
    if written is None:
        return None
    text = written.strip().lower()
    if not _WRITTEN.fullmatch(text):
        raise UserMistake(f"{option} {written!r} is no length of time", "Write it as 30m or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if not 0 < seconds <= _LONGEST_S:
        raise UserMistake(f"{option} {written!r} does not fit", "Take more than 0 s, and up to 30d")
    return seconds
