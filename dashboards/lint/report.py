"""The lint's findings and rules as tables: for a terminal, and for the documentation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from alerts.blocks import write_table
from dashboards.lint.rule import Finding, Rule
from dashboards.lint.rules import RULES
from dashboards.words import tame

PAGE: Final = "docs/dashboard-rules.md"
"""The page with the table, from the project's root."""


def tabulate_findings(findings: Sequence[Finding]) -> Table:
    """Make a table of findings."""
    table = Table("Dashboard", "Panel", "Rule", "What", "Mend", show_lines=True)
    for each in findings:
        cells = (each.dashboard, each.panel, each.rule, each.what, each.mend)
        # Text, since a query's brackets are no markup.
        table.add_row(*(Text(tame(cell), overflow="fold") for cell in cells))
    return table


def tabulate_rules(findings: Sequence[Finding]) -> Table:
    """Make a table of all rules with how often each found something."""
    table = Table("Rule", "From", "Asks for", "Found", "Here", show_lines=True)
    for row in describe_rules(findings):
        cells = (row["rule"], row["from"], row["asks"], _count(row), _tell(row))
        table.add_row(*(Text(str(cell), overflow="fold") for cell in cells))
    return table


def describe_rules(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Give each rule as JSON: name, source, what it asks for, what it found, and where it rests."""
    counted = Counter(each.rule for each in findings)
    return [
        {
            "rule": rule.name,
            "from": rule.source.value,
            "asks": rule.what,
            "found": None if rule.check is None else counted[rule.name],
            "left_out": rule.left_out,
            "differs": rule.differs,
            "exemptions": [
                {"dashboard": each.dashboard, "panel": each.panel, "reason": each.reason}
                for each in rule.exemptions
            ],
        }
        for rule in RULES
    ]


def build_page() -> Mapping[str, str]:
    """Write the page about the rules."""
    rows = [[f"`{rule.name}`", rule.source.value, rule.what, _describe(rule)] for rule in RULES]
    theirs = sum(rule.source.value != "house" for rule in RULES)
    resting = sum(rule.check is None for rule in RULES)
    table = write_table(["Rule", "From", "Asks for", "Here"], rows)
    return {
        PAGE: f"""# Rules for dashboards

`outbound-slo dashboards check` judges by {len(RULES)} rules. {theirs} have the names that
grafana/dashboard-linter gives them, so that whoever knows that program finds them again; {resting}
of these are left out. The built-in dashboards pass all others. `outbound-slo generate` writes this
page from `dashboards/lint/rules.py`, and
[decision 32](decisions/0032-a-lint-of-our-own-for-dashboards.md) says why it is so.

{table}
"""
    }


def _describe(rule: Rule) -> str:
    if rule.left_out:
        return f"Left out: {rule.left_out}."
    told = [f"Differs: {rule.differs}."] if rule.differs else []
    told += [f"Not {each.dashboard} {each.panel}: {each.reason}." for each in rule.exemptions]
    return " ".join(told) or "As it says."


def _count(row: Mapping[str, object]) -> str:
    return "-" if row["found"] is None else str(row["found"])


def _tell(row: Mapping[str, object]) -> str:
    return next(_describe(rule) for rule in RULES if rule.name == row["rule"])
