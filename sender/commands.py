"""Commands of the sender: run it, put a message on the queue."""

import json
from typing import Annotated

import psycopg
import typer

from outbound_slo.database import connect, describe
from outbound_slo.settings import (
    DatabaseSettings,
    ProviderSettings,
    SenderSettings,
    TracingSettings,
)
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage, enqueue
from sender.logs import configure_logs
from sender.redaction import Redactor, find_secrets
from sender.sentry import open_report


def send_messages() -> None:
    """Run the worker and the HTTP face until SIGTERM; settings come from the environment."""
    # FastAPI and aiohttp cost every other command half a second of start-up.
    from sender.process import SenderConfiguration, run_sender  # noqa: PLC0415 - as above

    configuration = SenderConfiguration(
        database=DatabaseSettings.read(),
        sender=SenderSettings.read(),
        providers=ProviderSettings.read(),
        tracing=TracingSettings.read(),
    )
    settings = configuration.sender
    redactor = Redactor(find_secrets(configuration.database, settings, configuration.providers))
    dsn = settings.sentry_dsn.get_secret_value()
    with open_report(dsn, settings.sentry_environment, redactor) as report:
        configure_logs(
            settings.log_format, level=settings.log_level, redactor=redactor, report=report
        )
        run_sender(configuration)


def enqueue_message(
    to: Annotated[str, typer.Option(help="Recipient: E.164 number or e-mail address.")],
    org: Annotated[str, typer.Option(help="Organisation that sends.")],
    channel: Annotated[str, typer.Option(help="whatsapp, sms or email.")] = "whatsapp",
    template: Annotated[str | None, typer.Option(help="Template code.")] = None,
    text: Annotated[str | None, typer.Option(help="Free-form text.")] = None,
    subject: Annotated[str | None, typer.Option(help="Subject of an e-mail.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="Template parameter; repeat in order.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put one message on the queue and print its id."""
    try:
        known = Channel(channel.upper())
    except ValueError:
        raise UserMistake(
            f"--channel {channel!r} is no channel", "Use whatsapp, sms or email"
        ) from None
    payload: dict[str, object] = {}
    if text:
        payload["text"] = text
    if parameter:
        payload["parameters"] = parameter
    message = NewMessage(
        org_id=org,
        channel=known,
        to_recipient=to,
        template_code=template,
        subject=subject,
        payload=payload,
        idempotency_key=key,
        created_by="outbound-slo enqueue",
    )
    url = DatabaseSettings.read().url
    try:
        with connect(url) as connection:
            [number] = enqueue(connection, [message])
    except psycopg.Error as error:
        raise UserMistake(
            f"The database {describe(url)} does not take the message: "
            f"{error.diag.message_primary or str(error).strip()}",
            "See with 'outbound-slo db status' whether it has every migration",
        ) from error
    typer.echo(json.dumps({"id": number}) if as_json else f"Queued message {number}")
