"""What the preview makes of a panel's JSON and of Prometheus's answers."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dashboards.commands import app
from dashboards.preview import (
    PanelReading,
    Reading,
    draw_dashboard,
    fill_variables,
    format_value,
    read_dashboard,
    show_value,
)
from outbound_slo.embedded.prometheus_api import Sample
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel

STEPS = [
    {"color": "green", "value": None},
    {"color": "yellow", "value": 100},
    {"color": "red", "value": 500},
]


def _document(**target: object) -> dict[str, Any]:
    given = {"refId": "A", "expr": "up", "legendFormat": "Queued", "format": "time_series"}
    return {
        "panels": [
            {
                "title": "Queue Depth",
                "type": "table" if target.get("format") == "table" else "stat",
                "transformations": [
                    {"id": "organize", "options": {"excludeByName": {"Time": True}}}
                ],
                "gridPos": {"x": 6, "y": 8, "w": 6, "h": 4},
                "targets": [given | target],
                "fieldConfig": {
                    "defaults": {
                        "unit": "short",
                        "noValue": "Nothing here",
                        "thresholds": {"steps": STEPS},
                    }
                },
            }
        ]
    }


def _answer(*samples: tuple[dict[str, str], float]) -> Callable[[str], Sequence[Sample]]:
    return lambda _: [Sample(labels, value, 0.0) for labels, value in samples]


@pytest.mark.parametrize(
    ("value", "colour"),
    [(0, "green"), (99.9, "green"), (100, "yellow"), (499, "yellow"), (500, "red"), (-1, "green")],
)
def test_a_value_takes_the_colour_of_the_highest_line_it_reached(value: float, colour: str) -> None:
    assert show_value(value, {"thresholds": {"steps": STEPS}})[1] == colour


def test_a_mapped_value_is_shown_as_its_word() -> None:
    mapping = {"type": "value", "options": {"1": {"text": "OPEN", "color": "red"}}}
    assert show_value(1.0, {"mappings": [mapping], "unit": "none"}) == ("OPEN", "red")
    assert show_value(7.0, {"mappings": [mapping], "unit": "none"}) == ("7", "none")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (97.256, "percent", "97.3 %"),
        (0.0421, "s", "42 ms"),
        (12.34, "s", "12.3 s"),
        (90, "s", "1.5 min"),
        (9000, "s", "2.5 h"),
        (1234, "short", "1,234"),
        (0.06666, "short", "0.0667"),
    ],
)
def test_values_are_written_with_their_unit(value: float, unit: str, text: str) -> None:
    assert format_value(float(value), unit) == text


def test_variables_of_grafana_are_filled_in() -> None:
    filled = fill_variables('rate(a{channel="$channel"}[$__rate_interval])', "sms")
    assert filled == 'rate(a{channel="sms"}[1m])'


def test_legends_are_filled_with_the_labels_of_the_series() -> None:
    ask = _answer(({"org_id": "acme"}, 3.0))
    [panel] = read_dashboard(_document(legendFormat="Used by {{org_id}}"), ask, "whatsapp")
    assert panel.readings == (Reading("Used by acme", 3.0, "3", "green"),)


def test_rows_of_a_table_are_named_by_their_labels() -> None:
    ask = _answer(({"error_code": "131016"}, 0.5), ({"error_code": "470"}, 0.25))
    [panel] = read_dashboard(_document(format="table", legendFormat="__auto"), ask, "whatsapp")
    assert [reading.name for reading in panel.readings] == ["131016", "470"]


def test_a_panel_is_framed_in_the_worst_colour_of_its_values() -> None:
    ask = _answer(({}, 10.0), ({}, 700.0), ({}, 200.0))
    [panel] = read_dashboard(_document(), ask, "whatsapp")
    assert panel.colour == "red"
    [empty] = read_dashboard(_document(), _answer(), "whatsapp")
    assert (empty.colour, empty.nothing) == ("none", "Nothing here")


def test_panels_of_one_row_stand_side_by_side_as_wide_as_on_the_grid() -> None:
    def panel(title: str, row: int, width: int) -> PanelReading:
        return PanelReading(title, row, width, (), "No data")

    lines = _print(120, [panel("Left", 0, 6), panel("Right", 0, 18), panel("Below", 8, 24)])
    assert lines[0] == "All"
    assert lines[1].index("Right") in range(31, 36)
    assert "Left" in lines[1]
    assert "Below" in lines[4]
    assert {len(line) for line in lines[1:]} == {120}


def _print(width: int, panels: list[PanelReading]) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(draw_dashboard("All", panels, width))
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "lines"), [(120, 1), (80, 2), (40, 4)])
def test_a_row_becomes_several_where_a_panel_would_get_too_few_columns(
    width: int, lines: int
) -> None:
    four = [PanelReading(f"Tile {at}", 0, 6, (), "No data") for at in range(4)]
    printed = _print(width, four)
    tops = [line for line in printed if "Tile" in line]
    assert len(tops) == lines
    assert [word for line in tops for word in re.findall(r"Tile \d", line)] == [
        "Tile 0", "Tile 1", "Tile 2", "Tile 3",
    ]  # fmt: skip


def test_a_title_without_room_ends_in_dots() -> None:
    long = PanelReading("Message delivery latency of the chosen channel", 0, 24, (), "No data")
    [line] = [each for each in _print(40, [long]) if "Message" in each]
    assert "…" in line
    assert len(line) == 40


def test_a_hint_stands_above_all_panels() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    silent = PanelReading("Fires", 0, 24, (), "Nothing fires")
    console.print(draw_dashboard("All", [silent], 80, "Nobody knows."))
    assert " ".join(console.export_text().split()).startswith("All Nobody knows. ╭")


def test_a_channel_that_does_not_exist_is_refused() -> None:
    result = CliRunner().invoke(app, ["preview", "--channel", "fax"])
    assert isinstance(result.exception, UserMistake)
    assert str(result.exception) == "--channel 'fax' is no channel. Use whatsapp, sms, email"


@pytest.mark.parametrize("channel", [each.label for each in Channel])
def test_every_channel_is_one(channel: str) -> None:
    arguments = ["preview", "--channel", channel, "--prometheus", "http://127.0.0.1:9"]
    result = CliRunner().invoke(app, arguments)
    assert "does not answer" in str(result.exception)


def test_a_prometheus_that_is_not_there_is_one_clear_line() -> None:
    result = CliRunner().invoke(app, ["preview", "--prometheus", "http://127.0.0.1:9"])
    assert isinstance(result.exception, UserMistake)
    assert "Prometheus does not answer at http://127.0.0.1:9" in str(result.exception)
    assert result.stdout == ""
