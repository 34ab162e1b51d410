"""002's four numbers: time to detect, time to resolve, incidents per week, false positives.

An alert belongs to an incident where it overlaps it, begun at most a grace before its start, or
within the grace after its end; what belongs to none was false. Where an incident names its alerts,
only these detect it, and the others that it caused are not false for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Final

from alerts.history.incidents import PastIncident

WEEK_S: Final = 7 * 86_400
MONTH_S: Final = 30 * 86_400
GRACE_S: Final = 300.0
"""Clocks and memories differ by so much; an alert also outlives its condition by that."""


@dataclass(frozen=True, slots=True)
class PastAlert:
    """An alert that fired.

    Attributes:
        name: Its name.
        start_s: Unix seconds at which it began to fire.
        end_s: Unix seconds at which it was last seen firing.

    """

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """How one incident was told.

    Attributes:
        incident: The incident.
        first: The first of its alerts; None where it was missed.
        detected_after_s: Seconds from its start until then, 0 where the alert was first.
        resolved_after_s: Seconds from detection to its end (002); None where it was missed.

    """

    incident: PastIncident
    first: PastAlert | None
    detected_after_s: float | None
    resolved_after_s: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """One alert's record: how often it fired, and how often that meant nothing."""

    fired: int
    false: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """002's numbers over a time.

    Attributes:
        incidents: Each incident and how it was told.
        alerts: Records by name of the alert.
        over_s: Seconds that were looked at.

    """

    incidents: tuple[Told, ...]
    alerts: Mapping[str, Tally]
    over_s: float

    @property
    def missed(self) -> int:
        """Incidents of which no alert told."""
        return sum(told.first is None for told in self.incidents)

    @property
    def mttd_s(self) -> float | None:
        """Mean seconds from start to detection of what was detected; None without any."""
        return _mean([told.detected_after_s for told in self.incidents])

    @property
    def mttr_s(self) -> float | None:
        """Mean seconds from detection to the end; None without any."""
        return _mean([told.resolved_after_s for told in self.incidents])

    @property
    def per_week(self) -> float:
        """Incidents per week."""
        return len(self.incidents) / self.over_s * WEEK_S

    @property
    def per_month(self) -> float:
        """Incidents per 30 days."""
        return len(self.incidents) / self.over_s * MONTH_S

    @property
    def fired(self) -> int:
        """How often any alert fired."""
        return sum(tally.fired for tally in self.alerts.values())

    @property
    def false(self) -> int:
        """How often that belonged to no incident."""
        return sum(tally.false for tally in self.alerts.values())

    @property
    def false_ratio(self) -> float | None:
        """Share (0 to 1) of the alerts that belonged to no incident; None without alerts."""
        return self.false / self.fired if self.fired else None


def weigh(
    incidents: Sequence[PastIncident],
    alerts: Sequence[PastAlert],
    over_s: float,
    grace_s: float = GRACE_S,
) -> Accuracy:
    """Compare alerts with incidents.

    Args:
        incidents: What happened in that time.
        alerts: What fired in that time.
        over_s: How many seconds it was.
        grace_s: By how many seconds an alert may be off and still belong to an incident.

    """
    told = tuple(_tell(incident, alerts, grace_s) for incident in incidents)
    tallies: dict[str, Tally] = {}
    for alert in alerts:
        before = tallies.get(alert.name, Tally(0, 0))
        true = any(_belongs(alert, incident, grace_s) for incident in incidents)
        tallies[alert.name] = Tally(before.fired + 1, before.false + (not true))
    return Accuracy(told, dict(sorted(tallies.items())), over_s)


def _belongs(alert: PastAlert, incident: PastIncident, grace_s: float) -> bool:
    starts_in_time = alert.start_s <= incident.end_s + grace_s
    return starts_in_time and alert.end_s >= incident.start_s - grace_s


def _tell(incident: PastIncident, alerts: Sequence[PastAlert], grace_s: float) -> Told:
    # An alert that began after the end explains itself by it, but has detected nothing.
    own = [
        alert
        for alert in alerts
        if _belongs(alert, incident, grace_s)
        and alert.start_s <= incident.end_s
        and (not incident.alerts or alert.name in incident.alerts)
    ]
    if not own:
        return Told(incident, None, None, None)
    first = min(own, key=lambda alert: (alert.start_s, alert.name))
    detected_s = max(first.start_s, incident.start_s)
    return Told(incident, first, detected_s - incident.start_s, incident.end_s - detected_s)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None
