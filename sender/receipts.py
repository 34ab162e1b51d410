"""What providers say of attempts, and where that leaves a message. Pure.

Receipts arrive twice, late and in any order. `advance` is the rule that `apply_receipts` in
callbacks.sql carries out in the database; a test holds the two together. Sources: D12, D16, D17.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.spans import Tag
from outbound_slo.vocabulary.statuses import MessageStatus


class Said(StrEnum):
    """What one receipt brings; READ is a state of the recipient's, not of the message (D16)."""

    SENT = "SENT"
    DELIVERED = "DELIVERED"
    READ = "READ"
    FAILED = "FAILED"


class Effect(StrEnum):
    """What a receipt came to: the `effect` label of the receipts' counter.

    CONFIRMED: it told what the provider's answer had told.
    UNMATCHED: it names no attempt of ours, or one that its signer may not speak of.
    """

    MOVED = "moved"
    CONFIRMED = "confirmed"
    REPEATED = "repeated"
    LATE = "late"
    UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says of one attempt; times in epoch seconds, by the provider's clock."""

    provider_message_id: str
    message_id: int | None = None
    attempt_no: int | None = None
    sent_s: float | None = None
    delivered_s: float | None = None
    read_s: float | None = None
    failed_s: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    close_budget: bool = False

    @property
    def arrived_s(self) -> float | None:
        """When the recipient had the message: told, or no later than it was read."""
        return _earlier(self.delivered_s, self.read_s)

    @property
    def said(self) -> Said:
        """The most that it tells; a failure counts for less than a delivery."""
        if self.read_s is not None:
            return Said.READ
        if self.delivered_s is not None:
            return Said.DELIVERED
        return Said.SENT if self.failed_s is None else Said.FAILED


class Standing(NamedTuple):
    """Where a message stands, as far as receipts of its current attempt matter.

    Times as in `Receipt`; None where nothing has told them.
    """

    status: MessageStatus
    error_code: str | None = None
    delivered_s: float | None = None
    read_s: float | None = None


def merge(known: Receipt, more: Receipt) -> Receipt:
    """Put two receipts of one attempt together: the earliest time of each kind, the first failure.

    The order of the two makes no difference unless both failed at the same second.
    """
    failure = more if _precedes(more.failed_s, known.failed_s) else known
    return Receipt(
        known.provider_message_id,
        known.message_id if known.message_id is not None else more.message_id,
        known.attempt_no if known.attempt_no is not None else more.attempt_no,
        _earlier(known.sent_s, more.sent_s),
        _earlier(known.delivered_s, more.delivered_s),
        _earlier(known.read_s, more.read_s),
        failure.failed_s,
        failure.error_code,
        failure.error_message,
        failure.close_budget,
    )


def merge_all(receipts: Iterable[Receipt]) -> list[Receipt]:
    """Give one receipt for each provider's id."""
    found: dict[str, Receipt] = {}
    for receipt in receipts:
        name = receipt.provider_message_id
        known = found.get(name)
        found[name] = receipt if known is None else merge(known, receipt)
    return list(found.values())


def advance(standing: Standing, receipt: Receipt) -> Standing:
    """Give where a receipt of its current attempt takes a message; never backwards.

    A recipient who has the message outweighs any failure. A failure stands against a mere "sent",
    except the one that the recovery sweep wrote because no answer and no receipt had come.
    """
    if receipt.arrived_s is not None:
        return Standing(
            MessageStatus.DELIVERED,
            None,
            _earlier(standing.delivered_s, receipt.arrived_s),
            _earlier(standing.read_s, receipt.read_s),
        )
    undecided = standing.status in {MessageStatus.QUEUED, MessageStatus.SENDING} or (
        standing.status is MessageStatus.FAILED
        and standing.error_code == HouseCode.OUTCOME_UNKNOWN.value
    )
    if receipt.failed_s is not None:
        if undecided or standing.status is MessageStatus.SENT:
            return standing._replace(status=MessageStatus.FAILED, error_code=receipt.error_code)
        return standing
    if receipt.sent_s is not None and undecided:
        return standing._replace(status=MessageStatus.SENT, error_code=None)
    return standing


def judge(before: Standing, after: Standing, receipt: Receipt) -> Effect:
    """Say what a receipt of a known attempt came to; a mere correction of a time moves nothing."""
    said = receipt.said
    if after.status is not before.status or (before.read_s is None and after.read_s is not None):
        return Effect.MOVED
    if said is Said.READ:
        return Effect.REPEATED if before.read_s is not None else Effect.LATE
    if said.value != before.status.value:
        return Effect.LATE
    if said is Said.SENT:
        return Effect.CONFIRMED
    late = said is Said.DELIVERED and before.read_s is not None
    return Effect.LATE if late else Effect.REPEATED


EFFECT_TAGS: Mapping[Effect, Tag] = {
    Effect.REPEATED: Tag.WEBHOOK_DUPLICATE,
    Effect.LATE: Tag.WEBHOOK_OUT_OF_ORDER,
}
"""The tag that a webhook's span gets for such a receipt."""


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None:
        return other
    return one if other is None else min(one, other)


def _precedes(one: float | None, other: float | None) -> bool:
    return one is not None and (other is None or one < other)
