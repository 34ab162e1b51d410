"""What a Grafana document becomes over an hour of a Prometheus whose answers are known."""

import json
import math
import random
from typing import Any

import pytest

from alerts.links import RUNBOOK_BASE_URL
from dashboards.preview.annotations import list_marks
from dashboards.preview.charts import Curve
from dashboards.preview.document import check_document
from dashboards.preview.frames import PanelFrame, Source, View, collect_dashboard
from dashboards.preview.moments import TimeRange
from dashboards.preview.page import encode_frame
from dashboards.preview.tables import Frame, merge_frames
from dashboards.preview.terminal import read_dashboard
from dashboards.preview.tiles import build_tiles
from outbound_slo.embedded.prometheus_api import Sample, Series
from tests.preview_parts import (
    END_S,
    RANGE,
    RED_FROM_80,
    SCRAPED,
    SHOWCASE,
    START_S,
    TableOfAnswers,
    busy_source,
    collect,
    make_dashboard,
    make_panel,
    make_table_target,
    make_target,
    override,
    place,
)


def only_panel(source: TableOfAnswers, panel: dict[str, Any], **more: object) -> PanelFrame:
    [frame] = collect(make_dashboard(panel, **more), source).panels
    return frame


class Course:
    """A Prometheus in which every range query gives these values, one a step."""

    def __init__(self, *values: float | None) -> None:
        self._values = values

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        assert expression == SCRAPED
        return [Sample({}, 1.0, at or 0.0)]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        del expression, end
        points = [
            (start + at * step, value) for at, value in enumerate(self._values) if value is not None
        ]
        return [Series({"instance": "one"}, tuple(points))]

    def label_values(self, metric: str, label: str, start: float, end: float) -> list[str]:
        raise AssertionError(metric, label, start, end)


def short_panel(course: Source, panel: dict[str, Any]) -> PanelFrame:
    """Collect a panel over four steps of a minute."""
    panel["interval"] = "1m"
    view = View(TimeRange(START_S // 60 * 60, START_S // 60 * 60 + 180))
    [frame] = collect_dashboard(make_dashboard(panel), course, view).panels
    return frame


def test_a_time_series_has_a_value_or_a_gap_for_each_instant() -> None:
    frame = short_panel(
        Course(1.5, None, math.nan, 4.0), make_panel("timeseries", make_target("a"))
    )
    assert frame.chart is not None
    assert (frame.chart.start_ms, frame.chart.step_ms) == (START_S // 60 * 60_000, 60_000)
    [line] = frame.chart.lines
    assert line.values == (1.5, None, None, 4.0)
    assert line.name == "one"


def test_a_legend_shows_what_its_calcs_make_of_the_values() -> None:
    options = {"legend": {"displayMode": "table", "calcs": ["lastNotNull", "max", "mean"]}}
    panel = make_panel("timeseries", make_target("a"), defaults={"unit": "s"}, options=options)
    frame = short_panel(Course(1.0, 5.0, 3.0, None), panel)
    assert frame.chart is not None
    assert frame.chart.calcs == ("Last *", "Max", "Mean")
    assert frame.chart.lines[0].legend == ("3.0 s", "5.0 s", "3.0 s")


@pytest.mark.parametrize(
    ("calc", "text"),
    [("lastNotNull", "40.0 %"), ("max", "90.0 %"), ("min", "20.0 %"), ("mean", "50.0 %")],
)
def test_a_stat_reduces_its_series_to_one_value(calc: str, text: str) -> None:
    panel = make_panel(
        "stat",
        make_target("a"),
        defaults={"unit": "percent", "thresholds": RED_FROM_80},
        options={"reduceOptions": {"calcs": [calc]}, "graphMode": "none"},
    )
    [tile] = short_panel(Course(20.0, 90.0, 40.0, None), panel).tiles
    assert tile.text == text
    assert tile.colour == {"max": "red", "mean": "yellow"}.get(calc, "green")
    assert tile.curve == ()


def test_a_stat_with_a_curve_keeps_its_course() -> None:
    panel = make_panel("stat", make_target("a"), options={"graphMode": "area"})
    [tile] = short_panel(Course(20.0, None, 40.0, 50.0), panel).tiles
    assert tile.curve == (20.0, None, 40.0, 50.0)


@pytest.mark.parametrize(
    ("mode", "named", "text"),
    [
        ("auto", True, "3"),
        ("value", False, "3"),
        ("value_and_name", True, "3"),
        ("name", False, "a"),
    ],
)
def test_tiles_are_named_where_several_stand_together_or_the_panel_says_so(
    mode: str, named: bool, text: str
) -> None:
    source = TableOfAnswers({"x": [({"pod": "a"}, 3.0), ({"pod": "b"}, 4.0)]})
    target = make_target("x", instant=True, range=False)
    frame = only_panel(source, make_panel("stat", target, options={"textMode": mode}))
    assert (frame.tiles[0].named, frame.tiles[0].text) == (named, text)


def test_a_lone_tile_needs_no_name() -> None:
    source = TableOfAnswers({"x": [({"pod": "a"}, 3.0)]})
    target = make_target("x", instant=True, range=False)
    [tile] = only_panel(source, make_panel("stat", target)).tiles
    assert not tile.named


def test_a_gauge_has_its_share_and_the_arcs_of_its_thresholds() -> None:
    source = TableOfAnswers({"x": [({"org": "acme"}, 90.0)]})
    panel = make_panel(
        "gauge",
        make_target("x", legendFormat="Used by {{org}}", instant=True, range=False),
        defaults={"unit": "percent", "min": 0, "max": 200, "thresholds": RED_FROM_80},
    )
    [tile] = only_panel(source, panel).tiles
    assert (tile.name, tile.text, tile.colour) == ("Used by acme", "90.0 %", "red")
    assert tile.dial is not None
    assert tile.dial.share == 0.45
    assert [(arc.start, arc.end, arc.colour) for arc in tile.dial.arcs] == [
        (0.0, 0.25, "green"), (0.25, 0.4, "yellow"), (0.4, 1.0, "red"),
    ]  # fmt: skip
    assert (tile.dial.least, tile.dial.most) == ("0 %", "200 %")


@pytest.mark.parametrize(("value", "share"), [(-5.0, 0.0), (50.0, 0.5), (170.0, 1.0)])
def test_a_dial_never_leaves_its_ends(value: float, share: float) -> None:
    source = TableOfAnswers({"x": [({}, value)]})
    panel = make_panel("gauge", make_target("x", instant=True, range=False))
    [tile] = only_panel(source, panel).tiles
    assert tile.dial is not None
    assert tile.dial.share == share


def test_merge_joins_rows_that_agree_and_keeps_the_others() -> None:
    left: Frame = [{"org": "a", "Value #A": 1.0}, {"org": "b", "Value #A": 2.0}]
    right: Frame = [{"org": "b", "Value #B": 3.0}, {"org": "c", "Value #B": 4.0}]
    assert merge_frames([left, [], right]) == [
        {"org": "a", "Value #A": 1.0},
        {"org": "b", "Value #A": 2.0, "Value #B": 3.0},
        {"org": "c", "Value #B": 4.0},
    ]
    assert merge_frames([[], []]) == []


def test_rows_are_joined_with_the_first_that_agrees_whatever_the_columns_are() -> None:
    """Compares with each row's looking at all rows before it, which is plain and slow."""
    dice = random.Random(11)  # noqa: S311 - no secret
    joined = 0
    for _ in range(300):
        frames: list[Frame] = []
        for letter in "ABC"[: dice.randint(1, 3)]:
            names = dice.sample(["org", "channel", "code"], dice.randint(0, 2))
            frames.append(
                [
                    {**{name: dice.choice("xyz") for name in names}, f"Value #{letter}": at * 1.0}
                    for at in range(dice.randint(0, 5))
                ]
            )
        plain: Frame = []
        for row in (row for frame in frames for row in frame):
            agreeing = [
                each
                for each in plain
                if all(each.get(name, value) == value for name, value in row.items())
            ]
            joined += len(agreeing[:1])
            if agreeing:
                agreeing[0].update(row)
            else:
                plain.append(dict(row))
        assert merge_frames(frames) == plain
    assert joined > 300


def test_a_table_is_merged_organised_sorted_and_coloured() -> None:
    frame = {each.title: each for each in collect(SHOWCASE, busy_source()).panels}["Organisations"]
    assert frame.table is not None
    assert [column.name for column in frame.table.columns] == ["Organisation", "Attempts", "Failed"]
    assert [column.paint for column in frame.table.columns] == ["auto", "auto", "color-background"]
    assert [[cell.text for cell in row[1:]] for row in frame.table.rows] == [
        ["2", "50.0 %"], ["4,000", "25.0 %"], ["250", "1.3 %"],
    ]  # fmt: skip
    assert [row[2].colour for row in frame.table.rows] == ["red", "red", "green"]
    assert (frame.table.sorted_by, frame.table.descending) == (2, True)
    assert frame.table.rows[1][0].links[0].url == "https://x.example/acme"


def test_a_row_that_one_query_does_not_know_has_a_dash() -> None:
    source = TableOfAnswers({"x": [({"org": "a"}, 1.0)], "y": [({"org": "b"}, 2.0)]})
    panel = make_panel(
        "table", make_table_target("x"), make_table_target("y", "B"),
        transformations=[
            {"id": "merge"},
            {"id": "organize", "options": {"excludeByName": {"Time": True}}},
        ],
        options={"sortBy": [{"displayName": "Value #B", "desc": True}]},
    )  # fmt: skip
    table = only_panel(source, panel).table
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [["b", "-", "2"], ["a", "1", "-"]]


def test_a_table_without_transformations_shows_time_labels_and_value() -> None:
    source = TableOfAnswers({"x": [({"__name__": "x", "org": "a"}, 1.0)]})
    table = only_panel(source, make_panel("table", make_table_target("x"))).table
    assert table is not None
    assert [(column.name, column.numeric) for column in table.columns] == [
        ("Time", False), ("org", False), ("Value", True),
    ]  # fmt: skip
    assert table.rows[0][0].text == "2023-11-14 23:15:00 UTC"


def test_words_of_a_table_can_be_mapped_and_columns_hidden() -> None:
    source = TableOfAnswers({"x": [({"org": "a", "state": "1"}, 1.0)]})
    words = [{"type": "value", "options": {"1": {"text": "throttled", "color": "red"}}}]
    panel = make_panel(
        "table", make_table_target("x"),
        overrides=[override("state", mappings=words), override("Time", custom__hidden=True)],
    )  # fmt: skip
    table = only_panel(source, panel).table
    assert table is not None
    assert [(cell.text, cell.colour) for cell in table.rows[0]] == [
        ("a", "none"), ("throttled", "red"), ("1", "none"),
    ]  # fmt: skip


def test_overrides_are_found_by_name_and_by_pattern() -> None:
    panels = {each.title: each for each in collect(SHOWCASE, busy_source()).panels}
    chart = panels["Stacked rates beside the queue"].chart
    assert chart is not None
    sent, failed, queued = chart.lines
    assert (sent.colour, failed.colour, queued.colour) == ("palette:0", "red", "palette:2")
    assert (sent.stacked, queued.stacked) == (True, False)
    assert (sent.right, queued.right) == (False, True)
    assert chart.right is not None
    assert (chart.left.unit, chart.right.unit, chart.right.label) == ("cps", "short", "Messages")


@pytest.mark.parametrize(
    ("mode", "lines", "areas"),
    [
        ("off", False, False), ("line", True, False), ("dashed", True, False),
        ("area", False, True), ("line+area", True, True), ("dashed+area", True, True),
    ],
)  # fmt: skip
def test_thresholds_are_lines_areas_or_both(mode: str, lines: bool, areas: bool) -> None:
    custom = {"thresholdsStyle": {"mode": mode}}
    panel = make_panel("timeseries", make_target("a"), defaults={"custom": custom})
    chart = only_panel(TableOfAnswers(), panel).chart
    assert chart is not None
    assert (chart.mark_lines, chart.mark_areas) == (lines, areas)


def test_a_chart_tells_its_thresholds_and_how_they_are_drawn() -> None:
    panels = {each.title: each for each in collect(SHOWCASE, busy_source()).panels}
    chart = panels["Latency with a line"].chart
    assert chart is not None
    assert chart.steps == ((None, "transparent"), (2, "red"))
    assert (chart.mark_lines, chart.mark_areas) == (True, True)
    assert chart.left.least == 0
    bars = panels["Bars"].chart
    assert bars is not None
    assert (bars.mark_lines, bars.mark_areas, bars.lines[0].style) == (False, False, "bars")


@pytest.mark.parametrize(
    ("colour", "value", "expected"),
    [
        ({"mode": "palette-classic"}, 90.0, "palette:0"),
        ({"mode": "fixed", "fixedColor": "#ff00aa"}, 90.0, "#ff00aa"),
        ({"mode": "thresholds"}, 90.0, "red"),
        ({"mode": "thresholds"}, 1.0, "green"),
    ],
)
def test_a_line_is_coloured_by_its_mode(
    colour: dict[str, str], value: float, expected: str
) -> None:
    source = TableOfAnswers({"x": [({}, value)]})
    panel = make_panel(
        "timeseries", make_target("x", instant=True, range=False),
        defaults={"color": colour, "thresholds": RED_FROM_80},
    )  # fmt: skip
    chart = only_panel(source, panel).chart
    assert chart is not None
    assert chart.lines[0].colour == expected


def test_a_display_name_is_put_in_the_place_of_the_legend() -> None:
    source = TableOfAnswers({"x": [({"org": "acme"}, 1.0)]})
    defaults = {"displayName": "of ${__field.labels.org}"}
    target = make_target("x", instant=True, range=False)
    [tile] = only_panel(source, make_panel("stat", target, defaults=defaults)).tiles
    assert tile.name == "of acme"


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"org": "acme"}, "acme"),
        ({"__name__": "up", "job": "a", "instance": "b"}, 'up{instance="b", job="a"}'),
        ({"__name__": "up"}, "up"),
        ({}, "sum(up)"),
    ],
)
def test_a_series_without_a_legend_is_named_by_its_labels(
    labels: dict[str, str], name: str
) -> None:
    source = TableOfAnswers({"sum(up)": [(labels, 1.0)]})
    target = make_target("sum(up)", instant=True, range=False)
    [tile] = only_panel(source, make_panel("stat", target)).tiles
    assert tile.name == name


def test_queries_are_asked_with_grafanas_own_steps() -> None:
    source = TableOfAnswers()
    panel = make_panel(
        "timeseries", make_target("rate(a[$__rate_interval]) $__interval $__range"),
        place=place(0, 0, 6, 4),
    )  # fmt: skip
    only_panel(source, panel)
    [(kind, expression, start, end, step)] = source.asked
    # 3,600 s on 6 * 56 points are 10.7 s, which Grafana makes 10 s, and the scrape interval 15 s.
    assert (kind, step) == ("range", 15.0)
    assert expression == "rate(a[1m]) 15s 3600s"
    assert (start, end) == (1_700_000_100.0, 1_700_003_700.0)


def test_a_panel_may_ask_for_fewer_points_and_for_longer_steps() -> None:
    for more, step in (({"maxDataPoints": 60}, 60.0), ({"interval": "2m"}, 120.0), ({}, 15.0)):
        source = TableOfAnswers()
        only_panel(source, make_panel("timeseries", make_target("a"), **more))
        assert source.asked[0][-1] == step


def test_a_query_of_both_kinds_is_asked_over_the_range_and_a_hidden_one_not_at_all() -> None:
    source = TableOfAnswers()
    targets = [make_target("both", instant=True, range=True), make_target("off", "B", hide=True)]
    only_panel(source, make_panel("stat", *targets))
    assert [asked[:2] for asked in source.asked] == [("range", "both")]
    asked: list[str] = []

    def ask(expression: str) -> list[Sample]:
        asked.append(expression)
        return []

    read_dashboard(make_dashboard(make_panel("stat", *targets)), ask, "sms")
    assert asked == ["both"]


def test_what_lies_before_the_range_is_not_drawn_at_its_end() -> None:
    class Early(TableOfAnswers):
        def query_range(
            self, expression: str, start: float, end: float, step: float
        ) -> list[Series]:
            assert (expression, end) == ("a", start + 3600)
            return [Series({}, ((start - step, 9.0), (start, 1.0)))]

    chart = only_panel(Early(), make_panel("timeseries", make_target("a"))).chart
    assert chart is not None
    assert chart.lines[0].values[0] == 1.0
    assert set(chart.lines[0].values[1:]) == {None}


@pytest.mark.parametrize(
    ("unit", "more", "most"),
    [("percentunit", {}, "100 %"), ("percent", {}, "100 %"), ("short", {"max": 7}, "7")],
)
def test_a_dial_ends_where_its_unit_does_unless_it_is_told(
    unit: str, more: dict[str, object], most: str
) -> None:
    source = TableOfAnswers({"a": [({}, 1.0)]})
    target = make_target("a", instant=True, range=False)
    [tile] = only_panel(source, make_panel("gauge", target, defaults={"unit": unit, **more})).tiles
    assert tile.dial is not None
    assert tile.dial.most == most


def test_a_day_is_asked_in_steps_of_its_width() -> None:
    source = TableOfAnswers()
    day = View(TimeRange(START_S, START_S + 86_400), scrape_s=15)
    panel = make_panel("timeseries", make_target("rate(a[$__rate_interval])"))
    collect_dashboard(make_dashboard(panel), source, day)
    [(_, expression, _, _, step)] = source.asked
    # 86,400 s on 12 * 56 points are 129 s: two minutes.
    assert (expression, step) == ("rate(a[2m15s])", 120.0)


def test_an_instant_query_is_asked_at_the_end_of_the_range() -> None:
    source = TableOfAnswers()
    only_panel(source, make_panel("table", make_table_target("a")))
    assert source.asked == [("instant", "a", END_S)]


def test_a_failing_query_is_told_in_its_panel_and_the_others_go_on() -> None:
    source = TableOfAnswers({"good": [({}, 1.0)]}, broken=frozenset({"bad"}))
    target = make_target("good", instant=True, range=False)
    frame = collect(
        make_dashboard(
            make_panel("stat", make_target("bad"), title="Bad"),
            make_panel("stat", target, id=2, title="Good"),
        ),
        source,
    )
    bad, good = frame.panels
    assert bad.error == "Prometheus can't evaluate 'bad': no such thing"
    assert (good.error, good.tiles[0].text) == ("", "1")
    assert frame.failures == ("Bad: Prometheus can't evaluate 'bad': no such thing",)


def test_a_panel_of_another_kind_says_that_it_is_not_drawn() -> None:
    frame = only_panel(TableOfAnswers(), make_panel("heatmap", make_target("a")))
    assert frame.error == "The preview draws no panel of type heatmap"


def test_no_data_is_no_error() -> None:
    frame = collect(SHOWCASE, TableOfAnswers())
    assert frame.failures == ()
    panels = {each.title: each for each in frame.panels}
    assert panels["Without data"].nothing == "No traffic"
    assert panels["Queue depth"].nothing == "No data"
    assert panels["Organisations"].table is not None
    assert panels["Organisations"].table.rows == ()


def test_marks_are_stretches_above_zero_with_their_words() -> None:
    query = {
        "name": "Deployments", "iconColor": "blue", "titleFormat": "{{version}} is out",
        "textFormat": "by {{who}}", "tagKeys": "env,team",
    }  # fmt: skip
    points = ((60.0, 1.0), (120.0, 1.0), (180.0, 0.0), (240.0, 1.0), (600.0, 2.0))
    series = [Series({"version": "1.4", "who": "ann", "env": "prod"}, points)]
    marks = list_marks(query, series, 60.0)
    assert [(mark.start_ms, mark.end_ms) for mark in marks] == [
        (60_000, 120_000), (240_000, 240_000), (600_000, 600_000),
    ]  # fmt: skip
    assert {(mark.title, mark.text, mark.tags) for mark in marks} == {
        ("1.4 is out", "by ann", ("prod",))
    }


def test_annotations_that_fail_are_noted_and_those_switched_off_not_asked() -> None:
    source = TableOfAnswers(broken=frozenset({"bad"}))
    queries = [
        {"name": "Grafana's own", "builtIn": 1, "enable": True, "expr": "own"},
        {"name": "Off", "enable": False, "expr": "off"},
        {"name": "Deployments", "enable": True, "expr": "bad"},
    ]
    frame = collect(make_dashboard(annotations={"list": queries}), source)
    assert frame.notes == ("Deployments: Prometheus can't evaluate 'bad': no such thing",)
    assert [asked[1] for asked in source.asked] == ["bad"]


@pytest.mark.parametrize(("scrape_s", "step"), [(1.0, 2.0), (15.0, 30.0), (60.0, 30.0)])
def test_annotations_are_looked_for_as_often_as_their_prometheus_scrapes(
    scrape_s: float, step: float
) -> None:
    source = TableOfAnswers()
    queries = [{"name": "Alerts", "enable": True, "expr": "ALERTS", "step": "30s"}]
    document = check_document(make_dashboard(annotations={"list": queries}), "x")
    collect_dashboard(document, source, View(RANGE, scrape_s=scrape_s))
    [(_, _, start, end, asked)] = source.asked
    assert (asked, end - start) == (step, 3600.0)


def test_annotations_of_a_long_range_are_within_what_prometheus_gives() -> None:
    source = TableOfAnswers()
    queries = [{"name": "Alerts", "enable": True, "expr": "ALERTS", "step": "15s"}]
    document = check_document(make_dashboard(annotations={"list": queries}), "x")
    month = TimeRange(END_S - 30 * 86_400, END_S)
    collect_dashboard(document, source, View(month))
    [(_, _, start, end, step)] = source.asked
    assert 5_000 < (end - start) / step <= 11_000


def test_runbooks_that_nobody_has_published_are_named_by_their_command() -> None:
    links = [
        {"title": "Runbook: A", "url": "${runbooks}/OutboundOutage.md"},
        {"title": "Runbooks", "url": "${runbooks}"},
        {"title": "Traces", "url": "/explore?x=1"},
    ]
    variable = {"name": "runbooks", "type": "constant", "query": RUNBOOK_BASE_URL}
    panel = make_panel("stat", make_target("a"), links=links)
    frame = only_panel(TableOfAnswers(), panel, templating={"list": [variable]})
    assert [(link.url, link.instead) for link in frame.links] == [
        ("", "Runbook: A: outbound-slo alerts explain OutboundOutage"),
        ("", "Runbooks: outbound-slo alerts explain"),
        ("", "In Grafana: Traces"),
    ]


def test_where_all_values_lead_stands_once_below_them() -> None:
    shared = {"title": "Runbook", "url": "https://r.example/A.md"}
    links = [
        shared, {"title": "What fires", "url": "/d/outbound-slo?viewPanel=panel-4"},
        {"title": "This one", "url": "https://x.example/${__value.raw}"},
        {"title": "Here", "url": "/d/showcase?from=${__from}"},
    ]  # fmt: skip
    for kind in ("stat", "gauge"):
        panel = make_panel(kind, make_target("a"), defaults={"links": links}, links=[shared])
        frame = only_panel(TableOfAnswers({"a": [({}, 1.0)]}), panel)
        assert [link.url for link in frame.leads] == ["#outbound-slo?viewPanel=panel-4"]


@pytest.mark.parametrize(
    ("missing", "calc", "seen_ms"),
    [
        (0, "lastNotNull", None), (1, "lastNotNull", None), (2, "lastNotNull", 1_000_060_000),
        (2, "last", 1_000_060_000), (2, "max", None),
    ],
)  # fmt: skip
def test_a_tile_says_when_its_number_is_not_of_now(
    missing: int, calc: str, seen_ms: int | None
) -> None:
    panel = make_panel("stat", options={"reduceOptions": {"calcs": [calc]}})
    curve = Curve("a", {}, (1.0, 2.0, *(None,) * missing), {})
    [tile] = build_tiles(panel, [curve], 1_000_000.0, 60.0)
    assert tile.seen_ms == seen_ms


def test_an_axis_reaches_its_soft_maximum() -> None:
    panel = make_panel(
        "timeseries", make_target("a"), defaults={"custom": {"axisSoftMax": 101}}
    )  # fmt: skip
    chart = only_panel(TableOfAnswers({"a": [({}, 3.0)]}), panel).chart
    assert chart is not None
    assert (chart.left.reaches, chart.left.most) == (101, None)


def test_a_tile_without_data_leads_on() -> None:
    links = [{"title": "Health", "url": "/d/outbound-health"}]
    panel = make_panel("stat", make_target("a"), defaults={"links": links})
    frame = only_panel(TableOfAnswers(), panel)
    assert [link.url for link in frame.leads] == ["#outbound-health"]


def test_a_series_leads_to_what_its_labels_name() -> None:
    address = "/d/outbound-organisation?var-org_id=${__field.labels.org}"
    links = [{"title": "Dashboard of ${__field.labels.org}", "url": address}]
    any_one = [{"title": "One", "url": "/d/outbound-organisation"}]
    panel = make_panel(
        "stat", make_target("a", legendFormat="{{org}}"),
        defaults={"links": links}, overrides=[override("nobody", links=any_one)],
    )  # fmt: skip
    source = TableOfAnswers({"a": [({"org": "a&b=c"}, 1.0), ({"org": "nobody"}, 2.0)]})
    assert [(link.title, link.url) for link in only_panel(source, panel).leads] == [
        ("Dashboard of a&b=c", "#outbound-organisation?var-org_id=a%26b%3Dc"),
        ("One", "#outbound-organisation"),
    ]


def test_a_range_whose_end_was_not_scraped_is_told_above_all_panels() -> None:
    silent = collect(SHOWCASE, TableOfAnswers())
    assert "scraped nothing at the end of this range" in silent.hint
    assert silent.failures == ()
    source = TableOfAnswers({"quota": [({}, 1.0)]})
    assert collect(SHOWCASE, source).hint == ""
    assert source.ends == [END_S]
    source.broken = frozenset({SCRAPED})
    assert collect(SHOWCASE, source).hint == ""


def test_links_keep_addresses_of_the_web_and_of_other_dashboards_only() -> None:
    links = [
        {"title": "Runbook", "url": "${runbooks}/A.md"},
        {"title": "Other", "url": "/d/outbound-slo?from=${__from}&orgId=1&var-x=${x}&var-a=b"},
        {"title": "Traces", "url": "/explore?x=1"},
        {"title": "Bad", "url": "javascript:alert(1)"},
        {"title": "Time", "url": "https://x.example/?from=${__from}&to=${__to}"},
    ]
    templating = {"list": [{"name": "runbooks", "type": "constant", "query": "https://r.example"}]}
    panel = make_panel("stat", make_target("a"), links=links)
    frame = only_panel(TableOfAnswers(), panel, templating=templating)
    assert [link.url for link in frame.links] == [
        "https://r.example/A.md", "#outbound-slo?from=1700000100000&var-a=b", "", "",
        "https://x.example/?from=1700000100000&to=1700003700000",
    ]  # fmt: skip


def test_a_frame_is_json_even_where_numbers_are_not_finite() -> None:
    source = TableOfAnswers({"x": [({}, math.inf)]})
    panel = make_panel("table", make_table_target("x"))
    encoded = json.loads(encode_frame(collect(make_dashboard(panel), source)))
    cell = encoded["panels"][0]["table"]["rows"][0][-1]
    assert (cell["text"], cell["order"]) == ("∞", None)
    assert encoded["start_ms"] == RANGE.start_s * 1000


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [
        ("/^QUE/i", "s"),
        ("/^QUE/", "short"),
        ("/ued/", "s"),
        (".*ued", "s"),
        ("ued", "short"),
        ("/x/", "short"),
    ],
)
def test_a_pattern_has_flags_as_in_javascript(pattern: str, unit: str) -> None:
    source = TableOfAnswers({"x": [({}, 1.0)]})
    panel = make_panel(
        "timeseries", make_target("x", legendFormat="queued", instant=True, range=False),
        overrides=[override(pattern, "byRegexp", unit="s")],
    )  # fmt: skip
    chart = only_panel(source, panel).chart
    assert chart is not None
    assert chart.lines[0].unit == unit


def test_a_value_of_a_variable_stays_inside_its_string_in_a_query() -> None:
    source = TableOfAnswers()
    templating = {"list": [{"name": "x", "type": "textbox", "query": ""}]}
    panel = make_panel("table", make_table_target('up{job="$x"}'))
    collect(make_dashboard(panel, templating=templating), source, {"x": 'a"} or up{b="'})
    assert source.asked[0][1] == 'up{job="a\\"} or up{b=\\""}'
