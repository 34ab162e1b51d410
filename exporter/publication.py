"""The last good page, kept for any number of readers: a scrape never waits for the database."""

import threading

from exporter.collector import Clock, Refresh
from exporter.memory import Memory
from exporter.page import Page, render


class Publication:
    """The page as of now, rendered once per refresh.

    Only time can change it in between: where a metric goes absent because nothing refreshed it,
    the first reader after that instant has the page rendered again, from memory.

    Args:
        memory: What is known; from now on this object's alone.
        clock: Where time comes from.

    """

    def __init__(self, memory: Memory, clock: Clock) -> None:
        self._memory = memory
        self._clock = clock
        self._lock = threading.Lock()
        self._page = render(memory, clock.steady())

    def publish(self, refresh: Refresh) -> None:
        """Take in a refresh that has just ended."""
        with self._lock:
            now = self._clock.steady()
            self._memory.take(refresh, now)
            self._page = render(self._memory, now)

    def page(self) -> Page:
        """Give the page."""
        page, now = self._page, self._clock.steady()
        if now < page.good_until:
            return page
        with self._lock:
            if now >= self._page.good_until:
                self._page = render(self._memory, now)
            return self._page
