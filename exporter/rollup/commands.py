"""`outbound-slo exporter rollup`: install, verify and remove the triggers that count."""

import json
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from exporter.rollup.installation import Patience, install, remove
from exporter.rollup.refusals import told
from exporter.rollup.verification import Verdict, verify
from outbound_slo.settings import DatabaseSettings
from outbound_slo.vocabulary.mistakes import UserMistake

app = typer.Typer(help="The triggers that count, so that reading costs nothing.")

LockTimeout = Annotated[
    int,
    typer.Option(
        min=2, max=10_000, help="Longest wait in milliseconds that a try may cause a writer."
    ),
]
Tries = Annotated[int, typer.Option(min=1, help="How often to try for the tables' lock.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_PAUSE_S = 1.0


@app.command("install")
def install_rollup(lock_timeout_ms: LockTimeout = 300, tries: Tries = 600) -> None:
    """Install the rollup under running senders, and count what is there already."""
    with told():
        done = install(DatabaseSettings.read().url, _make_patience(lock_timeout_ms, tries))
    for name in done.applied:
        typer.echo(f"applied {name}")
    for name in done.restored:
        typer.echo(f"restored the trigger {name}")
    found = done.verdict.size
    typer.echo(f"The rollup is installed; {found} messages were counted anew.")


@app.command("verify")
def verify_rollup(
    repair: Annotated[bool, typer.Option("--repair", help="Put right what differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Recount every message and compare; exits with 1 where the rollup is wrong or will be."""
    with told():
        verdict = verify(DatabaseSettings.read().url, repair=repair)
    if as_json:
        typer.echo(json.dumps(_to_json(verdict)))
    else:
        _show(verdict)
    if not verdict.sound:
        raise typer.Exit(1)


@app.command("remove")
def remove_rollup(
    confirmed: Annotated[
        bool, typer.Option("--yes", help="Do it: every counter starts from zero afterwards.")
    ] = False,
    lock_timeout_ms: LockTimeout = 300,
    tries: Tries = 600,
) -> None:
    """Remove triggers, functions and tables of the rollup, and with them every counter."""
    if not confirmed:
        raise UserMistake(
            "Removing the rollup loses every counter and histogram that it holds",
            "Give --yes if that is meant",
        )
    with told():
        remove(DatabaseSettings.read().url, _make_patience(lock_timeout_ms, tries))
    typer.echo("The rollup is gone.")


def _make_patience(lock_timeout_ms: int, tries: int) -> Patience:
    return Patience(lock_timeout_ms, tries, lambda: time.sleep(_PAUSE_S))


def _to_json(verdict: Verdict) -> dict[str, object]:
    return {
        "drift": verdict.size,
        "repaired": verdict.repaired,
        "missing_triggers": list(verdict.missing_triggers),
        "states": [
            {
                "channel": drift.channel,
                "status": drift.status,
                "detail": drift.detail,
                "counted": drift.counted,
                "rolled_up": drift.rolled_up,
            }
            for drift in verdict.drifts
        ],
    }


def _show(verdict: Verdict) -> None:
    console = Console()
    if verdict.drifts:
        table = Table("Channel", "Status", "Detail", "Rows", "Rollup")
        for drift in verdict.drifts:
            numbers = (str(drift.counted), str(drift.rolled_up))
            table.add_row(drift.channel, drift.status, drift.detail, *numbers)
        console.print(table)
        mended = "put right" if verdict.repaired else "put them right with --repair"
        console.print(f"{verdict.size} messages stand wrong; {mended}.")
    for name in verdict.missing_triggers:
        console.print(
            f"The trigger {name} is missing or off; 'outbound-slo exporter rollup install' "
            "puts it back.",
            soft_wrap=True,
        )
    if verdict.sound and not verdict.drifts:
        console.print("The rollup agrees with the rows.")
