"""Where alerts go, on the real amtool and a real Alertmanager."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from alerts.alertmanager import Receivers, render_alertmanager
from alerts.amtool import check_alertmanager, find_receivers
from alerts.artefacts import RULE_PATTERN
from alerts.generator import render_rules
from alerts.pages import collect_tiers
from alerts.prometheus import COMPOSE_TARGETS, render_prometheus
from alerts.promtool import check_configuration
from alerts.rule_files import GENERATED
from alerts.timing import Timing
from outbound_slo.embedded.alertmanager import (
    AlertmanagerApi,
    NotificationState,
    start_alertmanager,
)
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import LOOPBACK, Supervisor, pick_port
from outbound_slo.vocabulary.alerts import TEAM, AlertName
from tests.patience import wait_for

FAST = Timing(60)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "X", "priority": "P0", "level": "L2"}, "page-l2"),
        ({"alertname": "X", "priority": "P0", "level": "L1"}, "page-l1"),
        ({"alertname": "X", "priority": "P1", "level": "L1"}, "page-l1"),
        ({"alertname": "X", "priority": "P1", "level": "L2"}, "page-l2"),
        ({"alertname": "X", "priority": "P1", "level": "L3"}, "page-l3"),
        ({"alertname": "X", "priority": "P2", "level": "L1"}, "tickets"),
        ({"alertname": "X", "priority": "P2", "level": "L3"}, "tickets"),
        ({"alertname": "X", "priority": "P3", "level": "L1"}, "tickets"),
        ({"alertname": "Watchdog", "priority": "P3", "level": "L1"}, "dead-mans-switch"),
        ({"alertname": "SomebodyElses"}, "page-l1"),
    ],
)
def test_priority_and_level_decide_who_is_told(
    labels: dict[str, str], receiver: str, alertmanager_tools: Tools
) -> None:
    path = GENERATED / "alertmanager.yml"

    assert find_receivers(alertmanager_tools, path, labels) == [receiver]


@pytest.mark.parametrize(
    "receivers",
    [Receivers.at("https://pager.example.com"), Receivers.pager("http://127.0.0.1:1/page")],
)
@pytest.mark.parametrize("scale", [1, 20, 1000])
def test_amtool_takes_the_configuration_at_any_scale(
    scale: float, receivers: Receivers, tmp_path: Path, alertmanager_tools: Tools
) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(render_alertmanager(Timing(scale), receivers), encoding="utf-8")

    assert check_alertmanager(alertmanager_tools, path) == []


def test_a_page_for_a_higher_level_goes_to_the_lower_ones_too() -> None:
    document = yaml.safe_load(render_alertmanager(Timing(), Receivers.at("http://p")))

    urls = {
        receiver["name"]: [hook["url"] for hook in receiver.get("webhook_configs", ())]
        for receiver in document["receivers"]
    }
    assert urls["page-l1"] == ["http://p/l1"]
    assert urls["page-l3"] == ["http://p/l1", "http://p/l2", "http://p/l3"]


def test_levels_that_share_an_address_are_told_once() -> None:
    document = yaml.safe_load(render_alertmanager(Timing(), Receivers.pager("http://p")))

    hooks = {
        receiver["name"]: receiver.get("webhook_configs") for receiver in document["receivers"]
    }
    assert hooks["page-l3"] == [{"url": "http://p", "send_resolved": True}]
    assert hooks["tickets"] is None


def test_promtool_takes_prometheus_configuration_with_its_rules(
    tmp_path: Path, prometheus_tools: Tools
) -> None:
    for name, text in render_rules(FAST).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = tmp_path / "prometheus.yml"
    text = render_prometheus(
        FAST, targets=COMPOSE_TARGETS, rule_files=[RULE_PATTERN], alertmanager="127.0.0.1:1"
    )
    path.write_text(text, encoding="utf-8")

    assert check_configuration(prometheus_tools, path) == []
    assert yaml.safe_load(text)["global"]["scrape_interval"] == "1s"
    (tmp_path / "outbound-provider.yml").write_text("groups: 1", encoding="utf-8")
    assert check_configuration(prometheus_tools, path) != []


@dataclass
class Pager:
    """A webhook that keeps every notification, by the path it came to."""

    url: str = ""
    notifications: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def alerts(self, path: str, status: str) -> list[dict[str, Any]]:
        return [
            alert
            for came_to, body in list(self.notifications)
            if came_to == path
            for alert in body["alerts"]
            if alert["status"] == status
        ]


@pytest.fixture(scope="module")
def pager() -> Iterator[Pager]:
    pager = Pager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pager.notifications.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - inherited
            pass

    with ThreadingHTTPServer((LOOPBACK, pick_port()), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        pager.url = f"http://{LOOPBACK}:{server.server_port}"
        yield pager
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def alertmanager(
    pager: Pager, alertmanager_tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AlertmanagerApi]:
    configuration = render_alertmanager(FAST, Receivers.at(pager.url))
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        yield start_alertmanager(
            supervisor,
            tmp_path_factory.mktemp("alertmanager"),
            configuration,
            tools=alertmanager_tools,
        )


def labels_of(name: AlertName, tier: int = 1, **others: str) -> dict[str, str]:
    """Labels as Prometheus would send them."""
    alert = collect_tiers()[name][tier - 1]
    return {
        "alertname": name.value,
        "severity": alert.severity.value,
        "priority": alert.priority.value,
        "level": alert.level.value,
        "family": alert.family.value,
        "tier": str(tier),
        "team": TEAM,
        **({"channel": alert.channel} if alert.channel else {}),
        **others,
    }


def state_of(alertmanager: AlertmanagerApi, labels: Mapping[str, str]) -> NotificationState | None:
    return next((a.state for a in alertmanager.alerts() if dict(a.labels) == dict(labels)), None)


def test_a_page_says_what_who_and_where_to_read_and_later_that_it_is_over(
    alertmanager: AlertmanagerApi, pager: Pager
) -> None:
    labels = labels_of(AlertName.DLQ_OVERFLOW, 3)
    annotations = {"summary": "1,001 dead letters", "runbook_url": "https://r/x.md"}
    alert: dict[str, object] = {"labels": labels, "annotations": annotations}

    alertmanager.post_alerts([alert])

    for told in (
        wait_for(lambda: pager.alerts("/l1", "firing"), "a page for level 1"),
        wait_for(lambda: pager.alerts("/l2", "firing"), "a page for level 2"),
    ):
        assert told[0]["labels"] == labels
        assert told[0]["annotations"] == annotations
    assert pager.alerts("/l3", "firing") == []

    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    alertmanager.post_alerts([{**alert, "endsAt": over}])

    ended = wait_for(lambda: pager.alerts("/l1", "resolved"), "the page that it is over")
    assert ended[0]["labels"]["alertname"] == "WhatsAppDLQOverflow"


def test_the_watchdog_goes_to_the_dead_mans_switch_again_and_again(
    alertmanager: AlertmanagerApi, pager: Pager
) -> None:
    alertmanager.post_alerts([{"labels": labels_of(AlertName.WATCHDOG)}])

    wait_for(lambda: len(pager.alerts("/dead-mans-switch", "firing")) >= 2, "a second sign of life")


SILENCED = [
    (
        "a higher tier silences a lower one",
        labels_of(AlertName.DLQ_OVERFLOW, 4, org_id="a"),
        labels_of(AlertName.DLQ_OVERFLOW, 2, org_id="a"),
    ),
    (
        "a page silences the tickets of its family and channel",
        labels_of(AlertName.HIGH_FAILURE_RATE, org_id="b"),
        labels_of(AlertName.ELEVATED_FAILURE_RATE, channel="whatsapp", org_id="b"),
    ),
    (
        "a provider that is down explains slow sending",
        labels_of(AlertName.PROVIDER_DOWN),
        labels_of(AlertName.SEND_LATENCY_HIGH, channel="whatsapp"),
    ),
    (
        "a provider that is down explains a queue that pages level 1",
        labels_of(AlertName.PROVIDER_DOWN),
        labels_of(AlertName.QUEUE_BACKUP, 3),
    ),
    (
        "an outage explains stuck messages on any channel",
        labels_of(AlertName.OUTAGE),
        labels_of(AlertName.STUCK_IN_QUEUE, channel="email", reason="overdue"),
    ),
    (
        "dead letters of WhatsApp explain the same tier of the total",
        labels_of(AlertName.DLQ_OVERFLOW, 2),
        labels_of(AlertName.TOTAL_DLQ_OVERFLOW, 2),
    ),
    (
        "no exporter explains that there is no data",
        labels_of(AlertName.EXPORTER_DOWN, 2),
        labels_of(AlertName.NO_DATA),
    ),
    (
        "no exporter explains old numbers that go on being told",
        labels_of(AlertName.EXPORTER_DOWN, 2),
        labels_of(AlertName.EXPORTER_STALE),
    ),
]

HEARD = [
    (
        "a lower tier does not silence a higher one",
        labels_of(AlertName.QUOTA_HIGH, 1, org_id="d"),
        labels_of(AlertName.QUOTA_HIGH, 3, org_id="d"),
    ),
    (
        "one organisation's quota does not silence another's",
        labels_of(AlertName.QUOTA_HIGH, 3, org_id="e"),
        labels_of(AlertName.QUOTA_HIGH, 1, org_id="f"),
    ),
    (
        "a provider that is down does not explain another channel",
        labels_of(AlertName.PROVIDER_DOWN),
        labels_of(AlertName.SEND_LATENCY_HIGH, channel="heard"),
    ),
    (
        "a provider that is down does not silence what calls level 2",
        labels_of(AlertName.PROVIDER_DOWN),
        labels_of(AlertName.QUEUE_BACKUP, 4),
    ),
    (
        "old data silence nothing",
        labels_of(AlertName.EXPORTER_STALE),
        labels_of(AlertName.NO_TRAFFIC),
    ),
    (
        "one exporter of several explains no missing data",
        labels_of(AlertName.EXPORTER_DOWN, 1),
        labels_of(AlertName.NO_DATA),
    ),
    (
        "no exporter does not explain rules that fail",
        labels_of(AlertName.EXPORTER_DOWN, 2),
        labels_of(AlertName.RULES_FAILING, 2, rule_group="r.yml;outbound-limits"),
    ),
    (
        "a replica far behind does not silence another one",
        labels_of(AlertName.REPLICATION_LAG, 2, replica="west"),
        labels_of(AlertName.REPLICATION_LAG, 1, replica="east"),
    ),
    (
        "two kinds of damage are two pages",
        labels_of(AlertName.DATA_CORRUPTION, 2),
        labels_of(AlertName.DATA_CORRUPTION, 1, check="orphaned_attempts"),
    ),
]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        yield supervisor


def silence_of(
    supervisor: Supervisor,
    directory: Path,
    tools: Tools,
    source: Mapping[str, str],
    target: Mapping[str, str],
) -> NotificationState:
    """Post two alerts to an Alertmanager of their own and see what becomes of the second."""
    configuration = render_alertmanager(FAST, Receivers.pager(f"http://{LOOPBACK}:1/"))
    alertmanager = start_alertmanager(supervisor, directory, configuration, tools=tools)
    alertmanager.post_alerts([{"labels": dict(source)}])
    wait_for(lambda: state_of(alertmanager, source), "the first alert")
    alertmanager.post_alerts([{"labels": dict(target)}])
    decided = {NotificationState.ACTIVE, NotificationState.SUPPRESSED}
    wait_for(lambda: state_of(alertmanager, target) in decided, "a decision on the second alert")
    state = state_of(alertmanager, target)
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("source", "target"), [each[1:] for each in SILENCED], ids=[each[0] for each in SILENCED]
)
def test_what_is_explained_is_not_told(
    source: dict[str, str],
    target: dict[str, str],
    quiet: Supervisor,
    tmp_path: Path,
    alertmanager_tools: Tools,
) -> None:
    state = silence_of(quiet, tmp_path, alertmanager_tools, source, target)

    assert state is NotificationState.SUPPRESSED


@pytest.mark.parametrize(
    ("source", "target"), [each[1:] for each in HEARD], ids=[each[0] for each in HEARD]
)
def test_what_is_not_explained_is_told(
    source: dict[str, str],
    target: dict[str, str],
    quiet: Supervisor,
    tmp_path: Path,
    alertmanager_tools: Tools,
) -> None:
    state = silence_of(quiet, tmp_path, alertmanager_tools, source, target)

    assert state is NotificationState.ACTIVE
