"""States of a message and of an attempt, and the moves that the sender itself may make.

Sources: runbook 000 (statuses, retry), decisions D12, D15 to D18. Operators may reset a message in
SQL; those moves are theirs and in a table of their own. docs/states.md is drawn from both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType


class Channel(StrEnum):
    """A way to the recipient, spelled as the database and span tags spell it (D1)."""

    WHATSAPP = "WHATSAPP"
    SMS = "SMS"
    EMAIL = "EMAIL"

    @property
    def label(self) -> str:
        """The value in metric labels: lower case (D1)."""
        return self.value.lower()


class MessageStatus(StrEnum):
    """Where a message stands, spelled as the database and span tags spell it (D1)."""

    QUEUED = "QUEUED"
    SENDING = "SENDING"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"

    @property
    def label(self) -> str:
        """The value in metric labels: lower case (D1)."""
        return self.value.lower()


class Priority(IntEnum):
    """How urgent a message is; the database holds the number, and the lower goes first (002)."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


class Turn(StrEnum):
    """Where a due message stands among those to the same recipient (D19).

    OPEN: nothing is known to be in its way.
    PARKED: another message to the recipient is in flight.
    WOKEN: that one has settled, so this one goes before the rest of the queue.
    """

    OPEN = "OPEN"
    PARKED = "PARKED"
    WOKEN = "WOKEN"


class AttemptOutcome(StrEnum):
    """What became of one attempt.

    UNKNOWN: the request may have reached the provider, the answer did not reach us (D12).
    REFUSED: one of our own rules forbade the send (consent, session window, content).
    DEFERRED: put off without using the budget (breaker open, quota, throttle; D31).
    """

    IN_FLIGHT = "IN_FLIGHT"
    SENT = "SENT"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    REFUSED = "REFUSED"
    DEFERRED = "DEFERRED"

    @property
    def label(self) -> str:
        """The value in metric labels: lower case (D1)."""
        return self.value.lower()


class StuckReason(StrEnum):
    """Why a message counts as stuck: the `reason` label, one per rule of the runbooks (D23).

    A message may meet several rules at once, so reasons are not added up. Planned waits (a retry
    or a deferral in the future) meet none of them.
    SENDING_TOO_LONG: in SENDING for more than 5 minutes (000).
    OVERDUE: in QUEUED and due more than 5 minutes ago (000: retry time passed, not processed).
    QUEUED_TOO_LONG: in QUEUED for more than 2 hours since it was first due (000, 001).
    NO_PROGRESS: in QUEUED with 3 attempts or more, untouched for 2 hours (002).
    """

    SENDING_TOO_LONG = "sending_too_long"
    OVERDUE = "overdue"
    QUEUED_TOO_LONG = "queued_too_long"
    NO_PROGRESS = "no_progress"


class Mover(StrEnum):
    """Who takes a message from one status to another."""

    CLAIM = "claim"
    SETTLEMENT = "settlement"
    RECEIPT = "receipt"
    SWEEP = "sweep"
    EXPIRY = "expiry"
    OPT_OUT = "opt-out"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Move:
    """One arrow of the state machine.

    Attributes:
        mover: Who makes it.
        before: The status that the message must have; nobody else's update goes between (D17).
        after: The status that it has then.
        condition: When it is made.
        source: The runbook or decision that asks for it.

    """

    mover: Mover
    before: MessageStatus
    after: MessageStatus
    condition: str
    source: str


_Q, _I, _S, _D, _F = MessageStatus
_CLAIM, _SETTLE, _RECEIPT, _SWEEP, _EXPIRY, _OPT_OUT, _OPERATOR = Mover

MOVES: tuple[Move, ...] = (
    Move(_CLAIM, _Q, _I, "it is due, and nothing else is in flight to the recipient", "D18, D19"),
    Move(_SETTLE, _I, _S, "the provider accepted it", "000"),
    Move(_SETTLE, _I, _Q, "a failure that is tried again, a deferral, an open breaker", "000; D31"),
    Move(
        _SETTLE, _I, _F, "a failure that is not tried again, a refusal, no budget left", "D7, D15"
    ),
    Move(_SETTLE, _Q, _S, "reset while in flight, and the provider had accepted it", "D17"),
    Move(_RECEIPT, _I, _S, "its latest attempt was accepted", "D12"),
    Move(_RECEIPT, _I, _D, "it was delivered or read", "D12, D16"),
    Move(_RECEIPT, _I, _F, "its latest attempt failed", "D12"),
    Move(_RECEIPT, _Q, _S, "reset or waiting, and its latest attempt was accepted", "D17"),
    Move(_RECEIPT, _Q, _D, "reset or waiting, and it was delivered or read", "D16, D17"),
    Move(_RECEIPT, _Q, _F, "reset or waiting, and its latest attempt failed", "D17"),
    Move(_RECEIPT, _S, _D, "it was delivered or read", "000; D16"),
    Move(_RECEIPT, _S, _F, "it failed after the provider had accepted it", "000"),
    Move(
        _RECEIPT, _F, _S, "its outcome had been unknown (outcome_unknown): it was accepted", "D12"
    ),
    Move(_RECEIPT, _F, _D, "it was delivered or read, whatever was thought before", "D12, D16"),
    Move(_SWEEP, _I, _Q, "nothing heard within the recovery window, budget left", "000; D9, D12"),
    Move(_SWEEP, _I, _F, "nothing heard within the recovery window, no budget left", "D9, D12"),
    Move(_EXPIRY, _Q, _F, "it waited until it was of no use (expires_at)", "002"),
    Move(_OPT_OUT, _Q, _F, "its recipient opted out (mark_opted_out)", "003; D35"),
)
"""Every move that the sender makes; each is one conditional UPDATE."""

OPERATOR_MOVES: tuple[Move, ...] = (
    Move(_OPERATOR, _F, _Q, "sent again after the cause is mended", "000, 001, 002; D15"),
    Move(_OPERATOR, _I, _Q, "reset while stuck; a later receipt still settles it", "000, 001, 002"),
)
"""What the runbooks do in SQL; the database lets operators set any status (D17)."""

TRANSITIONS: Mapping[MessageStatus, frozenset[MessageStatus]] = MappingProxyType(
    {
        status: frozenset(move.after for move in MOVES if move.before is status)
        for status in MessageStatus
    }
)
"""From each status, where the sender may take a message."""


def may_move(current: MessageStatus, following: MessageStatus) -> bool:
    """Tell whether the sender may take a message from one status to another."""
    return following in TRANSITIONS[current]
