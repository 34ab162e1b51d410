"""Where alerts go, on the real amtool and a real Alertmanager."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from alerts.alertmanager import render_alertmanager
from alerts.amtool import check_alertmanager, find_receivers
from alerts.artefacts import RULE_PATTERN
from alerts.contacts import Contacts
from alerts.generator import render_rules
from alerts.prometheus import COMPOSE_TARGETS, render_prometheus
from alerts.promtool import check_configuration
from alerts.rule_files import GENERATED
from alerts.timing import Timing
from outbound_slo.embedded.alertmanager import AlertmanagerApi, start_alertmanager
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.alerts import AlertName
from tests.paging_parts import Pager, labels_of, open_pager
from tests.patience import wait_for

FAST = Timing(60)
CORRUPTION = {"family": "corruption", "priority": "P2", "severity": "warning"}
OBSERVED = {"family": "observation", "priority": "P1", "level": "L1"}


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
        ({"alertname": "X", "priority": "P1", "level": "L4"}, "page-l4"),
        ({"alertname": "OutboundDataCorruption", **CORRUPTION, "level": "L2"}, "page-l2"),
        ({"alertname": "OutboundDataCorruption", **CORRUPTION, "level": "L1"}, "page-l2"),
        ({"alertname": "OutboundDataCorruption", **CORRUPTION, "level": "L3"}, "page-l3"),
        (
            {"alertname": "OutboundNotificationsFailing", **OBSERVED, "severity": "critical"},
            "every-way",
        ),
        (
            {"alertname": "OutboundNotificationsDropped", **OBSERVED, "severity": "critical"},
            "every-way",
        ),
        (
            {"alertname": "OutboundNotificationsFailing", "severity": "warning", "priority": "P2"},
            "tickets",
        ),
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
    [Contacts.at("https://pager.example.com"), Contacts.pager("http://127.0.0.1:1/page")],
)
@pytest.mark.parametrize("scale", [1, 20, 1000])
def test_amtool_takes_the_configuration_at_any_scale(
    scale: float, receivers: Contacts, tmp_path: Path, alertmanager_tools: Tools
) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(render_alertmanager(Timing(scale), receivers), encoding="utf-8")

    assert check_alertmanager(alertmanager_tools, path) == []


def test_a_page_for_a_higher_level_goes_to_the_lower_ones_too() -> None:
    document = yaml.safe_load(render_alertmanager(Timing(), Contacts.at("http://p")))

    urls = {
        receiver["name"]: [hook["url"] for hook in receiver.get("webhook_configs", ())]
        for receiver in document["receivers"]
    }
    assert urls["page-l1"] == ["http://p/l1"]
    assert urls["page-l3"] == ["http://p/l1", "http://p/l2", "http://p/l3"]


def test_levels_that_share_an_address_are_told_once() -> None:
    document = yaml.safe_load(render_alertmanager(Timing(), Contacts.pager("http://p")))

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


@pytest.fixture(scope="module")
def pager() -> Iterator[Pager]:
    with open_pager() as opened:
        yield opened


@pytest.fixture(scope="module")
def alertmanager(
    pager: Pager, alertmanager_tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AlertmanagerApi]:
    configuration = render_alertmanager(FAST, Contacts.at(pager.url))
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        yield start_alertmanager(
            supervisor,
            tmp_path_factory.mktemp("alertmanager"),
            configuration,
            tools=alertmanager_tools,
        )


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
