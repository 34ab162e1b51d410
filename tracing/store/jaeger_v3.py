"""Answers in the form of Jaeger's third API: OTLP JSON, with hexadecimal ids."""

from collections.abc import Iterable

from google.protobuf import json_format  # type: ignore[import-untyped]  # protobuf ships no types
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tracing.store.archive import Operation, StoredTrace
from tracing.store.jaeger_v1 import name_kind

Json = dict[str, object]

_NOT_FOUND = 404


def wrap_error(code: int, message: str) -> Json:
    """Give the body of an error; `code` is the HTTP status too."""
    return {"error": {"httpCode": code, "message": message}}


def nothing_found() -> Json:
    """Give the body of the 404 that Jaeger answers when a search finds nothing."""
    return wrap_error(_NOT_FOUND, "No traces found")


def show_traces(traces: Iterable[StoredTrace]) -> Json:
    """Give traces in one list of resource spans; a reader groups them by trace id."""
    groups = []
    for trace in traces:
        group: Json = {}
        scoped: Json = {}
        members: list[Json] = []
        last: ResourceSpans | None = None
        for stored in trace.spans:
            # Neighbours of one origin share a group, so that the order of the spans stays.
            if last is None or stored.origin != last:
                last = stored.origin
                members = []
                scoped = {"scope": _message(last.scope_spans[0].scope), "spans": members}
                group = {"resource": _message(last.resource), "scopeSpans": [scoped]}
                groups.append(group)
            members.append(_show_span(stored.span))
    return {"result": {"resourceSpans": groups}}


def show_operations(operations: Iterable[Operation]) -> Json:
    """Give operations with their kinds."""
    return {
        "operations": [
            {"name": operation.name, "spanKind": name_kind(operation.kind)}
            for operation in operations
        ]
    }


def _show_span(span: Span) -> Json:
    shown = _message(span)
    shown["traceId"] = span.trace_id.hex()
    shown["spanId"] = span.span_id.hex()
    if span.parent_span_id:
        shown["parentSpanId"] = span.parent_span_id.hex()
    if span.links:
        shown["links"] = [
            {**_message(link), "traceId": link.trace_id.hex(), "spanId": link.span_id.hex()}
            for link in span.links
        ]
    return shown


def _message(message: Span | Span.Link | Resource | InstrumentationScope) -> Json:
    # OTLP JSON writes enumerations as numbers.
    shown: Json = json_format.MessageToDict(message, use_integers_for_enums=True)
    return shown
