"""Who has to wait for a rate limit, as this process knows it. The clock is passed in.

An organisation's rest on WhatsApp is in the database too (`throttle_until`), where every process
and every runbook sees it. What is known here only: accounts without such a row, SMS and e-mail,
single numbers and single recipients. Each process learns those limits by one refusal of its own.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from outbound_slo.vocabulary.errors import Limit
from sender.outbox import ClaimedMessage
from sender.retry import REST_POLICIES, Rest, lengthen_rest

_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Held:
    """A rest that concerns a message: whose it is, and the seconds left."""

    limit: Limit
    seconds: float


class Rests:
    """The rests of one process; the oldest are forgotten beyond ten thousand."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Know of none yet; `clock` gives seconds that never go back."""
        self._clock = clock
        self._rests: OrderedDict[tuple[str, ...], Rest] = OrderedDict()

    def note(self, message: ClaimedMessage, limit: Limit, named_s: float | None) -> float:
        """Take note of a rate-limit error; gives the seconds that its kind rests from now."""
        now = self._clock()
        key = _name(message, limit)
        rest = lengthen_rest(self._rests.get(key), now, REST_POLICIES[limit], named_s=named_s)
        self._rests[key] = rest
        self._rests.move_to_end(key)
        if len(self._rests) > _MOST_REMEMBERED:
            self._rests.popitem(last=False)
        return rest.until - now

    def find(self, message: ClaimedMessage) -> Held | None:
        """Give the longest rest that a message has to wait for; None if it may go."""
        now = self._clock()
        found = [
            Held(limit, rest.until - now)
            for limit in Limit
            if (rest := self._rests.get(_name(message, limit))) is not None and rest.until > now
        ]
        return max(found, key=lambda held: held.seconds, default=None)


def _name(message: ClaimedMessage, limit: Limit) -> tuple[str, ...]:
    if limit is Limit.ACCOUNT:
        return (limit, message.channel)
    if limit is Limit.NUMBER:
        return (limit, message.channel, message.phone_number_id or "")
    if limit is Limit.ORGANISATION:
        return (limit, message.channel, message.org_id)
    return (limit, message.channel, message.org_id, message.to_recipient)
