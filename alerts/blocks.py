"""The parts of an alert's page that are generated, each a piece of Markdown.

They say what the catalogue, the tables of thresholds, recoveries, priorities and levels say, so a
page can't contradict them; what a person should think and do is written by hand around them.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from alerts.detection import Budget, Pace, pages, reckon
from alerts.rule import Alert
from alerts.timing import format_duration
from outbound_slo.vocabulary.alerts import (
    DETECTED_WITHIN_S,
    LEVELS,
    PRIORITIES,
    Family,
    Level,
)
from outbound_slo.vocabulary.recoveries import RECOVERED_BY, RECOVERIES, Recovery
from outbound_slo.vocabulary.thresholds import Unit

_NONE: Final = "none"
_BY_HAND: Final = "whom level 1 asks"


def write_tiers(tiers: Sequence[Alert]) -> str:
    """Write the table of lines, waits and urgency; a column more where a line needs company."""
    needs = [", ".join(_list_needs(alert)) for alert in tiers]
    wants_needs = any(needs)
    heading = ["Tier", "Line", *(["Needs"] if wants_needs else []), "For", "Severity"]
    rows = [
        [
            str(alert.tier),
            alert.line.text if alert.line else _NONE,
            *([need or _NONE] if wants_needs else []),
            format_duration(alert.pending_s),
            alert.severity,
            alert.priority,
            alert.level,
        ]
        for alert, need in zip(tiers, needs, strict=True)
    ]
    return write_table([*heading, "Priority", "Level"], rows)


def write_detection(tiers: Sequence[Alert], pace: Pace) -> str:
    """Write the detection budget of the tiers that page; empty where none does."""
    budgets = [reckon(alert, pace) for alert in tiers if pages(alert)]
    if not budgets:
        return ""
    table = write_table(
        ["Tier", "From when", "Refresh", "Scrape", "Evaluation", "Window", "For", "Wait", "Page"],
        [_write_budget(budget) for budget in budgets],
    )
    promise_s = DETECTED_WITHIN_S.get(budgets[0].alert)
    promised = f"; promised are {format_duration(promise_s)}" if promise_s else ""
    return f"A page is out after the sum of these waits at the latest{promised}:\n\n{table}"


def write_recovery(tiers: Sequence[Alert]) -> str:
    """Write when the trouble is over, and when the alert itself ends."""
    name = RECOVERED_BY[tiers[0].name]
    measured = "" if name is None else _write_criteria(RECOVERIES[name]) + "\n\n"
    return measured + _write_end(tiers)


def write_escalation(tiers: Sequence[Alert]) -> str:
    """Write whom each tier reaches, how soon somebody is on it, and who is next."""
    return write_table(
        ["Tier", "Comes as", "Reaches", "Somebody on it within", "Next, if it is not solved"],
        [_write_call(alert) for alert in tiers],
    )


def write_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table without a newline at its end."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(
        "|---" * len(cells) + "|" if cells[0] == "---" else f"| {' | '.join(cells)} |"
        for cells in lines
    )


def _list_needs(alert: Alert) -> Iterable[str]:
    """Name the lines beside the main one; a state is none that people read as a number."""
    others = (line for name, line in alert.lines.items() if name != "line")
    return [line.text for line in others if line.unit is not Unit.STATE]


def _write_budget(budget: Budget) -> list[str]:
    waits = (
        budget.refresh_s,
        budget.scrape_s,
        budget.evaluation_s,
        budget.window_s,
        budget.hold_s,
        budget.group_wait_s,
        budget.total_s,
    )
    return [str(budget.tier), budget.story, *(format_duration(wait) for wait in waits)]


def _write_criteria(recovery: Recovery) -> str:
    lines = [f"- {criterion.sentence}: {criterion.tell_line()}" for criterion in recovery.criteria]
    command = f"`outbound-slo ops verify {recovery.name}`"
    listed = ";\n".join(lines)
    return f"{command} measures all of it and exits with 0 when it is so:\n\n{listed}."


def _write_end(tiers: Sequence[Alert]) -> str:
    if tiers[0].family is Family.WATCHDOG:
        return "The alert itself never ends."
    waits = list(dict.fromkeys(alert.keep_firing_s for alert in tiers))
    if waits == [0.0]:
        return "The alert itself ends as soon as its condition does."
    if len(waits) == 1:
        return f"The alert itself ends {format_duration(waits[0])} after its condition."
    each = ", ".join(f"tier {alert.tier} {format_duration(alert.keep_firing_s)}" for alert in tiers)
    return f"The alert itself ends some time after its condition: {each}."


def _write_call(alert: Alert) -> list[str]:
    levels = list(Level)
    called = levels[: levels.index(alert.level) + 1]
    urgency = PRIORITIES[alert.priority]
    way = "page" if pages(alert) else "ticket"
    within = format_duration(urgency.respond_within_s)
    if alert.family is Family.WATCHDOG:
        respond_s = LEVELS[alert.level].respond_within_s
        way, within = "heartbeat", _NONE if respond_s is None else format_duration(respond_s)
    who = ", ".join(f"{level} ({LEVELS[level].who})" for level in called)
    # Nobody is called about a ticket by the clock: its hours are longer than level 1's minutes.
    then = _BY_HAND if way == "ticket" else _write_next(called[-1])
    return [str(alert.tier), f"{way} ({alert.priority})", who, within, then]


def _write_next(level: Level) -> str:
    after_s = LEVELS[level].hands_over_after_s
    higher = [each for each in Level if each > level]
    if after_s is None or not higher:
        return _NONE
    return f"{higher[0]} ({LEVELS[higher[0]].who}) after {format_duration(after_s)}"
