"""The life of an accepted message after the answer: which statuses come, when, in what order.

Pure: randomness is passed in, times are offsets in seconds from the acceptance.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

_SENT_SHARE = 0.2


class Behaviour(BaseModel):
    """How receipts behave; the schema of `PUT /_control/behaviour`. Rates are shares, 0 to 1.

    Attributes:
        delivery_ms: Mean time from acceptance to the phone; each message takes half to
            one and a half times as long.
        read_rate: Share of delivered messages that are read, `read_ms` later on average.
        read_at_once_rate: Share of the read messages whose delivered status Meta leaves out,
            because the chat was open.
        late_rate: Share of statuses that are posted `late_ms` after they were due. Their own
            timestamp stays true.
        duplicate_rate: Share of statuses that are posted twice.
        out_of_order_rate: Share of messages whose next status is posted before sent.
        deferred_rate: Share of e-mails that the receiving server puts off once.
        dropped_rate: Share of failing e-mails that SendGrid drops; the others bounce.
        never_delivered_rate: Share of messages that are sent and then heard of no more.
        silent_rate: Share of messages for which no status comes at all.
        failed_rate: Share of messages that fail after acceptance: with `failed_code` (Meta),
            undelivered and 30003 (Twilio), bounce or dropped (SendGrid).
        collect_ms: How long statuses are collected before they are posted.
        batch_rate: Share of Meta's statuses and SendGrid's events that share a POST with others
            collected, at most `batch_limit` in one (Meta's own limit is 1,000).
        bad_signature_rate: Share of POSTs signed with a wrong secret.
        paused: Nothing is posted until this is false again.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    delivery_ms: float = Field(default=300, ge=0, le=86_400_000)
    read_rate: float = Field(default=0.3, ge=0, le=1)
    read_ms: float = Field(default=1000, ge=0, le=86_400_000)
    read_at_once_rate: float = Field(default=0, ge=0, le=1)
    late_rate: float = Field(default=0, ge=0, le=1)
    late_ms: float = Field(default=5000, ge=0, le=86_400_000)
    duplicate_rate: float = Field(default=0, ge=0, le=1)
    out_of_order_rate: float = Field(default=0, ge=0, le=1)
    deferred_rate: float = Field(default=0, ge=0, le=1)
    dropped_rate: float = Field(default=0, ge=0, le=1)
    never_delivered_rate: float = Field(default=0, ge=0, le=1)
    silent_rate: float = Field(default=0, ge=0, le=1)
    failed_rate: float = Field(default=0, ge=0, le=1)
    failed_code: int = Field(default=131026, ge=0)
    collect_ms: float = Field(default=20, ge=1, le=60_000)
    batch_rate: float = Field(default=0.3, ge=0, le=1)
    batch_limit: int = Field(default=50, ge=1, le=1000)
    bad_signature_rate: float = Field(default=0, ge=0, le=1)
    paused: bool = False


class Step(NamedTuple):
    """One status: when it happened and when its webhook is due, seconds after acceptance."""

    status: str
    occurred: float
    due: float


def plan_life(behaviour: Behaviour, rng: random.Random, *, is_readable: bool) -> tuple[Step, ...]:
    """Draw the statuses of one message, in the order in which their webhooks are due."""
    if _happens(behaviour.silent_rate, rng):
        return ()
    return plan_telling(_draw_steps(behaviour, rng, is_readable=is_readable), behaviour, rng)


def plan_telling(
    steps: Sequence[Step], behaviour: Behaviour, rng: random.Random
) -> tuple[Step, ...]:
    """Draw how what happens to a message is told: out of order, late, twice."""
    if len(steps) > 1 and _happens(behaviour.out_of_order_rate, rng):
        first, second, *rest = steps
        steps = [first._replace(due=second.due), second._replace(due=first.due), *rest]
    elif not (behaviour.late_rate or behaviour.duplicate_rate):
        return tuple(steps)
    planned: list[Step] = []
    for step in steps:
        delay = behaviour.late_ms / 1000 if _happens(behaviour.late_rate, rng) else 0.0
        planned.append(step._replace(due=step.due + delay))
        if _happens(behaviour.duplicate_rate, rng):
            again = planned[-1].due + rng.random() * behaviour.delivery_ms / 1000
            planned.append(step._replace(due=again))
    return tuple(sorted(planned, key=lambda step: step.due))


def _happens(rate: float, rng: random.Random) -> bool:
    """Decide by a share; what never or always happens costs no draw."""
    return rate > 0 and (rate >= 1 or rng.random() < rate)


def _draw_steps(behaviour: Behaviour, rng: random.Random, *, is_readable: bool) -> list[Step]:
    """Draw what happens to a message, before anything befalls the telling of it."""
    delivered = behaviour.delivery_ms / 1000 * (0.5 + rng.random())
    sent = delivered * _SENT_SHARE
    if _happens(behaviour.failed_rate, rng):
        return [Step("failed", sent, sent)]
    steps = [Step("sent", sent, sent)]
    if _happens(behaviour.never_delivered_rate, rng):
        return steps
    read = is_readable and _happens(behaviour.read_rate, rng)
    if not (read and _happens(behaviour.read_at_once_rate, rng)):
        steps.append(Step("delivered", delivered, delivered))
    if read:
        seen = delivered + behaviour.read_ms / 1000 * (0.5 + rng.random())
        steps.append(Step("read", seen, seen))
    return steps
