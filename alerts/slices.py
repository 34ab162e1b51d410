"""What a case needs to judge one alert or series: the rules it reads, and nothing beside them.

Many mutants are judged in one run: each is a copy of the rules that it touches under names of its
own, beside the same input. The copy without a change has to pass, else they disturb one another
and each has to run alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from alerts.cases import Case
from alerts.expressions import read_expression
from alerts.mutants import Mutant, name_of
from alerts.rule_files import WrittenRule
from alerts.timing import parse_duration

CONTROL: Final = 0
"""Number of the copy without a change."""

_ASSERTIONS: Final = ("alert_rule_test", "promql_expr_test")
_PROMTOOLS_INTERVAL: Final = "1m"
_SUFFIX: Final = "_mutant"
_NUMBER: Final = re.compile(rf"{_SUFFIX}(\d+)\b")
# Alerts are series too, and whoever reads them all would read every mutant's.
_ALERT_SERIES: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
_ALERT_NAMES: Final = re.compile(r'alertname\s*=~?\s*"([^"]*)"')
_SELECTED_ALERTS: Final = re.compile(r"\bALERTS(?:_FOR_STATE)?\b(\{[^}]*\})?")


@dataclass(frozen=True)
class Bench:
    """A case with the rules that it loads, ready to judge mutants.

    Attributes:
        case: The case.
        rules: Rules of the files it loads, in their order.

    """

    case: Case
    rules: Sequence[WrittenRule]

    @cached_property
    def _reads(self) -> Mapping[str, frozenset[str]]:
        """Names that the rules of each name read, as far as they are names of rules too."""
        found: dict[str, frozenset[str]] = {}
        for rule in self.rules:
            read = read_expression(rule.expression).metrics
            found[name_of(rule)] = found.get(name_of(rule), frozenset()) | read
        return found

    @cached_property
    def _assertions(self) -> Sequence[tuple[str, Mapping[str, Any], frozenset[str]]]:
        """Assertions by kind, with the names of the rules that each names."""
        return [
            (kind, assertion, self._named_in(kind, assertion))
            for kind in _ASSERTIONS
            for assertion in self.case.body.get(kind) or ()
        ]

    def _named_in(self, kind: str, assertion: Mapping[str, Any]) -> frozenset[str]:
        if kind == "alert_rule_test":
            return frozenset({str(assertion.get("alertname", ""))})
        expression = str(assertion.get("expr", ""))
        series = read_expression(expression).metrics
        listed = [name for names in _ALERT_NAMES.findall(expression) for name in names.split("|")]
        return (series | frozenset(listed)) & self._reads.keys()

    @cached_property
    def is_shared(self) -> bool:
        """Whether mutants can stand side by side: nothing reads alerts without naming them."""
        judged = self.upstream(frozenset[str]().union(*(names for _, _, names in self._assertions)))
        if any(_ALERT_SERIES & self._reads[name] for name in judged):
            return False
        asked = [str(assertion.get("expr", "")) for _, assertion, _ in self._assertions]
        selected = [matchers for text in asked for matchers in _SELECTED_ALERTS.findall(text)]
        return all(_ALERT_NAMES.search(matchers) for matchers in selected)

    @cached_property
    def asks_for_texts(self) -> bool:
        """Whether the case expects annotations."""
        asked = [each for kind, each, _ in self._assertions if kind == "alert_rule_test"]
        expected = [alert for each in asked for alert in each.get("exp_alerts") or ()]
        return any(alert.get("exp_annotations") for alert in expected)

    def upstream(self, names: Iterable[str]) -> frozenset[str]:
        """Give names with all that they read, directly or not."""
        found, waiting = set[str](), list(names)
        while waiting:
            name = waiting.pop()
            if name not in found and name in self._reads:
                found.add(name)
                waiting += self._reads[name]
        return frozenset(found)

    def names_judged(self) -> frozenset[str]:
        """Give the names of all rules whose change this case might notice."""
        named = frozenset[str]().union(*(names for _, _, names in self._assertions))
        return self.upstream(named) if self.is_shared else frozenset(self._reads)

    @cached_property
    def _evaluations(self) -> int:
        """How often the case evaluates its rules: until its last assertion."""
        asked = [str(assertion.get("eval_time", "0s")) for _, assertion, _ in self._assertions]
        last_s = max((parse_duration(text) for text in asked if text != "0"), default=0.0)
        interval = str(self.case.header.get("evaluation_interval") or _PROMTOOLS_INTERVAL)
        return int(last_s / parse_duration(interval)) + 1

    def holds(self, mutant: Mutant) -> bool:
        """Tell whether the case loads the rule that was changed; others may have its name too."""
        return any(mutant.original == rule.document for rule in self.rules)

    def cost_of(self, name: str) -> int:
        """Count the evaluations of rules that a mutant of this name takes here."""
        touched = self._touched_by(name)
        copied = self._needed_for(touched) & touched if self.is_shared else self._reads.keys()
        return self._evaluations * max(sum(name_of(rule) in copied for rule in self.rules), 1)

    def rules_for(self, name: str) -> Sequence[WrittenRule]:
        """Give the rules on which the case's judgement of this name depends."""
        if not self.is_shared:
            return self.rules
        needed = self._needed_for(self._touched_by(name))
        return [rule for rule in self.rules if name_of(rule) in needed]

    def _touched_by(self, name: str) -> frozenset[str]:
        """Give the names that change with this one."""
        return frozenset(each for each in self._reads if name in self.upstream([each]))

    def _needed_for(self, touched: frozenset[str]) -> frozenset[str]:
        """Give the names that the assertions on these names read."""
        named = [names for _, _, names in self._assertions if names & touched]
        return self.upstream(frozenset[str]().union(*named))

    def write_shared(self, mutants: Mapping[int, Mutant]) -> "WrittenBench":
        """Write rules and test for mutants of one name by their numbers, with the control."""
        touched = self._touched_by(next(iter(mutants.values())).name)
        assertions = [
            (kind, assertion) for kind, assertion, names in self._assertions if names & touched
        ]
        needed = self._needed_for(touched)
        rules: list[Mapping[str, Any]] = []
        for rule in self.rules:
            if name_of(rule) not in needed:
                continue
            rules.append(rule.document)
            if name_of(rule) in touched:
                rules += [
                    _rename(_mutated(rule, mutants.get(number)), touched, number)
                    for number in (CONTROL, *mutants)
                ]
        copies: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in _ASSERTIONS}
        for kind, assertion in assertions:
            copies[kind] += [_rename(assertion, touched, number) for number in (CONTROL, *mutants)]
        return self._write(rules, {**copies, **self._copy_input(touched, (CONTROL, *mutants))})

    def _copy_input(
        self, touched: frozenset[str], numbers: Sequence[int]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Give the input with copies of what a touched rule is said to have recorded before."""
        given = self.case.body.get("input_series") or []
        own = [each for each in given if str(each["series"]).partition("{")[0].strip() in touched]
        copies = [_rename(each, touched, number) for each in own for number in numbers]
        return {"input_series": [*given, *copies]} if copies else {}

    def write_alone(self, mutant: Mutant | None) -> "WrittenBench":
        """Write all rules and the case as it is, with one rule changed; None: with none."""
        rules = [_mutated(rule, mutant) for rule in self.rules]
        return self._write(rules, {})

    def _write(
        self, rules: Sequence[Mapping[str, Any]], parts: Mapping[str, Any]
    ) -> "WrittenBench":
        header = {key: part for key, part in self.case.header.items() if key != "group_eval_order"}
        # Expectations on texts stay in the tests; a mutant changes none of them.
        test = {**self.case.body, **parts}
        return WrittenBench({"groups": [{"name": "mutants", "rules": list(rules)}]}, header, test)


@dataclass(frozen=True, slots=True)
class WrittenBench:
    """Documents for promtool.

    Attributes:
        rules: A rule file's.
        header: What a test file says for all its tests, without `rule_files`.
        test: Its only test.

    """

    rules: Mapping[str, Any]
    header: Mapping[str, Any]
    test: Mapping[str, Any]

    def write_test(self, rule_file: str) -> Mapping[str, Any]:
        """Write the test file."""
        return {**self.header, "rule_files": [rule_file], "tests": [dict(self.test)]}


def mark(mutants: Mapping[int, Mutant]) -> Sequence[Mapping[str, Any]]:
    """Give mutants under names of their own, to be parsed together."""
    return [_rename(mutant.document, [mutant.name], number) for number, mutant in mutants.items()]


def numbers_in(text: str) -> frozenset[int]:
    """Find the numbers of the mutants that a text names."""
    return frozenset(int(number) for number in _NUMBER.findall(text))


def _mutated(rule: WrittenRule, mutant: Mutant | None) -> Mapping[str, Any]:
    return mutant.document if mutant and mutant.original == rule.document else rule.document


def _rename(part: Mapping[str, Any], names: Iterable[str], number: int) -> Mapping[str, Any]:
    """Put a mutant's number behind each of the names, wherever it stands as a whole word."""
    words = "|".join(re.escape(name) for name in names)
    pattern = re.compile(rf"(?<![\w:])({words})(?![\w:])")

    def rename(value: Any) -> Any:  # noqa: ANN401 - YAML
        if isinstance(value, str):
            return pattern.sub(rf"\g<1>{_SUFFIX}{number}", value)
        if isinstance(value, Mapping):
            return {key: rename(each) for key, each in value.items()}
        if isinstance(value, Sequence):
            return [rename(each) for each in value]
        return value

    return {key: rename(value) for key, value in part.items()}
