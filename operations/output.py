"""What commands print: tables that a narrow terminal does not spoil, and JSON for machines."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines.")]


def open_console(*, err: bool = False) -> Console:
    """Give a console on standard output, or on standard error."""
    return Console(stderr=err, highlight=False)


def print_json(value: object) -> None:
    """Print a document; times as RFC 3339 in UTC."""
    typer.echo(write_json(value))


def write_json(value: object) -> str:
    """Write a document; times as RFC 3339 in UTC."""
    return json.dumps(value, indent=2, default=_write_value)


def _write_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, StrEnum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def build_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: str = ""
) -> Table:
    """Lay out a table whose cells are folded, never cut.

    Args:
        title: Above the table.
        headings: One per column.
        rows: Cells; None is shown as nothing.
        right: Headings of columns that hold numbers, separated by commas.

    """
    numeric = {name.strip() for name in right.split(",")}
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        number = heading in numeric
        table.add_column(
            escape(heading),
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
            # Words of a heading stay whole as long as there is any room.
            min_width=max(map(len, heading.split()), default=0),
        )
    for row in rows:
        table.add_row(*(escape(show_cell(cell)) for cell in row))
    return table


def show_cell(value: object) -> str:
    """Write one value for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return str(value)


def show_count(number: int, noun: str) -> str:
    """Write a number of things: `1 message`, `1,234 messages`; the noun is given as a plural."""
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"


def show_age(seconds: float | None) -> str:
    """Write a length of time in two units at most: `45 s`, `12 min`, `3 h 20 min`, `5 d 2 h`."""
    if seconds is None:
        return "never"
    whole = max(0, round(seconds))
    if whole < 60:  # noqa: PLR2004 - seconds to a minute
        return f"{whole} s"
    for large, small, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {large} {rest} {small}" if rest else f"{whole // size} {large}"
    return f"{whole // 60} min"


def show_size(size: int) -> str:
    """Write bytes in one unit: `512 B`, `12 kB`, `3.4 GB`; 1 kB is 1,024 bytes, as PostgreSQL's."""
    amount, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    unit = units.pop(0)
    while amount >= 1024 and units:  # noqa: PLR2004 - bytes to a kilobyte
        amount, unit = amount / 1024, units.pop(0)
    # Below ten, a digit more tells; whole bytes have none.
    return f"{amount:.1f} {unit}" if amount < 10 and unit != "B" else f"{amount:,.0f} {unit}"  # noqa: PLR2004 - as said
