"""Runbook 000's twelve panels on a Prometheus with an hour of known data and production rules.

All panels of all dashboards are asked about a whole story in test_dashboards_world.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alerts.generator import render_rules
from alerts.replay.evaluation import store_samples
from alerts.timing import Timing
from dashboards.artefacts import SLA_PATH, build_artefacts
from dashboards.commands import app
from dashboards.expressions import latency_quantile, select
from dashboards.preview import PanelReading, fill_variables, read_dashboard
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import PrometheusApi, Sample
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.metrics import Metric

HISTORY_S = 4000
STEP_S = 15
RECORDED_WITHIN_S = 30.0

DASHBOARD: dict[str, Any] = json.loads(build_artefacts()[SLA_PATH])
PANELS = [panel for panel in DASHBOARD["panels"] if panel["id"] <= 12]
TARGETS = [
    (f"{panel['title']} {target['refId']}", target["expr"])
    for panel in PANELS
    for target in panel["targets"]
]


@dataclass(frozen=True)
class Course:
    """A series over the hour: starts at `value` and grows by `growth` at each step."""

    labels: Mapping[str, str]
    value: float
    growth: float = 0.0


def _channels(labels: Mapping[str, str], whatsapp: float, growth: float = 0.0) -> list[Course]:
    """Give the same series for a busy channel and for one on which nothing happens.

    Two exporters say so: nothing may be counted twice.
    """
    return [
        course
        for exporter in ("exporter-1:9109", "exporter-2:9109")
        for course in (
            Course({"instance": exporter, "channel": "whatsapp", **labels}, whatsapp, growth),
            Course({"instance": exporter, "channel": "sms", **labels}, 0),
        )
    ]


def _histogram(edges: Sequence[float], fast_below: float) -> list[Course]:
    """Count 20 messages a step: all of them between the edge under `fast_below` and itself."""
    return [
        course
        for edge in [*edges, math.inf]
        for course in _channels(
            {"le": "+Inf" if edge == math.inf else str(edge)}, 0, 20 if edge >= fast_below else 0
        )
    ]


# 19 of 20 messages are sent; of the 4 failed attempts in a step, 3 have one code.
HISTORY: tuple[tuple[Metric, str, list[Course]], ...] = (
    (metrics.QUEUE_DEPTH, "", _channels({"status": "queued"}, 120)),
    (
        metrics.DEAD_LETTERS,
        "",
        [
            *_channels({"error_code": "131016", "category": "transient"}, 7),
            *_channels({"error_code": "131026", "category": "recipient"}, 4),
        ],
    ),
    (metrics.STUCK, "", _channels({"status": "sending", "reason": "sending_too_long"}, 2)),
    (metrics.RETRY_COUNT, "", _channels({}, 60)),
    (
        metrics.QUOTA_USED,
        "",
        [Course({"org_id": "busy"}, 960), Course({"org_id": "idle"}, 10)],
    ),
    (
        metrics.QUOTA_LIMIT,
        "",
        [Course({"org_id": "busy"}, 1000), Course({"org_id": "idle"}, 1000)],
    ),
    (metrics.SESSION_EXPIRATION, "", [Course({"channel": "whatsapp"}, 1800)]),
    (
        metrics.FINISHED,
        "",
        [
            *_channels({"outcome": "sent", "error_code": ""}, 0, 19),
            *_channels({"outcome": "failed", "error_code": "131026"}, 0, 1),
            # A refusal of our own: in neither number of the success rate (D3).
            *_channels({"outcome": "refused", "error_code": "session_expired"}, 0, 5),
        ],
    ),
    (
        metrics.ATTEMPTS,
        "",
        [
            *_channels({"outcome": "sent", "error_code": ""}, 0, 19),
            *_channels({"outcome": "failed", "error_code": "131016"}, 0, 3),
            *_channels({"outcome": "failed", "error_code": "131026"}, 0, 1),
            *_channels({"outcome": "failed", "error_code": "470"}, 0),
        ],
    ),
    (metrics.SEND_LATENCY, "_bucket", _histogram(metrics.SEND_LATENCY_BUCKETS, 2.5)),
    (metrics.SEND_LATENCY, "_count", _channels({}, 0, 20)),
    (metrics.DELIVERY_LATENCY, "_bucket", _histogram(metrics.DELIVERY_LATENCY_BUCKETS, 90.0)),
    (metrics.DELIVERY_LATENCY, "_count", _channels({}, 0, 20)),
    (
        metrics.BREAKER_STATE,
        "",
        [
            Course({"name": "whatsapp", "instance": "sender-1:8080"}, 2),
            Course({"name": "sms", "instance": "sender-1:8080"}, 0),
        ],
    ),
)


def _write_history(end: float) -> str:
    """Write the hour before `end` (Unix seconds) in OpenMetrics' text form."""
    first = end - HISTORY_S
    lines = [
        f"{metric.name}{suffix}{_braces(course.labels)} {course.value + step * course.growth} "
        f"{first + step * STEP_S:.3f}"
        for metric, suffix, courses in HISTORY
        for course in courses
        for step in range(HISTORY_S // STEP_S + 1)
    ]
    return "\n".join([*lines, "# EOF", ""])


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


@dataclass(frozen=True)
class Server:
    """A Prometheus whose data is asked at one instant only, however long a test takes."""

    api: PrometheusApi
    instant: float

    def ask(self, expression: str) -> list[Sample]:
        return self.api.query(expression, at=self.instant)


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, prometheus_tools: Tools
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("panels")
    for name, text in render_rules(Timing()).items():
        (directory / name).write_text(text, encoding="utf-8")
    history = directory / "history.om"
    history.write_text(_write_history(time.time()), encoding="utf-8")
    store_samples(prometheus_tools, history, directory / "data")
    configuration = compose_configuration([], rule_files=[Path("outbound-*.yml")])
    with Supervisor(directory) as supervisor:
        api = start_prometheus(supervisor, directory, configuration, tools=prometheus_tools)
        yield Server(api, _wait_for_records(api))


def _wait_for_records(api: PrometheusApi) -> float:
    """Wait until the rules have recorded both latencies; give that instant in Unix seconds."""
    recorded = (metrics.SEND_LATENCY_QUANTILE.name, metrics.DELIVERY_LATENCY_QUANTILE.name)
    deadline = time.monotonic() + RECORDED_WITHIN_S
    while time.monotonic() < deadline:
        instant = time.time()
        if all(api.query(name, at=instant) for name in recorded):
            return instant
        time.sleep(0.1)
    pytest.fail(f"the rules recorded no {' or '.join(recorded)} in {RECORDED_WITHIN_S:g} s")


@pytest.fixture(scope="module")
def panels(prometheus: Server) -> dict[str, PanelReading]:
    read = read_dashboard(DASHBOARD, prometheus.ask, "whatsapp")
    return {panel.title: panel for panel in read}


@pytest.mark.parametrize(("place", "expression"), TARGETS, ids=[place for place, _ in TARGETS])
def test_every_expression_gives_data_for_a_busy_channel(
    prometheus: Server, place: str, expression: str
) -> None:
    samples = prometheus.ask(fill_variables(expression, "whatsapp"))
    assert samples, f"{place} has no data"
    assert not [sample for sample in samples if not math.isfinite(sample.value)]


@pytest.mark.parametrize(("place", "expression"), TARGETS, ids=[place for place, _ in TARGETS])
def test_no_expression_gives_nan_for_a_channel_without_traffic(
    prometheus: Server, place: str, expression: str
) -> None:
    samples = prometheus.ask(fill_variables(expression, "sms"))
    assert not [sample for sample in samples if not math.isfinite(sample.value)], place


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Message Success Rate", [("Success Rate", "95.0 %", "green")]),
        ("Queue Depth", [("Queued Messages", "120", "yellow")]),
        ("Stuck Messages", [("Stuck Messages", "2", "yellow")]),
        ("Quota Usage", [("Quota Usage % busy", "96.0 %", "red")]),
        ("Session Window Expiration", [("Seconds Until Session Expires", "30.0 min", "red")]),
        ("Retry Count", [("Messages Requiring Retries", "60", "yellow")]),
        ("Dead Letter Queue Size", [("DLQ Messages", "11", "green")]),
        (
            "Circuit Breaker State",
            [("Circuit Breaker State sender-1:8080", "HALF_OPEN", "yellow")],
        ),
    ],
)
def test_a_panel_shows_what_the_data_says(
    panels: dict[str, PanelReading], title: str, shown: list[tuple[str, str, str]]
) -> None:
    readings = panels[title].readings
    assert [(each.name, each.text, each.colour) for each in readings] == shown


def test_latencies_are_interpolated_within_their_bucket_and_coloured_by_the_line(
    panels: dict[str, PanelReading],
) -> None:
    send = panels["Message Send Latency (p50/p95/p99)"].readings
    delivery = panels["Message Delivery Latency (p50/p95/p99)"].readings
    assert [each.value for each in send] == pytest.approx([1.75, 2.425, 2.485])
    assert [each.value for each in delivery] == pytest.approx([75.0, 88.5, 89.7])
    assert {each.colour for each in send} == {"transparent"}
    assert {each.colour for each in delivery} == {"red"}


def test_a_latency_is_the_same_with_and_without_the_recording_rules(prometheus: Server) -> None:
    for recorded in (metrics.SEND_LATENCY_QUANTILE, metrics.DELIVERY_LATENCY_QUANTILE):
        expression = fill_variables(latency_quantile(recorded, 0.99), "whatsapp")
        with_rules, _, without_rules = expression.partition(" or ")
        [left], [right] = prometheus.ask(with_rules), prometheus.ask(without_rules)
        assert left.value == pytest.approx(right.value)


def test_error_patterns_come_by_code_and_without_codes_that_did_not_occur(
    panels: dict[str, PanelReading],
) -> None:
    readings = panels["Error Patterns (Last Hour)"].readings
    assert [each.name for each in readings] == ["131016", "131026"]
    assert [each.value for each in readings] == pytest.approx([3 / STEP_S, 1 / STEP_S], rel=0.02)


def test_volume_is_counted_in_messages_per_second_beside_the_queue(
    panels: dict[str, PanelReading],
) -> None:
    sent, failed, queued = panels["Message Volume (sent/failed/queued)"].readings
    assert sent.value == pytest.approx(19 / STEP_S, rel=0.1)
    assert failed.value == pytest.approx(1 / STEP_S, rel=0.1)
    assert queued.value == 120


def test_a_quiet_channel_shows_words_instead_of_numbers(prometheus: Server) -> None:
    quiet = {each.title: each for each in read_dashboard(DASHBOARD, prometheus.ask, "sms")}
    assert quiet["Message Success Rate"].readings == ()
    assert quiet["Message Success Rate"].nothing == "No traffic"
    assert quiet["Message Send Latency (p50/p95/p99)"].readings == ()
    assert quiet["Session Window Expiration"].nothing == "No open window"
    assert [each.text for each in quiet["Queue Depth"].readings] == ["0"]


def test_the_channel_variable_finds_the_channels(prometheus: Server) -> None:
    [query] = [
        each["query"] for each in DASHBOARD["templating"]["list"] if each["name"] == "channel"
    ]
    metric, _, label = query.removeprefix("label_values(").removesuffix(")").partition(", ")
    assert metric == select(metrics.QUEUE_DEPTH)
    assert {each.labels[label] for each in prometheus.ask(metric)} == {"whatsapp", "sms"}


def test_the_command_draws_every_panel(prometheus: Server) -> None:
    arguments = ["preview", "--prometheus", prometheus.api.url]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    for panel in PANELS:
        assert panel["title"] in result.stdout
    assert "HALF_OPEN" in result.stdout


def test_the_command_prints_the_same_for_machines(prometheus: Server) -> None:
    arguments = ["preview", "--prometheus", prometheus.api.url, "--json", "--channel", "whatsapp"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    read = {panel["title"]: panel for panel in json.loads(result.stdout)}
    assert read.keys() >= {panel["title"] for panel in PANELS}
    [queue] = read["Queue Depth"]["readings"]
    assert (queue["value"], queue["colour"]) == (120, "yellow")
