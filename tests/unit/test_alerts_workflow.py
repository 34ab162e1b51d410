"""The workflow that a user copies calls commands and options that there are."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from outbound_slo.cli import load_command
from outbound_slo.settings import ExporterSettings

WORKFLOW = Path("deploy/github/alerts.yml")
KNOWN_ACTIONS = {"actions/checkout", "actions/setup-python", "actions/upload-artifact"}
STEP_KEYS = {"name", "if", "uses", "with", "run", "env", "id"}


def read() -> dict[Any, Any]:
    document = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def steps() -> list[dict[str, Any]]:
    return [step for job in read()["jobs"].values() for step in job["steps"]]


def commands() -> list[list[str]]:
    lines = [line for step in steps() for line in step.get("run", "").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("outbound-slo ")]


def test_its_form_is_the_one_that_github_reads() -> None:
    document = read()

    # YAML 1.1 reads the key `on` as true.
    assert document.keys() == {"name", True, "permissions", "concurrency", "env", "jobs"}
    assert document[True].keys() == {"push", "pull_request"}
    for job in document["jobs"].values():
        assert job.keys() == {"runs-on", "timeout-minutes", "steps"}
    for step in steps():
        assert step.keys() <= STEP_KEYS
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            action, _, version = step["uses"].partition("@")
            assert action in KNOWN_ACTIONS
            assert re.fullmatch(r"v\d+", version)


def test_every_variable_that_a_step_reads_is_set() -> None:
    read_names = set(re.findall(r"\$([A-Z_]+)", WORKFLOW.read_text(encoding="utf-8")))

    assert read_names == read()["env"].keys()


def test_no_variable_of_its_own_is_taken_for_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in read()["env"].items():
        monkeypatch.setenv(name, value)

    ExporterSettings.read()  # as `alerts check` does; an unknown OUTBOUND_... is refused


def test_it_checks_tests_and_mutates() -> None:
    called = [command[2] for command in commands()]

    assert called == ["check", "test", "mutate", "mutate"]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_and_option_exists(command: list[str]) -> None:
    _, group_name, name, *given = command
    found = load_command(group_name).commands[name]
    options = {option for parameter in found.params for option in parameter.opts}

    assert {word for word in given if word.startswith("--")} <= options


def test_the_results_that_are_kept_are_those_that_are_written() -> None:
    kept = [step["with"]["path"] for step in steps() if "upload" in step.get("uses", "")]
    written = [
        command[command.index("--junit") + 1] for command in commands() if "--junit" in command
    ]

    assert kept == written
