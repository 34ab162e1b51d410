"""What keeps quiet while something else explains it, and what never does."""

from collections import Counter
from collections.abc import Iterator

import pytest

from alerts.alertmanager import render_alertmanager
from alerts.contacts import Contacts
from alerts.timing import Timing
from outbound_slo.embedded.alertmanager import (
    AlertmanagerApi,
    NotificationState,
    start_alertmanager,
)
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import LOOPBACK, Supervisor
from outbound_slo.vocabulary.alerts import AlertName
from tests.paging_parts import (
    Pager,
    end,
    labels_of,
    open_pager,
    state_of,
)
from tests.patience import wait_for

FAST = Timing(60)

LASTING = AlertName.PAGE_UNRESOLVED


def lasting(
    page: AlertName, family: str, tier: int = 1, channel: str = "whatsapp"
) -> dict[str, str]:
    """Labels of what follows when a page lasts."""
    return labels_of(LASTING, tier, page=page.value, page_family=family, channel=channel)


CORRUPTION = labels_of(AlertName.DATA_CORRUPTION)
BURN = labels_of(AlertName.ERROR_BUDGET_BURN, 4, slo="send-success", channel="whatsapp")
EXPORTER_BURN = {**BURN, "slo": "exporter-availability", "channel": "all"}
WORKER = labels_of(AlertName.WORKER_INACTIVE, 2)

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
        "and that this queue goes on for long, for the outage goes on as long",
        labels_of(AlertName.PROVIDER_DOWN),
        lasting(AlertName.QUEUE_BACKUP, "queue"),
    ),
    (
        "a provider that is down explains a budget that burns",
        labels_of(AlertName.PROVIDER_DOWN),
        BURN,
    ),
    (
        "an outage explains stuck messages on any channel",
        labels_of(AlertName.OUTAGE),
        labels_of(AlertName.STUCK_IN_QUEUE, channel="email", reason="overdue"),
    ),
    (
        "an outage of all channels speaks for each of them",
        labels_of(AlertName.OUTAGE),
        labels_of(AlertName.PROVIDER_DOWN),
    ),
    (
        "and for how long each of them goes on",
        labels_of(AlertName.OUTAGE),
        lasting(AlertName.PROVIDER_DOWN, "provider", 3),
    ),
    (
        "a worker that does nothing explains a queue",
        WORKER,
        labels_of(AlertName.QUEUE_BACKUP, 3),
    ),
    (
        "an outage has called level 2, which need not hear again that no sender works",
        labels_of(AlertName.OUTAGE, 2),
        {**lasting(AlertName.WORKER_INACTIVE, "worker", channel="all"), "level": "L2"},
    ),
    (
        "dead letters of WhatsApp explain the same tier of the total",
        labels_of(AlertName.DLQ_OVERFLOW, 2),
        labels_of(AlertName.TOTAL_DLQ_OVERFLOW, 2),
    ),
    (
        "and that the total goes on for long",
        labels_of(AlertName.DLQ_OVERFLOW, 2),
        lasting(AlertName.TOTAL_DLQ_OVERFLOW, "dead_letters", channel="all"),
    ),
    (
        "a page that lasts for two hours silences that it lasts for half an hour",
        lasting(AlertName.DLQ_OVERFLOW, "dead_letters", 2),
        lasting(AlertName.DLQ_OVERFLOW, "dead_letters", 1),
    ),
    (
        "most notifications lost silence that some are lost the same way",
        labels_of(AlertName.NOTIFICATIONS_FAILING, 3, integration="email"),
        labels_of(AlertName.NOTIFICATIONS_FAILING, 2, integration="email"),
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
        "a provider that is down does not explain dead letters, which stay when it is over",
        labels_of(AlertName.PROVIDER_DOWN),
        labels_of(AlertName.DLQ_OVERFLOW, 2),
    ),
    (
        "a provider that is down does not explain that the exporter spends its budget",
        labels_of(AlertName.PROVIDER_DOWN),
        EXPORTER_BURN,
    ),
    (
        "an outage that lasts is told",
        labels_of(AlertName.OUTAGE),
        lasting(AlertName.OUTAGE, "provider", 3, channel="all"),
    ),
    (
        "an outage does not keep level 3 from hearing that no sender works",
        labels_of(AlertName.OUTAGE, 2),
        {**lasting(AlertName.WORKER_INACTIVE, "worker", 2, channel="all"), "level": "L3"},
    ),
    (
        "a page that lasts does not silence another one that lasts",
        lasting(AlertName.DLQ_OVERFLOW, "dead_letters", 2),
        lasting(AlertName.QUOTA_HIGH, "quota", 1),
    ),
    (
        "a budget that pages leaves the tickets of other objectives",
        {**BURN, "level": "L2"},
        {**BURN, "severity": "warning", "priority": "P2", "slo": "delivery-latency"},
    ),
    (
        "a restricted account does not explain templates that Meta pauses while it lasts",
        labels_of(AlertName.ACCOUNT_RESTRICTED, 2),
        labels_of(AlertName.TEMPLATE_PAUSED, 2),
    ),
    (
        "nor that the token ends before the restriction does",
        labels_of(AlertName.ACCOUNT_RESTRICTED, 2),
        labels_of(AlertName.TOKEN_EXPIRING, 2),
    ),
    (
        "webhooks that stay away do not silence why: their signatures are wrong",
        labels_of(AlertName.WEBHOOK_SILENCE, 2, channel="whatsapp"),
        labels_of(AlertName.SIGNATURE_FAILURES),
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
    (
        "notifications lost one way do not silence those lost another way",
        labels_of(AlertName.NOTIFICATIONS_FAILING, 3, integration="email"),
        labels_of(AlertName.NOTIFICATIONS_FAILING, 2, integration="webhook"),
    ),
    (
        "nothing silences data corruption: no outage",
        labels_of(AlertName.OUTAGE),
        {**CORRUPTION, "level": "L1"},
    ),
    (
        "no higher tier of it",
        {**CORRUPTION, "tier": "2"},
        CORRUPTION,
    ),
    (
        "and no page of its family, be it a warning",
        CORRUPTION,
        {**CORRUPTION, "severity": "warning", "priority": "P2"},
    ),
]


@pytest.fixture(scope="module")
def quiet(
    alertmanager_tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AlertmanagerApi]:
    """Give an Alertmanager for all cases; each takes back what it posted."""
    configuration = render_alertmanager(FAST, Contacts.pager(f"http://{LOOPBACK}:1/"))
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        yield start_alertmanager(
            supervisor,
            tmp_path_factory.mktemp("alertmanager"),
            configuration,
            tools=alertmanager_tools,
        )


def decide(
    alertmanager: AlertmanagerApi, source: dict[str, str], target: dict[str, str]
) -> NotificationState | None:
    """Post two alerts and see what becomes of the second."""
    alertmanager.post_alerts([{"labels": source}])
    wait_for(lambda: state_of(alertmanager, source), "the first alert")
    alertmanager.post_alerts([{"labels": target}])
    decided = {NotificationState.ACTIVE, NotificationState.SUPPRESSED}
    wait_for(lambda: state_of(alertmanager, target) in decided, "a decision on the second alert")
    state = state_of(alertmanager, target)
    end(alertmanager, source, target)
    return state


@pytest.mark.parametrize(
    ("source", "target"), [each[1:] for each in SILENCED], ids=[each[0] for each in SILENCED]
)
def test_what_is_explained_is_not_told(
    source: dict[str, str], target: dict[str, str], quiet: AlertmanagerApi
) -> None:
    assert decide(quiet, source, target) is NotificationState.SUPPRESSED


@pytest.mark.parametrize(
    ("source", "target"), [each[1:] for each in HEARD], ids=[each[0] for each in HEARD]
)
def test_what_is_not_explained_is_told(
    source: dict[str, str], target: dict[str, str], quiet: AlertmanagerApi
) -> None:
    assert decide(quiet, source, target) is NotificationState.ACTIVE


NIGHT = [
    labels_of(AlertName.PROVIDER_DOWN),
    labels_of(AlertName.HIGH_FAILURE_RATE),
    labels_of(AlertName.ELEVATED_FAILURE_RATE, channel="whatsapp"),
    labels_of(AlertName.SUCCESS_RATE_LOW, channel="whatsapp"),
    labels_of(AlertName.SEND_LATENCY_HIGH, channel="whatsapp"),
    *(labels_of(AlertName.QUEUE_BACKUP, tier) for tier in (1, 2, 3)),
    *(labels_of(AlertName.TOTAL_QUEUE_BACKUP, tier) for tier in (1, 2, 3)),
    labels_of(AlertName.STUCK_IN_QUEUE, channel="whatsapp", reason="overdue"),
    labels_of(AlertName.STUCK_IN_SENDING),
    BURN,
    lasting(AlertName.QUEUE_BACKUP, "queue"),
]
"""What an outage of WhatsApp at three in the morning sets off within the hour."""


def test_one_outage_at_night_is_one_page(
    alertmanager_tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with open_pager() as pager, Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        alertmanager = start_alertmanager(
            supervisor,
            tmp_path_factory.mktemp("alertmanager"),
            render_alertmanager(FAST, Contacts.at(pager.url)),
            tools=alertmanager_tools,
        )
        alertmanager.post_alerts([{"labels": labels} for labels in NIGHT])
        told = wait_for(lambda: pager.bodies("/l2"), "the page for level 2")
        # Would come through the same waits as all the others, and after them.
        witness = labels_of(AlertName.QUEUE_BACKUP, 3, channel="sms", org_id="witness")
        alertmanager.post_alerts([{"labels": witness}])
        wait_for(lambda: witness_came(pager), "the witness")
        states = Counter(state_of(alertmanager, labels) for labels in NIGHT)

    assert states[NotificationState.ACTIVE] == 2
    assert states[NotificationState.SUPPRESSED] == len(NIGHT) - 2
    assert len(NIGHT) > 12
    assert [len(body["alerts"]) for body in told] == [2]
    assert {alert["labels"]["alertname"] for alert in told[0]["alerts"]} == {
        "WhatsAppProviderDown",
        "WhatsAppHighFailureRate",
    }
    assert len(pager.bodies("/l1")) == 2  # the page, and the witness
    assert pager.bodies("/l3") == pager.bodies("/l4") == pager.bodies("/tickets") == []


def witness_came(pager: Pager) -> bool:
    return any(alert["labels"].get("org_id") for alert in pager.alerts("/l1", "firing"))
