"""Our sender beside its baselines, in turns, so that a slow minute of the machine hits each."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.report import Report
from benchmarks.stack import Stack
from benchmarks.throughput import Drain, Run, measure_baseline, measure_drain

OURS: Mapping[str, Run] = {
    "one": Run(0),
    "two": Run(0, processes=2),
    "untraced": Run(0, traced=False),
    "no_receipts": Run(0, receipts=False),
}
"""Ways to run our own sender."""

BASELINES: Mapping[str, str] = {
    "textbook": "vs_textbook_worker",
    "procrastinate_worker": "vs_procrastinate",
    "pgqueuer_worker": "vs_pgqueuer",
}
"""Modules of `benchmarks.baselines`, and the key of our rate over theirs."""

_RATES = {"one": "messages_per_second_1", "two": "messages_per_second_2"}


@dataclass(frozen=True, slots=True)
class Rounds:
    """How much to run.

    Attributes:
        rounds: How often every contender runs.
        messages: Of each run of ours.
        baseline_messages: Of each run of a baseline: fewer, as most of them take longer.

    """

    rounds: int
    messages: int
    baseline_messages: int


def compare(stack: Stack, report: Report, rounds: Rounds, names: Sequence[str]) -> None:
    """Run contenders and note every figure that they allow."""
    drains: dict[str, list[Drain]] = {name: [] for name in names if name in OURS}
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds.rounds):
        for name in names:
            if name in OURS:
                drain = measure_drain(stack, replace(OURS[name], messages=rounds.messages))
                drains[name].append(drain)
                rates[name].append(drain.sent_per_s)
            else:
                rates[name].append(measure_baseline(stack, name, rounds.baseline_messages))
            report.tell(f"{name}: {rates[name][-1]:.0f}/s")
    report.show_rows(
        "Our sender", [_describe(name, one) for name in drains for one in drains[name]]
    )
    for name, several in drains.items():
        title = f"The server's statements per message, last run of '{name}'"
        report.show_rows(title, _list_costs(several[-1]))
    report.note("lost", sum(drain.lost for several in drains.values() for drain in several))
    for name, key in _RATES.items():
        if name in rates:
            report.note(key, statistics.median(rates[name]))
    if "one" in rates:
        _note_ratios(report, rates)


def _note_ratios(report: Report, rates: Mapping[str, Sequence[float]]) -> None:
    if "untraced" in rates:
        report.note("tracing_kept", _divide(rates["one"], rates["untraced"]))
    for name, key in BASELINES.items():
        if name not in rates:
            continue
        report.note(key, _divide(rates["one"], rates[name]))
        if "no_receipts" in rates:
            alike = _divide(rates["no_receipts"], rates[name])
            report.tell(f"{key} would be {alike:.2f} without receipts, which {name} has none of")


def _divide(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Give the median of the ratios round by round."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def _describe(name: str, drain: Drain) -> dict[str, object]:
    spent = {f"{part}_ms": milliseconds for part, milliseconds in drain.processor_ms.items()}
    return {
        "run": name,
        "sent/s": drain.sent_per_s,
        "with receipts": drain.finished_per_s,
        "lag_s": drain.receipt_lag_s,
        "lost": drain.lost,
        "spans_lost": drain.dropped_spans,
        **spent,
        "MB": drain.sender_rss_mb,
        "load": drain.load,
    }


def _list_costs(drain: Drain) -> list[dict[str, object]]:
    dearest = sorted(drain.statements.items(), key=lambda item: -item[1].seconds)
    return [
        {
            "statement": name,
            "ms": 1000 * cost.seconds / drain.messages,
            "pages": cost.blocks / drain.messages,
            "calls": cost.calls / drain.messages,
            "ms per call": 1000 * cost.seconds / cost.calls,
        }
        for name, cost in dearest
    ]
