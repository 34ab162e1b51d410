"""Bringing a message back to the queue, as 001's retry scripts ask over HTTP.

A message whose last attempt may have reached the recipient is not sent again by mistake: within the
recovery window its webhook may still tell (D12). Who knows better says so, and the attempt is
marked as a possible duplicate.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import psycopg
from psycopg.rows import class_row, dict_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.statuses import MessageStatus

_QUERIES = load_queries("sender", "sql/operator.sql")

_ACCEPTED = frozenset({MessageStatus.SENT, MessageStatus.DELIVERED})


class Objection(StrEnum):
    """Why a message stays as it is. All but the first two give way to force."""

    NOT_FOUND = "not_found"
    ALREADY_ACCEPTED = "already_accepted"
    OUTCOME_UNKNOWN = "outcome_unknown"
    EXPIRED = "expired"
    SCHEDULED = "scheduled"


@dataclass(frozen=True, slots=True)
class Refused:
    """The message was not touched.

    Attributes:
        objection: Why.
        status: Where it stands; None where there is no such message.
        wait_s: Seconds until its outcome is known or given up; 0 where that is not the matter.

    """

    objection: Objection
    status: MessageStatus | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Requeued:
    """The message is on the queue and due.

    Attributes:
        previous_status: Where it stood.
        attempt_count: Attempts used of its budget, which may be new.
        max_attempts: Its budget.
        due_at: When the sender may take it.
        possible_duplicate: The provider may have accepted the attempt before.

    """

    previous_status: MessageStatus
    attempt_count: int
    max_attempts: int
    due_at: datetime
    possible_duplicate: bool


@dataclass(frozen=True, slots=True)
class _Held:
    id: int
    status: str
    wait_s: float
    scheduled: bool | None
    expired: bool


@dataclass(frozen=True, slots=True)
class _LastAttempt:
    attempt_no: int
    unsettled: bool
    wait_s: float
    resend_allowed: bool


def requeue_message(
    connection: psycopg.Connection,
    message_id: int,
    *,
    org_id: str | None,
    recovery_window_s: float,
    silence_s: float,
    force: bool = False,
    updated_by: str | None = None,
) -> Requeued | Refused:
    """Queue a message again in the caller's transaction, due at once.

    Args:
        connection: Not in autocommit; committing is the caller's part.
        message_id: Which message.
        org_id: Whose it has to be; None for anybody's.
        recovery_window_s: Seconds after which the sweep takes an unknown outcome for lost.
        silence_s: Seconds without a webhook while which it does not, for one might tell.
        force: Send it again though the provider may have it, though it has expired, or though it
            was never due.
        updated_by: The person, for `updated_by`; None leaves that column alone.

    Raises:
        psycopg.Error: The database does not answer, or a settlement was in the way (deadlock: try
            again).

    """
    held = _hold(connection, message_id, org_id, recovery_window_s)
    if held is None:
        return Refused(Objection.NOT_FOUND)
    status = MessageStatus(held.status)
    if status in _ACCEPTED:
        return Refused(Objection.ALREADY_ACCEPTED, status)
    last = _read_last(connection, held.id, recovery_window_s, silence_s)
    objection = None if force else _object(status, held, last, silence_s)
    return objection or _requeue(connection, held, last, updated_by)


def _object(
    status: MessageStatus, held: _Held, last: _LastAttempt | None, silence_s: float
) -> Refused | None:
    wait = held.wait_s
    if last is not None and last.unsettled:
        wait = max(wait, last.wait_s, 0.0 if last.resend_allowed else silence_s)
    if wait > 0:
        return Refused(Objection.OUTCOME_UNKNOWN, status, wait)
    if held.expired:
        return Refused(Objection.EXPIRED, status)
    if held.scheduled:
        return Refused(Objection.SCHEDULED, status)
    return None


def _hold(
    connection: psycopg.Connection, message_id: int, org_id: str | None, window_s: float
) -> _Held | None:
    with connection.cursor(row_factory=class_row(_Held)) as cursor:
        cursor.execute(
            _QUERIES["lock_message"].encode(),
            {"id": message_id, "org_id": org_id, "window_s": window_s},
        )
        return cursor.fetchone()


def _read_last(
    connection: psycopg.Connection, message_id: int, window_s: float, silence_s: float
) -> _LastAttempt | None:
    with connection.cursor(row_factory=class_row(_LastAttempt)) as cursor:
        cursor.execute(
            _QUERIES["read_last_attempt"].encode(),
            {"id": message_id, "window_s": window_s, "silence_s": silence_s},
        )
        return cursor.fetchone()


def _requeue(
    connection: psycopg.Connection,
    held: _Held,
    last: _LastAttempt | None,
    updated_by: str | None,
) -> Requeued:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            _QUERIES["requeue_message"].encode(),
            {
                "id": held.id,
                "attempt_no": last.attempt_no if last else 0,
                "unknown": HouseCode.OUTCOME_UNKNOWN.value,
                "updated_by": updated_by,
            },
        )
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError("a locked message can't vanish")
    return Requeued(
        previous_status=MessageStatus(held.status),
        attempt_count=row["attempt_count"],
        max_attempts=row["max_attempts"],
        due_at=row["due_at"],
        possible_duplicate=last is not None and last.unsettled,
    )
