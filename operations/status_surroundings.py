"""The screen of `ops status`, second part: limits, switches, senders, providers, operations."""

from collections.abc import Sequence
from datetime import datetime

from operations.facts import Facts, SenderSeen, Unanswered
from operations.judgement import is_alive, is_refused, living
from operations.lines import (
    SHOWN,
    Section,
    draw_line,
    draw_section,
    draw_table,
    tell_ago,
    tell_more,
)
from operations.output import show_age, show_cell


def draw_limits(facts: Facts) -> Section:
    """Draw the section."""
    quotas = draw_section(
        "Quota",
        facts.quotas,
        lambda rows: [
            draw_line(
                "Quota",
                "; ".join(
                    f"{row.org_id} {row.percent:.0f} % ({row.used:,} of {row.quota_limit:,}), "
                    f"resets in {show_age(-facts.age(row.reset_at))}"
                    for row in rows[:SHOWN]
                )
                + tell_more(len(rows)),
                "yellow",
            )
        ],
        "nobody above 70 %",
    )
    throttles = draw_section(
        "Throttled",
        facts.throttles,
        lambda rows: [
            draw_line(
                "Throttled",
                "; ".join(
                    f"{row.org_id} for {show_age(-facts.age(row.until))}" for row in rows[:SHOWN]
                )
                + tell_more(len(rows)),
                "yellow",
            )
        ],
        "nobody",
    )
    return [*quotas, *throttles]


def draw_switches(facts: Facts) -> Section:
    """Draw the section."""
    pauses = draw_section(
        "Paused",
        facts.pauses,
        lambda rows: [
            draw_line(
                "Paused",
                "; ".join(
                    f"{row.channel} {_until(row.until)} by {row.by or 'nobody named'}, "
                    f"{tell_ago(facts, row.since)}: {row.reason or 'no reason given'}"
                    for row in rows
                ),
                "yellow",
            )
        ],
        "no channel",
    )
    disabled = draw_section(
        "Switched off",
        facts.disabled,
        lambda rows: [
            draw_line(
                "Switched off",
                "WhatsApp of "
                + "; ".join(
                    f"{row.org_id} by {row.by or 'nobody named'}, {tell_ago(facts, row.since)}"
                    for row in rows[:SHOWN]
                )
                + tell_more(len(rows)),
                "yellow",
            )
        ],
        "no organisation",
    )
    return [*pauses, *disabled]


def _until(moment: datetime | None) -> str:
    return f"until {show_cell(moment)}" if moment else "until somebody resumes it"


def draw_senders(facts: Facts) -> Section:
    """Draw the section."""

    def draw(rows: Sequence[SenderSeen]) -> Section:
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
        return [draw_table(title, headings, cells, right="in flight")]

    return draw_section("Senders", facts.senders, draw, "no sender has been seen")


def draw_webhooks(facts: Facts) -> Section:
    """Draw the section."""

    def draw(_: object) -> Section:
        rows = () if isinstance(facts.webhooks, Unanswered) else facts.webhooks
        cells = [
            (
                row.provider,
                tell_ago(facts, row.last_accepted_at) if row.last_accepted_at else "never",
                (tell_ago(facts, row.last_rejected_at) if row.last_rejected_at else "never")
                + (" - refused now" if is_refused(facts, row) else ""),
                row.waiting,
                row.given_up,
            )
            for row in rows
        ]
        headings = ("provider", "accepted", "rejected", "not applied", "given up")
        return [draw_table("Webhooks", headings, cells, right="not applied,given up")]

    return draw_section("Webhooks", facts.webhooks, draw, "no provider has ever reached us")


def draw_news(facts: Facts) -> Section:
    """Draw the section."""
    notices = draw_section(
        "Notices",
        facts.notices,
        lambda rows: [
            draw_line(
                "Notices",
                f"{tell_ago(facts, row.told_at)}, {row.provider} {row.kind} of "
                f"{row.subject or row.account}: {row.event or ''} {row.description or ''}".rstrip(),
                "red",
            )
            for row in rows[:SHOWN]
        ],
        "nothing critical in a day",
    )
    operations = draw_section(
        "Operations",
        facts.operations,
        lambda rows: [
            draw_line(
                "Operations",
                f"{row.id} {row.command} by {row.operator}, {row.state.lower()}, "
                f"{row.changed:,} of {show_cell(row.planned) or '?'} rows, "
                f"{tell_ago(facts, row.started_at)}",
                "yellow",
            )
            for row in rows[:SHOWN]
        ],
        "none is under way or was cut short in a day",
    )
    return [*notices, *operations]
