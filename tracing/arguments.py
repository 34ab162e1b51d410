"""What the commands of `outbound-slo trace` share: their options, exit codes and ways to print."""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.jaeger import TraceQuery

NOTHING_FOUND = 1
"""Exit code of a search that finds nothing."""

_PIPED_WIDTH = 200
_US_PER_S = 1_000_000
_LOOKBACK = re.compile(r"(\d{1,4})([smhd])")
_LOOKBACK_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(us|µs|ms|s|m|h)")
_DURATION_UNITS_US = {"us": 1, "µs": 1, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_SEPARATORS = re.compile(r"[\s().\-/]")
_NUMBER = re.compile(r"\+?\d{5,15}")

Url = Annotated[
    str,
    typer.Option("--url", envvar="OUTBOUND_JAEGER_URL", help="Jaeger's query service, or ours."),
]
Service = Annotated[
    str, typer.Option("--service", help="service.name under which the sender's spans are filed.")
]
Lookback = Annotated[str, typer.Option("--lookback", help="How far back to look: 90m, 24h, 7d.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Traces at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Plain data for programs.")]
Operation = Annotated[
    str | None, typer.Option("--operation", help="Span that has to match; as in Jaeger's page.")
]
MinDuration = Annotated[
    str | None, typer.Option("--min-duration", help="That span took as long at least: 500ms, 2s.")
]
MaxDuration = Annotated[
    str | None, typer.Option("--max-duration", help="That span took as long at most: 10s.")
]
MessageId = Annotated[int, typer.Argument(metavar="ID", help="outbound_message.id")]


def read_query(
    lookback: str,
    limit: int,
    operation: str | None = None,
    min_duration: str | None = None,
    max_duration: str | None = None,
) -> TraceQuery:
    """Read the options of a search; its tags are the search's own.

    Raises:
        UserMistake: One of them cannot be read, or the durations leave nothing between them.

    """
    low = None if min_duration is None else read_duration("--min-duration", min_duration)
    high = None if max_duration is None else read_duration("--max-duration", max_duration)
    if high is not None and high <= (low or timedelta()):
        raise UserMistake(
            f"--max-duration {max_duration} leaves no duration above {min_duration or 0}",
            "Give a larger one",
        )
    return TraceQuery(
        operation=operation,
        lookback=read_lookback(lookback),
        limit=limit,
        # Jaeger wants its maximum above its minimum, so none is better than nought.
        min_duration=low or None,
        max_duration=high,
    )


def read_lookback(text: str) -> timedelta:
    """Read `90m`, `24h` or `7d`.

    Raises:
        UserMistake: It is something else.

    """
    match = _LOOKBACK.fullmatch(text)
    if match is None:
        raise UserMistake(f"--lookback {text!r} is not a span of time", "Write 90m, 24h or 7d")
    return timedelta(**{_LOOKBACK_UNITS[match[2]]: int(match[1])})


def read_duration(option: str, text: str) -> timedelta:
    """Read `500ms`, `2.5s` or `1m`, to the microsecond.

    Raises:
        UserMistake: It is something else.

    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UserMistake(f"{option} {text!r} is not a duration", "Write 500ms, 2.5s or 1m")
    return timedelta(microseconds=round(float(match[1]) * _DURATION_UNITS_US[match[2]]))


def read_recipient(text: str) -> str:
    """Read a recipient as the database spells it: a number without separators, or an address.

    Raises:
        UserMistake: It is neither.

    """
    if "@" in text:
        return text.strip()
    number = _SEPARATORS.sub("", text)
    if _NUMBER.fullmatch(number) is None:
        raise UserMistake(
            f"{text!r} is neither a telephone number nor an address", "Write it as +33612345678"
        )
    return number


def open_console() -> Console:
    """Give a console: as wide as the terminal, and lines unbroken into a pipe or a file."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_PIPED_WIDTH if piped else None)


def print_rows(rows: Sequence[Any], columns: Sequence[str]) -> None:
    """Print rows of text below their headings, columns as wide as they need, for any width."""
    cells = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo(" ".join(padded).rstrip())


def print_json(data: object) -> None:
    """Print plain data."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def show_plainly(value: object) -> object:
    """Give a dataclass as plain data with camel-case names, as the other `--json` answers."""
    if isinstance(value, (list, tuple)):
        return [show_plainly(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {
            _camel(field.name): show_plainly(getattr(value, field.name))
            for field in fields(value)  # type: ignore[arg-type]  # a dataclass, as just seen
        }
    return value


def show_milliseconds(moment_us: int) -> str:
    """Write microseconds since the epoch as a UTC time, to the millisecond."""
    moment = datetime.fromtimestamp(moment_us // _US_PER_S, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment_us % _US_PER_S // 1000:03d}Z"


def give_up(line: str) -> NoReturn:
    """End with one line on standard error and the exit code for nothing found."""
    typer.echo(line, err=True)
    raise typer.Exit(NOTHING_FOUND)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
