"""One channel of the model: messages wait, are sent, fail, are tried again, arrive or die.

Messages are counted in cohorts, not one by one. The back-offs, the number of attempts and the
circuit breaker are the sender's (D8, D31).
"""

import heapq
from collections import Counter, deque
from dataclasses import dataclass
from math import ceil, exp, log
from random import Random
from typing import Final

from alerts.incidents.conditions import Provider

BACK_OFFS_S: Final = (60, 300, 900, 3600)
"""Seconds before attempts 2 to 5; the fifth failure is the last (D8)."""

_OPEN_S: Final = 60
_PROBES: Final = 5
_WINDOW_S: Final = 60
_FEWEST_CALLS: Final = 20
_GROUPS: Final = 6
_SPREAD: Final = 0.5
OVERDUE_S: Final = 300
"""From this age on a due message counts as stuck (D23)."""

CLOSED, OPEN, HALF_OPEN = 0, 1, 2


@dataclass(frozen=True, slots=True, order=True)
class Cohort:
    """Messages that are due at the same time with the same number of attempts behind them."""

    due_s: int
    attempts: int
    count: int
    poisoned: bool = False


class Histogram:
    """A histogram's counts; `edges` in seconds."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, seconds: float, count: int) -> None:
        """Count some values."""
        place = next((n for n, edge in enumerate(self.edges) if seconds <= edge), len(self.edges))
        self.counts[place] += count
        self.total += seconds * count

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class Breaker:
    """The sender's circuit breaker: opens at half of the calls failing within a minute."""

    def __init__(self) -> None:
        self.state = CLOSED
        self.not_permitted = 0
        self._calls: deque[tuple[int, int, int]] = deque()
        self._until_s = 0

    def permit(self, now_s: int, wanted: int) -> int:
        """How many of the wanted calls may be made."""
        if self.state == OPEN and now_s >= self._until_s:
            self.state = HALF_OPEN
        permitted = {CLOSED: wanted, OPEN: 0, HALF_OPEN: min(wanted, _PROBES)}[self.state]
        self.not_permitted += wanted - permitted
        return permitted

    def judge(self, now_s: int, good: int, bad: int) -> None:
        """Take note of the calls that were made."""
        if not good + bad:
            return
        if self.state == HALF_OPEN:
            self._calls.clear()
            self.state = CLOSED if good > bad else OPEN
            self._until_s = now_s + _OPEN_S
            return
        self._calls.append((now_s, good, bad))
        while self._calls[0][0] <= now_s - _WINDOW_S:
            self._calls.popleft()
        calls = sum(good + bad for _, good, bad in self._calls)
        failed = sum(bad for _, _, bad in self._calls)
        if calls >= _FEWEST_CALLS and failed * 2 >= calls:
            self.state, self._until_s = OPEN, now_s + _OPEN_S


class Lane:
    """One channel.

    Args:
        random: Chance.
        send_edges: Bucket edges of the send latency, in seconds.
        delivery_edges: Those of the delivery latency.

    """

    def __init__(
        self, random: Random, send_edges: tuple[float, ...], delivery_edges: tuple[float, ...]
    ) -> None:
        self._random = random
        self.ready: deque[Cohort] = deque()
        self.later: list[Cohort] = []
        self._arriving: list[tuple[float, float, int]] = []
        self.breaker = Breaker()
        self.attempts: Counter[tuple[str, str]] = Counter(
            {("sent", ""): 0, ("failed", "131000"): 0}
        )
        self.finished: Counter[tuple[str, str]] = Counter(
            {("sent", ""): 0, ("failed", "131000"): 0}
        )
        self.dead: Counter[tuple[str, str]] = Counter()
        self.delivered = 0
        self.send = Histogram(send_edges)
        self.delivery = Histogram(delivery_edges)
        self.calls = Histogram(send_edges)

    def enqueue(self, now_s: int, count: int, *, poisoned: bool = False) -> None:
        """Take in new messages, due now."""
        if count:
            self.ready.append(Cohort(now_s, 0, count, poisoned))

    def send_due(self, now_s: int, most: int, provider: Provider) -> None:
        """Send what is due, as many as the senders manage and the breaker lets through."""
        while self.later and self.later[0].due_s <= now_s:
            self.ready.append(heapq.heappop(self.later))
        wanted = min(most, sum(cohort.count for cohort in self.ready))
        permitted = self.breaker.permit(now_s, wanted)
        good = bad = 0
        for cohort in self._take(permitted):
            failed = self._fail(now_s, cohort, provider)
            self._accept(now_s, cohort, cohort.count - failed, provider)
            # A message that no provider can take says nothing about the provider.
            bad += 0 if cohort.poisoned else failed
            good += cohort.count - failed
        # What the breaker holds back is not claimed: it stays where it is, due.
        self.breaker.judge(now_s, good, bad)

    def receive(self, now_s: int, *, tells: bool) -> int:
        """Apply the receipts that have come by now; returns how many webhooks that were."""
        came = 0
        while tells and self._arriving and self._arriving[0][0] <= now_s:
            _, seconds, count = heapq.heappop(self._arriving)
            self.delivery.observe(seconds, count)
            came += count
        self.delivered += came
        return came

    @property
    def queued(self) -> int:
        """Messages in QUEUED."""
        return sum(cohort.count for cohort in self.ready) + self.waiting

    @property
    def waiting(self) -> int:
        """Messages in QUEUED that are to be tried later."""
        return sum(cohort.count for cohort in self.later)

    @property
    def retrying(self) -> int:
        """Of these, those that have failed before."""
        return sum(cohort.count for cohort in self.later if cohort.attempts)

    def due_age_s(self, now_s: int) -> float:
        """Seconds since the oldest message was due that nobody has taken."""
        return float(max((now_s - cohort.due_s for cohort in self.ready), default=0))

    def overdue(self, now_s: int) -> int:
        """Messages that were due too long ago."""
        return sum(cohort.count for cohort in self.ready if now_s - cohort.due_s > OVERDUE_S)

    def _take(self, most: int) -> list[Cohort]:
        taken: list[Cohort] = []
        while most > 0 and self.ready:
            cohort = self.ready.popleft()
            count = min(most, cohort.count)
            taken.append(Cohort(cohort.due_s, cohort.attempts, count, cohort.poisoned))
            if count < cohort.count:
                rest = cohort.count - count
                self.ready.appendleft(Cohort(cohort.due_s, cohort.attempts, rest, cohort.poisoned))
            most -= count
        return taken

    def _fail(self, now_s: int, cohort: Cohort, provider: Provider) -> int:
        share = 1.0 if cohort.poisoned else provider.failing
        failed = draw_share(self._random, cohort.count, share)
        if not failed:
            return 0
        code = "131009" if cohort.poisoned else provider.code
        self.attempts["failed", code] += failed
        attempts = cohort.attempts + 1
        if cohort.poisoned or provider.final or attempts > len(BACK_OFFS_S):
            category = "Client Error" if cohort.poisoned else provider.category
            self.dead[code, category] += failed
            self.finished["failed", code] += failed
        else:
            self._put_off(Cohort(now_s + BACK_OFFS_S[attempts - 1], attempts, failed))
        return failed

    def _accept(self, now_s: int, cohort: Cohort, count: int, provider: Provider) -> None:
        if not count:
            return
        self.attempts["sent", ""] += count
        self.finished["sent", ""] += count
        for seconds, part in self._spread(provider.call_s, count):
            self.send.observe(now_s - cohort.due_s + seconds, part)
            self.calls.observe(seconds, part)
        for seconds, part in self._spread(provider.delivery_s, count):
            heapq.heappush(self._arriving, (now_s + seconds, seconds, part))

    def _put_off(self, cohort: Cohort) -> None:
        heapq.heappush(self.later, cohort)

    def _spread(self, median_s: float, count: int) -> list[tuple[float, int]]:
        """Spread a number over a few durations around their median."""
        size = ceil(count / _GROUPS)
        parts = [size] * (count // size) + ([count % size] if count % size else [])
        return [(exp(self._random.gauss(log(median_s), _SPREAD)), part) for part in parts]


def draw_share(random: Random, count: int, share: float) -> int:
    """Draw how many of a number are met by a chance."""
    if share <= 0:
        return 0
    if share >= 1:
        return count
    if count <= 50:  # noqa: PLR2004 - beyond it the normal curve is as good and quicker
        return sum(random.random() < share for _ in range(count))
    drawn = random.gauss(count * share, (count * share * (1 - share)) ** 0.5)
    return min(count, max(0, round(drawn)))


def draw_number(random: Random, mean: float) -> int:
    """Draw how many events happen where so many are expected."""
    if mean <= 0:
        return 0
    if mean > 30:  # noqa: PLR2004 - as above
        return max(0, round(random.gauss(mean, mean**0.5)))
    limit, product, number = exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        number += 1
    return number
