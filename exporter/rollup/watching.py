"""`outbound-slo exporter watch`, `unwatch` and `watched`: who is counted apart."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporter.rollup.organisations import MOST_WATCHED, Watch, read_watch, unwatch, watch
from exporter.rollup.refusals import told
from outbound_slo.settings import DatabaseSettings

Organisations = Annotated[
    list[str], typer.Argument(metavar="ORG…", help="Ids of organisations, as messages have them.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def watch_organisations(organisations: Organisations, as_json: AsJson = False) -> None:
    """Count what becomes of these organisations' messages apart, from now on."""
    with told():
        done = watch(DatabaseSettings.read().url, organisations)
    if as_json:
        typer.echo(_write_json(done))
        return
    for name in dict.fromkeys(organisations):
        stranger = " It has no message yet." if name in done.strangers else ""
        known = "" if name in done.changed else " already"
        typer.echo(f"{name} is watched{known}.{stranger}")


def unwatch_organisations(organisations: Organisations, as_json: AsJson = False) -> None:
    """Count these organisations apart no longer; watched again, their counters go on."""
    with told():
        done = unwatch(DatabaseSettings.read().url, organisations)
    if as_json:
        typer.echo(_write_json(done))
        return
    for name in done.changed:
        typer.echo(f"{name} is not watched any more.")


def list_organisations(as_json: AsJson = False) -> None:
    """List the organisations that are counted apart."""
    with told():
        found = read_watch(DatabaseSettings.read().url)
    if as_json:
        typer.echo(_write_json(found))
        return
    if not found.organisations:
        typer.echo("No organisation is watched; 'outbound-slo exporter watch ORG' begins it.")
        return
    table = Table("Organisation", "Watched since")
    for each in found.organisations:
        table.add_row(Text(each.org_id), each.since.isoformat(timespec="seconds"))
    Console().print(table)
    typer.echo(f"{len(found.organisations)} of {MOST_WATCHED} that may be watched.")


def _write_json(found: Watch) -> str:
    return json.dumps(
        {
            "organisations": [
                {"org_id": each.org_id, "since": each.since.isoformat()}
                for each in found.organisations
            ],
            "most": MOST_WATCHED,
            "changed": list(found.changed),
            "without_messages": list(found.strangers),
        }
    )
