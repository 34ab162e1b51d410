"""What the simulator accepted, by the sender's own message id: the judge of lost and twice."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One message that a provider took.

    Attributes:
        message_id: The provider's id.
        attempt: The sender's attempt number, as text, or None if it did not say.
        accepted_at: Epoch seconds.
        answered: False where a fault withheld the answer.

    """

    provider: str
    message_id: str
    recipient: str
    attempt: str | None
    accepted_at: float
    answered: bool


class Ledger:
    """Acceptances by message reference; the oldest messages are forgotten beyond `limit`."""

    def __init__(self, limit: int = 1_000_000) -> None:
        """Start empty."""
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._by_message: dict[str, list[Acceptance]] = {}
        self._accepted: dict[str, int] = {}
        self._unreferenced = 0
        self._unanswered = 0
        self._forgotten = 0

    def record(self, message: str | None, acceptance: Acceptance) -> None:
        """Enter one acceptance under the sender's message id, if it gave one."""
        self._accepted[acceptance.provider] = self._accepted.get(acceptance.provider, 0) + 1
        self._unanswered += not acceptance.answered
        if message is None:
            self._unreferenced += 1
            return
        self._by_message.setdefault(message, []).append(acceptance)
        if len(self._by_message) > self._limit:
            self._by_message.pop(next(iter(self._by_message)))
            self._forgotten += 1

    def summarise(self) -> dict[str, object]:
        """Return the totals; `duplicates` counts acceptances beyond the first of a message."""
        twice = self.find_duplicates()
        return {
            "accepted": sum(self._accepted.values()),
            "accepted_by_provider": dict(self._accepted),
            "messages": len(self._by_message),
            "duplicates": sum(len(taken) - 1 for taken in twice.values()),
            "duplicated_messages": len(twice),
            "unanswered": self._unanswered,
            "unreferenced": self._unreferenced,
            "forgotten": self._forgotten,
        }

    def find_duplicates(self) -> dict[str, list[Acceptance]]:
        """Return the messages that were accepted more than once."""
        return {message: taken for message, taken in self._by_message.items() if len(taken) > 1}

    def find(self, message: str) -> list[Acceptance]:
        """Return the acceptances of one message, oldest first."""
        return list(self._by_message.get(message, ()))

    def list_messages(self) -> dict[str, list[dict[str, object]]]:
        """Return every message with its acceptances, ready for JSON."""
        return {
            message: [asdict(acceptance) for acceptance in taken]
            for message, taken in self._by_message.items()
        }
