"""`outbound-slo ops undo` and `ops log`: what was done, and taking it back."""

from typing import Annotated

import typer

from operations.change import BATCH, Pace
from operations.confirmation import BatchSize, DryRun, Manner, Operator, Ticket, Yes, perform
from operations.output import AsJson, build_table, open_console, print_json
from operations.ranges import LARGEST_ID
from operations.reading import open_reading
from operations.undo import Undo, read_operations


def register(app: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops`."""
    app.command("undo")(undo_operation)
    app.command("log")(list_operations)


def undo_operation(
    number: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Number of the operation.")
    ],
    batch: BatchSize = BATCH,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Take an operation back: rows that are still as it left them become what they were.

    What a sender has sent meanwhile stays. Rows are kept for seven days.
    """
    perform(Undo(number), Manner(dry_run, yes, operator, ticket, as_json, Pace(batch)))


def list_operations(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what was done, the latest first: by whom, how much, and whether it can be undone."""
    with open_reading() as connection:
        found = read_operations(connection, limit=limit)
    if as_json:
        print_json(
            [
                {
                    "operation": each.id,
                    "command": each.command,
                    "operator": each.operator,
                    "ticket": each.ticket,
                    "state": each.fate,
                    "changed": each.changed,
                    "undoes": each.undoes,
                    "can_be_undone": each.kept,
                    "started_at": each.started_at,
                    "finished_at": each.finished_at,
                }
                for each in found
            ]
        )
        return
    headings = ("No.", "When", "Command", "By", "Ticket", "Ended", "Changed", "Undo")
    rows = [
        (
            str(each.id),
            each.started_at,
            each.command + (f" {each.undoes}" if each.undoes else ""),
            each.operator,
            each.ticket,
            each.fate,
            each.changed,
            "possible" if each.kept else "",
        )
        for each in found
    ]
    open_console().print(build_table("Operations", headings, rows, right="No., Changed"))
