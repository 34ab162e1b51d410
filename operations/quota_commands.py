"""`outbound-slo ops quota`: what is used, raise, lower, reset, defer (001, 002)."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from operations.change import BATCH, Pace
from operations.confirmation import (
    BatchSize,
    DryRun,
    Manner,
    Operator,
    Ticket,
    Yes,
    perform,
)
from operations.deferring import LONGEST_H, SPARED, Deferral, Release
from operations.output import AsJson, build_table, open_console, print_json
from operations.quota_changes import QuotaChange, Step, explain_absence
from operations.quotas import Quota, QuotaReport, read_report
from operations.ranges import refuse_nan
from operations.reading import open_reading
from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.mistakes import UserMistake

LARGEST = 2**31 - 1
"""Largest limit that the column holds."""

app = typer.Typer(help="Quotas of organisations for WhatsApp.", no_args_is_help=True)

OrgName = Annotated[str, typer.Argument(metavar="ORG", help="The organisation.")]
Org = Annotated[str | None, typer.Option("--org", help="One organisation; all by default.")]


def register(parent: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops`."""
    parent.add_typer(app, name="quota")


@app.command("show")
def show_quotas(
    org: Annotated[str | None, typer.Option("--org", help="One organisation.")] = None,
    above: Annotated[
        float,
        typer.Option(
            min=0, max=100, callback=refuse_nan, help="Percent used; 0 shows all organisations."
        ),
    ] = 70.0,
    top: Annotated[int, typer.Option(min=0, max=1000, help="Dossiers that send most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show quotas that run out, rate limit errors of the last hour, and who sends most."""
    policy = ProviderSettings.read().whatsapp_error_policy
    with open_reading() as connection:
        report = read_report(connection, policy, org_id=org, above=above, top=top)
        if org is not None and not report.quotas:
            raise explain_absence(connection, org)
    if as_json:
        print_json(write_report(report))
    else:
        print_report(report, above)


@app.command("raise")
def raise_quota(
    org: OrgName,
    limit: Annotated[int, typer.Argument(min=1, max=LARGEST, help="Messages in 24 hours.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Raise an organisation's limit (001); what waited for it goes at once."""
    perform(QuotaChange(Step.RAISE, org, limit), Manner(dry_run, yes, operator, ticket, as_json))


@app.command("lower")
def lower_quota(
    org: OrgName,
    limit: Annotated[
        int | None, typer.Argument(min=0, max=LARGEST, help="Messages in 24 hours.")
    ] = None,
    factor: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, callback=refuse_nan, help="Share of the present limit, as 0.5 in 002."
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Lower an organisation's limit to slow it down (002, option B)."""
    if (limit is None) == (factor is None):
        raise UserMistake(
            "A limit or --factor is needed, one of them", "002 halves it: --factor 0.5"
        )
    change = QuotaChange(Step.LOWER, org, limit, factor)
    perform(change, Manner(dry_run, yes, operator, ticket, as_json))


@app.command("reset")
def reset_quota(
    org: OrgName,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Begin an organisation's window anew and end its throttle (001, issue 3)."""
    perform(QuotaChange(Step.RESET, org), Manner(dry_run, yes, operator, ticket, as_json))


@app.command("defer")
def defer_messages(
    org: Org = None,
    hours: Annotated[
        float,
        typer.Option(min=0.1, max=LONGEST_H, callback=refuse_nan, help="How long, from now."),
    ] = 4.0,
    except_template: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A template that goes on; may be given more than once. {', '.join(SPARED)} "
            "unless any is given."
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help="Only this template, as a campaign's; may be given more than once."),
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Let deferred messages go again.")] = False,
    batch: BatchSize = BATCH,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Let queued WhatsApp messages that are not urgent wait for some hours (002, option C)."""
    manner = Manner(dry_run, yes, operator, ticket, as_json, Pace(batch))
    if template and (except_template or end):
        raise UserMistake(
            "--template goes with neither --except-template nor --end",
            "Name the templates that wait, or those that go on; 'ops undo' takes one deferral back",
        )
    if end:
        perform(Release(org), manner)
    else:
        spared = () if template else tuple(except_template or SPARED)
        only = tuple(dict.fromkeys(template)) if template else None
        perform(Deferral(hours, spared, org, only), manner)


def write_report(report: QuotaReport) -> dict[str, object]:
    """Write a report for machines."""
    return {
        "quotas": [
            {
                **asdict(quota),
                "state": quota.state,
                "queued": waiting.queued if waiting else 0,
                "held": waiting.held if waiting else 0,
            }
            for quota in report.quotas
            for waiting in [report.waiting.get(quota.org_id)]
        ],
        "rate_limit_errors": [asdict(each) for each in report.errors],
        "dossiers": [asdict(each) for each in report.dossiers],
        "hours": [{"hour": hour, "messages": messages} for hour, messages in report.hours],
    }


def print_report(report: QuotaReport, above: float) -> None:
    """Print a report for people."""
    console = open_console()
    if report.quotas:
        rows = [
            (
                quota.org_id,
                f"{quota.used:,}/{quota.limit:,}",
                quota.percent,
                _describe(quota),
                f"{quota.hours_until_reset:.1f} h",
                waiting.queued if waiting else 0,
            )
            for quota in report.quotas
            for waiting in [report.waiting.get(quota.org_id)]
        ]
        headings = ("Org", "Used", "%", "State", "Reset", "Queued")
        console.print(build_table("Quotas", headings, rows, right="Used, %, Reset, Queued"))
    else:
        console.print(
            f"No organisation has used more than {above:g} % of its quota; --above 0 shows all"
        )
    _print_errors(console, report)
    if report.dossiers:
        dossiers = [
            (each.org_id, _name(each.dossier_id), each.messages) for each in report.dossiers
        ]
        title = "Who sent most in the last hour"
        columns = ("Org", "Dossier", "Messages")
        console.print(build_table(title, columns, dossiers, right="Messages"))
    if report.hours:
        _print_hours(console, report.hours)


def _describe(quota: Quota) -> str:
    """Say how a quota stands, and for how many minutes its organisation is throttled."""
    if not quota.minutes_throttled:
        return quota.state
    throttle = f"throttled {quota.minutes_throttled:.0f} min"
    return throttle if quota.state == "throttled" else f"{quota.state}, {throttle}"


def _print_errors(console: Console, report: QuotaReport) -> None:
    if not report.errors:
        console.print("No rate limit errors in the last hour")
        return
    rows = [(each.org_id, each.errors, each.latest) for each in report.errors]
    title = "Rate limit errors in the last hour"
    console.print(build_table(title, ("Org", "Errors", "Latest"), rows, right="Errors"))


def _print_hours(console: Console, hours: Sequence[tuple[datetime, int]]) -> None:
    rows = [(hour, messages) for hour, messages in hours]
    table = build_table("Sent in the last 24 hours", ("Hour", "Messages"), rows, right="Messages")
    console.print(table)


def _name(dossier_id: int | None) -> str:
    return "none" if dossier_id is None else str(dossier_id)
