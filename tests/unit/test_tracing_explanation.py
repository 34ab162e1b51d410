"""A message's story in words, from several attempts and their webhooks."""

import pytest

from tests.span_parts import (
    ACCEPTED,
    MINUTE,
    MS,
    SECOND,
    START_US,
    make_attempt,
    make_span,
    make_webhook,
)
from tracing.explanation import Explanation, explain_message
from tracing.remedies import Pattern
from tracing.telling import write_lines
from tracing.traces import Span, Trace, gather_traces


def explain(*spans: Span, after_us: int = 10 * SECOND) -> Explanation:
    traces: list[Trace] = gather_traces(spans)[::-1]
    return explain_message(12345, traces, START_US + after_us)


@pytest.mark.parametrize("status", ["DELIVERED", "READ"])
def test_a_delivered_message_needs_nothing(status: str) -> None:
    told = explain(*ACCEPTED, *make_webhook("a", 125 * SECOND, status))

    assert told.summary == (
        "Delivered: a webhook said so 2 min 05 s after attempt 1 (2026-01-01 00:00:00Z) began"
    )
    assert (told.patterns, told.missing, told.sections, told.steps) == ((), (), (), ())
    assert told.attempts[0].sentences == (
        "The provider accepted it as wamid.ABC123.",
        f"A webhook said {status} after 2 min 05 s.",
    )


def test_a_webhook_that_overtook_the_attempts_record_is_joined_to_it() -> None:
    told = explain(*ACCEPTED, *make_webhook("b", SECOND, "DELIVERED", parent=None))

    assert told.summary.startswith("Delivered: a webhook said so 1.00 s after attempt 1")
    assert len(told.attempts) == 1


def test_a_delivery_outweighs_a_failure_told_later() -> None:
    late = make_webhook("a", 90 * SECOND, "FAILED", error__code="131026")

    told = explain(*ACCEPTED, *make_webhook("a", 60 * SECOND, "DELIVERED"), *late)

    assert told.summary.startswith("Delivered")


def test_an_accepted_message_without_receipt_misses_its_webhook() -> None:
    told = explain(*ACCEPTED, after_us=3 * MINUTE)

    assert told.summary == (
        "Sent by attempt 1 (2026-01-01 00:00:00Z), not known to be delivered: no receipt has come "
        "in the 3 min 00 s since"
    )
    assert told.patterns == (Pattern.NO_WEBHOOK,)
    assert told.missing == ("any webhook",)
    assert "outbound-slo trace delivery 12345" in told.steps


def test_a_message_whose_receipts_stop_at_sent_misses_its_delivery() -> None:
    told = explain(*ACCEPTED, *make_webhook("a", 2 * SECOND, "SENT"))

    assert "only SENT has been reported" in told.summary
    assert told.missing == ("a webhook that says DELIVERED",)


def test_a_failure_reported_after_acceptance_is_told_with_its_code() -> None:
    told = explain(*ACCEPTED, *make_webhook("a", 9 * SECOND, "FAILED", error__code="131026"))

    assert told.summary == (
        "Not delivered: the provider accepted attempt 1 (2026-01-01 00:00:00Z) and then reported "
        "failure with error 131026"
    )
    assert told.patterns == (Pattern.DELIVERY_FAILED,)
    assert told.attempts[0].pattern is Pattern.DELIVERY_FAILED
    assert "outbound-slo errors 131026" in told.steps


def test_a_waiting_message_says_since_when_and_what_for() -> None:
    waiting = make_attempt(
        called=429, http__status=429, status="QUEUED", error__code="130", retry__after=3600,
        retry__scheduled=True, failed=True,
    )  # fmt: skip

    told = explain(*waiting, after_us=5 * MINUTE)

    assert told.summary == (
        "Waiting to be tried again: attempt 1 (2026-01-01 00:00:00Z) met rate limit exceeded, "
        "5 min 00 s ago"
    )
    assert told.patterns == (Pattern.RATE_LIMITED, Pattern.RETRY_GAP)
    assert told.missing == ("the next attempt",)
    assert "The provider asked to wait 3600 s." in told.attempts[0].sentences
    assert "Another attempt was planned." in told.attempts[0].sentences


def test_a_gap_between_attempts_is_told_with_the_wait_the_provider_wanted() -> None:
    first = make_attempt(
        called=429, http__status=429, status="QUEUED", error__code="130", retry__after=60,
        retry__scheduled=True, failed=True,
    )  # fmt: skip
    second = make_attempt("b", 61 * SECOND, number=2, called=200, http__status=200, status="SENT")

    told = explain(*first, *second)

    assert told.attempts[1].sentences[0] == (
        "It began 1 min 01 s after the attempt before had ended; the provider had asked for 60 s."
    )


def test_attempts_close_to_each_other_are_no_gap() -> None:
    first = make_attempt(called=500, http__status=500, status="QUEUED", retry__scheduled=True)
    second = make_attempt("b", 30 * SECOND, number=2, called=200, http__status=200, status="SENT")

    assert explain(*first, *second).attempts[1].sentences[0] == "The provider accepted it."


def test_a_final_failure_says_that_nothing_more_was_planned() -> None:
    told = explain(*make_attempt(status="FAILED", error__code="opted_out", failed=True))

    assert told.summary.startswith("Failed at attempt 1 (2026-01-01 00:00:00Z): refused by a rule")
    assert told.attempts[0].sentences[-1] == "No other attempt was planned."


def test_a_request_without_an_attempt_says_so() -> None:
    request = make_span("c", 1, None, "http.in", 0, 4 * MS, message__id=12345)

    told = explain(request, after_us=7 * MINUTE)

    assert told.summary == "No attempt has begun in the 7 min 00 s since it was first heard of"
    assert told.attempts == ()
    assert told.patterns == (Pattern.NOT_BEGUN,)


def test_the_text_fits_80_columns_and_breaks_no_trace_id() -> None:
    lines = write_lines(
        explain(
            *make_attempt(called=429, http__status=429, error__code="130", failed=True),
            after_us=5 * MINUTE,
        )
    )

    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("message 12345. ")
    assert any(line.endswith(f"trace {'a' * 32}") for line in lines)
    assert "  - outbound-slo errors 130" in lines


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("+33612345678", "phoneNumber=%2B33612345678"),
        ("***5678", None),
        ("0f4c1a9be2d34455a1b2c3d4e5f60718", None),
        ("***lace@example.org", None),
    ],
)
def test_a_request_about_the_recipient_is_advised_only_where_spans_name_it(
    named: str, asked: str | None
) -> None:
    told = explain(
        *make_attempt(
            failed=True,
            status="FAILED",
            error="session_expired",
            error__code="session_expired",
            has__template=False,
            within__session__window=False,
            message__to=named,
        )
    )
    requests = [step for step in told.steps if "phoneNumber" in step]

    assert told.patterns == (Pattern.SESSION_EXPIRED,)
    assert [asked in step for step in requests if asked] == ([True] if asked else [])
    assert bool(requests) is (asked is not None)
