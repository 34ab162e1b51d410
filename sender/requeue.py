"""Bringing messages back to the queue, as 001's retry scripts ask over HTTP and by hand.

A message whose last attempt may have reached the recipient is not sent again by mistake: within the
recovery window its webhook may still tell (D12). Who knows better says so, and the attempt is
marked as a possible duplicate.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.statuses import MessageStatus
from sender.audit import Operation, Relation, keep_rows

_QUERIES = load_queries("sender", "sql/operator.sql")

FALLBACK_SUFFIX = "-sms-fallback"
"""What the idempotency key of a message's SMS fallback adds to its own (001, procedure 2)."""

_ACCEPTED = frozenset({MessageStatus.SENT, MessageStatus.DELIVERED})


class Objection(StrEnum):
    """Why a message stays as it is. All but the first three give way to force."""

    NOT_FOUND = "not_found"
    ALREADY_ACCEPTED = "already_accepted"
    MOVED_ON = "moved_on"
    OUTCOME_UNKNOWN = "outcome_unknown"
    EXPIRED = "expired"
    SCHEDULED = "scheduled"
    FELL_BACK = "fell_back"


@dataclass(frozen=True, slots=True)
class Caution:
    """What is asked before a message is sent again.

    Attributes:
        recovery_window_s: Seconds after which the sweep takes an unknown outcome for lost.
        silence_s: Seconds without a webhook while which it does not, for one might tell.
        force: Send it again though the provider may have it, though it has expired, though it was
            never due, or though it went out another way.

    """

    recovery_window_s: float
    silence_s: float
    force: bool = False


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
    attempt_seq: int
    wait_s: float
    scheduled: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class _LastAttempt:
    message_id: int
    id: int
    attempt_no: int
    unsettled: bool
    wait_s: float
    resend_allowed: bool


def requeue_messages(
    connection: psycopg.Connection,
    ids: Sequence[int],
    caution: Caution,
    operation: Operation,
    *,
    org_id: str | None = None,
    expected: Collection[MessageStatus] | None = None,
    seen: Mapping[int, int] | None = None,
    stamp: str | None = None,
) -> Mapping[int, Requeued | Refused]:
    """Queue messages again in the caller's transaction, due at once; tells what became of each.

    Args:
        connection: Not in autocommit; committing is the caller's part.
        ids: Which messages.
        caution: What is asked before.
        operation: The operation that keeps the rows as they were.
        org_id: Whose they have to be; None for anybody's.
        expected: Where they stood when they were chosen; another status leaves one alone.
        seen: The number of each one's last attempt then; a later one leaves it alone.
        stamp: For `updated_by`; None leaves that column alone.

    Raises:
        psycopg.Error: The database does not answer, or a settlement was in the way (deadlock: try
            again).

    """
    held = _look(connection, ids, org_id, caution.recovery_window_s, lock=True)
    last = _read_last(connection, list(held), caution)
    refused = _judge(connection, ids, held, last, caution, expected)
    for number, attempt in (seen or {}).items():
        # Force is for the attempt that somebody has looked at, not for one that began since.
        if number in held and number not in refused and held[number].attempt_seq != attempt:
            refused[number] = Refused(Objection.MOVED_ON, MessageStatus(held[number].status))
    free = [one for one in held.values() if one.id not in refused]
    return {**refused, **_requeue(connection, free, last, operation, stamp)}


def foresee_refusals(
    connection: psycopg.Connection,
    ids: Sequence[int],
    caution: Caution,
    *,
    org_id: str | None = None,
    expected: Collection[MessageStatus] | None = None,
) -> Mapping[int, Refused]:
    """Tell which messages `requeue_messages` would leave alone now; locks and changes nothing.

    Raises:
        psycopg.Error: The database does not answer.

    """
    held = _look(connection, ids, org_id, caution.recovery_window_s, lock=False)
    last = _read_last(connection, list(held), caution)
    return _judge(connection, ids, held, last, caution, expected)


def find_fallbacks(connection: psycopg.Connection, ids: Sequence[int]) -> set[int]:
    """Tell which messages have an SMS that stands for them.

    Raises:
        psycopg.Error: The database does not answer.

    """
    values = {"ids": list(ids), "suffix": FALLBACK_SUFFIX}
    return {number for (number,) in connection.execute(_QUERIES["find_fallbacks"].encode(), values)}


def _judge(
    connection: psycopg.Connection,
    ids: Sequence[int],
    held: Mapping[int, _Held],
    last: Mapping[int, _LastAttempt],
    caution: Caution,
    expected: Collection[MessageStatus] | None,
) -> dict[int, Refused]:
    fell_back = set() if caution.force else find_fallbacks(connection, list(held))
    refused = {number: Refused(Objection.NOT_FOUND) for number in ids if number not in held}
    for number, one in held.items():
        found = _object(one, last.get(number), caution, expected)
        if found is None and number in fell_back:
            found = Refused(Objection.FELL_BACK, MessageStatus(one.status))
        if found is not None:
            refused[number] = found
    return refused


def _object(
    held: _Held,
    last: _LastAttempt | None,
    caution: Caution,
    expected: Collection[MessageStatus] | None,
) -> Refused | None:
    status = MessageStatus(held.status)
    if status in _ACCEPTED:
        return Refused(Objection.ALREADY_ACCEPTED, status)
    if expected is not None and status not in expected:
        return Refused(Objection.MOVED_ON, status)
    return None if caution.force else _hesitate(held, last, caution)


def _hesitate(held: _Held, last: _LastAttempt | None, caution: Caution) -> Refused | None:
    """Object for what a person may know better."""
    status = MessageStatus(held.status)
    wait = held.wait_s
    if last is not None and last.unsettled:
        wait = max(wait, last.wait_s, 0.0 if last.resend_allowed else caution.silence_s)
    if wait > 0:
        return Refused(Objection.OUTCOME_UNKNOWN, status, wait)
    if held.expired:
        return Refused(Objection.EXPIRED, status)
    if held.scheduled:
        return Refused(Objection.SCHEDULED, status)
    return None


def _look(
    connection: psycopg.Connection,
    ids: Sequence[int],
    org_id: str | None,
    window_s: float,
    *,
    lock: bool,
) -> dict[int, _Held]:
    statement = _QUERIES["look_at_messages"] + ("\n FOR UPDATE" if lock else "")
    values = {"ids": list(ids), "org_id": org_id, "window_s": window_s}
    with connection.cursor(row_factory=class_row(_Held)) as cursor:
        cursor.execute(statement.encode(), values)
        return {row.id: row for row in cursor}


def _read_last(
    connection: psycopg.Connection, ids: Sequence[int], caution: Caution
) -> dict[int, _LastAttempt]:
    values = {
        "ids": list(ids),
        "window_s": caution.recovery_window_s,
        "silence_s": caution.silence_s,
    }
    with connection.cursor(row_factory=class_row(_LastAttempt)) as cursor:
        cursor.execute(_QUERIES["read_last_attempts"].encode(), values)
        return {row.message_id: row for row in cursor}


def _requeue(
    connection: psycopg.Connection,
    free: Sequence[_Held],
    last: Mapping[int, _LastAttempt],
    operation: Operation,
    stamp: str | None,
) -> dict[int, Requeued]:
    ids = [one.id for one in free]
    attempts = [last[number].id for number in ids if number in last]
    values: dict[str, Any] = {
        "ids": ids,
        "attempts": attempts,
        "unknown": HouseCode.OUTCOME_UNKNOWN.value,
        "updated_by": stamp,
    }
    with (
        keep_rows(connection, operation, Relation.MESSAGE, ids),
        keep_rows(connection, operation, Relation.ATTEMPT, attempts),
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        cursor.execute(_QUERIES["requeue_messages"].encode(), values)
        written = {row["id"]: row for row in cursor}
    return {
        one.id: Requeued(
            previous_status=MessageStatus(one.status),
            attempt_count=written[one.id]["attempt_count"],
            max_attempts=written[one.id]["max_attempts"],
            due_at=written[one.id]["due_at"],
            possible_duplicate=one.id in last and last[one.id].unsettled,
        )
        for one in free
    }
