"""How long traces took: the numbers of runbook 000's fourth query and of its export script.

000 divides microseconds by 10^6 and calls that milliseconds; here they are seconds (D29).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracing.traces import Trace

SLOW_S = 10.0
"""Seconds above which 000's export script counts a trace as slow."""

_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """What a set of durations comes to; all but the counts in seconds.

    Attributes:
        count: Durations measured.
        slow: Those above `SLOW_S`.
        mean_s: Arithmetic mean.
        stddev_s: Standard deviation of the whole set, as 000's awk has it, not of a sample.
        p50_s: Half took as long at most; like the others a duration that was really measured.
        p95_s: 95 % took as long at most.
        p99_s: 99 % took as long at most.

    """

    count: int
    slow: int
    mean_s: float
    stddev_s: float
    p50_s: float
    p95_s: float
    p99_s: float


def measure(traces: Iterable[Trace], operation: str | None = None) -> list[float]:
    """Give the seconds that an operation took in each trace, the longest where it stands twice.

    Args:
        traces: Where to look; traces without the operation give nothing.
        operation: Span name; None for each trace's root. The root is the attempt, so that the hours
            until a webhook do not count.

    """
    durations: list[float] = []
    for trace in traces:
        spans = [trace.root] if operation is None else trace.spans
        named = [span.duration_us for span in spans if operation in {None, span.name}]
        if named:
            durations.append(max(named) / _US_PER_S)
    return durations


def summarize(durations: Sequence[float]) -> LatencySummary | None:
    """Count and average durations in seconds; None when there are none."""
    if not durations:
        return None
    ordered = sorted(durations)
    mean = math.fsum(ordered) / len(ordered)
    variance = math.fsum((each - mean) ** 2 for each in ordered) / len(ordered)
    return LatencySummary(
        count=len(ordered),
        slow=sum(each > SLOW_S for each in ordered),
        mean_s=mean,
        stddev_s=math.sqrt(variance),
        p50_s=pick_percentile(ordered, 50),
        p95_s=pick_percentile(ordered, 95),
        p99_s=pick_percentile(ordered, 99),
    )


def pick_percentile(ordered: Sequence[float], percent: int) -> float:
    """Give the smallest value that `percent` of all do not exceed (nearest rank).

    Args:
        ordered: Values in ascending order, at least one.
        percent: 1 to 100.

    """
    # In whole numbers: 0.95 * 20 is a little more than 19 in floating point.
    rank = -(-percent * len(ordered) // 100)
    return ordered[max(rank, 1) - 1]
