"""The `ops` commands: the procedures of runbooks 000 to 002, one command each."""

import typer

from operations import (
    backup_commands,
    channel_commands,
    dlq_commands,
    fallback_commands,
    maintenance_commands,
    provider_commands,
    quota_commands,
    retry_commands,
    secret_commands,
    status_commands,
    stuck_commands,
    stuck_look_commands,
    template_commands,
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


# In the order in which `--help` lists them.
for _room in (
    status_commands,
    provider_commands,
    template_commands,
    stuck_commands,
    retry_commands,
    dlq_commands,
    fallback_commands,
    channel_commands,
    quota_commands,
    secret_commands,
    verification_commands,
    undo_commands,
    backup_commands,
    maintenance_commands,
):
    _room.register(app)
stuck_look_commands.register(stuck_commands.app)
