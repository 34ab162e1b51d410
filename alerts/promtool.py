"""The real promtool: checks of rules and configurations, and the cases, one process each.

Each case runs alone: promtool 2.42 does not say which case of a file failed, and two cases can run
at once.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from alerts.cases import Case
from alerts.finding import Finding
from outbound_slo.embedded.binaries import Tools

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
    """Run cases, as many at once as there are processors; results come in the cases' order."""
    with tempfile.TemporaryDirectory(prefix="outbound-slo-cases-") as workshop:
        numbered = [(Path(workshop) / f"{number}.yml", case) for number, case in enumerate(cases)]
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            yield from pool.map(lambda pair: _run_case(tools, *pair), numbered)


def _run_case(tools: Tools, path: Path, case: Case) -> CaseResult:
    document = {
        **case.header,
        "rule_files": [str(rule_file.resolve()) for rule_file in case.rule_files],
        "tests": [dict(case.body)],
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    started = time.monotonic()
    told = tools.run(_PROGRAM, "test", "rules", str(path))
    duration = time.monotonic() - started
    passed = told.returncode == 0
    said = "" if passed else (told.stderr or told.stdout).strip()
    return CaseResult(case, passed, said, duration)


def _complaints(path: Path, text: str) -> list[Finding]:
    """Keep what is said about the file; promtool repeats its path and an empty FAILED."""
    lines = [line.strip().removeprefix(f"{path}:").strip() for line in text.splitlines()]
    told = [line for line in lines if line and line not in {"FAILED:", f"Checking {path}"}]
    return [Finding(path.name, _PROGRAM, line) for line in dict.fromkeys(told)]
