"""The screen of `ops status`, first part: what is queued, what became of it, what failed."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import RenderableType

from operations.facts import AttemptCount, Facts, StuckCount, Tally, Unanswered, tally
from operations.lines import (
    SHOWN,
    Section,
    draw_line,
    draw_section,
    draw_table,
    show_bounded,
    show_part,
    tell_ago,
    tell_more,
)
from operations.output import show_age
from outbound_slo.vocabulary.errors import (
    Agreement,
    Catalogue,
    ErrorPolicy,
    agreement,
    explain,
    meanings,
)
from outbound_slo.vocabulary.statuses import Channel, MessageStatus

_Row = TypeVar("_Row")

_HOUR_S = 3600.0
_DISAGREE = frozenset({Agreement.DIFFERENT, Agreement.PARTIAL, Agreement.RETRY_DIFFERS})


def draw_queue(facts: Facts) -> Section:
    """Draw the section."""
    parts = draw_section(
        "Queue", facts.states, lambda _: [_table_states(facts)], "no messages at all"
    )
    parts += draw_section(
        "Due for longest",
        facts.oldest_due,
        lambda rows: [
            draw_line(
                "Due for longest",
                "; ".join(
                    f"{row.channel} message {row.message_id} of {row.org_id}, "
                    f"{show_age(facts.age(row.due_at))}"
                    + (f" (held: {row.held_by})" if row.held_by else "")
                    for row in rows
                ),
            )
        ],
        "nothing is due",
    )
    parts += draw_section(
        "Stuck",
        facts.stuck,
        lambda rows: [
            draw_line(
                "Stuck",
                "; ".join(
                    f"{row.channel} {row.status} {row.reason} "
                    + show_part(row.messages, _sum_reason(rows, row.reason))
                    for row in rows
                ),
                "yellow",
            )
        ],
        "none",
    )
    return [
        *parts,
        *draw_section("Last processed", facts.processed, _line_processed(facts), "none"),
    ]


def _sum_reason(rows: Sequence[StuckCount], reason: str) -> int:
    return sum(row.messages for row in rows if row.reason == reason)


def _line_processed(facts: Facts) -> Callable[[Sequence[_Row]], Section]:
    def draw(_: Sequence[_Row]) -> Section:
        if isinstance(facts.processed, Unanswered):
            return []
        row = facts.processed[0]
        text = f"{row.channel} message {row.message_id}, {row.outcome}, {tell_ago(facts, row.at)}"
        return [draw_line("Last processed", text)]

    return draw


def _table_states(facts: Facts) -> RenderableType:
    due = {} if isinstance(facts.due, Unanswered) else {d.channel: d.messages for d in facts.due}
    channels = [c for c in Channel if any(facts.count(s, c) for s in MessageStatus)]
    all_due = sum(due.values())
    rows: list[list[object]] = [
        [
            channel,
            *_cells(
                show_part(due.get(channel.value, 0), all_due),
                [facts.count(status, channel) for status in MessageStatus],
            ),
        ]
        for channel in channels
    ]
    if len(channels) > 1:
        sums = [facts.count(status) for status in MessageStatus]
        rows.append(["all", *_cells(show_bounded(all_due), sums)])
    headings = ("", "QUEUED", "due now", *list(MessageStatus)[1:])
    return draw_table("Queue", headings, rows, right=",".join(headings[1:]))


def _cells(due: str, counts: Sequence[int]) -> list[str]:
    shown = [show_bounded(count) for count in counts]
    return [shown[0], due, *shown[1:]]


def draw_attempts(facts: Facts) -> Section:
    """Draw the section."""

    def draw(rows: Sequence[AttemptCount]) -> Section:
        cells = []
        for channel in Channel:
            hour = tally(rows, channel.value, lately=False)
            if not hour.judged:
                continue
            lately = tally(rows, channel.value, lately=True)
            accepted = _last_accepted(facts, channel)
            counts = (hour.judged, hour.accepted, hour.failed, hour.unknown)
            cells.append((channel, *counts, _percent(hour), _percent(lately), accepted))
        if not cells:
            return [draw_line("Attempts", "none in the last hour")]
        title = f"Attempts of the last hour, and how many % failed{_cut(facts, rows)}"
        headings = ("", "tried", "sent", "failed", "unknown", "1 h", "5 min", "last sent")
        right = ",".join(headings[1:7])
        return [draw_table(title, headings, cells, right=right)]

    return draw_section("Attempts", facts.attempts, draw, "none")


def _cut(facts: Facts, rows: Sequence[AttemptCount]) -> str:
    """Say so where the newest attempts alone were looked at."""
    first = min(row.first_at for row in rows)
    whole = sum(row.hour for row in rows) < facts.sample or facts.age(first) >= _HOUR_S
    return "" if whole else f" (the newest {facts.sample:,}: {show_age(facts.age(first))})"


def _last_accepted(facts: Facts, channel: Channel) -> str:
    courses = () if isinstance(facts.courses, Unanswered) else facts.courses
    for course in courses:
        if course.channel == channel and course.accepted_at is not None:
            return tell_ago(facts, course.accepted_at)
    return "never"


def _percent(counted: Tally) -> str:
    percent = counted.failure_percent
    return "" if percent is None else f"{percent:.1f}"


def draw_failures(facts: Facts) -> Section:
    """Draw the section."""

    def draw(rows: Sequence[AttemptCount]) -> Section:
        failed = [row for row in rows if row.hour and row.outcome in {"FAILED", "UNKNOWN"}]
        if not failed:
            return [draw_line("Failures", "none in the last hour")]
        failed.sort(key=lambda row: (-row.hour, row.channel, row.code))
        cells = [
            (row.channel, row.code or "-", row.hour, row.lately, *_mean(row.code, facts.policy))
            for row in failed[:SHOWN]
        ]
        headings = ("", "code", "1 h", "5 min", "meaning", "retry")
        more = tell_more(len(failed))
        title = f"Failed attempts by code{more}"
        return [draw_table(title, headings, cells, right="1 h,5 min")]

    return draw_section("Failures", facts.attempts, draw, "none in the last hour")


def _mean(code: str, policy: ErrorPolicy) -> tuple[str, str]:
    """Explain a code under the policy, and by the other catalogue where they differ (D6)."""
    meaning = explain(code, policy) if code else None
    if meaning is None:
        return "in no catalogue", ""
    text = meaning.title
    if agreement(code) in _DISAGREE:
        other = Catalogue.META if policy is ErrorPolicy.RUNBOOK else Catalogue.RUNBOOK
        known = meanings(code).get(other)
        if known is not None:
            text = f"{policy}: {text} | {other}: {known.title}"
            if known.retryable is not meaning.retryable:
                text += f" (retry {_word(known.retryable)})"
    return text, _word(meaning.retryable)


def _word(value: str) -> str:
    return value.replace("_", " ")


def draw_dead(facts: Facts) -> Section:
    """Draw the section."""

    def draw(_: object) -> Section:
        rows = () if isinstance(facts.dead, Unanswered) else facts.dead
        top = sorted(rows, key=lambda row: (-row.messages, row.channel, row.code))
        listed = ", ".join(f"{r.channel} {r.code} {show_bounded(r.messages)}" for r in top[:SHOWN])
        total = sum(row.messages for row in rows)
        return [draw_line("Dead letters", f"{show_bounded(total)}: {listed}{tell_more(len(top))}")]

    return draw_section("Dead letters", facts.dead, draw, "none")
