"""`outbound-slo ops channel`, `stop` and `resume`: 002's circuit breaker by hand."""

from typing import Annotated

import psycopg
import typer
from rich.markup import escape

from operations.change import Change, Outcome
from operations.confirmation import DryRun, Manner, Operator, Ticket, Yes, perform
from operations.durations import read_duration
from operations.output import AsJson, build_table, open_console, print_json, show_cell, show_count
from operations.reading import APPLICATION, open_reading, told
from operations.switching import (
    AccountSwitch,
    Pause,
    Resume,
    count_due,
    find_other_pauses,
    name_switch,
    wait_for_drain,
)
from outbound_slo.database import connect
from outbound_slo.settings import DatabaseSettings, SenderSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel
from sender.switches import (
    EVERYTHING,
    count_load,
    find_channels,
    read_accounts,
    read_switches,
)

NOT_DRAINED = 3
"""Exit code: paused, but some messages are still in flight."""

_LONGEST_REASON = 200

app = typer.Typer(help="Pause and resume channels.", no_args_is_help=True)

ChannelName = Annotated[str, typer.Argument(metavar="CHANNEL", help="whatsapp, sms or email.")]
For = Annotated[
    str | None, typer.Option("--for", help="As 30m or 2h: the pause ends by itself then.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Shown to whoever wonders.")]
OneOrg = Annotated[
    str | None, typer.Option("--org", help="This organisation's WhatsApp account only.")
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Do not wait for what is in flight to end.")
]


def register(parent: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops`."""
    parent.add_typer(app, name="channel")
    parent.command("stop")(stop_everything)
    parent.command("resume")(resume_everything)


@app.command("list")
def list_switches(as_json: AsJson = False) -> None:
    """Show what is paused, until when, by whom and why; what is due and what is in flight."""
    with open_reading() as connection:
        switches = read_switches(connection)
        loads = {load.channel: load for load in count_load(connection, find_channels(EVERYTHING))}
        accounts = read_accounts(connection)
    stopped = any(each.paused for each in switches if each.channel == EVERYTHING)
    found = [
        {
            "switch": name_switch(each.channel),
            "state": _name_state(each.channel, paused=each.paused, stopped=stopped),
            "until": each.until,
            "reason": each.reason,
            "updated_at": each.updated_at,
            "updated_by": each.updated_by,
            "due": sum(loads[name].due for name in find_channels(each.channel)),
            "in_flight": sum(loads[name].in_flight for name in find_channels(each.channel)),
        }
        for each in switches
    ]
    disabled = [
        {"org": each.org_id, "updated_at": each.updated_at, "updated_by": each.updated_by}
        for each in accounts
    ]
    if as_json:
        print_json({"switches": found, "disabled_accounts": disabled})
        return
    headings = ("Switch", "State", "Due", "In flight")
    names = ("switch", "state", "due", "in_flight")
    rows = [[each[name] for name in names] for each in found]
    console = open_console()
    console.print(build_table("Channels", headings, rows, right="Due, In flight"))
    for switch in found:
        if switch["state"] == "paused":
            until = show_cell(switch["until"]) or "somebody resumes it"
            console.print(escape(f"{switch['switch']}: until {until}, {switch['updated_by']}"))
            if switch["reason"]:
                console.print(escape(f"  {switch['reason']}"))
    for each in disabled:
        console.print(escape(f"whatsapp of {each['org']} is disabled"))


@app.command("pause")
def pause_channel(
    channel: ChannelName,
    duration: For = None,
    reason: Reason = None,
    org: OneOrg = None,
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Claim nothing more of a channel, on any machine; waits for what is in flight.

    What waits is held, counts in no stuck message and in no latency, and goes on when the channel
    is resumed. Exit code 3: paused, but some are still in flight.
    """
    found = _read_channel(channel)
    manner = Manner(dry_run, yes, operator, ticket, as_json)
    if org is None:
        seconds = read_duration("--for", duration)
        _check_reason(reason)
        change: Change = Pause("channel pause", found.value, seconds, reason)
    else:
        if duration is not None or reason is not None:
            raise UserMistake(
                "--for and --reason are for whole channels",
                "An organisation's account is disabled until somebody enables it",
            )
        change = _switch_account("channel pause", found, org, enabled=False)
    _pause(change, found.value, manner, org=org, wait=not no_wait)


@app.command("resume")
def resume_channel(
    channel: ChannelName,
    org: OneOrg = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Claim of a channel again, at once: what is due goes as fast as its limits let it."""
    found = _read_channel(channel)
    manner = Manner(dry_run, yes, operator, ticket, as_json)
    if org is None:
        _resume(Resume("channel resume", found.value), found.value, manner)
    else:
        change = _switch_account("channel resume", found, org, enabled=True)
        _resume(change, found.value, manner, org=org)


def stop_everything(
    duration: For = None,
    reason: Reason = None,
    no_wait: NoWait = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Stop sending on all channels, on all machines; webhooks are still taken.

    Exit code 3: stopped, but some messages are still in flight.
    """
    _check_reason(reason)
    change = Pause("stop", EVERYTHING, read_duration("--for", duration), reason)
    manner = Manner(dry_run, yes, operator, ticket, as_json)
    _pause(change, EVERYTHING, manner, wait=not no_wait)


def resume_everything(
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Send again after `stop`; channels that were paused one by one stay paused."""
    manner = Manner(dry_run, yes, operator, ticket, as_json)
    _resume(Resume("resume", EVERYTHING), EVERYTHING, manner)


def _pause(
    change: Change, switch: str, manner: Manner, *, wait: bool, org: str | None = None
) -> None:
    if not _is_done(perform(change, manner)):
        return
    patience = SenderSettings.read().request_timeout_s if wait else 0.0
    said = open_console(err=True)
    told_of: set[bool] = set()

    def tell(flying: int) -> None:
        if flying and wait and not told_of:
            told_of.add(True)
            said.print(f"{flying:,} in flight: waiting for them, up to {patience:g} s.")

    with told(), _connect() as connection:
        drain = wait_for_drain(connection, find_channels(switch), patience, org=org, on_look=tell)
    if drain.done:
        said.print("Nothing is in flight.")
        return
    if drain.in_flight is None:
        said.print("Whether something is in flight is not known: the database took too long.")
    elif drain.in_flight:
        said.print(f"{drain.in_flight:,} still in flight: they end by themselves.")
    else:
        said.print("A claim is under way that began before: what it takes still goes out.")
    if wait:
        raise typer.Exit(NOT_DRAINED)


def _resume(change: Change, switch: str, manner: Manner, *, org: str | None = None) -> None:
    # Counted before: senders are quick.
    with open_reading() as reading:
        loads = count_load(reading, find_channels(switch), org)
    if not _is_done(perform(change, manner)):
        return
    with open_reading() as reading:
        switches = read_switches(reading)
    due = count_due(loads, switches)
    others = find_other_pauses(switches, switch)
    said = open_console(err=True)
    said.print(f"Due: {show_count(due, 'messages')}, as fast as the channel's limits let them go.")
    for other in others:
        said.print(f"[yellow]Mind:[/] {escape(other)}", soft_wrap=True)


def _is_done(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.changed > 0


def _connect() -> psycopg.Connection:
    url = DatabaseSettings.read().url
    return connect(url, autocommit=True, application_name=APPLICATION)


def _switch_account(command: str, channel: Channel, org: str, *, enabled: bool) -> AccountSwitch:
    if channel is not Channel.WHATSAPP:
        raise UserMistake(
            f"--org is WhatsApp's: {channel.label} has one account for all",
            "Leave it out to pause the channel",
        )
    return AccountSwitch(command, org, enabled)


def _name_state(channel: str, *, paused: bool, stopped: bool) -> str:
    if paused:
        return "paused"
    return "stopped" if stopped and channel != EVERYTHING else "open"


def _read_channel(written: str) -> Channel:
    try:
        return Channel(written.upper())
    except ValueError:
        raise UserMistake(
            f"{written!r} is no channel",
            "Use whatsapp, sms or email; 'outbound-slo ops stop' is for all",
        ) from None


def _check_reason(reason: str | None) -> None:
    if reason is not None and (len(reason) > _LONGEST_REASON or not reason.isprintable()):
        raise UserMistake(
            f"--reason is longer than {_LONGEST_REASON} characters or not printable", "Shorten it"
        )
