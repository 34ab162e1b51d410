"""Long work that changes no message: asked for, written into the audit, shown while it goes on.

VACUUM, REINDEX and backups are no changes of rows, so nothing of them can be undone; the audit says
who did it and how it ended.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psycopg
import typer
from rich.console import Console

from operations.confirmation import Manner, name_author
from operations.output import open_console
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.audit import (
    Operation,
    OperationState,
    begin_operation,
    finish_operation,
    hold_operation,
)


def agree(question: str, manner: Manner) -> None:
    """Ask for a yes, unless it was given.

    Raises:
        UserMistake: Nobody is there to be asked.
        typer.Exit: The answer was no; exit code 1.

    """
    if manner.yes:
        return
    if manner.as_json or not sys.stdin.isatty():
        raise UserMistake("Nobody is here to say yes", "Look with --dry-run, then add --yes")
    if not typer.confirm(question, err=True):
        open_console(err=True).print("Nothing was done.")
        raise typer.Exit(1)


@contextmanager
def audited(
    connection: psycopg.Connection,
    command: str,
    manner: Manner,
    *,
    parameters: Mapping[str, object],
    planned: int,
) -> Iterator[Operation]:
    """Write into the audit that the block is under way, and how it ended.

    Args:
        connection: In autocommit; the block may use it.
        command: As typed after `outbound-slo ops`.
        manner: Who asks.
        parameters: Its options.
        planned: Tables that it sets out to work on.

    """
    with connection.transaction():
        operation = begin_operation(
            connection, command, name_author(manner), parameters=parameters, planned=planned
        )
    state = OperationState.FAILED
    with hold_operation(connection, operation), _terminable():
        try:
            yield operation
            state = OperationState.DONE
        except KeyboardInterrupt:
            state = OperationState.INTERRUPTED
            raise
        finally:
            if not connection.closed and not connection.broken:
                finish_operation(connection, operation, state)


@contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM for SIGINT, so that what is under way is cleared up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def show_progress(
    what: str, read: Callable[[], str | None], console: Console
) -> Iterator[Callable[[], None]]:
    """Keep a line up to date on a terminal; elsewhere nothing is shown and nothing read.

    Args:
        what: What goes on, as "Vacuuming outbound_message".
        read: How far it is; None where that is not known.
        console: On standard error.

    Yields:
        What to call now and then.

    """
    if not console.is_terminal:
        yield lambda: None
        return
    with console.status(what) as status:

        def watch() -> None:
            how_far = read()
            status.update(f"{what}: {how_far}" if how_far else what)

        yield watch
