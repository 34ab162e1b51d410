"""A drill reaches the provider's support of the channel that it names, and joins no real page."""

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from alerts import drill
from alerts.commands import app
from outbound_slo.vocabulary.mistakes import UserMistake


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Take the place of Alertmanager, and keep the labels that it would get."""
    found: list[dict[str, str]] = []

    def take(_: Any, made: drill.Drill) -> tuple[str, ...]:  # noqa: ANN401 - an address's client
        found.append(made.labels)
        return ("page-l4-sms",)

    monkeypatch.setattr(drill, "post_drill", take)
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["drill", "--alertmanager", "http://a:9093", *arguments])


def test_a_drill_is_of_no_channel_unless_one_is_named(posted: list[dict[str, str]]) -> None:
    assert run("--level", "L4").exit_code == 0
    assert run("--level", "L4", "--channel", "sms").exit_code == 0

    assert [labels["channel"] for labels in posted] == ["drill", "sms"]
    assert {labels["family"] for labels in posted} == {"observation"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--level", "L4", "--channel", "fax"), "--channel fax is no channel. Name one of"),
        (("--level", "L1", "--channel", "sms"), "--channel sms means nothing for L1"),
        (("--level", "L1", "--alertmanager", "nope"), "--alertmanager 'nope' is no address"),
    ],
)
def test_a_drill_that_would_reach_nobody_is_refused(
    arguments: tuple[str, ...], said: str, posted: list[dict[str, str]]
) -> None:
    told = run(*arguments)

    assert isinstance(told.exception, UserMistake)
    assert said in str(told.exception)
    assert posted == []
