"""Writes the catalogue as Prometheus rule files."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from alerts.catalogue import GROUPS
from alerts.links import LinkBases, write_dashboard_url, write_trace_url
from alerts.reach import find_window_s
from alerts.rule import Alert, Recording, RuleGroup, write_expression
from alerts.timing import Timing
from outbound_slo.vocabulary.alerts import INSTRUCTIONS, TEAM

_HEADER: Final = """\
# Written by `outbound-slo generate` from alerts/catalogue; changes made here do not last.
"""


def render_rules(
    timing: Timing | None = None,
    *,
    bases: LinkBases | None = None,
    groups: Sequence[RuleGroup] = GROUPS,
) -> Mapping[str, str]:
    """Write all rule files.

    Args:
        timing: The clock; production's if None.
        bases: What the links in annotations begin with.
        groups: What to write; the catalogue if not given.

    Returns:
        File name to YAML text, one file per group.

    """
    timing = timing or Timing()
    bases = bases or LinkBases()
    return {f"{group.name}.yml": _write_group(group, timing, bases) for group in groups}


def _write_group(group: RuleGroup, timing: Timing, bases: LinkBases) -> str:
    rules = [
        *(_write_recording(recording, timing) for recording in group.recordings),
        *(_write_alert(alert, timing, bases) for alert in group.alerts),
    ]
    interval = {"interval": timing.interval(group.interval_s)} if group.interval_s else {}
    return write_yaml({"groups": [{"name": group.name, **interval, "rules": rules}]}, _HEADER)


def _write_recording(recording: Recording, timing: Timing) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "record": recording.metric.name,
        "expr": write_expression(recording.expression, {}, timing),
    }
    if recording.labels:
        rule["labels"] = dict(recording.labels)
    return rule


def _write_alert(alert: Alert, timing: Timing, bases: LinkBases) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "alert": alert.name.value,
        "expr": write_expression(alert.expression, alert.lines, timing),
    }
    if alert.pending_s:
        rule["for"] = timing.duration(alert.pending_s)
    if alert.keep_firing_s:
        rule["keep_firing_for"] = timing.duration(alert.keep_firing_s)
    rule["labels"] = _write_labels(alert)
    rule["annotations"] = _write_annotations(alert, timing, bases)
    return rule


def _write_labels(alert: Alert) -> dict[str, str]:
    labels = {
        "severity": alert.severity.value,
        "priority": alert.priority.value,
        "level": alert.level.value,
        "family": alert.family.value,
        "tier": str(alert.tier),
        "team": TEAM,
        "slo": str(alert.slo),
    }
    return labels | ({"channel": alert.channel} if alert.channel else {}) | dict(alert.labels)


def _write_annotations(alert: Alert, timing: Timing, bases: LinkBases) -> dict[str, str]:
    line = f" (line: {alert.line.text})" if alert.line else ""
    # Two of its own windows: what the alert judged, and what was before.
    looks_back = find_window_s(alert) + alert.pending_s
    annotations = {
        "summary": alert.summary + line,
        "description": alert.description,
        "runbook_url": f"{bases.runbooks.rstrip('/')}/{alert.name}.md",
        "dashboard_url": write_dashboard_url(bases, alert.panel, alert.channel, looks_back, timing),
    }
    if alert.traces is not None:
        annotations["trace_url"] = write_trace_url(
            bases, alert.traces, alert.channel, looks_back, timing
        )
    if alert.family in INSTRUCTIONS:
        annotations["instruction"] = INSTRUCTIONS[alert.family]
    return annotations


class _Dumper(yaml.SafeDumper):
    """Keeps long expressions on the lines on which they were written."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def write_yaml(document: Mapping[str, Any], header: str) -> str:
    """Write a document as YAML in its own order, after a header of comment lines."""
    # PyYAML folds long lines; a width that no text reaches keeps each on one.
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return header + body
