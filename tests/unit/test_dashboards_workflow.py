"""The dashboards' workflow calls a command that there is, over files that there are."""

import shlex
from pathlib import Path
from typing import Any

import yaml

from outbound_slo.cli import load_command
from outbound_slo.vocabulary.alerts import Dashboard

WORKFLOW = Path("deploy/github/dashboards.yml")


def read(path: Path = WORKFLOW) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def steps(path: Path = WORKFLOW) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def test_it_has_the_form_of_the_alerts_workflow() -> None:
    other = WORKFLOW.with_name("alerts.yml")
    assert read().keys() == read(other).keys()
    assert [job.keys() for job in read()["jobs"].values()] == [
        job.keys() for job in read(other)["jobs"].values()
    ]
    used = {step["uses"] for step in steps() if "uses" in step}
    assert used <= {step["uses"] for step in steps(other) if "uses" in step}
    assert all(("uses" in step) != ("run" in step) for step in steps())


def test_it_checks_the_dashboards_that_are_generated() -> None:
    [command] = [
        shlex.split(step["run"]) for step in steps() if step.get("run", "").startswith("outbound")
    ]
    assert command == ["outbound-slo", "dashboards", "check", "$DASHBOARDS"]
    found = load_command(command[1]).commands[command[2]]
    assert [parameter.name for parameter in found.params if parameter.nargs == -1] == ["names"]
    files = Path().glob(read()["env"]["DASHBOARDS"])
    assert {path.stem for path in files} == {uid.value for uid in Dashboard}
