"""Rows read from traces: what a list says of an attempt, and which webhook belongs to it."""

from typing import Any

import pytest

from tests.span_parts import MS, PROCESS, SECOND, SEND, START_US, make_span
from tracing.rows import (
    correlate,
    read_breaker,
    read_trace,
    read_webhooks,
    read_window,
)
from tracing.traces import Trace, gather_traces
from tracing.values import TagValue


def attempt(**tags: TagValue) -> Trace:
    named: dict[str, Any] = tags
    [trace] = gather_traces([make_span("a", 1, None, PROCESS, 0, 285 * MS, **named)])
    return trace


@pytest.mark.parametrize("number", [12345, "12345"])
def test_a_message_id_may_be_a_number_or_text(number: TagValue) -> None:
    assert read_trace(attempt(message__id=number)).message_id == 12345


@pytest.mark.parametrize("number", ["12-A", "", "²", True])
def test_what_is_no_number_is_no_message_id(number: TagValue) -> None:
    assert read_trace(attempt(message__id=number)).message_id is None


@pytest.mark.parametrize(
    ("rate", "read"), [(87.0, 87.0), ("87%", 87.0), ("87.5", 87.5), ("many", None)]
)
def test_a_failure_rate_may_have_the_runbooks_percent_sign(
    rate: TagValue, read: float | None
) -> None:
    assert read_breaker(attempt(circuit__breaker__failure__rate=rate)).failure_rate == read


def test_the_root_is_asked_before_other_spans() -> None:
    [trace] = gather_traces(
        [
            make_span("a", 1, None, PROCESS, 0, SECOND, status="SENT", has__template=True),
            make_span("a", 2, 1, SEND, 0, SECOND, status="QUEUED", message__to="+33612345678"),
        ]
    )

    assert read_trace(trace).status == "SENT"
    window = read_window(trace)
    assert (window.has_template, window.recipient, window.message_id) == (
        True,
        "+33612345678",
        None,
    )


def webhook(trace: str, number: int, parent: int | None, at_us: int, status: str | None) -> Trace:
    update: dict[str, Any] = {} if status is None else {"new__status": status}
    spans = [
        make_span(trace, number, parent, "webhook.in", at_us, 6 * MS),
        make_span(trace, number + 1, number, "webhook.process", at_us + MS, 5 * MS),
        make_span(
            trace,
            number + 2,
            number + 1,
            "status.update",
            at_us + 2 * MS,
            MS,
            **update,
        ),
    ]
    [told] = gather_traces(spans)
    return told


def test_each_webhook_has_the_status_that_its_own_update_told() -> None:
    first = webhook("a", 10, 1, SECOND, "SENT")
    second = webhook("a", 20, 1, 2 * SECOND, "DELIVERED")
    silent = webhook("a", 30, 1, 3 * SECOND, None)
    [trace] = gather_traces(
        [*attempt().spans, *silent.spans, *second.spans, *first.spans],
    )

    assert [(span.start_us - START_US, status) for span, status in read_webhooks(trace)] == [
        (SECOND, "SENT"),
        (2 * SECOND, "DELIVERED"),
        (3 * SECOND, ""),
    ]


def test_delivery_takes_seconds_until_the_first_webhook_that_says_it_arrived() -> None:
    [trace] = gather_traces(
        [
            *attempt(message__attempt=2).spans,
            *webhook("a", 10, 1, 2 * SECOND, "SENT").spans,
            *webhook("a", 20, 1, 125 * SECOND + 500 * MS, "READ").spans,
        ]
    )
    elsewhere = webhook("b", 1, None, 60 * SECOND, "DELIVERED")

    delivery = correlate(trace, "wamid.ABC123", [elsewhere])

    assert delivery.attempt == 2
    assert [(each.status, each.latency_s, each.trace_id[0]) for each in delivery.receipts] == [
        ("SENT", 2.0, "a"),
        ("DELIVERED", 60.0, "b"),
        ("READ", 125.5, "a"),
    ]
    assert delivery.latency_s == 60.0


def test_an_accepted_message_without_receipt_has_no_delivery_latency() -> None:
    [trace] = gather_traces([*attempt().spans, *webhook("a", 10, 1, 2 * SECOND, "SENT").spans])

    assert correlate(trace, "wamid.ABC123", []).latency_s is None
