"""docs/tracing.md tells of every span, tag and command there is."""

from pathlib import Path

import pytest

from outbound_slo.vocabulary.spans import SpanName, Tag
from tracing.commands import app

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text("utf-8")
COMMANDS = [command.name for command in app.registered_commands]


@pytest.mark.parametrize("name", SpanName)
def test_every_span_is_on_the_page(name: SpanName) -> None:
    assert name.value in PAGE


@pytest.mark.parametrize("tag", Tag)
def test_every_tag_is_on_the_page(tag: Tag) -> None:
    assert f"`{tag.value}`" in PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_on_the_page(command: str) -> None:
    assert f"`outbound-slo trace {command}" in PAGE
