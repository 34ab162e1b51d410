"""The SDK's pipeline beside ours: the same spans arrive; losses count as far as it tells."""

import logging
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import StatusCode

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import SPANS, SpanName, Tag
from outbound_slo.vocabulary.transport import TracePipeline, TraceProtocol
from tests.integration.collectors import (
    Verdict,
    run_collector,
    run_hanging_collector,
)
from tests.patience import wait_for
from tests.tracing_parts import SECOND_NS, tell_delivered_message, trace_in_memory
from tracing.export import SpanCounts
from tracing.options import CollectorOptions
from tracing.pipeline import open_pipeline
from tracing.propagation import NEW_TRACE, name_story
from tracing.sdk_pipeline import SpanBridge, SpanReader
from tracing.setup import Tracing, start_tracing

RESOURCE = {"service.name": "backend", "service.instance.id": "café-1", "empty": ""}
SCOPE = "outbound-slo"
SAMPLED = 1
START_NS = 1_790_000_000 * SECOND_NS


@pytest.fixture(params=list(TraceProtocol))
def protocol(request: pytest.FixtureRequest) -> TraceProtocol:
    return TraceProtocol(request.param)


def tell_stories() -> list[bytes]:
    """Tell a few, with links, remote parents, failures, and tags of every type."""
    tracing, memory = trace_in_memory()
    for message_id in (1, 2**40):
        tell_delivered_message(tracing, message_id, START_NS)
    with tracing.span(
        SpanName.OUTBOUND_MESSAGE_PROCESS, {Tag.ORG_ID: "é😀" * 3000, Tag.MESSAGE_ID: -1}
    ) as attempt:
        attempt.note_exception("ServerDisconnectedError")
        attempt.fail("refusé", "with a text")
    own = name_story(f"00-{'ab' * 16}-{'cd' * 8}-00")
    kept = tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS, parent=NEW_TRACE, own=own)
    kept.decide(keep=True)
    kept.end()
    return memory.written


def export(
    stories: Sequence[bytes], pipeline: TracePipeline, protocol: TraceProtocol
) -> list[ExportTraceServiceRequest]:
    with run_collector(protocol) as collector:
        way = open_pipeline(
            collector.url,
            CollectorOptions(protocol=protocol, pipeline=pipeline, timeout_s=60),
            RESOURCE,
            SCOPE,
            capacity=len(stories),
        )
        for span in stories:
            way.take(span)
        way.close(60)
    assert way.counts() == SpanCounts(exported=len(stories), dropped=0, waiting=0)
    return collector.decoded()


def joined(requests: Sequence[ExportTraceServiceRequest]) -> ExportTraceServiceRequest:
    """Put the spans of all requests into one, whose resource and scope all must share."""
    whole, *rest = requests
    [group] = whole.resource_spans
    [scoped] = group.scope_spans
    for request in rest:
        [other] = request.resource_spans
        [spans] = other.scope_spans
        assert other.resource == group.resource
        assert spans.scope == scoped.scope
        scoped.spans.extend(spans.spans)
    return whole


def test_both_pipelines_deliver_the_same_message(protocol: TraceProtocol) -> None:
    stories = tell_stories()

    ours = joined(export(stories, TracePipeline.LEAN, protocol))
    theirs = joined(export(stories, TracePipeline.SDK, protocol))

    spans = ours.resource_spans[0].scope_spans[0].spans
    assert len(spans) == len(stories) == 24
    # The story is worth telling: everything that could differ is in it.
    assert {span.kind for span in spans} >= {1, 2, 3, 5}
    assert {span.status.code for span in spans} == {Status.STATUS_CODE_UNSET, 2}
    assert {item.value.WhichOneof("value") for span in spans for item in span.attributes} == {
        "string_value", "int_value", "double_value", "bool_value",
    }  # fmt: skip
    assert sum(len(span.links) for span in spans) == 4
    assert sum(len(span.events) for span in spans) == 1
    assert {span.flags for span in spans} == {0x100, 0x101, 0x301}
    for span in (*spans, *theirs.resource_spans[0].scope_spans[0].spans):
        # The one difference that is known: the Python SDK leaves W3C's sampled flag out.
        span.flags |= SAMPLED
        for link in span.links:
            link.flags |= SAMPLED
    assert ours == theirs


class Notebook(SpanProcessor):
    """A user's own processor."""

    def __init__(self) -> None:
        self.ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


def test_a_users_own_span_processor_gets_every_finished_span() -> None:
    notebook = Notebook()
    bridge = SpanBridge([notebook], SpanReader(RESOURCE, SCOPE))
    tracing = start_tracing(sinks=[bridge.take])
    with (
        tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS, {Tag.MESSAGE_ID: 7}) as attempt,
        tracing.span(SpanName.DATABASE_SAVE) as save,
    ):
        save.fail("gone", "the database went away")

    child, root = notebook.ended
    assert (child.name, root.name) == ("database.save", "outbound-message-process")
    constants = dict(SPANS[SpanName.OUTBOUND_MESSAGE_PROCESS].constants)
    assert root.attributes == {"message.id": 7} | constants
    assert root.parent is None
    assert child.parent is not None
    assert f"{child.parent.span_id:016x}" == attempt.span_id
    assert child.status.status_code is StatusCode.ERROR
    assert child.status.description == "the database went away"
    assert root.resource.attributes == RESOURCE
    assert root.instrumentation_scope is not None
    assert root.instrumentation_scope.name == SCOPE


def start(url: str, protocol: TraceProtocol, *, timeout_s: float = 60) -> Tracing:
    options = CollectorOptions(protocol=protocol, pipeline=TracePipeline.SDK, timeout_s=timeout_s)
    return start_tracing(endpoint=url, options=options)


def make_spans(tracing: Tracing, number: int) -> None:
    for _ in range(number):
        with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS):
            pass


def test_headers_and_compression_are_those_of_the_settings(protocol: TraceProtocol) -> None:
    options = CollectorOptions(
        headers={"Authorization": "Bearer t"},
        compression="gzip",
        protocol=protocol,
        pipeline=TracePipeline.SDK,
    )
    with run_collector(protocol) as collector:
        tracing = start_tracing(endpoint=collector.url, options=options)
        make_spans(tracing, 2)
        tracing.shutdown(60)

    headers = {name.lower(): value for name, value in collector.requests[0][0].items()}
    assert headers["authorization"] == "Bearer t"
    # gRPC's server keeps to itself how a message was packed.
    assert headers.get("content-encoding", "gzip") == "gzip"
    assert len(collector.spans()) == 2


def test_a_refused_batch_is_dropped_and_counted(protocol: TraceProtocol) -> None:
    with run_collector(protocol, lambda: Verdict.REFUSED) as collector:
        tracing = start(collector.url, protocol)
        make_spans(tracing, 3)
        tracing.shutdown(60)

    assert len(collector.requests) == 1
    assert tracing.counts() == SpanCounts(exported=0, dropped=3, waiting=0)


def test_what_a_full_queue_dropped_is_counted_when_the_next_batch_leaves(
    protocol: TraceProtocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    turns = threading.Semaphore(0)

    def wait_turn() -> Verdict:
        turns.acquire()
        return Verdict.TAKEN

    with run_collector(protocol, wait_turn) as collector:
        tracing = start(collector.url, protocol)
        make_spans(tracing, 50)
        wait_for(lambda: collector.requests, "the first batch")
        # The exporter is stuck with what it took; this loop must end all the same.
        make_spans(tracing, 1000)
        assert tracing.counts() == SpanCounts(exported=0, dropped=0, waiting=1050)

        turns.release(100)
        wait_for(lambda: tracing.counts().exported == 150, "what the queue held to be taken")
        assert tracing.counts() == SpanCounts(exported=150, dropped=900, waiting=0)
        tracing.shutdown(60)

    assert len({span.span_id for span in collector.spans()}) == 150
    assert tracing.counts() == SpanCounts(exported=150, dropped=900, waiting=0)


def test_shutdown_leaves_a_hanging_collector_behind(protocol: TraceProtocol) -> None:
    with run_hanging_collector(protocol) as (collector, arrived):
        tracing = start(collector.url, protocol)
        make_spans(tracing, 600)
        assert arrived.wait(30)

        tracing.shutdown(0.1)
        make_spans(tracing, 1)

        assert tracing.dropped() == 601
    wait_for(
        lambda: "OtelBatchSpanRecordProcessor" not in {each.name for each in threading.enumerate()},
        "the processor's thread to end",
    )


def test_delivery_resumes_when_the_collector_is_started_again(
    protocol: TraceProtocol, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with run_collector(protocol) as before:
        tracing = start(before.url, protocol, timeout_s=1)
        make_spans(tracing, 5)
        wait_for(lambda: tracing.counts().exported == 5, "the first spans to be taken")

    with caplog.at_level(logging.CRITICAL):
        make_spans(tracing, 300)
        wait_for(lambda: tracing.dropped() == 300, "what was made meanwhile to be lost")

    port = int(before.url.rpartition(":")[2])
    with run_collector(protocol, port=port):

        def resumed() -> bool:
            make_spans(tracing, 1)
            return tracing.counts().exported > 5

        wait_for(resumed, "delivery to resume")
        tracing.shutdown(30)

    assert tracing.counts().waiting == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "")],
)
def test_a_variable_that_the_sdk_refuses_is_the_users_mistake(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(UserMistake, match="OpenTelemetry's SDK refuses a setting: "):
        start("http://127.0.0.1:1", TraceProtocol.GRPC)


def test_a_span_of_every_kind_is_read_back() -> None:
    reader = SpanReader(RESOURCE, SCOPE)
    for name, number in Span.SpanKind.items():
        if number == Span.SPAN_KIND_UNSPECIFIED:
            continue
        written = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="x", kind=number)
        read = reader.read(written.SerializeToString(), ReadableSpan)
        assert f"SPAN_KIND_{read.kind.name}" == name


class Stumbling(SpanProcessor):
    """A user's own processor with a fault."""

    def on_end(self, span: ReadableSpan) -> None:
        raise ValueError(span.name)


def test_a_users_own_span_processor_that_fails_breaks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notebook = Notebook()
    bridge = SpanBridge([Stumbling(), notebook], SpanReader(RESOURCE, SCOPE))
    tracing = start_tracing(sinks=[bridge.take])
    for _ in range(3):
        tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS).end()

    assert len(notebook.ended) == 3
    assert [record.message for record in caplog.records] == [
        "a span processor failed (logged once)"
    ]
