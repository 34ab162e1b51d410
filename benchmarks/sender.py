"""The sender's benchmark: `make bench-sender`. Its last line of output is one JSON object.

Everything runs on this machine: a durable PostgreSQL, the provider simulator at 50 ms, sender
processes, baselines. Parts can be run alone and smaller:

    python -m benchmarks.sender --only throughput --contender one --messages 5000 --rounds 1
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated

import typer

from benchmarks.claims import BurdenName, list_burdens, measure_slowdown
from benchmarks.comparison import BASELINES, OURS, Rounds, compare
from benchmarks.latencies import measure_idle_wake, measure_urgency, measure_webhook
from benchmarks.report import Goal, Report
from benchmarks.stack import Stack

GOALS = (
    Goal("messages_per_second_1", "sent per second by one process, all on", at_least=1000),
    Goal("messages_per_second_2", "the same by two processes"),
    Goal("vs_textbook_worker", "one process over the textbook worker", at_least=2.5),
    Goal("vs_procrastinate", "one process over procrastinate, untraced", at_least=3),
    Goal("vs_pgqueuer", "one process over pgqueuer, untraced"),
    Goal("tracing_kept", "one process's rate, traced over untraced"),
    Goal("claim_slowdown_100k_deferred", "claim time, 100,000 deferred messages", at_most=1.2),
    Goal("claim_slowdown_10m_rows", "claim time, ten million old rows", at_most=1.2),
    Goal("claim_slowdown_100k_blocked", "claim time, 100,000 behind 1,000 in flight", at_most=1.5),
    Goal("claim_slowdown_hot_recipient", "claim time, 100,000 to one recipient", at_most=1.5),
    Goal("claim_slowdown_old_snapshot", "claim time, an old snapshot held", at_most=2),
    Goal("urgent_p99_during_campaign", "urgent p99, beside a campaign over idle", at_most=2),
    Goal("webhook_1000_ms", "answer to a POST of 1,000 statuses, median (Meta: 250)"),
    Goal("idle_wake_ms", "from commit to the provider, sender asleep, median"),
    Goal("lost", "messages lost or sent twice in all runs", at_most=0),
)


URGENT_PER_S = 5.0


class Part(StrEnum):
    """A part that can be run alone."""

    THROUGHPUT = "throughput"
    CLAIMS = "claims"
    URGENCY = "urgency"
    WAKE = "wake"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Burdens:
    """What is laid upon the claim; the defaults are the acceptance text's.

    Attributes:
        names: Which burdens.
        size: Messages of each, but for the history.
        history: Old rows.
        turns: Timed campaigns beside each.
        messages: Of each such campaign.

    """

    names: Sequence[str]
    size: int
    history: int
    turns: int
    messages: int


def run_benchmark(
    only: Annotated[list[Part] | None, typer.Option(help="Parts to run; all by default.")] = None,
    burden: Annotated[list[BurdenName] | None, typer.Option(help="Burdens to lay; all.")] = None,
    contender: Annotated[
        list[str] | None, typer.Option(help="Runs to compare (one, two, textbook, …); all.")
    ] = None,
    messages: Annotated[int, typer.Option(min=500)] = 20_000,
    baseline_messages: Annotated[int, typer.Option(min=500)] = 6_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    burden_size: Annotated[int, typer.Option(min=1000)] = 100_000,
    history: Annotated[int, typer.Option(min=1000, help="Old rows.")] = 10_000_000,
    turn: Annotated[int, typer.Option(min=500)] = 5_000,
    turns: Annotated[int, typer.Option(min=1)] = 5,
    probes: Annotated[int, typer.Option(min=10)] = 300,
    campaign: Annotated[int, typer.Option(min=1000)] = 100_000,
    batch_size: Annotated[int, typer.Option(help="Of our senders.")] = 100,
    concurrency: Annotated[int, typer.Option(help="Of our senders.")] = 128,
) -> None:
    """Measure the sender beside its baselines and under its burdens."""
    known = [*OURS, *BASELINES]
    for name in contender or ():
        if name not in known:
            raise typer.BadParameter(
                f"{name!r} is none of {', '.join(known)}", param_hint="--contender"
            )
    parts = set(only or Part)
    burdens = Burdens(burden or (), burden_size, history, turns, turn)
    report = Report(GOALS)
    with Stack(batch_size=batch_size, concurrency=concurrency) as stack:
        if Part.THROUGHPUT in parts:
            rounds_of = Rounds(rounds, messages, baseline_messages)
            compare(stack, report, rounds_of, contender or known)
        if Part.WEBHOOK in parts:
            report.note("webhook_1000_ms", measure_webhook(stack, posts=20))
        if Part.WAKE in parts:
            report.note("idle_wake_ms", measure_idle_wake(stack, probes=30))
        if Part.URGENCY in parts:
            _measure_urgency(stack, report, probes, campaign)
        if Part.CLAIMS in parts:
            _measure_claims(stack, report, burdens)
    report.finish()


def _measure_urgency(stack: Stack, report: Report, probes: int, campaign: int) -> None:
    urgency = measure_urgency(stack, probes=probes, per_s=URGENT_PER_S, campaign=campaign)
    report.show_rows("Urgent messages", [asdict(urgency)])
    report.note("urgent_p99_during_campaign", urgency.ratio)


def _measure_claims(stack: Stack, report: Report, burdens: Burdens) -> None:
    found = []
    for burden in list_burdens(burdens.size, burdens.history):
        if burdens.names and burden.name not in burdens.names:
            continue
        slowdown = measure_slowdown(stack, burden, turns=burdens.turns, messages=burdens.messages)
        found.append(asdict(slowdown))
        report.note(f"claim_slowdown_{burden.name}", slowdown.ratio)
    report.show_rows("Claims under burdens", found)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(run_benchmark)
    app()
