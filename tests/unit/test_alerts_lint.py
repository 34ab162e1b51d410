"""What promtool accepts and our lint does not."""

from pathlib import Path
from typing import Any

import pytest

from alerts.cases import find_vacuous, read_cases
from alerts.expressions import read_expression
from alerts.lint import is_known, lint_rules
from alerts.rule_files import WrittenRule, find_rule_files, read_rules
from outbound_slo.vocabulary.mistakes import UserMistake

SOUND: dict[str, Any] = {
    "alert": "WhatsAppQueueBackup",
    "expr": 'outbound_message_queue_depth{channel="whatsapp",status="queued"} > 500',
    "keep_firing_for": "5m",
    "labels": {
        "severity": "critical",
        "priority": "P1",
        "level": "L1",
        "family": "queue",
        "tier": "1",
        "channel": "whatsapp",
        "team": "platform",
        "slo": "send-latency",
    },
    "annotations": {
        "summary": "{{ $value }} messages",
        "description": "Too many.",
        "runbook_url": "https://r/WhatsAppQueueBackup.md",
        "dashboard_url": "https://g/d/x",
    },
}


def lint(**changes: object) -> list[str]:
    return [finding.what for finding in lint_rules([WrittenRule("f.yml", {**SOUND, **changes})])]


def without(part: str, key: str) -> dict[str, Any]:
    return {part: {name: text for name, text in SOUND[part].items() if name != key}}


def changed(part: str, **values: str) -> dict[str, Any]:
    return {part: {**SOUND[part], **values}}


def test_a_sound_rule_has_no_finding() -> None:
    assert lint() == []


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"expr": "outbound_message_queue_depth > bool 500"}, "fires always"),
        ({"expr": "outbound_message_queue_depth"}, "compares with nothing"),
        ({"expr": "vector(1)"}, "compares with nothing"),
        ({"expr": "outbound_message_queue_size > 500"}, "no metric outbound_message_queue_size"),
        ({"expr": "rate(outbound_send_latency_seconds[5m]) > 0"}, "no metric"),
        ({"expr": "outbound_message_queue_depth > 501"}, "compares with 501"),
        ({"expr": "outbound_message_queue_depth > 50e1 and vector(2) > 7"}, "compares with 7"),
        (without("labels", "team"), "has no label team"),
        (without("labels", "tier"), "has no label tier"),
        (changed("labels", priority="P2"), "severity critical does not go with P2, warning does"),
        (changed("labels", priority="P9"), "priority P9 is none of"),
        (changed("labels", severity="bad"), "severity bad is none of"),
        (changed("labels", level="L5"), "level L5 is none of"),
        (without("annotations", "description"), "has no annotation description"),
        (changed("annotations", summary="Many"), "does not give the value"),
        (changed("annotations", runbook_url="https://r/Other.md"), "WhatsAppQueueBackup.md"),
    ],
)
def test_a_rule_that_promtool_would_take_is_found_out(
    changes: dict[str, Any], finding: str
) -> None:
    assert any(finding in what for what in lint(**changes)), lint(**changes)


def test_a_page_has_to_outlive_its_data() -> None:
    rule = {key: part for key, part in SOUND.items() if key != "keep_firing_for"}

    findings = lint_rules([WrittenRule("f.yml", rule)])

    assert [finding.what for finding in findings] == [
        "pages without keep_firing_for: it would be taken back when its data goes away"
    ]


def test_the_channel_may_come_from_the_series() -> None:
    labels = without("labels", "channel")

    assert lint(**labels) == []
    assert lint(**labels, expr="outbound_sender_in_flight > 500") == ["has no label channel"]


def test_the_same_tier_twice_is_found() -> None:
    findings = lint_rules([WrittenRule("f.yml", SOUND), WrittenRule("g.yml", SOUND)])

    assert [str(finding) for finding in findings] == [
        "f.yml: WhatsAppQueueBackup: has tier 1 more than once",
        "g.yml: WhatsAppQueueBackup: has tier 1 more than once",
    ]


def test_a_series_that_another_rule_records_is_known() -> None:
    recording = {"record": "my:series", "expr": "sum(outbound_message_queue_depth)"}
    reader = {**SOUND, "expr": "my:series > 500"}

    written = [WrittenRule("f.yml", recording), WrittenRule("f.yml", reader)]
    assert lint_rules(written) == []


def test_a_histogram_is_known_by_its_parts_only() -> None:
    assert is_known("outbound_send_latency_seconds_bucket")
    assert is_known("outbound_send_latency_seconds_count")
    assert not is_known("outbound_send_latency_seconds")
    assert not is_known("outbound_message_queue_depth_bucket")


def test_an_expression_is_read_without_its_labels_functions_and_words() -> None:
    reading = read_expression(
        """
        # a comment > 99
        sum by (channel, le) (rate(a_total{path=~"x > 1|y{}"}[5m])) >= 0.3
          and on (channel) group_left (job) max(b:c) < 1e3 or absent(d) unless e offset 5m == 2
        """
    )

    assert reading.metrics == {"a_total", "b:c", "d", "e"}
    assert reading.compared_with == (0.3, 1000.0, 2.0)
    assert reading.compares
    assert reading.has_absent
    assert not reading.has_bool


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_test_file_without_tests_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", "rule_files: [a.yml]\ntests: []\n")

    with pytest.raises(UserMistake, match=r"a\.yml has no tests"):
        read_cases(tmp_path)


def test_rule_files_that_match_nothing_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", "rule_files: ['rules-*.yml']\ntests: [{name: x}]\n")

    with pytest.raises(UserMistake, match=r"names rules-\*\.yml, and no such file exists"):
        read_cases(tmp_path)


def test_cases_that_assert_nothing_or_one_side_only_are_found(tmp_path: Path) -> None:
    write(
        tmp_path / "a.yml",
        """
rule_files: [a.yml]
tests:
  - name: empty
    input_series: []
  - name: fires
    promql_expr_test:
      - expr: count(ALERTS{alertname="OnlyFires",alertstate="firing"})
        eval_time: 5m
        exp_samples: [{labels: '{}', value: 1}]
  - name: silent
    alert_rule_test:
      - {alertname: OnlySilent, eval_time: 5m, exp_alerts: []}
""",
    )

    findings = find_vacuous(read_cases(tmp_path), ["OnlyFires", "OnlySilent", "Neither"])

    assert [str(finding) for finding in findings] == [
        "a.yml: empty: asserts nothing",
        "tests: Neither: no case lets it fire",
        "tests: Neither: no case keeps it silent",
        "tests: OnlyFires: no case keeps it silent",
        "tests: OnlySilent: no case lets it fire",
    ]


def test_a_test_of_an_alert_that_no_rule_makes_is_found(tmp_path: Path) -> None:
    write(
        tmp_path / "a.yml",
        """
rule_files: [a.yml]
tests:
  - name: misspelt
    alert_rule_test:
      - {alertname: Mispelt, eval_time: 5m, exp_alerts: []}
""",
    )

    findings = find_vacuous(read_cases(tmp_path), [])

    assert [str(finding) for finding in findings] == ["tests: Mispelt: no rule makes this alert"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("groups: [", r"a\.yml is no YAML in line 1"),
        ("groups: {a: 1}", r"'groups' is no list"),
        ("groups: [{name: g}]", r"group 1 has no list 'rules'"),
        ("groups: [{name: g, rules: [{expr: up}]}]", r"neither 'alert' nor 'record'"),
        ("- 1", r"a\.yml holds no mapping"),
        ("[" * 900, r"a\.yml is nested too deeply"),
        ("", r"a\.yml is empty"),
        ("groups: []\ngroups: []", r"a\.yml is no YAML in line 2: the key groups stands twice"),
        ("groups: &a [*a]", r"a\.yml is no YAML in line 1: found unconstructable recursive node"),
        ("groups: []\nat: 2026-13-01", r"a\.yml is no YAML in line 2: month must be in 1\.\.12"),
        ("other: 1", r"has no rule file"),
    ],
)
def test_a_malformed_rule_file_is_one_clear_mistake(
    tmp_path: Path, text: str, complaint: str
) -> None:
    write(tmp_path / "a.yml", text)

    with pytest.raises(UserMistake, match=complaint):
        read_rules(find_rule_files(tmp_path))
