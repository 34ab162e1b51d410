"""The exporter beside its peers: `make bench-exporter`. Its last line of output is one JSON object.

All ask the same PostgreSQL in the same run, by turns; their numbers are compared series by series.
Parts can be run alone and smaller:

    python -m benchmarks.exporter --sizes 20000 --sizes 100000 --rounds 2 --only refresh
"""

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from benchmarks.exporter_stand import Outbox, Stand
from benchmarks.installation import measure_installation
from benchmarks.questions import Figures, Pages, compare
from benchmarks.refreshes import (
    CYCLE,
    OURS,
    PEERS,
    Spent,
    divide,
    measure_cold,
    measure_cycles,
    measure_warm,
    open_contender,
    read_contender,
)
from benchmarks.report import Goal, Report
from benchmarks.scrapes import measure_scrapes
from benchmarks.watched import WAITING, measure_watching
from benchmarks.write_cost import measure_write_cost
from outbound_slo.vocabulary.mistakes import UserMistake

GOALS = (
    Goal("wall_vs_postgres_exporter", "its refresh over ours, largest size, warm", at_least=300),
    Goal("wall_vs_query_exporter", "the same for query-exporter", at_least=300),
    Goal("db_cpu_vs_postgres_exporter", "the server's processor time, likewise", at_least=1000),
    Goal("growth_100k_to_10m", "our refresh at 10 million over 100 thousand", at_most=3),
    Goal("cold_vs_naive", "postgres_exporter's first refresh over ours, cold", at_least=100),
    Goal("write_cost_single", "CPU of a life with rollup over without, singly", at_most=1.6),
    Goal("write_cost_batched", "the same, 100 messages a statement", at_most=1.4),
    Goal("install_lock_wait_ms", "longest wait for a lock while it is installed", at_most=300),
    Goal("mismatches", "series whose values differ from a peer's", at_most=0),
    Goal("watched_refresh", "server time, 50 organisations watched over none", at_most=2),
    Goal("watched_refresh_100k", "the same while 100 thousand messages wait"),
    Goal("scrape_vs_empty_page", "p99, 1,000 series in a refresh over one series", at_most=3),
)

GROWTH = (100_000, 10_000_000)
"""The sizes between which growth is promised."""

LIVES = 200
"""Messages that live between two pages, for the counters to gain something."""

_SHOWN = 10
_BATCH = 100


class Part(StrEnum):
    """A part that can be run alone."""

    REFRESH = "refresh"
    COLD = "cold"
    INSTALL = "install"
    WRITES = "writes"
    SCRAPES = "scrapes"
    WATCHED = "watched"


def run_benchmark(
    sizes: Annotated[
        list[int] | None, typer.Option(min=1000, help="Messages; 100 thousand, 1 and 10 million.")
    ] = None,
    only: Annotated[list[Part] | None, typer.Option(help="Parts to run; all by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    lives: Annotated[int, typer.Option(min=100, help="Messages per turn of the writers.")] = 1000,
    scrapes: Annotated[int, typer.Option(min=100)] = 1000,
) -> None:
    """Measure the exporter beside its peers."""
    parts = set(only or Part)
    report = Report(GOALS)
    with Stand() as stand:
        if {Part.REFRESH, Part.COLD, Part.INSTALL} & parts:
            _Comparison(stand, report, rounds, parts).run(
                sorted(sizes or (100_000, 1_000_000, 10_000_000))
            )
        if Part.WRITES in parts:
            costs = [measure_write_cost(stand, batch, lives, rounds) for batch in (1, _BATCH)]
            report.show_rows("A message's life, µs of the server's CPU", [asdict(c) for c in costs])
            for key, cost in zip(("write_cost_single", "write_cost_batched"), costs, strict=True):
                if cost.ratio is not None:
                    report.note(key, cost.ratio)
        if Part.SCRAPES in parts:
            times = measure_scrapes(stand, scrapes)
            report.show_rows("Scrapes", [asdict(times)])
            report.note("scrape_vs_empty_page", times.ratio)
        if Part.WATCHED in parts:
            for key, waiting in zip(
                ("watched_refresh", "watched_refresh_100k"), WAITING, strict=True
            ):
                watching = measure_watching(stand, waiting, rounds)
                report.show_rows("Refreshes, watching", [asdict(watching)])
                report.note(key, watching.ratio)
    report.finish()


class _Comparison:
    """Refreshes of all contenders at growing sizes."""

    def __init__(self, stand: Stand, report: Report, rounds: int, parts: set[Part]) -> None:
        self._stand = stand
        self._report = report
        self._rounds = rounds
        self._parts = parts
        self._absent: set[str] = set()
        self._mismatches = 0
        self._compared = 0

    def run(self, sizes: Sequence[int]) -> None:
        """Measure each size; the figures are those of the largest."""
        walls: dict[int, float] = {}
        for size in sizes:
            outbox = Outbox(self._stand, f"outbox_{size}")
            outbox.load(size)
            last = size == sizes[-1]
            self._install(outbox, size, note=last)
            outbox.settle()
            self._report.tell(f"{size} messages are loaded, and the rollup is installed")
            if Part.REFRESH in self._parts:
                self._compare_values(outbox)
                walls[size] = self._compare_costs(outbox, size, note=last)
            if Part.COLD in self._parts:
                self._compare_cold(outbox, size, note=last)
            outbox.drop()
        if self._compared:
            self._report.tell(f"{self._compared} series were compared")
            self._report.note("mismatches", self._mismatches)
        if walls:
            low, high = min(walls), max(walls)
            growth = walls[high] / walls[low]
            self._report.tell(f"our refresh took {growth:.2f} times as long at {high} as at {low}")
            if (low, high) == GROWTH:
                self._report.note("growth_100k_to_10m", growth)

    def _install(self, outbox: Outbox, size: int, *, note: bool) -> None:
        if Part.INSTALL not in self._parts:
            outbox.install_rollup()
            return
        outbox.settle()
        disturbance = measure_installation(self._stand, outbox, size)
        self._report.show_rows("The rollup is installed under three writers", [asdict(disturbance)])
        if note:
            self._report.note("install_lock_wait_ms", disturbance.lock_wait_ms)

    def _here(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self._absent]

    def _leave_out(self, name: str, mistake: UserMistake) -> None:
        self._absent.add(name)
        self._report.tell(f"{name} is left out, its figures are null: {mistake}")

    def _read(self, outbox: Outbox) -> dict[str, Figures]:
        pages: dict[str, Figures] = {}
        for name in self._here((OURS, *PEERS)):
            try:
                if name == "sql_exporter":
                    pages[name] = measure_cycles(self._stand, outbox.url, 1)[1]
                    continue
                with open_contender(self._stand, name, outbox.url) as contender:
                    pages[name] = read_contender(name, contender.refresh())
            except UserMistake as mistake:
                if name == OURS:
                    raise
                self._leave_out(name, mistake)
        return pages

    def _compare_values(self, outbox: Outbox) -> None:
        before = self._read(outbox)
        outbox.live(0, LIVES, _BATCH)
        after = self._read(outbox)
        outbox.settle()
        ours = Pages(before[OURS], after[OURS])
        for name in self._here(PEERS):
            number, differing = compare(ours, Pages(before[name], after[name]))
            self._compared += number
            self._mismatches += len(differing)
            for line in differing[:_SHOWN]:
                self._report.tell(f"{name}: {line}")

    def _compare_costs(self, outbox: Outbox, size: int, *, note: bool) -> float:
        spent: dict[str, list[Spent]] = {name: [] for name in self._here((OURS, *PEERS))}
        for _ in range(self._rounds):
            for name, several in spent.items():
                if name == "sql_exporter":
                    several.append(measure_cycles(self._stand, outbox.url, 2)[0])
                    continue
                times = CYCLE if name == OURS else 1
                with open_contender(self._stand, name, outbox.url) as contender:
                    several.append(measure_warm(self._stand, outbox.url, contender, times))
        self._show(f"Warm refreshes of {size} messages", spent)
        if note:
            for name in self._here(("postgres_exporter", "query_exporter")):
                self._note(f"wall_vs_{name}", spent[name], spent[OURS], "wall_ms")
            if "postgres_exporter" in spent:
                theirs, ours = spent["postgres_exporter"], spent[OURS]
                self._note("db_cpu_vs_postgres_exporter", [_sum(theirs)], [_sum(ours)], "cpu_ms")
        return min(one.wall_ms for one in spent[OURS] if one.wall_ms is not None)

    def _compare_cold(self, outbox: Outbox, size: int, *, note: bool) -> None:
        names = self._here((OURS, "postgres_exporter"))
        spent: dict[str, list[Spent]] = {name: [] for name in names}
        for _ in range(self._rounds):
            for name in list(spent):
                try:
                    spent[name].append(measure_cold(self._stand, outbox, name))
                except UserMistake as mistake:
                    if name == OURS:
                        raise
                    self._leave_out(name, mistake)
                    del spent[name]
        self._show(f"First refreshes of {size} messages after a restart", spent)
        if note and "postgres_exporter" in spent:
            self._note("cold_vs_naive", spent["postgres_exporter"], spent[OURS], "wall_ms")

    def _show(self, title: str, spent: dict[str, list[Spent]]) -> None:
        rows = [{"exporter": name, **asdict(one)} for name in spent for one in spent[name]]
        self._report.show_rows(title, rows)

    def _note(self, key: str, theirs: Sequence[Spent], ours: Sequence[Spent], field: str) -> None:
        ratio = divide(theirs, ours, field)
        if ratio is None:
            self._report.tell(f"{key} is null: ours was too little for the kernel's clock")
        else:
            self._report.note(key, ratio)


def _sum(several: Sequence[Spent]) -> Spent:
    """Average over all rounds: single ones are too short for the kernel's clock of 10 ms."""
    number = len(several)
    return Spent(
        wall_ms=None,
        server_ms=sum(one.server_ms for one in several) / number,
        cpu_ms=sum(one.cpu_ms for one in several) / number,
        blocks=sum(one.blocks for one in several) / number,
    )


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(run_benchmark)
    app()
