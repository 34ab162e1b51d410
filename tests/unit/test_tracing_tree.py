"""Drawn traces, on a wide and on a narrow terminal."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from tests.span_parts import MS, SECOND, START_US, make_span
from tracing.traces import Span, Trace, gather_traces
from tracing.tree import draw_message, draw_trace, show_duration


def story() -> list[Trace]:
    """Give a message's request, a failed attempt, and a delivered one with a late webhook."""
    common: dict[str, Any] = {
        "message__id": 12345,
        "message__channel": "WHATSAPP",
        "message__to": "+33612345678",
        "org__id": "org-abc-123",
    }
    process, send = "outbound-message-process", "whatsapp-cloud-api-send"
    spans = [
        make_span("a", 1, None, "http.in", 0, 4 * MS, http__method="POST", **common),
        make_span(
            "b", 1, None, process, SECOND, 5_203 * MS,
            message__attempt=1, status="QUEUED", error__code="131016",
            circuit__breaker__state="CLOSED", circuit__breaker__failure__rate=87.0, **common,
        ),
        make_span(
            "b", 2, 1, send, SECOND, 5_200 * MS, failed=True,
            http__status=500, error="temporary", error__type="temporary", error__code="131016",
            error__message="Service unavailable", status="QUEUED", retry__scheduled=True,
        ),
        make_span(
            "b", 3, 2, "http.client.request", SECOND, 5_199 * MS, failed=True,
            http__method="POST", http__status_code=500, error="http_500",
        ),
        make_span("b", 4, 1, "database.save", 6 * SECOND, 413),
        make_span(
            "c", 1, None, process, 70 * SECOND, 120 * MS,
            message__attempt=2, status="SENT", **common,
        ),
        make_span("c", 2, 1, send, 70 * SECOND, 119 * MS, status="SENT", http__status=200),
        make_span(
            "c", 3, 1, "webhook.in", 195 * SECOND, 6 * MS,
            webhook=True, provider__message__id="wamid.ABC123",
        ),
        make_span(
            "c", 4, 3, "webhook.process", 195 * SECOND, 5 * MS,
            webhook=True, provider__message__id="wamid.ABC123", webhook__duplicate=False,
        ),
        make_span("c", 5, 4, "status.update", 195 * SECOND, 2 * MS, new__status="DELIVERED"),
    ]  # fmt: skip
    return gather_traces(spans)[::-1]


def draw(picture: RenderableType, width: int) -> list[str]:
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(picture)
    return [line.rstrip() for line in capture.get().splitlines()]


WIDE = """\
message 12345  WHATSAPP  +33612345678  org-abc-123
├── request  2026-01-01 00:00:00Z  trace aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
│   └── http.in  4 ms  http.method=POST
├── attempt 1  QUEUED  2026-01-01 00:00:01Z  trace bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
│   └── outbound-message-process  5.20 s  circuit.breaker.state=CLOSED  circuit.breaker.failure.rate=87%
│       ├── ✗ whatsapp-cloud-api-send  5.20 s  error=temporary  error.code=131016  error.message=Service unavailable  http.status=500
│       │   retry.scheduled=true  status=QUEUED
│       │   └── ✗ http.client.request  5.20 s  error=http_500  http.method=POST  http.status_code=500
│       └── database.save  413 µs  after 5.00 s
└── attempt 2  SENT → DELIVERED  2026-01-01 00:01:10Z  trace cccccccccccccccccccccccccccccccc
    └── outbound-message-process  120 ms
        ├── whatsapp-cloud-api-send  119 ms  http.status=200  status=SENT
        └── webhook.in  6 ms  after 2 min 05 s  provider.message.id=wamid.ABC123
            └── webhook.process  5 ms  after 2 min 05 s  webhook.duplicate=false
                └── status.update  2 ms  after 2 min 05 s  new.status=DELIVERED"""  # noqa: E501 - a picture of a terminal 140 columns wide

NARROW = """\
message 12345  WHATSAPP  +33612345678
org-abc-123
└── attempt 1  QUEUED  2026-01-01
    00:00:01Z  trace
    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    └── outbound-message-process  5.20 s
        circuit.breaker.state=CLOSED
        circuit.breaker.failure.rate=87%
        ├── ✗ whatsapp-cloud-api-send
        │   5.20 s  error=temporary
        │   error.code=131016
        │   error.message=Service
        │   unavailable  http.status=500
        │   retry.scheduled=true
        │   status=QUEUED
        │   └── ✗ http.client.request
        │       5.20 s  error=http_500
        │       http.method=POST
        │       http.status_code=500
        └── database.save  413 µs  after
            5.00 s"""


def test_a_message_is_drawn_with_its_attempts_in_order_and_their_webhooks() -> None:
    assert draw(draw_message(12345, story()), 140) == WIDE.splitlines()


def test_a_narrow_terminal_wraps_and_loses_nothing() -> None:
    assert draw(draw_message(12345, [story()[1]]), 40) == NARROW.splitlines()


def test_errors_are_red() -> None:
    console = Console(width=140, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(draw_message(12345, story()))

    red = "\x1b[1;31m"
    assert f"{red}✗ \x1b[0m{red}whatsapp-cloud-api-send" in capture.get()
    assert f"{red}131016" in capture.get()
    assert f"{red}outbound-message-process" not in capture.get()


def without_root(trace: Trace) -> Trace:
    return Trace(trace.trace_id, trace.spans[1:])


def test_a_trace_whose_root_has_not_arrived_is_drawn_all_the_same() -> None:
    lines = draw(draw_trace(without_root(story()[2])), 140)

    assert lines[0].startswith(
        "trace whose root has not arrived  SENT → DELIVERED  2026-01-01 00:01:10Z"
    )
    assert lines[1] == "├── whatsapp-cloud-api-send  119 ms  http.status=200  status=SENT"
    assert lines[2] == "└── webhook.in  6 ms  after 2 min 05 s  provider.message.id=wamid.ABC123"


def test_spans_that_are_each_others_parents_are_drawn_side_by_side() -> None:
    loop = [
        make_span("d", 1, 2, "database.save", 0, 1),
        make_span("d", 2, 1, "database.save", 0, 1),
    ]

    lines = draw(draw_trace(gather_traces(loop)[0]), 100)

    assert lines[1:] == ["├── database.save  1 µs", "└── database.save  1 µs"]


@pytest.mark.parametrize(
    ("duration_us", "shown"),
    [
        (0, "0 µs"),
        (999, "999 µs"),
        (1_000, "1 ms"),
        (999_499, "999 ms"),
        (999_500, "1.00 s"),
        (59_994_000, "59.99 s"),
        (59_996_000, "1 min 00 s"),
        (187 * SECOND, "3 min 07 s"),
        (3_600 * SECOND, "1 h 00 min"),
        (7_500 * SECOND, "2 h 05 min"),
    ],
)
def test_durations_are_written_for_people(duration_us: int, shown: str) -> None:
    assert show_duration(duration_us) == shown


def test_the_latest_webhook_decides_the_status_shown() -> None:
    trace = story()[2]
    read = replace(
        trace.spans[-1], span_id="f" * 16, start_us=START_US + 300 * SECOND,
        tags={"new.status": "READ"},
    )  # fmt: skip
    spans: Sequence[Span] = (*trace.spans, read)

    assert "SENT → READ" in draw(draw_trace(Trace(trace.trace_id, tuple(spans))), 140)[0]
