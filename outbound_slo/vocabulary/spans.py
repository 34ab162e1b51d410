"""Spans and tags of a message's story, named once: the span tree and the tag table of runbook 000.

The table of spans says where each may stand; `tracing.hierarchy` enforces it. Decisions that the
runbook leaves open (two spellings of a span name, a type it never states) are noted beside the row
they concern.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class SpanName(StrEnum):
    """Every span this product opens."""

    HTTP_IN = "http.in"
    OUTBOUND_MESSAGE_PROCESS = "outbound-message-process"
    WHATSAPP_SEND = "whatsapp-cloud-api-send"
    TWILIO_SEND = "twilio-sms-send"
    SENDGRID_SEND = "sendgrid-email-send"
    HTTP_CLIENT_REQUEST = "http.client.request"
    SESSION_WINDOW_CHECK = "session.window.check"
    DATABASE_SAVE = "database.save"
    METRICS_RECORD = "metrics.record"
    WEBHOOK_IN = "webhook.in"
    WEBHOOK_PROCESS = "webhook.process"
    STATUS_UPDATE = "status.update"


class SpanKind(StrEnum):
    """OpenTelemetry's span kinds, by the names that Jaeger shows."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


PROVIDER_SPANS: frozenset[SpanName] = frozenset(
    {SpanName.WHATSAPP_SEND, SpanName.TWILIO_SEND, SpanName.SENDGRID_SEND}
)
"""The spans that stand for one call of one provider; at most one of them in an attempt."""


class Tag(StrEnum):
    """Every tag (attribute) this product sets on a span."""

    MESSAGE_ID = "message.id"
    MESSAGE_CHANNEL = "message.channel"
    MESSAGE_ATTEMPT = "message.attempt"
    MESSAGE_TO = "message.to"
    ORG_ID = "org.id"
    TEMPLATE_CODE = "template.code"
    WITHIN_SESSION_WINDOW = "within.session.window"
    HAS_TEMPLATE = "has.template"
    ERROR_CODE = "error.code"
    ERROR = "error"
    STATUS = "status"
    CIRCUIT_BREAKER_STATE = "circuit.breaker.state"
    HTTP_STATUS = "http.status"
    HTTP_METHOD = "http.method"
    PROVIDER_MESSAGE_ID = "provider.message.id"
    RETRY_AFTER = "retry.after"
    SESSION_ID = "session.id"
    RUN_ID = "run.id"
    HYPOTHESIS_ID = "hypothesis.id"

    CIRCUIT_BREAKER_FAILURE_RATE = "circuit.breaker.failure.rate"
    CIRCUIT_BREAKER_SLOW_CALL_RATE = "circuit.breaker.slow.call.rate"
    RETRY_SCHEDULED = "retry.scheduled"
    TIMEOUT = "timeout"
    EXCEPTION = "exception"
    ERROR_MESSAGE = "error.message"
    NEW_STATUS = "new.status"
    HTTP_STATUS_CODE = "http.status_code"
    HTTP_URL = "http.url"
    HTTP_RESPONSE_HEADER_RETRY_AFTER = "http.response.header.retry-after"
    HTTP_RESPONSE_BODY = "http.response.body"
    WEBHOOK = "webhook"

    ERROR_TYPE = "error.type"
    WEBHOOK_DUPLICATE = "webhook.duplicate"
    WEBHOOK_OUT_OF_ORDER = "webhook.out_of_order"

    HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
    HTTP_ROUTE = "http.route"
    SERVER_ADDRESS = "server.address"
    DB_OPERATION_BATCH_SIZE = "db.operation.batch.size"


class TagOrigin(StrEnum):
    """Where a tag comes from."""

    TABLE = "000, tag table"
    PATTERN = "000, failure patterns and queries"
    RUNBOOK_004 = "004"
    OPENTELEMETRY = "OpenTelemetry"
    HOUSE = "house"


@dataclass(frozen=True, slots=True)
class TagRow:
    """One tag: the Python type of its value, an example, and what it says."""

    type: type[str] | type[int] | type[float] | type[bool]
    example: str | int | float | bool
    meaning: str
    origin: TagOrigin


_TABLE = TagOrigin.TABLE
_PATTERN = TagOrigin.PATTERN
_HOUSE = TagOrigin.HOUSE
_OTEL = TagOrigin.OPENTELEMETRY

TAGS: Mapping[Tag, TagRow] = MappingProxyType(
    {
        Tag.MESSAGE_ID: TagRow(int, 12345, "outbound_message.id", _TABLE),
        Tag.MESSAGE_CHANNEL: TagRow(str, "WHATSAPP", "channel, upper case (D1)", _TABLE),
        Tag.MESSAGE_ATTEMPT: TagRow(int, 3, "attempt number, from 1", _TABLE),
        Tag.MESSAGE_TO: TagRow(str, "+33612345678", "recipient, E.164; may be masked", _TABLE),
        Tag.ORG_ID: TagRow(str, "org-abc-123", "organisation", _TABLE),
        Tag.TEMPLATE_CODE: TagRow(str, "appointment_reminder", "template asked for", _TABLE),
        Tag.WITHIN_SESSION_WINDOW: TagRow(bool, True, "24-hour window open at the send", _TABLE),
        Tag.HAS_TEMPLATE: TagRow(bool, False, "message uses a template", _TABLE),
        Tag.ERROR_CODE: TagRow(str, "132016", "provider's or house's error code", _TABLE),
        Tag.ERROR: TagRow(str, "session_expired", "kind of error, in one word (D28)", _TABLE),
        Tag.STATUS: TagRow(str, "SENT", "message status after this step, upper case", _TABLE),
        Tag.CIRCUIT_BREAKER_STATE: TagRow(str, "OPEN", "CLOSED, OPEN or HALF_OPEN", _TABLE),
        Tag.HTTP_STATUS: TagRow(int, 429, "HTTP status, on the provider span", _TABLE),
        Tag.HTTP_METHOD: TagRow(str, "POST", "HTTP method", _TABLE),
        Tag.PROVIDER_MESSAGE_ID: TagRow(str, "wamid.ABC123", "the provider's id", _TABLE),
        Tag.RETRY_AFTER: TagRow(int, 3600, "Retry-After as understood, seconds", _TABLE),
        Tag.SESSION_ID: TagRow(str, "session-789", "from baggage sessionId", _TABLE),
        Tag.RUN_ID: TagRow(str, "run-456", "from baggage run.id", _TABLE),
        Tag.HYPOTHESIS_ID: TagRow(str, "hyp-123", "from baggage hypothesis.id", _TABLE),
        # The pattern prints 87%: kept as a number, so that a search can compare it; the tree adds
        # the sign.
        Tag.CIRCUIT_BREAKER_FAILURE_RATE: TagRow(float, 87.0, "percent, 0 to 100", _PATTERN),
        Tag.CIRCUIT_BREAKER_SLOW_CALL_RATE: TagRow(float, 45.0, "percent, 0 to 100", _PATTERN),
        Tag.RETRY_SCHEDULED: TagRow(bool, True, "another attempt is planned", _PATTERN),
        Tag.TIMEOUT: TagRow(bool, False, "the call ended by its own time limit", _PATTERN),
        # Where the provider answers 5xx, the class that 000 shows for it, whatever made the call.
        Tag.EXCEPTION: TagRow(str, "ServerDisconnectedError", "class name, no text", _PATTERN),
        Tag.ERROR_MESSAGE: TagRow(str, "Template not found", "provider's text, scrubbed", _PATTERN),
        Tag.NEW_STATUS: TagRow(str, "DELIVERED", "status a webhook brought", _PATTERN),
        Tag.HTTP_STATUS_CODE: TagRow(int, 429, "HTTP status, on the HTTP span", _PATTERN),
        Tag.HTTP_URL: TagRow(str, "https://graph.facebook.com/…", "address, no query", _PATTERN),
        # A header is text; the number understood from it is retry.after.
        Tag.HTTP_RESPONSE_HEADER_RETRY_AFTER: TagRow(str, "3600", "header as received", _PATTERN),
        Tag.HTTP_RESPONSE_BODY: TagRow(
            str, '{"error":{"code":133004}}', "the error object only, scrubbed (D37)", _PATTERN
        ),
        Tag.WEBHOOK: TagRow(bool, True, "span belongs to a webhook", TagOrigin.RUNBOOK_004),
        Tag.ERROR_TYPE: TagRow(str, "session_expired", "OpenTelemetry's twin of error", _OTEL),
        Tag.HTTP_RESPONSE_STATUS_CODE: TagRow(int, 429, "HTTP status, its current name", _OTEL),
        Tag.HTTP_ROUTE: TagRow(str, "/api/v1/outbound/messages", "route of a request", _OTEL),
        Tag.SERVER_ADDRESS: TagRow(str, "graph.facebook.com", "host that was called", _OTEL),
        Tag.DB_OPERATION_BATCH_SIZE: TagRow(int, 20, "attempts settled together", _OTEL),
        Tag.WEBHOOK_DUPLICATE: TagRow(bool, True, "this receipt had come before", _HOUSE),
        Tag.WEBHOOK_OUT_OF_ORDER: TagRow(bool, True, "a later status was known", _HOUSE),
    }
)

SHARED_TAGS: frozenset[Tag] = frozenset(
    {Tag.STATUS, Tag.ERROR_CODE, Tag.HAS_TEMPLATE, Tag.MESSAGE_TO}
)
"""Kept equal on provider span and process span: 000 shows them there, queries them here (D27)."""


@dataclass(frozen=True, slots=True)
class SpanRow:
    """Where a span may stand.

    Attributes:
        kind: OpenTelemetry's span kind.
        parents: Legal parents in the same process; None among them means that it may start a trace.
        remote_parents: Legal parents reached through a stored or received traceparent. The name
            behind a traceparent can't be seen, so this documents it, and an empty set forbids any
            remote parent.
        carries: Tags that a reader may expect on it.
        constants: Attributes of OpenTelemetry's conventions that are the same on each of them.

    """

    kind: SpanKind
    parents: frozenset[SpanName | None]
    remote_parents: frozenset[SpanName]
    carries: tuple[Tag, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()


_CORRELATION = (Tag.SESSION_ID, Tag.RUN_ID, Tag.HYPOTHESIS_ID)
_PROCESS = SpanName.OUTBOUND_MESSAGE_PROCESS
_NOWHERE: frozenset[SpanName] = frozenset()
_POST = (("http.request.method", "POST"),)


def _provider_row() -> SpanRow:
    return SpanRow(
        SpanKind.INTERNAL,
        frozenset({_PROCESS}),
        _NOWHERE,
        (
            Tag.WITHIN_SESSION_WINDOW,
            Tag.HAS_TEMPLATE,
            Tag.MESSAGE_TO,
            Tag.HTTP_STATUS,
            Tag.ERROR,
            Tag.ERROR_TYPE,
            Tag.ERROR_CODE,
            Tag.ERROR_MESSAGE,
            Tag.RETRY_AFTER,
            Tag.RETRY_SCHEDULED,
            Tag.STATUS,
            Tag.PROVIDER_MESSAGE_ID,
        ),
    )


SPANS: Mapping[SpanName, SpanRow] = MappingProxyType(
    {
        # The caller's own span may be the remote parent; its name is not ours to know.
        SpanName.HTTP_IN: SpanRow(
            SpanKind.SERVER,
            frozenset({None}),
            frozenset({SpanName.HTTP_IN}),
            (
                Tag.HTTP_METHOD,
                Tag.HTTP_STATUS_CODE,
                Tag.HTTP_RESPONSE_STATUS_CODE,
                Tag.HTTP_ROUTE,
                Tag.MESSAGE_ID,
                Tag.ORG_ID,
                *_CORRELATION,
            ),
            _POST,
        ),
        # Always the root: one trace per attempt, tied to the request and to earlier attempts by
        # links (D11).
        _PROCESS: SpanRow(
            SpanKind.CONSUMER,
            frozenset({None}),
            _NOWHERE,
            (
                Tag.MESSAGE_ID,
                Tag.MESSAGE_CHANNEL,
                Tag.MESSAGE_ATTEMPT,
                Tag.MESSAGE_TO,
                Tag.ORG_ID,
                Tag.TEMPLATE_CODE,
                Tag.HAS_TEMPLATE,
                Tag.STATUS,
                Tag.ERROR_CODE,
                Tag.CIRCUIT_BREAKER_STATE,
                Tag.CIRCUIT_BREAKER_FAILURE_RATE,
                Tag.CIRCUIT_BREAKER_SLOW_CALL_RATE,
                *_CORRELATION,
            ),
            (
                ("messaging.system", "postgresql"),
                ("messaging.destination.name", "outbound_message"),
                ("messaging.operation.name", "process"),
                ("messaging.operation.type", "process"),
            ),
        ),
        SpanName.WHATSAPP_SEND: _provider_row(),
        SpanName.TWILIO_SEND: _provider_row(),
        SpanName.SENDGRID_SEND: _provider_row(),
        # Under the provider span, as in 000's tree, not beside it as in its patterns (D26).
        SpanName.HTTP_CLIENT_REQUEST: SpanRow(
            SpanKind.CLIENT,
            frozenset(PROVIDER_SPANS),
            _NOWHERE,
            (
                Tag.HTTP_METHOD,
                Tag.HTTP_URL,
                Tag.SERVER_ADDRESS,
                Tag.HTTP_STATUS_CODE,
                Tag.HTTP_RESPONSE_STATUS_CODE,
                Tag.HTTP_RESPONSE_HEADER_RETRY_AFTER,
                Tag.HTTP_RESPONSE_BODY,
                Tag.EXCEPTION,
                Tag.TIMEOUT,
            ),
            _POST,
        ),
        SpanName.SESSION_WINDOW_CHECK: SpanRow(
            SpanKind.INTERNAL,
            frozenset({SpanName.WHATSAPP_SEND}),
            _NOWHERE,
            (Tag.WITHIN_SESSION_WINDOW,),
        ),
        SpanName.DATABASE_SAVE: SpanRow(
            SpanKind.CLIENT,
            frozenset({_PROCESS}),
            _NOWHERE,
            (Tag.STATUS, Tag.DB_OPERATION_BATCH_SIZE),
            (
                ("db.system.name", "postgresql"),
                ("db.operation.name", "UPDATE"),
                ("db.collection.name", "outbound_message"),
            ),
        ),
        SpanName.METRICS_RECORD: SpanRow(SpanKind.INTERNAL, frozenset({_PROCESS}), _NOWHERE),
        # A root only when no attempt is known for it: a bad signature, an unknown message.
        SpanName.WEBHOOK_IN: SpanRow(
            SpanKind.SERVER,
            frozenset({None}),
            frozenset({_PROCESS, *PROVIDER_SPANS}),
            (Tag.WEBHOOK, Tag.MESSAGE_ID, Tag.PROVIDER_MESSAGE_ID),
            _POST,
        ),
        SpanName.WEBHOOK_PROCESS: SpanRow(
            SpanKind.INTERNAL,
            frozenset({SpanName.WEBHOOK_IN}),
            frozenset({SpanName.WEBHOOK_IN}),
            (
                Tag.WEBHOOK,
                Tag.PROVIDER_MESSAGE_ID,
                Tag.WEBHOOK_DUPLICATE,
                Tag.WEBHOOK_OUT_OF_ORDER,
            ),
        ),
        SpanName.STATUS_UPDATE: SpanRow(
            SpanKind.INTERNAL,
            frozenset({SpanName.WEBHOOK_PROCESS}),
            _NOWHERE,
            (Tag.NEW_STATUS, Tag.ERROR_CODE),
        ),
    }
)

BAGGAGE_TAGS: Mapping[str, Tag] = MappingProxyType(
    {
        "sessionId": Tag.SESSION_ID,
        "run.id": Tag.RUN_ID,
        "hypothesis.id": Tag.HYPOTHESIS_ID,
    }
)
"""W3C baggage keys that travel with a message, and the tag each becomes (000)."""
