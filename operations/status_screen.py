"""The screen of `ops status`: what is so, section by section, and at the end what is crossed."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from operations.facts import Facts
from operations.judgement import Finding, top_level
from operations.lines import Section, draw_line
from operations.output import show_age, show_cell
from operations.status_surroundings import (
    draw_limits,
    draw_news,
    draw_senders,
    draw_switches,
    draw_webhooks,
)
from operations.status_traffic import draw_attempts, draw_dead, draw_failures, draw_queue
from outbound_slo.vocabulary.alerts import LEVELS, PRIORITIES, Level


def draw_status(console: Console, facts: Facts, findings: Sequence[Finding]) -> None:
    """Print all of it; a blank line parts tables, not single lines."""
    whose = f", organisation {facts.org_id}" if facts.org_id else ""
    console.print(f"Outbox {facts.place}{whose} at {show_cell(facts.now)}", markup=False)
    after_table = True
    for section in (
        draw_queue(facts),
        draw_attempts(facts),
        draw_failures(facts),
        draw_dead(facts),
        draw_limits(facts),
        draw_switches(facts),
        draw_senders(facts),
        draw_webhooks(facts),
        draw_news(facts),
        _draw_findings(findings),
    ):
        for part in section:
            is_table = isinstance(part, Table) and part.title is not None
            if after_table or is_table:
                console.print()
            console.print(part)
            after_table = is_table


def _draw_findings(findings: Sequence[Finding]) -> Section:
    if not findings:
        return [Text("No line is crossed.", "bold green")]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in findings:
        said = Text.assemble((one.what, "bold red"), f" (line: {one.line})\n{one.remedy}")
        grid.add_row(f"{one.priority} {one.level}", said)
    return [Text("\nCrossed, and what to run next:", "bold"), grid, *_draw_calls(findings)]


def _draw_calls(findings: Sequence[Finding]) -> Section:
    top = top_level(findings)
    if top is None:
        return []
    urgent = min(one.priority for one in findings)
    within = show_age(PRIORITIES[urgent].respond_within_s)
    lines: Section = [
        draw_line(
            f"{urgent}", f"{PRIORITIES[urgent].meaning}; somebody must be on it within {within}"
        )
    ]
    lines += [
        draw_line(f"Call {level}", _tell_level(level), "bold red")
        for level in Level
        if level <= top
    ]
    return lines


def _tell_level(level: Level) -> str:
    called = LEVELS[level]
    return f"{called.who}, answers within {show_age(called.respond_within_s)}"
