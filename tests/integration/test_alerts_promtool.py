"""The alerts on the real promtool: their stories, their texts, and a build server's commands."""

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
import yaml
from typer.testing import CliRunner, Result

from alerts.cases import Case, read_cases
from alerts.catalogue import GROUPS
from alerts.commands import app
from alerts.generator import render_rules
from alerts.mutants import name_of
from alerts.promtool import check_rules, run_cases
from alerts.rule_files import GENERATED, TESTS, read_rules
from alerts.timing import Timing
from outbound_slo.embedded.binaries import Tools
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.stories import slice_rules

FILES = sorted(TESTS.glob("*.yml"))


@cache
def all_cases() -> Sequence[Case]:
    """Read the stories once: the parser takes its time."""
    return read_cases(TESTS)


@cache
def all_rules() -> Sequence[dict[str, Any]]:
    groups = [group for text in render_rules().values() for group in yaml.safe_load(text)["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_story_of_an_alert_goes_as_told(
    file: Path, tmp_path: Path, request: pytest.FixtureRequest, prometheus_tools: Tools
) -> None:
    whole = [case for case in all_cases() if case.file == file]
    cases = whole if request.config.getoption("thorough") else slice_rules(whole, tmp_path)

    failed = find_failed(prometheus_tools, cases)
    if failed and cases is not whole:
        # Where promtool's storage begins may depend on what other rules record: "out of bounds".
        failed = find_failed(prometheus_tools, whole)

    assert whole
    assert failed == {}


def find_failed(tools: Tools, cases: Sequence[Case]) -> dict[str, str]:
    return {each.case.name: each.output for each in run_cases(tools, cases) if not each.passed}


def test_a_story_beside_the_rules_that_it_reads_still_notices_a_change(
    rules: Path, tests: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    file = rules / "outbound-limits.yml"
    file.write_text(file.read_text("utf-8").replace("> 0.95", "> 0.99"), encoding="utf-8")
    story = "71, 86 and 96 % are three tiers, each for its own organisation"
    (tmp_path / "sliced").mkdir()

    sliced = slice_rules(read_cases(tests), tmp_path / "sliced")

    kept = [name_of(rule) for rule in read_rules(sliced[0].rule_files)]
    assert len(kept) < len(read_rules([file]))
    assert kept.count("WhatsAppQuotaHigh") == 3
    assert story in find_failed(prometheus_tools, sliced)


@pytest.mark.parametrize("scale", [1, 20, 37])
def test_promtool_takes_the_rules_at_any_time_scale(
    scale: float, tmp_path: Path, prometheus_tools: Tools
) -> None:
    for name, text in render_rules(Timing(scale)).items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    assert check_rules(prometheus_tools, sorted(tmp_path.glob("*.yml"))) == []


SUMMARIES = [
    (
        "WhatsAppProviderDown",
        "1",
        "42",
        "WhatsApp accepts none of 42 attempts within a minute (line: >= 10 attempts)",
    ),
    (
        "WhatsAppHighFailureRate",
        "1",
        "0.873",
        "WhatsApp: 87.3% of attempts fail (line: > 30 %)",
    ),
    (
        "OutboundHighFailureRate",
        "2",
        "0.5",
        "sms: 50% of attempts fail (line: > 30 %)",
    ),
    (
        "OutboundOutage",
        "2",
        "400",
        "Nothing is sent: a message has been due for 6m 40s (line: > 300 s)",
    ),
    (
        "OutboundSendLatencyHigh",
        "1",
        "45.5",
        "sms: send latency p95 is 45.5s (line: p95 > 30 s)",
    ),
    (
        "OutboundDeliveryLatencyHigh",
        "3",
        "180",
        "sms: delivery latency p99 is 3m 0s (line: p99 > 120 s)",
    ),
    (
        "WhatsAppQueueBackup",
        "3",
        "2345",
        "2345 WhatsApp messages are queued (line: > 2000 messages)",
    ),
    (
        "WhatsAppQuotaHigh",
        "2",
        "0.9",
        "Organisation acme has used 90% of its WhatsApp quota (line: > 85 %)",
    ),
    (
        "WhatsAppWebhookSignatureFailures",
        "1",
        "12.63",
        "13 WhatsApp webhooks with a wrong signature in 10 minutes (line: > 10 webhooks)",
    ),
    (
        "OutboundQueueGrowing",
        "1",
        "140",
        "sms: 140 messages more are queued than half an hour ago (line: > 100 messages)",
    ),
    (
        "OutboundBreakerOpen",
        "2",
        "0.6",
        "sms: 60% of attempts have failed for ten minutes: take the channel out (line: > 50 %)",
    ),
    (
        "OutboundWebhookSilence",
        "2",
        "4000",
        "sms: no webhook for 1h 6m 40s (line: > 3600 s)",
    ),
    (
        "WhatsAppTokenExpiring",
        "3",
        "0.42",
        "The WhatsApp access token ends in 0.4 days (line: < 1 days)",
    ),
    (
        "OutboundPauseLasting",
        "1",
        "20000",
        "sms has been paused for 5h 33m 20s (line: > 14400 s)",
    ),
    (
        "OutboundExporterStale",
        "1",
        "95",
        "The exporter's numbers are 1m 35s old (line: > 60 s)",
    ),
    (
        "OutboundExporterDown",
        "1",
        "2",
        "2 of the exporters cannot be scraped; another can (line: > 0 exporters)",
    ),
    (
        "OutboundRulesFailing",
        "2",
        "4",
        "r.yml;outbound-limits: 4 failures in ten minutes (line: > 0 evaluations)",
    ),
    (
        "OutboundReplicationLag",
        "1",
        "90",
        "Replica west lags 1m 30s behind (line: > 60 s)",
    ),
    (
        "OutboundReplicationLag",
        "3",
        "12.34",
        "Replication slot held keeps 12.3 GB of WAL (line: > 10 GB)",
    ),
    (
        "OutboundOldSnapshot",
        "2",
        "9000",
        "Oldest snapshot (prepared) is 2h 30m 0s old (line: > 7200 s)",
    ),
    (
        "OutboundAutovacuumLate",
        "1",
        "0.43",
        "43% of outbound_message are dead rows (line: > 20 %)",
    ),
    (
        "OutboundAutovacuumLate",
        "2",
        "1.5",
        "outbound_message is at 150% of the age that forces a vacuum (line: > 125 %)",
    ),
]


@pytest.mark.parametrize(
    ("alert", "tier", "value", "summary"), SUMMARIES, ids=[f"{s[0]}-{s[1]}" for s in SUMMARIES]
)
def test_a_summary_gives_the_value_with_its_unit_and_the_line(
    alert: str, tier: str, value: str, summary: str, tmp_path: Path, prometheus_tools: Tools
) -> None:
    written = [
        rule
        for rule in all_rules()
        if rule.get("alert") == alert and rule["labels"]["tier"] == tier
    ]
    series = {
        "channel": "sms",
        "org_id": "acme",
        "rule_group": "r.yml;outbound-limits",
        "replica": "west",
        "slot": "held",
        "holder": "prepared",
        "table": "outbound_message",
    }
    given = ",".join(f'{label}="{text}"' for label, text in series.items())
    rule = {
        "alert": alert,
        "expr": "given > 0",
        "labels": written[0]["labels"],
        "annotations": {"summary": written[0]["annotations"]["summary"]},
    }
    rules = {"groups": [{"name": "one", "rules": [rule]}]}
    test = {
        "rule_files": [str(tmp_path / "rules.yml")],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": f"given{{{given}}}", "values": value}],
                "alert_rule_test": [
                    {
                        "alertname": alert,
                        "eval_time": "1m",
                        "exp_alerts": [
                            {
                                "exp_labels": series | written[0]["labels"],
                                "exp_annotations": {"summary": summary},
                            }
                        ],
                    }
                ],
            }
        ],
    }
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")

    told = prometheus_tools.run("promtool", "test", "rules", str(tmp_path / "test.yml"))

    assert told.returncode == 0, told.stderr


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GENERATED, tmp_path / "rules"))


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """One alert's tests beside a copy of the rules, to be spoilt."""
    (tmp_path / "tests").mkdir()
    text = (TESTS / "WhatsAppQuotaHigh.yml").read_text(encoding="utf-8")
    (tmp_path / "tests/quota.yml").write_text(
        text.replace("../generated/", "../rules/"), encoding="utf-8"
    )
    return tmp_path / "tests"


def test_check_is_content_with_what_is_committed() -> None:
    told = run("check")

    assert told.exit_code == 0, told.stderr
    assert told.stdout == f"{len(GROUPS)} rule files are sound and tested.\n"


def test_check_names_what_promtool_does_not_parse(rules: Path) -> None:
    file = rules / "outbound-limits.yml"
    file.write_text(file.read_text("utf-8").replace("> 0.95", "> > 0.95"), encoding="utf-8")

    told = run("check", "--rules", str(rules))

    assert told.exit_code == 1
    assert told.stderr.startswith("outbound-limits.yml: promtool: ")
    assert "parse error" in told.stderr


def test_check_names_what_only_our_lint_finds(rules: Path) -> None:
    file = rules / "outbound-limits.yml"
    file.write_text(file.read_text("utf-8").replace("> 0.95", "> bool 0.95"), encoding="utf-8")

    told = run("check", "--rules", str(rules))

    assert told.exit_code == 1
    assert told.stderr == (
        "outbound-limits.yml: WhatsAppQuotaHigh: "
        "fires always: a comparison with 'bool' gives 0 or 1, and both are a value\n"
    )


def test_check_names_what_amtool_refuses(rules: Path) -> None:
    file = rules / "alertmanager.yml"
    text = file.read_text("utf-8").replace("receiver: tickets", "receiver: nobody")
    file.write_text(text, encoding="utf-8")

    told = run("check", "--rules", str(rules))

    assert told.exit_code == 1
    assert 'undefined receiver "nobody"' in told.stderr


def test_check_of_a_file_that_is_no_yaml_is_one_line(rules: Path) -> None:
    (rules / "broken.yml").write_text("groups: [", encoding="utf-8")

    told = run("check", "--rules", str(rules))

    assert isinstance(told.exception, UserMistake)
    assert "broken.yml is no YAML in line 1" in str(told.exception)


def test_a_rule_that_was_weakened_fails_its_test_and_junit_says_so(
    rules: Path, tests: Path, tmp_path: Path
) -> None:
    file = rules / "outbound-limits.yml"
    file.write_text(file.read_text("utf-8").replace("> 0.95", "> 0.99"), encoding="utf-8")

    told = run(
        "test", "--rules", str(rules), "--tests", str(tests), "--junit", str(tmp_path / "j.xml")
    )

    assert told.exit_code == 1
    assert "failed quota.yml: 71, 86 and 96 %" in " ".join(told.stderr.split())
    results = (tmp_path / "j.xml").read_text("utf-8")
    suite = fromstring(results).find("testsuite")  # noqa: S314 - written a moment ago by us
    assert suite is not None
    assert (suite.get("name"), suite.get("tests")) == ("quota", "4")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert suite.get("failures") == str(len(failed))
    assert "71, 86 and 96 % are three tiers, each for its own organisation" in failed


def test_alerts_without_a_test_fail_the_run(rules: Path, tests: Path) -> None:
    told = run("test", "--rules", str(rules), "--tests", str(tests))

    assert told.exit_code == 1
    assert "tests: WhatsAppProviderDown: no case lets it fire" in told.stderr
    assert "WhatsAppQuotaHigh" not in told.stderr


def test_write_gives_a_deployment_its_own_addresses(tmp_path: Path) -> None:
    told = run(
        "write",
        str(tmp_path / "etc"),
        "--runbooks=https://wiki/r",
        "--dashboards=https://grafana",
        "--pager=https://pager",
    )

    assert told.exit_code == 0
    rules = (tmp_path / "etc/outbound-provider.yml").read_text("utf-8")
    assert "runbook_url: https://wiki/r/WhatsAppProviderDown.md" in rules
    assert "https://pager/l3" in (tmp_path / "etc/alertmanager.yml").read_text("utf-8")


def test_write_says_where_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    told = run("write", str(tmp_path / "file"))

    assert isinstance(told.exception, UserMistake)
    assert "can't be written" in str(told.exception)


def test_the_cases_of_one_alert_can_be_run_alone(rules: Path, tests: Path) -> None:
    told = run("test", "--rules", str(rules), "--tests", str(tests), "--only", "WhatsAppQuotaHigh")

    assert told.exit_code == 0, told.stderr
    assert told.stdout == "4 cases, 0 failed.\n"


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("WhatsAppQuotaHi", "No rule makes the alert WhatsAppQuotaHi"),
        ("WhatsAppProviderDown", "No case names WhatsAppProviderDown"),
    ],
)
def test_an_alert_without_a_rule_or_a_case_is_refused(
    name: str, mistake: str, rules: Path, tests: Path
) -> None:
    told = run("test", "--rules", str(rules), "--tests", str(tests), "--only", name)

    assert isinstance(told.exception, UserMistake)
    assert mistake in str(told.exception)


def test_check_takes_rules_on_metrics_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    rule = {"record": "shop:carts", "expr": "sum by (country) (shop_carts)"}
    document = {"groups": [{"name": "g", "rules": [rule]}]}
    (tmp_path / "rules/r.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    case = {"promql_expr_test": [{"expr": "shop:carts", "eval_time": "1m", "exp_samples": []}]}
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/t.yml").write_text(
        yaml.safe_dump({"rule_files": ["../rules/r.yml"], "tests": [case]}), encoding="utf-8"
    )
    extra = {"metrics": {"shop_carts": {"kind": "gauge", "labels": ["country"]}}}
    (tmp_path / "m.yml").write_text(yaml.safe_dump(extra), encoding="utf-8")
    given = ("check", "--rules", str(tmp_path / "rules"), "--tests", str(tmp_path / "tests"))

    refused = run(*given)
    told = run(*given, "--extra-metrics", str(tmp_path / "m.yml"))

    assert refused.exit_code == 1
    assert refused.stderr == (
        "r.yml: shop:carts: no metric shop_carts in vocabulary/metrics.py, and no rule records it\n"
    )
    assert (told.exit_code, told.stdout) == (0, "1 rule files are sound and tested.\n")


def test_check_names_an_inhibition_that_is_about_no_alert(rules: Path) -> None:
    file = rules / "alertmanager.yml"
    text = file.read_text("utf-8").replace('alertname="OutboundOutage"', 'alertname="Outage"')
    file.write_text(text, encoding="utf-8")

    told = run("check", "--rules", str(rules))

    assert told.exit_code == 1
    assert 'its source_matchers match no alert: alertname="Outage"' in told.stderr
