"""One attempt at one message: checks, call, verdict, and its story in spans."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from outbound_slo.vocabulary.errors import (
    Category,
    ErrorPolicy,
    HouseCode,
    Limit,
    Retryable,
    classify,
)
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus
from sender.breaker import Breaker
from sender.journal import name_message
from sender.metrics import SenderMetrics
from sender.outbox import ClaimedMessage, Settlement
from sender.providers.answer import SendResult
from sender.quiet_hours import QuietPolicy
from sender.rests import Rests
from sender.retelling import PROVIDER_SPAN, list_correlation, note_stages
from sender.retry import spread, wait_before_retry
from sender.rules import Deferral, Refusal, judge
from tracing.propagation import NEW_TRACE, context_from, link_to, name_story
from tracing.setup import Tracing
from tracing.story import StorySpan

_SERVER_ERROR = 500
_REMARKABLE = frozenset({AttemptOutcome.FAILED, AttemptOutcome.UNKNOWN, AttemptOutcome.REFUSED})
_PROVIDER_TROUBLE = frozenset({Category.TEMPORARY, Category.TIMEOUT})


class Provider(Protocol):
    """What the sender needs of a provider."""

    channel: Channel
    span_name: SpanName

    async def send(self, message: ClaimedMessage) -> SendResult:
        """Send one message; never raises for what a network or a provider can do."""


@dataclass(frozen=True, slots=True)
class AttemptRules:
    """Settings of an attempt; seconds. The story of a call slower than `slow_s` is always kept."""

    backoff_seconds: Sequence[float]
    jitter: float
    error_policy: ErrorPolicy
    quiet: QuietPolicy
    slow_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt that is over but not yet written; its span ends when it is."""

    message: ClaimedMessage
    settlement: Settlement
    span: StorySpan


class Attempter:
    """Makes attempts; holds what they share within a process."""

    def __init__(
        self,
        rules: AttemptRules,
        providers: Mapping[Channel, Provider],
        breakers: Mapping[Channel, Breaker],
        tracing: Tracing,
        metrics: SenderMetrics,
        rng: random.Random,
    ) -> None:
        """Take the providers that are switched on and a breaker per channel."""
        self._rules = rules
        self._providers = providers
        self._breakers = breakers
        self._tracing = tracing
        self._metrics = metrics
        self._rng = rng
        self._rests = Rests(time.monotonic)

    async def run(self, message: ClaimedMessage) -> Attempted:
        """Make one attempt; the result is to be settled, then the span ended."""
        channel = Channel(message.channel)
        breaker = self._breakers[channel]
        span = self._open_story(message, breaker)
        name_message(message, span.trace_id)
        began = time.monotonic()
        try:
            with self._tracing.span(
                PROVIDER_SPAN[channel], self._provider_tags(message), parent=span.context
            ) as call:
                settlement = await self._settle(message, channel, breaker, call)
        except BaseException as error:
            span.fail(type(error).__name__)
            span.decide(keep=True)
            span.end()
            raise
        slow = time.monotonic() - began > self._rules.slow_s
        if not (span.sampled and self._tracing.is_exporting):
            settlement = self._judge_story(message, settlement, span, slow=slow)
        return Attempted(message, settlement, span)

    def _judge_story(
        self, message: ClaimedMessage, settlement: Settlement, span: StorySpan, *, slow: bool
    ) -> Settlement:
        """Say whether the story of an attempt is kept that the head has not sampled."""
        if not self._tracing.is_exporting:
            return replace(settlement, trace_kept=False)
        if slow or settlement.outcome in _REMARKABLE:
            return settlement
        return replace(settlement, trace_kept=False, trace_stages=note_stages(span, message))

    async def _settle(
        self,
        message: ClaimedMessage,
        channel: Channel,
        breaker: Breaker,
        call: StorySpan,
    ) -> Settlement:
        provider = self._providers.get(channel)
        objection = self._judge(message, channel, provider is not None)
        if isinstance(objection, Refusal):
            return self._refuse(message, objection, call)
        objection = objection or self._find_rest(message)
        if isinstance(objection, Deferral):
            return self._defer(message, objection, call)
        permit = breaker.admit(time.monotonic()) if provider is not None else None
        if provider is None or permit is None:
            self._metrics.breaker_not_permitted.labels(channel.label).inc()
            return self._hold_back(message, breaker, call)
        try:
            result = await provider.send(message)
        except BaseException:
            breaker.release(permit)
            raise
        self._metrics.provider_call.labels(channel.label).observe(result.duration_s)
        breaker.record(
            permit, time.monotonic(), failed=self._is_trouble(result), duration_s=result.duration_s
        )
        return self._weigh(message, result, call)

    def _judge(
        self, message: ClaimedMessage, channel: Channel, has_provider: bool
    ) -> Refusal | Deferral | None:
        check = partial(
            judge,
            message,
            has_provider=has_provider,
            now=datetime.now(UTC),
            quiet=self._rules.quiet,
        )
        if channel is not Channel.WHATSAPP:
            return check()
        tags: dict[Tag, object] = {Tag.WITHIN_SESSION_WINDOW: bool(message.window_open)}
        with self._tracing.span(SpanName.SESSION_WINDOW_CHECK, tags):
            return check()

    def _find_rest(self, message: ClaimedMessage) -> Deferral | None:
        held = self._rests.find(message)
        if held is None:
            return None
        wait = spread(held.seconds, self._rules.jitter, self._rng.random())
        text = f"The provider limits the rate of this {held.limit}"
        return Deferral(HouseCode.THROTTLED, text, wait)

    def _refuse(self, message: ClaimedMessage, refusal: Refusal, call: StorySpan) -> Settlement:
        labels = (Channel(message.channel).label, refusal.code.value)
        self._metrics.refusals.labels(*labels).inc()
        call.tags({Tag.ERROR_CODE: refusal.code.value, Tag.STATUS: MessageStatus.FAILED.value})
        call.fail(refusal.code.value, refusal.text)
        return Settlement(
            message.id,
            message.attempt_no,
            AttemptOutcome.REFUSED,
            MessageStatus.FAILED,
            error_code=refusal.code.value,
            error_message=refusal.text,
            close_budget=True,
        )

    def _defer(self, message: ClaimedMessage, deferral: Deferral, call: StorySpan) -> Settlement:
        labels = (Channel(message.channel).label, deferral.code.value)
        self._metrics.deferrals.labels(*labels).inc()
        call.tags(
            {
                Tag.ERROR_CODE: deferral.code.value,
                Tag.STATUS: MessageStatus.QUEUED.value,
                Tag.RETRY_SCHEDULED: True,
                # A planned wait is no failure: the span keeps its good status.
                Tag.ERROR_MESSAGE: deferral.text,
            }
        )
        return Settlement(
            message.id,
            message.attempt_no,
            AttemptOutcome.DEFERRED,
            MessageStatus.QUEUED,
            error_code=deferral.code.value,
            error_message=deferral.text,
            defer_s=deferral.seconds,
            give_back=True,
        )

    def _hold_back(self, message: ClaimedMessage, breaker: Breaker, call: StorySpan) -> Settlement:
        code = HouseCode.CIRCUIT_BREAKER_OPEN.value
        call.tags(
            {
                Tag.ERROR_CODE: code,
                Tag.STATUS: MessageStatus.QUEUED.value,
                Tag.RETRY_SCHEDULED: True,
            }
        )
        call.fail("CircuitBreakerOpenException", "The circuit breaker is open")
        wait = max(breaker.wait_s(time.monotonic()), breaker.policy.open_s / 10)
        return Settlement(
            message.id,
            message.attempt_no,
            AttemptOutcome.DEFERRED,
            MessageStatus.QUEUED,
            error_code=code,
            error_message="The circuit breaker is open",
            retry_in_s=spread(wait, self._rules.jitter, self._rng.random()),
            give_back=True,
        )

    def _weigh(self, message: ClaimedMessage, result: SendResult, call: StorySpan) -> Settlement:
        call.tags({Tag.HTTP_STATUS: result.http_status, Tag.ERROR_CODE: result.error_code})
        if result.accepted:
            call.tags(
                {
                    Tag.STATUS: MessageStatus.SENT.value,
                    Tag.PROVIDER_MESSAGE_ID: result.provider_message_id,
                }
            )
            return Settlement(
                message.id,
                message.attempt_no,
                AttemptOutcome.SENT,
                MessageStatus.SENT,
                http_status=result.http_status,
                provider_message_id=result.provider_message_id,
            )
        if result.unknown:
            call.tag(Tag.STATUS, MessageStatus.SENDING.value)
            call.fail(result.error_code or HouseCode.OUTCOME_UNKNOWN.value, result.error_message)
            return Settlement(
                message.id,
                message.attempt_no,
                AttemptOutcome.UNKNOWN,
                None,
                http_status=result.http_status,
                error_code=result.error_code,
                error_message=result.error_message,
            )
        return self._fail(message, result, call)

    def _fail(self, message: ClaimedMessage, result: SendResult, call: StorySpan) -> Settlement:
        meaning = classify(result.error_code, result.http_status, self._rules.error_policy)
        code = result.error_code or meaning.code
        limits = meaning.limits
        # A limit is a wait and no failure: it costs one attempt at most, and never the last.
        spared = limits is not None and message.attempt_count > 1
        left = message.max_attempts - message.attempt_count
        again = meaning.retryable.automatic and (left > 0 or limits is not None)
        rest = None
        if limits is not None:
            rest = self._rests.note(message, limits, result.retry_after_s)
        wait = None
        if again:
            wait = wait_before_retry(
                message.attempt_count,
                self._rules.backoff_seconds,
                limits=limits,
                at_least=(result.retry_after_s, meaning.wait_s, rest),
                jitter=self._rules.jitter,
                draw=self._rng.random(),
            )
        status = MessageStatus.QUEUED if again else MessageStatus.FAILED
        call.tags({Tag.ERROR_CODE: code, Tag.STATUS: status.value, Tag.RETRY_SCHEDULED: again})
        if result.retry_after_s is not None:
            call.tag(Tag.RETRY_AFTER, round(result.retry_after_s))
        call.fail(_name_error(meaning.category), result.error_message)
        return Settlement(
            message.id,
            message.attempt_no,
            AttemptOutcome.FAILED,
            status,
            http_status=result.http_status,
            error_code=code,
            error_message=result.error_message,
            retry_in_s=wait,
            close_budget=meaning.retryable is Retryable.NO,
            give_back=again and (spared or left <= 0),
            # One recipient's limit is no reason to stop the others.
            throttle_s=None if limits is Limit.RECIPIENT else rest,
        )

    def _is_trouble(self, result: SendResult) -> bool:
        """Whether a result speaks against the provider's health, not against the message."""
        if result.accepted:
            return False
        if result.http_status is None or result.http_status >= _SERVER_ERROR:
            return True
        meaning = classify(result.error_code, result.http_status, self._rules.error_policy)
        return meaning.category in _PROVIDER_TROUBLE

    def _open_story(self, message: ClaimedMessage, breaker: Breaker) -> StorySpan:
        now = time.monotonic()
        tags: dict[Tag, object] = {
            Tag.MESSAGE_ID: message.id,
            Tag.MESSAGE_CHANNEL: message.channel,
            Tag.MESSAGE_ATTEMPT: message.attempt_no,
            Tag.MESSAGE_TO: message.to_recipient,
            Tag.ORG_ID: message.org_id,
            Tag.TEMPLATE_CODE: message.template_code,
            Tag.HAS_TEMPLATE: message.template_code is not None,
            Tag.CIRCUIT_BREAKER_STATE: breaker.state(now).name,
        }
        if breaker.failure_rate() >= 0:
            tags[Tag.CIRCUIT_BREAKER_FAILURE_RATE] = breaker.failure_rate()
            tags[Tag.CIRCUIT_BREAKER_SLOW_CALL_RATE] = breaker.slow_call_rate()
        baggage = list_correlation(message.session_id, message.run_id, message.hypothesis_id)
        found = (link_to(message.traceparent), link_to(message.previous_traceparent))
        return self._tracing.span(
            SpanName.OUTBOUND_MESSAGE_PROCESS,
            tags,
            parent=context_from(None, baggage) or NEW_TRACE,
            links=[link for link in found if link is not None],
            own=name_story(message.own_traceparent),
        )

    def _provider_tags(self, message: ClaimedMessage) -> dict[Tag, object]:
        tags: dict[Tag, object] = {Tag.HAS_TEMPLATE: message.template_code is not None}
        if message.channel == Channel.WHATSAPP.value:
            tags[Tag.WITHIN_SESSION_WINDOW] = bool(message.window_open)
        return tags


def _name_error(category: Category) -> str:
    return category.value.lower().replace(" ", "_")
