"""The committed ledger of mutants has every rule and reaches the goal, and the page tells of it."""

import re
from collections import Counter
from pathlib import Path

from alerts.mutants import name_of
from alerts.mutate_commands import GOAL
from alerts.mutation_score import rate, read_ledger
from alerts.rule_files import GENERATED, find_rule_files, read_rules

LEDGER = read_ledger(Path("alerts/mutation.json"))
ROW = re.compile(r"\| (\S+) \| ([\d,]+) \| ([\d,]+) \| (\d+) \| ([\d.]+) \|")


def test_the_ledger_has_every_rule_and_reaches_the_goal() -> None:
    names = {name_of(rule) for rule in read_rules(find_rule_files(GENERATED))}

    assert LEDGER.keys() == names
    assert rate(LEDGER.values()) >= GOAL
    assert not any(outcome.could_not_run for outcome in LEDGER.values())


def test_the_page_tells_what_the_ledger_has() -> None:
    file_of: dict[str, str] = {}
    for rule in read_rules(find_rule_files(GENERATED)):
        file_of.setdefault(name_of(rule), Path(rule.file).name)
    noticed, survived = Counter[str](), Counter[str]()
    for name, outcome in LEDGER.items():
        for key in (file_of[name], "all"):
            noticed[key] += outcome.killed
            survived[key] += len(outcome.survived)

    told = {
        found[1]: tuple(int(number.replace(",", "")) for number in found.groups()[1:4])
        for found in ROW.finditer(Path("docs/alerts.md").read_text(encoding="utf-8"))
    }

    assert told == {
        key: (noticed[key] + survived[key], noticed[key], survived[key]) for key in noticed
    }
