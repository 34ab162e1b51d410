"""What the simulator accepted, by the sender's own message id: the judge of lost and twice."""

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

_PAGE = 4096
_SHORT_NUMBER = 15
_MOST = 255


class Acceptance(NamedTuple):
    """One message that a provider took.

    Attributes:
        message_id: The provider's id.
        attempt: The sender's attempt number, as text, or None if it did not say.
        asked_at: Epoch seconds of the request's arrival.
        accepted_at: Epoch seconds.
        answered: False where a fault withheld the answer, or nobody waited for it any more.

    """

    provider: str
    message_id: str
    recipient: str
    attempt: str | None
    asked_at: float
    accepted_at: float
    answered: bool


class LedgerKind(StrEnum):
    """How much a ledger remembers of each message."""

    FULL = "full"
    COUNTS = "counts"


class Ledger:
    """Acceptances by message reference; the oldest messages are forgotten beyond `limit`."""

    kind = LedgerKind.FULL

    def __init__(self, limit: int = 1_000_000) -> None:
        """Start empty."""
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._by_message: dict[str, list[Acceptance]] = {}
        self._twice: dict[str, list[Acceptance]] = {}
        self._accepted: Counter[str] = Counter()
        self._unreferenced = 0
        self._unanswered = 0
        self._forgotten = 0

    @property
    def accepted(self) -> int:
        """Acceptances of all providers."""
        return sum(self._accepted.values())

    def record(self, message: str | None, acceptance: Acceptance) -> None:
        """Enter one acceptance under the sender's message id, if it gave one."""
        self._accepted[acceptance.provider] += 1
        self._unanswered += not acceptance.answered
        if message is None:
            self._unreferenced += 1
        else:
            self._enter(message, acceptance)

    def summarise(self) -> dict[str, object]:
        """Return the totals; `duplicates` counts acceptances beyond the first of a message."""
        return {
            "accepted": self.accepted,
            "accepted_by_provider": dict(self._accepted),
            "messages": self._count_messages(),
            "duplicates": self._count_duplicates(),
            "duplicated_messages": len(self._twice),
            "unanswered": self._unanswered,
            "unreferenced": self._unreferenced,
            "forgotten": self._forgotten,
        }

    def find_duplicates(self) -> dict[str, list[Acceptance]]:
        """Return the messages that were accepted more than once, with what is known of it."""
        return dict(self._twice)

    def count(self, message: str) -> int:
        """Tell how often one message was accepted."""
        return len(self._by_message.get(message, ()))

    def find(self, message: str) -> list[Acceptance]:
        """Return the acceptances of one message, oldest first."""
        return list(self._by_message.get(message, ()))

    def list_messages(self) -> dict[str, list[dict[str, object]]]:
        """Return every message with its acceptances, ready for JSON."""
        return {
            message: [acceptance._asdict() for acceptance in taken]
            for message, taken in self._by_message.items()
        }

    def _enter(self, message: str, acceptance: Acceptance) -> None:
        taken = self._by_message.get(message)
        if taken is not None:
            taken.append(acceptance)
            self._twice[message] = taken
            return
        self._by_message[message] = [acceptance]
        if len(self._by_message) > self._limit:
            oldest = next(iter(self._by_message))
            del self._by_message[oldest]
            self._twice.pop(oldest, None)
            self._forgotten += 1

    def _count_messages(self) -> int:
        return len(self._by_message)

    def _count_duplicates(self) -> int:
        return sum(len(taken) - 1 for taken in self._twice.values())


class CountingLedger(Ledger):
    """Only how often each message was accepted: a byte for each, for millions of them.

    Of a message accepted again, everything but the first acceptance is kept, in `find` and
    `find_duplicates`. A message id that is no short number costs about a hundred bytes instead.
    """

    kind = LedgerKind.COUNTS

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._pages: dict[int, bytearray] = {}
        self._others: dict[str, int] = {}
        self._messages = 0

    def count(self, message: str) -> int:
        """Tell how often one message was accepted; 255 means that or more."""
        if not _is_short_number(message):
            return self._others.get(message, 0)
        page, place = divmod(int(message), _PAGE)
        held = self._pages.get(page)
        return held[place] if held is not None else 0

    def find(self, message: str) -> list[Acceptance]:
        """Return the acceptances of one message after its first."""
        return list(self._twice.get(message, ()))

    def _enter(self, message: str, acceptance: Acceptance) -> None:
        before = self.count(message)
        if before:
            self._twice.setdefault(message, []).append(acceptance)
        else:
            self._messages += 1
        if not _is_short_number(message):
            self._others[message] = before + 1
            return
        page, place = divmod(int(message), _PAGE)
        held = self._pages.get(page)
        if held is None:
            held = self._pages[page] = bytearray(_PAGE)
        held[place] = min(before + 1, _MOST)

    def _count_messages(self) -> int:
        return self._messages

    def _count_duplicates(self) -> int:
        return sum(len(again) for again in self._twice.values())


def _is_short_number(message: str) -> bool:
    """Tell whether a message id is a number in its one usual spelling."""
    return (
        len(message) <= _SHORT_NUMBER
        and message.isascii()
        and message.isdigit()
        and (message[0] != "0" or message == "0")
    )


def create_ledger(kind: LedgerKind, limit: int) -> Ledger:
    """Make a ledger; `limit` is how many messages a full one remembers."""
    return Ledger(limit) if kind is LedgerKind.FULL else CountingLedger(limit)
