"""A line that is changed in the one table changes rule, panel and runbook page (D21)."""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

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
    "ALERT_TOKEN_3": (
        4.0,
        "outbound-account.yml",
        ("outbound-health",),
        "WhatsAppTokenExpiring",
        ("< 4", "345600"),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_line_changes_rule_panel_and_page(name: str) -> None:
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
        assert float(drawn) in _values(after[path]) - _values(before[path])


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


def _values(text: str) -> set[float]:
    """Collect the values of all steps."""
    found: set[float] = set()
    for panel in json.loads(text)["panels"]:
        config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
        steps = [*config["defaults"].get("thresholds", {"steps": []})["steps"]]
        for override in config["overrides"]:
            for setting in override["properties"]:
                if setting["id"] == "thresholds":
                    steps += setting["value"]["steps"]
        found |= {step["value"] for step in steps if step["value"] is not None}
    return found
