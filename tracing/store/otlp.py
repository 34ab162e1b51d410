"""Reading OTLP/HTTP trace exports: protobuf or JSON, plain or gzip, into spans ready to be kept."""

import base64
import binascii
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf import json_format  # type: ignore[import-untyped]  # protobuf ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # as above
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from tracing.values import TagValue, show_value

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of one export after decompression; the exporter's own limit is the same."""

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_LATEST_NS = 2**63 - 1
_ID_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# Longer values (bodies, addresses) are kept and shown, but not found by a search.
_LONGEST_SEARCHABLE = 256


class MalformedExportError(Exception):
    """A body that is not an OTLP trace export; the text is one line for its sender."""


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it is stored.

    Attributes:
        origin: Resource and scope it came with, serialised OTLP `ResourceSpans` without spans.
        body: The OTLP `Span`, serialised.
        searchable: Its tags as `(key, value as text)`.

    """

    trace_id: bytes
    span_id: bytes
    service: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    origin: bytes
    body: bytes
    searchable: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Export:
    """One request's spans, and how many were refused for an impossible id or time."""

    spans: tuple[ReceivedSpan, ...]
    refused: int


def read_export(body: bytes, content_type: str, content_encoding: str) -> Export:
    """Decode the body of `POST /v1/traces`.

    Args:
        body: Bytes as received.
        content_type: `application/x-protobuf` or `application/json`, without parameters.
        content_encoding: `gzip`, `identity` or empty.

    Raises:
        MalformedExportError: Another type or encoding, a broken body, or one of more than 64 MiB.

    """
    plain = _decompress(body, content_encoding)
    if content_type == PROTOBUF:
        request = _parse_protobuf(plain)
    elif content_type == JSON:
        request = _parse_json(plain)
    else:
        raise MalformedExportError(
            f"Content-Type {content_type or '(none)'} is not OTLP; send {PROTOBUF} or {JSON}"
        )
    spans = []
    refused = 0
    for received in _spans(request):
        if received is None:
            refused += 1
        else:
            spans.append(received)
    return Export(tuple(spans), refused)


def read_value(value: AnyValue) -> TagValue:
    """Give an attribute's value; lists, maps and bytes come as JSON or base64 text."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "int_value":
        return value.int_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "double_value":
        return value.double_value
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return json.dumps(_plain(value), ensure_ascii=False)


def _decompress(body: bytes, encoding: str) -> bytes:
    if encoding in {"", "identity"}:
        plain = body
    elif encoding == "gzip":
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            plain = unpacker.decompress(body, LARGEST_BODY + 1)
        except zlib.error as error:
            raise MalformedExportError("the body is not gzip, as Content-Encoding says") from error
        if not unpacker.eof and len(plain) <= LARGEST_BODY:
            raise MalformedExportError("the gzip body is cut short")
    else:
        raise MalformedExportError(f"Content-Encoding {encoding} is not known; send gzip or none")
    if len(plain) > LARGEST_BODY:
        raise MalformedExportError(f"the body is larger than {LARGEST_BODY} bytes")
    return plain


def _parse_protobuf(body: bytes) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise MalformedExportError("the body is not an OTLP protobuf trace export") from error
    return request


def _parse_json(body: bytes) -> ExportTraceServiceRequest:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise MalformedExportError(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedExportError("the JSON body is nested too deeply") from error
    if not isinstance(document, dict):
        raise MalformedExportError("the body is not a JSON object with resourceSpans")
    request = ExportTraceServiceRequest()
    try:
        json_format.ParseDict(_with_binary_ids(document), request, ignore_unknown_fields=True)
    except RecursionError as error:
        raise MalformedExportError("the JSON body is nested too deeply") from error
    except json_format.ParseError as error:
        line = " ".join(str(error).split())
        raise MalformedExportError(f"the body is not an OTLP JSON trace export: {line}") from error
    return request


def _with_binary_ids(node: object) -> object:
    """Turn OTLP's hexadecimal ids into the base64 that protobuf's own JSON mapping expects."""
    if isinstance(node, dict):
        return {
            key: _base64_id(key, value) if key in _ID_FIELDS else _with_binary_ids(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_with_binary_ids(item) for item in node]
    return node


def _base64_id(field: str, value: object) -> str:
    try:
        return base64.b64encode(bytes.fromhex(str(value))).decode()
    except (ValueError, binascii.Error) as error:
        raise MalformedExportError(f"{field} {value!r} is not hexadecimal") from error


def _spans(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan | None]:
    for group in request.resource_spans:
        service = next(
            (
                item.value.string_value
                for item in group.resource.attributes
                if item.key == "service.name"
            ),
            "unknown_service",
        )
        for scoped in group.scope_spans:
            origin = ResourceSpans(
                resource=group.resource, scope_spans=[ScopeSpans(scope=scoped.scope)]
            ).SerializeToString()
            for span in scoped.spans:
                yield _receive(span, service, origin)


def _receive(span: Span, service: str, origin: bytes) -> ReceivedSpan | None:
    if (
        len(span.trace_id) != _TRACE_ID_BYTES
        or len(span.span_id) != _SPAN_ID_BYTES
        or not any(span.trace_id)
        or not any(span.span_id)
        or max(span.start_time_unix_nano, span.end_time_unix_nano) > _LATEST_NS
    ):
        return None
    return ReceivedSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        service=service,
        name=span.name,
        kind=span.kind,
        start_ns=span.start_time_unix_nano,
        end_ns=max(span.end_time_unix_nano, span.start_time_unix_nano),
        origin=origin,
        body=span.SerializeToString(),
        searchable=searchable_tags(span),
    )


def searchable_tags(span: Span) -> tuple[tuple[str, str], ...]:
    """Give the tags by which a span is found, `error=true` among them when its status is ERROR."""
    tags = [
        (item.key, text)
        for item in span.attributes
        if len(text := show_value(read_value(item.value))) <= _LONGEST_SEARCHABLE
    ]
    if span.status.code == Status.STATUS_CODE_ERROR:
        tags.append(("error", "true"))
    return tuple(tags)


def _plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: _plain(item.value) for item in _pairs(value)}
    return None if kind is None else read_value(value)


def _pairs(value: AnyValue) -> list[KeyValue]:
    return list(value.kvlist_value.values)
