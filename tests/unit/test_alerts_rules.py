"""The catalogue and the rule files made of it."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.artefacts import build_artefacts
from alerts.catalogue import GROUPS
from alerts.catalogue.observation import NO_DATA_HOLD_S
from alerts.generator import render_rules
from alerts.links import LinkBases
from alerts.lint import lint_rules
from alerts.pages import collect_tiers
from alerts.rule import KEEP_FIRING_S, Alert, write_expression
from alerts.rule_files import WrittenRule
from alerts.timing import Timing
from outbound_slo.vocabulary.alert_aliases import ALIASES, AlertAlias
from outbound_slo.vocabulary.alerts import (
    ALL_CHANNELS,
    AlertName,
    Priority,
)
from outbound_slo.vocabulary.metrics import METRICS, Origin
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel
from outbound_slo.vocabulary.thresholds import (
    ALERT_EXPORTERS_GONE,
    ALERT_FAILURE_HIGH,
    ALERT_SNAPSHOT_AGE,
    THRESHOLDS,
    Use,
)

ROOT = Path(__file__).parents[2]
ALERTS = [alert for group in GROUPS for alert in group.alerts]
RECORDINGS = [recording for group in GROUPS for recording in group.recordings]


@cache
def rules_at(timing: Timing) -> list[dict[str, Any]]:
    """Write and read all rules; once for each clock, as reading them takes a second."""
    return read_rules(render_rules(timing))


@cache
def linked_rules() -> list[dict[str, Any]]:
    return read_rules(render_rules(bases=LinkBases("https://r/", "https://g/", "https://j/")))


def read_rules(texts: Mapping[str, str]) -> list[dict[str, Any]]:
    groups = [group for text in texts.values() for group in yaml.safe_load(text)["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def rule(name: AlertName, tier: int = 1, timing: Timing | None = None) -> dict[str, Any]:
    return next(
        found
        for found in rules_at(timing or Timing())
        if found.get("alert") == name and found["labels"]["tier"] == str(tier)
    )


def test_every_alert_of_the_vocabulary_has_tiers_counted_from_one() -> None:
    for name, tiers in collect_tiers().items():
        assert [alert.tier for alert in tiers] == list(range(1, len(tiers) + 1)), name
        assert tiers, name


def test_a_higher_tier_is_never_less_urgent() -> None:
    urgency = list(Priority)
    for name, tiers in collect_tiers().items():
        ranks = [urgency.index(alert.priority) for alert in tiers]
        assert ranks == sorted(ranks, reverse=True), name
        levels = [alert.level for alert in tiers]
        assert levels == sorted(levels), name


def test_every_line_for_alerts_and_every_minimum_is_used() -> None:
    used = {line.key for alert in ALERTS for line in alert.lines.values()}

    drawn_for = {Use.ALERT, Use.MINIMUM, Use.ESCALATION}
    drawn = {line.key for line in THRESHOLDS.values() if line.use in drawn_for}
    assert used == drawn


def test_every_recorded_metric_of_the_vocabulary_is_recorded_and_no_other() -> None:
    wanted = {metric.name for metric in METRICS.values() if metric.origin is Origin.RECORDING}

    assert {recording.metric.name for recording in RECORDINGS} == wanted


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.name)
def test_every_name_of_the_runbooks_is_answered_by_a_tier_that_exists(alias: AlertAlias) -> None:
    tiers = {alert.tier for alert in collect_tiers()[alias.answered_by]}

    assert alias.tier is None or alias.tier in tiers


@pytest.mark.parametrize(
    ("name", "tier", "severity", "priority", "level"),
    [
        # 002: single channel down, dead letters over 500. 001: L2 from 30 % failures on.
        (AlertName.PROVIDER_DOWN, 1, "critical", "P1", "L2"),
        (AlertName.HIGH_FAILURE_RATE, 1, "critical", "P1", "L2"),
        (AlertName.OUTAGE, 1, "critical", "P0", "L2"),
        # 000: a warning.
        (AlertName.STUCK_IN_SENDING, 1, "warning", "P2", "L1"),
        # 001's escalation tree.
        (AlertName.DLQ_OVERFLOW, 2, "critical", "P1", "L1"),
        (AlertName.DLQ_OVERFLOW, 3, "critical", "P1", "L2"),
        (AlertName.DLQ_OVERFLOW, 4, "critical", "P1", "L3"),
        (AlertName.QUEUE_BACKUP, 3, "critical", "P1", "L1"),
        (AlertName.QUEUE_BACKUP, 4, "critical", "P1", "L2"),
        (AlertName.QUEUE_BACKUP, 5, "critical", "P1", "L3"),
        (AlertName.SIGNATURE_FAILURES, 1, "warning", "P2", "L1"),
        # 001's tree: level 1 escalates at once.
        (AlertName.DATA_CORRUPTION, 1, "critical", "P1", "L2"),
        (AlertName.DATA_CORRUPTION, 2, "critical", "P1", "L2"),
        (AlertName.EXPORTER_DOWN, 2, "critical", "P1", "L1"),
        # 002: quota warnings are P3.
        (AlertName.QUOTA_HIGH, 1, "warning", "P3", "L1"),
    ],
)
def test_urgency_is_what_the_runbooks_say(
    name: AlertName, tier: int, severity: str, priority: str, level: str
) -> None:
    labels = rule(name, tier)["labels"]

    assert (labels["severity"], labels["priority"], labels["level"]) == (severity, priority, level)


def test_a_demonstration_scales_for_windows_and_ages_but_no_promise_to_people() -> None:
    fast = Timing(20)

    failure = rule(AlertName.HIGH_FAILURE_RATE, timing=fast)
    assert failure["for"] == "15s"
    assert "> 0.3" in failure["expr"]
    send = rule(AlertName.SEND_LATENCY_HIGH, timing=fast)
    assert "> 30" in send["expr"]
    outage = rule(AlertName.OUTAGE, 2, timing=fast)
    assert "> 15\n" in outage["expr"]
    windows = {found for each in rules_at(fast) for found in re.findall(r"\[\d.*?]", each["expr"])}
    assert windows == {
        "[4s]", "[15s]", "[30s]",
        "[1m30s]", "[3m]", "[6m]", "[18m]", "[1h12m]", "[3h36m]", "[1d12h]",
    }  # fmt: skip


def test_scale_changes_times_only() -> None:
    def without_times(timing: Timing) -> list[str]:
        times = r"\[\d.*?]|offset \w+|vector\(\d+\)|bool \d+|>=? \d+(?:\n|$)"
        return [re.sub(times, "", each["expr"]).strip() for each in rules_at(timing)]

    assert without_times(Timing(20)) == without_times(Timing())


def test_an_age_never_shrinks_below_what_a_busy_machine_needs() -> None:
    lines = {"line": ALERT_SNAPSHOT_AGE}

    assert write_expression("x > $line", lines, Timing(1000)) == "x > 10"
    assert write_expression("x > $line", lines, Timing(2)) == "x > 30"


def test_a_placeholder_that_nothing_fills_is_an_error() -> None:
    with pytest.raises(KeyError, match="NO_SUCH_METRIC"):
        write_expression("$NO_SUCH_METRIC > $line", {"line": ALERT_FAILURE_HIGH}, Timing())


def test_a_missing_exporter_is_told_before_the_missing_data_that_it_explains() -> None:
    assert ALERT_EXPORTERS_GONE.hold_s < NO_DATA_HOLD_S


def test_who_finds_damage_is_told_not_to_mend_it() -> None:
    for tier in collect_tiers()[AlertName.DATA_CORRUPTION]:
        assert "Call level 2 at once and do not attempt fixes" in tier.description


def test_a_page_outlives_its_data_until_missing_data_has_been_told() -> None:
    assert NO_DATA_HOLD_S * 2 < KEEP_FIRING_S
    pages = [alert for alert in ALERTS if alert.severity == "critical"]
    short = {alert.name for alert in pages if alert.keep_firing_s < KEEP_FIRING_S}
    assert short == {AlertName.NO_DATA, AlertName.EXPORTER_DOWN}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.tier}")
def test_links_lead_to_the_given_addresses(alert: Alert) -> None:
    written = [each for each in linked_rules() if each.get("alert") == alert.name]

    assert written
    for each in written:
        assert each["annotations"]["runbook_url"] == f"https://r/{alert.name}.md"
        assert each["annotations"]["dashboard_url"].partition("?")[0] == (
            f"https://g/d/{alert.panel.dashboard}"
        )


def test_every_link_opens_a_dashboard_that_exists_on_a_channel_that_it_can_show() -> None:
    shown = {channel.label for channel in Channel} | {"{{ $labels.channel | urlquery }}"}
    for each in rules_at(Timing()):
        if "alert" not in each:
            continue
        address, _, query = each["annotations"]["dashboard_url"].partition("?")
        assert (ROOT / "dashboards/generated" / f"{address.rpartition('/')[2]}.json").is_file()
        chosen = re.search(r"&var-channel=(.*?)\{\{ with \$labels.org_id", query)
        if chosen is None:
            assert each["labels"]["channel"] == ALL_CHANNELS
        else:
            assert chosen[1] in shown


def test_our_own_rules_pass_our_own_lint() -> None:
    written = [WrittenRule("ours", each) for each in rules_at(Timing())]

    assert lint_rules(written) == []


def test_artefacts_are_the_same_at_every_call_and_end_in_a_newline() -> None:
    files = build_artefacts()

    assert files == build_artefacts()
    assert all(text.endswith("\n") for text in files.values())


@pytest.mark.parametrize("base", ["", "runbooks", "foo bar", "ftp://x/", "https://"])
def test_a_base_that_no_link_can_begin_with_is_refused(base: str) -> None:
    with pytest.raises(UserMistake, match=r"--runbooks .* is no address of a web service"):
        LinkBases.given(base, "https://g", "https://j")
