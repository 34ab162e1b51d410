"""A trace as this product reads it, whichever of Jaeger's APIs it came from.

Times are whole microseconds, the unit of Jaeger's first API and of runbook 000, so that both APIs
give equal values.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tracing.values import TagValue, show_value

_NS_PER_US = 1000
_FIRST_API_FIELDS = frozenset(
    {"span.kind", "otel.status_code", "otel.status_description", "otel.scope.name"}
    | {"otel.scope.version", "otel.library.name", "otel.library.version"}
)
_STATUS_ERROR = frozenset({2, "STATUS_CODE_ERROR"})
_KINDS = ("", "internal", "server", "client", "producer", "consumer")


class MalformedAnswerError(Exception):
    """A server's answer does not have the form of its API."""


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span this one belongs with: the queueing request, an earlier attempt."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Span:
    """One span.

    Attributes:
        trace_id: Hexadecimal.
        span_id: Hexadecimal.
        parent_id: None for the root of a trace.
        name: Operation name.
        service: `service.name` of the process that made it.
        kind: `internal`, `server`, `client`, `producer`, `consumer`, or empty.
        start_us: Microseconds since the epoch.
        duration_us: Microseconds.
        failed: Its status is ERROR.
        status_message: Description of the status, or empty.
        tags: Its tags; `error` is the runbook's text here, never Jaeger's boolean.
        links: Spans it is linked to.

    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    service: str
    kind: str
    start_us: int
    duration_us: int
    failed: bool
    status_message: str
    tags: Mapping[str, TagValue]
    links: tuple[SpanLink, ...]

    def has(self, tags: Mapping[str, str]) -> bool:
        """Tell whether it has all these tags, compared as text, as Jaeger's search does."""
        return all(
            (key in self.tags and show_value(self.tags[key]) == text)
            or (key == "error" and text == "true" and self.failed)
            for key, text in tags.items()
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one trace that have arrived so far: the root first (D27), the rest by start."""

    trace_id: str
    spans: tuple[Span, ...]

    @property
    def root(self) -> Span:
        """The span without a parent, or the earliest when that one has not arrived."""
        return self.spans[0]

    @property
    def start_us(self) -> int:
        """Start of the root, microseconds since the epoch."""
        return self.root.start_us

    @property
    def duration_us(self) -> int:
        """From the first start to the last end, late webhooks included; Jaeger gives none."""
        first = min(span.start_us for span in self.spans)
        return max(span.start_us + span.duration_us for span in self.spans) - first

    def find_tag(self, key: str) -> TagValue | None:
        """Give the first value of a tag, looking at the root first."""
        return next((span.tags[key] for span in self.spans if key in span.tags), None)


def gather_traces(spans: Iterable[Span]) -> list[Trace]:
    """Group spans into traces, the latest trace first; a span given twice counts once."""
    groups: dict[str, dict[str, Span]] = {}
    for span in spans:
        groups.setdefault(span.trace_id, {})[span.span_id] = span
    traces = [
        Trace(trace_id, tuple(sorted(members.values(), key=_place_in_trace)))
        for trace_id, members in groups.items()
    ]
    return sorted(traces, key=lambda trace: trace.start_us, reverse=True)


def read_v1_answer(answer: Any) -> list[Trace]:  # noqa: ANN401 - parsed JSON of another program
    """Read the body of `/api/traces` or `/api/traces/{id}`.

    Raises:
        MalformedAnswerError: It is something else.

    """
    try:
        return gather_traces(
            _read_v1_span(span, trace["processes"])
            for trace in answer["data"] or ()
            for span in trace["spans"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedAnswerError(f"not an answer of Jaeger's /api/traces ({error!r})") from error


def read_v3_answer(answer: Any) -> list[Trace]:  # noqa: ANN401 - parsed JSON of another program
    """Read the body of `/api/v3/traces` or `/api/v3/traces/{id}`.

    Raises:
        MalformedAnswerError: It is something else.

    """
    try:
        return gather_traces(
            _read_v3_span(span, _service_of(group))
            for group in answer["result"].get("resourceSpans", ())
            for scoped in group.get("scopeSpans", ())
            for span in scoped.get("spans", ())
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedAnswerError(f"not an answer of Jaeger's /api/v3 ({error!r})") from error


def show_trace(trace: Trace) -> dict[str, object]:
    """Give a trace as plain data for `--json`."""
    return {
        "traceId": trace.trace_id,
        "startUs": trace.start_us,
        "durationUs": trace.duration_us,
        "spans": [
            {
                "spanId": span.span_id,
                "parentId": span.parent_id,
                "name": span.name,
                "service": span.service,
                "kind": span.kind,
                "startUs": span.start_us,
                "durationUs": span.duration_us,
                "failed": span.failed,
                "statusMessage": span.status_message,
                "tags": dict(span.tags),
                "links": [
                    {"traceId": link.trace_id, "spanId": link.span_id} for link in span.links
                ],
            }
            for span in trace.spans
        ],
    }


def _read_v1_span(span: dict[str, Any], processes: dict[str, Any]) -> Span:
    tags: dict[str, TagValue] = {}
    fields: dict[str, TagValue] = {}
    failed = False
    for tag in span["tags"]:
        key, value = tag["key"], tag["value"]
        if key in _FIRST_API_FIELDS:
            fields[key] = value
        elif key == "error" and tag.get("type") == "bool":
            failed = failed or value is True
        else:
            tags[key] = value
    parents = [ref for ref in span["references"] if ref["refType"] == "CHILD_OF"]
    links = [ref for ref in span["references"] if ref["refType"] != "CHILD_OF"]
    return Span(
        trace_id=span["traceID"],
        span_id=span["spanID"],
        parent_id=parents[0]["spanID"] if parents else None,
        name=span["operationName"],
        service=processes[span["processID"]]["serviceName"],
        kind=str(fields.get("span.kind", "")),
        start_us=int(span["startTime"]),
        duration_us=int(span["duration"]),
        failed=failed or fields.get("otel.status_code") == "ERROR",
        status_message=str(fields.get("otel.status_description", "")),
        tags=tags,
        links=tuple(SpanLink(ref["traceID"], ref["spanID"]) for ref in links),
    )


def _read_v3_span(span: dict[str, Any], service: str) -> Span:
    start_ns = int(span["startTimeUnixNano"])
    elapsed_ns = max(int(span["endTimeUnixNano"]) - start_ns, 0)
    status = span.get("status", {})
    return Span(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId") or None,
        name=span["name"],
        service=service,
        kind=_read_kind(span.get("kind", 0)),
        start_us=start_ns // _NS_PER_US,
        duration_us=elapsed_ns // _NS_PER_US,
        failed=status.get("code") in _STATUS_ERROR,
        status_message=status.get("message", ""),
        tags={tag["key"]: _read_value(tag["value"]) for tag in span.get("attributes", ())},
        links=tuple(SpanLink(link["traceId"], link["spanId"]) for link in span.get("links", ())),
    )


def _read_kind(kind: int | str) -> str:
    if isinstance(kind, str):
        name = kind.removeprefix("SPAN_KIND_").lower()
        return "" if name == "unspecified" else name
    return _KINDS[kind] if 0 <= kind < len(_KINDS) else ""


def _read_value(value: dict[str, Any]) -> TagValue:
    if "intValue" in value:
        return int(value["intValue"])
    if "doubleValue" in value:
        return float(value["doubleValue"])
    if "boolValue" in value:
        return bool(value["boolValue"])
    if "stringValue" in value:
        return str(value["stringValue"])
    return str(value)


def _service_of(group: dict[str, Any]) -> str:
    attributes = group.get("resource", {}).get("attributes", ())
    names = (tag["value"]["stringValue"] for tag in attributes if tag["key"] == "service.name")
    return next(names, "unknown_service")


def _place_in_trace(span: Span) -> tuple[bool, int]:
    return span.parent_id is not None, span.start_us
