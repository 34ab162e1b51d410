"""Keeps one target's numbers fresh: a thread that asks what is due, publishes it, and waits."""

import logging
import threading
from dataclasses import dataclass, replace

import psycopg

from exporter.collector import Clock, Collector, Limits, QueryKey, Refresh
from exporter.compaction import DELTA_TABLE, Compactor
from exporter.publication import Publication
from exporter.schedule import Agenda
from exporter.target import Target
from outbound_slo.vocabulary.mistakes import UserMistake

_LOG = logging.getLogger(__name__)
# The server bounds each statement of a compaction; where it says nothing any more, the line is cut.
_COMPACTION_S = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a target is asked.

    Attributes:
        interval_s: From one refresh to the next, in seconds.
        patience: So many refreshes may be missed before the numbers count as old.
        jitter: From 0 to 1, see `Agenda`.

    """

    interval_s: float
    patience: int
    jitter: float


class Refresher:
    """Refreshes one target, one refresh at a time.

    Args:
        target: Which database, and what to ask there.
        limits: What a refresh may cost.
        pace: How often.
        publication: Where the numbers go.
        clock: Where time comes from.
        elects: Whether one of several replicas leads.

    """

    def __init__(
        self,
        target: Target,
        limits: Limits,
        pace: Pace,
        publication: Publication,
        clock: Clock,
        *,
        elects: bool,
    ) -> None:
        self._target = target
        self._limits = limits
        self._pace = pace
        self._publication = publication
        self._clock = clock
        self.collector = Collector(target, limits, clock, elects=elects)
        self._compactor = _find_compactor(target)
        self._agenda = self._plan()
        self._last_end = clock.steady()
        self._next: Target | None = None
        self._ended = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing: frozenset[str] = frozenset()
        self._led = True

    def _plan(self) -> Agenda[QueryKey]:
        agenda = Agenda[QueryKey](self._pace.interval_s, self._pace.jitter)
        entries = [
            ((pack.name, query.name), query.schedule)
            for pack in self._target.packs
            for query in pack.queries
        ]
        agenda.enter(entries, self._clock.wall(), self._clock.steady())
        return agenda

    def refresh(self, *, everything: bool = True) -> Refresh:
        """Refresh once, publish the result, and compact.

        Args:
            everything: Whether queries run whose turn it is not, too.

        """
        self._take_change()
        wall, steady = self._clock.wall(), self._clock.steady()
        refresh = self.collector.collect(None if everything else self._agenda.due(wall, steady))
        renewals = {}
        for run in refresh.runs:
            key = (run.pack, run.query)
            self._agenda.note(key, worked=run.failure is None, wall=wall, steady=steady)
            if self._agenda.has_own_schedule(key):
                renewals[key] = self._agenda.renewed_by(key, wall, steady) - steady
        refresh = replace(refresh, renewals=renewals)
        self._publication.publish(self._target, refresh)
        self._last_end = self._clock.steady()
        self._report(refresh)
        if self._compactor is not None and refresh.reached and refresh.in_recovery is False:
            connection = self.collector.open()
            with self.collector.session.guard(_COMPACTION_S):
                self._compactor.after_refresh(connection)
        return refresh

    def refresh_due(self) -> None:
        """Refresh what is due; an outage ends nothing."""
        try:
            self.refresh(everything=False)
        except (psycopg.Error, UserMistake):
            # The line was lost between two steps; the next refresh makes a new one.
            _LOG.debug("Refresh ended early", exc_info=True)

    def is_alive(self) -> bool:
        """Tell whether refreshes still end, be it with an error."""
        allowed = self._limits.deadline_s + self._pace.patience * self._pace.interval_s
        return self._clock.steady() - self._last_end < allowed

    def start(self) -> None:
        """Refresh from now on in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name=f"refresh {self._target.name}")
        self._thread.start()

    def change(self, target: Target) -> None:
        """Ask this from the next refresh on, which comes at once."""
        self._next = target
        self._wake.set()

    def end(self) -> None:
        """Let the thread end after the refresh that it may be at."""
        self._ended = True
        self._wake.set()

    def join(self) -> None:
        """Wait for the thread, and give the connection back."""
        if self._thread is not None:
            self._thread.join()
        self.collector.close()

    def _run(self) -> None:
        while not self._ended:
            wait_s = self._agenda.wait_s(self._clock.wall(), self._clock.steady())
            # Once in an interval even if no query is due: the server's state is news, too.
            self._wake.wait(min(wait_s, self._pace.interval_s))
            self._wake.clear()
            if self._ended:
                return
            self.refresh_due()

    def _take_change(self) -> None:
        if self._next is not None:
            self._target, self._next = self._next, None
            self.collector.change_target(self._target)
            self._compactor = _find_compactor(self._target)
            self._agenda = self._plan()

    def _report(self, refresh: Refresh) -> None:
        """Log each failure when it starts and when it ends, not at every refresh."""
        at = f"{self._target.name}: " if self._target.name else ""
        failing = {
            f"{run.pack}/{run.query}": run.failure
            for run in refresh.runs
            if run.failure is not None
        }
        if not refresh.reached:
            if self._failing != frozenset({"database"}):
                text = next(iter(failing.values())).text if failing else "no answer"
                _LOG.warning("%sThe database cannot be reached: %s", at, text)
            self._failing = frozenset({"database"})
            return
        self._report_lead(refresh, at)
        for name, failure in failing.items():
            if name not in self._failing:
                _LOG.warning("%sQuery %s fails (%s): %s", at, name, failure.reason, failure.text)
        ran = {f"{run.pack}/{run.query}" for run in refresh.runs}
        mended = (self._failing - failing.keys()) & (ran | {"database"})
        for name in sorted(mended):
            _LOG.info("%s%s works again", at, name)
        self._failing = frozenset((self._failing - mended) | failing.keys())

    def _report_lead(self, refresh: Refresh, at: str) -> None:
        if refresh.leads and not self._led:
            _LOG.info("%sThis exporter leads now", at)
        if not refresh.leads and self._led:
            leader = self.collector.session.describe_leader()
            _LOG.info("%sAnother exporter leads (%s); this one stands by", at, leader)
        self._led = refresh.leads


def _find_compactor(target: Target) -> Compactor | None:
    counts = any(
        DELTA_TABLE in query.requires.tables for pack in target.packs for query in pack.queries
    )
    return Compactor() if counts else None
