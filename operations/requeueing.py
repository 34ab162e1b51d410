"""Messages back to the queue: stuck ones, failed ones after an outage, dead letters (000 to 002).

All go through `sender.requeue`, which the HTTP face calls too: what might reach the recipient twice
stays where it is until its webhook has had time to come, unless somebody takes that risk (D12).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import class_row

from operations.change import Applied, Group, Survey
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import ErrorPolicy, Retryable, classify
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel, MessageStatus
from sender.audit import Operation
from sender.requeue import (
    FALLBACK_SUFFIX,
    Caution,
    Objection,
    Refused,
    foresee_refusals,
    requeue_messages,
)

_QUERIES = load_queries("operations", "sql/requeue.sql")
_SLICE = 5000


class Choice(StrEnum):
    """Which messages: the runbooks' rules, spelled as the blocks of requeue.sql (D32)."""

    OUTAGE = "outage"
    DLQ = "dlq"
    SENDING = "sending"
    OVERDUE = "overdue"
    WAITING = "waiting"
    NAMED = "named"


_STATUSES: Mapping[Choice, frozenset[MessageStatus]] = {
    Choice.OUTAGE: frozenset({MessageStatus.FAILED}),
    Choice.DLQ: frozenset({MessageStatus.FAILED}),
    Choice.SENDING: frozenset({MessageStatus.SENDING}),
    Choice.OVERDUE: frozenset({MessageStatus.QUEUED}),
    Choice.WAITING: frozenset({MessageStatus.QUEUED}),
    Choice.NAMED: frozenset({MessageStatus.FAILED, MessageStatus.SENDING, MessageStatus.QUEUED}),
}


@dataclass(frozen=True, slots=True)
class _Chosen:
    id: int
    channel: str
    status: str
    error_code: str | None
    org_id: str
    attempt_seq: int


@dataclass(frozen=True, slots=True)
class Requeue:
    """The change that queues messages again.

    Attributes:
        command: As typed after `outbound-slo ops`.
        choice: Which rule chooses them.
        caution: What is asked before a message is sent again.
        policy: Whose word on an error code counts.
        age_s: Seconds that the rule asks for: at most for OUTAGE, at least for the others.
        limit: Messages at most.
        codes: Error codes; None for any.
        channel: One channel; None for all.
        org: One organisation; None for all.
        ids: The messages, where they are named.
        undoes: Nothing: it is no undo.

    """

    command: str
    choice: Choice
    caution: Caution
    policy: ErrorPolicy
    age_s: float
    limit: int
    codes: tuple[str, ...] | None = None
    channel: Channel | None = None
    org: str | None = None
    ids: tuple[int, ...] = ()
    undoes: int | None = None
    _seen: dict[int, int] = field(default_factory=dict)

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {
            "choice": self.choice.value,
            "force": self.caution.force,
            **self._filters(),
        }

    def survey(self, connection: psycopg.Connection) -> Survey:
        """Choose messages, less those that would be left alone.

        Raises:
            UserMistake: A message that was named does not exist.

        """
        chosen = self._choose(connection)
        self._seen.update((one.id, one.attempt_seq) for one in chosen)
        refused = self._foresee(connection, [one.id for one in chosen])
        free = [one for one in chosen if one.id not in refused]
        counts = Counter((one.channel, one.status, one.error_code or "") for one in free)
        groups = tuple(
            Group((channel, status, code, self._explain(code)), rows)
            for (channel, status, code), rows in counts.most_common()
        )
        return Survey(
            [one.id for one in free],
            "messages",
            "to go back to the queue, due at once; a used-up budget is whole again",
            ("Channel", "Status", "Code", "Retry"),
            groups,
            (*self._warn(refused), *self._warn_of_risk(free), *self._warn_of_codes(counts)),
            "what a sender has taken meanwhile",
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        results = requeue_messages(
            connection,
            keys,
            self.caution,
            operation,
            org_id=self.org,
            expected=_STATUSES[self.choice],
            seen={number: self._seen[number] for number in keys},
            stamp=operation.stamp,
        )
        refused = [one for one in results.values() if isinstance(one, Refused)]
        skipped = Counter(one.objection.value for one in refused)
        return Applied(len(results) - len(refused), skipped)

    def _choose(self, connection: psycopg.Connection) -> Sequence[_Chosen]:
        with connection.cursor(row_factory=class_row(_Chosen)) as cursor:
            values = self._filters() | {"force": self.caution.force, "suffix": FALLBACK_SUFFIX}
            cursor.execute(_QUERIES[self.choice.value].encode(), values)
            found = cursor.fetchall()
        missing = sorted(set(self.ids) - {one.id for one in found})
        if missing:
            whose = f" of {self.org}" if self.org else ""
            raise UserMistake(
                f"There is no message {', '.join(map(str, missing[:10]))}{whose}",
                "'outbound-slo ops stuck list' shows numbers of messages",
            )
        return found

    def _filters(self) -> dict[str, object]:
        return {
            "age_s": self.age_s,
            "codes": self.codes and list(self.codes),
            "channel": self.channel and self.channel.value,
            "org": self.org,
            "limit": self.limit,
            "ids": list(self.ids),
        }

    def _foresee(self, connection: psycopg.Connection, ids: Sequence[int]) -> dict[int, Refused]:
        refused: dict[int, Refused] = {}
        for start in range(0, len(ids), _SLICE):
            refused |= foresee_refusals(
                connection,
                ids[start : start + _SLICE],
                self.caution,
                org_id=self.org,
                expected=_STATUSES[self.choice],
            )
        return refused

    def _explain(self, code: str) -> str:
        return classify(code, None, self.policy).retryable.value.replace("_", " ") if code else ""

    def _warn(self, refused: Mapping[int, Refused]) -> list[str]:
        counts = Counter(one.objection for one in refused.values())
        return [
            f"{rows:,} are left alone: {_REASONS[objection]}"
            for objection, rows in counts.most_common()
        ]

    def _warn_of_risk(self, free: Sequence[_Chosen]) -> list[str]:
        flying = sum(one.status == MessageStatus.SENDING for one in free)
        if not self.caution.force or not flying:
            return []
        return [f"{flying:,} may have reached the provider already, and may arrive twice"]

    def _warn_of_codes(self, counts: Mapping[tuple[str, str, str], int]) -> list[str]:
        hopeless = sorted(
            {
                code
                for _, status, code in counts
                if status == MessageStatus.FAILED
                and code
                and classify(code, None, self.policy).retryable is Retryable.NO
            }
        )
        if not hopeless:
            return []
        lesson = f"'outbound-slo errors {hopeless[0]}'"
        codes = ", ".join(hopeless)
        return [f"code {codes} does not pass by itself ({lesson}): mend its cause first"]


_REASONS: Mapping[Objection, str] = {
    Objection.NOT_FOUND: "they are gone",
    Objection.ALREADY_ACCEPTED: "the provider has accepted them",
    Objection.MOVED_ON: "their status has changed",
    Objection.OUTCOME_UNKNOWN: "the provider may have them and a webhook may tell; --force "
    "sends them all the same",
    Objection.EXPIRED: "they have expired; --force sends them all the same",
    Objection.SCHEDULED: "they are scheduled and were never tried; --force sends them now",
    Objection.FELL_BACK: "they went out as SMS instead; --force sends them all the same",
}
