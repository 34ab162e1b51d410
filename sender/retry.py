"""When to try again: back-off, the provider's own word, and rests after rate limits. Pure.

The runbook's back-off (000) is kept apart from the jitter. A provider's word is a lower bound,
never a shorter wait than ours; a rate limit makes everybody wait whom it concerns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from outbound_slo.vocabulary.errors import Limit

LONGEST_WAIT_S = 86400.0
"""A provider that asks for a longer wait is asked again after this many seconds."""

PAIR_WAIT_BASE = 4.0
"""Meta's pair limit (131056): wait 4^X seconds, X from 0, one more with each failure."""


def pick_backoff(attempt_count: int, backoff_seconds: Sequence[float]) -> float:
    """Seconds to wait after the attempt that was number `attempt_count` of the budget.

    Attempt n + 1 follows back-off n (000; D8); beyond the list its last value repeats.
    """
    position = min(max(attempt_count, 1), len(backoff_seconds)) - 1
    return backoff_seconds[position]


def pick_pair_wait(attempt_count: int) -> float:
    """Seconds to leave one recipient alone after the pair limit; an hour at most."""
    return min(PAIR_WAIT_BASE ** min(max(attempt_count - 1, 0), 6), 3600.0)


def spread(seconds: float, jitter: float, draw: float) -> float:
    """Lengthen a wait by up to `jitter` of itself, so that failures do not come back together.

    Args:
        seconds: The wait.
        jitter: Largest share to add, 0 to 1.
        draw: A random number from 0 to 1.

    """
    return seconds * (1.0 + jitter * draw)


def wait_before_retry(
    attempt_count: int,
    backoff_seconds: Sequence[float],
    *,
    limits: Limit | None,
    at_least: Sequence[float | None],
    jitter: float,
    draw: float,
) -> float:
    """Seconds until the next attempt.

    Args:
        attempt_count: Attempts of the budget used.
        backoff_seconds: The back-off; the pair limit has its own, which is Meta's.
        limits: Whose rate the error spoke of; None where it was no rate limit.
        at_least: Lower bounds: Retry-After, the catalogue's wait, the rest of those limited.
        jitter: Largest share to add to our own wait.
        draw: A random number from 0 to 1.

    """
    pair = limits is Limit.RECIPIENT
    own = pick_pair_wait(attempt_count) if pair else pick_backoff(attempt_count, backoff_seconds)
    bounds = [bound for bound in at_least if bound is not None]
    return spread(max(own, *bounds) if bounds else own, jitter, draw)


def read_wait(status: int | None, headers: Mapping[str, str], now: datetime) -> float | None:
    """Give the seconds that a provider asked us to wait, a day at most; None if it named none.

    Args:
        status: HTTP status; SendGrid's X-RateLimit-Reset is on every answer and says when to come
            back only on a 429.
        headers: Lower-case names. Retry-After is seconds or an HTTP date, X-RateLimit-Reset is
            Unix seconds; nonsense counts as absent.
        now: Our time of the answer, with a zone; the answer's own Date goes before it, since a
            provider's times are meant by the provider's clock.

    """
    now = _read_date(headers.get("date", "")) or now
    named = _read_retry_after(headers.get("retry-after", ""), now)
    if named is None and status == 429:  # noqa: PLR2004 - HTTP's own number: too many requests
        named = _read_reset(headers.get("x-ratelimit-reset", ""), now)
    return None if named is None else min(max(named, 0.0), LONGEST_WAIT_S)


def _read_retry_after(value: str, now: datetime) -> float | None:
    seconds = _read_number(value)
    if seconds is not None:
        return seconds if seconds >= 0 else None
    date = _read_date(value)
    return None if date is None else (date - now).total_seconds()


def _read_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value.strip())
        # RFC 9110's dates are in GMT, whatever a careless server leaves out.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _read_reset(value: str, now: datetime) -> float | None:
    at = _read_number(value)
    return None if at is None or at <= 0 else at - now.timestamp()


def _read_number(value: str) -> float | None:
    text = value.strip()
    # Not what Python calls a number beyond that: nan, inf, 1_000, other alphabets' digits.
    if not text.isascii() or not text.replace(".", "", 1).lstrip("-").isdigit():
        return None
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class RestPolicy:
    """How long those rest whom a rate limit concerns, when the provider names no time.

    Attributes:
        first_s: Seconds of the first rest.
        factor: How much longer the next one is if the limit is hit again right after.
        longest_s: Where it stops growing.

    """

    first_s: float
    factor: float
    longest_s: float


REST_POLICIES: Mapping[Limit, RestPolicy] = MappingProxyType(
    {
        # Throughput per second: a short pause frees it.
        Limit.NUMBER: RestPolicy(5.0, 2.0, 900.0),
        Limit.ACCOUNT: RestPolicy(15.0, 2.0, 900.0),
        # Quotas per hour or day: 000 shows an hour.
        Limit.ORGANISATION: RestPolicy(60.0, 2.0, 3600.0),
        Limit.RECIPIENT: RestPolicy(1.0, PAIR_WAIT_BASE, 3600.0),
    }
)
"""By whose rate is limited; the numbers are this project's, but the pair's, which is Meta's."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A time without sending: its end on the clock that made it, and its length in seconds."""

    until: float
    length_s: float


def lengthen_rest(
    previous: Rest | None, now: float, policy: RestPolicy, *, named_s: float | None
) -> Rest:
    """Give the rest after a rate-limit error.

    Many requests are under way when a limit is hit, and all come back with it: an error during a
    rest belongs to the same hit and only ever moves its end to what the provider names. A hit
    within as long again after a rest makes the next one longer; later, it starts anew.

    Args:
        previous: The last rest of whom it concerns.
        now: Seconds on the same clock.
        policy: How it grows.
        named_s: What the provider named; it counts as it is, and is not made longer.

    """
    if previous is not None and now < previous.until:
        if named_s is None or now + named_s <= previous.until:
            return previous
        return Rest(now + named_s, named_s)
    if named_s is not None:
        return Rest(now + named_s, named_s)
    again = previous is not None and now < previous.until + previous.length_s
    if previous is not None and again:
        length = min(max(previous.length_s * policy.factor, policy.first_s), policy.longest_s)
    else:
        length = policy.first_s
    return Rest(now + length, length)
