"""The `db` commands: the schema of every room, applied and told."""

import typer

from exporter.migrations import rollup_migrations
from outbound_slo.database import Migration, core_migrations, migrate, migration_states
from outbound_slo.settings import DatabaseSettings

app = typer.Typer(help="The database's schema.", no_args_is_help=True)


def all_migrations() -> list[Migration]:
    """Give the migrations of every room, in the order to apply them."""
    return [*core_migrations(), *rollup_migrations()]


@app.command("migrate")
def migrate_database() -> None:
    """Apply the migrations that the database in DATABASE_URL lacks."""
    applied = migrate(DatabaseSettings.read().url, all_migrations())
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("The database has every migration.")


@app.command("status")
def show_migrations() -> None:
    """List the migrations; exits with 1 when the database lacks some."""
    states = migration_states(DatabaseSettings.read().url, all_migrations())
    for state in states:
        mark = "applied" if state.applied else "missing"
        typer.echo(f"{mark}  {state.migration.component}/{state.migration.name}")
    if not all(state.applied for state in states):
        raise typer.Exit(1)
