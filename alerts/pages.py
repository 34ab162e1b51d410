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
    """Collect the tiers of each alert, mildest first."""
    alerts = [alert for group in GROUPS for alert in group.alerts]
    return {
        name: tuple(
            sorted((alert for alert in alerts if alert.name is name), key=lambda alert: alert.tier)
        )
        for name in AlertName
    }


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
