"""The real promtool: checks of rules and configurations, and the cases, file by file.

The cases of a file run in one process. promtool 2.42 does not say which case of a file failed, so
those of a file that failed run again, each alone.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Final

from alerts import rule_yaml
from alerts.cases import Case
from alerts.finding import Finding
from outbound_slo.embedded.binaries import Tools

THRIFT: Final = MappingProxyType({"GOGC": "400", "GOMAXPROCS": "1"})
"""promtool lives for a second: to collect its garbage less often saves a fifth of its time. One
processor each saves another seventh, since as many run at once as there are."""

_PROGRAM = "promtool"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went.

    Attributes:
        case: The case.
        passed: Whether promtool was content.
        output: What it said; empty where it was content.
        duration_s: Seconds it took.

    """

    case: Case
    passed: bool
    output: str
    duration_s: float


def check_rules(tools: Tools, paths: Sequence[Path]) -> list[Finding]:
    """Have promtool parse rule files; one finding per line of its complaint."""
    findings: list[Finding] = []
    for path in paths:
        told = tools.run(_PROGRAM, "check", "rules", "--lint=all", "--lint-fatal", str(path))
        if told.returncode:
            findings += _complaints(path, told.stderr or told.stdout)
    return findings


def check_configuration(tools: Tools, path: Path) -> list[Finding]:
    """Have promtool check Prometheus's configuration and the rule files it names."""
    told = tools.run(_PROGRAM, "check", "config", str(path))
    return _complaints(path, told.stderr or told.stdout) if told.returncode else []


def run_cases(tools: Tools, cases: Sequence[Case]) -> Iterator[CaseResult]:
    """Run cases, as many files at once as there are processors; results come in the cases' order.

    A case's duration is its own where it ran alone, else its share of its file's.
    """
    with tempfile.TemporaryDirectory(prefix="outbound-slo-cases-") as workshop:
        files = [list(of_file) for _, of_file in groupby(cases, key=lambda case: case.file)]
        numbered = [(Path(workshop) / str(number), each) for number, each in enumerate(files)]
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for results in pool.map(lambda pair: _run_file(tools, *pair), numbered):
                yield from results


def _run_file(tools: Tools, directory: Path, cases: Sequence[Case]) -> Sequence[CaseResult]:
    directory.mkdir()
    said, duration = _run_together(tools, directory / "all.yml", cases)
    if not said:
        return [CaseResult(case, True, "", duration / len(cases)) for case in cases]
    results = []
    for number, case in enumerate(cases):
        alone, duration = _run_together(tools, directory / f"{number}.yml", [case])
        results.append(CaseResult(case, not alone, alone, duration))
    if all(result.passed for result in results):  # only together do they fail: that is a failure
        results[0] = CaseResult(cases[0], passed=False, output=said, duration_s=duration)
    return results


def _run_together(tools: Tools, path: Path, cases: Sequence[Case]) -> tuple[str, float]:
    """Run cases of one file in one process; what promtool said against them, and the seconds."""
    document = {
        **cases[0].header,
        "rule_files": [str(rule_file.resolve()) for rule_file in cases[0].rule_files],
        "tests": [dict(case.body) for case in cases],
    }
    path.write_text(rule_yaml.write(document), encoding="utf-8")
    started = time.monotonic()
    told = tools.run(_PROGRAM, "test", "rules", str(path), variables=THRIFT)
    duration = time.monotonic() - started
    said = (told.stderr or told.stdout).strip() or f"exit code {told.returncode}"
    return said if told.returncode else "", duration


def _complaints(path: Path, text: str) -> list[Finding]:
    """Keep what is said about the file; promtool repeats its path and an empty FAILED."""
    lines = [line.strip().removeprefix(f"{path}:").strip() for line in text.splitlines()]
    told = [line for line in lines if line and line not in {"FAILED:", f"Checking {path}"}]
    return [Finding(path.name, _PROGRAM, line) for line in dict.fromkeys(told)]
