"""Incidents through both stages, judged: two always, with `--thorough` all of them and a week."""

import json
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alerts.commands import app
from alerts.incidents.campaign import Equipment, play_incidents, play_quiet_days
from alerts.incidents.catalogue import BY_NAME, INCIDENTS
from alerts.incidents.incident import Incident
from alerts.incidents.verdict import judge
from alerts.replay.delivery import Delivery, Hurry, Notification
from alerts.rule_files import GENERATED, find_rule_files, read_rules
from outbound_slo.embedded.binaries import Tools
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.mistakes import UserMistake

# Their own alert, a level of their own, and nobody woken.
ALWAYS = ("corruption", "campaign")


@pytest.fixture(scope="module")
def equipment(prometheus_tools: Tools, alertmanager_tools: Tools) -> Equipment:
    return Equipment(
        prometheus=prometheus_tools,
        alertmanager=alertmanager_tools,
        rules=read_rules(find_rule_files(GENERATED)),
        configuration=yaml.safe_load((GENERATED / "alertmanager.yml").read_text()),
        hurry=Hurry(200),
    )


def test_incidents_are_told_in_time_and_nothing_else_is(
    equipment: Equipment, request: pytest.FixtureRequest
) -> None:
    thorough = request.config.getoption("thorough")
    chosen = INCIDENTS if thorough else [BY_NAME[name] for name in ALWAYS]

    verdicts = list(play_incidents(equipment, chosen))

    assert {verdict.incident.name: verdict.problem for verdict in verdicts} == {
        incident.name: "" for incident in chosen
    }
    detected = [verdict for verdict in verdicts if verdict.delay_s is not None]
    assert all((verdict.delay_s or 0) > 0 for verdict in detected)
    assert len(detected) == sum(bool(incident.expected) for incident in chosen)
    assert not any(verdict.unknown for verdict in verdicts)


def test_healthy_days_page_nobody(equipment: Equipment, request: pytest.FixtureRequest) -> None:
    # Seven hours hold the silence of a night and the rise of a morning.
    days = 7 if request.config.getoption("thorough") else 7 / 24

    quiet = play_quiet_days(equipment, days)

    assert quiet.would_page == ()
    # Three hours without any message every night: that much is said, once a night.
    assert quiet.tickets.get(AlertName.NO_TRAFFIC) == ceil(days)


OUTAGE = BY_NAME["full-outage"]
KNOWN = frozenset({AlertName.OUTAGE.value, AlertName.QUOTA_HIGH.value})


def tell(after_s: float, alert: str, receiver: str = "page-l2") -> Notification:
    return Notification(OUTAGE.began_s + after_s, receiver, alert, ((("alertname", alert),),), ())


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ([tell(180, "OutboundOutage")], ""),
        ([tell(310, "OutboundOutage")], ""),
        ([tell(311, "OutboundOutage")], "late: 300 s allowed"),
        ([tell(-15, "OutboundOutage")], "not detected"),
        ([tell(300, "OutboundOutage", "tickets")], "not detected"),
        ([tell(300, "WhatsAppProviderDown", "tickets")], "not detected"),
        ([], "not detected"),
        ([tell(100, "OutboundOutage"), tell(310, "Stray")], "wrong page: Stray"),
        ([tell(100, "OutboundOutage"), tell(310, "Stray", "tickets")], ""),
        ([tell(100, "OutboundOutage", "page-l1")], "told to page-l1 instead of page-l2"),
        ([tell(100, "OutboundOutage"), tell(900, "OutboundQueueBackup")], ""),
        (
            [
                tell(100, "OutboundOutage"),
                tell(900, "OutboundQueueBackup"),
                tell(900, "OutboundQueueBackup", "page-l3"),
            ],
            "3 pages, 2 allowed",
        ),
        (
            [
                tell(100, "OutboundOutage"),
                tell(900, "OutboundQueueBackup"),
                tell(1900, "OutboundPageUnresolved"),
            ],
            "",
        ),
    ],
)
def test_a_verdict_has_an_eye_for_each_fault(told: list[Notification], problem: str) -> None:
    assert judge(OUTAGE, Delivery(tuple(told), 10.0), KNOWN).problem == problem


def test_what_must_be_told_as_well_is_missed() -> None:
    both = replace(OUTAGE, also=frozenset({AlertName.QUOTA_HIGH}))
    first = tell(100, "OutboundOutage")

    alone = judge(both, Delivery((first,), 10.0), KNOWN)
    assert alone.problem == "not told: WhatsAppQuotaHigh"
    told = (first, tell(2000, "WhatsAppQuotaHigh", "tickets"))
    assert judge(both, Delivery(told, 10.0), KNOWN).problem == ""


def test_an_incident_whose_alerts_do_not_exist_is_not_judged() -> None:
    verdict = judge(OUTAGE, Delivery((), 10.0), frozenset())

    assert verdict.problem == ""
    assert verdict.unknown == (AlertName.OUTAGE,)


def test_nobody_may_be_woken_by_health() -> None:
    quiet = Incident("calm", "nothing", "house", 600, OUTAGE.conditions)
    told = (replace(tell(10, "OutboundOutage"), at_s=quiet.began_s + 10),)

    assert judge(quiet, Delivery((), 10.0), KNOWN).problem == ""
    assert judge(quiet, Delivery(told, 10.0), KNOWN).problem == "wrong page: OutboundOutage"


def test_the_command_prints_the_table_and_fails_where_paging_does(tmp_path: Path) -> None:
    rules = tmp_path
    blind = yaml.safe_load((GENERATED / "outbound-observation.yml").read_text())
    (group,) = blind["groups"]
    group["rules"] = [each for each in group["rules"] if each.get("alert") != "OutboundNoData"]
    for rule in group["rules"]:
        if rule.get("alert") == "OutboundExporterDown":
            rule["for"] = "25m"
    (rules / "outbound-observation.yml").write_text(yaml.safe_dump(blind))

    told = CliRunner().invoke(
        app,
        ["incidents", "--only", "exporter-dead", "--rules", str(rules), "--speed", "300", "--json"],
    )

    assert told.exit_code == 1, told.output
    (verdict,) = json.loads(told.stdout)["incidents"]
    assert verdict["problem"].startswith("late: 300 s allowed")
    assert verdict["detected_by"] == "OutboundExporterDown"
    assert verdict["delay_s"] > 25 * 60


def test_an_incident_that_is_none_is_named() -> None:
    told = CliRunner().invoke(app, ["incidents", "--only", "flood"])

    assert isinstance(told.exception, UserMistake)
    assert "no incident flood" in str(told.exception)
