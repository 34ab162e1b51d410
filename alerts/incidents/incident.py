"""What an incident is, and what paging must make of it."""

from dataclasses import dataclass
from typing import Final

from alerts.incidents.conditions import HEALTHY, Conditions
from alerts.incidents.traffic import Weather, record
from alerts.replay.tape import Tape
from outbound_slo.vocabulary.alerts import AlertName

MORNING_S: Final = 1_767_603_600
"""A Monday, 9 o'clock UTC: the day's traffic rises."""

NIGHT_S: Final = 1_767_574_800
"""The same day, one in the morning."""

BEFORE_S: Final = 70 * 60
"""Seconds of health before it begins: more than the hour that short burn windows look back."""

AFTER_S: Final = 30 * 60
"""Seconds of health after its end, in which late or lasting alerts show."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A story that paging must tell.

    Attributes:
        name: Its name on the command line.
        what: One line for people.
        source: The runbook that tells of it.
        lasts_s: Seconds from its beginning to its end.
        conditions: The world by seconds since its beginning, while it lasts.
        pages: Alerts of which one must page; empty: nobody may be woken.
        tickets: Alerts of which one must be told at all, by a page or a ticket; empty: none must.
        also: Alerts each of which must be told as well, whenever and in whatever way.
        allowed: Further alerts that may page.
        told_to: Receiver that the first expected alert must go to; empty: any.
        most_pages: How many pages may go out; calling the next level when one lasts is not counted.
        within_s: Seconds within which the first of the expected alerts must have been told.
        starts_at_s: Unix seconds of the tape's start, which decides the demand.
        seed: Of the noise.

    """

    name: str
    what: str
    source: str
    lasts_s: int
    conditions: Weather
    pages: frozenset[AlertName] = frozenset()
    tickets: frozenset[AlertName] = frozenset()
    also: frozenset[AlertName] = frozenset()
    allowed: frozenset[AlertName] = frozenset()
    told_to: str = ""
    most_pages: int = 2
    within_s: int = 0
    starts_at_s: int = MORNING_S
    seed: int = 1

    @property
    def began_s(self) -> int:
        """Unix seconds at which it begins."""
        return self.starts_at_s + BEFORE_S

    @property
    def expected(self) -> frozenset[AlertName]:
        """Alerts whose telling counts as detection."""
        return self.pages | self.tickets

    def play(self) -> Tape:
        """Record it, from health to health."""

        def weather(elapsed: float) -> Conditions:
            since = elapsed - BEFORE_S
            return self.conditions(since) if 0 <= since < self.lasts_s else HEALTHY

        return record(
            weather,
            start_s=self.starts_at_s,
            duration_s=BEFORE_S + self.lasts_s + AFTER_S,
            seed=self.seed,
        )
