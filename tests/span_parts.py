"""Spans for the tests of what reads traces: written down, without a store and a clock."""

from typing import Any

from tracing.traces import Span
from tracing.values import TagValue

START_US = 1_767_225_600_000_000  # 2026-01-01 00:00:00 UTC
MS = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND

PROCESS = "outbound-message-process"
SEND = "whatsapp-cloud-api-send"
CALL = "http.client.request"


def make_span(
    trace: str,
    number: int,
    parent: int | None,
    name: str,
    at_us: int,
    duration_us: int,
    *,
    failed: bool = False,
    **tags: TagValue,
) -> Span:
    """Make a span of the trace whose id repeats one digit; `__` in a tag's name stands for a dot.

    Args:
        trace: Hexadecimal digit of the trace's id.
        number: The span's id.
        parent: Its parent's id; None for a root.
        name: Operation name.
        at_us: Microseconds after `START_US`.
        duration_us: Microseconds.
        failed: Its status is ERROR.
        **tags: Its tags.

    """
    return Span(
        trace_id=trace * 32,
        span_id=f"{number:016x}",
        parent_id=None if parent is None else f"{parent:016x}",
        name=name,
        service="backend",
        kind="internal",
        start_us=START_US + at_us,
        duration_us=duration_us,
        failed=failed,
        status_message="",
        tags={key.replace("__", "."): value for key, value in tags.items()},
        links=(),
    )


def make_attempt(
    trace: str = "a",
    at_us: int = 0,
    *,
    number: int = 1,
    called: int | None = None,
    root: bool = True,
    failed: bool = False,
    breaker: str = "CLOSED",
    **tags: TagValue,
) -> list[Span]:
    """Make an attempt's spans, of 285 ms in all.

    Args:
        trace: As for `make_span`.
        at_us: As for `make_span`.
        number: Which attempt.
        called: HTTP status of the call; 0 for a call without answer, None for no call.
        root: Whether the first span has arrived.
        failed: Whether provider span and call failed.
        breaker: State of the circuit breaker.
        **tags: Tags of the provider span; those that are shared stand on the root too.

    """
    shared = ("status", "error__code", "has__template", "message__to")
    spans = []
    if root:
        own: dict[str, Any] = {key: value for key, value in tags.items() if key in shared}
        own |= {key: tags[key] for key in tags if key.startswith("circuit")}
        spans.append(
            make_span(
                trace,
                1,
                None,
                PROCESS,
                at_us,
                285 * MS,
                message__id=12345,
                message__attempt=number,
                circuit__breaker__state=breaker,
                **own,
            )
        )
    sent: dict[str, Any] = {
        key: value for key, value in tags.items() if not key.startswith("circuit")
    }
    spans.append(make_span(trace, 2, 1, SEND, at_us + MS, 280 * MS, failed=failed, **sent))
    if called is not None:
        told: dict[str, Any] = {"http__status_code": called} if called else {}
        spans.append(make_span(trace, 3, 2, CALL, at_us + 2 * MS, 270 * MS, failed=failed, **told))
    return spans


def make_webhook(
    trace: str, at_us: int, status: str, parent: int | None = 1, **tags: TagValue
) -> list[Span]:
    """Make a webhook's three spans; `parent` is None where they have a trace of their own."""
    number = 10 + at_us // SECOND * 10
    named: dict[str, Any] = {"provider__message__id": "wamid.ABC123"}
    told: dict[str, Any] = {"new__status": status, **tags}
    return [
        make_span(trace, number, parent, "webhook.in", at_us, 6 * MS, message__id=12345, **named),
        make_span(trace, number + 1, number, "webhook.process", at_us, 5 * MS, **named),
        make_span(trace, number + 2, number + 1, "status.update", at_us, MS, **told),
    ]


ACCEPTED = make_attempt(
    called=200, http__status=200, status="SENT", provider__message__id="wamid.ABC123"
)
