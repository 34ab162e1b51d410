"""One message that does not move, what it is looked at in, and what can hold it. Plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from typing import Any

from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.quiet_hours import QuietPolicy


class HoldKind(StrEnum):
    """What can hold a message, in the order in which it is asked."""

    FINAL = "final"
    IN_FLIGHT = "in_flight"
    RECOVERY_WINDOW = "recovery_window"
    SILENCE = "silence"
    EXPIRED = "expired"
    SCHEDULED = "scheduled"
    DEFERRED = "deferred"
    BACK_OFF = "back_off"
    PAUSED = "paused"
    DISABLED = "disabled"
    NO_SENDER = "no_sender"
    BREAKER_OPEN = "breaker_open"
    BEHIND = "behind"
    THROTTLED = "throttled"
    QUOTA = "quota"
    QUIET_HOURS = "quiet_hours"
    REFUSED = "refused"
    LOCKED = "locked"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that holds a message.

    Attributes:
        text: What is so.
        mend: What to do about it, mostly a command.
        needs_person: False where it ends by itself.
        until: When it ends, where that is known.

    """

    kind: HoldKind
    text: str
    mend: str
    needs_person: bool
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A message, and what stands between it and its claim.

    `attempt_no` to `started_at` are those of its latest attempt, None before the first.
    `window_left_s`: seconds of the recovery window that are left, below zero when it is over.
    `blocker_*`: a message to the same recipient that goes first.
    """

    message_id: int
    org_id: str
    channel: str
    to_recipient: str
    template_code: str | None
    subject: str | None
    payload_json: dict[str, Any] | None
    status: str
    turn: str
    priority: int
    attempt_count: int
    max_attempts: int
    attempt_seq: int
    error_code: str | None
    error_message: str | None
    quiet_hours_override: bool
    scheduled_at: datetime | None
    next_retry_at: datetime | None
    expires_at: datetime | None
    due_at: datetime
    updated_at: datetime
    created_at: datetime
    consent: str | None
    window_open: bool | None
    quota_wait_s: float | None
    throttle_wait_s: float | None
    provider_enabled: bool | None
    disabled_by: str | None
    contact_opted_out: bool | None
    quiet_from: time | None
    quiet_until: time | None
    quiet_zone: str | None
    paused: bool | None
    paused_until: datetime | None
    paused_switch: str | None
    pause_reason: str | None
    paused_by: str | None
    attempt_no: int | None
    outcome: str | None
    worker: str | None
    started_at: datetime | None
    resend_allowed: bool
    window_left_s: float
    blocker_id: int | None
    blocker_status: str | None
    blocker_turn: str | None
    blocker_since: datetime | None


@dataclass(frozen=True, slots=True)
class Locker:
    """A session that has held rows of the queue for a while."""

    pid: int
    application: str
    role: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the message is looked at in.

    Attributes:
        now: By the database's clock.
        breakers: Of the senders that live and claim, the breakers by channel; one row for each.
        seen: Whether any sender has ever told of itself.
        alive: Names of all senders that live.
        quiet: Quiet hours of recipients without preferences.
        policy: Which catalogue of error codes is asked first.
        lockers: Sessions that hold rows for long.

    """

    now: datetime
    breakers: Sequence[Mapping[str, str]]
    seen: bool
    alive: frozenset[str]
    quiet: QuietPolicy
    policy: ErrorPolicy
    lockers: Sequence[Locker]
