"""A message's story in words: what happened in each attempt, how it stands, what to do next.

A pure function over traces; `tracing.verdicts` reads a single attempt, `tracing.remedies` knows
what to do.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from outbound_slo.vocabulary.spans import SpanName, Tag
from tracing.remedies import REMEDIES, Pattern, fill_steps
from tracing.rows import ARRIVALS, Delivery, correlate, read_text, read_whole
from tracing.traces import Trace
from tracing.tree import show_duration, show_moment
from tracing.verdicts import AttemptFacts, describe, describe_code, read_facts, recognize

_US_PER_S = 1_000_000
_PLAIN_RECIPIENT = re.compile(r"\+?\d{5,15}|[^*]+@.+")
_GAP_US = 60 * _US_PER_S
"""From here a pause between two attempts is worth a word; the shortest back-off of 000."""


@dataclass(frozen=True, slots=True)
class AttemptStory:
    """One attempt in words.

    Attributes:
        attempt: Number from 1; None if not told.
        trace_id: Hexadecimal.
        start_us: Microseconds since the epoch.
        pattern: What it shows; None when all went well.
        section: Heading of runbook 000 that tells of the pattern; None where there is no pattern.
        sentences: What happened.

    """

    attempt: int | None
    trace_id: str
    start_us: int
    pattern: Pattern | None
    section: str | None
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A message in words.

    Attributes:
        message_id: The message.
        summary: How it stands, in one sentence.
        patterns: What the message as a whole shows; none when it was delivered.
        attempts: In the order of their starts.
        missing: What the traces do not show yet.
        sections: Headings of runbook 000 to read, in order.
        steps: What to do next: commands, requests of the sender's API, or plain words.

    """

    message_id: int
    summary: str
    patterns: tuple[Pattern, ...]
    attempts: tuple[AttemptStory, ...]
    missing: tuple[str, ...]
    sections: tuple[str, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Attempt:
    trace: Trace
    facts: AttemptFacts
    pattern: Pattern | None
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a message stands: in a sentence, by its patterns, with the code that ended it."""

    summary: str
    patterns: tuple[Pattern, ...] = ()
    missing: tuple[str, ...] = ()
    code: str = ""


def explain_message(message_id: int, traces: Sequence[Trace], now_us: int) -> Explanation:
    """Explain a message.

    Args:
        message_id: The message.
        traces: Its traces, at least one, the earliest first.
        now_us: Microseconds since the epoch, for how long something has been awaited.

    """
    attempts = _gather(traces)
    standing = _judge(traces, attempts, now_us)
    values = {
        "message": str(message_id),
        "code": standing.code,
        "recipient": quote(_read_recipient(traces), safe=""),
    }
    steps = (step for pattern in standing.patterns for step in fill_steps(pattern, values))
    return Explanation(
        message_id=message_id,
        summary=standing.summary,
        patterns=standing.patterns,
        attempts=tuple(_tell(attempts)),
        missing=standing.missing,
        sections=tuple(dict.fromkeys(REMEDIES[one].section for one in standing.patterns)),
        steps=tuple(dict.fromkeys(steps)),
    )


def _gather(traces: Sequence[Trace]) -> list[_Attempt]:
    attempts = []
    for trace in traces:
        if trace.root.name in {SpanName.HTTP_IN, SpanName.WEBHOOK_IN, SpanName.WEBHOOK_PROCESS}:
            continue
        facts = read_facts(trace)
        early = [
            other
            for other in traces
            if other.root.name == SpanName.WEBHOOK_IN
            and facts.provider_message_id
            and read_text(other, Tag.PROVIDER_MESSAGE_ID) == facts.provider_message_id
        ]
        delivery = correlate(trace, facts.provider_message_id, early)
        attempts.append(_Attempt(trace, facts, recognize(facts), delivery))
    return attempts


def _tell(attempts: Sequence[_Attempt]) -> list[AttemptStory]:
    stories = []
    for before, attempt in zip((None, *attempts), attempts, strict=False):
        sentences = []
        if before is not None:
            sentences += _tell_gap(before, attempt)
        sentences += describe(attempt.pattern, attempt.facts)
        sentences += _tell_receipts(attempt)
        pattern = attempt.pattern
        if pattern is None and _failure_receipt(attempt) is not None:
            pattern = Pattern.DELIVERY_FAILED
        stories.append(
            AttemptStory(
                attempt=read_whole(attempt.trace, Tag.MESSAGE_ATTEMPT),
                trace_id=attempt.trace.trace_id,
                start_us=attempt.trace.start_us,
                pattern=pattern,
                section=None if pattern is None else REMEDIES[pattern].section,
                sentences=tuple(sentences),
            )
        )
    return stories


def _tell_gap(before: _Attempt, attempt: _Attempt) -> list[str]:
    gap = attempt.trace.start_us - _end_us(before)
    if gap < _GAP_US:
        return []
    wanted = before.facts.retry_after_s
    why = f"; the provider had asked for {wanted} s" if wanted is not None else ""
    return [f"It began {show_duration(gap)} after the attempt before had ended{why}."]


def _tell_receipts(attempt: _Attempt) -> list[str]:
    sentences = []
    for receipt in attempt.delivery.receipts:
        after = show_duration(round(receipt.latency_s * _US_PER_S))
        told = receipt.status or "no status"
        sentences.append(f"A webhook said {told} after {after}.")
    code = _failure_receipt(attempt)
    return sentences + (describe_code(code) if code else [])


def _judge(traces: Sequence[Trace], attempts: Sequence[_Attempt], now_us: int) -> _Standing:
    if not attempts:
        waited = show_duration(max(now_us - traces[0].start_us, 0))
        return _Standing(
            f"No attempt has begun in the {waited} since it was first heard of",
            (Pattern.NOT_BEGUN,),
            ("any attempt: the message waits in the queue, or its spans were lost",),
        )
    for attempt in attempts:
        arrived = [each for each in attempt.delivery.receipts if each.status in ARRIVALS]
        if arrived:
            number = _name(attempt)
            took = show_duration(round(arrived[0].latency_s * _US_PER_S))
            return _Standing(f"Delivered: a webhook said so {took} after {number} began")
    return _judge_last(attempts, now_us)


def _judge_last(attempts: Sequence[_Attempt], now_us: int) -> _Standing:
    last = attempts[-1]
    number = _name(last)
    since = show_duration(max(now_us - _end_us(last), 0))
    refusal = _failure_receipt(last)
    if refusal is not None:
        told = f" with error {refusal}" if refusal else ""
        summary = f"Not delivered: the provider accepted {number} and then reported failure{told}"
        return _Standing(summary, (Pattern.DELIVERY_FAILED,), (), refusal)
    if last.pattern is None:
        heard = [each.status for each in last.delivery.receipts if each.status]
        only = f"only {heard[-1]} has been reported" if heard else "no receipt has come"
        return _Standing(
            f"Sent by {number}, not known to be delivered: {only} in the {since} since",
            (Pattern.NO_WEBHOOK,),
            ("a webhook that says DELIVERED",) if heard else ("any webhook",),
        )
    if last.pattern is Pattern.UNKNOWN_OUTCOME:
        summary = f"Not known: {number} ended without an answer, {since} ago"
        return _Standing(summary, (last.pattern,), ("the answer, or a webhook",), last.facts.code)
    if last.facts.status != "QUEUED" and not last.facts.retry_scheduled:
        summary = f"Failed at {number}: {last.pattern.value}"
        return _Standing(summary, (last.pattern,), (), last.facts.code)
    begun = _begins_late(attempts)
    gap = (Pattern.RETRY_GAP,) if begun or now_us - _end_us(last) >= _GAP_US else ()
    return _Standing(
        f"Waiting to be tried again: {number} met {last.pattern.value}, {since} ago",
        (last.pattern, *gap),
        ("the next attempt",),
        last.facts.code,
    )


def _begins_late(attempts: Sequence[_Attempt]) -> bool:
    return any(
        after.trace.start_us - _end_us(before) >= _GAP_US
        for before, after in itertools.pairwise(attempts)
    )


def _failure_receipt(attempt: _Attempt) -> str | None:
    """Give the code with which a webhook reported failure, perhaps empty; None if none did."""
    if not any(receipt.status == "FAILED" for receipt in attempt.delivery.receipts):
        return None
    codes = (
        span.tags.get(Tag.ERROR_CODE.value)
        for span in attempt.trace.spans
        if span.name == SpanName.STATUS_UPDATE
    )
    return next((str(code) for code in codes if code is not None), "")


def _end_us(attempt: _Attempt) -> int:
    return attempt.trace.root.start_us + attempt.trace.root.duration_us


def _name(attempt: _Attempt) -> str:
    number = read_whole(attempt.trace, Tag.MESSAGE_ATTEMPT)
    at = show_moment(attempt.trace.start_us)
    return f"attempt {'?' if number is None else number} ({at})"


def _read_recipient(traces: Sequence[Trace]) -> str:
    """Give the recipient; nothing where spans name it by a mask or a hash."""
    named = _first_text(traces, Tag.MESSAGE_TO)
    return named if _PLAIN_RECIPIENT.fullmatch(named) else ""


def _first_text(traces: Sequence[Trace], tag: Tag) -> str:
    return next((text for trace in traces if (text := read_text(trace, tag))), "")
