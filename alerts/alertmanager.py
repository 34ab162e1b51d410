"""Who is told of which alert, how soon, how often, and what keeps quiet meanwhile.

Priority decides how soon and how often, level decides who: a page for level 2 or 3 goes to the
levels below as well, since its lower tiers are silenced by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from alerts.contacts import Contacts, WorkingHours
from alerts.generator import write_yaml
from alerts.inhibition import any_of, equals, write_inhibitions
from alerts.notifications import TEMPLATES_FILE
from alerts.receivers import (
    DEAD_MANS_SWITCH,
    EVERY_WAY,
    PAGE_RECEIVERS,
    TICKETS,
    support_receivers,
    write_globals,
    write_receivers,
)
from alerts.timing import HOUR, MINUTE, SECOND, Timing
from outbound_slo.vocabulary.alerts import (
    PRIORITIES,
    AlertName,
    Family,
    Level,
    Priority,
    Severity,
)

OBJECTS: Final = ("replica", "slot", "table", "holder", "check", "rule_group")
"""Labels that tell what an alert is about: one's higher tier says nothing of another."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Alertmanager's three waits, in production seconds.

    Attributes:
        group_wait_s: Before the first notification of a group.
        group_interval_s: Before it tells of a change in the group, resolving included.
        repeat_interval_s: Before it says the same again.

    """

    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float


WAITS: Final[Mapping[Priority, Waits]] = {
    Priority.P0: Waits(0, MINUTE, 15 * MINUTE),
    Priority.P1: Waits(10 * SECOND, MINUTE, HOUR),
    Priority.P2: Waits(30 * SECOND, 5 * MINUTE, 4 * HOUR),
    Priority.P3: Waits(5 * MINUTE, 15 * MINUTE, 24 * HOUR),
}
"""Waits by priority: well below the response times of 002."""

CORRUPTION_WAITS: Final = Waits(0, MINUTE, 15 * MINUTE)
"""Waits of data corruption, whatever its priority: each minute may copy the damage further."""

_WATCHDOG_WAITS: Final = Waits(0, 30 * SECOND, MINUTE)

_GROUP_BY: Final = ("family", "channel", "org_id")

_WORKING_HOURS: Final = "working-hours"

_HEADER: Final = """\
# Written by `outbound-slo generate` from alerts/alertmanager.py; changes made here do not last.
"""


def render_alertmanager(timing: Timing, contacts: Contacts) -> str:
    """Write Alertmanager's configuration; its templates file belongs beside it.

    Args:
        timing: The clock that divides all waits; working hours are not divided.
        contacts: Where notifications go.

    """
    document: dict[str, Any] = {}
    common = write_globals(contacts)
    if common:
        document["global"] = common
    document["templates"] = [TEMPLATES_FILE]
    if contacts.working_hours:
        document["time_intervals"] = [_write_hours(contacts.working_hours)]
    document["route"] = _root_route(timing, contacts)
    document["inhibit_rules"] = write_inhibitions()
    document["receivers"] = write_receivers(contacts)
    return write_yaml(document, _HEADER)


def _root_route(timing: Timing, contacts: Contacts) -> dict[str, Any]:
    # An alert of somebody else's, without our labels, is better paged than lost.
    return {
        "receiver": PAGE_RECEIVERS[Level.L1],
        "group_by": list(_GROUP_BY),
        **_write_waits(WAITS[Priority.P1], timing),
        "routes": [
            _corruption_route(timing, contacts),
            {
                "matchers": [equals("alertname", AlertName.WATCHDOG)],
                "receiver": DEAD_MANS_SWITCH,
                **_write_waits(_WATCHDOG_WAITS, timing),
            },
            {
                "matchers": [
                    any_of(
                        "alertname",
                        [AlertName.NOTIFICATIONS_FAILING, AlertName.NOTIFICATIONS_DROPPED],
                    ),
                    equals("severity", Severity.CRITICAL),
                ],
                "receiver": EVERY_WAY,
                **_write_waits(WAITS[Priority.P1], timing),
            },
            *(_priority_route(priority, timing, contacts) for priority in Priority),
        ],
    }


def _corruption_route(timing: Timing, contacts: Contacts) -> dict[str, Any]:
    """Call level 2 at once (001), be it a warning; level 1 hears of it to keep its hands off."""
    return {
        "matchers": [equals("family", Family.CORRUPTION)],
        "receiver": PAGE_RECEIVERS[Level.L2],
        **_write_waits(CORRUPTION_WAITS, timing),
        "routes": _level_routes(contacts, above=Level.L2),
    }


def _priority_route(priority: Priority, timing: Timing, contacts: Contacts) -> dict[str, Any]:
    route: dict[str, Any] = {
        "matchers": [equals("priority", priority)],
        "receiver": TICKETS,
        **_write_waits(WAITS[priority], timing),
    }
    hours = contacts.working_hours
    if PRIORITIES[priority].pages:
        route["receiver"] = PAGE_RECEIVERS[Level.L1]
        route["routes"] = _level_routes(contacts, above=Level.L1)
    elif hours and priority in hours.priorities:
        # Told when they begin: what is not told stays untold until the group's next interval.
        route["active_time_intervals"] = [_WORKING_HOURS]
    return route


def _level_routes(contacts: Contacts, above: Level) -> list[dict[str, Any]]:
    routes: list[dict[str, Any]] = [
        {"matchers": [equals("level", level)], "receiver": PAGE_RECEIVERS[level]}
        for level in Level
        if level > above
    ]
    support = [
        {"matchers": [equals("channel", channel)], "receiver": receiver}
        for receiver, channel in support_receivers(contacts).items()
        if channel
    ]
    if support:
        routes[-1]["routes"] = support
    return routes


def _write_hours(hours: WorkingHours) -> dict[str, Any]:
    return {
        "name": _WORKING_HOURS,
        "time_intervals": [
            {
                "times": [{"start_time": hours.start, "end_time": hours.end}],
                "weekdays": list(hours.days),
                "location": hours.time_zone,
            }
        ],
    }


def _write_waits(waits: Waits, timing: Timing) -> dict[str, str]:
    return {
        "group_wait": timing.duration(waits.group_wait_s),
        "group_interval": timing.duration(waits.group_interval_s),
        "repeat_interval": timing.duration(waits.repeat_interval_s),
    }
