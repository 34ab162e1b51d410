"""The exporter as a process: a thread per database, a server that shows, an orderly end."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from queue import Empty, SimpleQueue

from exporter.collector import Clock, Collector, Limits, Refresh
from exporter.gate import Gate
from exporter.publication import Publication
from exporter.refresher import Pace, Refresher
from exporter.server import MetricsServer
from exporter.target import Target
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.mistakes import UserMistake

_LOG = logging.getLogger(__name__)
# A page may miss this many refreshes before its numbers count as old.
_PATIENCE_REFRESHES = 3
_TURN_S = 0.5  # Longest time that a signal may wait for its handler.
# The server ends a leader's session that has been silent for this many of its deadlines.
_IDLE_DEADLINES = 3

SYSTEM_CLOCK = Clock(wall=time.time, steady=time.monotonic)


class _Order(Enum):
    STOP = auto()
    RELOAD = auto()


class Service:
    """Refreshes targets and serves their numbers.

    Args:
        plan: Reads the packs and gives the targets; called again at every reload.
        settings: Interval, address and time-outs.
        clock: Where time comes from.
        elects: Whether one of several replicas leads.

    Raises:
        UserMistake: A pack is malformed or a reference leads nowhere.

    """

    def __init__(
        self,
        plan: Callable[[], Sequence[Target]],
        settings: ExporterSettings,
        clock: Clock = SYSTEM_CLOCK,
        *,
        elects: bool = False,
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._clock = clock
        self._elects = elects
        interval_s = settings.refresh_interval_ms / 1000
        statement_timeout_s = settings.statement_timeout_ms / 1000
        # Longer than the interval: a slow database gives a late page, not none.
        deadline_s = max(interval_s, 2 * statement_timeout_s)
        self._limits = Limits(
            statement_timeout_s=statement_timeout_s,
            lock_timeout_s=settings.lock_timeout_ms / 1000,
            deadline_s=deadline_s,
            idle_s=_IDLE_DEADLINES * deadline_s,
        )
        # Spreads exporters that start together; nothing secret.
        jitter = random.random()  # noqa: S311 - the same
        self._pace = Pace(interval_s, _PATIENCE_REFRESHES, jitter)
        targets = plan()
        self.publication = Publication(targets, _PATIENCE_REFRESHES * interval_s, clock)
        self._refreshers = {target.name: self._make_refresher(target) for target in targets}
        self._gate = Gate(Path(settings.web_config) if settings.web_config else None)
        self._runs = False
        self._reloading = threading.Lock()
        # Its put() may be called while its get() runs, as a signal handler does; an Event's set()
        # may not.
        self._orders: SimpleQueue[_Order] = SimpleQueue()

    @property
    def collectors(self) -> Sequence[Collector]:
        """What asks each target."""
        return [refresher.collector for refresher in self._refreshers.values()]

    @property
    def collector(self) -> Collector:
        """What asks the first target."""
        return self.collectors[0]

    def _make_refresher(self, target: Target) -> Refresher:
        return Refresher(
            target, self._limits, self._pace, self.publication, self._clock, elects=self._elects
        )

    def refresh(self, *, everything: bool = True) -> Sequence[Refresh]:
        """Refresh every target once, all queries or those that are due, and publish the results."""
        return [refresher.refresh(everything=everything) for refresher in self._refreshers.values()]

    def alive(self) -> bool:
        """Tell whether refreshes of every target still end, be it with an error."""
        return all(refresher.is_alive() for refresher in self._refreshers.values())

    def run(self) -> None:
        """Serve until `stop`.

        Raises:
            UserMistake: The port can't be had, or no database can be reached at the start. Later
                outages are survived.

        """
        settings = self._settings
        with MetricsServer(
            settings.host, settings.port, self.publication, self.alive, self.reload, self._gate
        ) as server:
            self.connect()
            for refresher in self._refreshers.values():
                refresher.refresh_due()
                refresher.start()
            self._runs = True
            listener = threading.Thread(target=server.serve_forever, name="listen")
            listener.start()
            _LOG.info("Serving %s/metrics", server.url)
            try:
                while self._take_order() is _Order.RELOAD:
                    with suppress(UserMistake):
                        self.reload()
            finally:
                server.shutdown()
                listener.join()
                self.close()

    def _take_order(self) -> _Order:
        """Wait for an order, turn by turn.

        A signal that comes just before a wait does not end it, and its handler has to wait for the
        main thread's next turn.
        """
        while True:
            with suppress(Empty):
                return self._orders.get(timeout=_TURN_S)

    def stop(self) -> None:
        """Let `run` return; safe in a signal handler."""
        self._orders.put(_Order.STOP)

    def ask_to_reload(self) -> None:
        """Let `run` read the packs again; safe in a signal handler."""
        self._orders.put(_Order.RELOAD)

    def reload(self) -> None:
        """Read the packs again, and serve what they say from the next refresh on.

        Raises:
            UserMistake: They are malformed; what was served goes on, and the page tells.

        """
        with self._reloading:
            try:
                targets = self._plan()
            except UserMistake as mistake:
                _LOG.error("Nothing was reloaded: %s", mistake)
                self.publication.note_bad_config()
                raise
            self.publication.change_targets(targets)
            before, after = dict(self._refreshers), dict[str, Refresher]()
            for target in targets:
                refresher = before.pop(target.name, None)
                if refresher is not None:
                    refresher.change(target)
                else:
                    refresher = self._make_refresher(target)
                    if self._runs:
                        refresher.start()
                after[target.name] = refresher
            self._refreshers = after
            for gone in before.values():
                gone.end()
                gone.join()
            _LOG.info("Reloaded the packs")

    def connect(self) -> None:
        """Reach the databases once.

        Raises:
            UserMistake: None of them answers.

        """
        mistakes = []
        for collector in self.collectors:
            try:
                collector.open()
            except UserMistake as mistake:
                mistakes.append(mistake)
        if len(mistakes) == len(self._refreshers):
            raise mistakes[0]

    def close(self) -> None:
        """End every thread and give every connection back."""
        for refresher in self._refreshers.values():
            refresher.end()
        for refresher in self._refreshers.values():
            refresher.join()
