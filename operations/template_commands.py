"""`outbound-slo ops templates`: whether Meta has what queued messages use (001, issue 2)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from psycopg.rows import dict_row
from rich.markup import escape

from operations.accounts import MetaAccount, make_redactor, read_accounts, take_platform
from operations.output import AsJson, build_table, open_console, print_json, show_cell
from operations.probing import ask_all
from operations.reading import open_reading
from operations.templates import (
    Listing,
    Match,
    Standing,
    Told,
    Use,
    list_templates,
    match_uses,
)
from outbound_slo.database import load_queries
from outbound_slo.settings import ProviderSettings
from sender.providers.whatsapp import DEFAULT_LANGUAGE

_QUERIES = load_queries("operations", "sql/providers.sql")

_ToldOf = Mapping[tuple[str, str, str], Told]


def register(app: typer.Typer) -> None:
    """Add the command to the table."""
    app.command("templates")(show_templates)


def show_templates(
    org: Annotated[
        list[str] | None,
        typer.Option("--org", help="An organisation; may be given more than once."),
    ] = None,
    days: Annotated[
        int, typer.Option(min=0, max=90, help="Messages of so many days; 0: unsent ones alone.")
    ] = 7,
    as_json: AsJson = False,
) -> None:
    """Compare templates in use with Meta's list; exit code 1 if one of them can't be sent."""
    settings = ProviderSettings.read()
    uses, accounts, told = _read(settings, org, days)
    listings = _list_all(settings, uses, accounts)
    matches = sorted(match_uses(uses, accounts, listings, told), key=_rank)
    if as_json:
        print_json(write_matches(matches, listings, days))
    else:
        print_matches(matches, listings, days)
    if any(not match.standing.sendable for match in matches):
        raise typer.Exit(1)


def _read(
    settings: ProviderSettings, org_ids: Sequence[str] | None, days: int
) -> tuple[list[Use], dict[str | None, MetaAccount], _ToldOf]:
    """Read what is used, whose accounts that concerns, and what webhooks told."""
    asked = {"language": DEFAULT_LANGUAGE, "days": days, "org_ids": org_ids or None}
    with open_reading() as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES["read_used_templates"].encode(), asked)
        uses = [Use(**row) for row in cursor]
        accounts: dict[str | None, MetaAccount] = {None: take_platform(settings)}
        found = read_accounts(connection, settings, sorted({use.org_id for use in uses}))
        accounts |= {account.org_id: account for account in found}
        cursor.execute(_QUERIES["read_told_templates"].encode())
        told = {
            (row["business_account_id"], row["name"], row["language"]): Told(
                row["status"], row["reason"], row["status_at"]
            )
            for row in cursor
        }
    return uses, accounts, told


def _list_all(
    settings: ProviderSettings, uses: Sequence[Use], accounts: Mapping[str | None, MetaAccount]
) -> dict[str, Listing]:
    """List each business account once, with the first of its tokens that Meta takes."""
    redactor = make_redactor(settings, accounts.values())
    listings: dict[str, Listing] = {}
    tried: set[tuple[str, str]] = set()
    for use in uses:
        account = accounts.get(use.org_id, accounts[None])
        known = listings.get(account.business_id)
        if (account.business_id, account.token) in tried or (known and known.fault is None):
            continue
        tried.add((account.business_id, account.token))
        listings[account.business_id] = list_templates(account, settings, redactor, ask_all)
    return listings


def _rank(match: Match) -> tuple[bool, int, str, str]:
    return match.standing.sendable, -match.use.queued, match.use.org_id, match.use.name


def write_matches(
    matches: Sequence[Match], listings: Mapping[str, Listing], days: int
) -> dict[str, object]:
    """Write matches for machines."""
    return {
        "days": days,
        "templates": [
            {
                **asdict(match.use),
                "business_account_id": match.business_id,
                "state": match.standing,
                "status": match.status,
                "reason": match.reason,
                "near": match.near,
                "told": None if match.told is None else asdict(match.told),
            }
            for match in matches
        ],
        "accounts": [
            {
                "business_account_id": business_id,
                "templates": len(listing.templates),
                "fault": listing.fault,
            }
            for business_id, listing in sorted(listings.items())
        ],
        "ok": all(match.standing.sendable for match in matches),
    }


def print_matches(matches: Sequence[Match], listings: Mapping[str, Listing], days: int) -> None:
    """Print matches for people: the table, then a sentence on each that can't be sent."""
    console = open_console()
    if not matches:
        console.print("No template is in use")
        return
    rows = [
        (
            _name(match.use),
            match.use.org_id,
            match.standing.replace("_", " "),
            match.use.queued,
            match.use.recent,
        )
        for match in matches
    ]
    recent = f"{days} days"
    headings = ("Template", "Org", "At Meta", "Unsent", recent)
    console.print(build_table("Templates in use", headings, rows, right=f"Unsent, {recent}"))
    for business_id, listing in sorted(listings.items()):
        if listing.fault is not None:
            account = f"account {business_id}" if business_id else "no account"
            console.print(escape(f"Meta, {account}: {listing.fault}. {listing.advice or ''}"))
    for match in matches:
        for sentence in describe(match):
            console.print(escape(f"{_name(match.use)}: {sentence}"))


def describe(match: Match) -> Iterator[str]:
    """Say why a template can't be sent, and where the webhooks told otherwise."""
    if match.standing is Standing.REFUSED:
        why = f" ({match.reason})" if match.reason else ""
        yield f"Meta has it as {match.status}{why}; its messages fail until it is approved"
    elif match.standing is Standing.WRONG_LANGUAGE:
        yield f"Meta has it in {match.near}, not in {match.use.language}"
    elif match.standing is Standing.CASE_DIFFERS:
        yield f"Meta has {match.near}: names match exactly, with their case"
    elif match.standing is Standing.MISSING:
        hint = f"; {match.near} is near" if match.near else ""
        yield f"Meta has none of that name{hint}"
    told = match.told
    if told is not None and told.status is not None and told.status != match.status:
        yield f"a webhook told {told.status} at {show_cell(told.at)}"


def _name(use: Use) -> str:
    return f"{use.name} ({use.language})"
