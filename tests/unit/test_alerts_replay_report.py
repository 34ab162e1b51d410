"""What a replay prints, at any width, and the times that it is asked about."""

import io

import pytest
from rich.console import Console

from alerts.replay.commands import read_instant
from alerts.replay.report import Told, print_told
from outbound_slo.vocabulary.mistakes import UserMistake

ROW = Told(
    at_s=1767600000.0,
    kind="ticket",
    alert="WhatsAppWebhookSignatureFailures",
    tier="1",
    channel="whatsapp",
    to="dead-mans-switch",
    summary="more than [10] webhooks with a signature that is not ours within 10 minutes",
    over_s=1767600600.0,
)


def shown(width: int, *rows: Told) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    print_told(console, rows)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_time_and_no_receiver_is_broken(width: int) -> None:
    lines = shown(width, ROW)

    assert max(map(len, lines)) <= width
    assert "2026-01-05 08:00:00" in lines[1]
    assert "08:10:00" in lines[1]
    assert "dead-mans-switch" in lines[1]
    assert "[10]" in " ".join(lines)


def test_a_wide_terminal_has_one_line_for_each_row() -> None:
    assert len(shown(250, ROW, ROW)) == 3
    assert shown(80) == ["Nothing would have fired."]


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "yesterday", ""])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(UserMistake, match=r"--start '.*' is no time"):
        read_instant(text, "--start")
