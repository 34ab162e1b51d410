"""What the rollup costs writers: the database's processor time per message life, with and without.

Two databases on one server, alike but for the rollup, take turns; compaction is part of the price.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from benchmarks.exporter_stand import Outbox, Stand
from exporter.compaction import compact_all, reclaim


@dataclass(frozen=True, slots=True)
class WriteCost:
    """What a message's life costs the database.

    Attributes:
        batch: Messages per statement and commit.
        plain_us: µs of processor time without the rollup, median of the turns.
        rollup_us: With it, compaction included.
        ratio: Median of the turns' ratios; None where turns were too short for the kernel's clock.

    """

    batch: int
    plain_us: float
    rollup_us: float
    ratio: float | None


def measure_write_cost(stand: Stand, batch: int, messages: int, turns: int) -> WriteCost:
    """Let messages live in both databases by turns.

    Args:
        stand: Where.
        batch: Messages per statement and commit.
        messages: Of each turn.
        turns: How often each has its turn; one more before them is not counted.

    """
    plain = Outbox(stand, f"plain_{batch}")
    rolled = Outbox(stand, f"rolled_{batch}")
    rolled.install_rollup()
    pairs = []
    for turn in range(turns + 1):
        spent = [
            1e6 * _spend(stand, outbox, turn * messages, messages, batch, compacts=compacts)
            for outbox, compacts in ((plain, False), (rolled, True))
        ]
        if turn:
            pairs.append((spent[0] / messages, spent[1] / messages))
    plain.drop()
    rolled.drop()
    return WriteCost(
        batch=batch,
        plain_us=statistics.median(without for without, _ in pairs),
        rollup_us=statistics.median(with_it for _, with_it in pairs),
        ratio=divide_turns(pairs),
    )


def divide_turns(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Give the median of with over without, of the turns that took any time at all."""
    ratios = [with_it / without for without, with_it in pairs if without > 0]
    return statistics.median(ratios) if ratios else None


def _spend(
    stand: Stand, outbox: Outbox, first: int, messages: int, batch: int, *, compacts: bool
) -> float:
    outbox.settle()
    began = stand.read_processor_s()
    outbox.live(first, messages, batch)
    if compacts:
        with psycopg.connect(outbox.url, autocommit=True) as connection:
            compact_all(connection)
            reclaim(connection)
    return stand.read_processor_s() - began
