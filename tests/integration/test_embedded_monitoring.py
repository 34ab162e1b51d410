"""A real Prometheus and a real Alertmanager, alone and together."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from outbound_slo.embedded.alertmanager import (
    AlertmanagerApi,
    NotificationState,
    start_alertmanager,
)
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import LOOPBACK, Supervisor, pick_port
from outbound_slo.embedded.prometheus import ScrapeJob, compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import (
    AlertState,
    PrometheusApi,
    Rule,
    RuleKind,
    Sample,
    Target,
)
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.patience import wait_for

RULES = """
groups:
  - name: house
    rules:
      - record: house:answers
        expr: 40 + 2 * max(queue_depth) / max(queue_depth)
      - alert: QueueDeep
        expr: queue_depth > 5
        labels: {severity: warning}
        annotations: {summary: "{{ $value }} wait"}
"""
ROUTES = """
route: {receiver: everyone}
receivers: [{name: everyone}]
inhibit_rules:
  - source_matchers: ['severity = critical']
    target_matchers: ['severity = warning']
    equal: [channel]
"""
EXPOSITION = """\
# TYPE queue_depth gauge
queue_depth 7
# TYPE sends counter
sends_total 3 # {trace_id="abc123"} 1.0
# EOF
"""


class Metrics(BaseHTTPRequestHandler):
    """Serves one fixed page of metrics, with an exemplar."""

    def do_GET(self) -> None:
        body = EXPOSITION.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - inherited name
        pass


@pytest.fixture(scope="module")
def metrics_address() -> Iterator[str]:
    with ThreadingHTTPServer((LOOPBACK, pick_port()), Metrics) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"{LOOPBACK}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def unanswered_address() -> str:
    return f"{LOOPBACK}:{pick_port()}"


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def alertmanager(
    supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory, alertmanager_tools: Tools
) -> AlertmanagerApi:
    directory = tmp_path_factory.mktemp("alertmanager")
    return start_alertmanager(supervisor, directory, ROUTES, tools=alertmanager_tools)


@pytest.fixture(scope="module")
def prometheus(
    supervisor: Supervisor,
    tmp_path_factory: pytest.TempPathFactory,
    prometheus_tools: Tools,
    alertmanager: AlertmanagerApi,
    metrics_address: str,
    unanswered_address: str,
) -> PrometheusApi:
    directory = tmp_path_factory.mktemp("prometheus")
    (directory / "house.yml").write_text(RULES)
    configuration = compose_configuration(
        [ScrapeJob("stand-in", [metrics_address]), ScrapeJob("absent", [unanswered_address])],
        rule_files=[Path("house.yml")],
        alertmanagers=[alertmanager.url.removeprefix("http://")],
    )
    return start_prometheus(supervisor, directory, configuration, tools=prometheus_tools)


def test_an_alert_that_fires_in_prometheus_reaches_alertmanager(
    prometheus: PrometheusApi, alertmanager: AlertmanagerApi
) -> None:
    received = wait_for(alertmanager.alerts, "the alert's arrival")
    assert [alert.labels["alertname"] for alert in received] == ["QueueDeep"]
    assert received[0].annotations == {"summary": "7 wait"}
    assert received[0].receivers == ("everyone",)
    fired = prometheus.alerts()
    assert [(alert.name, alert.state, alert.value) for alert in fired] == [
        ("QueueDeep", AlertState.FIRING, 7.0)
    ]
    assert fired[0].labels["severity"] == "warning"


def test_a_query_answers_with_labels_value_and_time(
    prometheus: PrometheusApi, metrics_address: str
) -> None:
    (sample,) = wait_for(lambda: prometheus.query("queue_depth"), "the first scrape")
    assert sample.value == 7.0
    assert sample.labels == {
        "__name__": "queue_depth",
        "instance": metrics_address,
        "job": "stand-in",
    }


def test_a_query_at_an_instant_is_evaluated_there(prometheus: PrometheusApi) -> None:
    assert prometheus.query("vector(time())", at=1000.5) == [Sample({}, 1000.5, 1000.5)]


def test_a_scalar_is_a_sample_without_labels(prometheus: PrometheusApi) -> None:
    assert prometheus.query("6 * 7", at=60.0) == [Sample({}, 42.0, 60.0)]


def test_a_range_has_one_point_for_each_step(prometheus: PrometheusApi) -> None:
    (series,) = prometheus.query_range("vector(time())", 60.0, 80.0, 10.0)
    assert series.points == ((60.0, 60.0), (70.0, 70.0), (80.0, 80.0))


def test_rules_are_listed_with_kind_and_health(prometheus: PrometheusApi) -> None:
    def evaluated() -> list[Rule]:
        rules = prometheus.rules()
        return rules if all(rule.health == "ok" for rule in rules) else []

    rules = wait_for(evaluated, "the first evaluation")
    assert [(rule.group, rule.name, rule.kind, rule.error) for rule in rules] == [
        ("house", "house:answers", RuleKind.RECORDING, ""),
        ("house", "QueueDeep", RuleKind.ALERTING, ""),
    ]
    assert rules[1].expression == "queue_depth > 5"


def test_targets_tell_how_the_last_scrape_went(
    prometheus: PrometheusApi, metrics_address: str, unanswered_address: str
) -> None:
    def scraped() -> list[Target]:
        targets = sorted(prometheus.targets(), key=lambda target: target.job)
        # At first it knows of none.
        return targets if len(targets) == 2 and targets[0].error and targets[1].is_up else []

    absent, answering = wait_for(scraped, "the first scrapes")
    assert answering == Target("stand-in", f"http://{metrics_address}/metrics", True, "")
    assert (absent.job, absent.is_up) == ("absent", False)
    assert unanswered_address in absent.url
    assert "connection refused" in absent.error


def test_exemplars_are_stored_with_their_trace(prometheus: PrometheusApi) -> None:
    def stored() -> list[Sample]:
        now = time.time()
        return prometheus.exemplars("sends_total", now - 3600, now + 60)

    assert wait_for(stored, "the exemplar")[0].labels == {"trace_id": "abc123"}


def test_an_expression_that_does_not_parse_is_one_line_that_quotes_it(
    prometheus: PrometheusApi,
) -> None:
    with pytest.raises(UserMistake, match=r"^Prometheus can't evaluate 'up\{': .*parse error"):
        prometheus.query("up{")


def test_a_changed_rule_file_is_read_on_reload(
    supervisor: Supervisor, tmp_path: Path, prometheus_tools: Tools
) -> None:
    rules = tmp_path / "house.yml"
    rules.write_text(RULES)
    configuration = compose_configuration([], rule_files=[rules])
    api = start_prometheus(supervisor, tmp_path, configuration, tools=prometheus_tools)
    rules.write_text(RULES.replace("QueueDeep", "QueueTooDeep"))
    api.reload()
    assert [rule.name for rule in api.rules()] == ["house:answers", "QueueTooDeep"]


def test_a_rule_file_that_is_wrong_is_one_line_with_prometheus_own_reason(
    supervisor: Supervisor, tmp_path: Path, prometheus_tools: Tools
) -> None:
    rules = tmp_path / "wrong.yml"
    rules.write_text(RULES.replace("queue_depth > 5", "queue_depth >"))
    configuration = compose_configuration([], rule_files=[rules])
    with pytest.raises(UserMistake) as mistake:
        start_prometheus(supervisor, tmp_path, configuration, tools=prometheus_tools)
    assert "could not parse expression" in str(mistake.value)
    assert "wrong.yml" in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_a_port_in_use_is_refused_before_anything_starts(
    supervisor: Supervisor, tmp_path: Path, metrics_address: str, prometheus_tools: Tools
) -> None:
    port = int(metrics_address.rpartition(":")[2])
    before = supervisor.children
    with pytest.raises(UserMistake, match=f"Port {port} .* wanted for Prometheus, is in use"):
        start_prometheus(supervisor, tmp_path, "", port=port, tools=prometheus_tools)
    assert supervisor.children == before


def test_a_route_to_nobody_is_one_line_with_alertmanagers_own_reason(
    supervisor: Supervisor, tmp_path: Path, alertmanager_tools: Tools
) -> None:
    with pytest.raises(UserMistake, match='undefined receiver "ghost" used in route'):
        start_alertmanager(
            supervisor, tmp_path, "route: {receiver: ghost}", tools=alertmanager_tools
        )


def test_an_inhibited_alert_is_listed_as_suppressed_by_the_other(
    supervisor: Supervisor, tmp_path: Path, alertmanager_tools: Tools
) -> None:
    api = start_alertmanager(supervisor, tmp_path, ROUTES, tools=alertmanager_tools)
    api.post_alerts(
        [
            {"labels": {"alertname": "Slow", "severity": "warning", "channel": "sms"}},
            {"labels": {"alertname": "Down", "severity": "critical", "channel": "sms"}},
        ]
    )

    def judged() -> dict[str, NotificationState]:
        states = {alert.labels["alertname"]: alert.state for alert in api.alerts()}
        return states if NotificationState.SUPPRESSED in states.values() else {}

    assert wait_for(judged, "the inhibition") == {
        "Slow": NotificationState.SUPPRESSED,
        "Down": NotificationState.ACTIVE,
    }


def test_a_server_that_is_not_there_is_one_line_with_its_address() -> None:
    url = f"http://{LOOPBACK}:{pick_port()}"
    with pytest.raises(UserMistake, match=f"^Prometheus does not answer at {url}: connection"):
        PrometheusApi(url).alerts()
    assert not AlertmanagerApi(url).is_ready()


def test_a_refused_alert_is_one_line_with_the_reason(alertmanager: AlertmanagerApi) -> None:
    with pytest.raises(UserMistake, match=r"^Alertmanager refused /api/v2/alerts with 4"):
        alertmanager.post_alerts([{"labels": {"not a name": "x"}}])
