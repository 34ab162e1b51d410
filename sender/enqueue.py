"""Putting messages on the queue: the one door for programs, the demo and the command line."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import phonenumbers
import psycopg
from email_validator import EmailNotValidError, validate_email

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel, Priority
from sender.content import find_fault
from sender.storable import clean_text, make_storable

_QUERIES = load_queries("sender", "sql/outbox.sql")

MAX_ATTEMPTS = 5
"""Attempts of a message unless it says otherwise (000, 'Default max attempts')."""

MOST_ATTEMPTS = 1000
"""Largest budget: more is a mistake in the writing, not patience."""

_NAMES = (
    "org_id",
    "idempotency_key",
    "session_id",
    "run_id",
    "hypothesis_id",
    "traceparent",
    "created_by",
)

OWN_KEY = re.compile(r"message-\d+")
"""Keys that the database gives to messages without one; a caller's would take their place."""

LONGEST_NAME = 512
"""Characters of an organisation, a key and the like: what an index of PostgreSQL holds safely."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to send.

    Attributes:
        org_id: The organisation that sends.
        channel: The way to the recipient.
        to_recipient: E.164 number with `+` for WhatsApp and SMS, address for e-mail.
        template_code: The approved template's name; None for free-form content.
        subject: Subject of an e-mail; the text of an SMS that has no payload.
        payload: `{"text": …}` for free-form content, `{"language": …, "parameters": […]}` for
            a template.
        idempotency_key: A second message with the same key is the first one.
        scheduled_at: Not before this time.
        expires_at: Not after this time: it would be of no use.
        priority: Urgent messages overtake, and come at night.
        quiet_hours_override: Comes at night although it is not urgent (003).
        traceparent: W3C trace context of the request that asks for the message.

    """

    org_id: str
    channel: Channel
    to_recipient: str
    template_code: str | None = None
    subject: str | None = None
    payload: Mapping[str, object] = field(default_factory=dict)
    idempotency_key: str | None = None
    dossier_id: int | None = None
    max_attempts: int = MAX_ATTEMPTS
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    priority: Priority = Priority.NORMAL
    quiet_hours_override: bool = False
    session_id: str | None = None
    run_id: str | None = None
    hypothesis_id: str | None = None
    traceparent: str | None = None
    created_by: str | None = None


def check_message(message: NewMessage, now: datetime | None = None) -> None:
    """Refuse what could never be sent, or would be of no use.

    Args:
        message: The message.
        now: An aware time to hold its expiry against; the host's clock unless given.

    Raises:
        UserMistake: The recipient does not fit the channel, the content breaks its limits, a time
            has no zone or comes too late, or a value is out of range.

    """
    if message.channel is Channel.EMAIL:
        _check_email(message.to_recipient)
    else:
        _check_number(message.to_recipient)
    _check_values(message)
    _check_times(message, now or datetime.now(UTC))
    fault = find_fault(
        message.channel,
        template_code=message.template_code,
        subject=message.subject,
        payload=message.payload,
    )
    if fault:
        raise UserMistake(f"The message to {message.to_recipient}: {fault.what}", fault.mend)


def _check_email(address: str) -> None:
    try:
        # SendGrid takes ASCII addresses only; whether there is such a mailbox it finds out.
        known = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise UserMistake(
            f"{address!r} is no e-mail address: {str(error).rstrip('.')}",
            "Write it as name@example.org",
        ) from error
    if known.ascii_email is None or known.ascii_email.casefold() != address.casefold():
        raise UserMistake(
            f"{address!r} is not written as mail servers write it",
            f"Write it as {known.ascii_email}",
        )


def _check_number(number: str) -> None:
    mend = "Write it in E.164 form, as in +33612345678"
    if not number.startswith("+"):
        raise UserMistake(f"{number!r} has no country code", mend)
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException as error:
        raise UserMistake(f"{number!r} is no phone number", mend) from error
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if written != number or not phonenumbers.is_possible_number(parsed):
        raise UserMistake(f"{number!r} is not a possible phone number in E.164 form", mend)


def _check_values(message: NewMessage) -> None:
    if not 1 <= message.max_attempts <= MOST_ATTEMPTS:
        raise UserMistake(
            f"max_attempts is {message.max_attempts}", f"Give a number from 1 to {MOST_ATTEMPTS}"
        )
    if OWN_KEY.fullmatch(message.idempotency_key or ""):
        raise UserMistake(
            f"The idempotency key {message.idempotency_key} has the form of those that messages "
            "without a key are given",
            "Choose a key of another form",
        )
    if not message.org_id.strip():
        raise UserMistake("org_id is empty", "Name the organisation that sends")
    if message.idempotency_key is not None and not message.idempotency_key.strip():
        raise UserMistake("idempotency_key is empty", "Leave it out, or give each message its own")
    for name in _NAMES:
        value = getattr(message, name)
        if value is not None and len(value) > LONGEST_NAME:
            raise UserMistake(
                f"{name} has {len(value)} characters", f"Keep it within {LONGEST_NAME}"
            )
        if value is not None and clean_text(value) != value:
            raise UserMistake(f"{name} is no valid text: {value!r}", "Write it as valid UTF-8")


def _check_times(message: NewMessage, now: datetime) -> None:
    for name in ("scheduled_at", "expires_at"):
        value = getattr(message, name)
        if value is not None and value.utcoffset() is None:
            raise UserMistake(
                f"{name} is {value.isoformat()}, without a time zone",
                f"Write it with one, as in {value.isoformat()}+01:00",
            )
    expires, scheduled = message.expires_at, message.scheduled_at
    if expires is None:
        return
    if expires <= now:
        raise UserMistake(
            f"expires_at is {expires.isoformat()}, which is over", "Give a time in the future"
        )
    if scheduled is not None and expires <= scheduled:
        raise UserMistake(
            f"expires_at ({expires.isoformat()}) is not after scheduled_at "
            f"({scheduled.isoformat()})",
            "Let the message expire after it is due",
        )


def enqueue(connection: psycopg.Connection, messages: Sequence[NewMessage]) -> list[int]:
    """Queue messages in the caller's transaction.

    Returns:
        The id of each message, in order; for a used idempotency key the id that it made.

    Raises:
        UserMistake: One of the messages could never be sent; none is queued then.

    """
    now = datetime.now(UTC)
    for message in messages:
        check_message(message, now)
    return [_insert(connection, message) for message in messages]


def _insert(connection: psycopg.Connection, message: NewMessage) -> int:
    row = connection.execute(
        _QUERIES["enqueue"].encode(),
        {
            "org_id": message.org_id,
            "dossier_id": message.dossier_id,
            "channel": message.channel.value,
            "to_recipient": message.to_recipient,
            "template_code": message.template_code,
            "subject": message.subject,
            "payload": _write_payload(message),
            "idempotency_key": message.idempotency_key,
            "max_attempts": message.max_attempts,
            "scheduled_at": message.scheduled_at,
            "expires_at": message.expires_at,
            "priority": message.priority.value,
            "quiet_hours_override": message.quiet_hours_override,
            "session_id": message.session_id,
            "run_id": message.run_id,
            "hypothesis_id": message.hypothesis_id,
            "traceparent": message.traceparent,
            "created_by": message.created_by,
        },
    ).fetchone()
    if row is None:
        raise RuntimeError("INSERT … RETURNING gave no row")
    return int(row[0])


def _write_payload(message: NewMessage) -> str | None:
    if not message.payload:
        return None
    try:
        written = json.dumps(dict(message.payload), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserMistake(
            f"The payload of the message to {message.to_recipient} is no JSON: {error}",
            "Give strings, numbers, arrays and objects only",
        ) from error
    decoded = json.loads(written)
    if make_storable(decoded) != decoded:
        raise UserMistake(
            f"The payload of the message to {message.to_recipient} is no valid text",
            "Write it as valid UTF-8, without NUL",
        )
    return written
