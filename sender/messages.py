"""A message as the HTTP face takes and shows it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import psycopg
from psycopg.rows import DictRow, dict_row
from pydantic import AfterValidator, Field, model_validator

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.statuses import (
    AttemptOutcome,
    Channel,
    MessageStatus,
    Priority,
    Turn,
)
from sender.enqueue import MAX_ATTEMPTS, OWN_KEY, NewMessage, enqueue
from sender.meanings import CodeMeanings, tell_meanings
from sender.shapes import (
    Answer,
    Flag,
    GivenMoment,
    JsonObject,
    LongText,
    Moment,
    Number,
    Question,
    ShortText,
    show_examples,
)

_QUERIES = load_queries("sender", "sql/diagnostics.sql")

MOST_ATTEMPTS = 100
"""Attempts that one answer lists; the latest."""

PriorityName = Literal["URGENT", "NORMAL", "BULK"]


def _refuse_our_key(key: str) -> str:
    if OWN_KEY.fullmatch(key):
        raise ValueError("has the form message-<number>, which is kept for messages without a key")
    return key


IdempotencyKey = Annotated[ShortText, AfterValidator(_refuse_our_key)]
"""A caller's name for its request; the same for all organisations' requests."""


class MessageRequest(Question):
    """A message to queue; `payload` has `text`, or a template's `language` and `parameters`."""

    model_config = show_examples(
        {
            "toRecipient": "+33612345678",
            "templateCode": "appointment_reminder",
            "payload": {"language": "fr", "parameters": ["17:00"]},
        },
        {
            "channel": "EMAIL",
            "toRecipient": "ann@example.org",
            "subject": "Your visit",
            "payload": {"text": "We expect you at 17:00."},
            "priority": "URGENT",
        },
    )

    to_recipient: ShortText
    channel: Channel = Channel.WHATSAPP
    org_id: Annotated[str | None, Field(pattern=r"^[!-~]{1,200}$")] = None
    template_code: ShortText | None = None
    subject: LongText | None = None
    payload: JsonObject | None = None
    dossier_id: Number | None = None
    max_attempts: Annotated[int, Field(ge=1, le=100, strict=True)] = MAX_ATTEMPTS
    scheduled_at: GivenMoment | None = None
    expires_at: GivenMoment | None = None
    priority: PriorityName = "NORMAL"
    quiet_hours_override: Flag = False
    idempotency_key: IdempotencyKey | None = None

    @model_validator(mode="after")
    def _refuse_never(self) -> Self:
        if self.scheduled_at and self.expires_at and self.expires_at <= self.scheduled_at:
            raise ValueError("expiresAt is not after scheduledAt, so it could never be sent")
        return self


class QueuedMessage(Answer):
    """A message that was queued; `created` is false where an earlier request had its key."""

    message_id: int
    org_id: str
    channel: Channel
    to_recipient: str
    status: MessageStatus
    idempotency_key: str | None
    created: bool
    created_at: Moment
    next_retry_at: Moment
    trace_id: str | None


class MessageAttempt(Answer):
    """One attempt; `possibleDuplicate` where the message was sent again without its outcome."""

    attempt_no: int
    outcome: AttemptOutcome
    http_status: int | None
    error_code: str | None
    error_message: str | None
    provider_message_id: str | None
    started_at: Moment
    finished_at: Moment | None
    next_retry_at: Moment | None
    possible_duplicate: bool
    trace_id: str | None


class MessageState(Answer):
    """Where a message stands, with its attempts, the latest first."""

    message_id: int
    org_id: str
    channel: Channel
    to_recipient: str
    template_code: str | None
    subject: str | None
    dossier_id: int | None
    status: MessageStatus
    turn: Turn
    priority: PriorityName
    attempt_count: int
    max_attempts: int
    error_code: str | None
    error_message: str | None
    meaning: CodeMeanings | None
    provider_message_id: str | None
    idempotency_key: str | None
    scheduled_at: Moment | None
    expires_at: Moment | None
    next_retry_at: Moment | None
    created_at: Moment
    updated_at: Moment
    sent_at: Moment | None
    delivered_at: Moment | None
    read_at: Moment | None
    trace_id: str | None
    attempts: list[MessageAttempt]


def read_message(
    connection: psycopg.Connection, message_id: int, *, org_id: str | None, policy: ErrorPolicy
) -> MessageState | None:
    """Read a message; None where there is none, or where it is another organisation's."""
    row = _find(connection, message_id, org_id)
    if row is None:
        return None
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            _QUERIES["read_attempts"].encode(), {"id": message_id, "limit": MOST_ATTEMPTS}
        )
        attempts = [
            MessageAttempt(**_without(attempt), trace_id=_trace_id(attempt))
            for attempt in cursor.fetchall()
        ]
    waits = row["status"] == MessageStatus.QUEUED
    code = row["error_code"]
    told = _without(row) | {
        "priority": Priority(row["priority"]).name,
        # due_at is the one truth of when (D18), as long as there is a when.
        "next_retry_at": row["due_at"] if waits else None,
    }
    return MessageState(
        **told,
        meaning=tell_meanings(code, policy) if code else None,
        trace_id=_trace_id(row),
        attempts=attempts,
    )


class KeyInUseError(Exception):
    """The idempotency key belongs to another message."""


def queue_message(connection: psycopg.Connection, message: NewMessage) -> QueuedMessage:
    """Queue a message in the caller's transaction, or find the one that its key has made.

    Raises:
        KeyInUseError: The key has made a message that says something else.
        UserMistake: The message could never be sent.

    """
    [number] = enqueue(connection, [message])
    row = _find(connection, number, None)
    if row is None:
        raise RuntimeError("a message that was queued is not there")
    # Each request has a span of its own, so its traceparent tells whose message this is.
    created = row["traceparent"] == message.traceparent
    if not created and not _is_same(row, message):
        raise KeyInUseError
    return QueuedMessage(
        message_id=number,
        org_id=row["org_id"],
        channel=row["channel"],
        to_recipient=row["to_recipient"],
        status=row["status"],
        idempotency_key=message.idempotency_key,
        created=created,
        created_at=row["created_at"],
        next_retry_at=row["due_at"],
        trace_id=_trace_id(row),
    )


def _is_same(row: DictRow, message: NewMessage) -> bool:
    """Compare what is said and to whom; times and budgets may have moved since."""
    stored = (
        row["org_id"],
        row["channel"],
        row["to_recipient"],
        row["template_code"],
        row["subject"],
        row["payload_json"] or {},
    )
    return stored == (
        message.org_id,
        message.channel.value,
        message.to_recipient,
        message.template_code,
        message.subject,
        dict(message.payload),
    )


def _find(connection: psycopg.Connection, message_id: int, org_id: str | None) -> DictRow | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES["read_message"].encode(), {"id": message_id, "org_id": org_id})
        return cursor.fetchone()


_KEPT_BACK = frozenset({"traceparent", "payload_json", "due_at", "quiet_hours_override"})


def _without(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in _KEPT_BACK}


def _trace_id(row: Mapping[str, Any]) -> str | None:
    """Cut the trace's id out of a stored traceparent."""
    parts = (row["traceparent"] or "").split("-")
    return parts[1] if len(parts) > 1 else None
