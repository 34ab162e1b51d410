"""Requests in flight by recipient: the judge of order. Two at once to one recipient are counted.

A request is in flight from its arrival until its answer is written, or its caller has hung up.
"""

from collections import deque
from dataclasses import asdict, dataclass

from outbound_slo.simulator.wire import Reference

_SHOWN_OVERLAPS = 100


@dataclass(slots=True)
class Visit:
    """One send request that named a recipient.

    Attributes:
        started_at: Epoch seconds of its arrival.
        ended_at: Epoch seconds of its answer, or of the caller's leaving; None in flight.
        outcome: What became of it, by the names of the statistics; left if the caller went first.

    """

    provider: str
    recipient: str
    message: str | None
    attempt: str | None
    started_at: float
    ended_at: float | None = None
    outcome: str | None = None


class Traffic:
    """Who is being sent to right now, and what came before.

    `limit` is how many requests are remembered, the oldest go first; 0 remembers none and still
    counts the overlaps.
    """

    def __init__(self, limit: int) -> None:
        """Start with an empty road."""
        self._limit = limit
        self._in_flight: dict[tuple[str, str], list[Visit]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget the past; what is in flight stays."""
        self._past: deque[Visit] = deque(maxlen=self._limit)
        self._overlaps = 0
        self._shown: list[tuple[Visit, Visit]] = []

    @property
    def overlaps(self) -> int:
        """Requests that came while another one to the same recipient was in flight."""
        return self._overlaps

    def begin(self, provider: str, recipient: str, reference: Reference, now: float) -> Visit:
        """Note a request that has come in; `now` in epoch seconds."""
        visit = Visit(provider, recipient, reference.message, reference.attempt, now)
        others = self._in_flight.get((provider, recipient))
        if others is None:
            self._in_flight[provider, recipient] = [visit]
        else:
            self._overlaps += 1
            if len(self._shown) < _SHOWN_OVERLAPS:
                self._shown.append((others[-1], visit))
            others.append(visit)
        if self._limit:
            self._past.append(visit)
        return visit

    def end(self, visit: Visit, outcome: str, now: float) -> None:
        """Note that a request is answered, or that its caller has gone; only the first counts."""
        if visit.ended_at is not None:
            return
        visit.ended_at, visit.outcome = now, outcome
        key = (visit.provider, visit.recipient)
        others = self._in_flight[key]
        if len(others) == 1:
            del self._in_flight[key]
        else:
            self._in_flight[key] = [other for other in others if other is not visit]

    def list_visits(self, recipient: str) -> list[dict[str, object]]:
        """Return a recipient's requests in the order of their arrival, ready for JSON."""
        return [asdict(visit) for visit in self._past if visit.recipient == recipient]

    def list_overlaps(self) -> list[dict[str, object]]:
        """Return the first hundred overlaps: the request in flight and the one that came."""
        return [
            {"in_flight": asdict(earlier), "came": asdict(later)} for earlier, later in self._shown
        ]
