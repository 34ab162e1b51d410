"""Answers in the form of Jaeger's first HTTP API, which the queries of runbook 000 read.

OTLP's own fields come out as tags, as Jaeger does it: kind, scope, status, and a boolean `error`
beside the runbook's textual one (D28). One thing more than Jaeger has: a trace's `startTime` and
`duration`, which 000 reads; they are its root span's.
"""

from collections.abc import Iterable, Sequence

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from tracing.store.archive import Operation, StoredTrace
from tracing.store.otlp import read_value

Json = dict[str, object]

_NS_PER_US = 1000
_TYPES = {"string_value": "string", "bool_value": "bool", "int_value": "int64"}
_TYPES |= {"double_value": "float64", "bytes_value": "binary"}
_SERVICE = "service.name"


def wrap_data(data: Sequence[object]) -> Json:
    """Give the envelope of a good answer."""
    return {"data": list(data), "total": len(data), "limit": 0, "offset": 0, "errors": None}


def wrap_error(code: int, message: str) -> Json:
    """Give the envelope of an error; `code` is the HTTP status too."""
    errors = [{"code": code, "msg": message}]
    return {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": errors}


def show_trace(trace: StoredTrace) -> Json:
    """Give one trace: spans in the archive's order, root first, whose times are the trace's."""
    processes: dict[bytes, str] = {}
    shown: dict[str, Json] = {}
    spans: list[Json] = []
    for stored in trace.spans:
        resource = stored.origin.resource.SerializeToString()
        if resource not in processes:
            processes[resource] = f"p{len(processes) + 1}"
            shown[processes[resource]] = _show_process(stored.origin)
        spans.append(_show_span(stored.span, stored.origin, processes[resource]))
    return {
        "traceID": trace.trace_id.hex(),
        "startTime": spans[0]["startTime"],
        "duration": spans[0]["duration"],
        "spans": spans,
        "processes": shown,
        "warnings": None,
    }


def show_operations(operations: Iterable[Operation]) -> list[Json]:
    """Give operations with their kinds, as `/api/operations` does."""
    return [
        {"name": operation.name, "spanKind": name_kind(operation.kind)} for operation in operations
    ]


def name_kind(kind: int) -> str:
    """Name OTLP's number of a span kind, empty for none."""
    known = Span.SpanKind.keys()
    name = Span.SpanKind.Name(kind) if 0 < kind < len(known) else ""
    return name.removeprefix("SPAN_KIND_").lower()


def _show_span(span: Span, origin: ResourceSpans, process: str) -> Json:
    start_us = span.start_time_unix_nano // _NS_PER_US
    elapsed_ns = max(span.end_time_unix_nano - span.start_time_unix_nano, 0)
    return {
        "traceID": span.trace_id.hex(),
        "spanID": span.span_id.hex(),
        "operationName": span.name,
        "references": _show_references(span),
        "startTime": start_us,
        "duration": elapsed_ns // _NS_PER_US,
        "tags": [*_show_scope(origin), *_show_tags(span.attributes), *_show_fields(span)],
        "logs": [
            {
                "timestamp": event.time_unix_nano // _NS_PER_US,
                "fields": [_tag("event", "string", event.name), *_show_tags(event.attributes)],
            }
            for event in span.events
        ],
        "processID": process,
        "warnings": None,
    }


def _show_references(span: Span) -> list[Json]:
    references = []
    if span.parent_span_id:
        references.append(_reference("CHILD_OF", span.trace_id, span.parent_span_id))
    references += [_reference("FOLLOWS_FROM", link.trace_id, link.span_id) for link in span.links]
    return references


def _reference(kind: str, trace_id: bytes, span_id: bytes) -> Json:
    return {"refType": kind, "traceID": trace_id.hex(), "spanID": span_id.hex()}


def _show_scope(origin: ResourceSpans) -> list[Json]:
    scope = origin.scope_spans[0].scope
    fields = [("otel.scope.name", scope.name), ("otel.scope.version", scope.version)]
    return [_tag(key, "string", value) for key, value in fields if value]


def _show_fields(span: Span) -> list[Json]:
    tags = []
    if kind := name_kind(span.kind):
        tags.append(_tag("span.kind", "string", kind))
    if span.status.code == Status.STATUS_CODE_ERROR:
        tags.append(_tag("otel.status_code", "string", "ERROR"))
        tags.append(_tag("error", "bool", value=True))
    elif span.status.code == Status.STATUS_CODE_OK:
        tags.append(_tag("otel.status_code", "string", "OK"))
    if span.status.message:
        tags.append(_tag("otel.status_description", "string", span.status.message))
    return tags


def _show_process(origin: ResourceSpans) -> Json:
    attributes = origin.resource.attributes
    name = next((item.value.string_value for item in attributes if item.key == _SERVICE), "")
    others = [item for item in attributes if item.key != _SERVICE]
    return {"serviceName": name or "unknown_service", "tags": _show_tags(others)}


def _show_tags(attributes: Iterable[KeyValue]) -> list[Json]:
    return [_tag(item.key, _type_of(item.value), read_value(item.value)) for item in attributes]


def _type_of(value: AnyValue) -> str:
    return _TYPES.get(value.WhichOneof("value") or "", "string")


def _tag(key: str, kind: str, value: object) -> Json:
    return {"key": key, "type": kind, "value": value}
