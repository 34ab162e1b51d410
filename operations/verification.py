"""Whether a repair has worked: each criterion measured in the database, in one snapshot.

Nothing is asked of senders or of Prometheus, so the answer is there while those are down. What
can't be judged, such as a failure rate without traffic, is "no data" and counts as not met.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType

import psycopg
from psycopg.rows import dict_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import CATALOGUES, Category, ErrorMeaning, ErrorPolicy, explain
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.recoveries import (
    RATE_LIMITED,
    RETRIED,
    TEMPORARY,
    Criterion,
    Recovery,
)
from outbound_slo.vocabulary.statuses import Channel

_QUERIES = load_queries("operations", "sql/verification.sql")
_PASSING = frozenset({Category.TEMPORARY, Category.TIMEOUT})


class Verdict(StrEnum):
    """How a criterion stands."""

    MET = "met"
    NOT_MET = "not_met"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at.

    Attributes:
        org_id: One organisation's messages; None for all.
        channel: One channel; None for all.
        window_s: Seconds to look back, in place of each criterion's own; None for those.
        operation: The operation whose messages "retried" judges; None for all retries.

    """

    org_id: str | None = None
    channel: Channel | None = None
    window_s: float | None = None
    operation: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One criterion, measured.

    Attributes:
        criterion: What was measured.
        verdict: How it stands.
        measured: In the unit of the criterion's line; None without data, infinite where what is
            timed never happened.
        behind: Counts that the value rests on, by name.
        window_s: Seconds that were looked at; 0 where only the present counts.

    """

    criterion: Criterion
    verdict: Verdict
    measured: float | None
    behind: Mapping[str, int]
    window_s: float


def verify(
    connection: psycopg.Connection, recovery: Recovery, scope: Scope, policy: ErrorPolicy
) -> tuple[Finding, ...]:
    """Measure a recovery's criteria, in their order.

    Args:
        connection: A reading transaction; its planner settings are changed until its end.
        recovery: What to judge.
        scope: Whose messages, how far back.
        policy: Which catalogue says what an error code means.

    Raises:
        UserMistake: An operation is named and nothing of this recovery depends on one, or there
            is no such operation.
        psycopg.Error: The database can't answer.

    """
    if scope.operation is not None:
        _check_operation(connection, recovery, scope.operation)
    connection.execute(_QUERIES["plan_by_index"].encode())
    return tuple(_measure(connection, each, scope, policy) for each in recovery.criteria)


def find_block(criterion: Criterion, scope: Scope) -> str:
    """Name the block of SQL that measures a criterion."""
    if criterion is RETRIED and scope.operation is not None:
        return "retried_by_operation"
    return criterion.key


@cache
def select_codes(criterion: Criterion, policy: ErrorPolicy) -> tuple[str, ...]:
    """List the error codes that a criterion counts; empty where it counts none.

    A code of no catalogue (an HTTP status of an unknown kind) counts as neither.
    """
    if criterion not in {TEMPORARY, RATE_LIMITED}:
        return ()
    codes = {row.code for rows in CATALOGUES.values() for row in rows}
    meanings = {code: explain(code, policy) for code in codes}
    return tuple(
        sorted(code for code, found in meanings.items() if found and _counts(criterion, found))
    )


def _counts(criterion: Criterion, meaning: ErrorMeaning) -> bool:
    if criterion is RATE_LIMITED:
        return meaning.rate_limit
    return meaning.category in _PASSING


def _measure(
    connection: psycopg.Connection, criterion: Criterion, scope: Scope, policy: ErrorPolicy
) -> Finding:
    own = criterion.line.hold_s
    by_operation = criterion is RETRIED and scope.operation is not None
    window_s = 0.0 if by_operation else scope.window_s if scope.window_s and own else own
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            _QUERIES[find_block(criterion, scope)].encode(),
            {
                "window_s": window_s,
                "org_id": scope.org_id,
                "channel": scope.channel and scope.channel.value,
                "operation": scope.operation,
                "codes": list(select_codes(criterion, policy)),
                "line": criterion.line.value,
            },
        )
        row = cursor.fetchone() or {}
    found = row.pop("measured", None)
    measured = None if found is None else float(found)
    return Finding(
        criterion, _judge(criterion, measured), measured, MappingProxyType(row), window_s
    )


def _judge(criterion: Criterion, measured: float | None) -> Verdict:
    if measured is None:
        return Verdict.NO_DATA
    return Verdict.MET if criterion.line.holds(measured) else Verdict.NOT_MET


def _check_operation(connection: psycopg.Connection, recovery: Recovery, operation: int) -> None:
    if RETRIED not in recovery.criteria:
        raise UserMistake(
            f"No criterion of '{recovery.name}' is about the messages of one operation",
            "Give --operation with 'retry'",
        )
    known = connection.execute(
        "SELECT FROM outbound_operation WHERE id = %s", (operation,)
    ).fetchone()
    if known is None:
        raise UserMistake(
            f"There is no operation {operation}", "See 'outbound-slo ops log' for their numbers"
        )
