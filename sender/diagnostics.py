"""What 000's diagnostics endpoints and 001's dashboard tell, read from the outbox.

The runbooks' fields keep their names and types; ours stand behind them. Percentages are 0 to 100.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import DictRow, dict_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.statuses import Channel, MessageStatus
from sender.meanings import CodeMeanings, tell_meanings
from sender.shapes import Answer, RunbookTime

_QUERIES = load_queries("sender", "sql/diagnostics.sql")

CEILING = 100_000
"""Totals are counted up to here, so that a question costs the same on a queue of any size."""

MOST_CODES = 100
"""Error codes that one answer lists; the commonest."""

MOST_PARTS = 5
"""Organisations and templates listed beside each error code."""


class Session(Answer):
    """A recipient's 24-hour window."""

    id: int
    phone_number: str
    window_expires_at: RunbookTime
    active: bool
    seconds_remaining: int
    org_id: str
    last_inbound_at: RunbookTime


class Timed(Answer):
    """An answer that says when it was true; times are UTC."""

    timestamp: RunbookTime
    time_zone: Literal["UTC"] = "UTC"


class Sessions(Timed):
    """Windows, with how many there are of them; a total at the ceiling may be larger."""

    sessions: list[Session]
    total_count: int
    active_count: int
    total_is_ceiling: bool


class WaitingMessage(Answer):
    """A message that waits for another attempt."""

    message_id: int
    to_phone: str
    status: Literal[MessageStatus.QUEUED]
    attempt_count: int
    max_attempts: int
    error_code: str | None
    next_retry_at: RunbookTime
    error_message: str | None
    org_id: str
    template_code: str | None
    overdue: bool


class RetryQueue(Timed):
    """Messages that wait for another attempt; a total at the ceiling may be larger."""

    messages: list[WaitingMessage]
    total_count: int
    total_is_ceiling: bool


class OrganisationCount(Answer):
    """An organisation's part of an error."""

    org_id: str
    count: int


class TemplateCount(Answer):
    """A template's part of an error; null stands for messages without one."""

    template_code: str | None
    count: int


class ErrorPattern(Answer):
    """One error code: how often, what it means, and whom it hits."""

    error_code: str
    count: int
    error_message: str
    meaning: CodeMeanings
    waiting_for_retry: int
    dead_letters: int
    organisation_count: int
    organisations: list[OrganisationCount]
    templates: list[TemplateCount]
    first_message_at: RunbookTime
    last_message_at: RunbookTime


class ErrorPatterns(Timed):
    """Errors of WhatsApp messages that were created within the period."""

    error_patterns: list[ErrorPattern]
    total_errors: int
    hours_analyzed: int
    total_messages_in_period: int
    failure_rate: float


class ChannelHealth(Answer):
    """A channel's messages of the period; those that are not over are in `pendingMessages` only."""

    channel: Channel
    total_messages: int
    successful_messages: int
    failed_messages: int
    success_rate: float
    average_latency_ms: int
    pending_messages: int


class OutboundHealth(Timed):
    """Every channel's health; `orgId` is null for all organisations together."""

    channel_metrics: dict[str, ChannelHealth]
    org_id: str | None
    hours_analyzed: int


def read_sessions(
    connection: psycopg.Connection,
    *,
    org_id: str | None,
    phone: str | None,
    active: bool | None,
    limit: int,
) -> Sessions:
    """List windows: the open ones, the closed ones, or (None) first those and then these."""
    values = {"org_id": org_id, "phone": phone, "limit": limit, "ceiling": CEILING}
    windows: list[DictRow] = []
    if active is not False:
        windows += _ask(connection, "open_windows", values)
    if active is not True:
        rest = values | {"limit": limit - len(windows)}
        windows += _ask(connection, "closed_windows", rest)
    [counts] = _ask(connection, "count_windows", values)
    total = {True: counts["open"], False: counts["closed"], None: counts["open"] + counts["closed"]}
    return Sessions(
        sessions=[Session(**row) for row in windows],
        total_count=total[active],
        active_count=0 if active is False else counts["open"],
        total_is_ceiling=max(counts.values()) >= CEILING,
        timestamp=_now(connection),
    )


def read_retry_queue(
    connection: psycopg.Connection, *, org_id: str | None, limit: int
) -> RetryQueue:
    """List the messages that wait for another attempt, the next one first."""
    values = {"org_id": org_id, "limit": limit, "ceiling": CEILING}
    rows = _ask(connection, "retry_queue", values)
    [[total]] = [row.values() for row in _ask(connection, "count_retry_queue", values)]
    return RetryQueue(
        messages=[WaitingMessage(**row) for row in rows],
        total_count=total,
        total_is_ceiling=total >= CEILING,
        timestamp=_now(connection),
    )


def read_error_patterns(
    connection: psycopg.Connection, *, org_id: str | None, hours: int, policy: ErrorPolicy
) -> ErrorPatterns:
    """Count errors by code, commonest first."""
    values = {"org_id": org_id, "hours": hours, "codes": MOST_CODES, "parts": MOST_PARTS}
    rows = _ask(connection, "error_patterns", values)
    [[messages]] = [row.values() for row in _ask(connection, "count_messages", values)]
    errors = rows[0]["total"] if rows else 0
    return ErrorPatterns(
        error_patterns=[_draw_pattern(row, rows, policy) for row in rows if row["kind"] == "code"],
        total_errors=errors,
        hours_analyzed=hours,
        total_messages_in_period=messages,
        failure_rate=_percent(errors, messages, without=0.0),
        timestamp=_now(connection),
    )


def _draw_pattern(row: DictRow, rows: Sequence[DictRow], policy: ErrorPolicy) -> ErrorPattern:
    code = row["error_code"]
    parts = [part for part in rows if part["error_code"] == code]
    meaning = tell_meanings(code, policy)
    title = meaning.applied.title if meaning.applied else code
    return ErrorPattern(
        error_code=code,
        count=row["count"],
        error_message=row["error_message"] or title,
        meaning=meaning,
        waiting_for_retry=row["waiting_for_retry"],
        dead_letters=row["dead_letters"],
        organisation_count=row["organisations"],
        organisations=[
            OrganisationCount(org_id=part["org_id"], count=part["count"])
            for part in parts
            if part["kind"] == "organisation"
        ],
        templates=[
            TemplateCount(template_code=part["template_code"], count=part["count"])
            for part in parts
            if part["kind"] == "template"
        ],
        first_message_at=row["first_seen_at"],
        last_message_at=row["last_seen_at"],
    )


def read_health(
    connection: psycopg.Connection, *, org_id: str | None, hours: int
) -> OutboundHealth:
    """Tell how each channel fares; one without messages has 100 % success, as on the panel."""
    rows = _ask(connection, "channel_health", {"org_id": org_id, "hours": hours})
    known = {row["channel"]: row for row in rows}
    return OutboundHealth(
        channel_metrics={
            channel.value: _draw_channel(channel, known.get(channel.value, {}))
            for channel in Channel
        },
        org_id=org_id,
        hours_analyzed=hours,
        timestamp=_now(connection),
    )


def _draw_channel(channel: Channel, row: Mapping[str, Any]) -> ChannelHealth:
    successful, failed = row.get("successful", 0), row.get("failed", 0)
    return ChannelHealth(
        channel=channel,
        total_messages=successful + failed,
        successful_messages=successful,
        failed_messages=failed,
        success_rate=_percent(successful, successful + failed, without=100.0),
        average_latency_ms=round(row.get("latency_ms") or 0),
        pending_messages=row.get("pending", 0),
    )


def _percent(part: int, whole: int, *, without: float) -> float:
    return round(100.0 * part / whole, 1) if whole else without


def _ask(connection: psycopg.Connection, name: str, values: Mapping[str, object]) -> list[DictRow]:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES[name].encode(), values)
        return cursor.fetchall()


def _now(connection: psycopg.Connection) -> datetime:
    """Give the time that the transaction's numbers belong to, by the database's clock."""
    row = connection.execute("SELECT now()").fetchone()
    if row is None or not isinstance(row[0], datetime):
        raise RuntimeError("SELECT now() gave no time")
    return row[0]
