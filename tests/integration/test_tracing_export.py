"""Export to collectors that hang, refuse or come back: nothing waits, and every loss is counted."""

import logging
import socket
import subprocess
import sys
import threading

import pytest

from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.transport import TraceProtocol
from tests.integration.collectors import Verdict, run_collector, run_hanging_collector
from tests.patience import wait_for
from tracing.export import SpanCounts, SpanExport
from tracing.options import CollectorOptions
from tracing.pipeline import open_collector
from tracing.setup import Tracing, start_tracing
from tracing.wire import RequestWriter

PATIENT_S = 600.0


@pytest.fixture(params=list(TraceProtocol))
def protocol(request: pytest.FixtureRequest) -> TraceProtocol:
    return TraceProtocol(request.param)


@pytest.fixture
def closed_port() -> int:
    """Pick a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def start(
    url: str, protocol: TraceProtocol, *, timeout_s: float = 5.0, capacity: int = 1300
) -> Tracing:
    return start_tracing(
        endpoint=url,
        queue_capacity=capacity,
        options=CollectorOptions(protocol=protocol, timeout_s=timeout_s),
    )


def make_spans(tracing: Tracing, number: int) -> None:
    for _ in range(number):
        with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS):
            pass


def shown(url: str, protocol: TraceProtocol) -> str:
    """Give a collector's address as the log names it."""
    return url.removeprefix("http://") if protocol is TraceProtocol.GRPC else f"{url}/v1/traces"


def test_spans_go_on_while_the_collector_hangs_and_the_queue_stays_bounded(
    protocol: TraceProtocol,
) -> None:
    with run_hanging_collector(protocol) as (collector, arrived):
        tracing = start(collector.url, protocol, timeout_s=PATIENT_S, capacity=100)
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


def test_a_hanging_collector_is_given_up_and_the_next_batch_is_tried(
    protocol: TraceProtocol,
) -> None:
    with run_hanging_collector(protocol) as (collector, _):
        tracing = start(collector.url, protocol, timeout_s=0.3)
        make_spans(tracing, 3)
        wait_for(lambda: tracing.dropped() == 3, "the first batch to be given up")
        make_spans(tracing, 2)
        wait_for(lambda: tracing.dropped() == 5, "the second batch to be given up")
        tracing.shutdown(30)

    assert len(collector.requests) >= 2


def test_spans_go_on_while_nothing_listens_and_the_queue_stays_bounded(
    protocol: TraceProtocol, closed_port: int
) -> None:
    tracing = start(f"http://127.0.0.1:{closed_port}", protocol, timeout_s=PATIENT_S, capacity=100)
    make_spans(tracing, 1100)

    counts = tracing.counts()
    assert counts.exported == 0
    assert counts.waiting <= 200
    assert counts.dropped + counts.waiting == 1100
    tracing.shutdown(0.1)
    assert tracing.dropped() == 1100


def test_a_slow_collector_gets_what_fits_and_the_rest_is_counted(protocol: TraceProtocol) -> None:
    turns = threading.Semaphore(0)

    def wait_turn() -> Verdict:
        turns.acquire()
        return Verdict.TAKEN

    with run_collector(protocol, wait_turn) as collector:
        tracing = start(collector.url, protocol, timeout_s=PATIENT_S, capacity=100)
        for turn in range(3):
            make_spans(tracing, 100)
            wait_for(lambda: len(collector.requests) == turn + 1, "the batch to arrive")  # noqa: B023 - called at once
            make_spans(tracing, 500)
            counts = tracing.counts()
            assert counts.waiting <= 200
            turns.release()
            wait_for(lambda: tracing.counts().exported > counts.exported, "it to be taken")  # noqa: B023 - likewise
        turns.release(100)
        tracing.shutdown(60)

    counts = tracing.counts()
    assert counts.exported == len(set(collector.span_ids()))
    assert counts.dropped >= 900
    assert counts.exported + counts.dropped == 1800


def test_delivery_resumes_when_the_collector_is_started_again(protocol: TraceProtocol) -> None:
    with run_collector(protocol) as before:
        tracing = start(before.url, protocol, timeout_s=2.0, capacity=100)
        make_spans(tracing, 5)
        wait_for(lambda: tracing.counts().exported == 5, "the first spans to be taken")

    make_spans(tracing, 300)
    wait_for(lambda: tracing.dropped() == 300, "what was made meanwhile to be lost")
    assert tracing.counts().waiting == 0

    port = int(before.url.rpartition(":")[2])
    with run_collector(protocol, port=port) as after:

        def resumed() -> bool:
            make_spans(tracing, 1)
            return tracing.counts().exported > 5

        wait_for(resumed, "delivery to resume")
        tracing.shutdown(30)

    counts = tracing.counts()
    assert 5 < counts.exported <= 5 + len(set(after.span_ids()))
    assert counts.waiting == 0


def test_a_collector_that_is_away_for_a_moment_costs_no_span(protocol: TraceProtocol) -> None:
    verdicts = [Verdict.TAKEN, Verdict.AWAY]
    with run_collector(protocol, lambda: verdicts.pop() if verdicts else Verdict.TAKEN) as taken:
        tracing = start(taken.url, protocol, timeout_s=PATIENT_S)
        make_spans(tracing, 3)
        wait_for(lambda: tracing.counts().exported == 3, "the second try")
        tracing.shutdown(30)

    first, second, *_ = taken.requests
    assert first[1] == second[1]
    assert tracing.counts() == SpanCounts(exported=3, dropped=0, waiting=0)


def test_the_queue_is_bounded_by_bytes_too_and_free_again_after_an_export(
    protocol: TraceProtocol,
) -> None:
    options = CollectorOptions(protocol=protocol, timeout_s=PATIENT_S)
    with run_hanging_collector(protocol) as (collector, arrived):
        export = SpanExport(
            open_collector(collector.url, options), RequestWriter({}, "test"), capacity_bytes=2010
        )
        export.take(b"x" * 999)
        assert arrived.wait(30)
        # The exporter holds the first, so its room is free again: for two, with their frames.
        for _ in range(4):
            export.take(b"x" * 999)

        assert export.counts() == SpanCounts(exported=0, dropped=2, waiting=3)
        export.close(0.1)
        assert export.counts() == SpanCounts(exported=0, dropped=5, waiting=0)


def test_shutdown_leaves_a_hanging_collector_behind(protocol: TraceProtocol) -> None:
    with run_hanging_collector(protocol) as (collector, arrived):
        tracing = start(collector.url, protocol, timeout_s=PATIENT_S)
        make_spans(tracing, 1)
        assert arrived.wait(30)

        tracing.shutdown(0.1)

        # The export is still stuck in its own thread: shutdown did not wait for it to end.
        assert "span-export" in {thread.name for thread in threading.enumerate()}
        assert tracing.dropped() == 1


def test_shutdown_delivers_what_waits(protocol: TraceProtocol) -> None:
    with run_collector(protocol) as collector:
        tracing = start(collector.url, protocol)
        make_spans(tracing, 1300)
        tracing.shutdown(60)

    assert tracing.counts() == SpanCounts(exported=1300, dropped=0, waiting=0)


def test_spans_after_shutdown_are_counted_as_dropped(protocol: TraceProtocol) -> None:
    with run_collector(protocol) as collector:
        tracing = start(collector.url, protocol)
        tracing.shutdown(60)
        make_spans(tracing, 3)

    assert tracing.dropped() == 3


def test_an_outage_is_logged_once_and_so_is_its_end(
    protocol: TraceProtocol, caplog: pytest.LogCaptureFixture
) -> None:
    verdict = [Verdict.REFUSED]

    def wait_for_drops(number: int) -> None:
        wait_for(lambda: tracing.dropped() == number, "the batch to be refused")

    with (
        run_collector(protocol, lambda: verdict[0]) as collector,
        caplog.at_level(logging.WARNING),
    ):
        tracing = start(collector.url, protocol)
        make_spans(tracing, 5)
        wait_for_drops(5)
        make_spans(tracing, 5)
        wait_for_drops(10)
        verdict[0] = Verdict.TAKEN
        make_spans(tracing, 5)
        wait_for(lambda: tracing.counts().exported == 5, "the batch to be taken")
        tracing.shutdown(60)

    fault = {TraceProtocol.HTTP: "HTTP 400", TraceProtocol.GRPC: "gRPC INVALID_ARGUMENT"}[protocol]
    name = shown(collector.url, protocol)
    lost, back = (record.getMessage() for record in caplog.records)
    assert lost.startswith(f"trace collector {name} takes no spans ({fault}); dropping")
    assert back == f"trace collector {name} is back; 10 spans were dropped"


SENDING_INTO_THE_VOID = """
import sys
from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.transport import TraceProtocol
from tracing.options import CollectorOptions
from tracing.setup import start_tracing
options = CollectorOptions(timeout_s=1, protocol=TraceProtocol(sys.argv[2]))
tracing = start_tracing(endpoint=sys.argv[1], queue_capacity=50, options=options)
for _ in range(500):
    with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS):
        pass
tracing.shutdown(20)
print(tracing.dropped())
"""


def test_an_unreachable_collector_costs_one_line_and_no_traceback(
    protocol: TraceProtocol, closed_port: int
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SENDING_INTO_THE_VOID, url, protocol.value],
        capture_output=True,
        text=True,
        check=True,
    )

    fault = {TraceProtocol.HTTP: "ConnectionError", TraceProtocol.GRPC: "gRPC UNAVAILABLE"}
    assert done.stdout == "500\n"
    assert done.stderr == (
        f"trace collector {shown(url, protocol)} takes no spans ({fault[protocol]}); "
        "dropping and counting them meanwhile\n"
    )
