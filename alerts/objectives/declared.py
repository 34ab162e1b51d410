"""Objectives of somebody's own, known again in the rules that were rendered from their files.

The lint refuses a number that no table holds. The shares and minimums of an objective follow from
what it asks for and its period, and the rules record both: whoever renders objectives and checks
the result need not name the files twice.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from alerts.catalogue.objectives import NUMBERS
from alerts.objectives.alarms import compared_numbers
from alerts.objectives.spec import Fresh, Objective
from alerts.rule_files import WrittenRule
from outbound_slo.vocabulary import metrics as m

_BUDGET: Final = m.SLO_BUDGET.name
_PERIOD: Final = m.SLO_PERIOD.name
_CONSTANT: Final = re.compile(r"vector\(([0-9.e+-]+)\)")


def declared_numbers(rules: Sequence[WrittenRule]) -> Mapping[str, frozenset[float]]:
    """Give, by objective, the numbers that its alerts may compare with."""
    budgets, periods = (dict(_constants(rules, name)) for name in (_BUDGET, _PERIOD))
    return {
        name: compared_numbers(_objective(name, allowed, periods[name]))
        for name, allowed in budgets.items()
        if name in periods and 0 < allowed < 1
    }


def known_numbers(rules: Sequence[WrittenRule]) -> Mapping[str, frozenset[float]]:
    """Give the numbers of the built-in objectives, and of those that the rules have besides."""
    own = declared_numbers(rules)
    return {
        name: NUMBERS.get(name, frozenset()) | own.get(name, frozenset())
        for name in NUMBERS.keys() | own.keys()
    }


def _constants(rules: Sequence[WrittenRule], recorded: str) -> Iterator[tuple[str, float]]:
    for rule in rules:
        found = _CONSTANT.fullmatch(rule.expression) if rule.record == recorded else None
        if found is not None:
            try:
                yield str(rule.labels.get("slo", "")), float(found[1])
            except ValueError:
                continue  # promtool says so


def _objective(name: str, allowed: float, period_s: float) -> Objective:
    # The numbers do not depend on which events are weighed, so that any will do.
    events = Fresh(m.EXPORTER_SNAPSHOT_AGE, 1)
    return Objective(name, "", round(100 * (1 - allowed), 10), period_s, (), events)
