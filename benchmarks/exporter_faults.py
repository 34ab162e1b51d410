"""The fault matrix: `make bench-exporter-faults`. Its last line of output is one JSON object.

Our exporter, query-exporter and Debian's sql_exporter ask one PostgreSQL the same three questions
each second; then something breaks. What does each show on /metrics, and for how long is it wrong?
Each has the settings that serve it best: time-outs and an expiry of two seconds where it has them.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import psycopg
import requests
import typer
import yaml

from benchmarks.fault_matrix import (
    BEFORE,
    FAULTS,
    Course,
    Fault,
    Sight,
    judge,
    read_sight,
)
from benchmarks.peers import (
    Command,
    Peer,
    start_peer,
    start_query_exporter,
    start_sql_exporter,
)
from benchmarks.report import Goal, Report
from benchmarks.stack import PROGRAM
from outbound_slo.database import load_queries
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor, pick_port
from outbound_slo.vocabulary.mistakes import UserMistake

EXPORTERS = ("ours", "query_exporter", "sql_exporter")

GOALS = tuple(
    Goal(f"{name}_{key}", f"{name}: {meaning}")
    for name in EXPORTERS
    for key, meaning in (
        ("wrong_s", "seconds with wrong numbers, all faults"),
        ("worst_wrong_s", "the same, worst fault"),
        ("unhealed", "faults after which it was not right again in time"),
        ("neighbour_age_s", "age of a healthy query's answer, worst fault"),
    )
)

_SQL = load_queries("benchmarks", "sql/faults.sql")
_QUESTIONS: Mapping[str, str] = {
    "trial": "SELECT state, n AS trial FROM trial",
    "seen": "SELECT count(*) AS seen FROM parcel",
    "clock": "SELECT extract(epoch FROM clock_timestamp())::float8 AS clock",
}
_LABELS: Mapping[str, Sequence[str]] = {"trial": ["state"], "seen": [], "clock": []}
_LIMIT_S = 2
_LOOK_S = 0.2
_SCRAPE_TIMEOUT_S = 5.0
_START_S = 30.0


def _command_ours(folder: Path, database: str, port: int) -> Command:
    pack = folder / "post"
    pack.mkdir()
    types = {"seen": "counter"}
    document = {
        "pack": "post",
        "description": "Parcels.",
        "defaults": {"timeout_ms": 1000 * _LIMIT_S, "absent_after_s": _LIMIT_S, "max_series": 50},
        "queries": {name: {"file": "q.sql"} for name in _QUESTIONS},
        "metrics": [
            {
                "name": "seen_total" if name == "seen" else name,
                "type": types.get(name, "gauge"),
                "help": "On trial.",
                "labels": list(_LABELS[name]),
                "query": name,
                "value": name,
            }
            for name in _QUESTIONS
        ],
    }
    pack.joinpath("pack.yml").write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    blocks = (f"-- name: {name}\n-- On trial.\n{text}\n" for name, text in _QUESTIONS.items())
    pack.joinpath("q.sql").write_text("\n".join(blocks), "utf-8")
    environment = {
        "DATABASE_URL": database,
        "OUTBOUND_EXPORTER_PORT": str(port),
        "OUTBOUND_METRICS_UPDATE_INTERVAL_MS": "1000",
    }
    return Command([PROGRAM, "exporter", "--pack", str(pack)], environment)


def _command_query_exporter(folder: Path, database: str, port: int) -> Command:
    document = {
        "databases": {"post": {"dsn": database.replace("postgresql:", "postgresql+psycopg:", 1)}},
        "metrics": {
            name: {
                "type": "counter" if name == "seen" else "gauge",
                "expiration": _LIMIT_S,
                **({"labels": list(_LABELS[name])} if _LABELS[name] else {}),
            }
            for name in _QUESTIONS
        },
        "queries": {
            name: {
                "databases": ["post"],
                "metrics": [name],
                "sql": text,
                "interval": 1,
                "timeout": float(_LIMIT_S),
            }
            for name, text in _QUESTIONS.items()
        },
    }
    file = folder / "query-exporter.yml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return start_query_exporter(file, port)


def _command_sql_exporter(folder: Path, database: str, port: int) -> Command:
    address = database.replace("postgresql:", "postgres:", 1) + "?sslmode=disable"
    queries = [
        {"name": name, "help": name, "labels": list(_LABELS[name]), "values": [name], "query": text}
        for name, text in _QUESTIONS.items()
    ]
    job = {"name": "post", "interval": "1s", "connections": [address], "queries": queries}
    file = folder / "sql-exporter.yml"
    file.write_text(yaml.safe_dump({"jobs": [job]}, sort_keys=False), "utf-8")
    return start_sql_exporter(file, port)


_COMMANDS: Mapping[str, Callable[[Path, str, int], Command]] = {
    "ours": _command_ours,
    "query_exporter": _command_query_exporter,
    "sql_exporter": _command_sql_exporter,
}


@dataclass
class _Watch:
    """Looks at one page again and again in a thread of its own."""

    peer: Peer
    sights: list[Sight] = field(default_factory=list)
    ages: list[tuple[float, float]] = field(default_factory=list)
    over: bool = False

    def run(self) -> None:
        """Look until it is over."""
        while not self.over:
            self.look()
            time.sleep(_LOOK_S)

    def look(self) -> Sight:
        """Look once."""
        try:
            answer = requests.get(self.peer.url, timeout=_SCRAPE_TIMEOUT_S)
            answer.raise_for_status()
            sight = read_sight(time.monotonic(), answer.text)
        except (requests.RequestException, ValueError):
            # An error, or what is no page: Prometheus takes nothing of either.
            sight = Sight(time.monotonic(), {}, 0, None, None, answered=False)
        self.sights.append(sight)
        if sight.clock is not None:
            self.ages.append((sight.at, time.time() - sight.clock))
        return sight


class _Trial:
    """One fault under all exporters at once, each started anew."""

    def __init__(
        self, postgres: EmbeddedPostgres, directory: Path, names: Sequence[str], report: Report
    ) -> None:
        self._postgres = postgres
        self._directory = directory
        self._names = names
        self._report = report

    def run(self, fault: Fault, lasts_s: float, patience_s: float) -> Mapping[str, Course]:
        """Let everything be well, break it, mend it."""
        folder = self._directory / fault.name.replace(" ", "-").replace(",", "")
        folder.mkdir(mode=0o755)
        self._change("whole")
        watcher = self._postgres.conninfo().replace("postgres@", "watcher@", 1)
        with Supervisor(folder / "logs") as supervisor:
            watches: dict[str, _Watch] = {}
            for name in self._names:
                port = pick_port()
                command = _COMMANDS[name](folder, watcher, port)
                watches[name] = _Watch(start_peer(supervisor, name, command, port))
            self._wait_until_well(watches)
            threads = [threading.Thread(target=watch.run) for watch in watches.values()]
            for thread in threads:
                thread.start()
            try:
                began = time.monotonic()
                self._break(fault)
                time.sleep(max(0.0, began + lasts_s - time.monotonic()))
                self._mend(fault)
                ended = time.monotonic()
                time.sleep(patience_s)
            finally:
                for watch in watches.values():
                    watch.over = True
                for thread in threads:
                    thread.join()
        return {
            name: judge(
                fault,
                watch.sights,
                [age for at, age in watch.ages if began <= at < ended],
                began,
                ended,
            )
            for name, watch in watches.items()
        }

    def _wait_until_well(self, watches: Mapping[str, _Watch]) -> None:
        deadline = time.monotonic() + _START_S
        for name, watch in watches.items():
            while dict(watch.look().states) != dict(BEFORE):
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{name} never showed what is true; see {watch.peer.child.log}"
                    )
                time.sleep(_LOOK_S)

    def _break(self, fault: Fault) -> None:
        if fault.block is not None:
            self._change(fault.block)
        if fault.stops or fault.restarts:
            self._postgres.stop()
        if fault.restarts:
            self._postgres.start()

    def _mend(self, fault: Fault) -> None:
        if fault.stops:
            self._postgres.start()
        self._change("healed")

    def _change(self, block: str) -> None:
        with psycopg.connect(self._postgres.conninfo(), autocommit=True) as connection:
            # A query that never ends holds the view, and would for as long as this waits.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'watcher' AND state = 'active' AND query LIKE '%FROM trial%'"
                "   AND now() - query_start > interval '4 seconds'"
            )
            connection.execute(_SQL[block].encode())


def run_benchmark(
    only: Annotated[
        list[str] | None, typer.Option(help="Faults to lay, by their names; all by default.")
    ] = None,
    lasts: Annotated[float, typer.Option(min=1, help="Seconds of each fault.")] = 20,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to heal in.")] = 15,
) -> None:
    """Lay every fault under every exporter."""
    known = [fault.name for fault in FAULTS]
    for name in only or ():
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--only")
    report = Report(GOALS)
    found: dict[str, dict[str, Course]] = {}
    with ExitStack() as exits:
        directory = Path(
            exits.enter_context(tempfile.TemporaryDirectory(prefix="outbound-slo-faults-"))
        )
        directory.chmod(0o755)
        postgres = exits.enter_context(EmbeddedPostgres(directory / "postgres", fsync=False))
        with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
            connection.execute(_SQL["world"].encode())
        names = _find_exporters(report, directory)
        trial = _Trial(postgres, directory, names, report)
        for fault in FAULTS:
            if only and fault.name not in only:
                continue
            report.tell(fault.name)
            found[fault.name] = dict(trial.run(fault, lasts, patience))
    report.show_rows(
        f"Faults of {lasts:g} s, refreshes each second",
        [_make_row(fault, name, found[fault][name]) for fault in found for name in names],
    )
    for name in names:
        _note(report, name, [courses[name] for courses in found.values()])
    report.finish()


def _find_exporters(report: Report, directory: Path) -> Sequence[str]:
    """Leave out, aloud, what can't be had."""
    names = []
    for name in EXPORTERS:
        rehearsal = directory / f"rehearsal-{name}"
        rehearsal.mkdir()
        try:
            _COMMANDS[name](rehearsal, "postgresql://watcher@127.0.0.1:1/none", 1)
        except UserMistake as mistake:
            report.tell(f"{name} is left out, its figures are null: {mistake}")
        else:
            names.append(name)
    return names


def _make_row(fault: str, name: str, course: Course) -> dict[str, object]:
    return {
        "fault": fault,
        "exporter": name,
        "shows": ", then ".join(course.shown),
        "wrong_s": course.wrong_s,
        "neighbour_s": "" if course.neighbour_age_s is None else course.neighbour_age_s,
        "right again after s": "not seen" if course.healed_s is None else course.healed_s,
    }


def _note(report: Report, name: str, courses: Sequence[Course]) -> None:
    report.note(f"{name}_wrong_s", sum(course.wrong_s for course in courses))
    report.note(f"{name}_worst_wrong_s", max(course.wrong_s for course in courses))
    report.note(f"{name}_unhealed", sum(course.healed_s is None for course in courses))
    ages = [course.neighbour_age_s for course in courses if course.neighbour_age_s is not None]
    if ages:
        report.note(f"{name}_neighbour_age_s", max(ages))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(run_benchmark)
    app()
