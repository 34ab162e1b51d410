"""What a scrape waits: a thousand series while a refresh runs, beside a page of a single one."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks.exporter_stand import Stand
from benchmarks.latencies import percentile
from benchmarks.stack import PROGRAM
from outbound_slo.embedded.processes import http_probe, pick_port

SERIES = 1000
_TAIL = 0.99

_PACK = """\
pack: {name}
description: A page of {series} series.
defaults: {{timeout_ms: 5000, absent_after_s: 60, max_series: {series}}}
queries:
  numbers: {{file: q.sql}}
metrics:
  - {{name: {name}, type: gauge, help: Numbers., labels: [number], query: numbers, value: n}}
"""
_SQL = """\
-- name: numbers
-- The sleep lets a refresh be under way at nearly every moment.
SELECT i::text AS number, random() AS n
  FROM generate_series(1, {series}) AS i CROSS JOIN pg_sleep({sleep_s})
"""


@dataclass(frozen=True, slots=True)
class ScrapeTimes:
    """Answers of the two pages, in milliseconds.

    Attributes:
        empty_p50_ms: Median of the page of one series.
        full_p50_ms: Median of the page of a thousand.
        empty_p99_ms: 99th percentile of the first.
        full_p99_ms: 99th percentile of the second.

    """

    empty_p50_ms: float
    full_p50_ms: float
    empty_p99_ms: float
    full_p99_ms: float

    @property
    def ratio(self) -> float:
        """The tails' ratio."""
        return self.full_p99_ms / self.empty_p99_ms


def measure_scrapes(stand: Stand, scrapes: int) -> ScrapeTimes:
    """Scrape both pages by turns, so often."""
    empty = _serve(stand, "single", series=1, sleep_s=0.0, interval_ms=10_000)
    full = _serve(stand, "thousand", series=SERIES, sleep_s=0.3, interval_ms=300)
    times: dict[str, list[float]] = {empty: [], full: []}
    with requests.Session() as session:
        for _ in range(scrapes):
            for url, measured in times.items():
                began = time.perf_counter()
                session.get(url, timeout=30).raise_for_status()
                measured.append(1000 * (time.perf_counter() - began))
    return ScrapeTimes(
        *(percentile(times[url], share) for share in (0.5, _TAIL) for url in (empty, full))
    )


def _serve(stand: Stand, name: str, *, series: int, sleep_s: float, interval_ms: int) -> str:
    folder = stand.directory / name
    _write_pack(folder, name, series, sleep_s)
    port = pick_port()
    url = f"http://127.0.0.1:{port}/metrics"
    stand.supervisor.start(
        name,
        [PROGRAM, "exporter", "--pack", str(folder)],
        ready=http_probe(url),
        environment={
            **os.environ,
            "DATABASE_URL": stand.server_url,
            "OUTBOUND_EXPORTER_PORT": str(port),
            "OUTBOUND_METRICS_UPDATE_INTERVAL_MS": str(interval_ms),
        },
    )
    return url


def _write_pack(folder: Path, name: str, series: int, sleep_s: float) -> None:
    folder.mkdir()
    folder.joinpath("pack.yml").write_text(_PACK.format(name=name, series=series), "utf-8")
    folder.joinpath("q.sql").write_text(_SQL.format(series=series, sleep_s=sleep_s), "utf-8")
