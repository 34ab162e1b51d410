"""Plays incidents through both stages, several at once, and judges them."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alerts.incidents.conditions import HEALTHY, Conditions
from alerts.incidents.incident import Incident
from alerts.incidents.traffic import record
from alerts.incidents.verdict import Verdict, judge
from alerts.replay.delivery import Hurry, deliver
from alerts.replay.evaluation import evaluate_rules
from alerts.replay.pending import Firing
from alerts.rule_files import WrittenRule
from outbound_slo.embedded.binaries import Tools
from outbound_slo.vocabulary.alerts import AlertName, Severity

# Stage two mostly waits; more at once would make it late and its times coarse.
_AT_ONCE: Final = 3
_DAY_S: Final = 86_400
_WEEK_START_S: Final = 1_767_571_200
_WEEK_STEP_S: Final = 60


@dataclass(frozen=True, slots=True)
class Equipment:
    """What incidents are played on.

    Attributes:
        prometheus: Prometheus and promtool.
        alertmanager: Alertmanager.
        rules: Recordings and alerts.
        configuration: Alertmanager's.
        hurry: How fast.

    """

    prometheus: Tools
    alertmanager: Tools
    rules: Sequence[WrittenRule]
    configuration: Mapping[str, Any]
    hurry: Hurry

    def known(self) -> frozenset[str]:
        """Names of the alerts that the rules have."""
        return frozenset(rule.alert for rule in self.rules if rule.alert)


def play_incidents(
    equipment: Equipment, incidents: Sequence[Incident], at_once: int = _AT_ONCE
) -> Iterator[Verdict]:
    """Play incidents; verdicts come in the incidents' order."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        yield from pool.map(lambda incident: play_incident(equipment, incident), incidents)


def play_incident(equipment: Equipment, incident: Incident) -> Verdict:
    """Play one incident through both stages and judge it."""
    firings = evaluate_rules(equipment.prometheus, equipment.rules, incident.play())
    with tempfile.TemporaryDirectory(prefix="outbound-slo-incident-") as workshop:
        delivery = deliver(
            equipment.alertmanager,
            Path(workshop),
            equipment.configuration,
            firings,
            equipment.hurry,
        )
    return judge(incident, delivery, equipment.known())


@dataclass(frozen=True, slots=True)
class QuietDays:
    """Days on which nothing is wrong.

    Attributes:
        days: How many.
        would_page: Alerts of a paging severity that fired; none is what is wanted.
        tickets: Other alerts, with how often each fired.

    """

    days: float
    would_page: tuple[Firing, ...]
    tickets: Mapping[str, int]


def play_quiet_days(equipment: Equipment, days: float, seed: int = 1) -> QuietDays:
    """Play days of healthy traffic: a daily cycle, campaigns of thousands, silence at night.

    They begin at midnight. Stage one is enough: where no alert of a paging severity fires, no
    page can go out.
    """
    tape = record(
        _healthy_day,
        start_s=_WEEK_START_S,
        duration_s=round(days * _DAY_S),
        seed=seed,
        step_s=_WEEK_STEP_S,
    )
    firings = [
        firing
        for firing in evaluate_rules(equipment.prometheus, equipment.rules, tape)
        if firing.alert != AlertName.WATCHDOG
    ]
    critical = tuple(each for each in firings if each.label("severity") == Severity.CRITICAL)
    others = [each.alert for each in firings if each not in critical]
    return QuietDays(days, critical, {name: others.count(name) for name in sorted(set(others))})


def _healthy_day(elapsed: float) -> Conditions:
    """At ten and at three a campaign; twice as much on the third day."""
    second = elapsed % _DAY_S
    burst = 6_000 if second in {10 * 3600, 15 * 3600} else 0
    busy = 2.0 if elapsed // _DAY_S == 2 else 1.0  # noqa: PLR2004 - the third day
    return Conditions(demand=busy * HEALTHY.demand, burst=burst)
