"""From notifications to pages: what woke somebody, what came as a ticket, what was only more news.

A page is a group of alerts that begins to fire at a receiver that wakes people. Further
notifications while the group goes on firing are updates: a pager adds them to the same incident.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.receivers import DEAD_MANS_SWITCH, TICKETS
from alerts.replay.delivery import Notification
from alerts.replay.tape import Labels

SILENT_RECEIVERS = frozenset({TICKETS, DEAD_MANS_SWITCH})
"""Receivers that wake nobody."""


@dataclass(frozen=True, slots=True)
class Call:
    """A group of alerts that began to fire at a receiver.

    Attributes:
        at_s: When its first notification came, in Unix seconds.
        receiver: Whom it went to.
        wakes: True for a page, False for a ticket.
        alerts: The alerts that fired in any of its notifications until it was over.
        first: Those of the first notification.
        over_s: When it was told to be over; None if it was not.

    """

    at_s: float
    receiver: str
    wakes: bool
    alerts: frozenset[Labels]
    first: frozenset[Labels]
    over_s: float | None

    def names(self) -> tuple[str, ...]:
        """Names of all its alerts, sorted."""
        return tuple(sorted({dict(labels)["alertname"] for labels in self.alerts}))


def wakes(told: Notification, silent: frozenset[str] = SILENT_RECEIVERS) -> bool:
    """Tell whether a notification goes to somebody who is woken by it."""
    return told.receiver not in silent


def collect_calls(
    notifications: Sequence[Notification], silent: frozenset[str] = SILENT_RECEIVERS
) -> Sequence[Call]:
    """Collect pages and tickets from notifications, in the order in which they began."""
    open_calls: dict[tuple[str, str], Call] = {}
    calls: list[Call] = []
    for told in notifications:
        key = (told.receiver, told.group)
        call = open_calls.get(key)
        if told.firing:
            firing = frozenset(told.firing)
            open_calls[key] = Call(
                at_s=call.at_s if call else told.at_s,
                receiver=told.receiver,
                wakes=wakes(told, silent),
                alerts=call.alerts | firing if call else firing,
                first=call.first if call else firing,
                over_s=None,
            )
        elif call is not None:
            over = open_calls.pop(key)
            calls.append(
                Call(over.at_s, over.receiver, over.wakes, over.alerts, over.first, told.at_s)
            )
    return sorted([*calls, *open_calls.values()], key=lambda call: (call.at_s, call.receiver))
