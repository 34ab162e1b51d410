"""Putting messages on the queue: the one door for programs, the demo and the command line."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import phonenumbers
import psycopg

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel, Priority

_QUERIES = load_queries("sender", "sql/outbox.sql")

# Deliverability is the provider's to judge; this catches what can't be an address at all.
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")

MAX_ATTEMPTS = 5
"""Attempts of a message unless it says otherwise (000, 'Default max attempts')."""


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


def check_message(message: NewMessage) -> None:
    """Refuse what no provider could send.

    Raises:
        UserMistake: The recipient does not fit the channel, or there is no content.

    """
    if message.channel is Channel.EMAIL:
        if not _EMAIL.fullmatch(message.to_recipient):
            raise UserMistake(
                f"{message.to_recipient!r} is no e-mail address", "Write it as name@example.org"
            )
    else:
        _check_number(message.to_recipient)
    if message.max_attempts < 1:
        raise UserMistake(f"max_attempts is {message.max_attempts}", "Allow at least one attempt")
    if not (message.template_code or message.subject or message.payload.get("text")):
        raise UserMistake(
            f"The message to {message.to_recipient} has no content",
            "Give a template code, a subject or a payload with a text",
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


def enqueue(connection: psycopg.Connection, messages: Sequence[NewMessage]) -> list[int]:
    """Queue messages in the caller's transaction.

    Returns:
        The id of each message, in order; for a used idempotency key the id that it made.

    Raises:
        UserMistake: One of the messages could never be sent; none is queued then.

    """
    for message in messages:
        check_message(message)
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
            "payload": json.dumps(message.payload) if message.payload else None,
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
