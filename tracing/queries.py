"""The eight questions of runbook 000's "Jaeger Query Examples", asked of either query API.

Each function asks a `TraceSource`, a `tracing.jaeger.JaegerClient` for one, and raises what that
raises: `UserMistake` when no server answers. Rows are read from the root span first, as 000's
`spans[0]` does, wherever a server puts the root (D27). Times are microseconds since the epoch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from outbound_slo.vocabulary.spans import SpanName, Tag
from tracing.analysis import LatencySummary, measure, summarize
from tracing.jaeger import TraceQuery
from tracing.traces import Span, Trace
from tracing.values import TagValue, show_value

_US_PER_S = 1_000_000
_ARRIVALS = frozenset({"DELIVERED", "READ"})


class TraceSource(Protocol):
    """Whatever can be searched for traces."""

    def find(self, query: TraceQuery) -> list[Trace]:
        """Search, the latest trace first."""


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

    """

    trace_id: str
    attempt: int | None
    provider_message_id: str
    sent_us: int
    receipts: tuple[Receipt, ...]

    @property
    def latency_s(self) -> float | None:
        """Seconds from the attempt to the first webhook that says it arrived; None before that."""
        arrived = (each.latency_s for each in self.receipts if each.status in _ARRIVALS)
        return next(arrived, None)


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """One WhatsApp attempt outside the 24-hour window: query 8.

    Attributes:
        trace_id: Hexadecimal.
        start_us: When the attempt began.
        message_id: None if not told.
        has_template: Whether it had a template, with which it may go all the same.
        recipient: As it stands in the database.

    """

    trace_id: str
    start_us: int
    message_id: int | None
    has_template: bool | None
    recipient: str


def find_message(source: TraceSource, message_id: int, query: TraceQuery) -> list[Trace]:
    """Query 1: every trace that names a message, the earliest first.

    Args:
        source: Where to search.
        message_id: `outbound_message.id`.
        query: How far to look (`lookback`, `limit`); its tags are replaced. So for all below.

    """
    return source.find(replace(query, tags={Tag.MESSAGE_ID: str(message_id)}))[::-1]


def find_errors(source: TraceSource, code: str, query: TraceQuery) -> list[FoundTrace]:
    """Query 2: the latest traces with an error code.

    000 looks at `whatsapp-cloud-api-send` alone; without `query.operation` the other providers'
    answers and webhooks that brought the code are found too.
    """
    found = source.find(replace(query, tags={Tag.ERROR_CODE: code}))
    return [read_trace(trace) for trace in found]


def find_recipient(source: TraceSource, recipient: str, query: TraceQuery) -> list[FoundTrace]:
    """Query 3: the latest attempts to one recipient, whose number or address is given whole."""
    found = source.find(replace(query, tags={Tag.MESSAGE_TO: recipient}))
    return [read_trace(trace) for trace in found]


def measure_sends(source: TraceSource, query: TraceQuery) -> LatencySummary | None:
    """Query 4: how long the sends took whose message was accepted; None when there were none.

    Measures `query.operation`, or `outbound-message-process` if it names none.
    """
    operation = query.operation or SpanName.OUTBOUND_MESSAGE_PROCESS
    found = source.find(replace(query, tags={Tag.STATUS: "SENT"}, operation=operation))
    return summarize(measure(found, operation))


def find_open_breakers(source: TraceSource, query: TraceQuery) -> list[OpenBreaker]:
    """Query 5: the latest attempts that met an open circuit breaker."""
    found = source.find(replace(query, tags={Tag.CIRCUIT_BREAKER_STATE: "OPEN"}))
    return [
        OpenBreaker(
            trace_id=trace.trace_id,
            start_us=trace.start_us,
            channel=read_text(trace, Tag.MESSAGE_CHANNEL),
            failure_rate=_read_number(trace, Tag.CIRCUIT_BREAKER_FAILURE_RATE),
        )
        for trace in found
    ]


def find_deliveries(source: TraceSource, message_id: int, query: TraceQuery) -> list[Delivery]:
    """Query 6: the accepted attempts of a message with their webhooks, the earliest first.

    A webhook that overtook the sender's own record has a trace of its own; it is found by the
    provider's message id, as 000 finds it.
    """
    deliveries = []
    for trace in find_message(source, message_id, query):
        provider_id = read_text(trace, Tag.PROVIDER_MESSAGE_ID)
        if trace.root.name == SpanName.OUTBOUND_MESSAGE_PROCESS and provider_id:
            named = replace(
                query,
                tags={Tag.PROVIDER_MESSAGE_ID: provider_id},
                operation=SpanName.WEBHOOK_PROCESS,
            )
            elsewhere = [each for each in source.find(named) if each.trace_id != trace.trace_id]
            deliveries.append(correlate(trace, provider_id, elsewhere))
    return deliveries


def find_attempts(source: TraceSource, message_id: int, query: TraceQuery) -> list[FoundTrace]:
    """Query 7: every attempt at a message, the earliest first.

    000's own line leaves out attempts without an error code; they are listed here.
    """
    return [
        read_trace(trace)
        for trace in find_message(source, message_id, query)
        if trace.root.name == SpanName.OUTBOUND_MESSAGE_PROCESS
    ]


def find_closed_windows(source: TraceSource, query: TraceQuery) -> list[ClosedWindow]:
    """Query 8: the latest WhatsApp attempts outside their 24-hour window."""
    asked = replace(
        query,
        tags={Tag.WITHIN_SESSION_WINDOW: "false"},
        operation=query.operation or SpanName.WHATSAPP_SEND,
    )
    return [
        ClosedWindow(
            trace_id=trace.trace_id,
            start_us=trace.start_us,
            message_id=_read_whole(trace, Tag.MESSAGE_ID),
            has_template=_read_flag(trace, Tag.HAS_TEMPLATE),
            recipient=read_text(trace, Tag.MESSAGE_TO),
        )
        for trace in source.find(asked)
    ]


def read_trace(trace: Trace) -> FoundTrace:
    """Read the row of one trace."""
    return FoundTrace(
        trace_id=trace.trace_id,
        start_us=trace.start_us,
        duration_us=trace.root.duration_us,
        message_id=_read_whole(trace, Tag.MESSAGE_ID),
        attempt=_read_whole(trace, Tag.MESSAGE_ATTEMPT),
        status=read_text(trace, Tag.STATUS),
        error_code=read_text(trace, Tag.ERROR_CODE),
        spans=len(trace.spans),
    )


def correlate(attempt: Trace, provider_message_id: str, elsewhere: Iterable[Trace]) -> Delivery:
    """Join an attempt with its webhooks: those in its own trace, and those told elsewhere."""
    receipts = [
        Receipt(
            trace_id=trace.trace_id,
            received_us=entry.start_us,
            status=status,
            latency_s=(entry.start_us - attempt.start_us) / _US_PER_S,
        )
        for trace in (attempt, *elsewhere)
        for entry, status in read_webhooks(trace)
    ]
    return Delivery(
        trace_id=attempt.trace_id,
        attempt=_read_whole(attempt, Tag.MESSAGE_ATTEMPT),
        provider_message_id=provider_message_id,
        sent_us=attempt.start_us,
        receipts=tuple(sorted(receipts, key=lambda receipt: receipt.received_us)),
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


def _read_whole(trace: Trace, tag: Tag) -> int | None:
    value: TagValue | None = trace.find_tag(tag.value)
    # Another sender may have set it as text, as 000's Java does.
    return int(value) if str(value).isascii() and str(value).isdigit() else None


def _read_number(trace: Trace, tag: Tag) -> float | None:
    text = read_text(trace, tag).removesuffix("%")
    try:
        return float(text)
    except ValueError:
        return None


def _read_flag(trace: Trace, tag: Tag) -> bool | None:
    return {"true": True, "false": False}.get(read_text(trace, tag))
