"""States of a message and of an attempt, and the moves that the sender itself may make.

Sources: runbook 000 (statuses, retry), DESIGN decisions D12, D15 to D18. Operators may reset a
message in SQL from any state to QUEUED; those moves are theirs and not in the table.
"""

from collections.abc import Mapping
from enum import StrEnum
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
