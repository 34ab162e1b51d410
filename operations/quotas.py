"""Quotas of `whatsapp_rate_limit`: how far they are used, and what uses them.

They are the platform's own, not Meta's limit, which counts other people than these messages (D39).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row, dict_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import CATALOGUES, ErrorPolicy, HouseCode, explain
from outbound_slo.vocabulary.thresholds import (
    ALERT_QUOTA_70,
    ALERT_QUOTA_85,
    ALERT_QUOTA_95,
    Threshold,
)

_QUERIES = load_queries("operations", "sql/quota.sql")

LINES: tuple[Threshold, ...] = (ALERT_QUOTA_95, ALERT_QUOTA_85, ALERT_QUOTA_70)
"""Lines that a quota may have crossed, the highest first (002, prevention; D21)."""

MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Quota:
    """One organisation's quota.

    Attributes:
        used: Messages sent since the window began.
        limit: Messages that it may send in one.
        percent: Used of the limit; None where the limit is 0.
        reset_at: When the window ends.
        hours_until_reset: Until then; 0 where it has ended and no sender has begun another.
        throttle_until: Until when the provider wants nothing of it; None for no throttle.
        minutes_throttled: Until then; 0 where it is over.

    """

    org_id: str
    used: int
    limit: int
    percent: float | None
    reset_at: datetime
    hours_until_reset: float
    throttle_until: datetime | None
    minutes_throttled: float
    last_request_at: datetime | None
    updated_at: datetime
    updated_by: str | None

    @property
    def state(self) -> str:
        """The worst that can be said of it, for people and machines."""
        if self.hours_until_reset == 0:
            return "window over"
        if self.used >= self.limit:
            return "used up"
        if self.minutes_throttled > 0:
            return "throttled"
        crossed = [line for line in LINES if line.holds(self.percent or 0.0)]
        return f"over {crossed[0].value:g} %" if crossed else "ok"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An organisation's queued WhatsApp messages, and those of them that wait for the quota."""

    org_id: str
    queued: int
    held: int


@dataclass(frozen=True, slots=True)
class LimitErrors:
    """Attempts of the last hour that a provider refused for its rate."""

    org_id: str
    errors: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class Dossier:
    """A dossier's WhatsApp messages of the last hour."""

    org_id: str
    dossier_id: int | None
    messages: int


@dataclass(frozen=True, slots=True)
class QuotaReport:
    """What `ops quota show` tells.

    Attributes:
        quotas: Quotas, the fullest first.
        waiting: Queued messages by organisation, where there are any.
        errors: Rate limit errors by organisation, the most first.
        dossiers: Dossiers that send most.
        hours: Messages sent in each hour of the last day, of the one organisation asked for.

    """

    quotas: Sequence[Quota]
    waiting: Mapping[str, Waiting]
    errors: Sequence[LimitErrors]
    dossiers: Sequence[Dossier]
    hours: Sequence[tuple[datetime, int]]


def read_report(
    connection: psycopg.Connection,
    policy: ErrorPolicy,
    *,
    org_id: str | None,
    above: float,
    top: int,
) -> QuotaReport:
    """Read quotas and what uses them.

    Args:
        connection: To the outbox.
        policy: Whose word on an error code counts.
        org_id: One organisation; None for those above the line.
        above: Percent.
        top: Dossiers at most.

    """
    asked = {"org_id": org_id, "above": above, "limit": MOST_SHOWN}
    with connection.cursor(row_factory=class_row(Quota)) as cursor:
        quotas = cursor.execute(_QUERIES["read_quotas"].encode(), asked).fetchall()
    org_ids = [quota.org_id for quota in quotas]
    with connection.cursor(row_factory=class_row(Waiting)) as waiting:
        waiting.execute(
            _QUERIES["count_waiting"].encode(),
            {"org_ids": org_ids, "quota": HouseCode.QUOTA_EXHAUSTED.value},
        )
        held = {row.org_id: row for row in waiting}
    with connection.cursor(row_factory=class_row(LimitErrors)) as failed:
        failed.execute(
            _QUERIES["count_limit_errors"].encode(), asked | {"codes": list_limit_codes(policy)}
        )
        errors = failed.fetchall()
    with connection.cursor(row_factory=class_row(Dossier)) as ranked:
        ranked.execute(_QUERIES["rank_dossiers"].encode(), asked | {"limit": top})
        dossiers = ranked.fetchall()
    hours: list[tuple[datetime, int]] = []
    if org_id is not None:
        with connection.cursor(row_factory=dict_row) as counted:
            counted.execute(_QUERIES["count_by_hour"].encode(), asked)
            hours = [(row["hour"], row["messages"]) for row in counted]
    return QuotaReport(quotas, held, errors, dossiers, hours)


def list_limit_codes(policy: ErrorPolicy) -> list[str]:
    """List providers' codes that ask us to slow down (001 names four of them)."""
    codes = {row.code for rows in CATALOGUES.values() for row in rows}
    house = {code.value for code in HouseCode}
    return sorted(
        code
        for code in codes - house
        if (meaning := explain(code, policy)) is not None and meaning.rate_limit
    )


def name_organisations(connection: psycopg.Connection) -> list[str]:
    """Name organisations that have a quota."""
    return [name for (name,) in connection.execute(_QUERIES["name_organisations"].encode())]
