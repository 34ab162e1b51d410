"""Reading what does not move: the list, its patterns, and one message's case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import psycopg
from psycopg.rows import class_row

from operations.cases import Case, Locker, Surroundings
from operations.facts import CEILING, SenderSeen
from outbound_slo.database import load_queries
from outbound_slo.settings import SenderSettings
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel, StuckReason
from sender.heartbeat import SILENT_S
from sender.quiet_hours import QuietPolicy

_QUERIES = load_queries("operations", "sql/stuck.sql")
_STATUS = load_queries("operations", "sql/status.sql")

_Row = TypeVar("_Row")


def over_stuck(name: str) -> str:
    """Give a statement over the messages that the rules find stuck."""
    return "\n".join(("WITH stuck AS (", _QUERIES["stuck"], ")", _QUERIES[name]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which stuck messages to list."""

    reason: StuckReason | None
    channel: Channel | None
    org_id: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class StuckMessage:
    """A message that does not move; `since` is when it should have. `retry` in 000's words."""

    message_id: int
    channel: str
    org_id: str
    recipient: str
    template: str | None
    status: str
    reasons: list[str]
    since: datetime
    attempt_count: int
    max_attempts: int
    error_code: str | None
    error_message: str | None
    next_retry_at: datetime | None
    retry: str | None


@dataclass(frozen=True, slots=True)
class StuckSummary:
    """Stuck messages of a status; `oldest` and `newest` by their last change."""

    status: str
    messages: int
    oldest: datetime
    newest: datetime
    attempts: float


@dataclass(frozen=True, slots=True)
class StuckPattern:
    """Stuck messages of one channel, status and code; seconds and attempts on average."""

    channel: str
    status: str
    error_code: str | None
    messages: int
    seconds: float
    attempts: float
    organisations: int
    example: int


@dataclass(frozen=True, slots=True)
class StuckList:
    """What `stuck list` shows, of one instant."""

    now: datetime
    messages: Sequence[StuckMessage]
    summary: Sequence[StuckSummary]


@dataclass(frozen=True, slots=True)
class Silence:
    """Whether re-sends on a channel hold because its webhooks are silent or refused."""

    channel: str
    held: bool


def read_list(connection: psycopg.Connection, wanted: Wanted) -> StuckList:
    """List stuck messages, and sum up all of them.

    Raises:
        psycopg.Error: The database does not answer in time.

    """
    values = {
        "org_id": wanted.org_id,
        "channel": wanted.channel,
        "reason": wanted.reason,
        "limit": wanted.limit,
        "ceiling": None,
    }
    return StuckList(
        read_now(connection),
        _ask(connection, over_stuck("stuck_list"), StuckMessage, values),
        _ask(connection, over_stuck("stuck_summary"), StuckSummary, values),
    )


def read_patterns(connection: psycopg.Connection, org_id: str | None) -> Sequence[StuckPattern]:
    """Group stuck messages, the commonest first."""
    values = {"org_id": org_id, "ceiling": CEILING, "limit": 20}
    return _ask(connection, over_stuck("stuck_patterns"), StuckPattern, values)


def read_silences(connection: psycopg.Connection, silence_s: float) -> Sequence[Silence]:
    """Tell for each channel whether re-sends hold."""
    return _ask(connection, _QUERIES["silences"], Silence, {"silence_s": silence_s})


def read_case(
    connection: psycopg.Connection, number: int, org_id: str | None, settings: SenderSettings
) -> tuple[Case, int]:
    """Read one message, and how many go before it in its lane.

    Raises:
        UserMistake: There is none of the number, or it is another organisation's.

    """
    values = {
        "id": number,
        "org_id": org_id,
        "silence_s": settings.silence_s,
        "window_s": settings.recovery_window_s,
        "strict": settings.strict_order,
        "ceiling": CEILING + 1,
    }
    found = _ask(connection, _QUERIES["message"], Case, values)
    if not found:
        whose = f" of {org_id}" if org_id else ""
        raise UserMistake(
            f"There is no message {number}{whose}",
            "'outbound-slo ops stuck list' shows numbers of messages",
        )
    row = connection.execute(_QUERIES["ahead"].encode(), values).fetchone()
    return found[0], row[0] if row else 0


def read_surroundings(
    connection: psycopg.Connection, settings: SenderSettings, policy: ErrorPolicy
) -> Surroundings:
    """Read what a message is looked at in."""
    now = read_now(connection)
    senders = _ask(connection, _STATUS["senders"], SenderSeen, {"most": None})
    alive = [one for one in senders if (now - one.seen_at).total_seconds() < SILENT_S]
    return Surroundings(
        now=now,
        breakers=[one.breakers for one in alive if one.claiming],
        seen=bool(senders),
        alive=frozenset(one.worker for one in alive),
        quiet=QuietPolicy.read(settings.quiet_hours_default, settings.quiet_hours_zone),
        policy=policy,
        lockers=_ask(connection, _QUERIES["lockers"], Locker, {}),
    )


def read_now(connection: psycopg.Connection) -> datetime:
    """Give the instant that the transaction sees, by the database's clock."""
    row = connection.execute("SELECT now()").fetchone()
    if row is None or not isinstance(row[0], datetime):
        raise RuntimeError("SELECT now() gave no time")
    return row[0]


def _ask(
    connection: psycopg.Connection, statement: str, shape: type[_Row], values: Mapping[str, object]
) -> Sequence[_Row]:
    with connection.cursor(row_factory=class_row(shape)) as cursor:
        cursor.execute(statement.encode(), values)
        return cursor.fetchall()
