"""`outbound-slo ops retry`: failed messages go out again (001, outage and DLQ procedures)."""

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
from operations.ranges import LARGEST_ID, TEN_YEARS_HOURS, refuse_nan
from operations.requeueing import Choice, Requeue
from outbound_slo.settings import ProviderSettings, SenderSettings
from outbound_slo.vocabulary.errors import PASSING_CODES
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel
from sender.requeue import Caution

HOUR_S = 3600.0
RETRY_PER_SECOND = 50.0
"""A provider that has just come back is not met with everything at once (001 waits between two)."""

Codes = Annotated[
    str | None, typer.Option("--codes", "-e", help="Error codes, separated by commas.")
]
Limit = Annotated[int, typer.Option("--limit", "-l", min=1, max=1_000_000, help="At most so many.")]
ChannelOption = Annotated[
    str | None, typer.Option("--channel", help="whatsapp, sms or email; all by default.")
]
Org = Annotated[str | None, typer.Option("--org", help="One organisation; all by default.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Even what may arrive twice, has expired or is not due."),
]


class RetryMode(StrEnum):
    """Which failures (D32): fresh ones of an outage, or dead letters that have cooled."""

    OUTAGE = "outage"
    DLQ = "dlq"


_AGE_HOURS = {RetryMode.OUTAGE: 4.0, RetryMode.DLQ: 24.0}
_LIMITS = {RetryMode.OUTAGE: 100, RetryMode.DLQ: 1000}


def register(app: typer.Typer) -> None:
    """Add the command to `outbound-slo ops`."""
    app.command("retry")(retry_messages)


def retry_messages(
    ids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[ID]...", min=1, max=LARGEST_ID, help="These messages and no others."
        ),
    ] = None,
    mode: Annotated[
        RetryMode, typer.Option(help="outage: fresh failures; dlq: dead letters that cooled.")
    ] = RetryMode.OUTAGE,
    codes: Codes = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-l", min=1, max=1_000_000, help="100, or 1,000 with --mode dlq."),
    ] = None,
    age_hours: Annotated[
        float | None,
        typer.Option(
            "--age-hours",
            "-a",
            min=0,
            max=TEN_YEARS_HOURS,
            callback=refuse_nan,
            help="outage: created within (4); dlq: not touched for (24).",
        ),
    ] = None,
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
    """Queue failed messages again, with the five codes of errors that pass by themselves.

    --codes takes others, such as that of a template that was paused and is approved again. What the
    provider may have is left alone until its webhook has had time to come.
    """
    manner = Manner(dry_run, yes, operator, ticket, as_json, Pace(batch, per_second))
    if ids:
        change = build_requeue("retry", Choice.NAMED, ids=ids, org=org, force=force)
    else:
        change = build_requeue(
            "retry",
            Choice(mode.value),
            age_s=HOUR_S * (_AGE_HOURS[mode] if age_hours is None else age_hours),
            limit=limit or _LIMITS[mode],
            codes=read_codes(codes) or PASSING_CODES,
            channel=read_channel(channel),
            org=org,
            force=force,
        )
    perform(change, manner)


def build_requeue(
    command: str,
    choice: Choice,
    *,
    ids: list[int] | None = None,
    age_s: float = 0.0,
    limit: int = 0,
    codes: tuple[str, ...] | None = None,
    channel: Channel | None = None,
    org: str | None = None,
    force: bool = False,
) -> Requeue:
    """Build the change, as careful as the sender's own settings say.

    Raises:
        UserMistake: A setting in the environment is wrong.

    """
    settings = SenderSettings.read()
    return Requeue(
        command,
        choice,
        Caution(settings.recovery_window_s, settings.silence_s, force),
        ProviderSettings.read().whatsapp_error_policy,
        age_s,
        limit,
        codes,
        channel,
        org,
        tuple(dict.fromkeys(ids or ())),
    )


def read_codes(written: str | None) -> tuple[str, ...] | None:
    """Read error codes separated by commas; None where none are given.

    Raises:
        UserMistake: There is nothing between two commas.

    """
    if written is None:
        return None
    codes = tuple(part.strip() for part in written.split(","))
    if not all(codes):
        raise UserMistake(f"--codes {written!r} has an empty place", "Write them as 131016,131026")
    return codes


def read_channel(written: str | None) -> Channel | None:
    """Read a channel's name; None where none is given.

    Raises:
        UserMistake: There is no such channel.

    """
    if written is None:
        return None
    try:
        return Channel(written.upper())
    except ValueError:
        raise UserMistake(
            f"--channel {written!r} is no channel", "Use whatsapp, sms or email"
        ) from None
