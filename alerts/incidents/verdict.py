"""Judges what was told of an incident: how soon, how often, and what should not have been."""

from collections.abc import Sequence
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
        pages: How many pages went out.
        tickets: How many tickets.
        wrong: Alerts that paged and had no business to.
        unknown: Expected alerts that the rules do not have.
        resolution_s: How far off the times may be.

    """

    incident: Incident
    detected_by: str
    delay_s: float | None
    receiver: str
    pages: int
    tickets: int
    wrong: tuple[str, ...]
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
        if self.delay_s > self.incident.within_s + self.resolution_s:
            return f"late: {self.incident.within_s:g} s allowed"
        return ""


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
    accepted = incident.expected | incident.allowed
    pages = [call for call in calls if call.wakes]
    wrong = {name for call in pages for name in call.names() if name not in accepted}
    return Verdict(
        incident=incident,
        detected_by=detection[1] if detection else "",
        delay_s=detection[0] - incident.began_s if detection else None,
        receiver=detection[2] if detection else "",
        pages=len(pages),
        tickets=len(calls) - len(pages),
        wrong=tuple(sorted(wrong)),
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
