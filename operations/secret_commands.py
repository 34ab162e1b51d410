"""`outbound-slo ops secret`: how webhook secrets stand, and rotating one (001)."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from operations.confirmation import DryRun, Manner, Operator, Ticket, Yes, perform
from operations.output import AsJson, build_table, open_console, print_json, show_age, show_cell
from operations.reading import open_reading
from operations.secret_files import check_free, read_secret, write_secret
from operations.secrets import (
    BITS,
    Rotation,
    SecretStatus,
    WebhookHealth,
    read_health,
    read_secrets,
)
from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.secrets import KEEP_S

app = typer.Typer(help="Secrets that sign organisations' webhooks.", no_args_is_help=True)

STEPS = (
    "Open Meta Business Manager, https://business.facebook.com",
    "Go to WhatsApp, Settings, Webhooks",
    "Put the new secret in place, and choose 'Verify and Save'",
    "Send a message to the number, and look: outbound-slo ops verify webhooks",
)
"""What remains to be done by hand (001, procedure 1, step 3)."""


def register(parent: typer.Typer) -> None:
    """Add these commands to `outbound-slo ops`."""
    parent.add_typer(app, name="secret")


@app.command("status")
def show_status(
    org: Annotated[str | None, typer.Option("--org", help="One organisation.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which organisations have a webhook secret, and since when; exit code 1 if one is spoilt.

    A secret that OUTBOUND_SECRETS_KEY does not fit is: the sender refuses webhooks signed with it.
    """
    key = ProviderSettings.read().secrets_key.get_secret_value()
    with open_reading() as connection:
        found = read_secrets(connection, key, org)
        health = read_health(connection)
    if as_json:
        print_json(write_status(found, health, has_key=bool(key)))
    else:
        print_status(found, health, has_key=bool(key), now=datetime.now(UTC))
    if any(status.fails for status in found):
        raise typer.Exit(1)


@app.command("rotate")
def rotate_secret(
    org: Annotated[str, typer.Argument(metavar="ORG", help="The organisation.")],
    to_file: Annotated[
        Path | None,
        typer.Option("--to-file", help="Write the new secret into a file of your own, mode 0600."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the new secret.")] = False,
    secret_file: Annotated[
        str | None,
        typer.Option("--secret-file", help="Take the secret from a file; - for standard input."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the present secret does not fit the key.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    operator: Operator = None,
    ticket: Ticket = None,
    as_json: AsJson = False,
) -> None:
    """Put a new webhook secret in place; the one before is accepted for seven days more.

    The secret is one of 256 bits, or the one that Meta gave (--secret-file).
    """
    key = ProviderSettings.read().secrets_key.get_secret_value()
    if not key:
        raise UserMistake(
            "OUTBOUND_SECRETS_KEY is not set, so no secret can be encrypted",
            "Set it to the senders' key",
        )
    _check_ways(to_file, secret_file, show=show, as_json=as_json)
    if to_file is not None:
        check_free(to_file)
    secret = secrets.token_hex(BITS // 8) if secret_file is None else read_secret(secret_file)
    keeper = _Keeper(to_file, secret)
    source = "generated" if secret_file is None else "given"
    rotation = Rotation(org, secret, key, keeper, force=force, source=source)
    try:
        outcome = perform(rotation, Manner(dry_run, yes, operator, ticket, as_json))
    except UserMistake as mistake:
        if not keeper.wrote:
            raise
        raise UserMistake(
            mistake.what,
            f"{to_file} holds the new secret: 'ops log' tells whether it came into force. "
            f"{mistake.mend}",
        ) from mistake
    if outcome is not None and outcome.changed and not as_json:
        _print_steps(secret if show else None, to_file)


class _Keeper:
    """Writes the new secret into its file, once, before the change is committed."""

    def __init__(self, path: Path | None, secret: str) -> None:
        self._path = path
        self._secret = secret
        self.wrote = False

    def __call__(self) -> None:
        if self._path is not None and not self.wrote:
            write_secret(self._path, self._secret)
            self.wrote = True


def _check_ways(
    to_file: Path | None, secret_file: str | None, *, show: bool, as_json: bool
) -> None:
    """Make sure that the new secret is lost to nobody, and is not told twice.

    Raises:
        UserMistake: It would be.

    """
    if secret_file is not None and (show or to_file is not None):
        raise UserMistake(
            "--secret-file takes a secret that you have, so there is none to show or to write",
            "Leave --show and --to-file away",
        )
    if secret_file is None and not show and to_file is None:
        raise UserMistake(
            "A new secret would be lost: nobody would be told it, and Meta has to know it",
            "Add --to-file PATH or --show, or take the one that Meta gave with --secret-file PATH",
        )
    if show and as_json:
        raise UserMistake("--show is for people", "Use --to-file PATH beside --json")


def _print_steps(secret: str | None, to_file: Path | None) -> None:
    console = open_console()
    if to_file is not None:
        console.print(escape(f"The new secret is in {to_file}; delete it once Meta has it."))
    if secret is not None:
        typer.echo(f"New secret: {secret}")
    console.print(f"Senders take it within {KEEP_S:g} s. What remains by hand:")
    for number, step in enumerate(STEPS, start=1):
        console.print(escape(f"  {number}. {step}"))


def write_status(
    found: Sequence[SecretStatus], health: WebhookHealth, *, has_key: bool
) -> dict[str, object]:
    """Write the status for machines."""
    return {
        "has_key": has_key,
        "organisations": [
            {name: value for name, value in asdict(status).items() if name != "id"}
            | {"state": status.state}
            for status in found
        ],
        "webhooks": asdict(health),
        "ok": not any(status.fails for status in found),
    }


def print_status(
    found: Sequence[SecretStatus], health: WebhookHealth, *, has_key: bool, now: datetime
) -> None:
    """Print the status for people."""
    console = open_console()
    if not found:
        console.print("No organisation has a row in whatsapp_provider_config")
    else:
        rows = [
            (
                status.org_id + ("" if status.enabled else " (off)"),
                status.state,
                _measure(status.rotated_at or status.updated_at, now),
                status.rotated_by if status.rotated_at else status.updated_by,
                _measure(status.previous_until, now),
                _measure(status.accepted_at, now),
            )
            for status in found
        ]
        headings = ("Org", "Secret", "Changed", "By", "Old one", "Webhook")
        console.print(build_table("Webhook secrets", headings, rows))
    if not has_key:
        console.print("OUTBOUND_SECRETS_KEY is not set: whether they can be read is not known")
    for status in found:
        if status.fails:
            console.print(
                escape(
                    f"{status.org_id}: its secret does not fit OUTBOUND_SECRETS_KEY, so webhooks "
                    "signed with it are refused. Set the key that encrypted it, or rotate"
                )
            )
    console.print(
        f"WhatsApp webhooks: last accepted {_ago(health.last_accepted_at, now)}, "
        f"last refused {_ago(health.last_rejected_at, now)}"
    )


def _measure(moment: datetime | None, now: datetime) -> str | None:
    """Give the time since a moment, or until one to come."""
    if moment is None:
        return None
    seconds = (now - moment).total_seconds()
    return f"{show_age(seconds)} ago" if seconds >= 0 else f"{show_age(-seconds)} more"


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    return f"{show_cell(moment)} ({show_age((now - moment).total_seconds())} ago)"
