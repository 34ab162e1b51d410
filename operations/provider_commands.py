"""`outbound-slo ops providers`: what the providers say right now."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from operations.accounts import (
    MetaAccount,
    count_accounts,
    make_redactor,
    read_accounts,
    require_accounts,
    take_platform,
)
from operations.output import AsJson, build_table, open_console, print_json
from operations.probing import Ask, ask_all
from operations.providers import (
    Finding,
    Probe,
    VersionFinding,
    judge,
    judge_version,
    plan_meta,
    plan_sendgrid,
    plan_twilio,
)
from operations.reading import open_reading
from operations.verdicts import State
from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.mistakes import UserMistake

MOST_ORGANISATIONS = 20
"""Organisations that are asked for unless they are named: each costs a call of Meta's limit."""

Orgs = Annotated[
    list[str] | None, typer.Option("--org", help="An organisation; may be given more than once.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the table."""
    app.command("providers")(show_providers)


def show_providers(org: Orgs = None, as_json: AsJson = False) -> None:
    """Ask Meta, Twilio and SendGrid whether they would send; exit code 1 if one would not."""
    settings = ProviderSettings.read()
    accounts, notes = _choose_accounts(settings, org)
    findings = probe(accounts, settings, ask_all, everything=not org)
    version = judge_version(settings.whatsapp_api_version, datetime.now(UTC).date())
    if as_json:
        print_json(write_findings(findings, version, notes))
    else:
        print_findings(findings, version, notes)
    if any(finding.state is State.FAILED for finding in findings):
        raise typer.Exit(1)


def _choose_accounts(
    settings: ProviderSettings, org_ids: Sequence[str] | None
) -> tuple[list[MetaAccount], list[str]]:
    """Give the accounts at Meta to ask for, and what is to be said about those left out."""
    if org_ids:
        with open_reading() as connection:
            named = read_accounts(connection, settings, org_ids)
        require_accounts(org_ids, named)
        return named, []
    platform = take_platform(settings)
    try:
        with open_reading() as connection:
            own = read_accounts(connection, settings, limit=MOST_ORGANISATIONS)
            total = count_accounts(connection)
    except UserMistake as mistake:
        # The providers matter all the more while the database is away.
        return [platform], [f"Organisations' own numbers were not asked for: {mistake.what}"]
    seen = {(platform.number_id, platform.token)}
    chosen = [platform]
    for account in own:
        if not account.readable or (account.number_id, account.token) not in seen:
            chosen.append(account)
            seen.add((account.number_id, account.token))
    left = total - len(own)
    notes = (
        [f"{left:,} organisations more were not asked for: name them with --org"] if left else []
    )
    return chosen, notes


def probe(
    accounts: Sequence[MetaAccount], settings: ProviderSettings, ask: Ask, *, everything: bool
) -> list[Finding]:
    """Ask the providers at the same time; `everything` means Twilio and SendGrid, too."""
    redactor = make_redactor(settings, accounts)
    plans = [plan_meta(account, settings, redactor) for account in accounts]
    if everything:
        plans += [plan_twilio(settings, redactor), plan_sendgrid(settings, redactor)]
    replies = iter(ask([each.question for each in plans if isinstance(each, Probe)]))
    return [judge(each, next(replies)) if isinstance(each, Probe) else each for each in plans]


def write_findings(
    findings: Sequence[Finding], version: VersionFinding, notes: Sequence[str]
) -> dict[str, object]:
    """Write findings for machines."""
    return {
        "providers": [asdict(finding) for finding in findings],
        "graph_api": {
            "version": version.version,
            "ends": None if version.ends is None else version.ends.isoformat(),
            "days_left": version.days,
            "state": version.state,
        },
        "notes": list(notes),
        "ok": not any(finding.state is State.FAILED for finding in findings),
    }


def print_findings(
    findings: Sequence[Finding], version: VersionFinding, notes: Sequence[str]
) -> None:
    """Print findings for people, and what to do below them."""
    console = open_console()
    rows = [
        (
            _name(finding),
            finding.state.replace("_", " "),
            None if finding.latency_ms is None else f"{finding.latency_ms:,} ms",
            "; ".join([*_describe_way(finding), *finding.said]),
        )
        for finding in findings
    ]
    headings = ("Provider", "State", "Took", "Said")
    console.print(build_table("Providers", headings, rows, right="Took"))
    console.print(escape(describe_version(version)))
    for note in notes:
        console.print(escape(note))
    for finding in findings:
        if finding.advice:
            console.print(escape(f"{_name(finding)}: {finding.advice}"))


def describe_version(version: VersionFinding) -> str:
    """Say in a sentence when the configured Graph API version ends."""
    name = f"Graph API {version.version}"
    if version.days is None:
        return f"{name}: no end of it is known"
    if version.days < 0:
        return (
            f"{name} ended on {version.ends}, {-version.days:,} days ago: set a later "
            "WHATSAPP_API_VERSION"
        )
    return f"{name} ends on {version.ends}, in {version.days:,} days"


def _name(finding: Finding) -> str:
    name = f"{finding.provider} {finding.subject}"
    return f"{name} of {finding.org_id}" if finding.org_id else name


def _describe_way(finding: Finding) -> list[str]:
    """Say how far the probe came."""
    if finding.reachable is None:
        return []
    if not finding.reachable:
        return ["not reached"]
    let_in = {True: "reached, let in", False: "reached, not let in", None: "reached"}
    return [let_in[finding.authenticated]]
