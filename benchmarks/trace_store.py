"""The embedded store under load: what it takes at 1,000 messages a second, and how it finds one."""

import sqlite3
import statistics
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from benchmarks.report import Report
from benchmarks.stories import ATTEMPT_SPANS, FIRST_MESSAGE, tell_ours
from outbound_slo.embedded.processes import Supervisor, pick_port, tcp_probe
from outbound_slo.vocabulary.spans import Tag
from tracing.attributes import ATTRIBUTE_WRITERS
from tracing.jaeger import JaegerClient
from tracing.setup import start_tracing
from tracing.store.archive import TraceArchive
from tracing.store.otlp import PROTOBUF, read_export
from tracing.wire import RequestWriter, frame_span

_RATE = 1000
_TICK_S = 0.01
_SHUTDOWN_S = 120.0
_BATCH = 500
_QUERIES = 20
_SCANS = 3
_ROOM_MIB = 8192


def _serve(supervisor: Supervisor, name: str, path: Path) -> str:
    port = pick_port()
    command = [sys.executable, "-m", "outbound_slo", "trace", "serve", "--port", str(port)]
    command += ["--path", str(path), "--max-mib", str(_ROOM_MIB)]
    supervisor.start(name, command, ready=tcp_probe(port))
    return f"http://127.0.0.1:{port}"


def measure_load(report: Report, supervisor: Supervisor, directory: Path, seconds: float) -> None:
    """Tell attempts of six spans, 1,000 a second, into a store process; count what it kept."""
    path = directory / "load.db"
    tracing = start_tracing(endpoint=_serve(supervisor, "store", path))
    story = tell_ours(tracing, ())
    messages, told = round(seconds * _RATE), 0
    began = time.monotonic()
    while told < messages:
        due = min(round((time.monotonic() - began) * _RATE), messages)
        for number in range(told, due):
            story(number)
        told = due
        time.sleep(_TICK_S)
    waiting = tracing.counts().waiting
    tracing.shutdown(_SHUTDOWN_S)
    took = time.monotonic() - began
    counts = tracing.counts()
    with closing(sqlite3.connect(path)) as file:
        [(kept,)] = file.execute("SELECT count(*) FROM span").fetchall()
    report.tell(f"{told} attempts in {took:.1f} s: {kept} spans are in the store, {counts}")
    report.note("store_lost", told * ATTEMPT_SPANS - kept - counts.dropped)
    report.note("store_dropped", counts.dropped)
    report.note("store_behind", waiting)
    report.note("store_spans_per_second", kept / took)


def measure_search(report: Report, supervisor: Supervisor, directory: Path, messages: int) -> None:
    """Ask for one message among many by its id, beside a scan of all spans for its tag's bytes."""
    path = directory / "search.db"
    _fill(path, messages)
    report.tell(f"{messages * ATTEMPT_SPANS} spans are stored")
    wanted = [FIRST_MESSAGE + number * messages // _QUERIES for number in range(_QUERIES)]
    client = JaegerClient(_serve(supervisor, "search", path))
    asked = [_time_search(client, message) for message in wanted]
    scans = [_time_scan(path, message) for message in wanted[:_SCANS]]
    report.show_rows(
        "One message by its id, ms",
        [
            {"": name, "least": 1000 * min(found), "median": 1000 * statistics.median(found)}
            for name, found in (("over HTTP", asked), ("scan in the file", scans))
        ],
    )
    report.note("query_vs_scan", statistics.median(asked) / statistics.median(scans))
    report.note("query_ms", 1000 * statistics.median(asked))


def _fill(path: Path, messages: int) -> None:
    spans: list[bytes] = []
    story = tell_ours(start_tracing(sinks=[spans.append]), ())
    request = RequestWriter({"service.name": "backend"}, "benchmark")
    with closing(TraceArchive(path, max_bytes=_ROOM_MIB * 1024 * 1024)) as archive:
        for first in range(0, messages, _BATCH):
            for number in range(first, min(first + _BATCH, messages)):
                story(number)
            body = request.write([frame_span(span) for span in spans])
            archive.save(read_export(body, PROTOBUF, "").spans)
            spans.clear()


def _time_search(client: JaegerClient, message: int) -> float:
    began = time.perf_counter()
    found = client.traces_of_message(message, lookback=timedelta(days=1))
    took = time.perf_counter() - began
    if len(found) != 1:
        raise RuntimeError(f"{len(found)} traces of message {message}, where there is one")
    return took


def _time_scan(path: Path, message: int) -> float:
    """Time the least that a search without an index takes: SQLite looking at each span's bytes."""
    # Without the field's own tag byte and length, as the store writes spans anew.
    needle = ATTRIBUTE_WRITERS[Tag.MESSAGE_ID](message)[2:]
    with closing(sqlite3.connect(path)) as file:
        began = time.perf_counter()
        found = file.execute(
            "SELECT DISTINCT trace FROM span WHERE instr(body, ?) > 0", (needle,)
        ).fetchall()
        took = time.perf_counter() - began
    if len(found) != 1:
        raise RuntimeError(f"the scan found {len(found)} traces of message {message}")
    return took
