"""Who is told of which alert, how soon, how often, and what keeps quiet meanwhile.

Priority decides how soon and how often, level decides who: a page for level 2 or 3 goes to the
levels below as well, since its lower tiers are silenced by then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from alerts.catalogue import GROUPS
from alerts.generator import write_yaml
from alerts.objectives.inhibitions import burn_inhibitions
from alerts.timing import HOUR, MINUTE, SECOND, Timing
from outbound_slo.vocabulary.alerts import (
    ALL_CHANNELS,
    PRIORITIES,
    AlertName,
    Family,
    Level,
    Priority,
    Severity,
)
from outbound_slo.vocabulary.statuses import Channel

PAGE_RECEIVERS: Final[Mapping[Level, str]] = {level: f"page-{level.lower()}" for level in Level}
"""Receiver of a page by the highest level it calls."""

TICKETS: Final = "tickets"
"""Receiver of what may wait for an hour or four."""

DEAD_MANS_SWITCH: Final = "dead-mans-switch"
"""Receiver that raises the alarm when the Watchdog stops coming."""

SYMPTOMS: Final = (Family.SUCCESS, Family.LATENCY, Family.QUEUE, Family.STUCK)
"""Families that follow from a provider that accepts nothing."""


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

_WATCHDOG_WAITS: Final = Waits(0, 30 * SECOND, MINUTE)

_HEADER: Final = """\
# Written by `outbound-slo generate` from alerts/alertmanager.py; changes made here do not last.
"""


@dataclass(frozen=True, slots=True)
class Receivers:
    """Webhook addresses; None where nobody listens.

    Attributes:
        l1: Pages of level 1.
        l2: Pages of level 2.
        l3: Pages of level 3.
        tickets: Warnings that become tickets.
        dead_mans_switch: Watchdog's heartbeat; on another machine than this one, or it is no use.

    """

    l1: str
    l2: str
    l3: str
    tickets: str | None = None
    dead_mans_switch: str | None = None

    @classmethod
    def at(cls, base_url: str) -> "Receivers":
        """Put every receiver on a path of its own below one address."""
        base = base_url.rstrip("/")
        return cls(
            l1=f"{base}/l1",
            l2=f"{base}/l2",
            l3=f"{base}/l3",
            tickets=f"{base}/{TICKETS}",
            dead_mans_switch=f"{base}/{DEAD_MANS_SWITCH}",
        )

    @classmethod
    def pager(cls, url: str) -> "Receivers":
        """Send the pages of all levels to one address, once each, and nothing else anywhere."""
        return cls(l1=url, l2=url, l3=url)


def render_alertmanager(timing: Timing, receivers: Receivers) -> str:
    """Write Alertmanager's configuration.

    Args:
        timing: The clock that divides all waits.
        receivers: Where notifications go.

    """
    document = {
        "route": _root_route(timing),
        "inhibit_rules": list(_inhibitions()),
        "receivers": _write_receivers(receivers),
    }
    return write_yaml(document, _HEADER)


def _root_route(timing: Timing) -> dict[str, Any]:
    # An alert of somebody else's, without our labels, is better paged than lost.
    return {
        "receiver": PAGE_RECEIVERS[Level.L1],
        "group_by": ["family", "channel", "org_id"],
        **_write_waits(WAITS[Priority.P1], timing),
        "routes": [
            {
                "matchers": [_equals("alertname", AlertName.WATCHDOG)],
                "receiver": DEAD_MANS_SWITCH,
                **_write_waits(_WATCHDOG_WAITS, timing),
            },
            *(_priority_route(priority, timing) for priority in Priority),
        ],
    }


def _priority_route(priority: Priority, timing: Timing) -> dict[str, Any]:
    route: dict[str, Any] = {
        "matchers": [_equals("priority", priority)],
        "receiver": TICKETS,
        **_write_waits(WAITS[priority], timing),
    }
    if PRIORITIES[priority].pages:
        route["receiver"] = PAGE_RECEIVERS[Level.L1]
        route["routes"] = [
            {"matchers": [_equals("level", level)], "receiver": PAGE_RECEIVERS[level]}
            for level in (Level.L2, Level.L3)
        ]
    return route


def _inhibitions() -> Sequence[dict[str, Any]]:
    """Rules that silence; what observes the observers silences nothing."""
    tiers = sorted({alert.tier for group in GROUPS for alert in group.alerts})
    lower_tiers = [
        {
            "source_matchers": [_equals("tier", str(tier))],
            "target_matchers": [_any_of("tier", [str(lower) for lower in tiers if lower < tier])],
            "equal": ["alertname", "slo", "channel", "org_id", "reason"],
        }
        for _, tier in pairwise(tiers)
    ]
    same_family = {
        "source_matchers": [
            _equals("severity", Severity.CRITICAL),
            f'family!="{Family.OBSERVATION}"',
        ],
        "target_matchers": [_equals("severity", Severity.WARNING)],
        "equal": ["family", "slo", "channel", "org_id"],
    }
    # What is large enough for level 2 or 3 asks for decisions of its own and comes through.
    symptoms = [_any_of("family", SYMPTOMS), _equals("level", Level.L1)]
    provider_down = {
        "source_matchers": [_equals("alertname", AlertName.PROVIDER_DOWN)],
        "target_matchers": [
            *symptoms,
            _any_of("channel", [Channel.WHATSAPP.label, ALL_CHANNELS]),
        ],
    }
    outage = {
        "source_matchers": [_equals("alertname", AlertName.OUTAGE)],
        "target_matchers": symptoms,
    }
    totals = [
        {
            "source_matchers": [_equals("alertname", part)],
            "target_matchers": [_equals("alertname", total)],
            "equal": ["tier"],
        }
        for part, total in (
            (AlertName.QUEUE_BACKUP, AlertName.TOTAL_QUEUE_BACKUP),
            (AlertName.DLQ_OVERFLOW, AlertName.TOTAL_DLQ_OVERFLOW),
        )
    ]
    return [*lower_tiers, same_family, provider_down, outage, *totals, *burn_inhibitions()]


def _write_receivers(receivers: Receivers) -> list[dict[str, Any]]:
    by_level = {Level.L1: receivers.l1, Level.L2: receivers.l2, Level.L3: receivers.l3}
    urls = list(by_level.values())
    return [
        *(
            _write_receiver(PAGE_RECEIVERS[level], urls[:count])
            for count, level in enumerate(by_level, start=1)
        ),
        _write_receiver(TICKETS, [receivers.tickets]),
        _write_receiver(DEAD_MANS_SWITCH, [receivers.dead_mans_switch], send_resolved=False),
    ]


def _write_receiver(
    name: str, urls: Sequence[str | None], *, send_resolved: bool = True
) -> dict[str, Any]:
    # Levels that share one address get one notification.
    wanted = [url for url in dict.fromkeys(urls) if url]
    if not wanted:
        return {"name": name}
    return {
        "name": name,
        "webhook_configs": [{"url": url, "send_resolved": send_resolved} for url in wanted],
    }


def _write_waits(waits: Waits, timing: Timing) -> dict[str, str]:
    return {
        "group_wait": timing.duration(waits.group_wait_s),
        "group_interval": timing.duration(waits.group_interval_s),
        "repeat_interval": timing.duration(waits.repeat_interval_s),
    }


def _equals(label: str, value: str) -> str:
    return f'{label}="{value}"'


def _any_of(label: str, values: Sequence[str]) -> str:
    return f'{label}=~"{"|".join(values)}"'
