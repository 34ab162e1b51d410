"""Objectives: what is read, what is refused and why, and the numbers made of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.catalogue.objectives import NUMBERS, OBJECTIVES
from alerts.generator import render_rules
from alerts.lint import lint_rules
from alerts.objectives.alarms import build_alerts, compared_numbers
from alerts.objectives.burn import BURN_TIERS, count_minimum
from alerts.objectives.declared import declared_numbers
from alerts.objectives.documents import SLOS, read_objectives
from alerts.objectives.groups import build_groups
from alerts.objectives.inhibitions import burn_inhibitions
from alerts.objectives.spec import Counted, Fresh, Timed
from alerts.rule_files import WrittenRule
from alerts.timing import DAY, Timing
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import Priority, Slo
from outbound_slo.vocabulary.mistakes import UserMistake

BY_NAME = {objective.name: objective for objective in OBJECTIVES}
SOUND: dict[str, Any] = {
    "name": "mine",
    "title": "messages are sent",
    "objective": 95,
    "period": "30d",
    "group_by": ["channel"],
    "budget": {
        "counter": "outbound_messages_finished_total",
        "of": {"outcome": ["sent", "failed"]},
        "good": {"outcome": ["sent"]},
    },
}
SEND_LATENCY = {"histogram": "outbound_send_latency_seconds", "within": "30s"}
OPENSLO = (SLOS / "examples/openslo-send-latency.yml").read_text("utf-8")


def write(directory: Path, *documents: object, name: str = "mine.yml") -> Path:
    path = directory / name
    texts = [each if isinstance(each, str) else yaml.safe_dump(each) for each in documents]
    path.write_text("\n---\n".join(texts), encoding="utf-8")
    return path


def test_every_name_of_the_vocabulary_has_its_file_and_no_other() -> None:
    assert set(BY_NAME) == set(Slo) - {Slo.NONE}
    assert {path.stem for path in SLOS.glob("*.yml")} == set(BY_NAME)


def test_the_promises_are_those_of_the_table() -> None:
    success, send, delivery, exporter = (
        BY_NAME[name]
        for name in (
            Slo.SEND_SUCCESS,
            Slo.SEND_LATENCY,
            Slo.DELIVERY_LATENCY,
            Slo.EXPORTER_AVAILABILITY,
        )
    )

    assert success.percent == t.SLA_SUCCESS_RATE.value
    assert f"p{send.percent:g}" == t.SLA_SEND_LATENCY.statistic
    assert f"p{delivery.percent:g}" == t.SLA_DELIVERY_LATENCY.statistic
    assert exporter.percent == t.OBJECTIVE_EXPORTER.value
    assert isinstance(send.budget, Timed)
    assert send.budget.within_s == t.SLA_SEND_LATENCY.value
    assert isinstance(delivery.budget, Timed)
    assert delivery.budget.within_s == t.SLA_DELIVERY_LATENCY.value
    assert isinstance(exporter.budget, Fresh)
    assert exporter.budget.younger_than_s == t.ALERT_SNAPSHOT_AGE.value
    assert isinstance(success.fast, Counted)
    assert success.fast.counter.name == "outbound_attempts_total"


def test_what_another_alert_pages_for_at_once_is_a_ticket_of_its_budget() -> None:
    severities = {
        name: {alert.tier: alert.priority for alert in build_alerts(objective) if alert.tier > 2}
        for name, objective in BY_NAME.items()
    }

    ticket, page = {3: Priority.P2, 4: Priority.P2}, {3: Priority.P1, 4: Priority.P1}
    assert severities == {
        Slo.SEND_SUCCESS: page,
        Slo.DELIVERY_LATENCY: page,
        Slo.SEND_LATENCY: ticket,
        Slo.EXPORTER_AVAILABILITY: ticket,
    }


def test_five_failures_among_the_minimum_reach_the_line_and_do_not_cross_it() -> None:
    for objective in OBJECTIVES:
        for tier in BURN_TIERS:
            minimum = tier.minimum(objective)
            assert 5 / minimum <= tier.bad_share(objective) + 1e-9, (objective.name, tier.name)
    assert [tier.minimum(BY_NAME["send-success"]) for tier in BURN_TIERS] == [100, 34, 20, 20]
    assert [tier.minimum(BY_NAME["delivery-latency"]) for tier in BURN_TIERS] == [500, 167, 84, 35]
    assert count_minimum(0.05) == 100
    assert count_minimum(0.051) == 99


@pytest.mark.parametrize(
    ("period", "factors"),
    [
        ("30d", [1, 3, 6, 14.4]),
        ("4w", [1, 2.8, 5.6, 13.44]),
        ("7d", [1, 1, 1.4, 3.36]),
    ],
)
def test_factors_follow_the_period_and_never_fall_below_one(
    period: str, factors: list[float], tmp_path: Path
) -> None:
    (objective,) = read_objectives([write(tmp_path, SOUND | {"period": period})])

    assert [tier.factor(objective) for tier in BURN_TIERS] == pytest.approx(factors)


def test_the_examples_are_sound_beside_what_is_built_in() -> None:
    found = read_objectives([*SLOS.glob("*.yml"), *sorted(SLOS.glob("examples/*.yml"))])

    assert len(found) == len(OBJECTIVES) + 3
    groups = build_groups(found)
    text = render_rules(groups=groups)["outbound-slo.yml"]
    assert '"organisation-send-success"' in text
    rules = [
        WrittenRule("f", rule)
        for each in render_rules(groups=groups).values()
        for group in yaml.safe_load(each)["groups"]
        for rule in group["rules"]
    ]
    own = {each.name: compared_numbers(each) for each in found}
    assert lint_rules(rules, own) == []
    assert {finding.subject for finding in lint_rules(rules)} == {"OutboundErrorBudgetBurn"}
    assert declared_numbers(rules) == own


def test_a_number_that_a_rendered_objective_does_not_make_is_none_of_its_own() -> None:
    made = declared_numbers(
        [
            WrittenRule("f", {"record": name, "expr": expression, "labels": {"slo": "mine"}})
            for name, expression in (
                ("slo:error_budget:ratio", "vector(0.05)"),
                ("slo:period:seconds", "vector(2592000)"),
                ("slo:objective:ratio", "vector(1)"),
            )
        ]
    )

    assert 0.72 in made["mine"]
    assert 0.5 not in made["mine"]
    assert declared_numbers([WrittenRule("f", {"record": "x", "expr": "vector(0.05)"})]) == {}


def test_numbers_made_from_a_document_are_known_for_its_own_alerts_only() -> None:
    rules = [
        WrittenRule("f", rule)
        for each in render_rules().values()
        for group in yaml.safe_load(each)["groups"]
        for rule in group["rules"]
    ]

    assert lint_rules(rules) == []
    assert any("compares with 84," in each.what for each in lint_rules(rules, {}))
    swapped = dict(NUMBERS) | {"delivery-latency": NUMBERS["send-success"]}
    assert {each.subject for each in lint_rules(rules, swapped)} == {"OutboundErrorBudgetBurn"}


REFUSED = [
    ({"objective": 100}, "objective is 100. Expected: percent of the events"),
    ({"objective": 0}, "objective is 0"),
    ({"objective": float("nan")}, "objective: nan leaves no budget"),
    ({"objective": 99.99999999999}, "objective: 99.99999999999 leaves no budget. Ask for 99.9999"),
    ({"objective": 93}, "the tier page-fast waits for 101% bad events"),
    ({"objective": 10}, "Ask for more than 93.06 %"),
    ({"period": "1M"}, "period is .1M.. Expected: whole days or weeks"),
    ({"period": "720h"}, "period is .720h."),
    ({"period": "3d"}, "period: 3d is none that a budget can be weighed over. Take 7d to 90d"),
    ({"period": "35d"}, "Prometheus keeps 35d, and 35d take 35d1h"),
    ({"name": "My SLO"}, "name is .My SLO.. Expected: a name in lower case"),
    ({"nmae": "x"}, "has the key nmae, which means nothing here. Did you mean name"),
    ({"group_by": ["region"]}, r"group_by\[0\] is .region.. Expected: channel or org_id"),
    ({"group_by": ["org_id"]}, "outbound_messages_finished_total .budget. can't be told apart by"),
    ({"budget": {"counter": "outbound_message_finished_total", "good": {"outcome": ["sent"]}}},
     "budget.counter: there is no metric .* Did you mean outbound_messages_finished_total"),
    ({"budget": {"counter": "outbound_message_queue_depth", "good": {"status": ["queued"]}}},
     "outbound_message_queue_depth is a gauge. Name a counter"),
    ({"budget": {"counter": "outbound_webhooks_total", "good": {"result": ["accepted"]}}},
     "outbound_webhooks_total is counted by a process and ends with it"),
    ({"budget": {"counter": "outbound_message_sent_total", "good": {"channel": ["sms"]}}},
     "is a runbook's name. Write outbound_messages_finished_total"),
    ({"budget": {"counter": "outbound_attempts_total", "good": {"outcom": ["sent"]}}},
     "has no label outcom. Did you mean outcome"),
    ({"budget": {"counter": "outbound_attempts_total", "good": {"outcome": ["sended"]}}},
     "budget.good.outcome: sended is never a value. Did you mean sent"),
    ({"budget": {"counter": "outbound_attempts_total", "of": {"outcome": ["failed"]},
                 "good": {"outcome": ["sent"]}}}, "sent is not in budget.of"),
    ({"budget": {"counter": "outbound_attempts_total", "of": {"outcome": ["sent"]},
                 "good": {"outcome": ["sent"]}}}, "nothing could be bad"),
    ({"budget": SEND_LATENCY | {"within": "25s"}}, "25 s is no edge of .* Take one of 0.1, 0.25"),
    ({"budget": SEND_LATENCY | {"within": "1d"}}, "budget.within is .1d.. Expected: a whole"),
    ({"budget": {"histogram": "outbound_attempt_duration_seconds", "within": "1s"}},
     "has no edges that a promise could be on"),
    ({"budget": SEND_LATENCY | {"good": {"le": ["30"]}}},
     "has the key good, which does not go with histogram"),
    ({"budget": {"histogram": "outbound_send_latency_seconds"}}, "within"),
    ({"budget": {"counter": "outbound_attempts_total"} | SEND_LATENCY}, "neither or both of"),
    ({"fast": {"timestamp": "outbound_exporter_snapshot_timestamp_seconds", "younger_than": "1m"},
      "group_by": []}, "fast: a timestamp shows trouble at once"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "complaint"), REFUSED, ids=[each[1] for each in REFUSED])
def test_what_can_not_work_is_refused_with_its_place_and_a_mend(
    changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    path = write(tmp_path, SOUND | changes)

    with pytest.raises(UserMistake, match=complaint) as told:
        read_objectives([path])

    assert str(path) in told.value.what
    assert told.value.mend


def test_what_was_refused_above_is_sound_but_for_that(tmp_path: Path) -> None:
    assert read_objectives([write(tmp_path, SOUND)])[0].allowed == 0.05
    assert read_objectives([write(tmp_path, SOUND | {"period": "35d"})], retention_s=36 * DAY)


def test_a_name_that_is_there_twice_is_refused_naming_both_files(tmp_path: Path) -> None:
    one, two = write(tmp_path, SOUND, name="one.yml"), write(tmp_path, SOUND, name="two.yml")

    with pytest.raises(UserMistake, match=r"two\.yml: name: mine is the name .*one\.yml, too"):
        read_objectives([one, two])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no objective"),
        ("[", "line 1"),
        ("- 1", "Expected: How many of which events"),
        ("name: a\nname: b", "the key name stands twice"),
        ("apiVersion: openslo/v1alpha\nkind: SLO", "apiVersion is not openslo/v1"),
    ],
)
def test_a_malformed_file_is_one_clear_mistake(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserMistake, match=complaint):
        read_objectives([write(tmp_path, text)])


def test_openslo_says_the_same_as_our_own_form(tmp_path: Path) -> None:
    ours = {"name": "quick-send", "objective": 95, "budget": SEND_LATENCY | {"within": "10s"}}
    (read,) = read_objectives([write(tmp_path, OPENSLO, name="theirs.yml")])
    (own,) = read_objectives([write(tmp_path, SOUND | ours)])

    assert (read.budget, read.percent, read.period_s, read.group_by) == (
        own.budget, own.percent, own.period_s, own.group_by,
    )  # fmt: skip


def test_openslo_reads_an_sli_that_is_referred_to_and_a_percentage(tmp_path: Path) -> None:
    slo = yaml.safe_load(OPENSLO)
    sli = {"apiVersion": "openslo/v1", "kind": "SLI", **slo["spec"].pop("indicator")}
    metric = sli["spec"]["ratioMetric"]
    metric["good"]["metricSource"]["spec"]["query"] = 'outbound_attempts_total{outcome="sent"}'
    metric["total"]["metricSource"]["spec"]["query"] = (
        'outbound_attempts_total{outcome=~"sent|failed", channel="sms"}'
    )
    slo["spec"] |= {"indicatorRef": "sent-within-10-seconds"}
    slo["spec"]["objectives"] = [{"targetPercent": 97.5}]
    slo["metadata"]["annotations"] = {"outbound-slo/group-by": ""}

    (read,) = read_objectives([write(tmp_path, slo, sli)])

    assert isinstance(read.budget, Counted)
    assert read.budget.good == {"outcome": ("sent",)}
    assert read.budget.of == {"outcome": ("sent", "failed"), "channel": ("sms",)}
    assert (read.percent, read.group_by) == (97.5, ())


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("Occurrences", "Timeslices", "Timeslices is not read"),
        ("counter: true", "counter: false", r"counter is not true"),
        ("isRolling: true", "isRolling: false", "follows the calendar"),
        ("30d", "1M", "period is .1M."),
        ("target: 0.95", "target: high", "has no number target"),
        ("target: 0.95", "target: 0.95\n    - target: 0.99", "must have one entry"),
        ("kind: SLO", "kind: SLOS", "kind: SLOS is not read"),
        ("ratioMetric", "thresholdMetric", "has no ratioMetric"),
        ("        good:", "        bad:", "ratioMetric has no good"),
        ('{le="10"}', '{le="10"}[5m]', "is no plain selector"),
        ('{le="10"}', '{le!="10"}', "is no plain selector"),
        ('{le="10"}', '{le="ten"}', "le: ten is no number"),
        ('{le="10"}', '{le="11"}', "11 s is no edge"),
        ("seconds_count", "seconds_sum", "good is of"),
        ("type: Prometheus", "type: Datadog", "type: Datadog is not read"),
        ("  name: quick-send\n", "", "lacks metadata.name"),
    ],
)
def test_openslo_that_is_not_read_is_refused(
    old: str, new: str, complaint: str, tmp_path: Path
) -> None:
    assert old in OPENSLO

    with pytest.raises(UserMistake, match=complaint):
        read_objectives([write(tmp_path, OPENSLO.replace(old, new))])


def test_objectives_of_two_periods_have_a_period_window_each(tmp_path: Path) -> None:
    other = write(tmp_path, SOUND | {"name": "weekly", "period": "7d"})
    found = read_objectives([SLOS / "send-success.yml", other])

    (group,) = build_groups(found)

    (period,) = (
        each.expression
        for each in group.recordings
        if each.metric.name == "slo:events:increase_period"
    )
    weekly, monthly = period.split("\nor ")
    assert '{slo=~"weekly"}[1h] offset 7d' in weekly
    assert '{slo=~"send-success"}[1h] offset 30d' in monthly


def test_a_demonstration_shortens_windows_offsets_and_the_period() -> None:
    text = render_rules(Timing(20))["outbound-slo.yml"]

    assert "offset 1d12h" in text
    assert "[3m] offset 3m" in text
    assert "vector(129600)" in text
    assert "offset 30d" not in text
    samples = render_rules(Timing(20))["outbound-slo-samples.yml"]
    assert "interval: 3s" in samples
    assert "<= bool 10" in samples


def test_a_faster_tier_silences_the_slower_ones_of_its_own_objective_only() -> None:
    rules = burn_inhibitions()[:3]

    assert [rule["target_matchers"][1] for rule in rules] == [
        'burn_tier=~"ticket-slow"',
        'burn_tier=~"ticket-slow|ticket-fast"',
        'burn_tier=~"ticket-slow|ticket-fast|page-slow"',
    ]
    assert all(rule["equal"] == ["slo", "channel", "org_id"] for rule in rules)
