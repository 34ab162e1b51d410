"""W3C trace context and baggage, as they are stored in rows and received in headers.

The attempt's `traceparent` is stored with it, so that a webhook hours later continues the same
trace (D11). Nothing here raises: a broken header or column costs the link, never the message.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from opentelemetry import baggage as otel_baggage
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from outbound_slo.vocabulary.spans import BAGGAGE_TAGS

NEW_TRACE = Context()
"""Pass as `parent` to start a trace of its own, whatever span is current."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_INVALID_VERSION = "ff"
_LONGEST_TRACEPARENT = 512
# Correlation ids are short; what is longer is not one, and would be copied into every span of the
# message.
_LONGEST_BAGGAGE_VALUE = 256


def context_from(
    traceparent: str | None, baggage: Mapping[str, str] | None = None
) -> Context | None:
    """Give the context that continues a stored or received trace.

    Args:
        traceparent: The W3C header's value; None or malformed means no trace to continue.
        baggage: Correlation ids; keys other than `sessionId`, `run.id` and `hypothesis.id` are left
            out.

    Returns:
        A context for `parent=`; one with baggage only when the traceparent is unusable; None when
        nothing is left.

    """
    remote = _read_traceparent(traceparent)
    kept = _known_baggage(baggage)
    if remote is None and not kept:
        return None
    context = Context()
    if remote is not None:
        context = set_span_in_context(NonRecordingSpan(remote), context)
    for key, value in kept.items():
        context = otel_baggage.set_baggage(key, value, context)
    return context


def link_to(traceparent: str | None) -> Link | None:
    """Give a link to another trace (the request, an earlier attempt); None if malformed."""
    remote = _read_traceparent(traceparent)
    return None if remote is None else Link(remote)


def format_traceparent(span: SpanContext) -> str:
    """Write a span's context as a W3C `traceparent`, version 00."""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def read_baggage(header: str | None) -> dict[str, str]:
    """Read this product's keys from a W3C `baggage` header; anything else in it is passed over."""
    if not header:
        return {}
    pairs = (entry.split(";", 1)[0].partition("=") for entry in header.split(","))
    return _known_baggage({key.strip(): unquote(value.strip()) for key, _, value in pairs})


def write_baggage(baggage: Mapping[str, str]) -> str:
    """Write correlation ids as the value of a W3C `baggage` header; empty when there are none."""
    known = _known_baggage(baggage)
    return ",".join(f"{key}={quote(value, errors='replace')}" for key, value in known.items())


def _known_baggage(baggage: Mapping[str, str] | None) -> dict[str, str]:
    if not baggage:
        return {}
    return {
        key: value
        for key, value in baggage.items()
        if key in BAGGAGE_TAGS
        and isinstance(value, str)
        and 0 < len(value) <= _LONGEST_BAGGAGE_VALUE
    }


def _read_traceparent(traceparent: str | None) -> SpanContext | None:
    if not isinstance(traceparent, str) or len(traceparent) > _LONGEST_TRACEPARENT:
        return None
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Version 00 has exactly four fields; later ones may add more.
    if version == _INVALID_VERSION or (version == "00" and rest):
        return None
    context = SpanContext(
        trace_id=int(trace_id, 16),
        span_id=int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16)),
    )
    return context if context.is_valid else None
