"""Mutants on the real promtool: strong tests notice them, weak ones are found out."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from alerts import mutate_commands
from alerts.cases import read_cases
from alerts.commands import app
from alerts.mutants import Mutant, make_mutants
from alerts.mutation import Fate, Subject, Verdict, find_subjects, judge_copies, run_subjects
from alerts.mutation_score import digest_subject
from alerts.rule_files import GENERATED, TESTS, find_rule_files, read_rules
from outbound_slo.embedded.binaries import Tools
from outbound_slo.vocabulary.mistakes import UserMistake

RULES: list[dict[str, Any]] = [
    {"record": "many:sum", "expr": "sum(many)"},
    {"alert": "Many", "expr": "many:sum > 5", "for": "1m", "labels": {"severity": "bad"}},
]


def expect(count: int | None, at: str) -> dict[str, Any]:
    told = [{"labels": '{severity="bad"}', "value": count}] if count else []
    counted = 'count by (severity) (ALERTS{alertname="Many",alertstate="firing"})'
    return {"expr": counted, "eval_time": at, "exp_samples": told}


def story(name: str, values: Sequence[str], *assertions: dict[str, Any]) -> dict[str, Any]:
    series = [
        {"series": f'many{{part="{number}"}}', "values": text} for number, text in enumerate(values)
    ]
    return {
        "name": name,
        "interval": "30s",
        "input_series": series,
        "promql_expr_test": list(assertions),
    }


STRONG = [
    story("fires", ["3x20", "3x20"], expect(None, "30s"), expect(1, "1m"), expect(1, "1m30s")),
    story("is at the line", ["5x20", "0x20"], expect(None, "5m")),
    story("is far above", ["90x20"], expect(1, "5m")),
]
WEAK = [
    story("fires", ["90x20"], expect(1, "5m")),
    story("is silent", ["0x20"], expect(None, "5m")),
]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return write_rules(tmp_path, RULES)


def write_rules(place: Path, rules: Sequence[dict[str, Any]]) -> Path:
    (place / "rules").mkdir(exist_ok=True)
    document = {"groups": [{"name": "g", "rules": list(rules)}]}
    (place / "rules/r.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return place / "rules"


def write_tests(place: Path, stories: Sequence[dict[str, Any]]) -> Path:
    (place / "tests").mkdir(exist_ok=True)
    header = {"rule_files": ["../rules/r.yml"], "evaluation_interval": "30s"}
    document = {**header, "tests": list(stories)}
    (place / "tests/t.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return place / "tests"


def find(rules: Path, tests: Path) -> dict[str, Subject]:
    found = find_subjects(read_rules(find_rule_files(rules)), read_cases(tests))
    return {subject.name: subject for subject in found}


def mutate(rules: Path, tests: Path, *options: str) -> Result:
    given = ["mutate", "--rules", str(rules), "--tests", str(tests), *options]
    return CliRunner().invoke(app, given)


def survived(told: Result) -> list[str]:
    return [entry["mutant"] for entry in json.loads(told.stdout)["survived"]]


def test_strong_tests_notice_every_mutant(
    rules: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    subjects = find(rules, write_tests(tmp_path, STRONG))

    verdicts = run_subjects(prometheus_tools, list(subjects.values()))

    assert list(verdicts) == ["many:sum", "Many"]
    assert [verdict.fate for verdict in verdicts["many:sum"]] == [Fate.KILLED] * 2
    fates = {verdict.mutant.key: verdict.fate for verdict in verdicts["Many"]}
    assert set(fates.values()) == {Fate.KILLED}
    assert len(fates) == 10


def test_a_canary_among_weak_tests_is_reported_as_survived(
    rules: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    subjects = find(rules, write_tests(tmp_path, WEAK))

    verdicts = run_subjects(prometheus_tools, list(subjects.values()))

    assert {
        verdict.mutant.key for verdict in verdicts["Many"] if verdict.fate is Fate.SURVIVED
    } == {
        "Many comparison: > -> >=",
        "Many number: 5 -> 6",
        "Many number: 5 -> 4",
        "Many for: 1m -> nothing",
        "Many for: 1m -> 30s",
        "Many for: 1m -> 2m",
    }


def test_a_mutant_that_changes_nothing_survives_the_strongest_tests(
    rules: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    subject = find(rules, write_tests(tmp_path, STRONG))["Many"]
    nothing = Mutant("Many nothing", "Many", subject.rules[0].document, subject.rules[0].document)
    wrong = next(make_mutants(subject.rules))

    verdicts = judge_copies(prometheus_tools, subject, [nothing, wrong])

    assert [verdict.fate for verdict in verdicts] == [Fate.SURVIVED, Fate.KILLED]


def test_a_built_in_alert_without_its_tests_has_only_survivors(
    tmp_path: Path, prometheus_tools: Tools
) -> None:
    write_rules(tmp_path, RULES)
    lame = read_cases(write_tests(tmp_path, WEAK))
    subject = next(
        each
        for each in find_subjects(read_rules(find_rule_files(GENERATED)), lame)
        if each.name == "OutboundOutage"
    )

    verdicts = run_subjects(prometheus_tools, [subject])["OutboundOutage"]

    assert len(verdicts) > 40
    assert {(verdict.fate, verdict.why) for verdict in verdicts} == {
        (Fate.SURVIVED, "no case names it")
    }


def test_what_is_no_promql_is_told_from_what_is_noticed(
    rules: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    subject = find(rules, write_tests(tmp_path, STRONG))["Many"]
    document = subject.rules[0].document
    mutants = [
        Mutant("broken", "Many", document, {**document, "expr": "many:sum > > 5"}),
        # One that fails when it is evaluated ends promtool's case: the others still have theirs.
        Mutant("failing", "Many", document, {**document, "expr": "many + on () many > 5"}),
        Mutant("never", "Many", document, {**document, "expr": "many:sum > 500"}),
        Mutant("nothing", "Many", document, document),
    ]

    verdicts = judge_copies(prometheus_tools, subject, mutants)

    assert [verdict.fate for verdict in verdicts] == [
        Fate.INVALID,
        Fate.KILLED,
        Fate.KILLED,
        Fate.SURVIVED,
    ]
    assert "parse error" in verdicts[0].why


def test_a_case_that_fails_without_any_change_judges_nobody(
    rules: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    broken = [story("was never right", ["1x20"], expect(1, "5m"))]
    subject = find(rules, write_tests(tmp_path, broken))["Many"]

    verdicts = run_subjects(prometheus_tools, [subject])["Many"]

    assert {verdict.fate for verdict in verdicts} == {Fate.COULD_NOT_RUN}
    assert "fails without any change" in verdicts[0].why


def test_a_promtool_that_takes_too_long_judges_nobody(
    rules: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    subject = find(rules, write_tests(tmp_path, STRONG))["many:sum"]

    verdicts = run_subjects(prometheus_tools, [subject], timeout_s=0.001)["many:sum"]

    assert {verdict.fate for verdict in verdicts} == {Fate.COULD_NOT_RUN}


def test_a_case_that_reads_alerts_without_naming_them_judges_mutants_one_by_one(
    rules: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    counted = {"expr": 'count(ALERTS{alertstate="firing"})', "eval_time": "5m"}
    stories = [
        story("fires", ["6x20"], {**counted, "exp_samples": [{"labels": "{}", "value": 1}]}),
        story("is silent", ["5x20"], {**counted, "exp_samples": []}),
    ]
    subject = find(rules, write_tests(tmp_path, stories))["Many"]
    mutants = list(make_mutants(subject.rules))[:5]

    verdicts = judge_copies(prometheus_tools, subject, mutants)

    assert [verdict.fate for verdict in verdicts] == [Fate.KILLED] * 5


def test_the_command_reports_the_score_and_fails_below_the_goal(
    rules: Path, tmp_path: Path
) -> None:
    told = mutate(rules, write_tests(tmp_path, WEAK), "--json")
    report = json.loads(told.stdout)

    assert told.exit_code == 1
    assert (report["mutants"], report["killed"], len(report["survived"])) == (12, 4, 8)
    assert report["score"] == pytest.approx(33.33)
    assert report["invalid"] == report["could_not_run"] == report["stale_reasons"] == []
    assert mutate(rules, tmp_path / "tests", "--json", "--goal", "33").exit_code == 0


def test_for_people_the_command_names_each_survivor(rules: Path, tmp_path: Path) -> None:
    tests = write_tests(tmp_path, WEAK)
    (tmp_path / "mutation_survivors.yml").write_text(
        yaml.safe_dump({"survivors": [{"mutant": "Many for: 1m -> 2m", "reason": "because"}]}),
        encoding="utf-8",
    )

    told = mutate(rules, tests, "--only", "Many", "--goal", "0")

    assert told.exit_code == 0
    assert "Many: 4 of 10 noticed" in told.stdout
    assert "survived  Many for: 1m -> 2m  (because)" in told.stdout
    assert "survived  Many number: 5 -> 6  (no reason given)" in told.stdout
    assert told.stdout.endswith("Score 40.00 %, goal 0 %.\n")
    assert mutate(rules, tests, "--only", "Many", "--goal", "0", "--argued").exit_code == 1


def test_a_reason_for_a_mutant_that_is_noticed_is_an_error(rules: Path, tmp_path: Path) -> None:
    reasons = {"survivors": [{"mutant": "Many number: 5 -> 6", "reason": "was weak once"}]}
    (tmp_path / "s.yml").write_text(yaml.safe_dump(reasons), encoding="utf-8")
    tests = write_tests(tmp_path, STRONG)

    told = mutate(rules, tests, "--survivors", str(tmp_path / "s.yml"), "--only", "Many")

    assert told.exit_code == 1
    assert "a reason for what does not survive: Many number: 5 -> 6" in told.stderr


def test_a_ledger_spares_what_has_not_changed(rules: Path, tmp_path: Path) -> None:
    tests = write_tests(tmp_path, STRONG)
    ledger = ("--ledger", str(tmp_path / "ledger.json"), "--json")

    first = json.loads(mutate(rules, tests, *ledger, "--save").stdout)
    second = json.loads(mutate(rules, tests, *ledger).stdout)
    # Weaker tests of the same rules are another matter.
    weakened = mutate(rules, write_tests(tmp_path, WEAK), *ledger)
    third = json.loads(weakened.stdout)

    assert (first["reused"], second["reused"], third["reused"]) == (0, 12, 0)
    assert first["score"] == second["score"] == 100
    assert weakened.exit_code == 1
    again = json.loads(mutate(rules, write_tests(tmp_path, STRONG), *ledger, "--fresh").stdout)
    assert again["reused"] == 0


def test_a_run_that_is_ended_leaves_what_it_judged_in_the_ledger(
    rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = write_tests(tmp_path, STRONG)
    options = ("--ledger", str(tmp_path / "ledger.json"))

    def judge_the_first(
        tools: Tools, subjects: Sequence[Subject], tell: Callable[[str, Sequence[Verdict]], None]
    ) -> None:
        run_subjects(tools, subjects[:1], tell)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mutate_commands, "run_subjects", judge_the_first)
        assert mutate(rules, tests, *options, "--save").exit_code == 130
    told = json.loads(mutate(rules, tests, *options, "--json").stdout)

    assert told["reused"] == 2
    assert told["mutants"] == 12
    assert [path.name for path in tmp_path.glob("ledger*")] == ["ledger.json"]


def test_a_digest_changes_with_rules_and_cases_and_not_with_their_order(
    rules: Path, tmp_path: Path
) -> None:
    def digest(stories: Sequence[dict[str, Any]]) -> str:
        return digest_subject(find(rules, write_tests(tmp_path, stories))["Many"])

    first = digest(STRONG)

    assert digest(STRONG) == digest(STRONG[::-1]) == first
    assert digest(STRONG[1:]) != first
    write_rules(tmp_path, [{**RULES[0], "expr": "max(many)"}, RULES[1]])
    assert digest(STRONG) != first


def test_a_digest_changes_with_texts_where_a_case_expects_some(rules: Path, tmp_path: Path) -> None:
    def digest(text: str, stories: Sequence[dict[str, Any]]) -> str:
        write_rules(tmp_path, [RULES[0], {**RULES[1], "annotations": {"summary": text}}])
        return digest_subject(find(rules, write_tests(tmp_path, stories))["Many"])

    told = {"exp_labels": {"severity": "bad"}, "exp_annotations": {"summary": "one"}}
    asked = {"eval_time": "2m", "alertname": "Many", "exp_alerts": [told]}
    reading = {**story("reads", ["9x20"]), "alert_rule_test": [asked]}

    assert digest("one", STRONG) == digest("two", STRONG)
    assert digest("one", [*STRONG, reading]) != digest("two", [*STRONG, reading])


def test_only_what_changed_since_a_revision_is_run(rules: Path, tmp_path: Path) -> None:
    tests = write_tests(tmp_path, STRONG)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")

    unchanged = json.loads(mutate(rules, tests, "--changed", "HEAD", "--json").stdout)
    other = {"alert": "Other", "expr": "many:sum > 7"}
    write_rules(tmp_path, [*RULES, other])
    changed = json.loads(mutate(rules, tests, "--changed", "HEAD", "--json", "--goal", "0").stdout)

    assert unchanged["rules"] == {}
    assert list(changed["rules"]) == ["Other"]
    refused = mutate(rules, tests, "--changed", "nowhere")
    assert isinstance(refused.exception, UserMistake)
    assert "git knows no revision 'nowhere'" in str(refused.exception)


def git(place: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "-C", str(place), *who, *arguments], check=True)


def test_without_git_a_revision_is_one_clear_mistake(rules: Path, tmp_path: Path) -> None:
    told = mutate(rules, write_tests(tmp_path, STRONG), "--changed", "HEAD")

    assert isinstance(told.exception, UserMistake)
    assert "Run --changed in a git repository" in str(told.exception)


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        (("--only", "Mny"), "No rule is called Mny. Is it Many"),
        (("--save",), "--save needs a ledger"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: Sequence[str], mistake: str, rules: Path, tmp_path: Path
) -> None:
    told = mutate(rules, write_tests(tmp_path, STRONG), *options)

    assert isinstance(told.exception, UserMistake)
    assert mistake in str(told.exception)


def test_every_built_in_rule_has_a_case_that_names_it_or_what_is_computed_from_it() -> None:
    subjects = find_subjects(read_rules(find_rule_files(GENERATED)), read_cases(TESTS))

    assert [subject.name for subject in subjects if not subject.benches] == []


def test_a_mutant_that_ends_a_case_early_does_not_save_the_others(
    rules: Path, tmp_path: Path, prometheus_tools: Tools
) -> None:
    # Two series on one side of a match are what promtool can't evaluate.
    two = [story("is far above", ["90x20", "0x20"], expect(1, "5m"))]
    subject = find(rules, write_tests(tmp_path, two))["Many"]
    document = subject.rules[0].document
    mutants = [
        Mutant("failing", "Many", document, {**document, "expr": "many + on () many > 5"}),
        Mutant("never", "Many", document, {**document, "expr": "many:sum > 500"}),
        Mutant("nothing", "Many", document, document),
    ]

    verdicts = judge_copies(prometheus_tools, subject, mutants)

    assert [verdict.fate for verdict in verdicts] == [Fate.KILLED, Fate.KILLED, Fate.SURVIVED]
