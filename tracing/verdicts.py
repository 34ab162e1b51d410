"""What one attempt's trace shows: which pattern of runbook 000, and the facts of it in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from outbound_slo.vocabulary.errors import (
    Agreement,
    Category,
    ErrorMeaning,
    ErrorPolicy,
    HouseCode,
    Retryable,
    agreement,
    classify,
    meanings,
)
from outbound_slo.vocabulary.spans import PROVIDER_SPANS, SpanName, Tag
from tracing.remedies import Pattern
from tracing.rows import read_flag, read_text, read_whole
from tracing.traces import Span, Trace

_BREAKER_ERROR = "CircuitBreakerOpenException"
_BY_CATEGORY: Mapping[Category, Pattern] = MappingProxyType(
    {
        Category.SESSION_WINDOW: Pattern.SESSION_EXPIRED,
        Category.RATE_LIMIT: Pattern.RATE_LIMITED,
        Category.TEMPLATE: Pattern.TEMPLATE_NOT_FOUND,
        Category.TEMPORARY: Pattern.PROVIDER_ERROR,
        Category.TIMEOUT: Pattern.PROVIDER_ERROR,
    }
)
_RETRIES: Mapping[Retryable, str] = MappingProxyType(
    {
        Retryable.YES: "tried again",
        Retryable.AFTER_WAIT: "tried again after a wait",
        Retryable.AFTER_FIX: "sound, but somebody has to mend something first",
        Retryable.NO: "not tried again",
    }
)

_SAYINGS: Mapping[Pattern | tuple[Pattern, bool], str] = MappingProxyType(
    {
        Pattern.BREAKER_OPEN: (
            "The circuit breaker was open{rate}, so the provider was not called."
        ),
        (Pattern.SESSION_EXPIRED, False): (
            "The 24-hour session window was closed and there was no template, so the provider was "
            "not called."
        ),
        (Pattern.SESSION_EXPIRED, True): (
            "The provider refused it: outside the 24-hour session window ({answer}{error})."
        ),
        Pattern.RATE_LIMITED: "The provider limits the rate ({answer}{error}).",
        Pattern.PROVIDER_ERROR: "The provider had trouble ({answer}{error}).",
        Pattern.TEMPLATE_NOT_FOUND: "The provider did not take the template ({answer}{error}).",
        (Pattern.UNKNOWN_OUTCOME, False): (
            "How it ended is not known: the attempt's first span has not arrived. It may still "
            "run, or the sender stopped in the midst of it."
        ),
        (Pattern.UNKNOWN_OUTCOME, True): (
            "How it ended is not known: the request may have reached the provider, the answer did "
            "not reach us ({answer}{error})."
        ),
        Pattern.REFUSED: "A rule of our own forbade it ({code}); the provider was not called.",
        Pattern.DEFERRED: "It was put off ({code}), which costs no attempt.",
        Pattern.OTHER_FAILURE: "The provider refused it ({answer}{error}).",
    }
)


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """The tags of one attempt that decide what happened; empty or None where not told.

    Attributes:
        root_arrived: Whether the span that says how it ended is there.
        called: Whether a request went out to the provider.
        http_status: Of the provider's answer.
        error: Kind of error, in one word.
        retry_after_s: Seconds that the provider asked to wait.

    """

    root_arrived: bool
    called: bool
    failed: bool
    status: str
    code: str
    error: str
    message: str
    http_status: int | None
    retry_after_s: int | None
    retry_scheduled: bool | None
    within_window: bool | None
    has_template: bool | None
    breaker_rate: str
    provider_message_id: str


def read_facts(trace: Trace) -> AttemptFacts:
    """Read the facts of an attempt; what the provider span says goes before its request's span."""
    send = _find(trace, *PROVIDER_SPANS)
    call = _find(trace, SpanName.HTTP_CLIENT_REQUEST)
    own = Trace(trace.trace_id, tuple(s for s in (trace.root, send, call) if s is not None))
    told = Trace(trace.trace_id, tuple(s for s in (send, call, trace.root) if s is not None))
    status = read_whole(told, Tag.HTTP_STATUS)
    return AttemptFacts(
        root_arrived=trace.root.name == SpanName.OUTBOUND_MESSAGE_PROCESS,
        called=call is not None,
        failed=any(span.failed for span in told.spans),
        status=read_text(own, Tag.STATUS),
        code=read_text(own, Tag.ERROR_CODE),
        error=read_text(told, Tag.ERROR),
        message=read_text(told, Tag.ERROR_MESSAGE),
        http_status=status if status is not None else read_whole(told, Tag.HTTP_STATUS_CODE),
        retry_after_s=read_whole(told, Tag.RETRY_AFTER),
        retry_scheduled=read_flag(told, Tag.RETRY_SCHEDULED),
        within_window=read_flag(told, Tag.WITHIN_SESSION_WINDOW),
        has_template=read_flag(told, Tag.HAS_TEMPLATE),
        breaker_rate=read_text(own, Tag.CIRCUIT_BREAKER_FAILURE_RATE),
        provider_message_id=read_text(told, Tag.PROVIDER_MESSAGE_ID),
    )


def recognize(facts: AttemptFacts) -> Pattern | None:
    """Tell which pattern an attempt shows; None when the provider accepted the message."""
    if HouseCode.CIRCUIT_BREAKER_OPEN.value == facts.code or facts.error == _BREAKER_ERROR:
        return Pattern.BREAKER_OPEN
    if facts.status == "SENT" or _is_accepted(facts):
        return None
    if _is_unknown(facts):
        return Pattern.UNKNOWN_OUTCOME
    if _is_session_expired(facts):
        return Pattern.SESSION_EXPIRED
    if not facts.called and facts.http_status is None and _is_ours(facts.code):
        return Pattern.DEFERRED if facts.retry_scheduled else Pattern.REFUSED
    return _by_answer(facts)


def describe(pattern: Pattern | None, facts: AttemptFacts) -> list[str]:
    """Say in sentences what happened in an attempt."""
    sentences = [_say(pattern, facts)]
    if facts.message and pattern is not Pattern.BREAKER_OPEN:
        sentences.append(f'It says: "{facts.message}".')
    if facts.code and pattern is not None:
        sentences += describe_code(facts.code)
    if facts.retry_after_s is not None:
        sentences.append(f"The provider asked to wait {facts.retry_after_s} s.")
    if facts.retry_scheduled and pattern is not Pattern.DEFERRED:
        sentences.append("Another attempt was planned.")
    elif facts.status == "FAILED":
        sentences.append("No other attempt was planned.")
    return sentences


def describe_code(code: str) -> list[str]:
    """Say what an error code means: one line, or one for each catalogue where they differ."""
    known = meanings(code)
    told = [meaning for meaning in known.values() if meaning.category is not Category.UNKNOWN]
    told = told or list(known.values())
    if not told:
        return [f"No catalogue knows error {code}."]
    if len(told) > 1 and agreement(code) is Agreement.SAME:
        told = told[:1]
    return [_describe_meaning(meaning) for meaning in told]


def _describe_meaning(meaning: ErrorMeaning) -> str:
    source = f"runbook {meaning.source}" if meaning.source.isdigit() else meaning.source
    fate = _RETRIES[meaning.retryable]
    return f"Error {meaning.code}, says {source}: {meaning.title} ({fate})."


def _say(pattern: Pattern | None, facts: AttemptFacts) -> str:
    if pattern is None:
        name = facts.provider_message_id
        return f"The provider accepted it{f' as {name}' if name else ''}."
    key: Pattern | tuple[Pattern, bool] = pattern
    if pattern is Pattern.SESSION_EXPIRED:
        key = (pattern, facts.called)
    elif pattern is Pattern.UNKNOWN_OUTCOME:
        key = (pattern, facts.root_arrived)
    rate = facts.breaker_rate
    return _SAYINGS[key].format(
        answer=f"HTTP {facts.http_status}" if facts.http_status else "no HTTP status",
        error=f", error {facts.code}" if facts.code else "",
        code=facts.code or "no code told",
        rate=f" ({rate.removesuffix('%')} % of recent calls failed)" if rate else "",
    )


def _is_accepted(facts: AttemptFacts) -> bool:
    # Another sender may tell no status, as in 000's patterns.
    answered = facts.http_status is not None and facts.http_status < HTTPStatus.BAD_REQUEST
    return not facts.status and answered and not facts.failed and not facts.code


def _is_ours(code: str) -> bool:
    # A provider's code without a call in sight comes from a sender that tells of none.
    return not code or code in set(HouseCode)


def _is_unknown(facts: AttemptFacts) -> bool:
    told = facts.code or facts.error or facts.http_status
    return facts.status == "SENDING" or (not facts.status and not (facts.root_arrived and told))


def _is_session_expired(facts: AttemptFacts) -> bool:
    return HouseCode.SESSION_EXPIRED.value in {facts.error, facts.code}


def _by_answer(facts: AttemptFacts) -> Pattern:
    if facts.http_status == HTTPStatus.TOO_MANY_REQUESTS:
        return Pattern.RATE_LIMITED
    # The sender's own verdict, under its own policy, goes before the catalogues.
    named = {category.lower().replace(" ", "_"): category for category in Category}
    category = named.get(facts.error)
    if category is None:
        category = classify(facts.code or None, facts.http_status, ErrorPolicy.RUNBOOK).category
    if category in _BY_CATEGORY:
        return _BY_CATEGORY[category]
    # No answer at all speaks against the provider, or the way to it.
    trouble = facts.http_status is None or facts.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Pattern.PROVIDER_ERROR if trouble else Pattern.OTHER_FAILURE


def _find(trace: Trace, *names: SpanName) -> Span | None:
    return next((span for span in trace.spans if span.name in names), None)
