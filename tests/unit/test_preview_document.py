"""What a preview makes of documents that are not what Grafana writes: a mistake, never a crash."""

import copy
import io
import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from rich.console import Console

from dashboards.preview.document import check_document
from dashboards.preview.frames import collect_dashboard
from dashboards.preview.page import encode_frame
from dashboards.preview.terminal import draw_dashboard, read_dashboard
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.preview_parts import (
    HOUR,
    SHOWCASE,
    TableOfAnswers,
    busy_source,
    collect,
    make_dashboard,
    make_panel,
    make_target,
    override,
)

Path = tuple[str | int, ...]

STRANGE: list[Any] = [
    None, [], {}, "", 0, -1, 3.5, 1e400, 2**70, "x", "(", "[/b]", "\ud800", True, [None], {"a": 1},
]  # fmt: skip


def list_places(value: object, place: Path = ()) -> Iterator[Path]:
    """Give the place of everything in a document."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, each in inner:
        yield (*place, key)
        yield from list_places(each, (*place, key))


def test_whatever_stands_in_a_document_is_drawn_or_refused() -> None:
    dice = random.Random(30)  # noqa: S311 - no secret
    refused = 0
    for place in list_places(SHOWCASE):
        for strange in dice.sample(STRANGE, 3):
            document: Any = copy.deepcopy(SHOWCASE)
            where = document
            for key in place[:-1]:
                where = where[key]
            where[place[-1]] = strange
            try:
                checked = check_document(document, "mine.json")
            except UserMistake:
                refused += 1
                continue
            source = busy_source()
            encode_frame(collect_dashboard(checked, source, HOUR))
            panels = read_dashboard(checked, source.query, "sms")
            Console(file=io.StringIO(), width=100).print(draw_dashboard("Mine", panels, 100))
    assert refused > 100


def test_nulls_that_mean_nothing_are_left_out_and_the_lowest_step_keeps_its_own() -> None:
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
    panel = make_panel(
        "stat", make_target("a", interval=None), description=None,
        defaults={"min": None, "thresholds": {"mode": "absolute", "steps": steps}},
    )  # fmt: skip
    [found] = check_document(make_dashboard(panel, templating=None), "mine.json")["panels"]
    assert "description" not in found
    assert "interval" not in found["targets"][0]
    assert "min" not in found["fieldConfig"]["defaults"]
    assert found["fieldConfig"]["defaults"]["thresholds"]["steps"] == steps


@pytest.mark.parametrize(
    ("panel", "complaint"),
    [
        (make_panel("stat", defaults={"min": "0"}), 'defaults.min is "0"'),
        (make_panel("stat", defaults={"decimals": 200}), "defaults.decimals is 200"),
        (make_panel("stat", maxDataPoints=0), "maxDataPoints is 0"),
        (
            make_panel("stat", overrides=[override("a", custom__lineWidth="1")]),
            'overrides[0].properties[0].value is "1"',
        ),
        (
            make_panel("stat", defaults={"mappings": [{"type": "range", "options": {}}]}),
            "mappings[0].options lacks result",
        ),
        (make_panel("stat", title=2**60), "panels[0].title is no number that can be shown"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(panel: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserMistake) as caught:
        check_document(make_dashboard(panel), "mine.json")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("panel", "complaint"),
    [
        (make_panel("stat", overrides=[override("A", "byFrameRefID")]), "override byFrameRefID"),
        (make_panel("stat", overrides=[override("(", "byRegexp")]), "can't read the pattern ("),
        (make_panel("stat", transformations=[{"id": "reduce"}]), "transformation reduce"),
        (
            make_panel("gauge", options={"reduceOptions": {"calcs": ["stdDev"]}}),
            "calculation stdDev",
        ),
        (
            make_panel("stat", defaults={"thresholds": {"mode": "percentage", "steps": []}}),
            "only between min and max",
        ),
    ],
)
def test_what_is_not_drawn_as_grafana_draws_it_is_said_in_the_panel(
    panel: dict[str, Any], complaint: str
) -> None:
    panel["targets"] = [make_target("a")]
    source = TableOfAnswers({"a": [({}, 1.0)]})
    document = make_dashboard(panel)
    [frame] = collect(document, source).panels
    assert complaint in frame.error
    [reading] = read_dashboard(document, source.query, "sms")
    assert complaint in reading.error
    assert reading.colour == "red"


def test_thresholds_in_percent_lie_between_min_and_max() -> None:
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 80}]
    percent = {"mode": "percentage", "steps": steps}
    for kind, ends, value, colour in (
        ("stat", {"min": 100, "max": 200}, 179.0, "green"),
        ("stat", {"min": 100, "max": 200}, 180.0, "red"),
        ("gauge", {}, 80.0, "red"),
    ):
        panel = make_panel(
            kind, make_target("a", instant=True), defaults={"thresholds": percent, **ends}
        )
        [frame] = collect(make_dashboard(panel), TableOfAnswers({"a": [({}, value)]})).panels
        assert frame.tiles[0].colour == colour


def test_an_override_without_a_value_takes_the_default_away() -> None:
    def shown(**more: object) -> list[str]:
        panel = make_panel("stat", make_target("a", legendFormat="a", instant=True), **more)
        document = check_document(make_dashboard(panel), "mine.json")
        [frame] = collect(document, TableOfAnswers({"a": [({}, 90.0)]})).panels
        return [tile.text for tile in frame.tiles]

    assert shown(defaults={"unit": "s"}) == ["1.5 min"]
    assert shown(defaults={"unit": "s"}, overrides=[override("a", unit=None)]) == ["90"]


def test_copied_panels_of_one_number_are_both_drawn() -> None:
    panels = [make_panel("stat", make_target("a"), id=5) for _ in range(3)]
    keys = [each.key for each in collect(make_dashboard(*panels), TableOfAnswers()).panels]
    assert keys[0] == "panel-5"
    assert len(set(keys)) == 3


@pytest.mark.parametrize(("refresh", "seconds"), [("auto", 0), (False, 0), ("1m", 60), ("", 0)])
def test_a_refresh_that_is_no_time_is_none(refresh: object, seconds: float) -> None:
    document = check_document(make_dashboard(refresh=refresh), "mine.json")
    assert collect_dashboard(document, TableOfAnswers(), HOUR).refresh_s == seconds


def test_a_column_is_overridden_by_its_old_name_too() -> None:
    panel = make_panel(
        "table", make_target("a", format="table", instant=True),
        overrides=[override("Value", unit="percent")],
        transformations=[{"id": "organize", "options": {"renameByName": {"Value": "Used"}}}],
    )  # fmt: skip
    [frame] = collect(make_dashboard(panel), TableOfAnswers({"a": [({}, 5.0)]})).panels
    assert frame.table is not None
    assert frame.table.rows[0][-1].text == "5.0 %"


def test_rows_without_a_number_are_sorted_to_the_end() -> None:
    nan = float("nan")
    samples = [({"org": str(at)}, value) for at, value in enumerate([1.0, nan, 3.0, nan, 2.0])]
    panel = make_panel(
        "table", make_target("a", format="table", instant=True),
        options={"sortBy": [{"displayName": "Value", "desc": True}]},
    )  # fmt: skip
    [frame] = collect(make_dashboard(panel), TableOfAnswers({"a": samples})).panels
    assert frame.table is not None
    assert [row[-1].text for row in frame.table.rows] == ["3", "2", "1", "NaN", "NaN"]


@pytest.mark.parametrize("value", ["a&var-channel=sms", "a b#c", "x?y=%31"])
def test_a_value_stays_in_its_own_parameter_of_a_link(value: str) -> None:
    links = [{"title": "Open", "url": "/d/other?var-org=${__value.raw}&var-channel=${channel}"}]
    panel = make_panel(
        "table", make_target("a", format="table", instant=True),
        overrides=[override("org", links=links)],
    )  # fmt: skip
    templating = {"list": [{"name": "channel", "type": "constant", "query": "fax"}]}
    source = TableOfAnswers({"a": [({"org": value}, 1.0)]})
    [frame] = collect(make_dashboard(panel, templating=templating), source).panels
    assert frame.table is not None
    [link] = frame.table.rows[0][1].links
    assert parse_qsl(link.url.partition("?")[2]) == [("var-org", value), ("var-channel", "fax")]


def test_words_of_others_are_neither_markup_nor_commands_of_the_terminal() -> None:
    word = "[/b][red]\x1b[31mgo\x07\u202e[link=https://x.example]"
    panel = make_panel("stat", make_target("a", legendFormat="{{org}}"), title=f"T{word}")
    document = make_dashboard(
        panel, make_panel("stat", make_target("b"), id=2, defaults={"noValue": word})
    )
    panels = read_dashboard(document, TableOfAnswers({"a": [({"org": word}, 1.0)]}).query, "sms")
    screen = io.StringIO()
    Console(file=screen, width=200, force_terminal=False).print(draw_dashboard(word, panels, 200))
    shown = screen.getvalue()
    assert shown.count("[/b][red][31mgo[link=https://x.example]") == 4
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_json_of_the_showcase_is_of_its_form() -> None:
    assert check_document(json.loads(json.dumps(SHOWCASE)), "x")["uid"] == "showcase"
