"""promtool's test files taken apart into cases, and a guard against cases that assert nothing (T7).

promtool exits with 0 where a file has no tests, a test no assertion, or `rule_files` match
nothing. A rule whose tests do not both let it fire and keep it silent counts as untested.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alerts.finding import Finding
from alerts.lint import ALWAYS_FIRING
from alerts.rule_files import read_mapping
from outbound_slo.vocabulary.mistakes import UserMistake

_ALERT_NAME: Final = re.compile(r'ALERTS\{[^}]*alertname\s*=~?\s*"([^"]*)"')
_ASSERTIONS: Final = ("alert_rule_test", "promql_expr_test")


@dataclass(frozen=True, slots=True)
class Case:
    """One story of a test file.

    Attributes:
        file: The file it is from.
        name: Its sentence; its number in the file where it has none.
        rule_files: Rule files it loads, as paths that exist.
        header: What the file says for all its cases, without `tests` and `rule_files`.
        body: The case itself.

    """

    file: Path
    name: str
    rule_files: tuple[Path, ...]
    header: Mapping[str, Any]
    body: Mapping[str, Any]

    def firing(self) -> frozenset[str]:
        """Alerts that the case wants to fire at some time."""
        return frozenset(name for name, fires in self._verdicts() if fires)

    def silent(self) -> frozenset[str]:
        """Alerts that the case wants not to fire at some time."""
        return frozenset(name for name, fires in self._verdicts() if not fires)

    @property
    def assertions(self) -> int:
        """How many things it asserts."""
        return sum(len(self.body.get(kind) or ()) for kind in _ASSERTIONS)

    def _verdicts(self) -> Iterator[tuple[str, bool]]:
        for test in self.body.get("alert_rule_test") or ():
            yield test.get("alertname", ""), bool(test.get("exp_alerts"))
        for test in self.body.get("promql_expr_test") or ():
            for names in _ALERT_NAME.findall(test.get("expr", "")):
                for name in names.split("|"):
                    yield name, bool(test.get("exp_samples"))


def read_cases(directory: Path) -> list[Case]:
    """Read all test files of a directory.

    Raises:
        UserMistake: There is none, or one has no tests or names rule files that do not exist.

    """
    paths = sorted([*directory.glob("*.yml"), *directory.glob("*.yaml")])
    if not paths:
        raise UserMistake(f"{directory} has no test file", "Name their directory with --tests")
    return [case for path in paths for case in _cases_of(path)]


def find_vacuous(
    cases: Sequence[Case], alerts: Sequence[str], made: Sequence[str] | None = None
) -> list[Finding]:
    """Find cases without assertions, and alerts that no case lets fire or none keeps silent.

    Args:
        cases: The cases.
        alerts: Alerts that they have to test.
        made: All alerts that the rules make, which a case may name; the same if None.

    """
    findings = [
        Finding(case.file.name, case.name, "asserts nothing")
        for case in cases
        if not case.assertions
    ]
    fired = frozenset[str]().union(*(case.firing() for case in cases))
    silent = frozenset[str]().union(*(case.silent() for case in cases)) | ALWAYS_FIRING
    for alert in sorted(set(alerts)):
        if alert not in fired:
            findings.append(Finding("tests", alert, "no case lets it fire"))
        if alert not in silent:
            findings.append(Finding("tests", alert, "no case keeps it silent"))
    unknown = (fired | silent) - set(made or alerts) - ALWAYS_FIRING
    findings += [Finding("tests", alert, "no rule makes this alert") for alert in sorted(unknown)]
    return findings


def _cases_of(path: Path) -> Iterator[Case]:
    document = dict(read_mapping(path))
    patterns, tests = document.pop("rule_files", None), document.pop("tests", None)
    if not isinstance(tests, list) or not tests:
        raise UserMistake(f"{path} has no tests", "Give it cases, or remove it")
    if not isinstance(patterns, list) or not patterns:
        raise UserMistake(f"{path} names no rule_files", "Name the rules that it tests")
    rule_files = tuple(found for pattern in patterns for found in _resolve(path, str(pattern)))
    for number, body in enumerate(tests, start=1):
        if not isinstance(body, dict):
            raise UserMistake(f"{path}: test {number} is no mapping", "See promtool's format")
        yield Case(path, str(body.get("name", f"test {number}")), rule_files, document, body)


def _resolve(path: Path, pattern: str) -> Sequence[Path]:
    found = sorted(path.parent.glob(pattern)) if "*" in pattern else [path.parent / pattern]
    if not found or not all(rule_file.is_file() for rule_file in found):
        raise UserMistake(
            f"{path}: rule_files names {pattern}, and no such file exists",
            "Paths are relative to the test file",
        )
    return found
