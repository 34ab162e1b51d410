"""The last good page, kept for any number of readers: a scrape never waits for the database."""

import threading
from collections.abc import Mapping, Sequence

from exporter.collector import Clock, Refresh
from exporter.memory import Memory
from exporter.own_metrics import ConfigState
from exporter.page import Page, Passages, render
from exporter.target import Target


class Publication:
    """The page as of now, rendered once per refresh.

    Only time can change it in between: where a metric goes absent because nothing refreshed it,
    the first reader after that instant has the page rendered again, from memory.

    Args:
        targets: What is served.
        patience_s: See `Memory`.
        clock: Where time comes from.

    """

    def __init__(self, targets: Sequence[Target], patience_s: float, clock: Clock) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._memories: Mapping[str, Memory] = {}
        self._targets: Mapping[str, Target] = {}
        self._config = ConfigState()
        self._passages: Passages = {}
        self.change_targets(targets)

    def change_targets(self, targets: Sequence[Target]) -> None:
        """Serve these targets from now on; what did not change keeps its numbers."""
        with self._lock:
            memories: dict[str, Memory] = {}
            for target in targets:
                known = self._memories.get(target.name)
                if known is None or known.labels != target.labels:
                    known = Memory(target.packs, self._patience_s, target.labels)
                else:
                    known.change_packs(target.packs)
                memories[target.name] = known
            self._memories = memories
            self._targets = {target.name: target for target in targets}
            self._config = ConfigState(good=True, good_at=self._clock.wall())
            self._render()

    def note_bad_config(self) -> None:
        """Say on the page that what is served is not what the files say."""
        with self._lock:
            self._config = ConfigState(good=False, good_at=self._config.good_at)
            self._render()

    def publish(self, target: Target, refresh: Refresh) -> None:
        """Take in a refresh of a target that has just ended.

        One that began before the targets were changed says nothing about those of now.
        """
        with self._lock:
            if self._targets.get(target.name) is target:
                self._memories[target.name].take(refresh, self._clock.steady())
                self._render()

    def page(self) -> Page:
        """Give the page."""
        page, now = self._page, self._clock.steady()
        if now < page.good_until:
            return page
        with self._lock:
            if now >= self._page.good_until:
                self._render()
            return self._page

    def _render(self) -> None:
        now = self._clock.steady()
        self._page = render(tuple(self._memories.values()), self._config, now, self._passages)
        self._passages = self._page.passages
