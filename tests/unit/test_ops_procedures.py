"""The catalogue of procedures against the runbooks, the command line and the tests."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from operations.commands import app
from operations.procedures import PROCEDURES, Procedure
from tests.runbooks.source import read_runbooks, runbook_directory

ROOT = Path(__file__).parents[2]

_PROCEDURE = re.compile(
    r"^#{3,4} (Procedure \d|Issue \d|Weekly|Monthly|Quick Health|Circuit Breaker|.* Script$"
    r"|Escalation Decision)|^### \d\. "
)


def _leaves(
    command: Any,  # noqa: ANN401 - Typer brings a Click of its own
    path: tuple[str, ...] = (),
) -> set[tuple[str, ...]]:
    if not hasattr(command, "commands"):
        return {path}
    return set().union(*(_leaves(each, (*path, name)) for name, each in command.commands.items()))


def _parse(line: str) -> tuple[str, ...]:
    """Parse a command as the command line does; gives the path of the command that it names."""
    words = shlex.split(line)
    assert words[0] == "ops", line
    command: Any = get_command(app)
    path: tuple[str, ...] = ()
    rest = words[1:]
    while hasattr(command, "commands"):
        command, path, rest = command.commands[rest[0]], (*path, rest[0]), rest[1:]
    command.make_context(path[-1], rest, resilient_parsing=False)
    return path


@pytest.mark.parametrize("procedure", PROCEDURES, ids=[each.place for each in PROCEDURES])
def test_each_command_is_one_and_its_test_exists(procedure: Procedure) -> None:
    for line in procedure.commands:
        _parse(line)
    module = ROOT / "tests" / "integration" / f"test_{procedure.test}.py"
    assert module.is_file()
    text = module.read_text("utf-8")
    firsts = {_parse(line)[0] for line in procedure.commands}
    assert any(f'"{first}"' in text for first in firsts), f"{module.name} runs none of {firsts}"


def test_every_procedure_of_the_runbooks_is_in_the_catalogue() -> None:
    if not runbook_directory().is_dir():
        pytest.skip(f"No runbooks in {runbook_directory()}")
    places = {each.place for each in PROCEDURES}
    missing = []
    for number, text in read_runbooks(runbook_directory()).items():
        lines = text.splitlines()
        for place in (each for each in places if each.startswith(number)):
            line = lines[int(place.partition(":")[2]) - 1]
            assert line.startswith(("#", "**")), f"{place} is no heading: {line}"
        missing += [
            f"{number}:{at} {line}"
            for at, line in enumerate(lines, start=1)
            if _PROCEDURE.match(line) and f"{number}:{at}" not in places
        ]
    assert missing == []


def test_every_command_belongs_to_a_procedure_or_helps_all_of_them() -> None:
    named = {_parse(line) for each in PROCEDURES for line in each.commands}
    helping = {
        ("undo",),
        ("log",),
        ("backup", "check"),
        ("channel", "list"),
        ("dlq", "retry"),
    }
    assert _leaves(get_command(app)) - named == helping
