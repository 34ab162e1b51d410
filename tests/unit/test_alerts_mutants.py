"""The slips of the pen that the rules' tests are held against."""

from pathlib import Path

import pytest

from alerts.cases import Case
from alerts.expressions import tokenize
from alerts.mutants import make_mutants
from alerts.mutated_expressions import change_expression
from alerts.mutation import Fate, Verdict
from alerts.mutation_score import (
    Outcome,
    find_stale,
    judge_outcome,
    rate,
    read_ledger,
    read_reasons,
    write_ledger,
)
from alerts.rule_files import WrittenRule
from alerts.slices import Bench, mark, numbers_in
from alerts.timing import format_duration, parse_duration
from outbound_slo.vocabulary.mistakes import UserMistake


def changes(expression: str, kind: str) -> list[str]:
    return [each.expression for each in change_expression(expression) if each.kind == kind]


@pytest.mark.parametrize(
    ("expression", "kind", "changed"),
    [
        ("a > 500", "number", ["a > 501", "a > 499"]),
        ("a > 0", "number", ["a > 1", "a > -1"]),
        ("a > 0.3", "number", ["a > 0.33", "a > 0.27"]),
        ("a > 200000", "number", ["a > 202000", "a > 198000"]),
        ("0 * a", "number", ["1 * a"]),
        ("clamp_max(a, 1)", "number", ["clamp_max(a, 2)", "clamp_max(a, 0)"]),
        ("a > 1", "comparison", ["a >= 1", "a < 1", "a == 1"]),
        ("a == 0", "comparison", ["a != 0", "a >= 0"]),
        ("a and b", "set", ["a or b", "a unless b"]),
        ("a unless on (x) b", "set", ["a and on (x) b", "a or on (x) b"]),
        ("a - b", "arithmetic", ["a + b"]),
        ("a > -1", "arithmetic", []),
        ("0 * a", "arithmetic", ["0 + a"]),
        ("rate(a[5m])", "window", ["rate(a[2m30s])", "rate(a[10m])"]),
        ("max_over_time(a[1h:5m])", "window", [
            "max_over_time(a[30m:5m])", "max_over_time(a[2h:5m])"
        ]),
        ("a offset 1h", "offset", ["a offset 30m", "a offset 2h"]),
        ("rate(a[5m])", "function", ["increase(a[5m])"]),
        ("sum by (x) (a)", "aggregation", ["max by (x) (a)", "min by (x) (a)"]),
        ("sum by (x, y) (a)", "labels", ["sum by (y) (a)", "sum by (x) (a)"]),
        ("a and on (x) b", "labels", ["a and on () b"]),
        ('a{x="1"}', "matcher", ['a{x!="1"}', "a{}", 'a{x="1_other"}']),
        ('a{x="1",y!="2"}', "matcher", [
            'a{x!="1",y!="2"}', 'a{y!="2"}', 'a{x="1_other",y!="2"}', 'a{x="1",y="2"}', 'a{x="1"}'
        ]),
        ('a{x=~"1|2"}', "matcher", ['a{x!~"1|2"}', "a{}", 'a{x=~"2"}', 'a{x=~"1"}']),
        ("clamp_min(a - b, 0) / c", "wrapper", ["(a - b) / c"]),
        ("absent(a) or absent(b)", "wrapper", ["(a) or absent(b)", "absent(a) or (b)"]),
        ("max > 1", "aggregation", []),
    ],
)  # fmt: skip
def test_a_part_of_an_expression_is_written_wrongly_in_each_of_these_ways(
    expression: str, kind: str, changed: list[str]
) -> None:
    assert changes(expression, kind) == changed


def test_a_list_of_labels_ends_with_its_own_parenthesis() -> None:
    listed = [token.text for token in tokenize("f(sum(a) by (x))") if token.in_list]

    assert listed == ["(", "x", ")"]


@pytest.mark.parametrize("seconds", [0.5, 1, 90, 3600, 93784, 86400 * 30])
def test_a_duration_is_read_as_it_is_written(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5m x", "1.5h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


def alert(expr: str = "a > 500", **parts: object) -> WrittenRule:
    return WrittenRule("f.yml", {"alert": "Many", "expr": expr, **parts})


def keys(*rules: WrittenRule) -> list[str]:
    return [mutant.key for mutant in make_mutants(rules)]


def test_waits_labels_and_the_condition_as_a_whole_are_changed_too() -> None:
    mutants = list(make_mutants([alert("a", **{"for": "5m"}, labels={"tier": "1"})]))

    assert {mutant.key: mutant.document for mutant in mutants} == {
        "Many condition: as it is -> negated": {
            "alert": "Many",
            "expr": "vector(1) unless on () (a)",
            "for": "5m",
            "labels": {"tier": "1"},
        },
        "Many for: 5m -> nothing": {"alert": "Many", "expr": "a", "labels": {"tier": "1"}},
        "Many for: 5m -> 2m30s": {
            "alert": "Many",
            "expr": "a",
            "for": "2m30s",
            "labels": {"tier": "1"},
        },
        "Many for: 5m -> 10m": {
            "alert": "Many",
            "expr": "a",
            "for": "10m",
            "labels": {"tier": "1"},
        },
        "Many label tier: 1 -> other": {
            "alert": "Many",
            "expr": "a",
            "for": "5m",
            "labels": {"tier": "other"},
        },
    }


def test_a_key_says_which_tier_and_which_of_several_it_is() -> None:
    found = keys(alert("a > a > 1", labels={"tier": "1"}), alert(labels={"tier": "2"}))

    assert "Many[1] comparison: > -> >=" in found
    assert "Many[1] comparison: > -> >= (2)" in found
    assert "Many[2] number: 500 -> 501" in found
    assert len(set(found)) == len(found)


def test_a_key_says_whose_tier_it_is_where_several_objectives_have_tiers() -> None:
    labels = [
        {"tier": tier, "slo": slo, "severity": severity}
        for tier, slo, severity in (
            ("1", "latency", "warning"),
            ("1", "success", "critical"),
            ("1", "webhooks", "critical"),
            ("2", "success", "critical"),
        )
    ]
    found = keys(*(alert("a > 1", labels=each) for each in labels))

    assert "Many[1,slo=latency] number: 1 -> 2" in found
    assert "Many[1,slo=success] number: 1 -> 2" in found
    assert "Many[1,slo=webhooks] number: 1 -> 2" in found
    assert "Many[2] number: 1 -> 2" in found
    assert len(set(found)) == len(found)


def test_a_recording_is_never_negated() -> None:
    recording = WrittenRule("f.yml", {"record": "a:b", "expr": "sum(a)"})

    assert keys(recording) == ["a:b aggregation: sum -> max", "a:b aggregation: sum -> min"]


def bench(*rules: dict[str, str], **body: object) -> Bench:
    case = Case(Path("t.yml"), "story", (), {"evaluation_interval": "15s"}, body)
    return Bench(case, [WrittenRule("f.yml", rule) for rule in rules])


CHAIN = (
    {"record": "a:sum", "expr": "sum(a)"},
    {"record": "b:sum", "expr": "sum(b)"},
    {"record": "a:twice", "expr": "a:sum * 2"},
    {"alert": "Many", "expr": "a:twice > 3"},
    {"alert": "Other", "expr": "b:sum > 3"},
)
MANY = {"expr": 'count(ALERTS{alertname="Many"})', "eval_time": "1m", "exp_samples": []}
OTHER = {"alertname": "Other", "eval_time": "1m", "exp_alerts": []}


def test_a_case_judges_what_it_names_and_all_that_this_reads() -> None:
    assert bench(*CHAIN, promql_expr_test=[MANY]).names_judged() == {"Many", "a:twice", "a:sum"}
    assert bench(*CHAIN, alert_rule_test=[OTHER]).names_judged() == {"Other", "b:sum"}


def test_a_mutant_of_a_recording_has_its_own_copy_of_all_that_is_computed_from_it() -> None:
    case = bench(*CHAIN, promql_expr_test=[MANY], alert_rule_test=[OTHER])
    mutants = {7: next(make_mutants([WrittenRule("f.yml", CHAIN[0])]))}

    written = case.write_shared(mutants)

    assert [list(rule.values()) for rule in written.rules["groups"][0]["rules"]] == [
        ["a:sum", "sum(a)"],
        ["a:sum_mutant0", "sum(a)"],
        ["a:sum_mutant7", "max(a)"],
        ["a:twice", "a:sum * 2"],
        ["a:twice_mutant0", "a:sum_mutant0 * 2"],
        ["a:twice_mutant7", "a:sum_mutant7 * 2"],
        ["Many", "a:twice > 3"],
        ["Many_mutant0", "a:twice_mutant0 > 3"],
        ["Many_mutant7", "a:twice_mutant7 > 3"],
    ]
    assert [test["expr"] for test in written.test["promql_expr_test"]] == [
        'count(ALERTS{alertname="Many_mutant0"})',
        'count(ALERTS{alertname="Many_mutant7"})',
    ]
    assert written.test["alert_rule_test"] == []
    assert "input_series" not in written.test


def test_what_a_rule_is_said_to_have_recorded_is_said_of_its_mutants_too() -> None:
    series = [
        {"series": 'a:sum{of="a:sum"}', "values": "1"},
        {"series": "a:twice", "values": "2"},
        {"series": 'b:sum{of="a:sum"}', "values": "3"},
    ]
    case = bench(*CHAIN, promql_expr_test=[MANY], input_series=series)
    mutants = {7: next(make_mutants([WrittenRule("f.yml", CHAIN[2])]))}

    given = case.write_shared(mutants).test["input_series"]

    # The second rule is touched, and the first only read.
    assert given == [
        *series,
        {"series": "a:twice_mutant0", "values": "2"},
        {"series": "a:twice_mutant7", "values": "2"},
    ]


@pytest.mark.parametrize(
    ("rule", "asked", "shared"),
    [
        ({"alert": "Many", "expr": "a"}, 'ALERTS{alertname="Many"}', True),
        ({"alert": "Many", "expr": "a"}, 'ALERTS{tier="1"}', False),
        ({"alert": "Many", "expr": "a"}, "count(ALERTS)", False),
        ({"alert": "Many", "expr": "a"}, "a", True),
        ({"alert": "Many", "expr": 'ALERTS{alertname="Other"}'}, 'ALERTS{alertname="Many"}', False),
        ({"alert": "Many", "expr": 'ALERTS{alertname="Other"}'}, "a", True),
    ],
)
def test_mutants_stand_alone_where_somebody_reads_alerts_without_naming_them(
    rule: dict[str, str], asked: str, shared: bool
) -> None:
    story = bench(rule, promql_expr_test=[{"expr": asked, "eval_time": "1m", "exp_samples": []}])

    assert story.is_shared is shared


def test_what_a_case_costs_is_how_often_it_evaluates_what_it_has_to_copy() -> None:
    case = bench(*CHAIN, promql_expr_test=[MANY, {**MANY, "eval_time": "10m"}])

    # Every 15 s for ten minutes: the alert alone, or the two recordings before it as well.
    assert case.cost_of("Many") == 41
    assert case.cost_of("a:sum") == 3 * 41


def test_a_mutant_changes_the_rule_that_it_was_made_from_and_no_other_of_its_name() -> None:
    mutant = next(make_mutants([alert()]))
    other = bench({"alert": "Many", "expr": "b > 7"})

    assert not other.holds(mutant)
    assert [rule["expr"] for rule in other.write_alone(mutant).rules["groups"][0]["rules"]] == [
        "b > 7"
    ]
    assert bench(dict(alert().document)).holds(mutant)


def test_a_number_is_found_again_in_what_promtool_says() -> None:
    marked = mark({12: next(make_mutants([alert()]))})

    assert marked[0]["alert"] == "Many_mutant12"
    assert numbers_in("rule: Many_mutant12, time: 1m; a:b_mutant3{}") == {12, 3}


def outcome(killed: int, *survived: str, could_not_run: tuple[str, ...] = ()) -> Outcome:
    return Outcome("d", killed, survived, (), could_not_run)


def test_the_score_counts_what_could_not_run_as_unnoticed_and_leaves_out_what_is_no_promql() -> (
    None
):
    mutants = list(make_mutants([alert()]))[:4]
    fates = (Fate.KILLED, Fate.SURVIVED, Fate.INVALID, Fate.COULD_NOT_RUN)
    verdicts = [Verdict(mutant, fate, "") for mutant, fate in zip(mutants, fates, strict=True)]

    judged = judge_outcome("digest", verdicts)

    assert (judged.killed, judged.counted) == (1, 3)
    assert judged.survived == (mutants[1].key,)
    assert judged.invalid == (mutants[2].key,)
    assert judged.could_not_run == (mutants[3].key,)
    assert rate([judged]) == pytest.approx(100 / 3)
    assert rate([]) == 100


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    outcomes = {"B": outcome(3, "B number: 1 -> 2"), "A": outcome(1, could_not_run=("A x: y",))}

    write_ledger(tmp_path / "l.json", outcomes)

    assert read_ledger(tmp_path / "l.json") == outcomes
    assert read_ledger(tmp_path / "absent.json") == {}


@pytest.mark.parametrize("text", ["", "[]", '{"rules": {"A": {}}}', '{"rules": 3}'])
def test_what_is_no_ledger_is_one_clear_mistake(text: str, tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(text, encoding="utf-8")

    with pytest.raises(UserMistake, match=r"l\.json is no ledger of mutants"):
        read_ledger(tmp_path / "l.json")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("survivors: {}", "'survivors' is no list"),
        ("survivors: [{mutant: A}]", "survivor 1 needs 'mutant' and 'reason'"),
        ("survivors: [{mutant: A, reason: ''}]", "survivor 1 needs"),
        ("survivors: [{mutant: A, reason: b}, {mutant: A, reason: c}]", "lists twice: A"),
    ],
)
def test_reasons_that_say_nothing_are_refused(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text(text, encoding="utf-8")

    with pytest.raises(UserMistake, match=complaint):
        read_reasons(tmp_path / "s.yml")


def test_a_reason_is_stale_where_its_mutant_is_noticed_or_gone() -> None:
    reasons = ["A[1] number: 1 -> 2", "A x: killed", "B x: not run now", "Gone x: y"]
    outcomes = {"A": outcome(1, "A[1] number: 1 -> 2")}

    assert find_stale(reasons, outcomes, ["A", "B"]) == ["A x: killed", "Gone x: y"]
