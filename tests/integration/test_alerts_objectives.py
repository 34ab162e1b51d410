"""Objectives on the real promtool, and their alerts in a real Alertmanager."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alerts.alertmanager import render_alertmanager
from alerts.commands import app
from alerts.contacts import Contacts
from alerts.generator import render_rules
from alerts.objectives.documents import SLOS, read_objectives
from alerts.objectives.groups import build_groups, build_part
from alerts.objectives.recordings import keep_events
from alerts.promtool import check_rules
from alerts.timing import Timing
from outbound_slo.embedded.alertmanager import NotificationState, start_alertmanager
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import LOOPBACK, Supervisor
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.patience import wait_for

EXAMPLES = SLOS / "examples"


def run_promtool(
    tools: Tools, directory: Path, rules: str, tests: list[dict[str, object]], step: str
) -> str:
    (directory / "rules.yml").write_text(rules, encoding="utf-8")
    document = {"rule_files": ["rules.yml"], "evaluation_interval": step, "tests": tests}
    (directory / "test.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    told = tools.run("promtool", "test", "rules", str(directory / "test.yml"))
    return "" if told.returncode == 0 else told.stdout + told.stderr


def expect(expression: str, at: str, value: float | None, labels: str = "{}") -> dict[str, object]:
    samples = [] if value is None else [{"labels": labels, "value": value}]
    return {"expr": expression, "eval_time": at, "exp_samples": samples}


def test_each_organisation_has_a_budget_of_its_own(prometheus_tools: Tools, tmp_path: Path) -> None:
    groups = build_groups(read_objectives([EXAMPLES / "organisation-send-success.yml"]))
    rules = render_rules(groups=groups)["outbound-slo.yml"]
    metric = "outbound_organisation_messages_finished_total"
    series = [
        {
            "series": f'{metric}{{org_id="{org}",channel="sms",outcome="{outcome}"}}',
            "values": f"0+{pace}x20",
        }
        for org, outcome, pace in (
            ("a", "sent", 60), ("a", "failed", 40), ("b", "sent", 999), ("b", "failed", 1),
        )
    ]  # fmt: skip
    firing = 'sum by (alertname, org_id, burn_tier) (ALERTS{alertstate="firing",tier="3"})'
    case: dict[str, object] = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            expect(
                firing,
                "15m",
                1,
                '{alertname="OutboundErrorBudgetBurn",org_id="a",burn_tier="page-slow"}',
            ),
            expect(
                'round(slo:error_budget:remaining{org_id="b"}, 0.01)',
                "15m",
                0.98,
                '{slo="organisation-send-success",org_id="b",channel="sms"}',
            ),
        ],
    }

    assert run_promtool(prometheus_tools, tmp_path, rules, [case], "1m") == ""


@pytest.mark.parametrize("scale", [1, 20, 1000])
def test_promtool_takes_the_rules_of_all_examples_at_any_scale(
    scale: float, prometheus_tools: Tools, tmp_path: Path
) -> None:
    files = [*sorted(SLOS.glob("*.yml")), *sorted(EXAMPLES.glob("*.yml"))]
    groups = build_groups(read_objectives(files))
    for name, text in render_rules(Timing(scale), groups=groups).items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    assert check_rules(prometheus_tools, sorted(tmp_path.glob("*.yml"))) == []


GAP = [
    # Gap in minutes, minutes after it, and events of the hour then: one a minute throughout.
    ("bridged: the far end is found before the gap", 50, 20, 71.0),
    ("too long: what came first after it stands in", 130, 20, 20.0),
    ("over: the far end is after the gap again", 50, 65, 60.0),
]


@pytest.mark.parametrize(
    ("gap", "later", "events"), [each[1:] for each in GAP], ids=[each[0] for each in GAP]
)
def test_a_gap_of_prometheus_itself_costs_no_window_its_sense(
    gap: int, later: int, events: float, prometheus_tools: Tools, tmp_path: Path
) -> None:
    """The family itself has the gap, as when Prometheus was away; so nothing may carry it on."""
    objective = read_objectives([SLOS / "send-latency.yml"])[0]
    part = build_part(objective, "part", ["1h"], lambda _: False)
    kept = {recording.expression for recording in keep_events(objective.period_s)[:2]}
    rules = yaml.safe_load(render_rules(groups=[part])["part.yml"])
    rules["groups"][0]["rules"] = [
        rule
        for rule in rules["groups"][0]["rules"]
        if rule["record"] not in {"slo:events:sum", "slo:good_events:sum"}
    ]
    assert len(kept) == 2
    first = 180 + gap
    values = f"1000+1x180 _x{gap} {1000 + first + 1}+1x120"
    series = [
        {"series": f'slo:{name}:sum{{slo="send-latency",sli="budget",channel="sms"}}',
         "values": values}
        for name in ("events", "good_events")
    ]  # fmt: skip
    case: dict[str, object] = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            expect(
                "slo:events:increase1h",
                f"{first + 1 + later}m",
                events,
                'slo:events:increase1h{slo="send-latency",sli="budget",channel="sms"}',
            )
        ],
    }

    assert run_promtool(prometheus_tools, tmp_path, yaml.safe_dump(rules), [case], "1m") == ""


def test_an_ended_epoch_goes_once_nothing_of_it_is_in_the_period(
    prometheus_tools: Tools, tmp_path: Path
) -> None:
    """With a period of an hour instead of 30 days, which no document may ask for."""
    part = build_part(
        read_objectives([SLOS / "send-latency.yml"])[0], "part", ["period"], lambda _: False
    )
    rules = render_rules(groups=[part])["part.yml"].replace("30d", "3h")
    series = [
        {"series": f'outbound_send_latency_seconds_{kind}{{channel="sms"{le}}}',
         "values": "0+10x60 stale"}
        for kind, le in (("count", ""), ("bucket", ',le="30.0"'))
    ]  # fmt: skip
    labels = '{slo="send-latency",sli="budget",channel="sms"}'
    case: dict[str, object] = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            expect("slo:events:sum", "230m", 600, f"slo:events:sum{labels}"),
            expect("sum(slo:events:increase_period)", "230m", 100),
            expect("slo:events:sum", "245m", None),
            expect("slo:events:increase_period", "310m", None),
        ],
    }

    assert run_promtool(prometheus_tools, tmp_path, rules, [case], "1m") == ""


def burn(tier: str, number: str, slo: str, channel: str = "whatsapp") -> dict[str, str]:
    return {
        "alertname": "OutboundErrorBudgetBurn",
        "family": "budget",
        "severity": "critical" if tier.startswith("page") else "warning",
        "priority": "P1" if tier.startswith("page") else "P2",
        "level": "L1",
        "tier": number,
        "slo": slo,
        "channel": channel,
        "burn_tier": tier,
    }


PROVIDER_DOWN = {
    "alertname": "WhatsAppProviderDown",
    "family": "provider",
    "severity": "critical",
    "priority": "P1",
    "level": "L2",
    "tier": "1",
    "slo": "none",
    "channel": "whatsapp",
}


def test_one_trouble_is_told_once(alertmanager_tools: Tools, tmp_path: Path) -> None:
    quiet = [
        burn("ticket-slow", "1", "send-success", "sms"),
        burn("page-slow", "3", "send-success", "sms"),
        burn("page-fast", "4", "send-success"),
        burn("page-slow", "3", "delivery-latency"),
    ]
    heard = [
        PROVIDER_DOWN,
        burn("page-fast", "4", "send-success", "sms"),
        burn("page-slow", "3", "send-latency", "sms"),
        burn("ticket-fast", "2", "delivery-latency", "sms"),
        burn("ticket-fast", "2", "send-latency"),
        burn("page-fast", "4", "exporter-availability", "all"),
    ]
    configuration = render_alertmanager(Timing(60), Contacts.pager(f"http://{LOOPBACK}:1/"))
    with Supervisor(tmp_path / "logs") as supervisor:
        alertmanager = start_alertmanager(
            supervisor, tmp_path / "data", configuration, tools=alertmanager_tools
        )
        alertmanager.post_alerts([{"labels": labels} for labels in (*heard, *quiet)])

        def states() -> dict[str, NotificationState]:
            return {str(sorted(dict(a.labels).items())): a.state for a in alertmanager.alerts()}

        wanted = {str(sorted(labels.items())): NotificationState.ACTIVE for labels in heard} | {
            str(sorted(labels.items())): NotificationState.SUPPRESSED for labels in quiet
        }
        wait_for(lambda: states() == wanted, "a decision on every alert")


def test_objectives_can_be_listed_checked_and_rendered(tmp_path: Path) -> None:
    mine = str(EXAMPLES / "organisation-send-success.yml")

    told = CliRunner().invoke(app, ["slo", "check", mine])
    assert (told.exit_code, told.stdout) == (0, "5 objectives can be kept and measured.\n")
    told = CliRunner().invoke(app, ["slo", "list", "--only", mine])
    assert "organisation-send-success" in told.stdout
    assert "send-latency" not in told.stdout
    told = CliRunner().invoke(app, ["slo", "render", mine, "--directory", str(tmp_path / "r")])
    assert told.exit_code == 0
    written = (tmp_path / "r/outbound-slo.yml").read_text("utf-8")
    assert "organisation-send-success" in written
    assert "delivery-latency" in written
    assert (tmp_path / "r/outbound-slo-samples.yml").is_file()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["check", "--retention", "15d"], "Prometheus keeps 15d, and 30d take 30d1h"),
        (["check", "--retention", "long"], "--retention: long is no time"),
        (["check", "--only"], "leaves no objective"),
        (["check", "no-such.yml"], "no-such.yml cannot be read"),
    ],
)
def test_a_mistake_of_the_user_is_told_as_one(arguments: list[str], complaint: str) -> None:
    told = CliRunner().invoke(app, ["slo", *arguments])

    assert isinstance(told.exception, UserMistake)
    assert complaint in str(told.exception)


def test_a_built_in_file_may_be_named_and_its_copy_must_have_a_name_of_its_own(
    tmp_path: Path,
) -> None:
    original = SLOS / "send-success.yml"
    copy = tmp_path / "mine.yml"
    copy.write_bytes(original.read_bytes())

    told = CliRunner().invoke(app, ["slo", "check", str(original)])
    assert (told.exit_code, told.stdout) == (0, "4 objectives can be kept and measured.\n")
    refused = CliRunner().invoke(app, ["slo", "check", str(copy)])
    assert isinstance(refused.exception, UserMistake)
    assert "send-success is the name of an objective" in str(refused.exception)
