"""Stories of alerts with the rules that they read and no others, which halves what they take.

The rules that a story does not read can't change its end. That they can be evaluated on its input
is all that is lost; with `--thorough` every story runs beside all rules of the files it names.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from alerts import rule_yaml
from alerts.cases import Case
from alerts.mutants import name_of
from alerts.rule_files import WrittenRule, read_mapping, read_rules
from alerts.slices import Bench

_CHOSEN_NAMES = re.compile(r'__name__\s*=~?\s*"([^"]*)"')


def slice_rules(cases: Sequence[Case], directory: Path) -> Sequence[Case]:
    """Give one file's cases rule files, written to a directory, of what they read together."""
    rules = read_rules(cases[0].rule_files)
    if any("__name__" in rule.expression for rule in rules):
        return cases
    judged = frozenset[str]().union(*(_names_read(case, rules) for case in cases))
    files = tuple(_slice_files(cases[0].rule_files, judged, directory))
    return [replace(case, rule_files=files) for case in cases]


def _names_read(case: Case, rules: Sequence[WrittenRule]) -> frozenset[str]:
    """Give the names of all rules that may have a say in a case."""
    bench = Bench(case, rules)
    asked = [str(test["expr"]) for test in case.body.get("promql_expr_test") or ()]
    chosen = [re.compile(name) for text in asked for name in _CHOSEN_NAMES.findall(text)]
    if sum(text.count("__name__") for text in asked) > len(chosen):
        return frozenset(name_of(rule) for rule in rules)
    meant = {
        name_of(rule) for rule in rules if any(each.fullmatch(name_of(rule)) for each in chosen)
    }
    return bench.names_judged() | bench.upstream(meant)


def _slice_files(paths: Sequence[Path], judged: frozenset[str], directory: Path) -> Iterator[Path]:
    for path in paths:
        groups = [
            {**group, "rules": kept}
            for group in read_mapping(path)["groups"]
            if (kept := [each for each in group["rules"] if _name(each) in judged])
        ]
        if groups:
            file = directory / path.name
            file.write_text(rule_yaml.write({"groups": groups}), encoding="utf-8")
            yield file


def _name(rule: Mapping[str, Any]) -> str:
    return str(rule.get("alert") or rule.get("record"))
