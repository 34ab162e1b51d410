"""What is advised: only commands and addresses that there are, with the message's own values."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from outbound_slo.catalogue import print_errors
from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.commands import app
from tracing.remedies import REMEDIES, Pattern, fill_steps

VALUES = {"code": "131016", "message": "12345", "recipient": "%2B33612345678"}


def test_a_step_whose_value_is_not_known_is_left_out() -> None:
    assert "outbound-slo errors 131016" in fill_steps(Pattern.OTHER_FAILURE, VALUES)
    without = fill_steps(Pattern.OTHER_FAILURE, {**VALUES, "code": ""})
    assert [step for step in without if "{" in step or "errors  " in step] == []
    assert len(without) == len(REMEDIES[Pattern.OTHER_FAILURE].steps) - 2


STEPS = [(pattern, step) for pattern in Pattern for step in fill_steps(pattern, VALUES)]


@pytest.mark.parametrize(("pattern", "step"), STEPS)
def test_every_command_and_address_that_is_advised_exists(pattern: Pattern, step: str) -> None:
    document = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text("utf-8"))
    asked = re.match(r"(GET|POST) (/[^?: ]*)", step)
    if asked is not None:
        paths = [re.sub(r"\{\w+\}", r"[^/]+", path) for path in document["paths"]]
        assert any(re.fullmatch(path, asked[2]) for path in paths), pattern
    elif step.startswith("outbound-slo trace "):
        arguments = [*shlex.split(step)[2:], "--url", "http://127.0.0.1:1"]
        # Understood, and so it goes on to ask a server that is not there.
        assert isinstance(CliRunner().invoke(app, arguments).exception, UserMistake)
    elif step.startswith("outbound-slo "):
        errors = typer.Typer()
        errors.command("errors")(print_errors)
        assert step.startswith("outbound-slo errors ")
        assert CliRunner().invoke(errors, shlex.split(step)[2:]).exit_code == 0
    else:
        assert step.startswith(("Send ", "Compare ", "Wait ", "SELECT * FROM whatsapp_rate_limit"))
