"""`outbound-slo ops stuck list` and `explain`: what does not move, and why (000, 001, 002)."""

from dataclasses import asdict
from typing import Annotated

import typer

from operations.facts import Facts
from operations.holds import find_holds
from operations.judgement import Finding, judge_facts
from operations.looking import look
from operations.output import AsJson, open_console, print_json
from operations.ranges import LARGEST_ID
from operations.reading import open_reading
from operations.retry_commands import ChannelOption, Org, read_channel
from operations.status_commands import write_answer
from operations.stuck_looking import (
    Wanted,
    read_case,
    read_list,
    read_patterns,
    read_silences,
    read_surroundings,
)
from operations.stuck_screen import Causes, Explained, draw_causes, draw_explained, draw_list
from outbound_slo.database import describe
from outbound_slo.settings import DatabaseSettings, ProviderSettings, SenderSettings
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.statuses import StuckReason

CAUSES = frozenset(
    {
        AlertName.OUTAGE,
        AlertName.PROVIDER_DOWN,
        AlertName.HIGH_FAILURE_RATE,
        AlertName.ELEVATED_FAILURE_RATE,
        AlertName.SIGNATURE_FAILURES,
        AlertName.QUOTA_HIGH,
    }
)
"""Alerts that say why messages are stuck; the others only say that they are."""


def register(app: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops stuck`."""
    app.command("list")(list_messages)
    app.command("explain")(explain_message)


def list_messages(
    reason: Annotated[
        StuckReason | None, typer.Option("--reason", help="Only those that this rule finds.")
    ] = None,
    channel: ChannelOption = None,
    org: Org = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rows at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List messages that do not move, the longest first, and sum them up by status.

    Planned waits are left out: a retry or a deferral that is to come, a pause, a used-up quota.
    """
    wanted = Wanted(reason, read_channel(channel), org, limit)
    with open_reading() as connection:
        found = read_list(connection, wanted)
    if as_json:
        print_json(asdict(found))
    else:
        draw_list(open_console(), found)


def explain_message(
    number: Annotated[
        int | None,
        typer.Argument(
            metavar="[ID]",
            min=1,
            max=LARGEST_ID,
            help="The message; without it, all that is stuck.",
        ),
    ] = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Say why messages are stuck, or why one message does not move.

    Exit codes: 0 nothing is stuck, or all that holds the message ends by itself; 1 a person has to
    mend something; 2 a mistake, such as a number that no message has.
    """
    if number is None:
        _explain_all(org, as_json=as_json)
    else:
        _explain_one(number, org, as_json=as_json)


def _explain_all(org: str | None, *, as_json: bool) -> None:
    url = DatabaseSettings.read().url
    policy = ProviderSettings.read().whatsapp_error_policy
    silence_s = SenderSettings.read().silence_s
    with open_reading(url) as connection:
        facts = look(connection, describe(url), org_id=org, policy=policy)
        causes = Causes(
            facts,
            read_patterns(connection, org),
            read_silences(connection, silence_s),
            pick_causes(facts),
        )
    if as_json:
        print_json(write_causes(causes))
    else:
        draw_causes(open_console(), causes)
    if causes.patterns:
        raise typer.Exit(1)


def pick_causes(facts: Facts) -> list[Finding]:
    """Choose of what is crossed that which can hold messages up."""
    return [finding for finding in judge_facts(facts) if finding.alert in CAUSES]


def write_causes(causes: Causes) -> dict[str, object]:
    """Give the analysis as plain data."""
    facts = causes.facts
    rows = ("processed", "senders", "webhooks")
    return {
        "now": facts.now,
        "stuck": [asdict(one) for one in causes.patterns],
        **{name: write_answer(getattr(facts, name)) for name in rows},
        "resends_held": [one.channel for one in causes.silences if one.held],
        "causes": [asdict(one) for one in causes.findings],
    }


def _explain_one(number: int, org: str | None, *, as_json: bool) -> None:
    settings = SenderSettings.read()
    policy = ProviderSettings.read().whatsapp_error_policy
    with open_reading() as connection:
        case, ahead = read_case(connection, number, org, settings)
        around = read_surroundings(connection, settings, policy)
    explained = Explained(case, find_holds(case, around), ahead)
    if as_json:
        print_json(write_explained(explained))
    else:
        draw_explained(open_console(), explained)
    if any(hold.needs_person for hold in explained.holds):
        raise typer.Exit(1)


def write_explained(one: Explained) -> dict[str, object]:
    """Give a message's holds as plain data, without what it says and to whom."""
    case = one.case
    shown = (
        "message_id", "org_id", "channel", "status", "turn", "priority", "attempt_count",
        "max_attempts", "error_code", "due_at", "updated_at", "created_at",
    )  # fmt: skip
    return {
        **{name: getattr(case, name) for name in shown},
        "ahead": one.ahead,
        "holds": [asdict(hold) for hold in one.holds],
        "needs_person": any(hold.needs_person for hold in one.holds),
    }
