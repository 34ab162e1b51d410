"""Parts for the tracing tests: a running store, and messages whose stories are told into it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from outbound_slo.vocabulary.spans import SPANS, SpanName, Tag
from tracing.propagation import NEW_TRACE, TraceContext, context_from, link_to
from tracing.setup import Tracing, start_tracing
from tracing.store.archive import TraceArchive
from tracing.store.otlp import read_value
from tracing.store.server import serve
from tracing.values import TagValue

SECOND_NS = 1_000_000_000


@contextmanager
def run_store(archive: TraceArchive, port: int = 0) -> Iterator[str]:
    """Serve an archive on a free port from a thread of its own; gives the URL."""
    listening = threading.Event()
    urls: list[str] = []
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def announce(url: str) -> None:
        urls.append(url)
        listening.set()

    async def run() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        await serve(archive, "127.0.0.1", port, announce=announce, stop=stop)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert listening.wait(30), "the trace store did not start"
        yield urls[0]
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@contextmanager
def open_store(path: Path) -> Iterator[str]:
    """Make an archive and serve it; gives the URL."""
    archive = TraceArchive(path)
    try:
        with run_store(archive) as url:
            yield url
    finally:
        archive.close()


@dataclass(frozen=True)
class FinishedSpan:
    """A span as the collector would read it: ids in hexadecimal, tags with their types.

    What is the same on each span of its name is checked, and left out of the tags.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    tags: dict[str, TagValue]
    message: Span


@dataclass
class FinishedSpans:
    """A sink that decodes what it takes with OpenTelemetry's own message classes."""

    spans: list[FinishedSpan] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)

    def take(self, written: bytes) -> None:
        """Keep a finished span."""
        self.written.append(written)
        message = Span.FromString(written)
        found = {item.key: read_value(item.value) for item in message.attributes}
        constants = dict(SPANS[SpanName(message.name)].constants)
        assert {key: found.pop(key) for key in constants} == constants
        self.spans.append(
            FinishedSpan(
                message.name,
                message.trace_id.hex(),
                message.span_id.hex(),
                message.parent_span_id.hex(),
                message.start_time_unix_nano,
                message.end_time_unix_nano,
                found,
                message,
            )
        )

    def by_name(self) -> dict[str, FinishedSpan]:
        """Give the latest span of each name."""
        return {span.name: span for span in self.spans}


def trace_in_memory(*, strict: bool = True) -> tuple[Tracing, FinishedSpans]:
    """Start tracing that keeps finished spans in memory."""
    memory = FinishedSpans()
    return start_tracing(strict=strict, sinks=[memory.take]), memory


@dataclass(frozen=True)
class ToldMessage:
    """Ids of a message whose story has been told."""

    request_trace_id: str
    attempt_trace_ids: tuple[str, ...]


def tell_delivered_message(tracing: Tracing, message_id: int, start_ns: int) -> ToldMessage:
    """Tell of a message that a request queued, refused once, then sent and delivered.

    Times are fixed from `start_ns`: the first attempt takes 285 ms, the second comes after a
    minute, and its delivery webhook 125 s after that.
    """
    request = tracing.span(
        SpanName.HTTP_IN,
        {Tag.HTTP_METHOD: "POST", Tag.MESSAGE_ID: message_id, Tag.ORG_ID: "org-abc-123"},
        parent=NEW_TRACE,
        start_ns=start_ns,
    )
    request.tag(Tag.HTTP_STATUS_CODE, 202)
    request.end(start_ns + 4_000_000)
    first = _tell_refused_attempt(tracing, message_id, request.traceparent, start_ns + SECOND_NS)
    second = _tell_sent_attempt(tracing, message_id, first[1], start_ns + 61 * SECOND_NS)
    _tell_webhook(tracing, message_id, second[1], start_ns + 186 * SECOND_NS)
    return ToldMessage(request.trace_id, (first[0], second[0]))


def _attempt_tags(message_id: int, attempt: int) -> dict[Tag, object]:
    return {
        Tag.MESSAGE_ID: message_id,
        Tag.MESSAGE_CHANNEL: "WHATSAPP",
        Tag.MESSAGE_ATTEMPT: attempt,
        Tag.MESSAGE_TO: "+33612345678",
        Tag.ORG_ID: "org-abc-123",
        Tag.CIRCUIT_BREAKER_STATE: "CLOSED",
        Tag.CIRCUIT_BREAKER_FAILURE_RATE: 12.5,
    }


def _tell_refused_attempt(
    tracing: Tracing, message_id: int, request: str, start_ns: int
) -> tuple[str, str]:
    link = link_to(request)
    assert link is not None
    attempt = tracing.span(
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        _attempt_tags(message_id, 1),
        parent=NEW_TRACE,
        links=[link],
        start_ns=start_ns,
    )
    send = tracing.span(
        SpanName.WHATSAPP_SEND,
        {Tag.WITHIN_SESSION_WINDOW: True, Tag.HAS_TEMPLATE: True},
        parent=attempt.context,
        start_ns=start_ns + 1_000_000,
    )
    call = tracing.span(
        SpanName.HTTP_CLIENT_REQUEST,
        {Tag.HTTP_METHOD: "POST", Tag.HTTP_URL: "https://graph.example/messages"},
        parent=send.context,
        start_ns=start_ns + 2_000_000,
    )
    call.tags({Tag.HTTP_STATUS_CODE: 429, Tag.HTTP_RESPONSE_HEADER_RETRY_AFTER: "60"})
    call.fail("rate_limited")
    call.end(start_ns + 280_000_000)
    send.tags({Tag.HTTP_STATUS: 429, Tag.ERROR_CODE: "130", Tag.RETRY_AFTER: 60})
    send.tags({Tag.STATUS: "QUEUED", Tag.RETRY_SCHEDULED: True})
    send.fail("rate_limited", "Rate limit hit")
    send.end(start_ns + 281_000_000)
    _tell_save(tracing, attempt.context, start_ns + 282_000_000)
    attempt.end(start_ns + 285_000_000)
    return attempt.trace_id, attempt.traceparent


def _tell_sent_attempt(
    tracing: Tracing, message_id: int, earlier: str, start_ns: int
) -> tuple[str, str]:
    link = link_to(earlier)
    assert link is not None
    attempt = tracing.span(
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        _attempt_tags(message_id, 2),
        parent=NEW_TRACE,
        links=[link],
        start_ns=start_ns,
    )
    send = tracing.span(
        SpanName.WHATSAPP_SEND,
        {Tag.WITHIN_SESSION_WINDOW: False, Tag.HAS_TEMPLATE: True},
        parent=attempt.context,
        start_ns=start_ns + 1_000_000,
    )
    send.tags({Tag.HTTP_STATUS: 200, Tag.STATUS: "SENT", Tag.PROVIDER_MESSAGE_ID: "wamid.ABC123"})
    send.end(start_ns + 120_000_000)
    _tell_save(tracing, attempt.context, start_ns + 121_000_000)
    attempt.end(start_ns + 124_000_000)
    return attempt.trace_id, attempt.traceparent


def _tell_save(tracing: Tracing, parent: TraceContext, start_ns: int) -> None:
    tracing.record(
        SpanName.DATABASE_SAVE, parent=parent, start_ns=start_ns, end_ns=start_ns + 2_000_000
    )


def _tell_webhook(tracing: Tracing, message_id: int, attempt: str, start_ns: int) -> None:
    entry = tracing.span(
        SpanName.WEBHOOK_IN,
        {Tag.WEBHOOK: True, Tag.MESSAGE_ID: message_id},
        parent=context_from(attempt),
        start_ns=start_ns,
    )
    process = tracing.span(
        SpanName.WEBHOOK_PROCESS,
        {Tag.WEBHOOK: True, Tag.PROVIDER_MESSAGE_ID: "wamid.ABC123"},
        parent=entry.context,
        start_ns=start_ns + 1_000_000,
    )
    tracing.record(
        SpanName.STATUS_UPDATE,
        {Tag.NEW_STATUS: "DELIVERED"},
        parent=process.context,
        start_ns=start_ns + 2_000_000,
        end_ns=start_ns + 4_000_000,
    )
    process.end(start_ns + 5_000_000)
    entry.end(start_ns + 6_000_000)
