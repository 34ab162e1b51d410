"""The command table: which command lives where, and how a user's mistake is shown."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import alerts.artefacts
import alerts.commands
import dashboards.artefacts
import dashboards.commands
import exporter.commands
import tracing.commands
from exporter.migrations import rollup_migrations
from outbound_slo.artefacts import Builder, build_all, find_drift, write_all
from outbound_slo.catalogue import print_errors
from outbound_slo.database import (
    Migration,
    core_migrations,
    migrate,
    migration_states,
)
from outbound_slo.demo.commands import demonstrate
from outbound_slo.settings import DatabaseSettings
from outbound_slo.settings_page import build_settings_page
from outbound_slo.simulator.commands import run_simulator
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.commands import enqueue_message, send_messages

INTERRUPTED = 130

BUILDERS: tuple[Builder, ...] = (
    build_settings_page,
    alerts.artefacts.build_artefacts,
    dashboards.artefacts.build_artefacts,
)

app = typer.Typer(
    name="outbound-slo",
    help="Observability and SLOs for outbound messages queued in PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
database = typer.Typer(help="The database's schema.", no_args_is_help=True)

app.add_typer(database, name="db")
app.add_typer(exporter.commands.app, name="exporter")
app.add_typer(tracing.commands.app, name="trace")
app.add_typer(alerts.commands.app, name="alerts")
app.add_typer(dashboards.commands.app, name="dashboards")
app.command("sender")(send_messages)
app.command("enqueue")(enqueue_message)
app.command("simulator")(run_simulator)
app.command("errors")(print_errors)
app.command("demo")(demonstrate)


def all_migrations() -> list[Migration]:
    """Give the migrations of every room, in the order to apply them."""
    return [*core_migrations(), *rollup_migrations()]


@database.command("migrate")
def migrate_database() -> None:
    """Apply the migrations that the database in DATABASE_URL lacks."""
    applied = migrate(DatabaseSettings.read().url, all_migrations())
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("The database has every migration.")


@database.command("status")
def show_migrations() -> None:
    """List the migrations; exits with 1 when the database lacks some."""
    states = migration_states(DatabaseSettings.read().url, all_migrations())
    for state in states:
        mark = "applied" if state.applied else "missing"
        typer.echo(f"{mark}  {state.migration.component}/{state.migration.name}")
    if not all(state.applied for state in states):
        raise typer.Exit(1)


@app.command("generate")
def generate_files(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 on drift.")
    ] = False,
    root: Annotated[Path, typer.Option(help="The project's directory.")] = Path(),
) -> None:
    """Write the generated files, or check that the committed ones are up to date."""
    if not (root / "pyproject.toml").is_file():
        raise UserMistake(
            f"{root.resolve()} is no checkout of the project",
            "Run this where pyproject.toml lies, or give --root",
        )
    files = build_all(BUILDERS)
    if not check:
        for path in write_all(root, files):
            typer.echo(f"wrote {path}")
        return
    findings = find_drift(root, files)
    for finding in findings:
        typer.echo(f"{finding.drift.value}: {finding.path}", err=True)
    if findings:
        raise UserMistake(
            f"{len(findings)} generated files differ from what builds them", "Run 'make generate'"
        )
    typer.echo(f"{len(files)} generated files are up to date.")


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 2."""
    try:
        app()
    except UserMistake as mistake:
        typer.echo(f"outbound-slo: {mistake}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
