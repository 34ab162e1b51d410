"""What lies in the dead-letter queue, and what to do about it (001, DLQ; 002, scenario 2)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from operations.triage import Triage, sort_out
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import (
    PASSING_CODES,
    WISH_CODES,
    Catalogue,
    ErrorPolicy,
    Retryable,
    classify,
    meanings,
)
from outbound_slo.vocabulary.statuses import Channel
from outbound_slo.vocabulary.thresholds import (
    ALERT_DEAD_100,
    ALERT_DEAD_500,
    ALERT_DEAD_1000,
    ALERT_DEAD_2000,
)

_QUERIES = load_queries("operations", "sql/dlq.sql")
_LINES = (ALERT_DEAD_2000, ALERT_DEAD_1000, ALERT_DEAD_500, ALERT_DEAD_100)


@dataclass(frozen=True, slots=True)
class CodeCount:
    """Dead letters of one channel with one code.

    Attributes:
        cooled: Not touched for 24 hours: what 001's retry would take, if the code passes.
        old: Not touched for seven days: what the archive would take (D33).

    """

    channel: str
    code: str | None
    messages: int
    orgs: int
    oldest: datetime
    newest: datetime
    last_touched: datetime
    example: str | None
    cooled: int
    old: int


@dataclass(frozen=True, slots=True)
class Category:
    """Dead letters of one of 001's categories."""

    triage: Triage
    messages: int
    orgs: int
    percentage: float


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do: why, and the command that shows what it would change."""

    why: str
    command: str


@dataclass(frozen=True, slots=True)
class Report:
    """The dead-letter queue at one instant.

    Attributes:
        policy: Whose word on an error code counts.
        channel: One channel; None for all.
        org: One organisation; None for all.
        at: The instant.
        codes: By channel and code, most first.
        ages: By age since they were made.
        orgs: The ten organisations with most.
        days: Made on each of the last seven days.
        categories: 001's.
        latest: Those touched last, if asked for.

    """

    policy: ErrorPolicy
    channel: Channel | None
    org: str | None
    at: datetime
    codes: Sequence[CodeCount]
    ages: Sequence[tuple[str, int]]
    orgs: Sequence[tuple[str, int]]
    days: Sequence[tuple[datetime, int, int]]
    categories: Sequence[Category]
    latest: Sequence[dict[str, Any]]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(each.messages for each in self.codes)

    @property
    def line(self) -> str | None:
        """The highest alert line that is crossed, with its source; alerts leave out opt-outs."""
        counted = sum(each.messages for each in self.codes if each.code not in WISH_CODES)
        crossed = next((each for each in _LINES if each.holds(counted)), None)
        return f"{crossed.value:,g}, {crossed.source}" if crossed else None

    def retryable(self, code: str | None) -> Retryable:
        """Whether a message with this code may be sent again."""
        return classify(code, None, self.policy).retryable

    def suggest(self) -> list[NextStep]:
        """Tell what to do next, the simplest first."""
        steps = []
        cooled = sum(each.cooled for each in self.codes if each.code in PASSING_CODES)
        if cooled:
            steps.append(self._step(f"{cooled:,} failed with passing errors and cooled", "retry"))
        for code, messages in self._count_mendable().items():
            mended = self.retryable(code) is Retryable.AFTER_FIX
            action = classify(code, None, self.policy).action if mended else sort_out(code).action
            steps.append(
                self._step(
                    f"{messages:,} have {code}. {action}, then", f"retry --codes {code} -a 0"
                )
            )
        old = sum(each.old for each in self.codes)
        if old:
            steps.append(self._step(f"{old:,} were not touched for 7 days", "archive"))
        if self.total:
            export = NextStep(
                "All of them, for a closer look",
                f"outbound-slo ops dlq export{self._filters()} --to dlq.csv",
            )
            steps.append(export)
        return steps

    def show(self) -> dict[str, Any]:
        """Give the report as a JSON document."""
        total = self.total
        return {
            "at": self.at,
            "policy": self.policy,
            "channel": self.channel and self.channel.label,
            "org": self.org,
            "total": total,
            "line": self.line,
            "codes": [self._show_code(each, total) for each in self.codes],
            "ages": [{"age": age, "messages": messages} for age, messages in self.ages],
            "organisations": [{"org": org, "messages": messages} for org, messages in self.orgs],
            "days": [
                {"day": day.date().isoformat(), "messages": messages, "orgs": orgs}
                for day, messages, orgs in self.days
            ],
            "categories": [
                {
                    "category": each.triage.category,
                    "group": each.triage.group,
                    "retryable": each.triage.retryable,
                    "action": each.triage.action,
                    "messages": each.messages,
                    "orgs": each.orgs,
                    "percentage": each.percentage,
                }
                for each in self.categories
            ],
            "latest": list(self.latest),
            "next": [asdict(step) for step in self.suggest()],
        }

    def _show_code(self, each: CodeCount, total: int) -> dict[str, Any]:
        known = meanings(each.code or "")
        return asdict(each) | {
            "percentage": round(100 * each.messages / total, 2),
            "category": classify(each.code, None, self.policy).category,
            "retryable": self.retryable(each.code),
            "meanings": {
                name: {"title": found.title, "action": found.action}
                for name, found in sorted(known.items())
            },
        }

    def _count_mendable(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self.codes:
            if each.code is None or each.code in PASSING_CODES:
                continue
            if self.retryable(each.code) is Retryable.AFTER_FIX or sort_out(each.code).mendable:
                found[each.code] = found.get(each.code, 0) + each.messages
        return found

    def _step(self, why: str, command: str) -> NextStep:
        return NextStep(why, f"outbound-slo ops dlq {command}{self._filters()} --dry-run")

    def _filters(self) -> str:
        channel = f" --channel {self.channel.label}" if self.channel else ""
        return channel + (f" --org {self.org}" if self.org else "")


def describe_code(code: str | None) -> str:
    """Tell what the catalogues say of a code; both, where runbook and Meta differ (D6)."""
    known = meanings(code or "")
    ours, metas = known.get(Catalogue.RUNBOOK), known.get(Catalogue.META)
    if ours and metas and ours.title != metas.title:
        return f"{ours.title} (Meta: {metas.title})"
    found = ours or metas or known.get(Catalogue.HOUSE)
    return found.title if found else "Not in any catalogue"


def read_report(
    connection: psycopg.Connection,
    policy: ErrorPolicy,
    *,
    channel: Channel | None = None,
    org: str | None = None,
    latest: int = 0,
) -> Report:
    """Read the dead-letter queue in one snapshot.

    Raises:
        psycopg.Error: The database does not answer.

    """
    values = {"channel": channel and channel.value, "org": org, "limit": latest}

    def read(name: str) -> list[Any]:
        return connection.execute(_QUERIES[name].encode(), values).fetchall()

    with connection.cursor(row_factory=class_row(CodeCount)) as cursor:
        codes = cursor.execute(_QUERIES["by_code"].encode(), values).fetchall()
    with connection.cursor(row_factory=dict_row) as rows:
        found = rows.execute(_QUERIES["latest"].encode(), values).fetchall() if latest else []
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None  # noqa: S101 - one row
    return Report(
        policy,
        channel,
        org,
        row[0],
        codes,
        read("by_age"),
        read("by_org"),
        read("by_day"),
        _sort_out(read("by_reason")),
        found,
    )


def _sort_out(rows: Sequence[tuple[str | None, str, int]]) -> list[Category]:
    messages: dict[Triage, int] = {}
    orgs: dict[Triage, set[str]] = {}
    for code, org, count in rows:
        triage = sort_out(code)
        messages[triage] = messages.get(triage, 0) + count
        orgs.setdefault(triage, set()).add(org)
    total = sum(messages.values())
    found = [
        Category(triage, count, len(orgs[triage]), round(100 * count / total, 2))
        for triage, count in messages.items()
    ]
    return sorted(found, key=lambda each: (-each.messages, each.triage.category))
