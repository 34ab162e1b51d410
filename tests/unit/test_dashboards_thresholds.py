"""A line that is changed in the one table changes rule, panel, preview and runbook page (D21)."""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dashboards.preview.frames import View, collect_dashboard
from dashboards.preview.moments import TimeRange
from outbound_slo.embedded.prometheus_api import Sample, Series

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]

_BUILD = """
import json, sys
from dataclasses import replace
from outbound_slo.vocabulary import thresholds

changes = json.loads(sys.argv[1])
for name, value in changes.items():
    changed = replace(getattr(thresholds, name), value=value)
    setattr(thresholds, name, changed)
    thresholds.THRESHOLDS = {**thresholds.THRESHOLDS, changed.key: changed}

from alerts.artefacts import build_artefacts as alerts
from alerts.pages import describe_tiers
from dashboards.artefacts import build_artefacts as dashboards
from outbound_slo.vocabulary.alerts import AlertName

pages = {f"docs/runbooks/{name}.md": describe_tiers(name) for name in AlertName}
json.dump({**alerts(), **dashboards(), **pages}, sys.stdout)
"""


@cache
def build(**changes: float) -> Mapping[str, str]:
    """Build everything in a fresh process in which the table says something else."""
    told = subprocess.run(
        [sys.executable, "-c", _BUILD, json.dumps(changes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    built: Mapping[str, str] = json.loads(told.stdout)
    return built


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {path for path in before if before[path] != after[path]}


CHANGES = {
    "ALERT_QUEUE_1000": (
        1234.0,
        "outbound-backlog.yml",
        ("outbound-messaging", "outbound-health"),
        "WhatsAppQueueBackup",
        ("> 1234", "1235"),
    ),
    "ALERT_CALL_SLOW": (
        1.75,
        "outbound-calls.yml",
        ("outbound-health",),
        "OutboundProviderSlow",
        ("> 1.75", "1.75"),
    ),
    "ALERT_QUOTA_85": (
        83.0,
        "outbound-limits.yml",
        ("outbound-messaging", "outbound-organisation"),
        "WhatsAppQuotaHigh",
        ("> 0.83", "0.83"),
    ),
    "ALERT_BURN_6": (
        7.0,
        "outbound-slo.yml",
        ("outbound-slo",),
        "OutboundErrorBudgetBurn",
        ("> 0.35", "7"),
    ),
    "ALERT_TOKEN_1": (
        2.0,
        "outbound-account.yml",
        ("outbound-health",),
        "WhatsAppTokenExpiring",
        ("< 2", "172800"),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_line_changes_rule_panel_preview_and_page(name: str) -> None:
    _, rules, dashboards, page, (compared, drawn) = CHANGES[name]
    # All at once: a fresh process for each takes seconds.
    before, after = build(), build(**{each: change[0] for each, change in CHANGES.items()})

    changed = differing(before, after)
    assert f"alerts/generated/{rules}" in changed
    assert compared in after[f"alerts/generated/{rules}"]
    assert compared not in before[f"alerts/generated/{rules}"]
    assert f"docs/runbooks/{page}.md" in changed
    for dashboard in dashboards:
        path = f"dashboards/generated/{dashboard}.json"
        assert path in changed
        line = float(drawn)
        assert line in _values(after[path]) - _values(before[path])
        panels = [
            (ours, theirs)
            for ours, theirs in zip(_panels(before[path]), _panels(after[path]), strict=True)
            if line in _steps(theirs) - _steps(ours)
        ]
        assert panels
        for ours, theirs in panels:
            # Between the old line and the new a value has another colour, a graph another line.
            gone = _steps(ours) - _steps(theirs)
            between = (line + min(gone, key=lambda each: abs(each - line))) / 2
            assert _preview(ours, between) != _preview(theirs, between)


def test_a_panels_own_line_changes_the_panel_and_no_rule() -> None:
    before, after = build(), build(PANEL_QUEUE_YELLOW=77.0)

    changed = differing(before, after)
    assert changed == {"dashboards/generated/whatsapp-sla.json"}
    [path] = changed
    assert _values(after[path]) - _values(before[path]) == {77.0}


def test_the_committed_files_are_those_of_the_table_as_it_is() -> None:
    for path, text in build().items():
        if path.startswith("dashboards/"):
            assert (ROOT / path).read_text(encoding="utf-8") == text


class _Always:
    """A Prometheus in which everything has one value."""

    def __init__(self, value: float) -> None:
        self._value = value

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        del expression
        return [Sample({"channel": "whatsapp"}, self._value, at or 0.0)]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        del expression, step
        return [Series({"channel": "whatsapp"}, ((start, self._value), (end, self._value)))]

    def label_values(self, metric: str, label: str, start: float, end: float) -> list[str]:
        del metric, label, start, end
        return ["whatsapp"]


def _preview(panel: Json, value: float) -> tuple[object, ...]:
    """Draw a panel in which everything has this value: what is drawn, and nothing that is said."""
    document = {"uid": "one", "title": "One", "panels": [panel]}
    view = View(TimeRange(1_700_000_000.0, 1_700_003_600.0), given={"channel": "whatsapp"})
    [frame] = collect_dashboard(document, _Always(value), view).panels
    assert not frame.error
    return frame.chart, frame.tiles, frame.table


def _panels(text: str) -> list[Json]:
    panels: list[Json] = json.loads(text)["panels"]
    return panels


def _values(text: str) -> set[float]:
    return set[float]().union(*map(_steps, _panels(text)))


def _steps(panel: Json) -> set[float]:
    """Collect the values of a panel's steps."""
    config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
    steps = [*config["defaults"].get("thresholds", {"steps": []})["steps"]]
    for override in config["overrides"]:
        for setting in override["properties"]:
            if setting["id"] == "thresholds":
                steps += setting["value"]["steps"]
    return {step["value"] for step in steps if step["value"] is not None}
