"""A store's worth of messages with something for every trace query of runbook 000 to find."""

from collections.abc import Mapping
from dataclasses import dataclass

from outbound_slo.vocabulary.spans import SpanName, Tag
from tests.tracing_parts import SECOND_NS, ToldMessage, tell_delivered_message
from tracing.propagation import NEW_TRACE
from tracing.setup import Tracing

MS_NS = 1_000_000
SENT_S = (0.124, 0.1, 12.0)
"""What the sends with status SENT took, in seconds; the first is the delivered message's."""


@dataclass(frozen=True)
class RunbookWorld:
    """Trace ids of the told messages.

    Attributes:
        delivered: Message 12345, which 000 asks about: refused once (130), then delivered.
        expired: Message 12346: error 132016 outside the session window, without a template.
        held_back: Message 12347: circuit breaker open.
        provider_error: Message 12348: error 1.
        quick: Message 12349, sent in 0.1 s.
        slow: Message 12350, sent in 12 s.

    """

    delivered: ToldMessage
    expired: str
    held_back: str
    provider_error: str
    quick: str
    slow: str


def tell_runbook_world(tracing: Tracing, now_ns: int) -> RunbookWorld:
    """Tell of messages of the last half hour; 12345 goes to +33612345678, others elsewhere."""
    delivered = tell_delivered_message(tracing, 12345, now_ns - 1800 * SECOND_NS)
    expired = _tell_attempt(
        tracing, 12346, now_ns - 600 * SECOND_NS, 45,
        {Tag.WITHIN_SESSION_WINDOW: False, Tag.HAS_TEMPLATE: False, Tag.STATUS: "FAILED",
         Tag.ERROR_CODE: "132016"},
        error="session_window",
    )  # fmt: skip
    held_back = _tell_attempt(
        tracing, 12347, now_ns - 500 * SECOND_NS, 2,
        {Tag.STATUS: "QUEUED", Tag.ERROR_CODE: "CIRCUIT_BREAKER_OPEN", Tag.RETRY_SCHEDULED: True},
        error="CircuitBreakerOpenException",
        breaker={Tag.CIRCUIT_BREAKER_STATE: "OPEN", Tag.CIRCUIT_BREAKER_FAILURE_RATE: 87.0},
    )  # fmt: skip
    provider_error = _tell_attempt(
        tracing, 12348, now_ns - 400 * SECOND_NS, 5200,
        {Tag.STATUS: "QUEUED", Tag.ERROR_CODE: "1", Tag.HTTP_STATUS: 500},
        error="temporary",
    )  # fmt: skip
    quick = _tell_attempt(
        tracing, 12349, now_ns - 300 * SECOND_NS, 100, {Tag.STATUS: "SENT", Tag.HTTP_STATUS: 200}
    )
    slow = _tell_attempt(
        tracing, 12350, now_ns - 200 * SECOND_NS, 12_000, {Tag.STATUS: "SENT", Tag.HTTP_STATUS: 200}
    )
    return RunbookWorld(delivered, expired, held_back, provider_error, quick, slow)


def _tell_attempt(
    tracing: Tracing,
    message_id: int,
    start_ns: int,
    took_ms: int,
    send_tags: Mapping[Tag, object],
    *,
    error: str | None = None,
    breaker: Mapping[Tag, object] | None = None,
) -> str:
    attempt = tracing.span(
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        {
            Tag.MESSAGE_ID: message_id,
            Tag.MESSAGE_CHANNEL: "WHATSAPP",
            Tag.MESSAGE_ATTEMPT: 1,
            Tag.MESSAGE_TO: f"+336000{message_id}",
            **(breaker or {Tag.CIRCUIT_BREAKER_STATE: "CLOSED"}),
        },
        parent=NEW_TRACE,
        start_ns=start_ns,
    )
    send = tracing.span(
        SpanName.WHATSAPP_SEND, send_tags, parent=attempt.context, start_ns=start_ns
    )
    send.tags(send_tags)
    if error is not None:
        send.fail(error)
    send.end(start_ns + took_ms * MS_NS)
    attempt.end(start_ns + took_ms * MS_NS)
    return attempt.trace_id
