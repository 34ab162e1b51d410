"""The generated SLA dashboard: the runbook's twelve panels, in a form that Grafana 12 takes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dashboards.artefacts import SLA_PATH, build_artefacts
from outbound_slo.artefacts import find_drift
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.metrics import METRICS, MetricKind

ROOT = Path(__file__).parents[2]
BELOW = 6
"""Grid units that the triage row and the heading above the twelve panels take."""

Steps = tuple[tuple[float | None, str], ...]


@dataclass(frozen=True)
class RunbookPanel:
    """A panel as runbook 000 gives it; `steps` begin with the base colour."""

    title: str
    kind: str
    place: tuple[int, int, int, int]
    unit: str | None = None
    steps: Steps = ()


UNMARKED = "transparent"
RUNBOOK = {
    1: RunbookPanel(
        "Message Send Latency (p50/p95/p99)", "timeseries", (0, 0, 12, 8), "s",
        ((None, UNMARKED), (30, "red")),
    ),
    2: RunbookPanel(
        "Message Delivery Latency (p50/p95/p99)", "timeseries", (12, 0, 12, 8), "s",
        ((None, UNMARKED), (60, "red")),
    ),
    3: RunbookPanel(
        "Message Success Rate", "stat", (0, 8, 6, 4), "percent",
        ((None, "red"), (90, "yellow"), (95, "green")),
    ),
    4: RunbookPanel(
        "Queue Depth", "stat", (6, 8, 6, 4), "short",
        ((None, "green"), (100, "yellow"), (500, "red")),
    ),
    5: RunbookPanel(
        "Stuck Messages", "stat", (12, 8, 6, 4), "short",
        ((None, "green"), (1, "yellow"), (10, "red")),
    ),
    6: RunbookPanel(
        "Quota Usage", "gauge", (18, 8, 6, 4), "percent",
        ((None, "green"), (80, "yellow"), (95, "red")),
    ),
    7: RunbookPanel(
        "Session Window Expiration", "timeseries", (0, 12, 12, 8), "s",
        ((None, "red"), (3600, UNMARKED)),
    ),
    8: RunbookPanel("Error Patterns (Last Hour)", "table", (12, 12, 12, 8), "short"),
    9: RunbookPanel(
        "Message Volume (sent/failed/queued)", "timeseries", (0, 20, 24, 8), "short"
    ),
    10: RunbookPanel(
        "Retry Count", "stat", (0, 28, 8, 4), "short",
        ((None, "green"), (50, "yellow"), (100, "red")),
    ),
    11: RunbookPanel(
        "Dead Letter Queue Size", "stat", (8, 28, 8, 4), "short",
        ((None, "green"), (100, "yellow"), (500, "red")),
    ),
    12: RunbookPanel("Circuit Breaker State", "stat", (16, 28, 8, 4), "none"),
}  # fmt: skip


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(build_artefacts()[SLA_PATH])
    return document


def _panel(dashboard: dict[str, Any], number: int) -> dict[str, Any]:
    (found,) = (panel for panel in dashboard["panels"] if panel["id"] == number)
    return dict(found)


def _expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for number in RUNBOOK:
        for target in _panel(dashboard, number)["targets"]:
            yield target["expr"]


def test_the_committed_file_is_what_the_code_builds() -> None:
    assert find_drift(ROOT, build_artefacts()) == []


def test_the_dashboard_is_named_and_found_as_the_runbook_says(dashboard: dict[str, Any]) -> None:
    assert dashboard["title"] == "WhatsApp Messaging SLA Dashboard"
    assert dashboard["uid"] == "whatsapp-sla"
    assert dashboard["tags"] == ["whatsapp", "sla", "messaging"]
    assert dashboard["refresh"] == "30s"
    assert dashboard["time"] == {"from": "now-6h", "to": "now"}
    assert dashboard["timezone"] == "browser"


def test_it_has_the_runbooks_twelve_panels_in_order_below_the_triage_row(
    dashboard: dict[str, Any],
) -> None:
    shown = [panel["id"] for panel in dashboard["panels"] if panel["type"] != "row"]
    assert shown == [101, 102, 103, 104, *range(1, 13)]


@pytest.mark.parametrize("number", RUNBOOK)
def test_a_panel_has_the_runbooks_title_kind_place_and_unit(
    dashboard: dict[str, Any], number: int
) -> None:
    panel, expected = _panel(dashboard, number), RUNBOOK[number]
    place = panel["gridPos"]
    assert panel["title"] == expected.title
    assert panel["type"] == expected.kind
    assert (place["x"], place["y"] - BELOW, place["w"], place["h"]) == expected.place
    assert panel["fieldConfig"]["defaults"]["unit"] == expected.unit


@pytest.mark.parametrize("number", RUNBOOK)
def test_a_panel_changes_colour_where_the_runbook_says(
    dashboard: dict[str, Any], number: int
) -> None:
    defaults = _panel(dashboard, number)["fieldConfig"]["defaults"]
    steps = defaults.get("thresholds", {"steps": []})["steps"]
    assert tuple((step["value"], step["color"]) for step in steps) == RUNBOOK[number].steps


@pytest.mark.parametrize("number", [1, 2, 7])
def test_a_line_over_time_fills_the_bad_range_and_draws_its_edge(
    dashboard: dict[str, Any], number: int
) -> None:
    custom = _panel(dashboard, number)["fieldConfig"]["defaults"]["custom"]
    assert custom["thresholdsStyle"] == {"mode": "line+area"}


def test_the_breakers_states_have_the_runbooks_words_and_colours(
    dashboard: dict[str, Any],
) -> None:
    panel = _panel(dashboard, 12)
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert mapping["options"] == {
        "0": {"text": "CLOSED", "color": "green"},
        "1": {"text": "OPEN", "color": "red"},
        "2": {"text": "HALF_OPEN", "color": "yellow"},
    }
    assert panel["options"]["colorMode"] == "background"


LEGENDS = {
    1: ["p50 Send Latency", "p95 Send Latency", "p99 Send Latency"],
    2: ["p50 Delivery Latency", "p95 Delivery Latency", "p99 Delivery Latency"],
    3: ["Success Rate"],
    4: ["Queued Messages"],
    5: ["Stuck Messages"],
    6: ["Quota Usage % {{org_id}}"],
    7: ["Seconds Until Session Expires"],
    9: ["Sent Rate", "Failed Rate", "Queued Count"],
    10: ["Messages Requiring Retries"],
    11: ["DLQ Messages"],
    12: ["Circuit Breaker State {{instance}}"],
}


@pytest.mark.parametrize("number", LEGENDS)
def test_series_are_called_as_in_the_runbook_and_by_their_own_labels(
    dashboard: dict[str, Any], number: int
) -> None:
    targets = _panel(dashboard, number)["targets"]
    assert [target["legendFormat"] for target in targets] == LEGENDS[number]


@pytest.mark.parametrize(
    ("number", "label"),
    [(1, "Latency (seconds)"), (2, "Latency (seconds)"), (7, "Seconds Remaining"), (9, "Messages")],
)
def test_axes_have_the_runbooks_labels(dashboard: dict[str, Any], number: int, label: str) -> None:
    custom = _panel(dashboard, number)["fieldConfig"]["defaults"]["custom"]
    assert custom["axisLabel"] == label


@pytest.mark.parametrize("number", [3, 4, 5, 10, 11, 12])
def test_numbers_are_shown_as_the_runbook_says_or_leaves_to_grafana(
    dashboard: dict[str, Any], number: int
) -> None:
    options = _panel(dashboard, number)["options"]
    assert options["reduceOptions"] == {"calcs": ["lastNotNull"], "fields": "", "values": False}
    assert options["orientation"] == "auto"
    # Panels 5 and 10 to 12 say nothing of a curve; Grafana's own default is to draw one.
    assert options["graphMode"] == "area"
    assert options["colorMode"] == ("background" if number == 12 else "value")


def test_the_success_rate_is_written_large_and_the_quota_goes_to_a_hundred(
    dashboard: dict[str, Any],
) -> None:
    assert _panel(dashboard, 3)["options"]["text"] == {"titleSize": 18, "valueSize": 52}
    quota = _panel(dashboard, 6)["fieldConfig"]["defaults"]
    assert (quota["min"], quota["max"]) == (0, 100)
    assert dashboard["editable"] is True


def test_the_table_of_error_patterns_has_the_runbooks_columns(dashboard: dict[str, Any]) -> None:
    panel = _panel(dashboard, 8)
    (organize,) = panel["transformations"]
    assert organize["options"]["renameByName"] == {
        "error_code": "Error Code",
        "Value": "Failure Rate/sec",
    }
    assert organize["options"]["excludeByName"] == {"Time": True}
    (target,) = panel["targets"]
    assert (target["format"], target["instant"]) == ("table", True)


def test_no_expression_takes_the_rate_of_a_gauge(dashboard: dict[str, Any]) -> None:
    rated = [
        name
        for expression in _expressions(dashboard)
        for name in re.findall(r"(?:rate|increase)\((\w+)", expression)
    ]
    kinds = {METRICS[name.removesuffix("_bucket")].kind for name in rated}
    assert kinds == {MetricKind.COUNTER, MetricKind.HISTOGRAM}


def test_label_values_in_expressions_are_lower_case(dashboard: dict[str, Any]) -> None:
    values = [
        value
        for expression in _expressions(dashboard)
        for value in re.findall(r'="([^"]*)"', expression)
    ]
    assert "queued" in values
    assert [value for value in values if value != value.lower()] == []


def test_data_source_and_channel_can_be_chosen(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["channel"]["current"]["value"] == "whatsapp"


def test_the_latency_queries_ask_for_exemplars_and_read_a_histogram(
    dashboard: dict[str, Any],
) -> None:
    asking = {
        (panel["id"], target["refId"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        if target["exemplar"]
    }
    assert asking == {(panel, letter) for panel in (1, 2) for letter in "ABC"}
    assert all("_bucket{" in target["expr"] for target in _panel(dashboard, 1)["targets"])


def test_runbook_links_name_alerts_that_exist(dashboard: dict[str, Any]) -> None:
    pages = re.findall(r"\$\{runbooks\}/(\w+)\.md", json.dumps(dashboard))
    assert len(set(pages)) > 5
    assert set(pages) <= set(AlertName)


def test_an_error_code_leads_to_the_traces_that_carry_it(dashboard: dict[str, Any]) -> None:
    (override,) = _panel(dashboard, 8)["fieldConfig"]["overrides"]
    assert override["matcher"] == {"id": "byName", "options": "Error Code"}
    (link,) = override["properties"][0]["value"]
    assert "error.code%3D${__value.raw}" in link["url"]
