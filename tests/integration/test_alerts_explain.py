"""`alerts explain`: an alert's page for people, its numbers for machines, from any installation."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import alerts.explanation_commands
from alerts.commands import app
from alerts.detection import Pace, reckon
from alerts.pages import collect_tiers, find_pages
from outbound_slo.vocabulary.alert_aliases import ALIASES, AlertAlias
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.recoveries import RECOVERED_BY, RECOVERIES

ROOT = Path(__file__).parents[2]
TIERS = {name: tiers for name, tiers in collect_tiers().items() if tiers}
ANSWERED = [alias for alias in ALIASES if alias.answered_by in TIERS]
NUMBER = {"type": "number", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}
LINE = {
    "line": TEXT,
    "comparison": {"enum": [">", ">=", "<", "<=", "=="]},
    "value": {"type": "number"},
    "unit": TEXT,
    "source": TEXT,
}


def closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


WAITS = ("refresh_s", "scrape_s", "evaluation_s", "window_s", "hold_s", "group_wait_s", "total_s")
TIER = closed(
    {
        "tier": {"type": "integer", "minimum": 1},
        "severity": {"enum": ["critical", "warning", "none"]},
        "priority": {"enum": ["P0", "P1", "P2", "P3"]},
        "level": {"pattern": "^L[1-9]$"},
        "slo": TEXT,
        "channel": {"type": ["string", "null"]},
        "expression": TEXT,
        "lines": {"type": "object", "additionalProperties": closed(LINE)},
        "for_s": NUMBER,
        "keep_firing_for_s": NUMBER,
        "summary": TEXT,
        "description": TEXT,
        "detection": {
            "anyOf": [
                {"type": "null"},
                closed({"story": TEXT, **dict.fromkeys(WAITS, NUMBER)}),
            ]
        },
    }
)
ALERT = closed(
    {
        "name": TEXT,
        "family": TEXT,
        "aliases": {
            "type": "array",
            "items": closed({"name": TEXT, "source": TEXT, "tier": {"type": ["integer", "null"]}}),
        },
        "tiers": {"type": "array", "items": TIER, "minItems": 1},
        "recovery": {"type": ["string", "null"]},
        "recovered_when": {
            "type": "array",
            "items": closed({"key": TEXT, "sentence": TEXT, **LINE, "window_s": NUMBER}),
        },
        "page": TEXT,
    }
)


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments])


@pytest.mark.parametrize("name", TIERS)
def test_a_page_is_printed_as_plain_markdown_to_a_pipe(name: str) -> None:
    told = explain(name)

    assert told.exit_code == 0
    assert told.stdout.startswith(f"# {name}\n\n| Tier |")
    assert "<!--" not in told.stdout
    assert "\x1b" not in told.stdout
    by_hand = (find_pages() / f"{name}.md").read_text("utf-8").partition("## Impact\n")[2]
    assert by_hand.partition("## Recovered")[0] in told.stdout


def test_on_a_terminal_a_page_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(force_terminal=True, width=90, record=True, file=StringIO())
    monkeypatch.setattr(alerts.explanation_commands, "Console", lambda: terminal)

    told = explain("WhatsAppProviderDown")

    shown = terminal.export_text()
    assert told.exit_code == 0
    assert "## Meaning" not in shown
    assert "Meaning" in shown
    assert "| Tier |" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 90


@pytest.mark.parametrize("alias", ANSWERED, ids=lambda alias: alias.name)
def test_a_runbooks_name_leads_to_its_alert(alias: AlertAlias) -> None:
    assert explain(alias.name).stdout.startswith(f"# {alias.answered_by}\n")


@pytest.mark.parametrize("name", ["whatsappproviderdown", " WHATSAPPPROVIDERDOWN "])
def test_case_does_not_matter(name: str) -> None:
    assert explain(name).stdout.startswith("# WhatsAppProviderDown\n")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WhatsAppProviderDwon", "Did you mean 'WhatsAppProviderDown'"),
        ("High Queue Depht Alert", "'High Queue Depth Alert'"),
        ("zzz", "'outbound-slo alerts explain' lists them all"),
    ],
)
def test_an_unknown_name_gets_those_that_are_near(name: str, meant: str) -> None:
    told = explain(name)

    assert isinstance(told.exception, UserMistake)
    assert f"There is no alert '{name}'" in str(told.exception)
    assert meant in str(told.exception)


@pytest.mark.parametrize("name", TIERS)
def test_json_has_tiers_lines_budget_and_recovery(name: AlertName) -> None:
    document = json.loads(explain(name, "--json").stdout)

    jsonschema.validate(document, ALERT)
    tiers = TIERS[name]
    recovery = RECOVERED_BY[name]
    criteria = RECOVERIES[recovery].criteria if recovery else ()
    assert [each["key"] for each in document["recovered_when"]] == [each.key for each in criteria]
    for alert, told in zip(tiers, document["tiers"], strict=True):
        assert {key: line["value"] for key, line in told["lines"].items()} == {
            key: line.value for key, line in alert.lines.items()
        }
        assert "$" not in told["expression"]
        if told["severity"] == "critical":
            budget = reckon(alert, Pace.production())
            assert told["detection"]["total_s"] == budget.total_s
            assert sum(told["detection"][wait] for wait in WAITS[:-1]) == budget.total_s
        else:
            assert told["detection"] is None


def test_without_a_name_all_are_listed() -> None:
    told = explain("--json")

    assert [each["name"] for each in json.loads(told.stdout)] == sorted(TIERS)
    outage = next(
        each for each in json.loads(told.stdout) if each["name"] == AlertName.TOTAL_DLQ_OVERFLOW
    )
    assert (outage["tiers"], outage["priority"]) == (4, "P1")
    assert all(name in explain().stdout for name in TIERS)


def test_the_pages_are_part_of_the_wheel_and_of_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    assert included == {"docs/runbooks": "alerts/runbooks"}
    assert "COPY docs/runbooks docs/runbooks" in (ROOT / "Dockerfile").read_text("utf-8")


def test_an_installation_without_a_checkout_explains(tmp_path: Path) -> None:
    """Lay the files out as the wheel does, away from the checkout, and run them there."""
    for package in packages():
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copytree(ROOT / "docs/runbooks", tmp_path / "alerts/runbooks")

    told = run_there(tmp_path, "OutboundOutage")

    assert told.returncode == 0, told.stderr
    assert told.stdout == explain("OutboundOutage").stdout


def test_an_installation_without_pages_says_so(tmp_path: Path) -> None:
    for package in packages():
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )

    told = run_there(tmp_path, "OutboundOutage")

    assert told.returncode == 2
    assert told.stderr.strip() == (
        "outbound-slo: The alerts' pages are not installed. "
        "Install the wheel, or run this in a checkout"
    )


def packages() -> Sequence[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found: list[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return found


def run_there(directory: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "outbound_slo", "alerts", "explain", name],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
    )
