"""The command table: which command lives where, and how a user's mistake is shown.

A room is imported when one of its commands is asked for: together they take over a second, which
every process of the stack would pay at its start.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from outbound_slo.vocabulary.mistakes import UserMistake

INTERRUPTED = 130

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "outbound_slo.demo.commands:demonstrate",
        "db": "outbound_slo.schema:app",
        "sender": "sender.commands:send_messages",
        "enqueue": "sender.commands:enqueue_message",
        "exporter": "exporter.commands:app",
        "trace": "tracing.commands:app",
        "alerts": "alerts.commands:app",
        "dashboards": "dashboards.commands:app",
        "ops": "operations.commands:app",
        "errors": "outbound_slo.catalogue:print_errors",
        "simulator": "outbound_slo.simulator.commands:run_simulator",
        "generate": "outbound_slo.generation:generate_files",
    }
)
"""Every command, with the module and the name of its function or of its group of commands."""


class CommandTable(TyperGroup):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - Click's own, unused
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - Click's own
        """Import a command; None where there is none of the name."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None


def load_command(name: str) -> Any:  # noqa: ANN401 - Click's Command, which Typer brings its own of
    """Import the command of the table that has this name."""
    module, _, attribute = COMMANDS[name].partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command: Any = get_group(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        command = get_command(single)
    command.name = name
    return command


app = typer.Typer(
    name="outbound-slo",
    cls=CommandTable,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("outbound-slo"))
        raise typer.Exit


@app.callback()
def open_table(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Observability and SLOs for outbound messages queued in PostgreSQL."""


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 2."""
    try:
        app()
    except UserMistake as mistake:
        typer.echo(f"outbound-slo: {mistake}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
