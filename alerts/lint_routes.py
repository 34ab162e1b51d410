"""What Alertmanager's configuration gets wrong about the alerts there are.

amtool says whether it is a configuration; this asks whether it speaks of our alerts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from alerts.finding import Finding
from alerts.rule_files import WrittenRule

_MATCHER: Final = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"?((?:[^"\\]|\\.)*)"?\s*')


def lint_routes(
    file: str, configuration: Mapping[str, Any], rules: Sequence[WrittenRule]
) -> list[Finding]:
    """Check inhibitions and routes against the static labels of the alerts.

    Args:
        file: The configuration's name, for the findings.
        configuration: What Alertmanager reads.
        rules: The rules whose alerts it is about.

    """
    alerts = [{**rule.labels, "alertname": rule.alert} for rule in rules if rule.alert is not None]
    findings = [
        Finding(file, f"inhibition {number}", what)
        for number, inhibition in enumerate(configuration.get("inhibit_rules") or (), start=1)
        for what in _check_inhibition(inhibition, alerts)
    ]
    route = configuration.get("route") or {}
    unrouted = {
        f"{alert['alertname']} of priority {alert.get('priority')} and level {alert.get('level')}"
        for alert in alerts
        if not any(_takes(child, alert) for child in route.get("routes") or ())
    }
    return findings + [
        Finding(file, "route", f"none takes {alert}; it falls to the root's receiver")
        for alert in sorted(unrouted)
    ]


def _check_inhibition(
    inhibition: Mapping[str, Any], alerts: Sequence[Mapping[str, str]]
) -> Iterator[str]:
    for side in ("source_matchers", "target_matchers"):
        matchers = inhibition.get(side) or ()
        if not any(_match(matchers, alert, unknown=True) for alert in alerts):
            yield f"its {side} match no alert: {', '.join(matchers)}"


def _takes(route: Mapping[str, Any], alert: Mapping[str, str]) -> bool:
    return _match(route.get("matchers") or (), alert, unknown=False)


def _match(matchers: Sequence[str], alert: Mapping[str, str], *, unknown: bool) -> bool:
    """Match an alert's static labels; `unknown` says what a label of its series is worth."""
    for text in matchers:
        found = _MATCHER.fullmatch(text)
        if found is None:
            continue
        label, operator, value = found.groups()
        if label not in alert and unknown:
            continue
        is_equal = (
            re.fullmatch(value, alert.get(label, "")) is not None
            if "~" in operator
            else alert.get(label, "") == value
        )
        if is_equal != (not operator.startswith("!")):
            return False
    return True
