"""What sections of a screen are made of: a line with its name, a table, one line for nothing."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from operations.facts import CEILING, Facts, Unanswered
from operations.output import build_table, show_age

_Row = TypeVar("_Row")

Section = list[RenderableType]
"""What is printed one below the other."""

SHOWN = 5
"""Rows of a list that a screen shows; `--json` has all of them."""


def draw_section(
    name: str,
    answer: Sequence[_Row] | Unanswered,
    draw: Callable[[Sequence[_Row]], Section],
    nothing: str,
) -> Section:
    """Draw a section; one line where there is nothing in it, or where it is not known."""
    if isinstance(answer, Unanswered):
        return [draw_line(name, answer.why, "red")]
    return draw(answer) if answer else [draw_line(name, nothing)]


def draw_line(name: str, text: str, style: str = "") -> Text:
    """Draw one line with its name in front."""
    return Text.assemble((f"{name}: ", "bold"), (text, style))


def draw_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[object]], *, right: str = ""
) -> Table:
    """Lay out a table as `build_table` does, without the lines around it that fill a screen."""
    table = build_table(title, headings, rows, right=right)
    table.show_edge = False
    table.collapse_padding = True
    # The name of a row stays in one piece, however narrow the terminal is.
    table.columns[0].no_wrap = True
    return table


def show_bounded(count: int) -> str:
    """Write a count; the rollup counts exactly, counted rows end at the ceiling."""
    return f"{CEILING:,}+" if count == CEILING + 1 else f"{count:,}"


def show_part(count: int, total: int) -> str:
    """Write a part of a count; where the whole reached the ceiling, it is at least so many."""
    return f"{count:,}+" if total > CEILING else f"{count:,}"


def tell_more(total: int) -> str:
    """Say how many rows are not shown."""
    return f" (and {total - SHOWN} more)" if total > SHOWN else ""


def tell_ago(facts: Facts, moment: datetime) -> str:
    """Say how long ago something was."""
    return f"{show_age(facts.age(moment))} ago"
