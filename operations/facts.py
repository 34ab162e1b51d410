"""What is so in the outbox at one instant, as the rows of `ops status` tell it. Plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus

CEILING = 20_000
"""Rows are counted up to here, twice the highest line that is drawn through a number of them."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that found no answer, and why."""

    why: str


class Holder(StrEnum):
    """What people or limits hold messages with."""

    PAUSED = "paused"
    DISABLED = "disabled"
    THROTTLED = "throttled"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class StateCount:
    """Messages of a channel in a status; above `CEILING`, at least so many."""

    channel: str
    status: str
    messages: int


@dataclass(frozen=True, slots=True)
class DueCount:
    """Queued messages of a channel whose time has come."""

    channel: str
    messages: int


@dataclass(frozen=True, slots=True)
class OldestDue:
    """The message of a channel that has been due for longest; `held_by` where it is held."""

    channel: str
    message_id: int
    org_id: str
    due_at: datetime
    held_by: str | None


@dataclass(frozen=True, slots=True)
class StuckCount:
    """Messages of a channel that one rule finds stuck; a message may meet several (D23)."""

    channel: str
    status: str
    reason: str
    messages: int


@dataclass(frozen=True, slots=True)
class AttemptCount:
    """Attempts that ended alike: of the last hour, and of the last five minutes."""

    channel: str
    outcome: str
    code: str
    hour: int
    lately: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Course:
    """How it goes on a channel.

    Attributes:
        accepted_at: When the newest attempt that was accepted began.
        refused: Attempts after that one that failed or were never answered.
        refused_lately: Those of them that are younger than five minutes.
        refused_since: When the first of them began.

    """

    channel: str
    accepted_at: datetime | None
    refused: int
    refused_lately: int
    refused_since: datetime | None


@dataclass(frozen=True, slots=True)
class Processed:
    """The last message of which something became."""

    message_id: int
    channel: str
    outcome: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DeadCount:
    """Dead letters of a channel with one error code."""

    channel: str
    code: str
    messages: int


@dataclass(frozen=True, slots=True)
class Quota:
    """An organisation's use of its configured quota; `percent` from 0."""

    org_id: str
    used: int
    quota_limit: int
    percent: float
    reset_at: datetime


@dataclass(frozen=True, slots=True)
class Throttle:
    """An organisation that the provider has asked to wait."""

    org_id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """A channel that somebody paused; without `until`, until somebody resumes it."""

    channel: str
    until: datetime | None
    reason: str | None
    by: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Disabled:
    """An organisation whose WhatsApp is switched off."""

    org_id: str
    by: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class SenderSeen:
    """A sender process as it last told of itself; `breakers` by channel, in lower case."""

    worker: str
    version: str
    started_at: datetime
    seen_at: datetime
    claiming: bool
    in_flight: int
    breakers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WebhookHealth:
    """When a provider last reached us, and what it told that nobody has applied."""

    provider: str
    last_accepted_at: datetime | None
    last_rejected_at: datetime | None
    waiting: int
    given_up: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something grave that a provider told of an account, a number or a template."""

    told_at: datetime
    provider: str
    kind: str
    account: str
    subject: str | None
    event: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class OperationSeen:
    """A change of the last day that runs, or that did not come to its end."""

    id: int
    command: str
    operator: str
    ticket: str | None
    state: str
    planned: int | None
    changed: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that `ops status` shows, of one instant.

    Attributes:
        now: The instant, by the database's clock.
        place: Host, port and name of the database.
        org_id: The organisation that was asked about; None for all.
        policy: Which catalogue of error codes is asked first.
        sample: Attempts that were looked at, at most.
        accounts: Organisations with a webhook secret of their own.

    """

    now: datetime
    place: str
    org_id: str | None
    policy: ErrorPolicy
    sample: int
    states: Sequence[StateCount] | Unanswered
    due: Sequence[DueCount] | Unanswered
    oldest_due: Sequence[OldestDue] | Unanswered
    stuck: Sequence[StuckCount] | Unanswered
    attempts: Sequence[AttemptCount] | Unanswered
    courses: Sequence[Course] | Unanswered
    processed: Sequence[Processed] | Unanswered
    dead: Sequence[DeadCount] | Unanswered
    quotas: Sequence[Quota] | Unanswered
    throttles: Sequence[Throttle] | Unanswered
    pauses: Sequence[Pause] | Unanswered
    disabled: Sequence[Disabled] | Unanswered
    senders: Sequence[SenderSeen] | Unanswered
    webhooks: Sequence[WebhookHealth] | Unanswered
    accounts: int
    notices: Sequence[Notice] | Unanswered
    operations: Sequence[OperationSeen] | Unanswered

    def age(self, moment: datetime) -> float:
        """Seconds from a moment to the instant; below zero for one that is to come."""
        return (self.now - moment).total_seconds()

    def count(self, status: MessageStatus, channel: str | None = None) -> int:
        """Messages in a status, of one channel or of all; 0 where that is not known."""
        if isinstance(self.states, Unanswered):
            return 0
        return sum(
            row.messages
            for row in self.states
            if row.status == status and channel in {None, row.channel}
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts of a channel in some time, by what the provider made of them."""

    accepted: int
    failed: int
    unknown: int

    @property
    def judged(self) -> int:
        """All that the provider could decide."""
        return self.accepted + self.failed + self.unknown

    @property
    def failure_percent(self) -> float | None:
        """Share that was not accepted, time-outs included; None without attempts."""
        if not self.judged:
            return None
        return 100.0 * (self.failed + self.unknown) / self.judged


def tally(attempts: Sequence[AttemptCount], channel: str | None, *, lately: bool) -> Tally:
    """Add up attempts of a channel (None: of all), of the last five minutes or of the hour."""
    sums = dict.fromkeys(AttemptOutcome, 0)
    for row in attempts:
        if channel in {None, row.channel}:
            sums[AttemptOutcome(row.outcome)] += row.lately if lately else row.hour
    return Tally(
        sums[AttemptOutcome.SENT], sums[AttemptOutcome.FAILED], sums[AttemptOutcome.UNKNOWN]
    )
