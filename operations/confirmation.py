"""The conversation about a change: what it would do, yes or no, how it goes, how it ended."""

import getpass
import os
import sys
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.markup import escape

from operations.change import Change, Outcome, Pace, Survey, bound_transaction, carry_out
from operations.output import build_table, open_console, print_json, show_count
from operations.progress import watch_progress
from operations.ranges import refuse_nan
from operations.reading import APPLICATION, told
from outbound_slo.database import connect
from outbound_slo.settings import DatabaseSettings, OperatorSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.audit import Author, OperationState

INTERRUPTED = 130

DryRun = Annotated[
    bool, typer.Option("--dry-run", "-d", help="Show what would be changed; change nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Operator = Annotated[
    str | None, typer.Option("--operator", help="Who asks; OUTBOUND_OPERATOR or the login's name.")
]
Ticket = Annotated[str | None, typer.Option("--ticket", help="The incident's ticket.")]
BatchSize = Annotated[int, typer.Option("--batch", min=1, max=5000, help="Rows per transaction.")]
PerSecond = Annotated[
    float,
    typer.Option(
        "--per-second",
        min=0,
        max=1_000_000,
        callback=refuse_nan,
        help="Rows per second at most; 0: no limit.",
    ),
]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a change is to be made: the options that all changing commands share."""

    dry_run: bool = False
    yes: bool = False
    operator: str | None = None
    ticket: str | None = None
    as_json: bool = False
    pace: Pace = field(default_factory=Pace)


def name_author(manner: Manner) -> Author:
    """Tell who asks: the option, the environment, or the login.

    Raises:
        UserMistake: A name is too long, or the environment is wrong.

    """
    settings = OperatorSettings.read()
    operator = manner.operator or settings.operator or _name_login()
    ticket = manner.ticket or settings.ticket or None
    for option, text in (("--operator", operator), ("--ticket", ticket or "")):
        if len(text) > 80 or not text.isprintable():  # noqa: PLR2004 - as the settings have it
            raise UserMistake(
                f"{option} is longer than 80 characters or not printable", "Shorten it"
            )
    return Author(operator, ticket)


def _name_login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def perform(change: Change, manner: Manner) -> Outcome | None:
    """Survey a change, ask, carry it out and tell; None where nothing was to be done or asked for.

    Exit codes: 0 done, also if nothing was left to do; 1 declined; 2 a mistake; 130 interrupted.

    Raises:
        UserMistake: The database refuses, or nobody can be asked.

    """
    author = name_author(manner)
    url = DatabaseSettings.read().url
    with told(), connect(url, autocommit=True, application_name=APPLICATION) as connection:
        with connection.transaction():
            bound_transaction(connection)
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            survey = change.survey(connection)
        if manner.dry_run or not survey.keys:
            _show_survey(change, survey, manner)
            return None
        if not manner.yes:
            _ask(change, survey, manner)
        with watch_progress(len(survey.keys), shown=not manner.as_json) as progress:
            outcome = carry_out(
                connection,
                change,
                survey,
                author,
                pace=manner.pace,
                stopped=progress.is_stopped,
                on_progress=progress.advance,
            )
    _show_outcome(change, survey, outcome, manner)
    if outcome.state is OperationState.INTERRUPTED:
        raise typer.Exit(INTERRUPTED)
    return outcome


def _ask(change: Change, survey: Survey, manner: Manner) -> None:
    if manner.as_json or not sys.stdin.isatty():
        raise UserMistake(
            f"Nobody is here to say yes to a change of {show_count(len(survey.keys), survey.noun)}",
            "Look with --dry-run, then add --yes",
        )
    _show_survey(change, survey, manner)
    if not typer.confirm(f"Change {show_count(len(survey.keys), survey.noun)}?", err=True):
        open_console(err=True).print("Nothing was changed.")
        raise typer.Exit(1)


def _show_survey(change: Change, survey: Survey, manner: Manner) -> None:
    if manner.as_json:
        print_json(
            {
                "command": change.command,
                "dry_run": manner.dry_run,
                "rows": len(survey.keys),
                "effect": survey.effect,
                "groups": [
                    dict(zip(survey.headings, each.cells, strict=True)) | {"rows": each.rows}
                    for each in survey.groups
                ],
                "warnings": list(survey.warnings),
                "keys": list(survey.keys[:100]),
            }
        )
        return
    console = open_console()
    if not survey.keys:
        console.print(f"Nothing to do: no {survey.noun} to change.")
        return
    headings = (*survey.headings, survey.noun)
    rows = [(*each.cells, each.rows) for each in survey.groups]
    if rows:
        console.print(build_table(f"ops {change.command}", headings, rows, right=survey.noun))
    console.print(escape(f"{show_count(len(survey.keys), survey.noun)} {survey.effect}."))
    for warning in survey.warnings:
        console.print(f"[yellow]Mind:[/] {escape(warning)}")
    if survey.undo:
        console.print(escape(f"An undo does not bring back {survey.undo}."))
    if manner.dry_run:
        console.print("Dry run: nothing was changed.")


def _show_outcome(change: Change, survey: Survey, outcome: Outcome, manner: Manner) -> None:
    number = outcome.operation.id
    if manner.as_json:
        print_json(
            {
                "command": change.command,
                "operation": number,
                "state": outcome.state,
                "planned": outcome.planned,
                "changed": outcome.changed,
                "skipped": dict(outcome.skipped),
                "updated_by": outcome.operation.stamp,
                "undo": f"outbound-slo ops undo {number}",
            }
        )
        return
    console = open_console()
    console.print(
        escape(
            f"Operation {number}: {outcome.changed:,} of "
            f"{show_count(outcome.planned, survey.noun)} changed."
        )
    )
    for reason, rows in sorted(outcome.skipped.items()):
        console.print(escape(f"  left alone: {rows:,} {reason.replace('_', ' ')}"))
    if outcome.state is OperationState.INTERRUPTED:
        console.print("Interrupted between two batches: run the command again for the rest.")
    if outcome.changed:
        console.print(escape(f"updated_by: {outcome.operation.stamp}"))
        console.print(f"Take it back with: outbound-slo ops undo {number}")
