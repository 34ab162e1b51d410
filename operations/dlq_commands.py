"""`outbound-slo ops dlq`: dead letters reported, exported, retried, archived, purged (001)."""

import sys
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from operations.archiving import Archive, Purge
from operations.change import BATCH, Pace
from operations.confirmation import (
    BatchSize,
    DryRun,
    Manner,
    Operator,
    PerSecond,
    Ticket,
    Yes,
    perform,
)
from operations.dead_letters import read_report
from operations.dlq_pages import print_report
from operations.exporting import (
    CRITICAL_FAILURES,
    CRITICAL_TEMPLATES,
    DEAD_LETTERS,
    Keepsake,
    Selection,
    write_sheet,
)
from operations.files import check_place, write_whole
from operations.output import AsJson, open_console, print_json, write_json
from operations.ranges import TEN_YEARS_DAYS, TEN_YEARS_HOURS, refuse_nan
from operations.reading import open_reading
from operations.requeueing import Choice
from operations.retry_commands import (
    HOUR_S,
    RETRY_PER_SECOND,
    ChannelOption,
    Codes,
    Force,
    Limit,
    Org,
    build_requeue,
    read_channel,
    read_codes,
)
from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.errors import PASSING_CODES
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.archive import Leftovers

DAY_S = 86400.0
EXPORT_PATIENCE_S = 3600.0
"""Seconds that an export may take: it reads on a replica or at night, and holds no lock."""

_FILE_WIDTH = 120

app = typer.Typer(help="Dead letters: failed messages whose attempts are used up.")

Overwrite = Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")]


def register(parent: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops`."""
    parent.add_typer(app, name="dlq", no_args_is_help=True)


@app.command("report")
def report_dead_letters(
    channel: ChannelOption = None,
    org: Org = None,
    latest: Annotated[
        int, typer.Option(min=0, max=1000, help="List so many that failed last.")
    ] = 0,
    to: Annotated[Path | None, typer.Option("--to", help="Write the report to a file.")] = None,
    force: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Tell what lies in the dead-letter queue, what it means and what to do next."""
    wanted = read_channel(channel)
    policy = ProviderSettings.read().whatsapp_error_policy
    if to:
        check_place(to, force=force)
    with open_reading() as connection:
        report = read_report(connection, policy, channel=wanted, org=org, latest=latest)
    if to is None:
        if as_json:
            print_json(report.show())
        else:
            print_report(open_console(), report)
        return
    with write_whole(to, force=force) as file:
        if as_json:
            file.write(f"{write_json(report.show())}\n".encode())
        else:
            page = StringIO()
            print_report(Console(file=page, width=_FILE_WIDTH, highlight=False), report)
            file.write(page.getvalue().encode())
    typer.echo(f"Report on {report.total:,} dead letters: {to}", err=True)


@app.command("export")
def export_dead_letters(
    to: Annotated[str, typer.Option("--to", help="A file, or - for standard output.")],
    critical: Annotated[
        bool,
        typer.Option(help="Failed WhatsApp messages of critical templates, dead letters or not."),
    ] = False,
    template: Annotated[
        list[str] | None, typer.Option(help="Only this template; may be given several times.")
    ] = None,
    hours: Annotated[
        float,
        typer.Option(
            min=0,
            max=TEN_YEARS_HOURS,
            callback=refuse_nan,
            help="With --critical: made within so many hours.",
        ),
    ] = 2.0,
    channel: ChannelOption = None,
    org: Org = None,
    for_spreadsheets: Annotated[
        bool,
        typer.Option(
            "--for-spreadsheets",
            help="Put an apostrophe before = + - @, also before the + of phone numbers.",
        ),
    ] = False,
    force: Overwrite = False,
) -> None:
    """Write dead letters as CSV, with the columns of 001's export and leads' names.

    It holds phone numbers and names: the file is its owner's alone.
    """
    templates = tuple(template or ())
    if critical:
        if channel:
            raise UserMistake("--critical is WhatsApp's", "Leave --channel out")
        sheet = CRITICAL_FAILURES
        selection = Selection(None, org, templates or CRITICAL_TEMPLATES, hours * HOUR_S)
    else:
        sheet = DEAD_LETTERS
        selection = Selection(read_channel(channel), org, templates or None)
    if to == "-":
        with open_reading(patience_s=EXPORT_PATIENCE_S) as connection:
            out = sys.stdout.buffer
            rows = write_sheet(connection, sheet, selection, out, defused=for_spreadsheets)
            out.flush()
    else:
        with (
            write_whole(Path(to), force=force) as file,
            open_reading(patience_s=EXPORT_PATIENCE_S) as connection,
        ):
            rows = write_sheet(connection, sheet, selection, file, defused=for_spreadsheets)
    typer.echo(f"Exported {rows:,} messages to {'standard output' if to == '-' else to}", err=True)


@app.command("retry")
def retry_dead_letters(
    codes: Codes = None,
    limit: Limit = 1000,
    age_hours: Annotated[
        float,
        typer.Option(
            "--age-hours",
            "-a",
            min=0,
            max=TEN_YEARS_HOURS,
            callback=refuse_nan,
            help="Not touched for so many hours.",
        ),
    ] = 24.0,
    channel: ChannelOption = None,
    org: Org = None,
    force: Force = False,
    per_second: PerSecond = RETRY_PER_SECOND,
    batch: BatchSize = BATCH,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Queue dead letters again whose errors pass by themselves: the same as `retry --mode dlq`."""
    change = build_requeue(
        "dlq retry",
        Choice.DLQ,
        age_s=HOUR_S * age_hours,
        limit=limit,
        codes=read_codes(codes) or PASSING_CODES,
        channel=read_channel(channel),
        org=org,
        force=force,
    )
    perform(change, Manner(dry_run, yes, operator, ticket, as_json, Pace(batch, per_second)))


@app.command("archive")
def archive_dead_letters(
    days: Annotated[
        float,
        typer.Option(
            min=0, max=TEN_YEARS_DAYS, callback=refuse_nan, help="Not touched for so many days."
        ),
    ] = 7.0,
    codes: Codes = None,
    channel: ChannelOption = None,
    org: Org = None,
    limit: Limit = 1_000_000,
    per_second: PerSecond = 0.0,
    batch: BatchSize = BATCH,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Move old dead letters to outbound_message_archive; failures with budget left stay."""
    leftovers = Leftovers(days * DAY_S, read_codes(codes), read_channel(channel), org, limit)
    pace = Pace(batch, per_second)
    perform(Archive(leftovers), Manner(dry_run, yes, operator, ticket, as_json, pace))


@app.command("purge")
def purge_archive(
    days: Annotated[
        float,
        typer.Option(
            min=0, max=TEN_YEARS_DAYS, callback=refuse_nan, help="Last touched so many days ago."
        ),
    ] = 30.0,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write them to this new file first, as CSV.")
    ] = None,
    codes: Codes = None,
    channel: ChannelOption = None,
    org: Org = None,
    limit: Limit = 1_000_000,
    per_second: PerSecond = 0.0,
    batch: BatchSize = BATCH,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Delete old messages from the archive; with --to, once they are on the disk as CSV.

    If it is cut short, the file has what was deleted: name another one for the rest. Only when it
    is killed, or the database is gone, may the file's last rows be in the archive still.
    """
    leftovers = Leftovers(days * DAY_S, read_codes(codes), read_channel(channel), org, limit)
    pace = Pace(batch, per_second)
    manner = Manner(dry_run, yes, operator, ticket, as_json, pace)
    if to is None:
        perform(Purge(leftovers, None), manner)
        return
    check_place(to)
    keepsake = Keepsake(to)
    try:
        perform(Purge(leftovers, keepsake.save, str(to)), manner)
    except BaseException:
        with suppress(UserMistake), open_reading() as connection:
            keepsake.settle(connection)
        raise
    finally:
        keepsake.close()
