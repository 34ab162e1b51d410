"""Export to collectors that hang, refuse or come back: nothing waits, and every loss is counted."""

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from outbound_slo.vocabulary.spans import SpanName
from tests.patience import wait_for
from tracing.export import SpanCounts, SpanExport
from tracing.http_collector import HttpCollector
from tracing.options import CollectorOptions
from tracing.setup import Tracing, start_tracing
from tracing.wire import RequestWriter


@contextmanager
def run_collector(answer: Callable[[], int]) -> Iterator[str]:
    """Run a collector that answers each export with the HTTP status that `answer` gives."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answer())
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def run_hanging_collector() -> Iterator[tuple[str, threading.Event]]:
    """Run a collector that holds every request; gives its URL and an event set by the first one."""
    arrived, release = threading.Event(), threading.Event()

    def hold() -> int:
        arrived.set()
        release.wait()
        return 200

    with run_collector(hold) as url:
        try:
            yield url, arrived
        finally:
            release.set()


@pytest.fixture
def closed_port() -> int:
    """Pick a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def make_spans(tracing: Tracing, number: int) -> None:
    for _ in range(number):
        with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS):
            pass


def test_spans_go_on_while_the_collector_hangs_and_the_queue_stays_bounded() -> None:
    with run_hanging_collector() as (url, arrived):
        tracing = start_tracing(
            endpoint=url, queue_capacity=100, options=CollectorOptions(timeout_s=600)
        )
        make_spans(tracing, 100)
        assert arrived.wait(30)
        # From here on the exporter is stuck with what it took; this loop must end all the same.
        make_spans(tracing, 1000)

        counts = tracing.counts()
        assert counts.exported == 0
        assert counts.waiting <= 200
        assert counts.dropped + counts.waiting == 1100

        tracing.shutdown(0.1)
        assert tracing.dropped() == 1100


def test_the_queue_is_bounded_by_bytes_too_and_free_again_after_an_export() -> None:
    with run_hanging_collector() as (url, arrived):
        export = SpanExport(
            HttpCollector(url, CollectorOptions(timeout_s=600)),
            RequestWriter({}, "test"),
            capacity_bytes=2010,
        )
        export.take(b"x" * 999)
        assert arrived.wait(30)
        # The exporter holds the first, so its room is free again: for two, with their frames.
        for _ in range(4):
            export.take(b"x" * 999)

        assert export.counts() == SpanCounts(exported=0, dropped=2, waiting=3)
        export.close(0.1)
        assert export.counts() == SpanCounts(exported=0, dropped=5, waiting=0)


def test_shutdown_leaves_a_hanging_collector_behind() -> None:
    with run_hanging_collector() as (url, arrived):
        tracing = start_tracing(endpoint=url, options=CollectorOptions(timeout_s=600))
        make_spans(tracing, 1)
        assert arrived.wait(30)

        tracing.shutdown(0.1)

        # The export is still stuck in its own thread: shutdown did not wait for it to end.
        assert "span-export" in {thread.name for thread in threading.enumerate()}
        assert tracing.dropped() == 1


def test_shutdown_delivers_what_waits() -> None:
    with run_collector(lambda: 200) as url:
        tracing = start_tracing(endpoint=url)
        make_spans(tracing, 1300)
        tracing.shutdown(60)

    counts = tracing.counts()
    assert (counts.exported, counts.dropped, counts.waiting) == (1300, 0, 0)


def test_spans_after_shutdown_are_counted_as_dropped() -> None:
    with run_collector(lambda: 200) as url:
        tracing = start_tracing(endpoint=url)
        tracing.shutdown(60)
        make_spans(tracing, 3)

    assert tracing.dropped() == 3


def test_an_outage_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    status = [400]

    def wait_for_drops(number: int) -> None:
        wait_for(lambda: tracing.dropped() == number, "the batch to be refused")

    with run_collector(lambda: status[0]) as url, caplog.at_level(logging.WARNING):
        tracing = start_tracing(endpoint=url)
        make_spans(tracing, 5)
        wait_for_drops(5)
        make_spans(tracing, 5)
        wait_for_drops(10)
        status[0] = 200
        make_spans(tracing, 5)
        wait_for(lambda: tracing.counts().exported == 5, "the batch to be taken")
        tracing.shutdown(60)

    lost, back = (record.getMessage() for record in caplog.records)
    assert lost.startswith(f"trace collector {url}/v1/traces takes no spans (HTTP 400); dropping")
    assert back == f"trace collector {url}/v1/traces is back; 10 spans were dropped"


SENDING_INTO_THE_VOID = """
import sys
from outbound_slo.vocabulary.spans import SpanName
from tracing.options import CollectorOptions
from tracing.setup import start_tracing
options = CollectorOptions(timeout_s=1)
tracing = start_tracing(endpoint=sys.argv[1], queue_capacity=50, options=options)
for _ in range(500):
    with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS):
        pass
tracing.shutdown(20)
print(tracing.dropped())
"""


def test_an_unreachable_collector_costs_one_line_and_no_traceback(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SENDING_INTO_THE_VOID, url],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "500\n"
    assert done.stderr == (
        f"trace collector {url}/v1/traces takes no spans (ConnectionError); "
        "dropping and counting them meanwhile\n"
    )
