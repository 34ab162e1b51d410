"""docs/paging.md: who is called when, written from the tables that the routes are made of."""

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Final

from alerts.alertmanager import CORRUPTION_WAITS, WAITS, Waits
from alerts.pages import collect_tiers
from alerts.receivers import PAGE_RECEIVERS, TICKETS
from alerts.timing import format_duration
from outbound_slo.vocabulary.alerts import (
    INSTRUCTIONS,
    LEVELS,
    PRIORITIES,
    Family,
    Level,
    Priority,
)
from outbound_slo.vocabulary.thresholds import ESCALATE_OUTAGE_L2, ESCALATE_OUTAGE_L3

PATH: Final = "docs/paging.md"


def build_paging_page() -> Mapping[str, str]:
    """Build the page, by its path from the project's root."""
    text = resources.files("alerts").joinpath("paging.md.in").read_text("utf-8")
    tables = {
        "LEVELS": _draw_levels(),
        "PRIORITIES": _draw_priorities(),
        "ALERTS": _draw_alerts(),
        "CORRUPTION": INSTRUCTIONS[Family.CORRUPTION],
    }
    for name, table in tables.items():
        text = text.replace(f"@{name}@", "\n".join(table) if not isinstance(table, str) else table)
    return {PATH: text}


def _draw_levels() -> Iterator[str]:
    yield "| Level | Who | Answers within | Hands over after | Called by time |"
    yield "|---|---|---|---|---|"
    by_time = {
        Level.L2: f"a page fires for more than {format_duration(ESCALATE_OUTAGE_L2.value)}",
        Level.L3: f"a page fires for more than {format_duration(ESCALATE_OUTAGE_L3.value)}",
        Level.L4: f"a provider's page fires for more than "
        f"{format_duration(ESCALATE_OUTAGE_L3.value)}",
    }
    for level, escalation in LEVELS.items():
        yield (
            f"| {level} | {escalation.who} | {_tell(escalation.respond_within_s)} "
            f"| {_tell(escalation.hands_over_after_s)} | {by_time.get(level, '')} |"
        )


def _draw_priorities() -> Iterator[str]:
    yield "| Priority | Severity | Somebody is on it within | Receivers | Waits | Cases |"
    yield "|---|---|---|---|---|---|"
    pages = " or ".join(f"`{receiver}`" for receiver in PAGE_RECEIVERS.values())
    for priority, urgency in PRIORITIES.items():
        receivers = pages if urgency.pages else f"`{TICKETS}`"
        yield (
            f"| {priority} | {urgency.severity} | {_tell(urgency.respond_within_s)} "
            f"| {receivers} | {_tell_waits(WAITS[priority])} | {urgency.meaning} |"
        )
    yield (
        f"| any, family `{Family.CORRUPTION}` | any | as above | `{PAGE_RECEIVERS[Level.L2]}` "
        f"| {_tell_waits(CORRUPTION_WAITS)} | rows contradict each other |"
    )


def _draw_alerts() -> Iterator[str]:
    yield "| Alert | " + " | ".join(Priority) + " |"
    yield "|---|" + "---|" * len(Priority)
    for name, tiers in collect_tiers().items():
        if not tiers:
            continue
        cells = [
            ", ".join(
                f"{alert.level} ({alert.line.text})" if alert.line else alert.level.value
                for alert in tiers
                if alert.priority is priority
            )
            for priority in Priority
        ]
        yield f"| [{name}](runbooks/{name}.md) | " + " | ".join(cells) + " |"


def _tell(seconds: int | None) -> str:
    return "" if seconds is None else format_duration(seconds)


def _tell_waits(waits: Waits) -> str:
    first, change, again = (
        format_duration(seconds)
        for seconds in (waits.group_wait_s, waits.group_interval_s, waits.repeat_interval_s)
    )
    return f"first {first}, change {change}, again {again}"
