"""`outbound-slo alerts incidents`: the runbooks' incidents, and what paging makes of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from alerts.incidents.campaign import Equipment, QuietDays, play_incidents, play_quiet_days
from alerts.incidents.catalogue import BY_NAME, INCIDENTS
from alerts.incidents.incident import Incident
from alerts.incidents.verdict import Verdict
from alerts.replay.commands import (
    ConfigurationOption,
    SpeedOption,
    choose_speed,
    read_configuration,
)
from alerts.replay.delivery import DEFAULT_SPEED
from alerts.rule_files import GENERATED, find_rule_files, read_rules
from outbound_slo.embedded.binaries import ALERTMANAGER, PROMETHEUS, find_tools
from outbound_slo.vocabulary.mistakes import UserMistake

_HEADINGS = (
    "incident",
    "what happens",
    "detected by",
    "told to",
    "after",
    "pages",
    "calls",
    "tickets",
    "verdict",
)


def play_all(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Name of an incident; may be repeated.")
    ] = None,
    quiet_days: Annotated[
        int, typer.Option("--quiet-days", min=0, max=30, help="Days of healthy traffic as well.")
    ] = 0,
    rules: Annotated[
        Path,
        typer.Option("--rules", help="Directory of the rule files.", show_default="those built in"),
    ] = GENERATED,
    alertmanager_config: ConfigurationOption = None,
    speed: SpeedOption = DEFAULT_SPEED,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table as docs/alerts-replay.md has it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play incidents against the rules; exits with 1 when one is missed or pages wrongly."""
    chosen = _choose(only)
    equipment = Equipment(
        prometheus=find_tools(PROMETHEUS),
        alertmanager=find_tools(ALERTMANAGER),
        rules=read_rules(find_rule_files(rules)),
        configuration=read_configuration(rules, alertmanager_config),
        hurry=choose_speed(speed),
    )
    progress = Console(stderr=True)
    verdicts = list(
        track(
            play_incidents(equipment, chosen),
            "incidents",
            total=len(chosen),
            console=progress,
            transient=True,
            disable=not progress.is_terminal,
        )
    )
    healthy = play_quiet_days(equipment, quiet_days) if quiet_days else None
    if as_json:
        typer.echo(json.dumps(_describe_all(verdicts, healthy), indent=2))
    elif markdown:
        typer.echo(write_markdown(verdicts))
    else:
        _print_table(verdicts)
    if healthy is not None and not as_json:
        _print_healthy(healthy)
    if any(verdict.problem for verdict in verdicts) or (healthy and healthy.would_page):
        raise typer.Exit(1)


def _choose(only: Sequence[str] | None) -> Sequence[Incident]:
    unknown = [name for name in only or () if name not in BY_NAME]
    if unknown:
        raise UserMistake(
            f"There is no incident {unknown[0]}", f"Choose from: {', '.join(BY_NAME)}"
        )
    return [BY_NAME[name] for name in only] if only else INCIDENTS


def write_row(verdict: Verdict) -> tuple[str, ...]:
    """Write a verdict as texts, in the order of the table's columns."""
    expects = bool(verdict.incident.expected)
    missing = "no rule yet" if verdict.unknown and not verdict.detected_by else "nothing"
    delay = "" if verdict.delay_s is None else format_delay(verdict.delay_s)
    return (
        verdict.incident.name,
        verdict.incident.what,
        verdict.detected_by or (missing if expects else "(nobody is to be woken)"),
        verdict.receiver,
        delay,
        str(verdict.pages),
        str(verdict.calls),
        str(verdict.tickets),
        verdict.problem or "ok",
    )


def format_delay(seconds: float) -> str:
    """Write a delay as minutes and seconds.

    >>> format_delay(95.4)
    '1:35'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def write_markdown(verdicts: Sequence[Verdict]) -> str:
    """Write the table of a page in docs."""
    rows = ["| " + " | ".join(_HEADINGS) + " |", "|" + "---|" * len(_HEADINGS)]
    rows += ["| " + " | ".join(write_row(verdict)) + " |" for verdict in verdicts]
    coarsest = max((verdict.resolution_s for verdict in verdicts), default=0.0)
    return "\n".join([*rows, "", f"Times are exact to {coarsest:.0f} s."])


def _print_table(verdicts: Sequence[Verdict]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading)
    for verdict in verdicts:
        table.add_row(*write_row(verdict), style="bold red" if verdict.problem else "")
    console = Console()
    console.print(table)
    coarsest = max((verdict.resolution_s for verdict in verdicts), default=0.0)
    console.print(f"Times are exact to {coarsest:.0f} s.", highlight=False)


def _print_healthy(healthy: QuietDays) -> None:
    tickets = ", ".join(f"{name} {count}" for name, count in healthy.tickets.items()) or "none"
    typer.echo(
        f"{healthy.days:g} healthy days: {len(healthy.would_page)} alerts that page; "
        f"alerts that make tickets: {tickets}"
    )
    for firing in healthy.would_page:
        typer.echo(f"  {firing.alert}: {firing.summary}")


def _describe_all(verdicts: Sequence[Verdict], healthy: QuietDays | None) -> Mapping[str, Any]:
    described: dict[str, Any] = {"incidents": [_describe(verdict) for verdict in verdicts]}
    if healthy is not None:
        described["quiet"] = {
            "days": healthy.days,
            "would_page": [firing.alert for firing in healthy.would_page],
            "tickets": dict(healthy.tickets),
        }
    return described


def _describe(verdict: Verdict) -> Mapping[str, Any]:
    return {
        "name": verdict.incident.name,
        "source": verdict.incident.source,
        "expected": sorted(verdict.incident.expected),
        "unknown": list(verdict.unknown),
        "detected_by": verdict.detected_by,
        "delay_s": verdict.delay_s,
        "within_s": verdict.incident.within_s,
        "receiver": verdict.receiver,
        "pages": verdict.pages,
        "calls": verdict.calls,
        "tickets": verdict.tickets,
        "wrong": list(verdict.wrong),
        "untold": list(verdict.untold),
        "problem": verdict.problem,
        "resolution_s": verdict.resolution_s,
    }
