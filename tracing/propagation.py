"""W3C trace context and baggage, as they are stored in rows and received in headers.

The attempt's `traceparent` is stored with it, so that a webhook hours later continues the same
trace (D11). Nothing here raises: a broken header or column costs the link, never the message.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from outbound_slo.vocabulary.spans import BAGGAGE_TAGS

REMOTE: Final = "(remote)"
"""Stands for the name of a span of another process, which a traceparent does not tell."""

_NO_BAGGAGE: Mapping[str, str] = MappingProxyType({})


class TraceContext:
    """A place in a trace, to open a span in: an open span, one of another process, or none.

    Attributes:
        name: Name of the span; `REMOTE` in another process, None where a trace begins.
        trace_bytes: The trace's 16 bytes; empty where a trace begins.
        span_bytes: The span's 8 bytes; empty where a trace begins.
        baggage: Correlation ids that travel with the message.
        sampled: What the head decided of the trace; of a stored one, whether it was kept.

    """

    __slots__ = ("baggage", "name", "sampled", "span_bytes", "trace_bytes")

    name: str | None
    trace_bytes: bytes
    span_bytes: bytes
    baggage: Mapping[str, str]
    sampled: bool

    def __init__(
        self,
        name: str | None = None,
        trace_bytes: bytes = b"",
        span_bytes: bytes = b"",
        baggage: Mapping[str, str] = _NO_BAGGAGE,
        *,
        sampled: bool = True,
    ) -> None:
        self.name = name
        self.trace_bytes = trace_bytes
        self.span_bytes = span_bytes
        self.baggage = baggage
        self.sampled = sampled

    @property
    def trace_id(self) -> str:
        """Trace id, 32 hexadecimal digits; empty where a trace begins."""
        return self.trace_bytes.hex()

    @property
    def span_id(self) -> str:
        """Span id, 16 hexadecimal digits; empty where a trace begins."""
        return self.span_bytes.hex()

    @property
    def traceparent(self) -> str:
        """W3C `traceparent`, to be stored with the attempt or sent in a header."""
        flags = "01" if self.sampled else "00"
        return f"00-{self.trace_bytes.hex()}-{self.span_bytes.hex()}-{flags}"


NEW_TRACE = TraceContext()
"""Pass as `parent` to start a trace of its own, whatever span is current."""


_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_INVALID_VERSION = "ff"
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 0x01
_LONGEST_TRACEPARENT = 512
# Correlation ids are short; what is longer is not one, and would be copied into every span of the
# message.
_LONGEST_BAGGAGE_VALUE = 256


def context_from(
    traceparent: str | None,
    baggage: Mapping[str, str] | None = None,
    *,
    kept: bool | None = None,
) -> TraceContext | None:
    """Give the context that continues a stored or received trace.

    Args:
        traceparent: The W3C header's value; None or malformed means no trace to continue.
        baggage: Correlation ids; keys other than `sessionId`, `run.id` and `hypothesis.id` are left
            out.
        kept: What is known of the trace's fate beyond its flag: whether its spans were exported.

    Returns:
        A context for `parent=`; one with baggage only when the traceparent is unusable; None when
        nothing is left.

    """
    found = _read_traceparent(traceparent)
    known = _known_baggage(baggage)
    if found is not None:
        trace_bytes, span_bytes, flagged = found
        sampled = flagged if kept is None else kept
        return TraceContext(REMOTE, trace_bytes, span_bytes, known, sampled=sampled)
    return TraceContext(baggage=known) if known else None


def link_to(traceparent: str | None) -> TraceContext | None:
    """Give a link to another trace (the request, an earlier attempt); None if malformed."""
    return context_from(traceparent)


def name_story(traceparent: str | None) -> TraceContext | None:
    """Give the ids that a traceparent names as those of a span of this process, yet to be opened.

    None if it is malformed.
    """
    found = _read_traceparent(traceparent)
    if found is None:
        return None
    trace_bytes, span_bytes, sampled = found
    return TraceContext(None, trace_bytes, span_bytes, sampled=sampled)


def read_baggage(header: str | None) -> dict[str, str]:
    """Read this product's keys from a W3C `baggage` header; anything else in it is passed over."""
    if not header:
        return {}
    pairs = (entry.split(";", 1)[0].partition("=") for entry in header.split(","))
    return dict(_known_baggage({key.strip(): unquote(value.strip()) for key, _, value in pairs}))


def write_baggage(baggage: Mapping[str, str]) -> str:
    """Write correlation ids as the value of a W3C `baggage` header; empty when there are none."""
    known = _known_baggage(baggage)
    return ",".join(f"{key}={quote(value, errors='replace')}" for key, value in known.items())


def _known_baggage(baggage: Mapping[str, str] | None) -> Mapping[str, str]:
    if not baggage:
        return _NO_BAGGAGE
    return {
        key: value
        for key, value in baggage.items()
        if key in BAGGAGE_TAGS
        and isinstance(value, str)
        and 0 < len(value) <= _LONGEST_BAGGAGE_VALUE
    }


def _read_traceparent(traceparent: str | None) -> tuple[bytes, bytes, bool] | None:
    if not isinstance(traceparent, str) or len(traceparent) > _LONGEST_TRACEPARENT:
        return None
    return _parse_traceparent(traceparent)


# An attempt's receipts come within seconds of each other, and all continue the same trace.
@lru_cache(maxsize=4096)
def _parse_traceparent(traceparent: str) -> tuple[bytes, bytes, bool] | None:
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Version 00 has exactly four fields; later ones may add more.
    if version == _INVALID_VERSION or (version == "00" and rest):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return bytes.fromhex(trace_id), bytes.fromhex(span_id), bool(int(flags, 16) & _SAMPLED)
