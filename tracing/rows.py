"""What a trace says in one row of a list: an attempt, an open breaker, a delivery, a closed window.

Values are read from the root span first, as 000's `spans[0]` does, wherever a server puts the root
(D27). Times are microseconds since the epoch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from outbound_slo.vocabulary.spans import SpanName, Tag
from tracing.traces import Span, Trace
from tracing.values import show_value

_US_PER_S = 1_000_000
ARRIVALS = frozenset({"DELIVERED", "READ"})
"""What a webhook says of a message that arrived; READ alone will do, since receipts get lost."""


@dataclass(frozen=True, slots=True)
class FoundTrace:
    """One trace of a list: what queries 2 and 3 print.

    Attributes:
        trace_id: Hexadecimal.
        start_us: When the attempt began.
        duration_us: How long its root span took; a trace itself has no duration in Jaeger.
        message_id: None where no span names a message.
        attempt: Number from 1; None for a request's own trace.
        status: Message status after the attempt, upper case; empty if none is told.
        error_code: Empty if none is told.
        spans: Number of spans that have arrived.

    """

    trace_id: str
    start_us: int
    duration_us: int
    message_id: int | None
    attempt: int | None
    status: str
    error_code: str
    spans: int


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """One attempt that an open circuit breaker held back: query 5.

    Attributes:
        trace_id: Hexadecimal.
        start_us: When the attempt began.
        channel: As `WHATSAPP`.
        failure_rate: Percent of recent calls; None if the breaker had too few to say.

    """

    trace_id: str
    start_us: int
    channel: str
    failure_rate: float | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One webhook that reported on an attempt.

    Attributes:
        trace_id: The trace it was told in: the attempt's, or its own if it came too early for that.
        received_us: When it arrived.
        status: What it reported, as `DELIVERED`; empty if it told no status.
        latency_s: Seconds since the attempt began.

    """

    trace_id: str
    received_us: int
    status: str
    latency_s: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One accepted attempt and the webhooks that came back for it: query 6.

    Attributes:
        trace_id: The attempt's.
        attempt: Number from 1; None if not told.
        provider_message_id: The provider's id, which ties the two together.
        sent_us: When the attempt began, as 000 reckons.
        receipts: In the order of arrival.
        latency_s: Seconds from the attempt to the first webhook that says it arrived; None before.

    """

    trace_id: str
    attempt: int | None
    provider_message_id: str
    sent_us: int
    receipts: tuple[Receipt, ...]
    latency_s: float | None


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """One WhatsApp attempt outside the 24-hour window: query 8.

    Attributes:
        trace_id: Hexadecimal.
        start_us: When the attempt began.
        message_id: None if not told.
        has_template: Whether it had a template, with which it may go all the same.
        recipient: As spans name it: plain, masked or hashed.

    """

    trace_id: str
    start_us: int
    message_id: int | None
    has_template: bool | None
    recipient: str


def read_trace(trace: Trace) -> FoundTrace:
    """Read the row of one trace."""
    return FoundTrace(
        trace_id=trace.trace_id,
        start_us=trace.start_us,
        duration_us=trace.root.duration_us,
        message_id=read_whole(trace, Tag.MESSAGE_ID),
        attempt=read_whole(trace, Tag.MESSAGE_ATTEMPT),
        status=read_text(trace, Tag.STATUS),
        error_code=read_text(trace, Tag.ERROR_CODE),
        spans=len(trace.spans),
    )


def read_breaker(trace: Trace) -> OpenBreaker:
    """Read the row of one trace for query 5."""
    return OpenBreaker(
        trace_id=trace.trace_id,
        start_us=trace.start_us,
        channel=read_text(trace, Tag.MESSAGE_CHANNEL),
        failure_rate=read_number(trace, Tag.CIRCUIT_BREAKER_FAILURE_RATE),
    )


def read_window(trace: Trace) -> ClosedWindow:
    """Read the row of one trace for query 8."""
    return ClosedWindow(
        trace_id=trace.trace_id,
        start_us=trace.start_us,
        message_id=read_whole(trace, Tag.MESSAGE_ID),
        has_template=read_flag(trace, Tag.HAS_TEMPLATE),
        recipient=read_text(trace, Tag.MESSAGE_TO),
    )


def correlate(attempt: Trace, provider_message_id: str, elsewhere: Iterable[Trace]) -> Delivery:
    """Join an attempt with its webhooks: those in its own trace, and those told elsewhere."""
    receipts = (
        Receipt(
            trace_id=trace.trace_id,
            received_us=entry.start_us,
            status=status,
            latency_s=(entry.start_us - attempt.start_us) / _US_PER_S,
        )
        for trace in (attempt, *elsewhere)
        for entry, status in read_webhooks(trace)
    )
    ordered = sorted(receipts, key=lambda receipt: receipt.received_us)
    arrived = (receipt.latency_s for receipt in ordered if receipt.status in ARRIVALS)
    return Delivery(
        trace_id=attempt.trace_id,
        attempt=read_whole(attempt, Tag.MESSAGE_ATTEMPT),
        provider_message_id=provider_message_id,
        sent_us=attempt.start_us,
        receipts=tuple(ordered),
        latency_s=next(arrived, None),
    )


def read_webhooks(trace: Trace) -> Iterator[tuple[Span, str]]:
    """Give each `webhook.in` of a trace with the status that its `status.update` told, or empty."""
    above = {span.span_id: span.parent_id for span in trace.spans}
    told: dict[str, str] = {}
    for span in trace.spans:
        status = span.tags.get(Tag.NEW_STATUS.value)
        if span.name == SpanName.STATUS_UPDATE and status is not None and span.parent_id:
            told[above.get(span.parent_id) or ""] = show_value(status)
    for span in trace.spans:
        if span.name == SpanName.WEBHOOK_IN:
            yield span, told.get(span.span_id, "")


def read_text(trace: Trace, tag: Tag) -> str:
    """Give a tag's first value as text, looking at the root first; empty if no span has it."""
    value = trace.find_tag(tag.value)
    return "" if value is None else show_value(value)


def read_whole(trace: Trace, tag: Tag) -> int | None:
    """Give a tag's first value as a whole number; None if there is none."""
    # Another sender may have set it as text, as 000's Java does.
    text = read_text(trace, tag)
    return int(text) if text.isascii() and text.isdigit() else None


def read_number(trace: Trace, tag: Tag) -> float | None:
    """Give a tag's first value as a number; None if there is none."""
    text = read_text(trace, tag).removesuffix("%")
    try:
        return float(text)
    except ValueError:
        return None


def read_flag(trace: Trace, tag: Tag) -> bool | None:
    """Give a tag's first value as a truth value; None if there is none."""
    return {"true": True, "false": False}.get(read_text(trace, tag))
