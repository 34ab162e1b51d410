"""Switches that people turn (002, circuit breaker activation): a channel, or all of them.

They are rows, so every sender heeds them at its next claim, and no process is started anew. What
waits is held where it is; see docs/decisions/0022.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.statuses import Channel
from sender.audit import Operation, Relation, keep_rows

_QUERIES = load_queries("sender", "sql/switches.sql")

EVERYTHING = "ALL"
"""The switch of all channels."""

_CLAIMING = "outbound-slo sender"


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch.

    Attributes:
        channel: What it holds: a channel, or `EVERYTHING`.
        paused: It does so now.
        until: When the pause ends by itself; None if somebody has to end it.
        reason: What was said when it was turned.
        updated_at: When it was last turned.
        updated_by: By which operation.

    """

    channel: str
    paused: bool
    until: datetime | None
    reason: str | None
    updated_at: datetime
    updated_by: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """An organisation's WhatsApp, and whether it is switched on."""

    org_id: str
    enabled: bool
    updated_at: datetime
    updated_by: str | None


@dataclass(frozen=True, slots=True)
class Load:
    """Messages of a channel that are due, and those whose answer a sender awaits."""

    channel: str
    due: int
    in_flight: int


def read_switches(connection: psycopg.Connection) -> Sequence[Switch]:
    """Read all switches, that of everything first.

    Raises:
        psycopg.Error: The database does not answer.

    """
    with connection.cursor(row_factory=class_row(Switch)) as cursor:
        return cursor.execute(_QUERIES["read_switches"].encode()).fetchall()


def read_accounts(connection: psycopg.Connection, org: str | None = None) -> Sequence[Account]:
    """Read one organisation's account, or all that are switched off.

    Raises:
        psycopg.Error: The database does not answer.

    """
    with connection.cursor(row_factory=class_row(Account)) as cursor:
        return cursor.execute(_QUERIES["read_accounts"].encode(), {"org": org}).fetchall()


def count_load(
    connection: psycopg.Connection, channels: Sequence[str], org: str | None = None
) -> Sequence[Load]:
    """Count what is due and what is in flight.

    Raises:
        psycopg.Error: The database does not answer.

    """
    values = {"channels": list(channels), "org": org}
    with connection.cursor(row_factory=class_row(Load)) as cursor:
        return cursor.execute(_QUERIES["count_load"].encode(), values).fetchall()


def count_in_flight(
    connection: psycopg.Connection, channels: Sequence[str], org: str | None = None
) -> int:
    """Count the messages whose answer a sender awaits.

    Raises:
        psycopg.Error: The database does not answer.

    """
    values = {"channels": list(channels), "org": org}
    row = connection.execute(_QUERIES["count_in_flight"].encode(), values).fetchone()
    return row[0] if row else 0


def find_writers(connection: psycopg.Connection) -> frozenset[str]:
    """Name the senders' transactions that write messages now; any role may see them.

    Asked after a switch was turned, these are all that may not have seen it; later ones have.

    Raises:
        psycopg.Error: The database does not answer.

    """
    found = connection.execute(_QUERIES["find_writers"].encode(), {"application": _CLAIMING})
    return frozenset(name for (name,) in found)


def pause(
    connection: psycopg.Connection,
    channel: str,
    operation: Operation,
    *,
    seconds: float | None,
    reason: str | None,
) -> bool:
    """Pause a channel, or all, in the caller's transaction; a pause that is there starts anew.

    Raises:
        psycopg.Error: The database does not answer.

    """
    if not _hold(connection, channel):
        return False
    with keep_rows(connection, operation, Relation.SWITCH, [channel]):
        values = {
            "channel": channel,
            "seconds": seconds,
            "reason": reason,
            "stamp": operation.stamp,
        }
        connection.execute(_QUERIES["pause"].encode(), values)
    return True


def resume(connection: psycopg.Connection, channel: str, operation: Operation) -> bool:
    """End a pause in the caller's transaction and call the senders; False if there was none.

    Raises:
        psycopg.Error: The database does not answer.

    """
    found = _hold(connection, channel)
    if not found or not found[0]:
        return False
    with keep_rows(connection, operation, Relation.SWITCH, [channel]):
        values = {"channel": channel, "stamp": operation.stamp}
        connection.execute(_QUERIES["resume"].encode(), values)
    return True


def enable_account(
    connection: psycopg.Connection, org: str, operation: Operation, *, enabled: bool
) -> bool:
    """Switch an organisation's WhatsApp on or off; False if it is so, or if there is none.

    Raises:
        psycopg.Error: The database does not answer.

    """
    found = connection.execute(_QUERIES["hold_account"].encode(), {"org": org}).fetchone()
    if found is None or found[1] == enabled:
        return False
    with keep_rows(connection, operation, Relation.PROVIDER_CONFIG, [found[0]]):
        values = {"org": org, "enabled": enabled, "stamp": operation.stamp}
        connection.execute(_QUERIES["enable"].encode(), values)
    if enabled:
        connection.execute(_QUERIES["call"].encode())
    return True


def find_channels(switch: str) -> list[str]:
    """Name the channels that a switch holds."""
    return [each.value for each in Channel] if switch == EVERYTHING else [switch]


def _hold(connection: psycopg.Connection, channel: str) -> tuple[bool, ...] | None:
    return connection.execute(_QUERIES["hold_switch"].encode(), {"channel": channel}).fetchone()
