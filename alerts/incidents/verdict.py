"""Judges what was told of an incident: how soon, how often, and what should not have been."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alerts.incidents.incident import Incident
from alerts.replay.delivery import Delivery, Notification
from alerts.replay.pages import collect_calls, wakes
from outbound_slo.vocabulary.alerts import AlertName


@dataclass(frozen=True, slots=True)
class Verdict:
    """How paging did.

    Attributes:
        incident: The incident.
        detected_by: The first expected alert that was told; empty where none was.
        delay_s: Seconds from its beginning until then; None where none was.
        receiver: To whom.
        pages: How many pages went out, calls of the next level left out.
        calls: How many such calls, since a page lasted.
        tickets: How many tickets.
        wrong: Alerts that paged and had no business to.
        untold: Alerts that should have been told as well and were not.
        unknown: Expected alerts that the rules do not have.
        resolution_s: How far off the times may be.

    """

    incident: Incident
    detected_by: str
    delay_s: float | None
    receiver: str
    pages: int
    calls: int
    tickets: int
    wrong: tuple[str, ...]
    untold: tuple[str, ...]
    unknown: tuple[str, ...]
    resolution_s: float

    @property
    def problem(self) -> str:
        """What is wrong; empty where all is as it should be."""
        if self.wrong:
            return f"wrong page: {', '.join(self.wrong)}"
        if set(self.unknown) == set(self.incident.expected):
            return ""
        if self.delay_s is None:
            return "not detected"
        return next(self._faults(self.incident, self.delay_s), "")

    def _faults(self, incident: Incident, delay_s: float) -> Iterator[str]:
        if delay_s > incident.within_s + self.resolution_s:
            yield f"late: {incident.within_s:g} s allowed"
        if incident.told_to not in {"", self.receiver}:
            yield f"told to {self.receiver} instead of {incident.told_to}"
        if self.untold:
            yield f"not told: {', '.join(self.untold)}"
        if self.pages > incident.most_pages:
            yield f"{self.pages} pages, {incident.most_pages} allowed"


def judge(incident: Incident, delivery: Delivery, known: frozenset[str]) -> Verdict:
    """Judge one incident.

    Args:
        incident: What happened.
        delivery: What was told.
        known: Names of the alerts that the rules have.

    """
    calls = collect_calls(delivery.notifications)
    # Where a page is due, a ticket is no detection.
    by_page = bool(incident.pages & known)
    detection = _find_detection(
        incident.pages if by_page else incident.expected,
        incident.began_s,
        [told for told in delivery.notifications if not by_page or wakes(told)],
    )
    accepted = incident.expected | incident.also | incident.allowed
    woken = [call for call in calls if call.wakes]
    pages = [call for call in woken if set(call.names()) != {AlertName.PAGE_UNRESOLVED}]
    wrong = {name for call in woken for name in call.names() if name not in accepted}
    told = {name for call in calls for name in call.names()}
    return Verdict(
        incident=incident,
        detected_by=detection[1] if detection else "",
        delay_s=detection[0] - incident.began_s if detection else None,
        receiver=detection[2] if detection else "",
        pages=len(pages),
        calls=len(woken) - len(pages),
        tickets=len(calls) - len(woken),
        wrong=tuple(sorted(wrong)),
        untold=tuple(sorted((incident.also & known) - told)),
        unknown=tuple(sorted(set(incident.expected) - known)),
        resolution_s=delivery.resolution_s,
    )


def _find_detection(
    expected: frozenset[AlertName], began_s: float, notifications: Sequence[Notification]
) -> tuple[float, str, str] | None:
    """Find when an expected alert was told first, which one, and to whom."""
    for told in notifications:
        names = {dict(labels)["alertname"] for labels in told.firing}
        if told.at_s >= began_s and (found := sorted(names & set(expected))):
            return told.at_s, found[0], told.receiver
    return None
