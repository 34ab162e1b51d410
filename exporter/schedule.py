"""When a query runs: at every refresh, at an interval of its own, or by a cron expression.

Pure: both clocks' readings are passed in. Intervals are kept on the steady clock, which no
correction of the time of day can stretch; cron expressions mean the time of day in UTC.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeAlias, TypeVar

from cronsim import CronSim, CronSimError

# Queries due within this share of their interval run together: one snapshot, not two.
_TOGETHER = 0.1


@dataclass(frozen=True, slots=True)
class Every:
    """Run every so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cron:
    """Run when the time of day in UTC fits a cron expression of five fields."""

    expression: str

    def after(self, wall: float) -> float:
        """Give the first matching instant after another, both in Unix seconds."""
        start = datetime.fromtimestamp(wall, UTC)
        return next(CronSim(self.expression, start)).timestamp()


Schedule: TypeAlias = Every | Cron


def parse_cron(expression: str) -> Cron:
    """Check a cron expression.

    Raises:
        ValueError: It is malformed, or no instant ever fits it.

    """
    try:
        cron = Cron(expression)
        cron.after(0.0)
    except (CronSimError, StopIteration) as error:
        raise ValueError(str(error) or "it never comes") from error
    return cron


@dataclass(slots=True)
class _Turn:
    """When an entry is due: on the steady clock, or for cron in Unix seconds."""

    schedule: Schedule
    due: float
    soon: float
    phase_s: float
    own: bool
    retry_at: float = math.inf


Key = TypeVar("Key")


@dataclass(slots=True)
class Agenda(Generic[Key]):
    """Knows which queries are due.

    A query that failed is due again after one refresh interval, whatever its own schedule: an
    error is never kept as if it were an answer (T13).

    Args:
        base_s: The refresh interval, in seconds.
        jitter: From 0 to 1: by how much of a tenth of their interval all runs but the first are
            put off, so that exporters that were started together do not ask together.

    """

    base_s: float
    jitter: float = 0.0
    _turns: dict[Key, _Turn] = field(default_factory=dict)

    def enter(
        self, entries: Iterable[tuple[Key, Schedule | None]], wall: float, steady: float
    ) -> None:
        """Take in queries: due at once, or, if seldom asked, at the second refresh, or by cron.

        What is asked seldom is dear: after a start the page does not wait for it.
        """
        for key, schedule in entries:
            chosen = schedule or Every(self.base_s)
            if isinstance(chosen, Cron):
                self._turns[key] = _Turn(
                    chosen, chosen.after(wall), _TOGETHER * self.base_s, 0.0, own=True
                )
            else:
                soon = _TOGETHER * min(self.base_s, chosen.seconds)
                first = steady + (self.base_s if chosen.seconds > self.base_s else 0.0)
                self._turns[key] = _Turn(
                    chosen, first, soon, soon * self.jitter, own=schedule is not None
                )

    def due(self, wall: float, steady: float) -> frozenset[Key]:
        """Name the queries whose turn it is."""
        return frozenset(
            key for key, turn in self._turns.items() if _wait(turn, wall, steady) <= turn.soon
        )

    def note(self, key: Key, *, worked: bool, wall: float, steady: float) -> None:
        """Note that a query ran in a refresh that began at these instants."""
        turn = self._turns[key]
        turn.retry_at = math.inf if worked else steady + self.base_s
        match turn.schedule:
            case Every(seconds):
                # In step with the first run; runs that were missed are not made up for.
                turn.due += seconds + turn.phase_s
                turn.phase_s = 0.0
                if turn.due <= steady:
                    turn.due = steady + seconds
            case Cron() as cron:
                # The run may have begun a little early, with its neighbours.
                turn.due = cron.after(max(wall, turn.due if turn.due - wall < self.base_s else 0))

    def wait_s(self, wall: float, steady: float) -> float:
        """Tell how long until something is due, in seconds; infinity for an empty agenda."""
        waits = [_wait(turn, wall, steady) for turn in self._turns.values()]
        return max(0.0, min(waits, default=math.inf))

    def has_own_schedule(self, key: Key) -> bool:
        """Tell whether a query does not simply run at every refresh."""
        return self._turns[key].own

    def renewed_by(self, key: Key, wall: float, steady: float) -> float:
        """Tell when, on the steady clock, the next regular run of a query is due."""
        turn = self._turns[key]
        return steady + turn.due - (wall if isinstance(turn.schedule, Cron) else steady)


def _wait(turn: _Turn, wall: float, steady: float) -> float:
    own = turn.due - (wall if isinstance(turn.schedule, Cron) else steady)
    return min(own, turn.retry_at - steady)
