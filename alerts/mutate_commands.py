"""`outbound-slo alerts mutate` asks whether the tests would notice a rule that is wrong."""

import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from alerts.cases import read_cases
from alerts.mutants import make_mutants
from alerts.mutation import Fate, Subject, Verdict, find_subjects, run_subjects
from alerts.mutation_score import (
    Outcome,
    digest_subject,
    find_stale,
    judge_outcome,
    rate,
    read_ledger,
    read_reasons,
    write_ledger,
)
from alerts.revisions import open_revision
from alerts.rule_files import GENERATED, TESTS, find_rule_files, read_rules
from outbound_slo.embedded.binaries import PROMETHEUS, find_tools
from outbound_slo.vocabulary.mistakes import UserMistake

GOAL: Final = 95.0
"""Share of the mutants, in percent, that the tests have to notice."""

SURVIVORS: Final = "mutation_survivors.yml"
"""Where the reasons are looked for: beside the directory of the tests."""


def mutate_alerts(
    rules: Annotated[Path, typer.Option(help="Directory of the rule files.")] = GENERATED,
    tests: Annotated[Path, typer.Option(help="Directory of promtool's test files.")] = TESTS,
    only: Annotated[
        list[str] | None,
        typer.Option(help="An alert or a recorded series; may be given several times."),
    ] = None,
    changed: Annotated[
        str | None,
        typer.Option(help="A git revision: only what changed since, rules or tests of them."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(help="Outcomes of an earlier run; what has not changed is taken from it."),
    ] = None,
    save: Annotated[bool, typer.Option(help="Write the ledger anew.")] = False,
    fresh: Annotated[bool, typer.Option(help="Run all, whatever the ledger has.")] = False,
    survivors: Annotated[
        Path | None,
        typer.Option(help=f"Reasons why mutants may survive; else {SURVIVORS} beside the tests."),
    ] = None,
    argued: Annotated[bool, typer.Option(help="Fail on a survivor without a reason.")] = False,
    goal: Annotated[
        float, typer.Option(min=0, max=100, help="Percentage that has to be noticed.")
    ] = GOAL,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Change each rule, one slip at a time, and demand that a test fails.

    Exits with 1 where fewer mutants than the goal are noticed, or a reason is out of date.
    """
    if save and ledger is None:
        raise UserMistake("--save needs a ledger", "Name its file with --ledger")
    subjects = find_subjects(read_rules(find_rule_files(rules)), read_cases(tests))
    digests = {subject.name: digest_subject(subject) for subject in subjects}
    asked = _choose(subjects, only)
    if changed is not None:
        before = _digests_at(changed, rules, tests)
        asked = [each for each in asked if digests[each.name] != before.get(each.name)]
    known = read_ledger(ledger) if ledger else {}
    reasons = _find_reasons(survivors, tests)
    reused = {
        each.name: known[each.name]
        for each in asked
        if not fresh and each.name in known and known[each.name].digest == digests[each.name]
    }
    waiting = [subject for subject in asked if subject.name not in reused]
    judged: dict[str, Outcome] = {}
    kept = {name: entry for name, entry in known.items() if name in digests}

    def note(name: str, found: Sequence[Verdict]) -> None:
        judged[name] = judge_outcome(digests[name], found)
        if save and ledger:
            # At once: a run of all rules takes an hour, and goes on from here after a stop.
            write_ledger(ledger, kept | judged)

    verdicts = _run(waiting, note)
    outcomes = {each.name: (reused | judged)[each.name] for each in asked}
    if save and ledger:
        write_ledger(ledger, kept | outcomes)
    stale = find_stale(reasons, outcomes, digests)
    report = _sum_up(outcomes, verdicts, reasons, goal) | {
        "reused": sum(outcome.counted for outcome in reused.values()),
        "stale_reasons": list(stale),
    }
    if as_json:
        typer.echo(json.dumps(report, indent=1))
    else:
        _print(report)
    unargued = argued and any(entry["reason"] is None for entry in report["survived"])
    if stale or unargued or rate(outcomes.values()) < goal:
        raise typer.Exit(1)


def _choose(subjects: Sequence[Subject], only: Sequence[str] | None) -> Sequence[Subject]:
    names = [subject.name for subject in subjects]
    for name in only or ():
        if name not in names:
            near = get_close_matches(name, names)
            raise UserMistake(
                f"No rule is called {name}",
                f"Is it {' or '.join(near)}?" if near else "Name an alert or a recorded series",
            )
    return [subject for subject in subjects if not only or subject.name in only]


def _digests_at(revision: str, rules: Path, tests: Path) -> Mapping[str, str]:
    with open_revision(revision, rules, tests) as (old_rules, old_tests):
        try:
            found = find_subjects(read_rules(find_rule_files(old_rules)), read_cases(old_tests))
        except UserMistake:
            return {}  # there were none yet, or they could not be read: all is new
        return {subject.name: digest_subject(subject) for subject in found}


def _find_reasons(survivors: Path | None, tests: Path) -> Mapping[str, str]:
    beside = tests.resolve().parent / SURVIVORS
    if survivors is None and not beside.is_file():
        return {}
    return read_reasons(survivors or beside)


def _run(
    subjects: Sequence[Subject], note: Callable[[str, Sequence[Verdict]], None]
) -> Mapping[str, Sequence[Verdict]]:
    if not subjects:
        return {}
    console = Console(stderr=True)
    total = sum(1 for subject in subjects for _ in make_mutants(subject.rules))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("mutants", total=total)

        def tell(name: str, verdicts: Sequence[Verdict]) -> None:
            note(name, verdicts)
            progress.advance(task, len(verdicts))

        return run_subjects(find_tools(PROMETHEUS), subjects, tell)


def _sum_up(
    outcomes: Mapping[str, Outcome],
    verdicts: Mapping[str, Sequence[Verdict]],
    reasons: Mapping[str, str],
    goal: float,
) -> dict[str, Any]:
    every = outcomes.values()
    why = {verdict.mutant.key: verdict.why for found in verdicts.values() for verdict in found}
    return {
        "score": round(rate(every), 2),
        "goal": goal,
        "mutants": sum(outcome.counted for outcome in every),
        "killed": sum(outcome.killed for outcome in every),
        "survived": [
            {"mutant": key, "reason": reasons.get(key)}
            for outcome in every
            for key in outcome.survived
        ],
        "invalid": _with_reasons(outcomes, Fate.INVALID, why),
        "could_not_run": _with_reasons(outcomes, Fate.COULD_NOT_RUN, why),
        "rules": {
            name: {"mutants": outcome.counted, "killed": outcome.killed}
            for name, outcome in outcomes.items()
        },
    }


def _with_reasons(
    outcomes: Mapping[str, Outcome], fate: Fate, why: Mapping[str, str]
) -> list[dict[str, str]]:
    keys = [
        key
        for outcome in outcomes.values()
        for key in (outcome.invalid if fate is Fate.INVALID else outcome.could_not_run)
    ]
    return [
        {"mutant": key, "why": why.get(key, "see the run that wrote the ledger")} for key in keys
    ]


def _print(report: Mapping[str, Any]) -> None:
    for name, found in report["rules"].items():
        if found["killed"] < found["mutants"]:
            typer.echo(f"{name}: {found['killed']} of {found['mutants']} noticed")
            for entry in report["survived"]:
                key = entry["mutant"]
                if key.split(" ", 1)[0].split("[", 1)[0] == name:
                    typer.echo(f"  survived  {key}  ({entry['reason'] or 'no reason given'})")
    for entry in report["could_not_run"]:
        typer.echo(f"  could not run  {entry['mutant']}: {entry['why']}")
    for key in report["stale_reasons"]:
        typer.echo(f"{SURVIVORS} gives a reason for what does not survive: {key}", err=True)
    survived = len(report["survived"])
    argued = sum(entry["reason"] is not None for entry in report["survived"])
    typer.echo(
        f"{report['mutants']} mutants ({report['reused']} of them from the ledger): "
        f"{report['killed']} noticed, {survived} survived ({argued} with a reason), "
        f"{len(report['could_not_run'])} could not run; "
        f"{len(report['invalid'])} more are no PromQL."
    )
    typer.echo(f"Score {report['score']:.2f} %, goal {report['goal']:g} %.")
