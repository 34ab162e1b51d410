"""`outbound-slo ops maintenance`: 001's weekly and monthly care of the database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, TypeVar

import psycopg
import typer
from rich.console import Console
from rich.markup import escape

from operations.bloat import read_bloat, read_holders
from operations.confirmation import INTERRUPTED, DryRun, Manner, Operator, Ticket, Yes
from operations.errands import agree, audited, show_progress
from operations.indexes import survey_indexes
from operations.maintenance_screens import print_bloat, print_indexes
from operations.output import (
    AsJson,
    build_table,
    open_console,
    print_json,
    show_size,
)
from operations.reading import APPLICATION, open_reading, told
from operations.tables import TABLES, choose_tables
from operations.upkeep import (
    Reindexed,
    Vacuumed,
    Watch,
    list_present,
    prepare_session,
    read_progress,
    reindex_table,
    vacuum_table,
)
from outbound_slo.database import connect
from outbound_slo.settings import DatabaseSettings
from sender.audit import Operation, note_progress

app = typer.Typer(
    help="Care of the database: bloat, indexes, vacuum, reindex.", no_args_is_help=True
)

Tables = Annotated[
    list[str] | None, typer.Argument(metavar="[TABLE]...", help="Tables; all of ours by default.")
]
_Done = TypeVar("_Done", Vacuumed, Reindexed)


def register(parent: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops`."""
    parent.add_typer(app, name="maintenance")


@app.command("bloat")
def show_bloat(
    every: Annotated[bool, typer.Option("--all", help="Tables below 1 MB, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show each table's size, dead rows and last vacuum, and who holds vacuum back.

    Exits with 1 when something is over a line; the command that mends it is named. Old transactions
    come first: while their snapshots last, no vacuum removes what died since.
    """
    with open_reading() as connection:
        bloat = read_bloat(connection)
    if as_json:
        print_json(
            {
                "tables": [
                    asdict(each) | {"dead_share": round(each.dead_share, 2)}
                    for each in bloat.tables
                ],
                "holders": [asdict(each) for each in bloat.holders],
                "advice": [asdict(each) for each in bloat.advice],
            }
        )
    else:
        print_bloat(bloat, datetime.now(UTC), every=every)
    if bloat.advice:
        raise typer.Exit(1)


@app.command("indexes")
def show_indexes(as_json: AsJson = False) -> None:
    """Show each index's size and use, and which are broken, missing or never used.

    Exits with 1 when one is broken or missing. Use is counted per server: a replica's is not here.
    """
    with open_reading() as connection:
        survey = survey_indexes(connection)
    if as_json:
        print_json(
            {
                "indexes": [
                    asdict(each) | {"condition": each.condition} for each in survey.indexes
                ],
                "missing": [
                    {"name": each.name, "table": each.table, "statement": each.statement}
                    for each in survey.missing
                ],
                "counted_since": survey.since,
                "advice": [asdict(each) for each in survey.advice],
                "hints": [asdict(each) for each in survey.hints],
            }
        )
    else:
        print_indexes(survey)
    if survey.advice:
        raise typer.Exit(1)


@app.command("vacuum")
def vacuum_tables(
    tables: Tables = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Run VACUUM (ANALYZE) on one table after the other, beside senders at work.

    Never VACUUM FULL, which locks the table while it copies it. May be interrupted and run again.
    """
    manner = Manner(dry_run, yes, operator, ticket, as_json)
    _work("vacuum", "Vacuum", tables or (), manner, vacuum_table, _tell_vacuumed)


@app.command("reindex")
def reindex_tables(
    tables: Tables = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Run REINDEX TABLE CONCURRENTLY on one table after the other, beside senders at work.

    001's plain REINDEX TABLE keeps every sender from the table until it is done; this one needs
    room on the disk for a second copy of an index, and waits for old transactions to end. Cut
    short, it leaves invalid indexes: run it again, it removes them first.
    """
    manner = Manner(dry_run, yes, operator, ticket, as_json)
    _work("reindex", "Reindex", tables or (), manner, reindex_table, _tell_reindexed)


def _work(
    command: str,
    verb: str,
    wanted: Sequence[str],
    manner: Manner,
    work: Callable[[psycopg.Connection, str, Watch], _Done],
    tell: Callable[[_Done], str],
) -> None:
    url = DatabaseSettings.read().url
    console, full_command = open_console(err=manner.as_json), f"maintenance {command}"
    with told(), connect(url, autocommit=True, application_name=APPLICATION) as connection:
        tables = choose_tables(wanted, list_present(connection, list(TABLES)))
        if manner.dry_run:
            _print_plan(full_command, tables, manner)
            return
        _warn_of_holders(connection, console)
        agree(f"{verb} {_count(len(tables))}?", manner)
        prepare_session(connection)
        done: list[_Done] = []
        try:
            with audited(
                connection, full_command, manner, parameters={"tables": tables}, planned=len(tables)
            ) as operation:
                for table in tables:
                    with _watched(url, connection, f"{command} {table}") as watch:
                        done.append(work(connection, table, watch))
                    note_progress(connection, operation, 1)
                    if not manner.as_json:
                        console.print(escape(tell(done[-1])))
        except KeyboardInterrupt:
            open_console(err=True).print(
                f"Interrupted after {len(done)} of {len(tables)} tables: run the command again."
            )
            raise typer.Exit(INTERRUPTED) from None
    _close(full_command, operation, done, manner)


def _close(
    command: str, operation: Operation, done: Sequence[Vacuumed | Reindexed], manner: Manner
) -> None:
    if manner.as_json:
        print_json(
            {
                "command": command,
                "dry_run": False,
                "operation": operation.id,
                "tables": [asdict(each) for each in done],
            }
        )
    else:
        open_console().print(f"Operation {operation.id}: {_count(len(done))} done.")


def _count(tables: int) -> str:
    return "1 table" if tables == 1 else f"{tables} tables"


@contextmanager
def _watched(url: str, connection: psycopg.Connection, what: str) -> Iterator[Watch]:
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda: None
        return
    with closing(connect(url, autocommit=True, application_name=APPLICATION)) as second:
        read = partial(read_progress, second, connection.info.backend_pid)
        with show_progress(what, read, console) as watch:
            yield watch


def _warn_of_holders(connection: psycopg.Connection, console: Console) -> None:
    for holder in read_holders(connection):
        for advice in holder.advise():
            console.print(escape(f"Mind: {advice.what}: {advice.mend}"), soft_wrap=True)


def _print_plan(command: str, tables: Sequence[str], manner: Manner) -> None:
    with open_reading() as connection:
        states = {each.name: each for each in read_bloat(connection).tables}
    chosen = [states[name] for name in tables if name in states]
    if manner.as_json:
        print_json(
            {
                "command": command,
                "dry_run": True,
                "operation": None,
                "tables": [
                    {
                        "table": each.name,
                        "table_bytes": each.table_bytes,
                        "index_bytes": each.index_bytes,
                        "dead_rows": each.dead_rows,
                    }
                    for each in chosen
                ],
            }
        )
        return
    console = open_console()
    rows = [
        (each.name, show_size(each.table_bytes), show_size(each.index_bytes), each.dead_rows)
        for each in chosen
    ]
    headings = ("Table", "Size", "Indexes", "Dead rows")
    console.print(build_table(f"ops {command}", headings, rows, right="Size, Indexes, Dead rows"))
    console.print("Dry run: nothing was done.")


def _tell_vacuumed(done: Vacuumed) -> str:
    remain = f", {done.dead_after:,} remain (see 'bloat')" if done.dead_after else ""
    return (
        f"{done.table}: {done.seconds:.1f} s, {done.dead_before:,} dead rows{remain}, "
        f"{show_size(done.bytes_after)}"
    )


def _tell_reindexed(done: Reindexed) -> str:
    cleared = f", removed {', '.join(done.dropped)}" if done.dropped else ""
    repaired = f", repaired {', '.join(done.repaired)}" if done.repaired else ""
    return (
        f"{done.table}: {done.seconds:.1f} s, indexes {show_size(done.bytes_before)} before, "
        f"{show_size(done.bytes_after)} now{cleared}{repaired}"
    )
