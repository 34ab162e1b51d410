"""The screen of `ops status`: what is so, section by section, and at the end what is crossed."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.text import Text

from operations.facts import CEILING, AttemptCount, Facts, SenderSeen, Tally, Unanswered, tally
from operations.judgement import Finding, is_alive, is_refused, living, top_level
from operations.output import build_table, show_age, show_cell
from outbound_slo.vocabulary.alerts import LEVELS, PRIORITIES, Level
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

SHOWN = 5
"""Rows of a list that a screen shows; `--json` has all of them."""

_DISAGREE = frozenset({Agreement.DIFFERENT, Agreement.PARTIAL, Agreement.RETRY_DIFFERS})


def draw_status(console: Console, facts: Facts, findings: Sequence[Finding]) -> None:
    """Print all of it."""
    whose = f", organisation {facts.org_id}" if facts.org_id else ""
    console.print(f"Outbox {facts.place}{whose} at {show_cell(facts.now)}", markup=False)
    for section in (
        _draw_queue(facts),
        _draw_attempts(facts),
        _draw_failures(facts),
        _draw_dead(facts),
        _draw_limits(facts),
        _draw_switches(facts),
        _draw_senders(facts),
        _draw_webhooks(facts),
        _draw_news(facts),
        _draw_findings(findings),
    ):
        console.print()
        for part in section:
            console.print(part)


def _section(
    name: str,
    answer: Sequence[_Row] | Unanswered,
    draw: Callable[[Sequence[_Row]], list[RenderableType]],
    nothing: str,
) -> list[RenderableType]:
    """Draw a section; one line where there is nothing in it, or where it is not known."""
    if isinstance(answer, Unanswered):
        return [_line(name, answer.why, "red")]
    return draw(answer) if answer else [_line(name, nothing)]


def _line(name: str, text: str, style: str = "") -> Text:
    return Text.assemble((f"{name}: ", "bold"), (text, style))


# --- the queue ------------------------------------------------------------------------------------


def _draw_queue(facts: Facts) -> list[RenderableType]:
    parts = _section("Queue", facts.states, lambda _: [_table_states(facts)], "no messages at all")
    parts += _section(
        "Due for longest",
        facts.oldest_due,
        lambda rows: [
            _line(
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
    parts += _section(
        "Stuck",
        facts.stuck,
        lambda rows: [
            _line(
                "Stuck",
                "; ".join(
                    f"{row.channel} {row.status} {row.reason} {_bounded(row.messages)}"
                    for row in rows
                ),
                "yellow",
            )
        ],
        "none",
    )
    return [*parts, *_section("Last processed", facts.processed, _line_processed(facts), "none")]


def _line_processed(facts: Facts) -> Callable[[Sequence[_Row]], list[RenderableType]]:
    def draw(_: Sequence[_Row]) -> list[RenderableType]:
        if isinstance(facts.processed, Unanswered):
            return []
        row = facts.processed[0]
        text = f"{row.channel} message {row.message_id}, {row.outcome}, {_ago(facts, row.at)}"
        return [_line("Last processed", text)]

    return draw


def _table_states(facts: Facts) -> RenderableType:
    due = {} if isinstance(facts.due, Unanswered) else {d.channel: d.messages for d in facts.due}
    channels = [c for c in Channel if any(facts.count(s, c) for s in MessageStatus)]
    rows: list[list[object]] = [
        [c, *_cells(due.get(c.value, 0), [facts.count(s, c) for s in MessageStatus])]
        for c in channels
    ]
    if len(channels) > 1:
        sums = _cells(sum(due.values()), [facts.count(status) for status in MessageStatus])
        rows.append(["all", *sums])
    headings = ("", "QUEUED", "due now", *list(MessageStatus)[1:])
    return build_table("Queue", headings, rows, right=",".join(headings[1:]))


def _cells(due: int, counts: Sequence[int]) -> list[str]:
    shown = [_bounded(count) for count in counts]
    return [shown[0], _bounded(due), *shown[1:]]


def _bounded(count: int) -> str:
    """Write a count; the rollup counts exactly, counted rows end at the ceiling."""
    return f"{CEILING:,}+" if count == CEILING + 1 else f"{count:,}"


# --- attempts -------------------------------------------------------------------------------------


def _draw_attempts(facts: Facts) -> list[RenderableType]:
    def draw(rows: Sequence[AttemptCount]) -> list[RenderableType]:
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
            return [_line("Attempts", "none in the last hour")]
        title = f"Attempts of the last hour{_cut(facts, rows)}"
        headings = ("", "attempts", "accepted", "failed", "unknown", "fail", "5 min", "accepted at")
        right = "attempts,accepted,failed,unknown,fail,5 min"
        return [build_table(title, headings, cells, right=right)]

    return _section("Attempts", facts.attempts, draw, "none")


def _cut(facts: Facts, rows: Sequence[AttemptCount]) -> str:
    """Say so where the newest attempts alone were looked at."""
    first = min(row.first_at for row in rows)
    whole = sum(row.hour for row in rows) < facts.sample or facts.age(first) >= _HOUR_S
    return "" if whole else f" (the newest {facts.sample:,}: {show_age(facts.age(first))})"


_HOUR_S = 3600.0


def _last_accepted(facts: Facts, channel: Channel) -> str:
    courses = () if isinstance(facts.courses, Unanswered) else facts.courses
    for course in courses:
        if course.channel == channel and course.accepted_at is not None:
            return _ago(facts, course.accepted_at)
    return "never"


def _percent(counted: Tally) -> str:
    percent = counted.failure_percent
    return "" if percent is None else f"{percent:.1f} %"


def _draw_failures(facts: Facts) -> list[RenderableType]:
    def draw(rows: Sequence[AttemptCount]) -> list[RenderableType]:
        failed = [row for row in rows if row.hour and row.outcome in {"FAILED", "UNKNOWN"}]
        if not failed:
            return [_line("Failures", "none in the last hour")]
        failed.sort(key=lambda row: (-row.hour, row.channel, row.code))
        cells = [
            (row.channel, row.code or "-", row.hour, row.lately, *_mean(row.code, facts.policy))
            for row in failed[:SHOWN]
        ]
        headings = ("", "code", "1 h", "5 min", "meaning", "retry")
        more = _more(len(failed))
        title = f"Failed attempts by code{more}"
        return [build_table(title, headings, cells, right="1 h,5 min")]

    return _section("Failures", facts.attempts, draw, "none in the last hour")


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


def _draw_dead(facts: Facts) -> list[RenderableType]:
    def draw(_: object) -> list[RenderableType]:
        rows = () if isinstance(facts.dead, Unanswered) else facts.dead
        top = sorted(rows, key=lambda row: (-row.messages, row.channel, row.code))
        listed = ", ".join(f"{r.channel} {r.code} {_bounded(r.messages)}" for r in top[:SHOWN])
        total = sum(row.messages for row in rows)
        return [_line("Dead letters", f"{_bounded(total)}: {listed}{_more(len(top))}")]

    return _section("Dead letters", facts.dead, draw, "none")


def _more(total: int) -> str:
    return f" (and {total - SHOWN} more)" if total > SHOWN else ""


# --- limits and switches --------------------------------------------------------------------------


def _draw_limits(facts: Facts) -> list[RenderableType]:
    quotas = _section(
        "Quota",
        facts.quotas,
        lambda rows: [
            _line(
                "Quota",
                "; ".join(
                    f"{row.org_id} {row.percent:.0f} % ({row.used:,} of {row.quota_limit:,}), "
                    f"resets in {show_age(-facts.age(row.reset_at))}"
                    for row in rows[:SHOWN]
                )
                + _more(len(rows)),
                "yellow",
            )
        ],
        "nobody above 70 %",
    )
    throttles = _section(
        "Throttled",
        facts.throttles,
        lambda rows: [
            _line(
                "Throttled",
                "; ".join(
                    f"{row.org_id} for {show_age(-facts.age(row.until))}" for row in rows[:SHOWN]
                )
                + _more(len(rows)),
                "yellow",
            )
        ],
        "nobody",
    )
    return [*quotas, *throttles]


def _draw_switches(facts: Facts) -> list[RenderableType]:
    pauses = _section(
        "Paused",
        facts.pauses,
        lambda rows: [
            _line(
                "Paused",
                "; ".join(
                    f"{row.channel} {_until(row.until)} by {row.by or 'nobody named'}, "
                    f"{_ago(facts, row.since)}: {row.reason or 'no reason given'}"
                    for row in rows
                ),
                "yellow",
            )
        ],
        "no channel",
    )
    disabled = _section(
        "Switched off",
        facts.disabled,
        lambda rows: [
            _line(
                "Switched off",
                "WhatsApp of "
                + "; ".join(
                    f"{row.org_id} by {row.by or 'nobody named'}, {_ago(facts, row.since)}"
                    for row in rows[:SHOWN]
                )
                + _more(len(rows)),
                "yellow",
            )
        ],
        "no organisation",
    )
    return [*pauses, *disabled]


def _until(moment: datetime | None) -> str:
    return f"until {show_cell(moment)}" if moment else "until somebody resumes it"


def _ago(facts: Facts, moment: datetime) -> str:
    return f"{show_age(facts.age(moment))} ago"


# --- senders and providers ------------------------------------------------------------------------


def _draw_senders(facts: Facts) -> list[RenderableType]:
    def draw(rows: Sequence[SenderSeen]) -> list[RenderableType]:
        silent = [row for row in rows if not is_alive(facts, row)]
        shown = [*living(facts)[: 2 * SHOWN], *silent[:SHOWN]]
        cells = [
            (
                row.worker,
                row.version,
                "alive"
                if is_alive(facts, row)
                else f"silent for {show_age(facts.age(row.seen_at))}",
                "yes" if row.claiming else "no",
                row.in_flight,
                ", ".join(f"{channel} {state}" for channel, state in sorted(row.breakers.items())),
            )
            for row in shown
        ]
        hidden = len(rows) - len(shown)
        title = "Senders" + (f" (and {hidden} more)" if hidden else "")
        headings = ("worker", "version", "state", "claims", "in flight", "breakers")
        return [build_table(title, headings, cells, right="in flight")]

    return _section("Senders", facts.senders, draw, "no sender has been seen")


def _draw_webhooks(facts: Facts) -> list[RenderableType]:
    def draw(_: object) -> list[RenderableType]:
        rows = () if isinstance(facts.webhooks, Unanswered) else facts.webhooks
        cells = [
            (
                row.provider,
                _ago(facts, row.last_accepted_at) if row.last_accepted_at else "never",
                (_ago(facts, row.last_rejected_at) if row.last_rejected_at else "never")
                + (" - refused now" if is_refused(facts, row) else ""),
                row.waiting,
                row.given_up,
            )
            for row in rows
        ]
        headings = ("provider", "accepted", "rejected", "not applied", "given up")
        return [build_table("Webhooks", headings, cells, right="not applied,given up")]

    return _section("Webhooks", facts.webhooks, draw, "no provider has ever reached us")


def _draw_news(facts: Facts) -> list[RenderableType]:
    notices = _section(
        "Notices",
        facts.notices,
        lambda rows: [
            _line(
                "Notices",
                f"{_ago(facts, row.told_at)}, {row.provider} {row.kind} of "
                f"{row.subject or row.account}: {row.event or ''} {row.description or ''}".rstrip(),
                "red",
            )
            for row in rows[:SHOWN]
        ],
        "nothing critical in a day",
    )
    operations = _section(
        "Operations",
        facts.operations,
        lambda rows: [
            _line(
                "Operations",
                f"{row.id} {row.command} by {row.operator}, {row.state.lower()}, "
                f"{row.changed:,} of {show_cell(row.planned) or '?'} rows, "
                f"{_ago(facts, row.started_at)}",
                "yellow",
            )
            for row in rows[:SHOWN]
        ],
        "none is under way or was cut short in a day",
    )
    return [*notices, *operations]


# --- what is crossed ------------------------------------------------------------------------------


def _draw_findings(findings: Sequence[Finding]) -> list[RenderableType]:
    if not findings:
        return [Text("No line is crossed.", "bold green")]
    cells = [(one.priority, one.level, f"{one.what}\n  {one.remedy}", one.line) for one in findings]
    table = build_table("Crossed", ("", "call", "what, and what to run next", "line"), cells)
    return [table, *_draw_calls(findings)]


def _draw_calls(findings: Sequence[Finding]) -> list[RenderableType]:
    top = top_level(findings)
    if top is None:
        return []
    urgent = min(one.priority for one in findings)
    within = show_age(PRIORITIES[urgent].respond_within_s)
    lines: list[RenderableType] = [
        _line(f"{urgent}", f"{PRIORITIES[urgent].meaning}; somebody must be on it within {within}")
    ]
    lines += [
        _line(f"Call {level}", f"{LEVELS[level].who}, answers within {_answers(level)}", "bold red")
        for level in Level
        if level <= top
    ]
    return lines


def _answers(level: Level) -> str:
    return show_age(LEVELS[level].respond_within_s)
