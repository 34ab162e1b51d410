"""Letting queued messages wait, as 002 defers what is not urgent while a quota runs out."""

from collections.abc import Sequence
from typing import Any

import psycopg

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import HouseCode
from sender.audit import Operation, Relation, keep_rows

_QUERIES = load_queries("sender", "sql/deferral.sql")

DEFER = "quota defer"
"""The command whose rows in the audit tell what is deferred."""


def defer_messages(
    connection: psycopg.Connection, operation: Operation, ids: Sequence[int], hours: float
) -> int:
    """Let messages wait until some hours after the operation began, in the caller's transaction.

    Messages that would expire meanwhile, or that are planned for later anyway, stay as they are.

    Returns:
        How many were deferred.

    """
    values: dict[str, Any] = {"operation": operation.id, "hours": hours, "ids": list(ids)}
    cursor = connection.execute(_QUERIES["lock_for_deferral"].encode(), values)
    held = [number for (number,) in cursor]
    with keep_rows(connection, operation, Relation.MESSAGE, held):
        connection.execute(
            _QUERIES["defer_messages"].encode(),
            values
            | {"ids": held, "stamp": operation.stamp, "quota": HouseCode.QUOTA_EXHAUSTED.value},
        )
    return len(held)


def release_messages(
    connection: psycopg.Connection, operation: Operation, ids: Sequence[int]
) -> int:
    """Let deferred messages go, in the caller's transaction; what was planned before counts again.

    Returns:
        How many were deferred still.

    """
    cursor = connection.execute(
        _QUERIES["lock_for_release"].encode(),
        {"ids": list(ids), "quota": HouseCode.QUOTA_EXHAUSTED.value, "command": DEFER},
    )
    held = cursor.fetchall()
    numbers = [number for number, _ in held]
    with keep_rows(connection, operation, Relation.MESSAGE, numbers):
        connection.execute(
            _QUERIES["release_messages"].encode(),
            {
                "ids": numbers,
                "earlier": [earlier for _, earlier in held],
                "stamp": operation.stamp,
            },
        )
    return len(held)
