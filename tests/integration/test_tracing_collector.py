"""What collectors answer, and what becomes of the spans: tries, refusals, compression, headers."""

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from outbound_slo.vocabulary.spans import SpanName, Tag
from tests.patience import wait_for
from tracing.export import SpanCounts
from tracing.options import CollectorOptions
from tracing.setup import Tracing, start_tracing


@dataclass(frozen=True)
class Answer:
    """One answer of a collector; the last of a script is repeated."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Collector:
    """A scripted collector, and what it received."""

    url: str
    requests: list[tuple[Mapping[str, str], bytes]]

    def span_ids(self) -> list[str]:
        """Give the ids of all spans of all requests."""
        return [
            span.span_id.hex()
            for headers, body in self.requests
            for group in ExportTraceServiceRequest.FromString(
                gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
            ).resource_spans
            for scoped in group.scope_spans
            for span in scoped.spans
        ]


@contextmanager
def run_collector(*script: Answer) -> Iterator[Collector]:
    answers = list(script)
    requests: list[tuple[Mapping[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((dict(self.headers), body))
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def do_GET(self) -> None:
            """Welcome whoever follows a redirection: spans would be lost there unnoticed."""
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Collector(f"http://127.0.0.1:{server.server_address[1]}", requests)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tell(tracing: Tracing, number: int = 1) -> list[str]:
    """Make finished spans; gives their ids."""
    ids = []
    for _ in range(number):
        with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS, {Tag.ORG_ID: "x" * 100}) as span:
            ids.append(span.span_id)
    return ids


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_refusal_is_tried_again_with_the_same_spans(status: int) -> None:
    with run_collector(Answer(status), Answer()) as collector:
        tracing = start_tracing(endpoint=collector.url)
        [told] = tell(tracing)
        wait_for(lambda: tracing.counts().exported, "the second try")
        tracing.shutdown(30)

    assert collector.span_ids() == [told, told]
    assert tracing.counts() == SpanCounts(exported=1, dropped=0, waiting=0)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
def test_a_lasting_refusal_is_not_tried_again(status: int) -> None:
    elsewhere = Answer(status, headers={"Location": "/elsewhere"})
    with run_collector(elsewhere) as collector:
        tracing = start_tracing(endpoint=collector.url)
        tell(tracing, 3)
        wait_for(tracing.dropped, "the refusal")
        tracing.shutdown(30)

    assert len(collector.requests) == 1
    assert tracing.counts() == SpanCounts(exported=0, dropped=3, waiting=0)


def test_a_wait_that_the_collector_asks_for_beyond_our_patience_gives_the_batch_up() -> None:
    patient = Answer(503, headers={"Retry-After": "3600"})
    with run_collector(patient) as collector:
        tracing = start_tracing(endpoint=collector.url)
        tell(tracing, 2)
        wait_for(tracing.dropped, "the batch to be given up")
        tracing.shutdown(30)

    assert len(collector.requests) == 1
    assert tracing.dropped() == 2


def test_a_shutdown_ends_the_wait_for_a_collector_that_is_away() -> None:
    with run_collector(Answer(503, headers={"Retry-After": "500"})) as collector:
        tracing = start_tracing(endpoint=collector.url, options=CollectorOptions(timeout_s=600))
        tell(tracing)
        wait_for(lambda: collector.requests, "the first try")
        tracing.shutdown(0.1)

        assert tracing.dropped() == 1
        wait_for(
            lambda: "span-export" not in {thread.name for thread in threading.enumerate()},
            "the thread to end",
        )


def test_spans_that_the_collector_refuses_among_others_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    partial = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=2, error_message="too old")
    )
    with run_collector(Answer(body=partial.SerializeToString())) as collector:
        tracing = start_tracing(endpoint=collector.url)
        tell(tracing, 5)
        tracing.shutdown(30)

    assert tracing.counts() == SpanCounts(exported=3, dropped=2, waiting=0)
    assert "refused 2 of 5 spans" in caplog.text


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"\xff" * 100])
def test_an_answer_of_any_content_with_status_200_takes_the_spans(body: bytes) -> None:
    with run_collector(Answer(body=body)) as collector:
        tracing = start_tracing(endpoint=collector.url)
        tell(tracing)
        tracing.shutdown(30)

    assert tracing.counts() == SpanCounts(exported=1, dropped=0, waiting=0)


def test_headers_and_compression_are_those_of_the_settings() -> None:
    options = CollectorOptions(headers={"Authorization": "Bearer t"}, compression="gzip")
    with run_collector(Answer()) as collector:
        tracing = start_tracing(endpoint=collector.url, options=options)
        told = tell(tracing, 3)
        tracing.shutdown(30)

    [(headers, _)] = collector.requests
    assert headers["Authorization"] == "Bearer t"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert collector.span_ids() == told


def test_a_collector_on_this_machine_gets_plain_bytes() -> None:
    with run_collector(Answer()) as collector:
        tracing = start_tracing(endpoint=collector.url)
        told = tell(tracing)
        tracing.shutdown(30)

    [(headers, _)] = collector.requests
    assert "Content-Encoding" not in headers
    assert collector.span_ids() == told


def test_every_span_of_many_threads_arrives_once() -> None:
    told: list[str] = []
    with run_collector(Answer()) as collector:
        tracing = start_tracing(endpoint=collector.url)
        threads = [
            threading.Thread(target=lambda: told.extend(tell(tracing, 2000))) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tracing.shutdown(60)

    assert sorted(collector.span_ids()) == sorted(told)
    assert len(set(told)) == 10_000
    assert tracing.counts() == SpanCounts(exported=10_000, dropped=0, waiting=0)
