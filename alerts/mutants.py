"""Mutants: a written rule with one thing wrong in it, which its tests should notice."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alerts.mutated_expressions import change_expression
from alerts.rule_files import WrittenRule
from alerts.timing import format_duration, parse_duration

_WAITS: Final = ("for", "keep_firing_for")
_OTHER_LABEL_VALUE: Final = "other"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one thing changed.

    Attributes:
        key: Its stable name: rule, kind of change, what was there and what is there now.
        name: The alert or the recorded series.
        original: The rule before the change.
        document: The rule after the change.

    """

    key: str
    name: str
    original: Mapping[str, Any]
    document: Mapping[str, Any]


def name_of(rule: WrittenRule) -> str:
    """Name what a rule makes: the alert or the recorded series."""
    return str(rule.alert or rule.record)


def make_mutants(rules: Sequence[WrittenRule]) -> Iterator[Mutant]:
    """Make all mutants of the rules of one name, such as an alert's tiers; each key is unique."""
    for rule in rules:
        place = f"{name_of(rule)}{_tell_apart(rule, rules)}"
        seen = Counter[str]()
        for kind, before, after, document in _change_rule(rule.document):
            told = " ".join(f"{before or 'nothing'} -> {after or 'nothing'}".split())
            key = f"{place} {kind}: {told}"
            seen[key] += 1
            numbered = key if seen[key] == 1 else f"{key} ({seen[key]})"
            yield Mutant(numbered, name_of(rule), rule.document, document)


def _tell_apart(rule: WrittenRule, rules: Sequence[WrittenRule]) -> str:
    """Write the labels in which rules of one name differ, an alert's tier, or else the file."""
    if len(rules) == 1:
        return ""
    if any(each.labels == rule.labels for each in rules if each is not rule):
        return f"[{Path(rule.file).stem}]"
    tier = rule.labels.get("tier")
    if rule.alert and tier:
        # An objective's alert has its tiers for each objective.
        alike = [each.labels for each in rules if each.labels.get("tier") == tier]
        values = {label: {each.get(label) for each in alike} for label in sorted(rule.labels)}
        differing = [label for label, found in values.items() if len(found) > 1]
        enough = [label for label in differing if len(values[label]) == len(alike)][:1]
        told = [f"{label}={rule.labels[label]}" for label in enough or differing]
        return f"[{','.join([tier, *told])}]"
    return "[" + ",".join(f"{label}={text}" for label, text in sorted(rule.labels.items())) + "]"


_Changed = tuple[str, str, str, dict[str, Any]]


def _change_rule(document: Mapping[str, Any]) -> Iterator[_Changed]:
    expression = str(document.get("expr", ""))
    for change in change_expression(expression):
        changed = {**document, "expr": change.expression}
        yield change.kind, change.before, change.after, changed
    if "alert" in document:
        negated = f"vector(1) unless on () ({expression})"
        yield "condition", "as it is", "negated", {**document, "expr": negated}
    for wait in _WAITS:
        yield from _change_wait(document, wait)
    labels = document.get("labels") or {}
    for label, text in labels.items():
        changed = {**document, "labels": {**labels, label: _OTHER_LABEL_VALUE}}
        yield f"label {label}", str(text), _OTHER_LABEL_VALUE, changed


def _change_wait(document: Mapping[str, Any], wait: str) -> Iterator[_Changed]:
    if wait not in document:
        return
    rest = {key: part for key, part in document.items() if key != wait}
    seconds = parse_duration(str(document[wait]))
    yield wait, str(document[wait]), "", rest
    for other in (seconds / 2, seconds * 2):
        written = format_duration(other)
        yield wait, str(document[wait]), written, {**document, wait: written}
