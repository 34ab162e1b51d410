"""What `ops stuck list` and `ops stuck explain` print for people."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from operations.cases import Case, Hold
from operations.facts import CEILING, Facts, Unanswered
from operations.judgement import Finding, is_alive, is_refused
from operations.lines import draw_table
from operations.output import show_age, show_cell
from operations.stuck_looking import Silence, StuckList, StuckPattern
from outbound_slo.vocabulary.statuses import MessageStatus


@dataclass(frozen=True, slots=True)
class Causes:
    """000's root-cause analysis: the patterns of what is stuck, and what is so around it."""

    facts: Facts
    patterns: Sequence[StuckPattern]
    silences: Sequence[Silence]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Explained:
    """One message's holds, and how many messages go before it in its lane."""

    case: Case
    holds: Sequence[Hold]
    ahead: int


def draw_list(console: Console, found: StuckList) -> None:
    """Print stuck messages and their summary."""
    if not found.messages:
        console.print("Nothing is stuck.")
        return
    rows = [
        (
            str(one.message_id),
            one.channel,
            one.org_id,
            ", ".join(one.reasons),
            show_age((found.now - one.since).total_seconds()),
            f"{one.attempt_count}/{one.max_attempts}",
            one.error_code,
            one.retry,
        )
        for one in found.messages
    ]
    headings = ("id", "channel", "org", "reason", "for", "tried", "code", "retry")
    table = draw_table("Stuck messages", headings, rows, right="id,tried")
    table.columns[1].no_wrap = True
    console.print(table)
    totals = [
        (
            one.status,
            one.messages,
            show_age((found.now - one.oldest).total_seconds()),
            show_age((found.now - one.newest).total_seconds()),
            one.attempts,
        )
        for one in found.summary
    ]
    names = ("status", "messages", "oldest", "newest", "mean tries")
    console.print()
    console.print(draw_table("All of them", names, totals, right=",".join(names[1:])))
    console.print()
    total = sum(one.messages for one in found.summary)
    if total > len(found.messages):
        console.print(f"Shown: the first {len(found.messages):,} of {total:,}; --limit shows more.")
    console.print(
        f"Why one does not move: outbound-slo ops stuck explain {found.messages[0].message_id}"
    )


def draw_causes(console: Console, causes: Causes) -> None:
    """Print the root-cause analysis."""
    facts = causes.facts
    if not causes.patterns:
        console.print("Nothing is stuck.")
    else:
        rows = [
            (
                one.channel,
                one.status,
                one.error_code or "-",
                one.messages,
                show_age(one.seconds),
                one.attempts,
                one.organisations,
                str(one.example),
            )
            for one in causes.patterns
        ]
        headings = ("", "status", "code", "stuck", "mean time", "attempts", "orgs", "such as")
        right = "stuck,mean time,attempts,orgs,such as"
        console.print(draw_table("What is stuck", headings, rows, right=right))
        console.print()
    for line in (*_tell_senders(facts), *_tell_webhooks(facts, causes.silences)):
        console.print(line)
    for finding in causes.findings:
        console.print(Text.assemble((f"{finding.priority} ", "bold red"), finding.what))
        console.print(f"   {finding.remedy}", markup=False)
    if causes.patterns:
        console.print(f"One of them: outbound-slo ops stuck explain {causes.patterns[0].example}")


def _tell_senders(facts: Facts) -> list[str]:
    told = []
    if isinstance(facts.processed, Unanswered) or not facts.processed:
        told.append("Last processed: no message")
    else:
        row = facts.processed[0]
        told.append(
            f"Last processed: {row.channel} message {row.message_id}, {row.outcome}, "
            f"{show_age(facts.age(row.at))} ago"
        )
    senders = () if isinstance(facts.senders, Unanswered) else facts.senders
    if not senders:
        told.append("Senders: none has been seen")
    for one in senders[:10]:
        state = (
            "alive" if is_alive(facts, one) else f"silent for {show_age(facts.age(one.seen_at))}"
        )
        breakers = ", ".join(f"{name} {state}" for name, state in sorted(one.breakers.items()))
        claims = "" if one.claiming else ", does not claim"
        told.append(f"Sender {one.worker}: {state}{claims}; breakers: {breakers or 'none'}")
    return told


def _tell_webhooks(facts: Facts, silences: Sequence[Silence]) -> list[str]:
    told = []
    for one in () if isinstance(facts.webhooks, Unanswered) else facts.webhooks:
        accepted = (
            f"{show_age(facts.age(one.last_accepted_at))} ago" if one.last_accepted_at else "never"
        )
        refused = ", refused for their signature now" if is_refused(facts, one) else ""
        told.append(f"Webhooks of {one.provider}: last accepted {accepted}{refused}")
    held = [one.channel for one in silences if one.held]
    if held:
        told.append(f"Not sent again while webhooks are silent or refused: {', '.join(held)}")
    return told


def draw_explained(console: Console, one: Explained) -> None:
    """Print why a message does not move."""
    case = one.case
    turn = f", {case.turn}" if case.status == MessageStatus.QUEUED else ""
    console.print(
        f"Message {case.message_id} of {case.org_id}: {case.channel}, {case.status}{turn}, "
        f"attempt {case.attempt_count} of {case.max_attempts}",
        markup=False,
    )
    if case.status == MessageStatus.QUEUED:
        ahead = f"{CEILING:,} or more" if one.ahead > CEILING else f"{one.ahead:,}"
        console.print(f"Due at {show_cell(case.due_at)}; {ahead} before it in its lane")
    if not one.holds:
        console.print("Nothing holds it: the next claims take it.", style="green")
    for number, hold in enumerate(one.holds, start=1):
        ends = f", until {show_cell(hold.until)}" if hold.until else ""
        console.print(
            Text.assemble(
                f"{number}. ",
                (f"{hold.text}{ends}", "bold red" if hold.needs_person else "yellow"),
            )
        )
        console.print(f"   {hold.mend}", markup=False)
