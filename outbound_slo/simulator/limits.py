"""Meta's own rate limits, for whoever wants to meet them without setting faults.

Source: Meta's Cloud API throughput and pair-limit pages, September 2026: 80 messages a second and
number (1,000 after an upgrade), and one message in 6 seconds to one user, with up to 45 borrowed
in a burst and paid back afterwards.
"""

from dataclasses import dataclass
from enum import IntEnum

from pydantic import BaseModel, ConfigDict, Field

_CROWDED = 100_000


class LimitCode(IntEnum):
    """What Meta answers beyond a limit."""

    THROUGHPUT = 130429
    PAIR = 131056


class Limits(BaseModel):
    """The limits in force; the schema of `PUT /_control/limits`. Both are off by default.

    Attributes:
        pair_limit: Whether one recipient can get too much.
        pair_seconds: Seconds that each message to a recipient has to wait for.
        pair_burst: Messages to one recipient that may be borrowed.
        messages_per_second: Throughput of one number; 0 sets no limit.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pair_limit: bool = False
    pair_seconds: float = Field(default=6.0, gt=0, le=3600)
    pair_burst: int = Field(default=45, ge=1, le=10_000)
    messages_per_second: int = Field(default=0, ge=0, le=100_000)


@dataclass(slots=True)
class _Meter:
    """Allows `burst` at once and one more in each `interval` seconds, by key.

    Kept per key is only the time at which all that was borrowed is paid back.
    """

    paid_back: dict[object, float]

    def admit(self, key: object, now: float, interval: float, burst: int) -> bool:
        """Tell whether one more is allowed, and if so count it."""
        due = max(self.paid_back.get(key, now), now)
        if due - now > (burst - 1) * interval + 1e-9:
            return False
        if len(self.paid_back) >= _CROWDED:
            self.paid_back = {each: time for each, time in self.paid_back.items() if time > now}
        self.paid_back[key] = due + interval
        return True


class Throttle:
    """Decides for each message whether Meta would still take it. Time is passed in."""

    def __init__(self, limits: Limits) -> None:
        """Start with nothing borrowed."""
        self._numbers = _Meter({})
        self._pairs = _Meter({})
        self.limits = limits

    def find_breach(self, number: str, recipient: str, now: float) -> LimitCode | None:
        """Count a message, or name the limit that refuses it; `now` in epoch seconds."""
        limits = self.limits
        if limits.messages_per_second and not self._numbers.admit(
            number, now, 1 / limits.messages_per_second, limits.messages_per_second
        ):
            return LimitCode.THROUGHPUT
        if limits.pair_limit and not self._pairs.admit(
            (number, recipient), now, limits.pair_seconds, limits.pair_burst
        ):
            return LimitCode.PAIR
        return None
