"""What a refresh costs: wall time, the database's processor time, and the blocks it looks at."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import psycopg
import requests

from benchmarks.exporter_stand import Outbox, Stand
from benchmarks.peers import Peer, open_peer
from benchmarks.questions import Figures, names_of_ours, names_of_peer, read_figures
from benchmarks.statements import reset_statements
from exporter.collector import Clock
from exporter.loader import load_packs
from exporter.server import MetricsServer
from exporter.service import Service
from exporter.target import own_target
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.errors import ErrorPolicy

OURS = "ours"
PEERS = ("postgres_exporter", "query_exporter", "sql_exporter")

CYCLE = 180
"""Refreshes of ours that are measured together: what the pack asks least often, it asks once."""

_INTERVAL_S = 10.0
_WARM_UP = 8
_POLL_S = 0.05
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What one refresh took.

    Attributes:
        wall_ms: Median, from asking to the numbers in hand; None where nobody can wait for it.
        server_ms: Time in the server's statements, on average.
        cpu_ms: The server's processor time, on average; counted in ticks of 10 ms over all.
        blocks: Pages that it looked at, on average.

    """

    wall_ms: float | None
    server_ms: float
    cpu_ms: float
    blocks: float


class Contender(Protocol):
    """An exporter that refreshes when told to."""

    def refresh(self) -> str:
        """Ask the database, and give the page with its answers."""


class OwnExporter:
    """Our exporter with the pack `outbound`, whole: its page is fetched over HTTP like theirs.

    Its clock goes on by a refresh interval each time, so that queries that are asked less often
    have the share in `CYCLE` refreshes that they have in production.
    """

    def __init__(self, database: str) -> None:
        self._ahead_s = 0.0
        packs = load_packs(["outbound"], ErrorPolicy.RUNBOOK, compat=True)
        settings = ExporterSettings.model_validate({"OUTBOUND_EXPORTER_PORT": 0})
        self._service = Service(
            lambda: [own_target(database, packs)],
            settings,
            elects=settings.election,
            clock=Clock(
                wall=lambda: time.time() + self._ahead_s,
                steady=lambda: time.monotonic() + self._ahead_s,
            ),
        )
        self._server = MetricsServer(
            settings.host,
            settings.port,
            self._service.publication,
            self._service.alive,
            self._service.reload,
        )
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._service.close()

    def refresh(self) -> str:
        """Ask every query of the pack that is due, and give the page.

        Raises:
            RuntimeError: A query failed: its time would mean nothing.

        """
        refreshes = self._service.refresh(everything=False)
        self._ahead_s += _INTERVAL_S
        for refresh in refreshes:
            for run in refresh.runs:
                if run.failure is not None:
                    raise RuntimeError(f"{run.query} failed: {run.failure.text}")
        return requests.get(f"{self._server.url}/metrics", timeout=30).text


@dataclass(frozen=True, slots=True)
class PeerAtScrape:
    """A peer that asks the database at every scrape."""

    peer: Peer

    def refresh(self) -> str:
        """Scrape it."""
        return self.peer.scrape()


@contextmanager
def open_contender(stand: Stand, name: str, database: str) -> Iterator[Contender]:
    """Start one of the contenders that refresh when told to.

    Raises:
        UserMistake: A peer can't be had.

    """
    if name == OURS:
        with OwnExporter(database) as own:
            yield own
        return
    peer = open_peer(stand.supervisor, name, stand.directory, database)
    try:
        yield PeerAtScrape(peer)
    finally:
        stand.supervisor.stop_child(peer.child)


def measure_warm(stand: Stand, database: str, contender: Contender, times: int) -> Spent:
    """Measure so many refreshes, after some that nobody counts: statements get prepared."""
    for _ in range(_WARM_UP if times > 1 else 1):
        contender.refresh()
    with _counting(stand, database) as count:
        walls = []
        for _ in range(times):
            began = time.perf_counter()
            contender.refresh()
            walls.append(time.perf_counter() - began)
    return count.per_refresh(times, statistics.median(walls))


def measure_cold(stand: Stand, outbox: Outbox, name: str) -> Spent:
    """Measure the first refresh after a restart with nothing in memory."""
    stand.restart_cold()
    with (
        open_contender(stand, name, outbox.url) as contender,
        _counting(stand, outbox.url) as count,
    ):
        began = time.perf_counter()
        contender.refresh()
        wall = time.perf_counter() - began
    return count.per_refresh(1, wall)


def measure_cycles(stand: Stand, database: str, times: int) -> tuple[Spent, Figures]:
    """Measure sql_exporter, which asks in the background; give its last figures too."""
    peer = open_peer(stand.supervisor, "sql_exporter", stand.directory, database)
    try:
        # Its queries end one after the other, and each is shown at once.
        _wait_for(lambda: answers_all(read_figures(peer.scrape(), names_of_peer())))
        with _counting(stand, database) as count:
            _wait_for(lambda: count.read().runs >= times)
        figures = read_figures(peer.scrape(), names_of_peer())
    finally:
        stand.supervisor.stop_child(peer.child)
    return count.per_refresh(max(count.end.runs, 1), None), figures


def answers_all(figures: Figures) -> bool:
    """Tell whether a peer's page has an answer to every question."""
    return names_of_peer().keys() <= {series for series, _ in figures}


def read_contender(name: str, page: str) -> Figures:
    """Reduce a contender's page to figures."""
    return read_figures(page, names_of_ours() if name == OURS else names_of_peer())


@dataclass(frozen=True, slots=True)
class _Totals:
    seconds: float
    blocks: int
    runs: int


class _Count:
    """What the server spends on a database from now on."""

    def __init__(self, stand: Stand, database: str) -> None:
        self._stand = stand
        self._name = database.rsplit("/", 1)[1]
        reset_statements(stand.server_url)
        self._began = stand.read_processor_s()
        self._cpu_s = 0.0
        self.end = _Totals(0.0, 0, 0)

    def read(self) -> _Totals:
        """Read the server's own account; `runs` is how often the dearest statement ended."""
        with psycopg.connect(self._stand.server_url) as connection:
            row = connection.execute(
                "SELECT coalesce(sum(s.total_exec_time), 0) / 1000,"
                "       coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::bigint,"
                "       coalesce((array_agg(s.calls ORDER BY s.total_exec_time DESC))[1], 0)"
                "  FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"
                " WHERE d.datname = %s",
                [self._name],
            ).fetchone()
        return _Totals(*row) if row else _Totals(0.0, 0, 0)

    def close(self) -> None:
        """Count no more."""
        self._cpu_s = self._stand.read_processor_s() - self._began
        self.end = self.read()

    def per_refresh(self, times: int, wall_s: float | None) -> Spent:
        """Divide by the number of refreshes."""
        return Spent(
            wall_ms=None if wall_s is None else 1000 * wall_s,
            server_ms=1000 * float(self.end.seconds) / times,
            cpu_ms=1000 * self._cpu_s / times,
            blocks=self.end.blocks / times,
        )


@contextmanager
def _counting(stand: Stand, database: str) -> Iterator[_Count]:
    count = _Count(stand, database)
    yield count
    count.close()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing came within {_PATIENCE_S:g} s")
        time.sleep(_POLL_S)


def divide(theirs: Sequence[Spent], ours: Sequence[Spent], field: str) -> float | None:
    """Give the median of the rounds' ratios, theirs over ours; None where ours was never seen."""
    ratios = [
        getattr(their, field) / getattr(our, field)
        for their, our in zip(theirs, ours, strict=True)
        if getattr(our, field)
    ]
    return statistics.median(ratios) if ratios else None
