"""The patterns of runbook 000 and those beside them, recognized from one attempt's spans."""

import pytest

from outbound_slo.vocabulary.errors import HouseCode
from tests.span_parts import SECOND, START_US, make_attempt
from tracing.explanation import Explanation, explain_message
from tracing.remedies import REMEDIES, Pattern
from tracing.traces import Span, Trace, gather_traces


def explain(*spans: Span, after_us: int = 10 * SECOND) -> Explanation:
    traces: list[Trace] = gather_traces(spans)[::-1]
    return explain_message(12345, traces, START_US + after_us)


# As 000 shows them: "Interpreting Failed Send Traces".
SESSION_EXPIRED = make_attempt(
    within__session__window=False,
    has__template=False,
    error="session_expired",
    status="FAILED",
    failed=True,
)
RATE_LIMITED = make_attempt(
    called=429,
    within__session__window=True,
    has__template=True,
    http__status=429,
    error__code="130",
    retry__after=3600,
    failed=True,
)
PROVIDER_ERROR = make_attempt(
    called=500,
    http__status=500,
    error__code="1",
    error__message="Service temporarily unavailable",
    failed=True,
)
BREAKER_OPEN = make_attempt(
    breaker="OPEN",
    circuit__breaker__failure__rate="87%",
    error="CircuitBreakerOpenException",
    error__code="CIRCUIT_BREAKER_OPEN",
    retry__scheduled=True,
    failed=True,
)
TEMPLATE_NOT_FOUND = make_attempt(
    called=400,
    http__status=400,
    error__code="133004",
    error__message="Template not found",
    failed=True,
)


@pytest.mark.parametrize(
    ("spans", "pattern", "sentence"),
    [
        (
            SESSION_EXPIRED,
            Pattern.SESSION_EXPIRED,
            (
                "The 24-hour session window was closed and there was no template, so the provider "
                "was not called."
            ),
        ),
        (
            RATE_LIMITED,
            Pattern.RATE_LIMITED,
            "The provider limits the rate (HTTP 429, error 130).",
        ),
        (
            PROVIDER_ERROR,
            Pattern.PROVIDER_ERROR,
            "The provider had trouble (HTTP 500, error 1).",
        ),
        (
            BREAKER_OPEN,
            Pattern.BREAKER_OPEN,
            (
                "The circuit breaker was open (87 % of recent calls failed), so the provider was "
                "not called."
            ),
        ),
        (
            TEMPLATE_NOT_FOUND,
            Pattern.TEMPLATE_NOT_FOUND,
            "The provider did not take the template (HTTP 400, error 133004).",
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Pattern) else "",
)
def test_the_runbooks_five_patterns_are_recognized_as_it_shows_them(
    spans: list[Span], pattern: Pattern, sentence: str
) -> None:
    told = explain(*spans)

    [story] = told.attempts
    assert (story.pattern, story.sentences[0]) == (pattern, sentence)
    assert story.section == REMEDIES[pattern].section
    assert pattern in told.patterns
    assert told.sections[0] == REMEDIES[pattern].section
    assert told.steps


@pytest.mark.parametrize(
    ("spans", "pattern"),
    [
        # As this project's sender tells them.
        (
            make_attempt(
                status="FAILED",
                error__code="session_expired",
                error="session_expired",
                within__session__window=False,
                has__template=False,
                failed=True,
            ),
            Pattern.SESSION_EXPIRED,
        ),
        (
            make_attempt(
                called=400, http__status=400, status="FAILED", error__code="132016",
                error="session_window", failed=True,
            ),
            Pattern.SESSION_EXPIRED,
        ),
        (
            make_attempt(
                called=400, http__status=400, status="QUEUED", error__code="131056",
                error="rate_limit", retry__scheduled=True, failed=True,
            ),
            Pattern.RATE_LIMITED,
        ),
        # A sender that tells of no call.
        (
            make_attempt(
                status="FAILED", error__code="132016", error="session_window", failed=True
            ),
            Pattern.SESSION_EXPIRED,
        ),
        # HTTP 429 is a limit whatever code comes with it.
        (
            make_attempt(called=429, http__status=429, error__code="4711", failed=True),
            Pattern.RATE_LIMITED,
        ),
        # A sender that follows Meta calls 133004 passing trouble, and its word counts.
        (
            make_attempt(
                called=500, http__status=500, status="QUEUED", error__code="133004",
                error="temporary", retry__scheduled=True, failed=True,
            ),
            Pattern.PROVIDER_ERROR,
        ),
        (
            make_attempt(
                called=0, status="QUEUED", error__code="connection_failed",
                error="temporary", retry__scheduled=True, failed=True,
            ),
            Pattern.PROVIDER_ERROR,
        ),
        (
            make_attempt(
                called=400, http__status=400, status="FAILED", error__code="131026",
                error="recipient", failed=True,
            ),
            Pattern.OTHER_FAILURE,
        ),
        (
            make_attempt(
                status="FAILED", error__code="opted_out", error="opted_out",
                error__message="Contact opted out", failed=True,
            ),
            Pattern.REFUSED,
        ),
        (
            make_attempt(
                status="QUEUED", error__code="quota_exhausted", retry__scheduled=True,
                error__message="The quota is used up",
            ),
            Pattern.DEFERRED,
        ),
        (
            make_attempt(called=0, status="SENDING", error__code="timeout", failed=True),
            Pattern.UNKNOWN_OUTCOME,
        ),
        (make_attempt(root=False, called=0), Pattern.UNKNOWN_OUTCOME),
        (make_attempt(), Pattern.UNKNOWN_OUTCOME),
    ],
)  # fmt: skip
def test_what_the_sender_tells_is_recognized(spans: list[Span], pattern: Pattern) -> None:
    told = explain(*spans)

    assert [story.pattern for story in told.attempts] == [pattern]
    assert pattern in told.patterns


def test_both_meanings_are_told_where_runbook_and_meta_differ() -> None:
    [story] = explain(*TEMPLATE_NOT_FOUND).attempts

    assert "Error 133004, says runbook 000: No such template (not tried again)." in story.sentences
    assert (
        "Error 133004, says Meta 2026-09: Server temporarily unavailable (tried again)."
        in story.sentences
    )


def test_one_meaning_is_told_where_they_agree_and_none_where_nobody_knows() -> None:
    agreed = explain(*make_attempt(called=500, http__status=500, error__code="131016", failed=True))
    unknown = explain(*make_attempt(called=400, http__status=400, error__code="4711", failed=True))

    assert sum("131016, says" in one for one in agreed.attempts[0].sentences) == 1
    assert "No catalogue knows error 4711." in unknown.attempts[0].sentences


def test_every_house_code_that_keeps_a_message_back_has_a_meaning() -> None:
    for code in HouseCode:
        spans = make_attempt(status="QUEUED", error__code=code.value, retry__scheduled=True)
        [story] = explain(*spans).attempts
        assert not any("No catalogue" in sentence for sentence in story.sentences), code
