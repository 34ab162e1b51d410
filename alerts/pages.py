"""What the pages in docs/runbooks must agree on with the rules: names, and the table of tiers."""

from collections.abc import Mapping
from typing import Final

from alerts.catalogue import GROUPS
from alerts.rule import Alert
from alerts.timing import format_duration
from outbound_slo.vocabulary.alerts import AlertName

SECTIONS: Final = (
    "Meaning",
    "Impact",
    "Diagnosis",
    "Mitigation",
    "Recovered when",
    "Escalation",
)
"""Headings of every page, in order."""


def collect_tiers() -> Mapping[AlertName, tuple[Alert, ...]]:
    """Collect the tiers of each alert, mildest first.

    An alert that every objective has comes once, as its first objective has it.
    """
    tiers: dict[AlertName, dict[int, Alert]] = {name: {} for name in AlertName}
    for group in GROUPS:
        for alert in group.alerts:
            tiers[alert.name].setdefault(alert.tier, alert)
    return {name: tuple(found[tier] for tier in sorted(found)) for name, found in tiers.items()}


def describe_tiers(name: str) -> str:
    """Write an alert's tiers as the Markdown table that its page begins with."""
    rows = [
        f"| {alert.tier} | {alert.line.text if alert.line else 'none'} "
        f"| {format_duration(alert.pending_s)} | {alert.severity} | {alert.priority} "
        f"| {alert.level} |"
        for alert in collect_tiers()[AlertName(name)]
    ]
    return "\n".join(
        (
            "| Tier | Line | For | Severity | Priority | Level |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        )
    )
