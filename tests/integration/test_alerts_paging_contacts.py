"""Every way to reach people, working hours and drills, on a real Alertmanager."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alerts.addresses import check_address
from alerts.alertmanager import render_alertmanager
from alerts.amtool import check_alertmanager, find_receivers
from alerts.commands import app
from alerts.contacts import Contacts, Webhook, WorkingHours, read_contacts
from alerts.notifications import TEMPLATES_FILE, render_templates
from alerts.timing import Timing
from outbound_slo.embedded.alertmanager import AlertmanagerApi, start_alertmanager
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import LOOPBACK, Supervisor
from outbound_slo.vocabulary.alerts import INSTRUCTIONS, AlertName, Family
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.paging_parts import (
    Mailbox,
    Pager,
    labels_of,
    open_mailbox,
    open_pager,
)
from tests.patience import wait_for

FAST = Timing(1000)
ROOT = Path(__file__).parents[2]

CORRUPTION = {
    "labels": labels_of(AlertName.DATA_CORRUPTION),
    "annotations": {
        "summary": "3 messages have attempts that contradict them",
        "description": "Rows say what can't be.",
        "instruction": INSTRUCTIONS[Family.CORRUPTION],
        "runbook_url": "https://r/OutboundDataCorruption.md",
        "dashboard_url": "https://g/d/sla",
        "trace_url": "https://t/search",
    },
}
LASTING = {
    "labels": labels_of(
        AlertName.PAGE_UNRESOLVED,
        3,
        page="WhatsAppProviderDown",
        page_family="provider",
        channel="whatsapp",
    ),
    "annotations": {
        "summary": "WhatsAppProviderDown (whatsapp) goes on after 2h",
        "description": "Two hours.",
        "runbook_url": "https://internal/r.md",
        "dashboard_url": "https://internal/d",
    },
}


@pytest.fixture(scope="module")
def pager() -> Iterator[Pager]:
    with open_pager() as opened:
        yield opened


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with open_mailbox() as opened:
        yield opened


def write_paging(directory: Path, pager: Pager, mailbox: Mailbox) -> Path:
    """Write a file with every kind, and the secrets that it names."""
    secrets = {"slack": f"{pager.url}/slack", "pagerduty": "rk", "opsgenie": "ok", "token": "t0k"}
    for name, text in secrets.items():
        (directory / name).write_text(text, encoding="utf-8")
    document = {
        "receivers": {
            "l1": [
                {"kind": "slack", "api_url_file": f"{directory}/slack", "channel": "#incidents"},
                {"kind": "webhook", "url": f"{pager.url}/l1", "token_file": f"{directory}/token"},
            ],
            "l2": [
                {
                    "kind": "pagerduty",
                    "routing_key_file": f"{directory}/pagerduty",
                    "url": f"{pager.url}/pagerduty",
                },
                {
                    "kind": "opsgenie",
                    "api_key_file": f"{directory}/opsgenie",
                    "url": f"{pager.url}/opsgenie/",
                },
            ],
            "l3": [{"kind": "email", "to": "manager@example.com"}],
            "l4": [
                {"kind": "email", "to": "whatsapp@provider.example", "channels": ["whatsapp"]},
                {"kind": "email", "to": "sms@provider.example", "channels": ["sms"]},
                {"kind": "email", "to": "any@provider.example"},
            ],
            "tickets": [{"kind": "email", "to": "tickets@example.com"}],
            "dead_mans_switch": [{"kind": "webhook", "url": f"{pager.url}/switch"}],
            "second_way": [{"kind": "webhook", "url": f"{pager.url}/second"}],
        },
        "smtp": {
            "smarthost": mailbox.smarthost,
            "from": "alerts@example.com",
            "require_tls": False,
        },
    }
    path = directory / "paging.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def written(pager: Pager, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a deployment's files as `alerts write` does."""
    directory = tmp_path_factory.mktemp("paging")
    path = write_paging(directory, pager, mailbox)
    told = CliRunner().invoke(
        app, ["write", str(directory / "etc"), f"--paging={path}", "--time-scale=1000"]
    )
    assert told.exit_code == 0, told.output
    return directory / "etc"


@pytest.fixture(scope="module")
def alertmanager(
    written: Path, alertmanager_tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AlertmanagerApi]:
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        yield start_alertmanager(
            supervisor,
            written,
            (written / "alertmanager.yml").read_text("utf-8"),
            tools=alertmanager_tools,
        )


TITLE = (
    "DO NOT ATTEMPT FIXES: P1 OutboundDataCorruption on all: "
    "3 messages have attempts that contradict them"
)


def test_data_corruption_says_on_every_way_to_keep_hands_off(
    alertmanager: AlertmanagerApi, pager: Pager
) -> None:
    alertmanager.post_alerts([CORRUPTION])

    slack = wait_for(lambda: pager.bodies("/slack"), "Slack")[0]
    hook = wait_for(lambda: pager.bodies("/l1"), "the webhook")[0]
    duty = wait_for(lambda: pager.bodies("/pagerduty"), "PagerDuty")[0]
    genie = wait_for(lambda: pager.bodies("/opsgenie/v2/alerts"), "Opsgenie")[0]

    text = (
        "CRITICAL P1 OutboundDataCorruption: 3 messages have attempts that contradict them\n"
        f"{INSTRUCTIONS[Family.CORRUPTION].upper()}\n"
        "Rows say what can't be.\n"
        "Called: level 2 (platform engineer on call, tech lead or senior backend engineer)\n"
        "Since: "
    )
    links = (
        " UTC\nRunbook: https://r/OutboundDataCorruption.md\nDashboard: https://g/d/sla\n"
        "Traces: https://t/search"
    )
    attachment = slack["attachments"][0]
    assert attachment["title"] == TITLE
    assert attachment["title_link"] == "https://r/OutboundDataCorruption.md"
    assert attachment["color"] == "danger"
    for told in (
        attachment["text"],
        genie["description"],
        duty["payload"]["custom_details"]["text"],
    ):
        assert told.startswith(text)
        assert links in told
    assert slack["channel"] == "#incidents"
    assert duty["payload"]["summary"] == TITLE
    assert duty["payload"]["severity"] == "critical"
    assert duty["routing_key"] == "rk"
    assert duty["links"] == [{"href": "https://r/OutboundDataCorruption.md", "text": "Runbook"}]
    assert (genie["message"], genie["priority"]) == (TITLE, "P2")
    assert pager.tokens["/l1"] == "Bearer t0k"
    assert hook["alerts"][0]["annotations"] == CORRUPTION["annotations"]
    assert pager.tokens["/opsgenie/v2/alerts"] == "GenieKey ok"


def test_a_provider_that_is_down_for_hours_is_told_to_its_support_without_our_addresses(
    alertmanager: AlertmanagerApi, mailbox: Mailbox
) -> None:
    alertmanager.post_alerts([LASTING])

    manager = wait_for(lambda: mailbox.texts("manager@example.com"), "level 3")[0]
    for support in ("whatsapp@provider.example", "any@provider.example"):
        subject, text = wait_for(partial(mailbox.texts, support), support)[0]
        assert subject.startswith("P1 OutboundPageUnresolved on whatsapp: WhatsAppProviderDown")
        assert text.startswith(
            "Our messages on whatsapp have not been accepted as they should: "
            "WhatsAppProviderDown (whatsapp) goes on after 2h"
        )
        assert "internal" not in text
    assert "Called: level 4 (" in manager[1]
    assert "message provider's support)" in manager[1]
    assert "Runbook: https://internal/r.md" in manager[1]
    assert mailbox.texts("sms@provider.example") == []

    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    alertmanager.post_alerts([{**LASTING, "endsAt": over}])
    ended = wait_for(lambda: mailbox.texts("any@provider.example")[1:], "that it is over")[0]
    assert ended[0].startswith("Over: P1 OutboundPageUnresolved")
    assert ended[1].startswith("This is over for us since ")


def test_that_notifications_fail_is_told_over_every_way(
    alertmanager: AlertmanagerApi, pager: Pager, mailbox: Mailbox
) -> None:
    labels = labels_of(AlertName.NOTIFICATIONS_FAILING, 3, integration="pagerduty")
    alertmanager.post_alerts([{"labels": labels}])

    wait_for(lambda: pager.alerts("/second", "firing"), "the second way")
    wait_for(lambda: mailbox.texts("tickets@example.com"), "the tickets")


def test_a_drill_goes_the_way_of_a_page_and_says_that_nothing_is_wrong(
    alertmanager: AlertmanagerApi, pager: Pager
) -> None:
    told = CliRunner().invoke(app, ["drill", f"--alertmanager={alertmanager.url}", "--level=L1"])

    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("OutboundPagingDrill goes to page-l1 and ends at ")

    def arrived() -> list[str]:
        alerts = pager.alerts("/l1", "firing")
        drills = [each for each in alerts if each["labels"]["alertname"] == "OutboundPagingDrill"]
        return [each["annotations"]["summary"] for each in drills]

    assert wait_for(arrived, "the drill")[0].startswith("A drill: nothing is wrong")


def test_a_drill_says_when_nobody_answers() -> None:
    told = CliRunner().invoke(app, ["drill", f"--alertmanager=http://{LOOPBACK}:9", "--level=L1"])

    assert isinstance(told.exception, UserMistake)
    assert "Alertmanager does not answer" in str(told.exception)


def test_what_is_written_is_what_alertmanager_takes(
    written: Path, alertmanager_tools: Tools
) -> None:
    path = written / "alertmanager.yml"

    assert check_alertmanager(alertmanager_tools, path) == []
    lasting = dict(LASTING["labels"])
    assert find_receivers(alertmanager_tools, path, lasting) == ["page-l4-whatsapp"]
    lasting["channel"] = "all"
    assert find_receivers(alertmanager_tools, path, lasting) == ["page-l4"]


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def hours(days: tuple[str, ...]) -> WorkingHours:
    return WorkingHours("UTC", days, "00:00", "24:00")


def test_tickets_wait_for_working_hours_and_pages_do_not(
    alertmanager_tools: Tools, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    # Neither today nor the day that may begin while this runs.
    closed = DAYS[(now.weekday() + 3) % 7]
    ticket, sooner = (
        labels_of(AlertName.QUOTA_HIGH, 1, org_id="a"),
        labels_of(AlertName.QUEUE_BACKUP, 2),
    )
    page = labels_of(AlertName.DLQ_OVERFLOW, 2)
    corrupt = {**CORRUPTION["labels"], "severity": "warning", "priority": "P3"}
    with open_pager() as pager, Supervisor(tmp_path / "logs") as supervisor:
        started = {}
        for name, days in (("open", DAYS), ("closed", (closed,))):
            contacts = Contacts.at(f"{pager.url}/{name}")
            text = render_alertmanager(FAST, replace(contacts, working_hours=hours(days)))
            started[name] = start_alertmanager(
                supervisor, tmp_path / name, text, tools=alertmanager_tools
            )
        for api in started.values():
            api.post_alerts([{"labels": each} for each in (ticket, sooner, page, corrupt)])

        def told(path: str) -> set[str]:
            return {alert["labels"]["alertname"] for alert in pager.alerts(path, "firing")}

        both = {"WhatsAppQuotaHigh", "WhatsAppQueueBackup"}
        wait_for(lambda: told("/open/tickets") == both, "tickets in working hours")
        wait_for(lambda: told("/closed/l1") >= {"WhatsAppDLQOverflow"}, "the page at night")
        wait_for(lambda: told("/closed/l2") == {"OutboundDataCorruption"}, "what never waits")
        wait_for(lambda: told("/closed/tickets") == {"WhatsAppQueueBackup"}, "P2 at night")
        # The open one repeats itself: the closed one has had its turn by then, and was silent.
        wait_for(lambda: len(pager.bodies("/open/l1")) > 2, "a repetition")
        assert told("/closed/tickets") == {"WhatsAppQueueBackup"}

        text = (tmp_path / "closed/alertmanager.yml").read_text("utf-8")
        (tmp_path / "closed/alertmanager.yml").write_text(
            text.replace(f"- {closed}", "- sunday:saturday"), encoding="utf-8"
        )
        started["closed"].reload()
        wait_for(lambda: told("/closed/tickets") == both, "the ticket in the morning")


ODD_ADDRESSES = [
    "pager", "pager:9095", "", "http://", "http:///x", "ftp://a", "http://a b/",
    "http://a:99999/", "http://a:port/", "http://a:0/", "http://[::1]:9/", "http://[::1",
    "http://a/%zz", "http://a/x y", "HTTP://a/", "http://a:/", "http://:80/", "http://a\\b/",
    "http://ü/", "http://a/ü", "http://a_b/", "http://a?x", "http://a/<secret>", "http://-a/",
    "http://a%41/", 'http://a"b/', "http://a^b", "http://a:80:80/", "//a", "http://a/#f",
    "http://a/%", " http://a", "http://a ", "http:a", "http://a/%41?b=c&d=%20",
    "https://a.b-c.example.:443/x/~y;z,(1)'!$&*+=:", "http://a\n", "http://[::g]/",
    "http://[1:2:3]/", "http://[...]/", "http://1.2.3/", "http://a..b/", "http://a/\t",
]  # fmt: skip


def test_alertmanager_takes_every_address_that_we_take(
    alertmanager_tools: Tools, tmp_path: Path
) -> None:
    taken = []
    for address in ODD_ADDRESSES:
        try:
            taken.append(check_address(address, "It"))
        except UserMistake:
            continue
    contacts = replace(Contacts.at("http://a"), l1=tuple(Webhook(address) for address in taken))
    path = tmp_path / "alertmanager.yml"
    path.write_text(render_alertmanager(FAST, contacts), encoding="utf-8")

    assert {"HTTP://a/", "http://a?x", "http://[::1]:9/"} <= set(taken) < set(ODD_ADDRESSES)
    assert check_alertmanager(alertmanager_tools, path) == []


def test_the_example_in_the_documentation_is_read_and_taken(
    alertmanager_tools: Tools, tmp_path: Path
) -> None:
    text = (ROOT / "docs/paging.md").read_text("utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "paging.yml").write_text(example, encoding="utf-8")
    contacts = read_contacts(tmp_path / "paging.yml")
    path = tmp_path / "alertmanager.yml"
    path.write_text(render_alertmanager(Timing(), contacts), encoding="utf-8")
    (tmp_path / TEMPLATES_FILE).write_text(render_templates(), encoding="utf-8")

    assert check_alertmanager(alertmanager_tools, path) == []
    assert contacts.working_hours is not None
    assert contacts.smtp is not None
    assert contacts.second_way
