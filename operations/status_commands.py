"""`outbound-slo ops status`: the health checks of 000, 001 and 002 on one screen."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from operations.asking import PATIENCE_S
from operations.facts import Facts, Unanswered
from operations.judgement import Finding, judge_facts, top_level
from operations.looking import look
from operations.output import AsJson, open_console, print_json
from operations.ranges import refuse_nan
from operations.reading import open_reading
from operations.status_screen import draw_status
from outbound_slo.database import describe
from outbound_slo.settings import DatabaseSettings, ProviderSettings
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.mistakes import UserMistake


def register(parent: typer.Typer) -> None:
    """Add the command to `outbound-slo ops`."""
    parent.command("status")(show_status)


def show_status(
    org: Annotated[
        str | None, typer.Option("--org", help="Only messages and limits of this organisation.")
    ] = None,
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            min=1,
            max=3600,
            callback=refuse_nan,
            metavar="SECONDS",
            help="Look again so often, until Ctrl-C.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the outbox's health on one screen, what is crossed, and who is to be called.

    Exit codes: 0 no line is crossed; 1 one is, or something could not be seen; 2 a mistake.
    """
    url = DatabaseSettings.read().url
    policy = ProviderSettings.read().whatsapp_error_policy
    if watch is not None:
        if as_json:
            raise UserMistake("--watch is for people", "Leave out --json, or ask again yourself")
        keep_watching(open_console(), lambda: read_facts(url, org, policy), watch)
    facts = read_facts(url, org, policy)
    findings = judge_facts(facts)
    if as_json:
        print_json(write_status(facts, findings))
    else:
        draw_status(open_console(), facts, findings)
    if findings:
        raise typer.Exit(1)


def read_facts(
    url: str, org: str | None, policy: ErrorPolicy, patience_s: float = PATIENCE_S
) -> Facts:
    """Read the facts of one instant.

    Raises:
        UserMistake: The database can't be reached, or goes away.

    """
    with open_reading(url) as connection:
        return look(connection, describe(url), org_id=org, policy=policy, patience_s=patience_s)


def keep_watching(
    console: Console,
    read: Callable[[], Facts],
    every_s: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Draw the screen again and again, over outages of the database, until interrupted."""
    while True:
        try:
            facts = read()
        except UserMistake as mistake:
            console.clear()
            console.print(f"{mistake}", markup=False, style="red")
        else:
            console.clear()
            draw_status(console, facts, judge_facts(facts))
        sleep(every_s)


def write_status(facts: Facts, findings: tuple[Finding, ...]) -> dict[str, object]:
    """Give all of it as plain data; a question without an answer is `{"unanswered": why}`."""
    level = top_level(findings)
    return {
        **{name: write_answer(getattr(facts, name)) for name in Facts.__dataclass_fields__},
        "findings": [asdict(one) for one in findings],
        "call": level,
        "crossed": bool(findings),
    }


def write_answer(value: object) -> object:
    """Give rows as plain data, or why there are none."""
    if isinstance(value, Unanswered):
        return {"unanswered": value.why}
    if isinstance(value, list | tuple):
        return [asdict(row) for row in value]
    return value
