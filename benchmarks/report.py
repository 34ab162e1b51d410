"""What a benchmark tells: tables for people, and one line of JSON for machines at the end."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

_WIDTH = 120

SIGNIFICANT = 4
"""Digits that are worth showing on a machine as noisy as this."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A key of the JSON line and what the acceptance text asks of it; None: only reported."""

    key: str
    meaning: str
    at_least: float | None = None
    at_most: float | None = None

    def describe(self) -> str:
        """Write the goal for people."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    def is_met(self, value: float) -> bool | None:
        """Tell whether a value meets the goal; None where there is none."""
        if self.at_least is not None:
            return value >= self.at_least
        return None if self.at_most is None else value <= self.at_most


class Report:
    """Collects figures under the keys of a benchmark and shows what led to them.

    Args:
        goals: Every key that the JSON line has, in its order.
        console: Where people read.

    """

    def __init__(self, goals: Sequence[Goal], console: Console | None = None) -> None:
        self._goals = goals
        self._figures: dict[str, float] = {}
        self._console = console or Console(width=_WIDTH, highlight=False)
        self._began = time.monotonic()

    def tell(self, text: str) -> None:
        """Say what is being done, with the time since the start and the machine's load."""
        elapsed = time.monotonic() - self._began
        load = os.getloadavg()[0]
        self._console.print(f"[dim]{elapsed:6.0f} s  load {load:4.1f}[/dim]  {text}")

    def note(self, key: str, value: float) -> None:
        """Enter a figure.

        Raises:
            KeyError: The benchmark has no such key.

        """
        if key not in {goal.key for goal in self._goals}:
            raise KeyError(key)
        self._figures[key] = value
        self.tell(f"{key} = {value:.{SIGNIFICANT}g}")

    def show_rows(self, title: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Show measurements of one kind as a table; the rows have the same keys."""
        if not rows:
            return
        table = Table(title=title, title_justify="left")
        for column in rows[0]:
            table.add_column(column.replace("_", " "), justify="right")
        for row in rows:
            table.add_row(*(_format(value) for value in row.values()))
        self._console.print(table)

    def finish(self) -> None:
        """Show every figure beside its goal, then write the JSON line; null: not measured."""
        table = Table(title="Figures", title_justify="left")
        for column in ("figure", "value", "goal", "met", "what it is"):
            table.add_column(column)
        for goal in self._goals:
            value = self._figures.get(goal.key)
            met = None if value is None else goal.is_met(value)
            mark = "" if met is None else "yes" if met else "[red]no[/red]"
            shown = "" if value is None else _format(value)
            table.add_row(goal.key, shown, goal.describe(), mark, goal.meaning)
        self._console.print(table)
        line = {goal.key: _round(self._figures.get(goal.key)) for goal in self._goals}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def _round(value: float | None) -> float | int | None:
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.{SIGNIFICANT}g}")


def _format(value: object) -> str:
    return f"{value:.{SIGNIFICANT}g}" if isinstance(value, float) else str(value)
