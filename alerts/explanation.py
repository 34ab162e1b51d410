"""What is known about an alert, found by its name or by the name that a runbook gives it."""

from collections.abc import Iterable
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any, Final

from alerts.detection import Pace, pages, reckon
from alerts.pages import collect_tiers, read_page
from alerts.rule import Alert, write_expression
from alerts.timing import Timing
from outbound_slo.vocabulary.alert_aliases import ALIASES
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.recoveries import RECOVERED_BY, RECOVERIES
from outbound_slo.vocabulary.thresholds import Threshold

_MATCHES: Final = 3


def find_alert(text: str) -> AlertName:
    """Find an alert by its name, or by a runbook's name for it; case does not matter.

    Raises:
        UserMistake: There is none; names those that are near.

    """
    known = _index_names()
    found = known.get(text.strip().casefold())
    if found is not None:
        return found[1]
    near = get_close_matches(text.strip().casefold(), known, n=_MATCHES)
    meant = ", ".join(f"'{known[each][0]}'" for each in near)
    raise UserMistake(
        f"There is no alert '{text}'",
        f"Did you mean {meant}?" if meant else "'outbound-slo alerts explain' lists them all",
    )


def list_alerts() -> Iterable[tuple[Alert, ...]]:
    """List the alerts by name, each as its tiers."""
    return [tiers for _, tiers in sorted(collect_tiers().items()) if tiers]


def describe_alert(name: AlertName, pace: Pace) -> dict[str, Any]:
    """Describe an alert as a document for machines."""
    tiers = collect_tiers()[name]
    recovery = RECOVERED_BY[name]
    return {
        "name": name.value,
        "family": tiers[0].family.value,
        "aliases": [
            {"name": alias.name, "source": alias.source, "tier": alias.tier}
            for alias in ALIASES
            if alias.answered_by is name
        ],
        "tiers": [_describe_tier(alert, pace) for alert in tiers],
        "recovery": recovery and recovery.value,
        "recovered_when": [
            {
                "key": criterion.key,
                "sentence": criterion.sentence,
                **_describe_line(criterion.line),
                "window_s": criterion.line.hold_s,
            }
            for criterion in (RECOVERIES[recovery].criteria if recovery else ())
        ],
        "page": read_page(name),
    }


def _describe_tier(alert: Alert, pace: Pace) -> dict[str, Any]:
    budget = None
    if pages(alert):
        reckoned = reckon(alert, pace)
        waits = asdict(reckoned)
        for known in ("alert", "tier"):
            del waits[known]
        budget = {**waits, "total_s": reckoned.total_s}
    return {
        "tier": alert.tier,
        "severity": alert.severity.value,
        "priority": alert.priority.value,
        "level": alert.level.value,
        "slo": str(alert.slo),
        "channel": alert.channel,
        "expression": write_expression(alert.expression, alert.lines, Timing()),
        "lines": {name: _describe_line(line) for name, line in alert.lines.items()},
        "for_s": alert.pending_s,
        "keep_firing_for_s": alert.keep_firing_s,
        "summary": alert.summary,
        "description": alert.description,
        "detection": budget,
    }


def _describe_line(line: Threshold) -> dict[str, Any]:
    return {
        "line": line.text,
        "comparison": line.comparison.value,
        "value": line.value,
        "unit": line.unit.value,
        "source": line.source,
    }


def _index_names() -> dict[str, tuple[str, AlertName]]:
    """Give every name by its folded form; an alert's own goes before a runbook's."""
    here = {name: tiers for name, tiers in collect_tiers().items() if tiers}
    aliases = {
        alias.name.casefold(): (alias.name, alias.answered_by)
        for alias in ALIASES
        if alias.answered_by in here
    }
    return aliases | {name.casefold(): (name.value, name) for name in here}
