"""`outbound-slo ops stuck`: messages that do not move (000, procedures 1 to 5; 002, scenario 5)."""

from enum import StrEnum
from typing import Annotated

import typer

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
from operations.output import AsJson
from operations.ranges import LARGEST_ID, TEN_YEARS_MINUTES, refuse_nan
from operations.requeueing import Choice
from operations.retry_commands import (
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

app = typer.Typer(help="Messages that do not move.", no_args_is_help=True)


class StuckKind(StrEnum):
    """What `release` takes: in SENDING, due and not taken, or waiting for a back-off."""

    SENDING = "sending"
    OVERDUE = "overdue"
    WAITING = "waiting"


_AGE_MINUTES = {StuckKind.SENDING: 5.0, StuckKind.OVERDUE: 30.0, StuckKind.WAITING: 60.0}


def register(parent: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops`."""
    parent.add_typer(app, name="stuck")


@app.command("release")
def release_messages(
    ids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[ID]...", min=1, max=LARGEST_ID, help="These messages and no others."
        ),
    ] = None,
    what: Annotated[
        StuckKind,
        typer.Option(
            help="sending: in SENDING; overdue: due and not taken; waiting: in a back-off."
        ),
    ] = StuckKind.SENDING,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=TEN_YEARS_MINUTES,
            callback=refuse_nan,
            help="Since when: 5 (sending), 30 (overdue), 60 (waiting).",
        ),
    ] = None,
    codes: Codes = None,
    limit: Limit = 1000,
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
    """Queue stuck messages again, due at once.

    A message in SENDING may have reached the provider: within the recovery window, and while
    webhooks are silent, it is left alone unless --force takes the risk that it arrives twice. With
    overdue and waiting the retry time is cleared, as 000 and 002 do it in SQL.
    """
    manner = Manner(dry_run, yes, operator, ticket, as_json, Pace(batch, per_second))
    if ids:
        change = build_requeue("stuck release", Choice.NAMED, ids=ids, org=org, force=force)
    else:
        change = build_requeue(
            "stuck release",
            Choice(what.value),
            age_s=60.0 * (_AGE_MINUTES[what] if minutes is None else minutes),
            limit=limit,
            codes=read_codes(codes),
            channel=read_channel(channel),
            org=org,
            force=force,
        )
    perform(change, manner)
