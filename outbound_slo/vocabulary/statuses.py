"""States of a message and of an attempt, and the moves that the sender itself may make.

Sources: runbook 000 (statuses, retry), DESIGN decisions D12, D15 to D18. Operators may reset a
message in SQL from any state to QUEUED; those moves are theirs and not in the table.
"""

from collections.abc import Mapping
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


_S = MessageStatus

TRANSITIONS: Mapping[MessageStatus, frozenset[MessageStatus]] = MappingProxyType(
    {
        # A webhook that names the current attempt settles even a message that was reset (D17).
        _S.QUEUED: frozenset({_S.SENDING, _S.SENT, _S.DELIVERED, _S.FAILED}),
        _S.SENDING: frozenset({_S.QUEUED, _S.SENT, _S.DELIVERED, _S.FAILED}),
        _S.SENT: frozenset({_S.DELIVERED, _S.FAILED}),
        _S.DELIVERED: frozenset(),
        _S.FAILED: frozenset(),
    }
)
"""From each status, where the sender may take a message."""


def may_move(current: MessageStatus, following: MessageStatus) -> bool:
    """Tell whether the sender may take a message from one status to another."""
    return following in TRANSITIONS[current]
