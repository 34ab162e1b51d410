"""Commands of the sender: run it, put a message on the queue."""

import json
import re
from datetime import UTC, datetime, timedelta
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
from outbound_slo.vocabulary.statuses import Channel, Priority
from sender.enqueue import MAX_ATTEMPTS, NewMessage, enqueue
from sender.logs import configure_logs
from sender.redaction import Redactor, find_secrets
from sender.sentry import open_report

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


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
            settings.log_format,
            level=settings.log_level,
            redactor=redactor,
            report=report,
            for_good=True,
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
    language: Annotated[
        str | None, typer.Option(help="Language of the template, as en or pt_BR.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key.")] = None,
    priority: Annotated[str, typer.Option(help="urgent, normal or bulk.")] = "normal",
    at: Annotated[
        str | None, typer.Option(help="Not before this time, as 2026-03-01T09:00:00+01:00.")
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(help="Of no use after this long, as 90s, 15m, 2h or 1d.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="Of no use after this time; or --expires-in.")
    ] = None,
    max_attempts: Annotated[
        int, typer.Option(help="Attempts before it is a dead letter.")
    ] = MAX_ATTEMPTS,
    override_quiet_hours: Annotated[
        bool, typer.Option("--override-quiet-hours", help="May come at night, as urgent ones do.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put one message on the queue and print its id."""
    try:
        known = Channel(channel.upper())
    except ValueError:
        raise UserMistake(
            f"--channel {channel!r} is no channel", "Use whatsapp, sms or email"
        ) from None
    now = datetime.now(UTC)
    message = NewMessage(
        org_id=org,
        channel=known,
        to_recipient=to,
        template_code=template,
        subject=subject,
        payload=_write_payload(text, parameter, language),
        idempotency_key=key,
        max_attempts=max_attempts,
        scheduled_at=None if at is None else read_time("--at", at),
        expires_at=read_expiry(expires_in, expires_at, now),
        priority=read_priority(priority),
        quiet_hours_override=override_quiet_hours,
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


def _write_payload(
    text: str | None, parameters: list[str] | None, language: str | None
) -> dict[str, object]:
    given = {"text": text, "parameters": parameters, "language": language}
    return {name: value for name, value in given.items() if value}


def read_priority(written: str) -> Priority:
    """Read urgent, normal or bulk.

    Raises:
        UserMistake: It is none of them.

    """
    try:
        return Priority[written.upper()]
    except KeyError:
        raise UserMistake(
            f"--priority {written!r} is no priority", "Use urgent, normal or bulk"
        ) from None


def read_time(option: str, written: str) -> datetime:
    """Read an option's time in ISO 8601, with its zone.

    Raises:
        UserMistake: It has another form, or no zone.

    """
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise UserMistake(
            f"{option} {written!r} is no time", "Write it as 2026-03-01T09:00:00+01:00"
        ) from None
    if moment.utcoffset() is None:
        raise UserMistake(
            f"{option} {written!r} has no time zone", f"Add it, as in {moment.isoformat()}+01:00"
        )
    return moment


def read_expiry(span: str | None, moment: str | None, now: datetime) -> datetime | None:
    """Read when a message expires: after a length of time such as 90s, 15m, 2h or 1d, or at a time.

    Raises:
        UserMistake: Both are given, or one has another form.

    """
    if span is not None and moment is not None:
        raise UserMistake("--expires-in and --expires-at are both given", "Give one of them")
    if moment is not None:
        return read_time("--expires-at", moment)
    if span is None:
        return None
    found = _DURATION.fullmatch(span)
    if found is None:
        raise UserMistake(f"--expires-in {span!r} is no length of time", "Write it as 90s or 2h")
    try:
        return now + timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise UserMistake(
            f"--expires-in {span!r} ends beyond the calendar", "Give a shorter time"
        ) from None
