"""The `ops` commands: the procedures of runbooks 000 to 002, one command each."""

import typer

from operations import (
    backup_commands,
    maintenance_commands,
    retry_commands,
    stuck_commands,
    undo_commands,
    verification_commands,
)

app = typer.Typer(
    help="The runbooks' procedures: look, release, retry, pause, rotate, repair.",
    no_args_is_help=True,
)


@app.callback()
def open_table() -> None:
    """Look, release, retry, pause, rotate, repair: the runbooks' procedures."""


for _room in (
    stuck_commands,
    retry_commands,
    undo_commands,
    verification_commands,
    maintenance_commands,
    backup_commands,
):
    _room.register(app)
