"""`outbound-slo ops backup`: the queue in a file that was checked (001)."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.markup import escape

from operations.archiver import Archiver, find_archiver, read_server_version
from operations.backup import (
    Backup,
    Snapshot,
    create_backup,
    find_faults,
    read_manifest,
    remove_leftovers,
    require_directory,
    take_snapshot,
)
from operations.confirmation import INTERRUPTED, DryRun, Manner, Operator, Ticket
from operations.errands import audited, show_progress
from operations.output import AsJson, build_table, open_console, print_json, show_size
from operations.reading import APPLICATION, told
from outbound_slo.database import connect
from outbound_slo.settings import DatabaseSettings
from sender.audit import note_progress

app = typer.Typer(help="The queue in a file that was checked.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops`."""
    parent.add_typer(app, name="backup")


@app.command("create")
def create(
    to: Annotated[Path, typer.Option("--to", help="An existing directory.")],
    dry_run: DryRun = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Dump the queue's tables at one instant, beside senders at work, and check the file.

    The file is in pg_dump's custom format, compressed, and its owner's alone. A manifest lies
    beside it.

    To restore it, as a superuser into an empty database while no sender runs:

      outbound-slo db migrate

      psql --dbname=NAME --command='TRUNCATE outbound_switch'

      pg_restore --data-only --disable-triggers --single-transaction --exit-on-error
      --dbname=NAME FILE

      outbound-slo exporter rollup verify --repair
    """
    require_directory(to)
    url, manner = DatabaseSettings.read().url, Manner(dry_run, True, operator, ticket, as_json)
    console = Console(stderr=True, highlight=False)
    with ExitStack() as stack:
        stack.enter_context(told())
        reading = stack.enter_context(connect(url, application_name=APPLICATION))
        archiver = find_archiver(read_server_version(reading)[0])
        reading.rollback()
        held = stack.enter_context(ExitStack())
        snapshot = held.enter_context(take_snapshot(reading, estimated=dry_run))
        if dry_run:
            _print_plan(snapshot, archiver, to, manner)
            return
        for name in remove_leftovers(to):
            console.print(escape(f"Removed {name}, which a killed backup had left"))
        audit = stack.enter_context(connect(url, autocommit=True, application_name=APPLICATION))
        parameters = {"to": str(to.resolve())}
        planned = len(snapshot.holdings)
        try:
            with audited(
                audit, "backup create", manner, parameters=parameters, planned=planned
            ) as operation:
                backup = _create(archiver, reading, url, snapshot, to, console, held.close)
                note_progress(audit, operation, planned)
        except KeyboardInterrupt:
            console.print("Interrupted: no backup was made, and nothing is left of it.")
            raise typer.Exit(INTERRUPTED) from None
    _tell_backup(backup, operation.id, manner)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="The .dump file.")],
    as_json: AsJson = False,
) -> None:
    """Check a backup against its manifest: checksum, tables, and each table's rows.

    Needs no database. Exits with 1 when the backup is not what the manifest says.
    """
    manifest = read_manifest(file)
    faults = find_faults(find_archiver(), file, manifest)
    if as_json:
        print_json(
            {
                "file": str(file),
                "sound": not faults,
                "faults": list(faults),
                "manifest": asdict(manifest),
            }
        )
    else:
        console = open_console()
        for fault in faults:
            console.print(escape(f"Not sound: {file.name}: {fault}."), soft_wrap=True)
        if not faults:
            rows = sum(manifest.tables.values())
            console.print(
                f"Sound: {len(manifest.tables)} tables, {rows:,} rows of {manifest.taken_at}."
            )
    if faults:
        raise typer.Exit(1)


def _create(
    archiver: Archiver,
    reading: psycopg.Connection,
    url: str,
    snapshot: Snapshot,
    to: Path,
    console: Console,
    release: Callable[[], None],
) -> Backup:
    growing: list[Path] = []

    def read() -> str | None:
        return show_size(growing[-1].stat().st_size) if growing else None

    with show_progress("Dumping and checking", read, console) as watch:

        def note(file: Path) -> None:
            growing[:] = [file]
            watch()

        return create_backup(archiver, reading, url, snapshot, to, note, release)


def _tell_backup(backup: Backup, operation: int, manner: Manner) -> None:
    manifest = backup.manifest
    if manner.as_json:
        print_json(
            {
                "command": "backup create",
                "dry_run": False,
                "operation": operation,
                "file": str(backup.path),
                "manifest": asdict(manifest),
            }
        )
        return
    rows = sum(manifest.tables.values())
    open_console().print(
        escape(
            f"Operation {operation}: {len(manifest.tables)} tables, {rows:,} rows, "
            f"{show_size(manifest.bytes)}, read back and counted.\n{backup.path}"
        ),
        soft_wrap=True,
    )


def _print_plan(snapshot: Snapshot, archiver: Archiver, to: Path, manner: Manner) -> None:
    size = sum(each.bytes for each in snapshot.holdings)
    free = shutil.disk_usage(to).free
    if manner.as_json:
        print_json(
            {
                "command": "backup create",
                "dry_run": True,
                "pg_dump_version": archiver.version,
                "tables": [asdict(each) for each in snapshot.holdings],
                "bytes_at_most": size,
                "bytes_free": free,
            }
        )
        return
    console = open_console()
    rows = [(each.table, each.rows, show_size(each.bytes)) for each in snapshot.holdings]
    headings = ("Table", "About rows", "Size in the database")
    console.print(build_table("ops backup create", headings, rows, right=", ".join(headings[1:])))
    console.print(
        f"The file will have up to {show_size(size)}, mostly much less: it is compressed. "
        f"Free there: {show_size(free)}."
    )
    console.print("Dry run: nothing was written.")
