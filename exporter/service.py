"""The exporter as a process: a thread that refreshes, a server that shows, an orderly end."""

import logging
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue

import psycopg

from exporter.collector import Clock, Collector, Refresh
from exporter.compaction import DELTA_TABLE, Compactor
from exporter.memory import Memory
from exporter.pack import Pack
from exporter.publication import Publication
from exporter.server import MetricsServer
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.mistakes import UserMistake

_LOG = logging.getLogger(__name__)
# A page may miss this many refreshes before its numbers count as old.
_PATIENCE_REFRESHES = 3
_COMPACT_EVERY = 6

SYSTEM_CLOCK = Clock(wall=time.time, steady=time.monotonic)


class Service:
    """Refreshes some packs and serves them.

    Args:
        conninfo: Where the database is.
        packs: What to serve.
        settings: Interval, address and time-outs.
        clock: Where time comes from.

    """

    def __init__(
        self,
        conninfo: str,
        packs: Sequence[Pack],
        settings: ExporterSettings,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._clock = clock
        self._interval_s = settings.refresh_interval_ms / 1000
        statement_timeout_s = settings.statement_timeout_ms / 1000
        # Longer than the interval: a slow database gives a late page, not none.
        self._deadline_s = max(self._interval_s, 2 * statement_timeout_s)
        self.collector = Collector(
            conninfo,
            packs,
            statement_timeout_s=statement_timeout_s,
            deadline_s=self._deadline_s,
            clock=clock,
        )
        self._compactor = Compactor(_COMPACT_EVERY) if _counts_events(packs) else None
        patience_s = _PATIENCE_REFRESHES * self._interval_s
        self.publication = Publication(Memory(packs, patience_s), clock)
        self._settings = settings
        # Its put() may be called while its get() runs, as a signal handler does; an Event's set()
        # may not.
        self._stops: SimpleQueue[None] = SimpleQueue()
        self._ended = threading.Event()
        self._last_end = clock.steady()
        self._failing: frozenset[str] = frozenset()

    def refresh(self) -> Refresh:
        """Refresh once, publish the result, and compact when it is time."""
        refresh = self.collector.collect()
        self.publication.publish(refresh)
        self._report(refresh)
        if self._compactor is not None and refresh.reached:
            self._compactor.after_refresh(self.collector.open())
        self._last_end = self._clock.steady()
        return refresh

    def alive(self) -> bool:
        """Tell whether refreshes still end, be it with an error."""
        allowed = self._deadline_s + _PATIENCE_REFRESHES * self._interval_s
        return self._clock.steady() - self._last_end < allowed

    def run(self) -> None:
        """Serve until `stop`.

        Raises:
            UserMistake: The port can't be had, or the database can't be reached at the start.
                Later outages are survived.

        """
        settings = self._settings
        with MetricsServer(settings.host, settings.port, self.publication, self.alive) as server:
            self.collector.open()
            self.refresh()
            refresher = threading.Thread(target=self._refresh_for_ever, name="refresh")
            listener = threading.Thread(target=server.serve_forever, name="listen")
            refresher.start()
            listener.start()
            _LOG.info("Serving %s/metrics", server.url)
            try:
                self._stops.get()
            finally:
                self._ended.set()
                server.shutdown()
                listener.join()
                refresher.join()
                self.collector.close()

    def stop(self) -> None:
        """Let `run` return; safe in a signal handler."""
        self._stops.put(None)

    def connect(self) -> None:
        """Reach the database once.

        Raises:
            UserMistake: Nothing answers there.

        """
        self.collector.open()

    def close(self) -> None:
        """Give the connection back, where `run` was not used."""
        self.collector.close()

    def _refresh_for_ever(self) -> None:
        due = self._clock.steady() + self._interval_s
        while not self._ended.wait(max(0.0, due - self._clock.steady())):
            try:
                self.refresh()
            except (psycopg.Error, UserMistake):
                # The line was lost between two steps; the next refresh makes a new one.
                _LOG.debug("Refresh ended early", exc_info=True)
            # Refreshes that were missed are not made up for.
            due = max(due + self._interval_s, self._clock.steady())

    def _report(self, refresh: Refresh) -> None:
        """Log each failure when it starts and when it ends, not at every refresh."""
        failing = {
            f"{run.pack}/{run.query}": run.failure
            for run in refresh.runs
            if run.failure is not None
        }
        if not refresh.reached:
            if self._failing != frozenset({"database"}):
                text = next(iter(failing.values())).text if failing else "no answer"
                _LOG.warning("The database cannot be reached: %s", text)
            self._failing = frozenset({"database"})
            return
        for name, failure in failing.items():
            if name not in self._failing:
                _LOG.warning("Query %s fails (%s): %s", name, failure.reason, failure.text)
        for name in sorted(self._failing - failing.keys()):
            _LOG.info("%s works again", name)
        self._failing = frozenset(failing)


def _counts_events(packs: Sequence[Pack]) -> bool:
    return any(DELTA_TABLE in query.requires.tables for pack in packs for query in pack.queries)
