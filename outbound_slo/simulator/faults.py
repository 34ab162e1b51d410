"""Faults: what can be made to go wrong with a send request, and whether it does this time.

The models are the schema of `PUT /_control/faults`; the board decides. Time and randomness are
passed in, so that a decision can be repeated.
"""

import random
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ProviderName = Literal["any", "meta", "twilio", "sendgrid"]


class _Fault(BaseModel):
    """What every fault has: whom it hits, how often and for how long.

    Attributes:
        name: Shown in statistics; the kind if left out.
        rate: Share of the matching requests that are hit, 0 to 1.
        recipient_prefix: Only recipients that start so; a leading + makes no difference.
        phone_number_id: Only sends from this number (Meta).
        for_seconds: The fault ends this long after it was set.
        for_requests: The fault ends after it has hit this many requests.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(default="", max_length=60)
    provider: ProviderName = "any"
    rate: float = Field(default=1.0, ge=0, le=1)
    recipient_prefix: str | None = Field(default=None, min_length=1)
    phone_number_id: str | None = Field(default=None, min_length=1)
    for_seconds: float | None = Field(default=None, gt=0)
    for_requests: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _refuse_number_elsewhere(self) -> Self:
        if self.phone_number_id is not None and self.provider != "meta":
            raise ValueError("phone_number_id needs provider meta: no other provider has one")
        return self


class ErrorFault(_Fault):
    """The provider answers with an error of its own shape.

    Without `http_status` and `code` it is a temporary outage: 500, and 131016 from Meta.
    """

    kind: Literal["error"]
    http_status: int = Field(default=500, ge=400, le=599)
    code: int | None = Field(default=None, ge=0)
    message: str | None = Field(default=None, min_length=1)
    details: str | None = Field(default=None, min_length=1)
    retry_after_seconds: int | None = Field(default=None, ge=0)


class LatencyFault(_Fault):
    """The answer is right but slow: `latency_ms`, and up to `latency_spread_ms` more."""

    kind: Literal["latency"]
    latency_ms: float = Field(ge=0, le=600_000)
    latency_spread_ms: float = Field(default=0, ge=0, le=600_000)


class TimeoutFault(_Fault):
    """No answer comes: the connection hangs, then closes. `accepts` says if it counts as sent."""

    kind: Literal["timeout"]
    timeout_seconds: float = Field(default=30, gt=0, le=600)
    accepts: bool = False


class DropFault(_Fault):
    """The message is accepted, but the connection closes before the answer."""

    kind: Literal["drop"]


class HtmlFault(_Fault):
    """A proxy in front of the provider answers with a page of HTML."""

    kind: Literal["html"]
    http_status: int = Field(default=502, ge=400, le=599)


Fault = ErrorFault | LatencyFault | TimeoutFault | DropFault | HtmlFault


class FaultSet(BaseModel):
    """The body of `PUT /_control/faults`: the faults that replace those before."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    faults: tuple[Annotated[Fault, Field(discriminator="kind")], ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a request meets: seconds of extra latency, then at most one fault that ends it."""

    extra_seconds: float = 0.0
    fault: ErrorFault | TimeoutFault | DropFault | HtmlFault | None = None


_UNHARMED = Verdict()


@dataclass(slots=True)
class _Posted:
    """A fault on the board: since when, and how many requests it has hit."""

    fault: Fault
    since: float
    hits: int = 0

    def is_over(self, now: float) -> bool:
        """Tell whether its seconds or its requests are used up."""
        fault = self.fault
        spent = fault.for_requests is not None and self.hits >= fault.for_requests
        return spent or (fault.for_seconds is not None and now >= self.since + fault.for_seconds)


class FaultBoard:
    """The faults in force."""

    def __init__(self) -> None:
        """Start with none."""
        self._posted: list[_Posted] = []

    def replace(self, faults: FaultSet, now: float) -> None:
        """Put these faults in the place of all others; `now` in seconds of any steady clock."""
        self._posted = [_Posted(fault, now) for fault in faults.faults]

    def judge(
        self,
        provider: str,
        recipient: str | None,
        sender: str | None,
        now: float,
        rng: random.Random,
    ) -> Verdict:
        """Decide what befalls one request.

        Latencies add up; of the other kinds the first that hits wins. A request whose recipient
        could not be read meets only faults that are not limited to some recipients.
        """
        if not self._posted:
            return _UNHARMED
        extra = 0.0
        for posted in self._posted:
            fault = posted.fault
            if posted.is_over(now) or not _concerns(fault, provider, recipient, sender):
                continue
            if fault.rate < 1 and rng.random() >= fault.rate:
                continue
            posted.hits += 1
            if not isinstance(fault, LatencyFault):
                return Verdict(extra, fault)
            extra += (fault.latency_ms + rng.random() * fault.latency_spread_ms) / 1000
        return Verdict(extra)

    def describe(self, now: float) -> list[dict[str, object]]:
        """List the faults as they were set, with their hits and whether they still act."""
        return [
            {
                **posted.fault.model_dump(exclude_none=True),
                "name": posted.fault.name or posted.fault.kind,
                "hits": posted.hits,
                "active": not posted.is_over(now),
            }
            for posted in self._posted
        ]


def _concerns(fault: Fault, provider: str, recipient: str | None, sender: str | None) -> bool:
    """Tell whether a fault is meant for this provider, recipient and sender."""
    if fault.provider not in ("any", provider):
        return False
    if fault.phone_number_id is not None and fault.phone_number_id != sender:
        return False
    prefix = fault.recipient_prefix
    return prefix is None or (recipient or "").lstrip("+").startswith(prefix.lstrip("+"))
