"""OpenTelemetry's own pipeline behind our spans; needs the extra `sdk`.

Finished spans become the SDK's `ReadableSpan`s and go to its span processors: the stock batch
processor and exporter, or a user's own.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.transport import TraceProtocol
from tracing.export import SpanCounts
from tracing.http_collector import resolve_address
from tracing.options import CollectorOptions

_log = logging.getLogger(__name__)

_KINDS = {
    Span.SPAN_KIND_INTERNAL: SpanKind.INTERNAL,
    Span.SPAN_KIND_SERVER: SpanKind.SERVER,
    Span.SPAN_KIND_CLIENT: SpanKind.CLIENT,
    Span.SPAN_KIND_PRODUCER: SpanKind.PRODUCER,
    Span.SPAN_KIND_CONSUMER: SpanKind.CONSUMER,
}
_IS_REMOTE = 0x200
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

Form = TypeVar("Form", bound=ReadableSpan)


class SpanReader:
    """Makes the SDK's spans of finished ones."""

    def __init__(self, resource: Mapping[str, str], scope: str) -> None:
        """Take what the spans of one service share.

        Args:
            resource: Attributes of the service.
            scope: Name of the instrumentation scope.

        """
        self._resource = Resource(resource)
        self._scope = InstrumentationScope(scope)

    def read(self, written: bytes, form: type[Form]) -> Form:
        """Give a finished span, an OTLP `Span` as bytes, as `form`: a kind of `ReadableSpan`."""
        span = Span.FromString(written)
        parent = span.parent_span_id
        return form(
            span.name,
            context=_context(span.trace_id, span.span_id, remote=False),
            parent=(
                _context(span.trace_id, parent, remote=bool(span.flags & _IS_REMOTE))
                if parent
                else None
            ),
            resource=self._resource,
            attributes=_read_attributes(span.attributes),
            events=[
                Event(event.name, _read_attributes(event.attributes), event.time_unix_nano)
                for event in span.events
            ],
            links=[
                Link(_context(link.trace_id, link.span_id, remote=bool(link.flags & _IS_REMOTE)))
                for link in span.links
            ],
            kind=_KINDS[span.kind],
            instrumentation_scope=self._scope,
            status=Status(StatusCode(span.status.code), span.status.message or None),
            start_time=span.start_time_unix_nano,
            end_time=span.end_time_unix_nano,
        )


def _read_attributes(attributes: Iterable[KeyValue]) -> dict[str, str | int | float | bool]:
    return {
        item.key: getattr(item.value, str(item.value.WhichOneof("value"))) for item in attributes
    }


class SpanBridge:
    """Hands finished spans to span processors; `take` is a sink for `start_tracing`.

    A processor's `on_end` is called by whoever ends a span, so it must be quick; `on_start` is
    never called, since a span is the SDK's only when it is over.
    """

    def __init__(self, processors: Sequence[SpanProcessor], reader: SpanReader) -> None:
        """Take the processors, which are the caller's to shut down, and what makes spans."""
        self._processors = tuple(processors)
        self._reader = reader
        self._failed = False

    def take(self, span: bytes) -> None:
        """Hand on a finished span, an OTLP `Span` as bytes."""
        readable = self._reader.read(span, ReadableSpan)
        for processor in self._processors:
            try:
                processor.on_end(readable)
            except Exception:  # noqa: BLE001 - a user's own processor may raise anything
                # Whoever ends a span is in the middle of a send, which nothing here may break.
                if not self._failed:
                    _log.exception("a span processor failed (logged once)")
                self._failed = True


class _Numbered(ReadableSpan):
    """A span that knows how many went before it."""

    number: int


class _CountingExporter(SpanExporter):
    """The stock exporter, and what became of the spans that were given to it.

    The batch processor tells nobody how many spans its full queue dropped. It keeps their order,
    so the numbers that are missing when a batch arrives here are those that were.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lock = threading.Lock()
        self._latest = 0
        self._exported = 0
        self._dropped = 0
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch, and count it."""
        if self._ended:
            return SpanExportResult.FAILURE
        latest = max(span.number for span in spans if isinstance(span, _Numbered))
        with self._lock:
            self._dropped += latest - self._latest - len(spans)
            self._latest = latest
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            with self._lock:
                if result is SpanExportResult.SUCCESS:
                    self._exported += len(spans)
                else:
                    self._dropped += len(spans)
        return result

    def shutdown(self) -> None:
        """End the exporter's waits and connections, once."""
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self._exporter.shutdown()

    def settled(self) -> tuple[int, int]:
        """Give how many spans were exported, and how many are known to be lost."""
        with self._lock:
            return self._exported, self._dropped


class SdkPipeline:
    """Exports through the SDK's batch processor; any thread may call it."""

    def __init__(self, exporter: SpanExporter, reader: SpanReader) -> None:
        """Start the processor, with the bounds that the variables OTEL_BSP_* give it."""
        self._exporter = _CountingExporter(exporter)
        self._processor = BatchSpanProcessor(self._exporter)
        self._reader = reader
        self._lock = threading.Lock()
        self._taken = 0
        self._closed = False

    def take(self, span: bytes) -> None:
        """Queue a finished span, or count it as dropped; never waits for the collector."""
        readable = self._reader.read(span, _Numbered)
        # Numbers must reach the queue in their order.
        with self._lock:
            self._taken += 1
            if not self._closed:
                readable.number = self._taken
                self._processor.on_end(readable)

    def counts(self) -> SpanCounts:
        """Give the counts of this moment.

        What a full queue dropped counts as waiting until the next batch is exported, and what the
        collector refuses of a batch it takes (OTLP's partial success) as exported: the stock
        exporter does not tell.
        """
        exported, dropped = self._exporter.settled()
        with self._lock:
            waiting = self._taken - exported - dropped
            if self._closed:
                return SpanCounts(exported, dropped + waiting, 0)
            return SpanCounts(exported, dropped, waiting)

    def close(self, timeout_s: float) -> None:
        """Export what waits for at most `timeout_s` seconds; the rest counts as dropped."""
        # Their own shutdowns may take half a minute each, whatever the caller wants.
        ending = _call_aside(self._processor.shutdown)
        ending.join(timeout_s)
        with self._lock:
            self._closed = True
        if ending.is_alive():
            _call_aside(self._exporter.shutdown)


def _call_aside(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function, name="span-export-end", daemon=True)
    thread.start()
    return thread


def open_sdk_pipeline(
    endpoint: str, options: CollectorOptions, resource: Mapping[str, str], scope: str
) -> SdkPipeline:
    """Open the SDK's pipeline to a collector.

    Args:
        endpoint: The collector's address.
        options: How to talk to it.
        resource: Attributes of the service.
        scope: Name of the instrumentation scope.

    Raises:
        UserMistake: The address or a header does not fit the protocol, or the SDK refuses one of
            the variables that it reads itself.
        ImportError: The exporter for the protocol is not installed.

    """
    open_exporter = _open_grpc if options.protocol is TraceProtocol.GRPC else _open_http
    try:
        return SdkPipeline(open_exporter(endpoint, options), SpanReader(resource, scope))
    except ValueError as error:
        raise UserMistake(
            f"OpenTelemetry's SDK refuses a setting: {error}",
            "Look at the variables OTEL_BSP_* and OTEL_EXPORTER_OTLP_*",
        ) from error


# The exporters read OpenTelemetry's variables too, but some differently (seconds for milliseconds):
# they get everything from our options.


def _open_http(endpoint: str, options: CollectorOptions) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415 - of an extra
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - of an extra
        OTLPSpanExporter,
    )

    url, host = resolve_address(endpoint, exact=options.exact)
    gzip = options.compresses_for(host)
    return OTLPSpanExporter(
        url,
        certificate_file=options.certificate,
        client_key_file=options.client_key,
        client_certificate_file=options.client_certificate,
        headers=dict(options.headers),
        timeout=options.timeout_s,
        compression=Compression.Gzip if gzip else Compression.NoCompression,
    )


def _open_grpc(endpoint: str, options: CollectorOptions) -> SpanExporter:
    import grpc  # noqa: PLC0415 - of an extra
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - of an extra
        OTLPSpanExporter,
    )

    from tracing.grpc_collector import (  # noqa: PLC0415 - of an extra
        load_credentials,
        resolve_target,
        write_metadata,
    )

    target, host, secure = resolve_target(endpoint, insecure=options.insecure)
    gzip = options.compresses_for(host)
    return OTLPSpanExporter(
        target,
        insecure=not secure,
        credentials=load_credentials(options) if secure else None,
        headers=write_metadata(options.headers),
        timeout=options.timeout_s,
        compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression,
    )


def _context(trace_id: bytes, span_id: bytes, *, remote: bool) -> SpanContext:
    return SpanContext(
        int.from_bytes(trace_id), int.from_bytes(span_id), is_remote=remote, trace_flags=_SAMPLED
    )
