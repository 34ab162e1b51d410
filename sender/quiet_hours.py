"""Quiet hours by the recipient's clock: until when a message has to wait. Pure.

Source: runbook 003 (22:00 to 07:00 in the contact's time zone). What counts where the zone is not
recorded: docs/decisions/0010.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import timezone as phone_zones

_WINDOW = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietWindow:
    """A part of the day, by the local clock; it crosses midnight where `end` is before `start`."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `22:00-07:00`.

        Raises:
            ValueError: The text has another form.

        """
        found = _WINDOW.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no part of a day such as 22:00-07:00")
        hour, minute, last_hour, last_minute = map(int, found.groups())
        return cls(time(hour, minute), time(last_hour, last_minute))

    def holds(self, moment: time) -> bool:
        """Tell whether a time of day lies within; with equal ends none does."""
        if self.start <= self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end


@dataclass(frozen=True, slots=True)
class QuietPolicy:
    """What the settings say for recipients who say nothing.

    Attributes:
        default: Quiet hours of numbers without preferences; None: they have none.
        zone: Where recipients are taken to be whose zone nothing tells.

    """

    default: QuietWindow | None
    zone: ZoneInfo

    @classmethod
    def read(cls, default: str, zone: str) -> Self:
        """Read the settings: a window such as `22:00-07:00`, or nothing, and an IANA name.

        Raises:
            ValueError: The window has another form.

        """
        return cls(QuietWindow.parse(default) if default else None, ZoneInfo(zone))


NO_DEFAULT = QuietPolicy(default=None, zone=ZoneInfo("UTC"))
"""Only contacts with preferences have quiet hours: the settings as they come."""


def find_zones(name: str | None, recipient: str, fallback: ZoneInfo) -> tuple[ZoneInfo, ...]:
    """Tell where a recipient may be: the named zone, else those of the number, else `fallback`.

    Args:
        name: The recorded IANA name. One that is not known here counts as none: the database's
            list of zones may be newer than ours.
        recipient: The phone number; an e-mail address has no zones.
        fallback: Used where neither tells.

    """
    recorded = name and _load_zone(name)
    if recorded:
        return (recorded,)
    return _find_number_zones(recipient) or (fallback,)


def seconds_until_allowed(now: datetime, window: QuietWindow, zones: Sequence[ZoneInfo]) -> float:
    """Seconds until it is not quiet in any of the zones; 0 where it is not quiet now.

    Where no moment of the next day suits all zones, only the middle one counts.

    Args:
        now: An aware time.
        window: The quiet hours.
        zones: One or more.

    """
    # One zone's quiet hours end within a day and what a change of clocks adds to it.
    longest = _DAY if len(zones) > 1 else 3 * _DAY
    moment = now
    while moment - now < longest:
        ends = [end for zone in zones if (end := _find_end(moment, window, zone))]
        if not ends:
            return (moment - now).total_seconds()
        moment = max(ends)
    if len(zones) == 1:
        return (moment - now).total_seconds()
    by_offset = sorted(zones, key=lambda zone: now.astimezone(zone).utcoffset() or timedelta())
    return seconds_until_allowed(now, window, [by_offset[len(zones) // 2]])


def _find_end(moment: datetime, window: QuietWindow, zone: ZoneInfo) -> datetime | None:
    """Give the end in UTC of the quiet hours that hold a moment; None where none do."""
    local = moment.astimezone(zone)
    if not window.holds(local.time()):
        return None
    day = local.date() if local.time() < window.end else local.date() + _DAY
    end = datetime.combine(day, window.end, tzinfo=zone)
    # When the clock is put back the end comes twice: the second counts. When it is put forward past
    # the end, fold=1 is the reading that lies before the gap, still in the quiet hours.
    return max(end.astimezone(UTC), end.replace(fold=1).astimezone(UTC))


@lru_cache(maxsize=1024)
def _load_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # Not known, malformed, a directory: zoneinfo has an exception for each.
        return None


@lru_cache(maxsize=16384)
def _find_number_zones(number: str) -> tuple[ZoneInfo, ...]:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ()
    names = phone_zones.time_zones_for_number(parsed)
    # Numbers of no country have the zone "Etc/Unknown", which does not exist.
    return tuple(zone for name in names if (zone := _load_zone(name)))
