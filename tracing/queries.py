"""The eight questions of runbook 000's "Jaeger Query Examples", asked of either query API.

Each function asks a `TraceSource`, a `tracing.jaeger.JaegerClient` for one, and raises what that
raises: `UserMistake` when no server answers.
"""

from dataclasses import replace
from typing import Protocol

from outbound_slo.vocabulary.spans import SpanName, Tag
from tracing.analysis import LatencySummary, measure, summarize
from tracing.jaeger import TraceQuery
from tracing.rows import (
    ClosedWindow,
    Delivery,
    FoundTrace,
    OpenBreaker,
    correlate,
    read_breaker,
    read_text,
    read_trace,
    read_window,
)
from tracing.traces import Trace


class TraceSource(Protocol):
    """Whatever can be searched for traces."""

    def find(self, query: TraceQuery) -> list[Trace]:
        """Search, the latest trace first."""


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
    return [read_breaker(trace) for trace in found]


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
    return [read_window(trace) for trace in source.find(asked)]
