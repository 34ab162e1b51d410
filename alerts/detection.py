"""How soon a page goes out: every wait between a trouble and the pager, added up.

A wait counts in full, as if each clock had just ticked: nobody has to be lucky to be paged in time.
What the pager's own service takes, and the network, is not ours to reckon.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alerts.alertmanager import WAITS
from alerts.catalogue import GROUPS
from alerts.finding import Finding
from alerts.reach import find_window_s, reads_database
from alerts.rule import Alert
from alerts.rule_files import read_mapping
from alerts.timing import Timing, format_duration, parse_duration
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.alerts import DETECTED_WITHIN_S, PRIORITIES, AlertName, Family
from outbound_slo.vocabulary.mistakes import UserMistake

_MS_PER_S: Final = 1000
_PROMETHEUS_DEFAULT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """A deployment's clocks, in seconds.

    Attributes:
        refresh_s: Between two looks of the exporter into the database.
        scrape_s: Between two scrapes.
        evaluation_s: Between two evaluations of the rules.

    """

    refresh_s: float
    scrape_s: float
    evaluation_s: float

    @classmethod
    def production(cls) -> "Pace":
        """Give the pace of the settings' defaults and of the generated configuration."""
        refresh_ms = ExporterSettings.model_fields["refresh_interval_ms"].default
        interval_s = Timing().scrape_interval_s
        return cls(refresh_ms / _MS_PER_S, interval_s, interval_s)


@dataclass(frozen=True, slots=True)
class Budget:
    """The longest way from a trouble to the notification, in seconds.

    Attributes:
        alert: The alert's name.
        tier: Its tier.
        story: The trouble, and the traffic at which the window is reckoned.
        refresh_s: Until the exporter sees it; 0 where the database has no part in it.
        scrape_s: Until Prometheus has it.
        evaluation_s: Until a rule looks at it.
        window_s: Until it outweighs what was before.
        hold_s: The alert's `for`, up to the evaluation that ends it.
        group_wait_s: Alertmanager's wait for more of the same.

    """

    alert: AlertName
    tier: int
    story: str
    refresh_s: float
    scrape_s: float
    evaluation_s: float
    window_s: float
    hold_s: float
    group_wait_s: float

    @property
    def total_s(self) -> float:
        """Seconds from the trouble to the notification."""
        return self.fires_after_s + self.group_wait_s

    @property
    def fires_after_s(self) -> float:
        """Seconds from the trouble until Prometheus says that the alert fires."""
        return self.refresh_s + self.scrape_s + self.evaluation_s + self.window_s + self.hold_s


def reckon(alert: Alert, pace: Pace) -> Budget:
    """Add up the waits of one tier."""
    window_s = find_window_s(alert)
    story = alert.onset.story if alert.onset else "the trouble fills the window"
    if not (alert.onset or window_s):
        story = "the condition holds"
    return Budget(
        alert=alert.name,
        tier=alert.tier,
        story=story,
        refresh_s=pace.refresh_s if reads_database(alert) else 0.0,
        scrape_s=pace.scrape_s,
        evaluation_s=pace.evaluation_s,
        window_s=alert.onset.seconds if alert.onset else window_s,
        # Only an evaluation ends it.
        hold_s=math.ceil(alert.pending_s / pace.evaluation_s) * pace.evaluation_s,
        group_wait_s=WAITS[alert.priority].group_wait_s,
    )


def list_budgets(pace: Pace) -> Iterator[Budget]:
    """Reckon every tier that pages somebody."""
    for group in GROUPS:
        for alert in group.alerts:
            if pages(alert):
                yield reckon(alert, pace)


def pages(alert: Alert) -> bool:
    """Tell whether a tier wakes people."""
    return alert.family is not Family.WATCHDOG and PRIORITIES[alert.priority].pages


def find_late(pace: Pace) -> list[Finding]:
    """Find the alerts that do not page in the time that is promised; any tier may keep it."""
    budgets = list(list_budgets(pace))
    late = []
    for name, promise_s in DETECTED_WITHIN_S.items():
        best = min(
            (budget for budget in budgets if budget.alert is name),
            key=lambda budget: budget.total_s,
            default=None,
        )
        if best is None:
            late.append(Finding("detection", name, "has no tier that pages"))
        elif best.total_s > promise_s:
            late.append(
                Finding(
                    "detection",
                    name,
                    f"pages after {format_duration(best.total_s)}, promised are "
                    f"{format_duration(promise_s)}: {_write_sum(best)}",
                )
            )
    return late


def read_pace(configuration: Path, refresh_s: float) -> Pace:
    """Read the intervals of a Prometheus configuration.

    Args:
        configuration: Its file.
        refresh_s: The exporter's interval, which it does not know.

    Raises:
        UserMistake: The file is no YAML, or an interval no duration.

    """
    document = read_mapping(configuration).get("global") or {}
    return Pace(
        refresh_s,
        _read_interval(configuration, document, "scrape_interval"),
        _read_interval(configuration, document, "evaluation_interval"),
    )


def _read_interval(path: Path, document: dict[str, Any], key: str) -> float:
    text = document.get(key)
    if text is None:
        return _PROMETHEUS_DEFAULT_S
    try:
        return parse_duration(str(text))
    except ValueError:
        raise UserMistake(
            f"{path}: global.{key} is '{text}', which is no duration", "Write it as in '15s'"
        ) from None


def _write_sum(budget: Budget) -> str:
    parts = {
        "refresh": budget.refresh_s,
        "scrape": budget.scrape_s,
        "evaluation": budget.evaluation_s,
        "window": budget.window_s,
        "for": budget.hold_s,
        "group_wait": budget.group_wait_s,
    }
    return " + ".join(f"{name} {format_duration(seconds)}" for name, seconds in parts.items())
