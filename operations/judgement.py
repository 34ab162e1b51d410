"""What is crossed, who is to be called, and what to run next. Pure.

Every line, priority and level is the one that an alert has (alerts/catalogue), with 001's decision
tree where an outage has lasted. An alert waits before it pages; this judges the instant.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from alerts.catalogue import GROUPS
from alerts.rule import Alert
from operations.facts import (
    Course,
    Facts,
    OldestDue,
    Quota,
    SenderSeen,
    Unanswered,
    WebhookHealth,
    tally,
)
from operations.output import show_age
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Level, Priority
from outbound_slo.vocabulary.errors import WISH_CODES, Category, explain
from outbound_slo.vocabulary.statuses import Channel, MessageStatus, StuckReason
from sender.heartbeat import SILENT_S

_Row = TypeVar("_Row")

_WINDOW_S = 300.0
_IDLE_S = 60.0
_NOT_CLOSED = "not closed"  # t.ALERT_BREAKER in words.
_RANK = {level: -rank for rank, level in enumerate(Level)}


class Remedy(StrEnum):
    """The one command to run next."""

    EXPLAIN_STUCK = "outbound-slo ops stuck explain"
    LIST_STUCK = "outbound-slo ops stuck list"
    RELEASE_STUCK = "outbound-slo ops stuck release --dry-run"
    DLQ_REPORT = "outbound-slo ops dlq report"
    QUOTA = "outbound-slo ops quota show"
    SECRETS = "outbound-slo ops secret status"
    PROVIDERS = "outbound-slo ops providers"
    TEMPLATES = "outbound-slo ops templates"
    AGAIN = "outbound-slo ops status"


@dataclass(frozen=True, slots=True)
class Finding:
    """A line that is crossed.

    Attributes:
        what: What is so, with its number.
        line: The line.
        alert: The alert that has it; None where it is only this command that can't see.
        priority: How soon somebody must act.
        level: Up to which level people are called.
        remedy: What to run next.

    """

    what: str
    line: str
    alert: AlertName | None
    priority: Priority
    level: Level
    remedy: Remedy


def judge_facts(facts: Facts) -> tuple[Finding, ...]:
    """Find what is crossed, the most urgent first."""
    found = [
        *_judge_outage(facts),
        *_judge_channels(facts),
        *_judge_queue(facts),
        *_judge_stuck(facts),
        *_judge_dead(facts),
        *_judge_signatures(facts),
        *_judge_quotas(facts),
        *_judge_gaps(facts),
    ]
    return tuple(sorted(found, key=lambda one: (one.priority, _RANK[one.level])))


def top_level(findings: Sequence[Finding]) -> Level | None:
    """Up to which level people are called; None where nobody is."""
    return max((one.level for one in findings), default=None)


def is_alive(facts: Facts, sender: SenderSeen) -> bool:
    """Tell whether something was heard of a sender lately."""
    return facts.age(sender.seen_at) < SILENT_S


def living(facts: Facts) -> list[SenderSeen]:
    """Give the senders that live."""
    if isinstance(facts.senders, Unanswered):
        return []
    return [sender for sender in facts.senders if is_alive(facts, sender)]


def _tiers(name: AlertName) -> list[Alert]:
    return [alert for group in GROUPS for alert in group.alerts if alert.name is name]


def _climb(name: AlertName, measured: float) -> Alert | None:
    """Give the highest tier whose line is crossed."""
    crossed = [alert for alert in _tiers(name) if alert.lines["line"].holds(measured)]
    return max(crossed, key=lambda alert: alert.tier, default=None)


def _find(alert: Alert, what: str, remedy: Remedy) -> Finding:
    line = alert.lines["line"].text
    return Finding(what, line, alert.name, alert.priority, alert.level, remedy)


# --- is anything sent at all? ---------------------------------------------------------------------


def _judge_outage(facts: Facts) -> Iterator[Finding]:
    refused, stopped = _tiers(AlertName.OUTAGE)
    if not isinstance(facts.attempts, Unanswered):
        lately = tally(facts.attempts, None, lately=True)
        if refused.lines["line"].holds(lately.judged) and not lately.accepted:
            what = f"No channel gets a message out: all of {lately.judged:,} attempts failed"
            yield _find(refused, what, Remedy.PROVIDERS)
            return
    waiting = [one for one in _rows(facts.oldest_due) if one.held_by is None]
    if not waiting:
        return
    oldest = min(waiting, key=lambda one: one.due_at)
    due_s = facts.age(oldest.due_at)
    accepted = not isinstance(facts.courses, Unanswered) and any(
        course.accepted_at is not None and facts.age(course.accepted_at) < _WINDOW_S
        for course in facts.courses
    )
    line = stopped.lines["line"]
    nobody = not isinstance(facts.senders, Unanswered) and not living(facts)
    if nobody and _is_idle(facts, oldest):
        seen = "no sender lives" if facts.senders else "no sender has been seen"
        what = f"Nothing is sent: {seen}, and a message has been due for {show_age(due_s)}"
        yield Finding(
            what, "a sender", stopped.name, stopped.priority, stopped.level, Remedy.EXPLAIN_STUCK
        )
    elif line.holds(due_s) and not accepted:
        what = f"Nothing is sent: message {oldest.message_id} has been due for {show_age(due_s)}"
        yield _find(stopped, what, Remedy.EXPLAIN_STUCK)


def _is_idle(facts: Facts, oldest: OldestDue) -> bool:
    """Tell whether nothing was done for a minute: senders that are not ours keep no heartbeat."""
    done = max((row.at for row in _rows(facts.processed)), default=oldest.due_at)
    return facts.age(max(done, oldest.due_at)) > _IDLE_S


# --- does each provider accept? -------------------------------------------------------------------


def _judge_channels(facts: Facts) -> Iterator[Finding]:
    for channel in Channel:
        course = next((c for c in _rows(facts.courses) if c.channel == channel), None)
        states = [
            sender.breakers[channel.value]
            for sender in living(facts)
            if channel.value in sender.breakers
        ]
        is_open = "open" in states
        said = f"the circuit breaker is open in {states.count('open')} of {len(states)} senders"
        down = _judge_course(facts, channel, course, is_open=is_open)
        if down is not None:
            yield replace(down, what=f"{down.what}; {said}") if is_open else down
            continue
        if is_open:
            alert = _tiers(AlertName.PROVIDER_DOWN)[0]
            yield replace(
                _find(alert, f"{channel}: {said}", _remedy_for(facts, channel)), line=_NOT_CLOSED
            )
        yield from _judge_rate(facts, channel, is_open=is_open)


def _judge_course(
    facts: Facts, channel: Channel, course: Course | None, *, is_open: bool
) -> Finding | None:
    """Tell whether a provider is down: many refusals in a row, or few where a breaker holds."""
    if course is None or course.refused_since is None or not course.refused_lately:
        return None
    alert = _tiers(AlertName.PROVIDER_DOWN)[0]
    lasted = facts.age(course.refused_since)
    level = alert.level
    if t.ESCALATE_OUTAGE_L3.holds(lasted):
        level, line = Level.L3, f"down {t.ESCALATE_OUTAGE_L3.text}"
    elif t.ESCALATE_OUTAGE_L2.holds(lasted):
        level, line = max(level, Level.L2), f"down {t.ESCALATE_OUTAGE_L2.text}"
    elif t.ALERT_NONE_ACCEPTED.holds(course.refused_lately):
        line = t.ALERT_NONE_ACCEPTED.text
    elif is_open:
        line = _NOT_CLOSED
    else:
        return None
    what = (
        f"{channel}: none of the last {course.refused:,} attempts was accepted,"
        f" for {show_age(lasted)} now"
    )
    name = alert.name if channel is Channel.WHATSAPP else AlertName.ELEVATED_FAILURE_RATE
    return Finding(what, line, name, alert.priority, level, _remedy_for(facts, channel))


def _judge_rate(facts: Facts, channel: Channel, *, is_open: bool) -> Iterator[Finding]:
    if isinstance(facts.attempts, Unanswered):
        return
    lately = tally(facts.attempts, channel, lately=True)
    percent = lately.failure_percent
    if percent is None or not (is_open or t.MINIMUM_ATTEMPTS.holds(lately.judged)):
        return
    elevated, high_elsewhere = _tiers(AlertName.ELEVATED_FAILURE_RATE)
    high = _tiers(AlertName.HIGH_FAILURE_RATE)[0]
    for alert in (high if channel is Channel.WHATSAPP else high_elsewhere, elevated):
        if alert.lines["line"].holds(percent):
            what = f"{channel}: {percent:.0f} % of {lately.judged:,} attempts fail (5 min)"
            yield _find(alert, what, _remedy_for(facts, channel))
            return


def _remedy_for(facts: Facts, channel: Channel) -> Remedy:
    """Choose by the kind of error that dominates."""
    failed = [
        row
        for row in _rows(facts.attempts)
        if row.channel == channel and row.code and row.outcome in {"FAILED", "UNKNOWN"}
    ]
    if not failed:
        return Remedy.PROVIDERS
    meaning = explain(max(failed, key=lambda row: row.lately).code, facts.policy)
    return _REMEDIES.get(meaning.category, Remedy.PROVIDERS) if meaning else Remedy.PROVIDERS


_REMEDIES = {
    Category.TEMPLATE: Remedy.TEMPLATES,
    Category.RATE_LIMIT: Remedy.QUOTA,
    Category.RECIPIENT: Remedy.DLQ_REPORT,
}


# --- what has piled up? ---------------------------------------------------------------------------


def _judge_pile(
    whatsapp: AlertName, total: AlertName, mine: int, everybody: int, noun: str, remedy: Remedy
) -> Iterator[Finding]:
    """Give one finding: WhatsApp's where it is as grave as that of all channels."""
    own, whole = _climb(whatsapp, mine), _climb(total, everybody)
    if own is not None and (whole is None or own.tier >= whole.tier):
        yield _find(own, f"{mine:,} WhatsApp messages are {noun}", remedy)
    elif whole is not None:
        yield _find(whole, f"{everybody:,} messages on all channels are {noun}", remedy)


def _judge_queue(facts: Facts) -> Iterator[Finding]:
    return _judge_pile(
        AlertName.QUEUE_BACKUP,
        AlertName.TOTAL_QUEUE_BACKUP,
        facts.count(MessageStatus.QUEUED, Channel.WHATSAPP),
        facts.count(MessageStatus.QUEUED),
        "queued",
        Remedy.EXPLAIN_STUCK,
    )


def _judge_dead(facts: Facts) -> Iterator[Finding]:
    # As the alerts count: an opt-out is a dead letter that leaves nothing to mend.
    dead = [row for row in _rows(facts.dead) if row.code not in WISH_CODES]
    return _judge_pile(
        AlertName.DLQ_OVERFLOW,
        AlertName.TOTAL_DLQ_OVERFLOW,
        sum(row.messages for row in dead if row.channel == Channel.WHATSAPP),
        sum(row.messages for row in dead),
        "dead letters",
        Remedy.DLQ_REPORT,
    )


def _judge_stuck(facts: Facts) -> Iterator[Finding]:
    for row in _rows(facts.stuck):
        sending = row.reason == StuckReason.SENDING_TOO_LONG
        alert = _climb(
            AlertName.STUCK_IN_SENDING if sending else AlertName.STUCK_IN_QUEUE, row.messages
        )
        if alert is not None:
            what = f"{row.channel}: {row.messages:,} stuck in {row.status} ({row.reason})"
            yield _find(alert, what, Remedy.RELEASE_STUCK if sending else Remedy.EXPLAIN_STUCK)


# --- limits and webhooks --------------------------------------------------------------------------


def _judge_quotas(facts: Facts) -> Iterator[Finding]:
    """One finding for all organisations: the gravest tier, and who is in it."""
    crossed: list[tuple[Alert, Quota]] = [
        (alert, quota)
        for quota in _rows(facts.quotas)
        if (alert := _climb(AlertName.QUOTA_HIGH, quota.percent)) is not None
    ]
    if not crossed:
        return
    alert = max((alert for alert, _ in crossed), key=lambda one: one.tier)
    within = [quota for tier, quota in crossed if tier is alert]
    worst = max(within, key=lambda quota: quota.percent)
    others = f" and {len(within) - 1} more" if len(within) > 1 else ""
    what = f"{worst.org_id}{others}: {worst.percent:.0f} % of the WhatsApp quota is used"
    yield _find(alert, what, Remedy.QUOTA)


def _judge_signatures(facts: Facts) -> Iterator[Finding]:
    for health in _rows(facts.webhooks):
        if not is_refused(facts, health):
            continue
        alert = _tiers(AlertName.SIGNATURE_FAILURES)[0]
        # 001: level 2 if several organisations are affected. While none is accepted, all are.
        several = health.provider == "whatsapp" and facts.accounts > 1
        whom = f" of {facts.accounts} organisations" if several else ""
        yield Finding(
            f"{health.provider}: webhooks{whom} are refused for their signature, none is accepted",
            "none refused",
            alert.name,
            alert.priority,
            Level.L2 if several else alert.level,
            Remedy.SECRETS,
        )


def is_refused(facts: Facts, health: WebhookHealth) -> bool:
    """Tell whether webhooks are refused: one was in the last ten minutes, none accepted since."""
    rejected, accepted = health.last_rejected_at, health.last_accepted_at
    return (
        rejected is not None
        and facts.age(rejected) < 2 * _WINDOW_S
        and (accepted is None or accepted < rejected)
    )


def _judge_gaps(facts: Facts) -> Iterator[Finding]:
    """Say what could not be seen: it is not known to be well."""
    gaps = {name: why for name in _JUDGED if isinstance(why := getattr(facts, name), Unanswered)}
    if gaps:
        told = ", ".join(f"{name.replace('_', ' ')} ({gap.why})" for name, gap in gaps.items())
        yield Finding(f"Not known: {told}", "an answer", None, Priority.P2, Level.L1, Remedy.AGAIN)


_JUDGED = (
    "states", "oldest_due", "stuck", "attempts", "courses", "processed", "dead", "quotas",
    "senders", "webhooks",
)  # fmt: skip


def _rows(answer: Sequence[_Row] | Unanswered) -> Sequence[_Row]:
    return () if isinstance(answer, Unanswered) else answer
