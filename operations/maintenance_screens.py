"""What `ops maintenance` shows to people."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape

from operations.bloat import Advice, Bloat, HolderKind
from operations.indexes import Condition, IndexSurvey
from operations.output import build_table, open_console, show_age, show_size

_SMALL = 1024**2
_NARROW = 90


def print_bloat(bloat: Bloat, now: datetime, *, every: bool) -> None:
    """Show tables, what holds vacuum back, and advice.

    Args:
        bloat: What was read.
        now: For ages.
        every: Whether tables that are small and well are shown, too.

    """
    console = open_console()
    shown = [each for each in bloat.tables if every or each.total_bytes >= _SMALL or each.advise()]
    cells = {
        "Table": [each.name for each in shown],
        "Size": [show_size(each.table_bytes) for each in shown],
        "Indexes": [show_size(each.index_bytes) for each in shown],
        "Live": [each.live_rows for each in shown],
        "Dead": [each.dead_rows for each in shown],
        "%": [f"{each.dead_share:.0f}" for each in shown],
        "Vacuumed": [_show_ago(each.vacuumed_at, now) for each in shown],
        "Analyzed": [_show_ago(each.analyzed_at, now) for each in shown],
        "Frozen": [f"{100 * each.frozen_age / each.freeze_max_age:.0f} %" for each in shown],
    }
    if console.width < _NARROW:
        cells = {name: cells[name] for name in ("Table", "Size", "Dead", "%", "Vacuumed")}
    if shown:
        right = "Size, Indexes, Live, Dead, %, Frozen"
        rows = list(zip(*cells.values(), strict=True))
        console.print(build_table("Tables", list(cells), rows, right=right))
    if len(shown) < len(bloat.tables):
        console.print(f"{len(bloat.tables) - len(shown)} tables below 1 MB are not shown (--all).")
    if bloat.holders:
        console.print(
            build_table(
                "What vacuum must spare for",
                ("Kind", "Which", "Whose", "State", "Age", "Behind"),
                [
                    (
                        each.kind,
                        each.name,
                        each.who,
                        each.state,
                        "" if each.kind is HolderKind.SLOT else show_age(each.age_s),
                        each.transactions_behind,
                    )
                    for each in bloat.holders
                ],
                right="Behind",
            )
        )
    _print_advice(console, bloat.advice, "Nothing to mend.")


def _show_ago(then: datetime | None, now: datetime) -> str:
    return "never" if then is None else f"{show_age((now - then).total_seconds())} ago"


def print_indexes(survey: IndexSurvey) -> None:
    """Show indexes, hints and advice; TOAST's own only where they are broken."""
    console = open_console()
    words = {Condition.USED: "", Condition.IDLE: "never used"}
    console.print(
        build_table(
            "Indexes",
            ("Table", "Index", "Size", "Scans", "Rows read", "Note"),
            [
                (
                    each.table_name,
                    each.index_name,
                    show_size(each.bytes),
                    each.scans,
                    each.rows_read,
                    words.get(each.condition, each.condition.upper()),
                )
                for each in survey.indexes
                if not each.toast or each.condition is not Condition.USED
            ],
            right="Size, Scans, Rows read",
        )
    )
    since = survey.since.strftime("%Y-%m-%d %H:%MZ") if survey.since else "the database was made"
    console.print(f"Scans are counted since {since}, on this server alone.")
    for hint in survey.hints:
        console.print(escape(f"{hint.what}; no migration makes it. Perhaps:"))
        console.print(escape(f"      {hint.mend}"), soft_wrap=True)
    _print_advice(console, survey.advice, "Nothing to mend.")


def _print_advice(console: Console, advice: Sequence[Advice], otherwise: str) -> None:
    for each in advice:
        console.print(f"[yellow]Mend:[/] {escape(each.what)}")
        # A command is copied, so it is in one piece.
        console.print(f"      {escape(each.mend)}", soft_wrap=True)
    if not advice:
        console.print(otherwise)
