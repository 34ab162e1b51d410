"""Numbers, ranges, steps and variables of previews."""

import math
from typing import Any

import pytest

from dashboards.preview.moments import (
    TimeRange,
    align,
    choose_step,
    parse_interval,
    parse_range,
    rate_interval,
    round_interval,
)
from dashboards.preview.values import Shown, format_value, map_value, reduce_values, show
from dashboards.preview.variables import fill, resolve_variables
from outbound_slo.vocabulary.mistakes import UserMistake

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.0, "s", None, "0 s"),
        (0.00042, "s", None, "420 µs"),
        (200_000.0, "s", None, "2.3 d"),
        (12.0, "s", 0, "12 s"),
        (0.975, "percentunit", None, "97.5 %"),
        (99.97, "percent", None, "99.97 %"),
        (99.9999999, "percent", None, "100.0 %"),
        (0.004, "percent", None, "0.004 %"),
        (99.97, "percent", 1, "100.0 %"),
        (512.0, "bytes", None, "512 B"),
        (1_610_612_736.0, "bytes", None, "1.5 GiB"),
        (12.5, "cps", None, "12.5 /s"),
        (2.0, "reqps", None, "2 req/s"),
        (99_999.0, "short", None, "99,999"),
        (1_234_567.0, "short", None, "1.23 M"),
        (1_234_567.0, "none", None, "1,234,567"),
        (0.5, "none", 0, "1"),
        (2.5, "none", 0, "3"),
        (1.5, "none", 2, "1.50"),
        (-1234.0, "short", None, "-1,234"),
        (math.inf, "s", None, "∞"),
        (-math.inf, "s", None, "-∞"),
        (math.nan, "s", None, "NaN"),
        (1e30, "none", None, "1.00e+30"),
        (-1e300, "s", 1, "-1.16e+295 d"),
        (1500.0, "ms", None, "1.5 s"),
        (90.0, "m", None, "1.5 h"),
        (12.5, "ops", None, "12.5 ops"),
        (3.0, "suffix: rows", None, "3 rows"),
    ],
)
def test_values_are_written_with_unit_and_decimals(
    value: float, unit: str, decimals: int | None, text: str
) -> None:
    assert format_value(value, unit, decimals) == text


MAPPINGS: list[dict[str, Any]] = [
    {"type": "value", "options": {"0": {"text": "CLOSED", "color": "green"}}},
    {"type": "range", "options": {"from": 1, "to": 2, "result": {"text": "OPEN", "color": "red"}}},
    {"type": "range", "options": {"from": None, "to": -1, "result": {"color": "blue"}}},
    {"type": "special", "options": {"match": "null", "result": {"text": "gone", "color": "red"}}},
    {"type": "special", "options": {"match": "nan", "result": {"text": "not one"}}},
    {"type": "regex", "options": {"pattern": "lim.*", "result": {"text": "limited"}}},
    {"type": "regex", "options": {"pattern": "/auth/i", "result": {"text": "login"}}},
]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, Shown("CLOSED", "green")),
        (1.0, Shown("OPEN", "red")),
        (2.0, Shown("OPEN", "red")),
        (2.5, Shown("2.5", "none")),
        (-3.0, Shown("-3", "blue")),
        (None, Shown("gone", "red")),
        (math.nan, Shown("not one", "none")),
    ],
)
def test_the_first_mapping_that_fits_gives_text_and_colour(
    value: float | None, shown: Shown
) -> None:
    assert show(value, {"mappings": MAPPINGS, "unit": "none"}) == shown


@pytest.mark.parametrize(
    ("word", "text"),
    [("limit", "limited"), ("no limit", None), ("OAuth 2", "login"), ("0", "CLOSED"), ("x", None)],
)
def test_words_are_mapped_by_themselves_or_by_a_pattern(word: str, text: str | None) -> None:
    assert map_value(word, {"mappings": MAPPINGS}).get("text") == text


def test_no_value_has_the_words_of_its_field() -> None:
    assert show(None, {"noValue": "No quota"}) == Shown("No quota", "none")
    assert show(None, {}) == Shown("No data", "none")


@pytest.mark.parametrize(
    ("calc", "value"),
    [
        ("first", 1.0),
        ("firstNotNull", 1.0),
        ("range", 4.0),
        ("lastNotNull", 3.0),
        ("last", None),
        ("max", 5.0),
        ("min", 1.0),
        ("mean", 3.0),
        ("sum", 9.0),
    ],
)
def test_calcs_leave_gaps_out(calc: str, value: float | None) -> None:
    assert reduce_values([1.0, None, 5.0, 3.0, None], calc) == value
    assert reduce_values([None, None], calc) is None


# @grafana/data, rangeutil.roundInterval: milliseconds in, milliseconds out.
@pytest.mark.parametrize(
    ("given", "rounded"),
    [
        (1.4, 1), (1.6, 2), (12.4, 10), (12.6, 15), (17.6, 20), (44, 30), (46, 60), (91, 120),
        (211, 300), (451, 600), (751, 900), (1051, 1200), (1501, 1800), (2701, 3600),
        (5401, 7200), (9001, 10_800), (16_201, 21_600), (32_401, 43_200), (86_401, 86_400),
        (604_801, 604_800), (1_814_401, 2_592_000), (0.3, 0.2),
    ],
)  # fmt: skip
def test_steps_are_rounded_as_grafana_does(given: float, rounded: float) -> None:
    assert round_interval(given) == rounded


def test_a_step_is_never_shorter_than_the_scrape_interval_and_a_rate_sees_four_scrapes() -> None:
    hour = TimeRange(NOW, NOW + 3600)
    assert choose_step(hour, 1000, 15) == 15
    assert choose_step(hour, 100, 15) == 30
    assert rate_interval(15, 15) == 60
    assert rate_interval(120, 15) == 135
    # Prometheus gives 11,000 points at most, whatever a panel asks for.
    assert choose_step(TimeRange(NOW, NOW + 11_000 * 15 + 1), 1_000_000, 1) == 15


def test_ranges_begin_on_a_multiple_of_the_step() -> None:
    assert align(TimeRange(125.0, 361.0), 60.0) == TimeRange(120.0, 360.0)


@pytest.mark.parametrize(
    ("since", "until", "start_s", "end_s"),
    [
        ("now-6h", "now", NOW - 21_600, NOW),
        ("now-2d", "now-1d", NOW - 172_800, NOW - 86_400),
        ("2023-11-14T20:00:00Z", "2023-11-14T22:00:00+00:00", NOW - 8000, NOW - 800),
        ("2023-11-14T20:00:00", "now", NOW - 8000, NOW),
        ("1699992000", "1699999200000", NOW - 8000, NOW - 800),
    ],
)
def test_ranges_are_read(since: str, until: str, start_s: float, end_s: float) -> None:
    assert parse_range(since, until, NOW) == TimeRange(start_s, end_s)


@pytest.mark.parametrize(
    ("since", "until", "complaint"),
    [
        ("yesterday", "now", "'yesterday' is no moment"),
        ("now+1h", "now", "'now\\+1h' is no moment"),
        ("now-6h", "", "'' is no moment"),
        ("now", "now-6h", "is empty"),
        ("now", "now", "is empty"),
        ("now-93d", "now", "longer than 92 days"),
        ("now-999999999w", "now", "longer than 92 days"),
    ],
)
def test_what_is_no_range_is_a_mistake(since: str, until: str, complaint: str) -> None:
    with pytest.raises(UserMistake, match=complaint):
        parse_range(since, until, NOW)


def test_intervals_are_read_as_grafana_writes_them() -> None:
    assert [parse_interval(text) for text in ("15s", ">1m", "500ms", "1m30s")] == [15, 60, 0.5, 90]
    for text in ("", "0s", "fast", "-5s"):
        with pytest.raises(UserMistake, match="is no duration"):
            parse_interval(text)


TEMPLATES: list[dict[str, Any]] = [
    {"name": "datasource", "type": "datasource", "query": "prometheus"},
    {"name": "channel", "label": "Channel", "type": "query",
     "query": "label_values(queue_depth, channel)", "current": {"value": "sms"}},
    {"name": "org_id", "type": "query",
     "query": {"query": 'label_values(quota{channel="$channel"}, org_id)', "refId": "x"}},
    {"name": "runbooks", "type": "constant", "hide": 2, "query": "https://r.example"},
    {"name": "window", "type": "custom", "query": "5m, One hour : 1h"},
    {"name": "search", "type": "textbox", "query": "any"},
]  # fmt: skip
LABELS = {
    ("queue_depth", "channel"): ["whatsapp", "sms"],
    ('quota{channel="sms"}', "org_id"): ["globex", "acme"],
}


def resolve(given: dict[str, str]) -> dict[str, str]:
    document = {"templating": {"list": TEMPLATES}}
    found = resolve_variables(document, given, lambda *asked: LABELS.get(asked, []))
    return {each.name: each.value for each in found}


def test_variables_take_what_is_given_then_what_is_saved_then_the_first() -> None:
    assert resolve({"search": "x"}) == {
        "datasource": "", "channel": "sms", "org_id": "acme", "runbooks": "https://r.example",
        "window": "5m", "search": "x",
    }  # fmt: skip
    # Options of one variable follow the value of another.
    assert resolve({"channel": "whatsapp"})["org_id"] == ""
    assert resolve({})["search"] == "any"


def test_a_variable_tells_its_options_and_whether_it_is_seen() -> None:
    document = {"templating": {"list": TEMPLATES}}
    found = resolve_variables(document, {}, lambda *asked: LABELS.get(asked, []))
    by_name = {each.name: each for each in found}
    assert by_name["channel"].options == ("sms", "whatsapp")
    assert by_name["window"].options == ("5m", "1h")
    assert [each.name for each in found if not each.hidden] == [
        "channel", "org_id", "window", "search",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("current", "value"),
    [(["$__all"], "(a|b)"), ("$__all", "(a|b)"), (["a.b", "c"], r"(a\.b|c)"), (["a"], "a")],
)
def test_several_values_become_a_pattern(current: object, value: str) -> None:
    template = {"name": "x", "type": "custom", "query": "a,b", "current": {"value": current}}
    [found] = resolve_variables({"templating": {"list": [template]}}, {}, lambda *_: [])
    assert found.value == value


@pytest.mark.parametrize(("saved", "value"), [("b", "b"), ("gone", "a"), ("", "a")])
def test_a_saved_value_that_is_no_option_any_more_gives_way_to_the_first(
    saved: str, value: str
) -> None:
    template = {"name": "x", "type": "custom", "query": "a,b", "current": {"value": saved}}
    [found] = resolve_variables({"templating": {"list": [template]}}, {}, lambda *_: [])
    assert found.value == value


def test_all_of_no_options_is_anything() -> None:
    for more, value in (({}, ".*"), ({"allValue": ".+"}, ".+")):
        template = {"name": "x", "type": "query", "current": {"value": "$__all"}, **more}
        [found] = resolve_variables({"templating": {"list": [template]}}, {}, lambda *_: [])
        assert found.value == value


def test_names_are_filled_in_all_their_forms_and_strangers_stay() -> None:
    text = "$a ${a} ${a:regex} [[a]] $ab ${__value.raw} $1"
    assert fill(text, {"a": "X"}) == "X X X X $ab ${__value.raw} $1"


def test_a_value_cannot_leave_the_string_that_it_stands_in() -> None:
    filled = fill('up{job="$x"}', {"x": 'a"} or vector(1) or up{b="\\'}, escaped=True)
    assert filled == 'up{job="a\\"} or vector(1) or up{b=\\"\\\\"}'


@pytest.mark.parametrize("quote", ["'", "`"])
def test_a_value_cannot_leave_a_string_of_another_quote(quote: str) -> None:
    filled = fill(f"up{{job={quote}$x{quote}}}", {"x": f"a{quote}}} or vector(1)"}, escaped=True)
    assert filled.count(quote) == 2
