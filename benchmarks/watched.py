"""What watching organisations costs a refresh: two more questions that read the whole queue."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.exporter_stand import QUEUE, Outbox, Stand
from benchmarks.refreshes import CYCLE, OURS, measure_warm, open_contender
from exporter.rollup.organisations import MOST_WATCHED, unwatch, watch

WAITING = (QUEUE, 100_000)
"""Messages that wait: as in the other parts, and in a night in which nothing was sent."""

HISTORY = 100_000
"""Messages that ended; the cost of neither question depends on them."""


@dataclass(frozen=True, slots=True)
class WatchCost:
    """What a refresh costs the server, on average of `CYCLE` refreshes of ten seconds.

    Attributes:
        waiting: Messages that wait.
        nobody_ms: Milliseconds in its statements while nobody is watched.
        watched_ms: The same with as many organisations watched as there may be.

    """

    waiting: int
    nobody_ms: float
    watched_ms: float

    @property
    def ratio(self) -> float:
        """How many times as long it takes."""
        return self.watched_ms / self.nobody_ms


def measure_watching(stand: Stand, waiting: int, rounds: int) -> WatchCost:
    """Measure refreshes of one outbox by turns, with and without watched organisations."""
    outbox = Outbox(stand, f"watched_{waiting}")
    outbox.load(HISTORY, waiting)
    outbox.install_rollup()
    outbox.settle()
    names = [f"bench-{number}" for number in range(MOST_WATCHED)]
    nobody: list[float] = []
    watched: list[float] = []
    for _ in range(rounds):
        nobody.append(_spend(stand, outbox))
        watch(outbox.url, names)
        watched.append(_spend(stand, outbox))
        unwatch(outbox.url, names)
    outbox.drop()
    return WatchCost(waiting, _least(nobody), _least(watched))


def _spend(stand: Stand, outbox: Outbox) -> float:
    with open_contender(stand, OURS, outbox.url) as contender:
        return measure_warm(stand, outbox.url, contender, CYCLE).server_ms


def _least(several: Sequence[float]) -> float:
    """Take the round that others disturbed least."""
    return min(several)
