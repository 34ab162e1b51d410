"""The life of an accepted message after the answer: which statuses come, when, in what order.

Pure: randomness is passed in, times are offsets in seconds from the acceptance.
"""

import random
from dataclasses import dataclass, replace

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
        never_delivered_rate: Share of messages that are sent and then heard of no more.
        silent_rate: Share of messages for which no status comes at all.
        failed_rate: Share of messages that fail after acceptance, with `failed_code` (Meta)
            or undelivered and 30003 (Twilio).
        batch_rate: Share of Meta's statuses that share a POST with others due at the same time,
            at most `batch_limit` in one (Meta's own limit is 1,000).
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
    never_delivered_rate: float = Field(default=0, ge=0, le=1)
    silent_rate: float = Field(default=0, ge=0, le=1)
    failed_rate: float = Field(default=0, ge=0, le=1)
    failed_code: int = Field(default=131026, ge=0)
    batch_rate: float = Field(default=0.3, ge=0, le=1)
    batch_limit: int = Field(default=50, ge=1, le=1000)
    bad_signature_rate: float = Field(default=0, ge=0, le=1)
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One status: when it happened and when its webhook is due, seconds after acceptance."""

    status: str
    occurred: float
    due: float


def plan_life(behaviour: Behaviour, rng: random.Random, *, is_readable: bool) -> tuple[Step, ...]:
    """Draw the statuses of one message, in the order in which their webhooks are due."""
    if rng.random() < behaviour.silent_rate:
        return ()
    steps = _draw_steps(behaviour, rng, is_readable=is_readable)
    if len(steps) > 1 and rng.random() < behaviour.out_of_order_rate:
        first, second, *rest = steps
        steps = [replace(first, due=second.due), replace(second, due=first.due), *rest]
    planned: list[Step] = []
    for step in steps:
        delay = behaviour.late_ms / 1000 if rng.random() < behaviour.late_rate else 0.0
        planned.append(replace(step, due=step.due + delay))
        if rng.random() < behaviour.duplicate_rate:
            again = planned[-1].due + rng.random() * behaviour.delivery_ms / 1000
            planned.append(replace(step, due=again))
    return tuple(sorted(planned, key=lambda step: step.due))


def _draw_steps(behaviour: Behaviour, rng: random.Random, *, is_readable: bool) -> list[Step]:
    """Draw what happens to a message, before anything befalls the telling of it."""
    delivered = behaviour.delivery_ms / 1000 * (0.5 + rng.random())
    sent = delivered * _SENT_SHARE
    if rng.random() < behaviour.failed_rate:
        return [Step("failed", sent, sent)]
    steps = [Step("sent", sent, sent)]
    if rng.random() < behaviour.never_delivered_rate:
        return steps
    read = is_readable and rng.random() < behaviour.read_rate
    if not (read and rng.random() < behaviour.read_at_once_rate):
        steps.append(Step("delivered", delivered, delivered))
    if read:
        seen = delivered + behaviour.read_ms / 1000 * (0.5 + rng.random())
        steps.append(Step("read", seen, seen))
    return steps
