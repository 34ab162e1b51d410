"""SMS instead of WhatsApp while the provider is down (001, outage procedure 2).

The SMS takes its key from the message that it stands for, so there is one however often it is asked
for. A message that waits for another attempt ends in the transaction that queues its SMS: never do
both go out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psycopg
from psycopg.rows import class_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.statuses import MessageStatus
from sender.audit import Operation, Relation, keep_rows, note_made
from sender.content import SMS_TEXT
from sender.requeue import FALLBACK_SUFFIX

_QUERIES = load_queries("sender", "sql/fallback.sql")

FALLBACK_PREFIX = "[WhatsApp Fallback] "
"""What the text begins with (001)."""

_UNTAKEN = ("status", "attempt_seq", "updated_at")


class Hindrance(StrEnum):
    """Why a message gets no SMS."""

    MOVED_ON = "moved_on"
    FELL_BACK = "fell_back"
    NO_TEXT = "no_text"
    TEXT_TOO_LONG = "text_too_long"
    OUTCOME_UNKNOWN = "outcome_unknown"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class FallbackRules:
    """Which messages fall back, and what the SMS says.

    Attributes:
        templates: Their templates.
        codes: Error codes of their last failure.
        age_s: Seconds since they were made, at most.
        waiting: Also those that wait in QUEUED for another attempt; these end as FAILED.
        text: The SMS; None for `FALLBACK_PREFIX` and the message's subject, or else its text.
        org: One organisation; None for all.
        limit: Messages at most.

    """

    templates: tuple[str, ...]
    codes: tuple[str, ...]
    age_s: float
    waiting: bool = False
    text: str | None = None
    org: str | None = None
    limit: int = 1000

    @property
    def statuses(self) -> list[str]:
        """Where such messages stand."""
        found = [MessageStatus.FAILED, *([MessageStatus.QUEUED] if self.waiting else [])]
        return [status.value for status in found]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message that might fall back."""

    id: int
    org_id: str
    status: str
    error_code: str | None
    template_code: str | None
    text: str | None
    fell_back: bool
    unsettled: bool
    expired: bool


def choose_candidates(connection: psycopg.Connection, rules: FallbackRules) -> list[int]:
    """Find messages that the rules mean, the most urgent and the latest first.

    Those that have their SMS or have expired are not among them.

    Raises:
        psycopg.Error: The database does not answer.

    """
    values = {
        "statuses": rules.statuses,
        "codes": list(rules.codes),
        "age_s": rules.age_s,
        "templates": list(rules.templates),
        "org": rules.org,
        "limit": rules.limit,
        "suffix": FALLBACK_SUFFIX,
    }
    return [number for (number,) in connection.execute(_QUERIES["choose"].encode(), values)]


def judge_candidates(
    connection: psycopg.Connection,
    ids: Sequence[int],
    rules: FallbackRules,
    *,
    lock: bool = False,
) -> Mapping[int, Candidate | Hindrance]:
    """Tell of each message that exists whether it may fall back, or why not.

    Raises:
        psycopg.Error: The database does not answer.

    """
    statement = _QUERIES["look"] + ("\n FOR UPDATE OF m" if lock else "")
    values = {
        "ids": list(ids),
        "text": rules.text,
        "prefix": FALLBACK_PREFIX,
        "suffix": FALLBACK_SUFFIX,
    }
    with connection.cursor(row_factory=class_row(Candidate)) as cursor:
        cursor.execute(statement.encode(), values)
        return {one.id: _object(one, rules) or one for one in cursor}


def fall_back(
    connection: psycopg.Connection,
    ids: Sequence[int],
    rules: FallbackRules,
    operation: Operation,
) -> Mapping[int, Hindrance | None]:
    """Queue an SMS for each message in the caller's transaction; tells why where it does not.

    Args:
        connection: Not in autocommit; committing is the caller's part.
        ids: Which messages.
        rules: What they have to be like, still.
        operation: The operation that keeps what it made and changed.

    Raises:
        psycopg.Error: The database does not answer, or a settlement was in the way (try again).

    """
    # Locked by one statement and judged by the next, which sees what others did until then.
    judge_candidates(connection, ids, rules, lock=True)
    judged = judge_candidates(connection, ids, rules)
    free = [one for one in judged.values() if isinstance(one, Candidate)]
    cursor = connection.execute(
        _QUERIES["queue_sms"].encode(),
        {
            "ids": [one.id for one in free],
            "texts": [one.text for one in free],
            "suffix": FALLBACK_SUFFIX,
            "stamp": operation.stamp,
        },
    )
    made = {stands_for: number for number, stands_for in cursor}
    note_made(connection, operation, Relation.MESSAGE, list(made.values()), _UNTAKEN)
    # Somebody else may have queued an SMS a moment ago: that one's message is theirs to end.
    waiting = [one.id for one in free if one.id in made and one.status == MessageStatus.QUEUED]
    with keep_rows(connection, operation, Relation.MESSAGE, waiting):
        connection.execute(
            _QUERIES["end_waiting"].encode(),
            {"ids": waiting, "code": HouseCode.FELL_BACK.value, "stamp": operation.stamp},
        )
    hindered = {number: one for number, one in judged.items() if isinstance(one, Hindrance)}
    gone = {number: Hindrance.MOVED_ON for number in ids if number not in judged}
    tried = {one.id: None if one.id in made else Hindrance.FELL_BACK for one in free}
    return {**tried, **hindered, **gone}


def _object(one: Candidate, rules: FallbackRules) -> Hindrance | None:
    if one.fell_back:
        return Hindrance.FELL_BACK
    if one.status not in rules.statuses or one.error_code not in rules.codes:
        return Hindrance.MOVED_ON
    if one.expired:
        return Hindrance.EXPIRED
    # Its webhook may still tell that it arrived (D12).
    if one.unsettled:
        return Hindrance.OUTCOME_UNKNOWN
    if one.text is None:
        return Hindrance.NO_TEXT
    return Hindrance.TEXT_TOO_LONG if len(one.text) > SMS_TEXT else None
