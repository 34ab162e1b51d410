"""Runs the tests on mutants: a test that is worth something fails for every one of them.

A mutant runs only the cases that name its alert or series, or one that is computed from it. Cases
are gone through one by one, and each judges the mutants that are left, many in one promtool.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

from alerts import rule_yaml
from alerts.cases import Case
from alerts.mutants import Mutant, make_mutants, name_of
from alerts.promtool import THRIFT
from alerts.rule_files import WrittenRule, read_rules
from alerts.slices import CONTROL, Bench, WrittenBench, mark, numbers_in
from outbound_slo.embedded.binaries import Tools

TIMEOUT_S: Final = 120.0
"""How long one promtool may take."""

_PROGRAM: Final = "promtool"
_TOGETHER: Final = 40
# About twenty seconds of a processor: a story of thirty days has fewer mutants at once.
_EVALUATIONS_TOGETHER: Final = 60_000
_RULE_FAILED: Final = "    rule: "
# What promtool says of a test that it ran; anything else is a file that it could not read.
_JUDGED: Final = ("exp:", "err:")


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    INVALID = "invalid"
    COULD_NOT_RUN = "could_not_run"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A mutant and what became of it.

    Attributes:
        mutant: The mutant.
        fate: What became of it.
        why: The case that killed it, promtool's complaint, or what made it survive.

    """

    mutant: Mutant
    fate: Fate
    why: str


@dataclass(frozen=True, slots=True)
class Subject:
    """All rules of one name, and the cases that might notice a change of them.

    Attributes:
        name: The alert or the recorded series.
        rules: Its rules.
        benches: Cases with the rules they load, the cheapest first.

    """

    name: str
    rules: Sequence[WrittenRule]
    benches: Sequence[Bench]


def find_subjects(rules: Sequence[WrittenRule], cases: Sequence[Case]) -> Sequence[Subject]:
    """Group rules by name and find the cases of each, directly or through what is recorded."""
    loaded = {paths: read_rules(paths) for paths in {case.rule_files for case in cases}}
    benches = [Bench(case, loaded[case.rule_files]) for case in cases]
    judged = [(bench, bench.names_judged()) for bench in benches]
    by_name: dict[str, list[WrittenRule]] = {}
    for rule in rules:
        by_name.setdefault(name_of(rule), []).append(rule)
    return [
        Subject(name, tuple(own), _cheapest_first(name, judged)) for name, own in by_name.items()
    ]


def _cheapest_first(name: str, judged: Sequence[tuple[Bench, frozenset[str]]]) -> Sequence[Bench]:
    """Choose the cases of a name; one that asks for a recorded series itself needs least for it."""
    benches = [bench for bench, names in judged if name in names]
    return tuple(sorted(benches, key=lambda bench: bench.cost_of(name)))


def run_subjects(
    tools: Tools,
    subjects: Sequence[Subject],
    tell: Callable[[str, Sequence[Verdict]], None] = lambda *_: None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Mapping[str, Sequence[Verdict]]:
    """Judge all mutants of some rules, as many names at once as there are processors.

    Args:
        tools: Prometheus's programs.
        subjects: What to change.
        tell: Called with a name and its verdicts as soon as all are there, in the calling thread.
        timeout_s: Seconds for one promtool.

    Returns:
        Verdicts by name, in the order of the mutants.

    """
    with tempfile.TemporaryDirectory(prefix="outbound-slo-mutants-") as workshop:
        runner = _Runner(tools, Path(workshop), timeout_s)
        pool = ThreadPoolExecutor(max_workers=os.cpu_count())
        try:
            # The longest first, so that none is left alone at the end.
            longest = sorted(subjects, key=lambda subject: -len(subject.benches))
            running = {pool.submit(runner.judge, subject): subject for subject in longest}
            found: dict[str, Sequence[Verdict]] = {}
            for done in as_completed(running):
                name = running[done].name
                found[name] = done.result()
                tell(name, found[name])
        finally:
            pool.shutdown(cancel_futures=True)
    return {subject.name: found[subject.name] for subject in subjects}


def judge_copies(
    tools: Tools, subject: Subject, mutants: Sequence[Mutant], *, timeout_s: float = TIMEOUT_S
) -> Sequence[Verdict]:
    """Judge given mutants of one name, such as one that changes nothing."""
    with tempfile.TemporaryDirectory(prefix="outbound-slo-mutants-") as workshop:
        return _Runner(tools, Path(workshop), timeout_s).judge_mutants(subject, mutants)


@dataclass(frozen=True, slots=True)
class _Told:
    """What promtool said: whether it was content, and its words; None: it took too long."""

    is_content: bool
    words: str | None

    @property
    def has_judged(self) -> bool:
        return self.words is not None and any(word in self.words for word in _JUDGED)


class _Runner:
    def __init__(self, tools: Tools, workshop: Path, timeout_s: float) -> None:
        self._tools = tools
        self._workshop = workshop
        self._timeout_s = timeout_s

    def judge(self, subject: Subject) -> Sequence[Verdict]:
        return self.judge_mutants(subject, list(make_mutants(subject.rules)))

    def judge_mutants(self, subject: Subject, mutants: Sequence[Mutant]) -> Sequence[Verdict]:
        verdicts: dict[int, Verdict] = {}
        with tempfile.TemporaryDirectory(dir=self._workshop) as own:
            directory = Path(own)
            alive = dict(enumerate(mutants, start=CONTROL + 1))
            for batch in _batches(alive):
                for number, complaint in self._parse(directory, batch).items():
                    verdicts[number] = Verdict(alive.pop(number), Fate.INVALID, complaint)
            for bench in subject.benches:
                there = {number: each for number, each in alive.items() if bench.holds(each)}
                fitting = max(_EVALUATIONS_TOGETHER // bench.cost_of(subject.name), 1)
                for batch in _batches(there, min(_TOGETHER, fitting)):
                    for number, verdict in self._run_case(directory, bench, batch).items():
                        verdicts[number] = verdict
                        del alive[number]
        no_test = "no case names it" if not subject.benches else "every case passed"
        for number, mutant in alive.items():
            verdicts[number] = Verdict(mutant, Fate.SURVIVED, no_test)
        return [verdicts[number] for number in sorted(verdicts)]

    def _parse(self, directory: Path, mutants: Mapping[int, Mutant]) -> Mapping[int, str]:
        """Have promtool read mutants; its complaints by number."""
        rules = _write(directory / "rules.yml", {"groups": [_group(mark(mutants))]})
        told = self._promtool("check", "rules", "--lint=none", str(rules))
        complaints = (told.words or "").splitlines()
        return {number: line.strip() for line in complaints for number in numbers_in(line)}

    def _run_case(
        self, directory: Path, bench: Bench, mutants: Mapping[int, Mutant]
    ) -> Mapping[int, Verdict]:
        """Run one case on mutants; verdicts on those that need no further case."""
        why = f"{bench.case.file.name}: {bench.case.name}"
        verdicts: dict[int, Verdict] = {}
        alive = dict(mutants)
        while bench.is_shared and alive:
            told = self._test(directory, bench.write_shared(alive))
            if told.is_content:
                return verdicts
            failed = numbers_in(told.words or "")
            if not failed <= alive.keys() or not failed:
                break  # the control failed as well, or nobody is named: one by one, then
            for number in failed:
                verdicts[number] = Verdict(alive.pop(number), Fate.KILLED, why)
            if not _stopped_early(told.words or ""):
                return verdicts
        if alive and not (told := self._test(directory, bench.write_alone(None))).is_content:
            blind = f"{why}: fails without any change: {_say(told)}"
            return verdicts | {
                number: Verdict(mutant, Fate.COULD_NOT_RUN, blind)
                for number, mutant in alive.items()
            }
        for number, mutant in alive.items():
            told = self._test(directory, bench.write_alone(mutant))
            if told.has_judged:
                verdicts[number] = Verdict(mutant, Fate.KILLED, why)
            elif not told.is_content:
                verdicts[number] = Verdict(mutant, Fate.COULD_NOT_RUN, f"{why}: {_say(told)}")
        return verdicts

    def _test(self, directory: Path, written: WrittenBench) -> _Told:
        rules = _write(directory / "rules.yml", written.rules)
        test = _write(directory / "test.yml", written.write_test(str(rules)))
        return self._promtool("test", "rules", str(test))

    def _promtool(self, *arguments: str) -> _Told:
        try:
            told = subprocess.run(
                [self._tools[_PROGRAM], *arguments],
                capture_output=True,
                text=True,
                check=False,
                env={**THRIFT, **self._tools.environment()},
                timeout=self._timeout_s,
            )
        except subprocess.TimeoutExpired:
            return _Told(is_content=False, words=None)
        return _Told(told.returncode == 0, f"{told.stdout}\n{told.stderr}")


def _say(told: _Told) -> str:
    return "promtool took too long" if told.words is None else " ".join(told.words.split())


def _batches(mutants: Mapping[int, Mutant], size: int = _TOGETHER) -> Iterator[dict[int, Mutant]]:
    waiting = iter(list(mutants.items()))
    while batch := dict(islice(waiting, size)):
        yield batch


def _stopped_early(words: str) -> bool:
    """Tell whether a rule could not be evaluated: promtool then ends the case there and then."""
    return any(line.startswith(_RULE_FAILED) for line in words.splitlines())


def _group(rules: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    return {"name": "mutants", "rules": list(rules)}


def _write(path: Path, document: Mapping[str, object]) -> Path:
    path.write_text(rule_yaml.write(document), encoding="utf-8")
    return path
