"""The workflow that draws dashboards for a pull request calls an option that there is."""

import re
from pathlib import Path
from typing import Any

import yaml

from outbound_slo.cli import load_command
from outbound_slo.vocabulary.alerts import Dashboard

WORKFLOW = Path("deploy/github/dashboard-previews.yml")
TEXT = WORKFLOW.read_text(encoding="utf-8")
DOCUMENT: dict[Any, Any] = yaml.safe_load(TEXT)
[JOB] = DOCUMENT["jobs"].values()


def test_its_form_is_the_one_that_github_reads() -> None:
    # YAML 1.1 reads the key `on` as true.
    assert DOCUMENT.keys() == {"name", True, "permissions", "concurrency", "env", "jobs"}
    assert JOB.keys() == {"if", "runs-on", "timeout-minutes", "steps"}
    for step in JOB["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v0"))
    assert DOCUMENT["permissions"] == {"contents": "read"}


def test_every_variable_that_a_step_reads_is_set() -> None:
    assert set(re.findall(r"\$([A-Z_]+)", TEXT)) == DOCUMENT["env"].keys()


def test_it_draws_dashboards_that_exist_with_options_that_exist() -> None:
    [script] = [step["run"] for step in JOB["steps"] if "preview" in step.get("run", "")]
    command = load_command("dashboards").commands["preview"]
    options = {option for parameter in command.params for option in parameter.opts}
    called = set(re.findall(r"(?<= )--[a-z-]+", script))
    assert {"--prometheus", "--html", "--png", "--width"} <= called <= options
    assert set(DOCUMENT["env"]["DASHBOARDS"].split()) <= set(Dashboard)


def test_what_is_kept_is_what_is_written() -> None:
    [script] = [step["run"] for step in JOB["steps"] if "preview" in step.get("run", "")]
    [kept] = [step["with"]["path"] for step in JOB["steps"] if "upload" in step.get("uses", "")]
    assert set(re.findall(r"(\w+)/[\w$.]+", script)) == {kept}
