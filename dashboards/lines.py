"""Lines on panels: the thresholds of alerts with the colour of their urgency, and what they say.

A line is red where its alert wakes somebody and yellow where it makes a ticket. Both, the runbook
that a panel links to, and the sentence in its description come from the rules themselves.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from grafanalib import core

from alerts.catalogue import GROUPS
from alerts.rule import Alert
from dashboards.promql import measure_line
from outbound_slo.vocabulary.alerts import PRIORITIES, AlertName
from outbound_slo.vocabulary.thresholds import (
    Comparison,
    Subject,
    Threshold,
    Unit,
    Use,
    panel_steps,
)

GOOD: Final = "green"
WARNING: Final = "yellow"
BAD: Final = "red"
NOT_MARKED: Final = "transparent"

Step = tuple[float | None, str]
"""From this value on (None: from below all), this colour."""

CONTINUOUS: Final = frozenset({Unit.SECONDS, Unit.PERCENT, Unit.DAYS, Unit.GIGABYTES, Unit.BUDGETS})
"""Units in which there is always something between two numbers."""

_FALLING: Final = frozenset({Comparison.BELOW, Comparison.AT_MOST, Comparison.EQUAL})


@cache
def find_alerts(key: str) -> tuple[Alert, ...]:
    """Find the alerts that are about the line with this key."""
    return tuple(
        alert
        for group in GROUPS
        for alert in group.alerts
        if alert.line is not None and alert.line.key == key
    )


def name_alerts(lines: Iterable[Threshold]) -> tuple[AlertName, ...]:
    """Name the alerts of some lines, each once, in their order."""
    found = (alert.name for line in lines for alert in find_alerts(line.key))
    return tuple(dict.fromkeys(found))


def colour_line(line: Threshold) -> str:
    """Choose a line's colour: its own where it is a panel's, else by whether its alert pages."""
    if line.colour:
        return line.colour
    pages = any(PRIORITIES[alert.priority].pages for alert in find_alerts(line.key))
    return BAD if pages else WARNING


def step_lines(lines: Sequence[Threshold]) -> tuple[Step, ...]:
    """Make steps of lines that are all crossed upwards, or all downwards.

    Grafana colours from a value on. A count that must exceed a line is beyond it from the next
    whole number on, so that the panel changes with the alert and not one message before it.
    """
    if not lines:
        return ()
    ordered = sorted(lines, key=lambda line: line.value)
    if ordered[0].comparison in _FALLING:
        colours = [*(colour_line(line) for line in ordered), GOOD]
        edges = [None, *(_edge(line) for line in ordered)]
        return tuple(zip(edges, colours, strict=True))
    return ((None, GOOD), *((_edge(line), colour_line(line)) for line in ordered))


def _edge(line: Threshold) -> float:
    whole = line.unit not in CONTINUOUS
    above = line.comparison in {Comparison.ABOVE, Comparison.EQUAL}
    return measure_line(line) + (1 if whole and above else 0)


def mark(steps: Sequence[Step], *, only_bad: bool = False) -> list[core.Threshold]:
    """Turn steps into grafanalib's.

    Args:
        steps: The steps, upwards.
        only_bad: Leave the good range uncoloured: on a graph only the bad range is filled. Grafana
            draws the line between the two in the colour of the bad one.

    """
    return [
        core.Threshold(
            NOT_MARKED if only_bad and colour == GOOD else colour,
            index,
            0.0 if value is None else float(value),
        )
        for index, (value, colour) in enumerate(steps)
    ]


def choose_steps(subject: Subject | None, lines: Sequence[Threshold]) -> tuple[Step, ...]:
    """Take the steps that a runbook draws for a subject, else those of the alerts' lines."""
    return panel_steps(subject) if subject else step_lines(lines)


def describe(what: str, promise: Threshold | None = None, lines: Sequence[Threshold] = ()) -> str:
    """Write a panel's description: what it counts, what is promised, when an alert fires."""
    sentences = [what]
    if promise:
        sentences.append(f"Promised: {promise.text}.")
    # By alert, since a panel may help with several, and they count differently.
    told: dict[str, list[str]] = {}
    for line in lines:
        if line.use is Use.ALERT:
            told.setdefault(", ".join(name_alerts([line])), []).append(_when(line))
    # Grafana reads descriptions as Markdown.
    listed = "\n".join(f"- {names}: {'; '.join(when)}." for names, when in told.items())
    return "\n\n".join(filter(None, [" ".join(sentences), listed]))


def _when(line: Threshold) -> str:
    return f"{line.text} for {line.hold_s / 60:g} min" if line.hold_s else f"{line.text} at once"
