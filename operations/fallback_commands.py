"""`outbound-slo ops fallback`: SMS while WhatsApp is down (001, outage procedure 2)."""

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
from operations.exporting import CRITICAL_TEMPLATES
from operations.fallback import Fallback
from operations.output import AsJson
from operations.ranges import TEN_YEARS_HOURS, refuse_nan
from operations.retry_commands import HOUR_S, RETRY_PER_SECOND, Codes, Limit, Org, read_codes
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.content import SMS_TEXT
from sender.fallback import FallbackRules

FALLBACK_CODES = ("0", "1", "131016")
"""001's codes of an outage."""


def register(app: typer.Typer) -> None:
    """Add the command to `outbound-slo ops`."""
    app.command("fallback")(send_sms_instead)


def send_sms_instead(
    template: Annotated[
        list[str] | None, typer.Option(help="Messages of this template; several times for more.")
    ] = None,
    critical: Annotated[
        bool, typer.Option("--critical", help=f"001's templates: {', '.join(CRITICAL_TEMPLATES)}.")
    ] = False,
    waiting: Annotated[
        bool,
        typer.Option(
            "--waiting", help="Also what waits in QUEUED for another attempt; it ends as FAILED."
        ),
    ] = False,
    hours: Annotated[
        float,
        typer.Option(
            min=0, max=TEN_YEARS_HOURS, callback=refuse_nan, help="Made within so many hours."
        ),
    ] = 2.0,
    codes: Codes = None,
    text: Annotated[
        str | None, typer.Option(help="What the SMS says; by default the message's subject.")
    ] = None,
    org: Org = None,
    limit: Limit = 1000,
    per_second: PerSecond = RETRY_PER_SECOND,
    batch: BatchSize = BATCH,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Queue an SMS for each WhatsApp message that failed with codes 0, 1 or 131016.

    One SMS for a message, however often this is run. During an outage most messages wait in QUEUED
    for another attempt, up to 81 minutes: --waiting takes those too. What fell back is not retried
    on WhatsApp any more. Whether the recipient may get SMS is judged by the sender, as ever.
    """
    templates = tuple(dict.fromkeys((*(template or ()), *(CRITICAL_TEMPLATES if critical else ()))))
    if not templates:
        raise UserMistake(
            "No template is named", "Name one with --template CODE, or add --critical"
        )
    if text is not None and (not text.strip() or len(text) > SMS_TEXT):
        raise UserMistake(
            "--text is empty or too long", f"An SMS takes up to {SMS_TEXT:,} characters"
        )
    rules = FallbackRules(
        templates,
        read_codes(codes) or FALLBACK_CODES,
        hours * HOUR_S,
        waiting,
        text,
        org,
        limit,
    )
    pace = Pace(batch, per_second)
    perform(Fallback(rules), Manner(dry_run, yes, operator, ticket, as_json, pace))
