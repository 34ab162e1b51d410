"""`outbound-slo alerts explain`: an alert's page, where the pager's reader is."""

import json
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from alerts.detection import Pace
from alerts.explanation import describe_alert, find_alert, list_alerts
from alerts.pages import read_page

_WIDTH = 100


def register(app: typer.Typer) -> None:
    """Add `explain` to the table."""
    app.command("explain")(explain_alert)


def explain_alert(
    name: Annotated[
        str | None,
        typer.Argument(help="The alert, or a runbook's name for it; without it, the list of all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
) -> None:
    """Print what an alert means, what to do, and when it is over."""
    if name is None:
        _list_alerts(as_json=as_json)
        return
    alert = find_alert(name)
    if as_json:
        typer.echo(json.dumps(describe_alert(alert, Pace.production()), indent=2))
        return
    page = read_page(alert)
    console = Console()
    if console.is_terminal:
        # Lines of a whole wide screen are hard to read.
        console.print(Markdown(page), width=min(console.width, _WIDTH))
    else:
        typer.echo(page, nl=False)


def _list_alerts(*, as_json: bool) -> None:
    listed = [
        {
            "name": tiers[0].name.value,
            "family": tiers[0].family.value,
            "tiers": len(tiers),
            "priority": min(alert.priority for alert in tiers).value,
        }
        for tiers in list_alerts()
    ]
    if as_json:
        typer.echo(json.dumps(listed, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Alert", "Family", "Tiers", "Highest"):
        table.add_column(heading, overflow="fold")
    for each in listed:
        table.add_row(*(str(value) for value in each.values()))
    Console().print(table)
