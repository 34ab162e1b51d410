"""What became of every queued message: the outbox's word against the provider's ledger.

Pure: rows and acceptances come in. The provider's ledger is the judge of lost and sent twice, since
it alone knows what really arrived there.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from outbound_slo.vocabulary.statuses import MessageStatus


class Fate(StrEnum):
    """Where a message ended, from the point of view of whoever queued it."""

    DELIVERED = "delivered"
    SENT = "sent, no receipt so far"
    REFUSED = "refused for good"
    LOST = "lost"


class Loss(StrEnum):
    """How a message was lost."""

    NO_ROW = "its row is gone"
    UNFINISHED = "still not sent at the end"
    EATEN = "given up although its error passes by itself"
    NOT_AT_PROVIDER = "marked as sent, but the provider never took it"
    UNRECORDED = "marked as failed, but the provider took it"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message as the outbox has it at the end.

    Attributes:
        accepted: Whether the outbox knows that the provider took it.

    """

    id: int
    status: MessageStatus
    error_code: str | None
    accepted: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """A lost message and why it counts as lost."""

    id: int
    loss: Loss
    row: OutboxRow | None


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The count of all messages.

    Attributes:
        queued: How many distinct messages were put on the queue.
        fates: How many ended in each way.
        lost: Each lost message.
        twice: Messages that the provider took more than once, and how often.
        strangers: References in the provider's ledger that nobody queued.

    """

    queued: int
    fates: Mapping[Fate, int]
    lost: Sequence[Lost]
    twice: Mapping[int, int]
    strangers: Sequence[str]


def reckon(
    queued: Collection[int],
    rows: Mapping[int, OutboxRow],
    acceptances: Mapping[str, int],
    passing_errors: Collection[str],
) -> Reckoning:
    """Compare what was queued with the outbox and with the provider's ledger.

    Args:
        queued: Ids that the queue gave out.
        rows: The outbox at the end, by id.
        acceptances: The provider's count of acceptances by our message reference.
        passing_errors: Codes that are retried by themselves; a message that failed with one of
            them was given up too early.

    """
    fates: Counter[Fate] = Counter()
    lost: list[Lost] = []
    for message in sorted(queued):
        row = rows.get(message)
        loss = _find_loss(row, acceptances.get(str(message), 0), passing_errors)
        if loss is not None:
            lost.append(Lost(message, loss, row))
            fates[Fate.LOST] += 1
        elif row is not None:
            fates[_FATES[row.status]] += 1
    return Reckoning(
        queued=len(set(queued)),
        fates={fate: fates[fate] for fate in Fate},
        lost=lost,
        twice={
            int(reference): count
            for reference, count in acceptances.items()
            if count > 1 and reference.isdecimal()
        },
        strangers=sorted(set(acceptances) - {str(message) for message in queued}),
    )


_FATES = {
    MessageStatus.DELIVERED: Fate.DELIVERED,
    MessageStatus.SENT: Fate.SENT,
    MessageStatus.FAILED: Fate.REFUSED,
}


def _find_loss(
    row: OutboxRow | None, accepted: int, passing_errors: Collection[str]
) -> Loss | None:
    if row is None:
        return Loss.NO_ROW
    if row.status in {MessageStatus.QUEUED, MessageStatus.SENDING}:
        return Loss.UNFINISHED
    if row.status is MessageStatus.FAILED and not row.accepted:
        if accepted:
            return Loss.UNRECORDED
        return Loss.EATEN if row.error_code in passing_errors else None
    return None if accepted else Loss.NOT_AT_PROVIDER
