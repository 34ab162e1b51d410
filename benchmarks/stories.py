"""One message's story, told through our tracing and through the stock OpenTelemetry SDK.

Both tell the same: six spans of a successful WhatsApp attempt, linked to the request that queued
it, and three spans for each of three receipts, which continue the attempt by its stored
traceparent. Tags, nesting and contexts are those of the real sender.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from outbound_slo.vocabulary.spans import SpanName, Tag
from tracing.propagation import NEW_TRACE, context_from, link_to
from tracing.setup import SCOPE, Tracing

Story = Callable[[int], None]
"""Tells of the message with this number."""

FIRST_MESSAGE = 1_000_000
"""`message.id` of the story with number 0."""

SPANS = 15
"""Spans of one story."""

_REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_URL = "https://graph.facebook.com/v26.0/123456789012345/messages"
_RECEIPTS = ("SENT", "DELIVERED", "READ")


def _recipient(number: int) -> str:
    return f"+3361{number:07d}"


def _provider_id(number: int) -> str:
    return f"wamid.HBgLMzM2MTIzNDU2NzgVAgARGBI{number:012d}"


ATTEMPT_SPANS = 6
"""Spans of a story without receipts."""


def tell_ours(tracing: Tracing, receipts: Sequence[str] = _RECEIPTS) -> Story:
    """Give the story as our sender tells it, with these receipts."""

    def tell(number: int) -> None:
        link = link_to(_REQUEST)
        attempt = tracing.span(
            SpanName.OUTBOUND_MESSAGE_PROCESS,
            {
                Tag.MESSAGE_ID: FIRST_MESSAGE + number,
                Tag.MESSAGE_CHANNEL: "WHATSAPP",
                Tag.MESSAGE_ATTEMPT: 1,
                Tag.MESSAGE_TO: _recipient(number),
                Tag.ORG_ID: "org-abc-123",
                Tag.TEMPLATE_CODE: "appointment_reminder",
                Tag.HAS_TEMPLATE: True,
                Tag.CIRCUIT_BREAKER_STATE: "CLOSED",
                Tag.CIRCUIT_BREAKER_FAILURE_RATE: 0.5,
                Tag.CIRCUIT_BREAKER_SLOW_CALL_RATE: 1.5,
            },
            parent=NEW_TRACE,
            links=[link] if link else [],
        )
        with tracing.span(
            SpanName.WHATSAPP_SEND,
            {Tag.HAS_TEMPLATE: True, Tag.WITHIN_SESSION_WINDOW: True},
            parent=attempt.context,
        ) as call:
            with tracing.span(SpanName.SESSION_WINDOW_CHECK, {Tag.WITHIN_SESSION_WINDOW: True}):
                pass
            with tracing.span(
                SpanName.HTTP_CLIENT_REQUEST, {Tag.HTTP_METHOD: "POST", Tag.HTTP_URL: _URL}
            ) as request:
                request.tags({Tag.HTTP_STATUS_CODE: 200})
            call.tags({Tag.HTTP_STATUS: 200})
            call.tags({Tag.STATUS: "SENT", Tag.PROVIDER_MESSAGE_ID: _provider_id(number)})
        stored = attempt.traceparent
        tracing.span(SpanName.DATABASE_SAVE, {Tag.STATUS: "SENT"}, parent=attempt.context).end()
        tracing.span(SpanName.METRICS_RECORD, parent=attempt.context).end()
        attempt.end()
        for status in receipts:
            identity = {
                Tag.WEBHOOK: True,
                Tag.MESSAGE_ID: FIRST_MESSAGE + number,
                Tag.PROVIDER_MESSAGE_ID: _provider_id(number),
            }
            with (
                tracing.span(SpanName.WEBHOOK_IN, identity, parent=context_from(stored)),
                tracing.span(SpanName.WEBHOOK_PROCESS, identity),
                tracing.span(SpanName.STATUS_UPDATE, {Tag.NEW_STATUS: status}),
            ):
                pass

    return tell


def tell_stock(provider: TracerProvider) -> Story:
    """Give the same story as it is told with the SDK's own API, without any of our checks."""
    tracer = provider.get_tracer(SCOPE)
    propagator = TraceContextTextMapPropagator()

    def under(span: trace.Span) -> AbstractContextManager[trace.Span]:
        return trace.use_span(span, end_on_exit=True)

    def tell(number: int) -> None:
        request = trace.get_current_span(propagator.extract({"traceparent": _REQUEST}))
        attempt = tracer.start_span(
            "outbound-message-process",
            kind=SpanKind.CONSUMER,
            links=[Link(request.get_span_context())],
            attributes={
                "message.id": FIRST_MESSAGE + number,
                "message.channel": "WHATSAPP",
                "message.attempt": 1,
                "message.to": _recipient(number),
                "org.id": "org-abc-123",
                "template.code": "appointment_reminder",
                "has.template": True,
                "circuit.breaker.state": "CLOSED",
                "circuit.breaker.failure.rate": 0.5,
                "circuit.breaker.slow.call.rate": 1.5,
            },
        )
        context = trace.set_span_in_context(attempt)
        call = tracer.start_span(
            "whatsapp-cloud-api-send",
            context,
            attributes={
                "has.template": True,
                "within.session.window": True,
                "message.to": _recipient(number),
            },
        )
        with under(call):
            with under(
                tracer.start_span(
                    "session.window.check", attributes={"within.session.window": True}
                )
            ):
                pass
            with under(
                tracer.start_span(
                    "http.client.request",
                    kind=SpanKind.CLIENT,
                    attributes={"http.method": "POST", "http.url": _URL},
                )
            ) as http:
                http.set_attribute("http.status_code", 200)
            call.set_attributes({"http.status": 200})
            call.set_attributes({"status": "SENT", "provider.message.id": _provider_id(number)})
        attempt.set_attribute("status", "SENT")
        headers: dict[str, str] = {}
        propagator.inject(headers, context)
        tracer.start_span(
            "database.save", context, SpanKind.CLIENT, attributes={"status": "SENT"}
        ).end()
        tracer.start_span("metrics.record", context).end()
        attempt.end()
        for status in _RECEIPTS:
            identity: dict[str, str | int] = {
                "webhook": True,
                "message.id": FIRST_MESSAGE + number,
                "provider.message.id": _provider_id(number),
            }
            arrival = tracer.start_span(
                "webhook.in", propagator.extract(headers), SpanKind.SERVER, attributes=identity
            )
            with (
                under(arrival),
                under(tracer.start_span("webhook.process", attributes=identity)),
                under(tracer.start_span("status.update", attributes={"new.status": status})),
            ):
                pass

    return tell
