"""Our bytes against the stock SDK's: the same story told to both, compared field by field.

The judges are OpenTelemetry's own: its SDK makes the spans, its encoder the messages, its generated
classes read ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from outbound_slo.vocabulary.spans import SPANS, TAGS, SpanName, Tag
from tests.tracing_parts import trace_in_memory
from tracing import wire
from tracing.privacy import SCRUBBED_TAGS
from tracing.propagation import NEW_TRACE, context_from, link_to
from tracing.sdk_pipeline import SpanReader

RESOURCE = {"service.name": "backend", "service.instance.id": "café-1", "empty": ""}
SCOPE = "outbound-slo"
OTHER_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SAMPLED = 1

VALUES = {
    # Lengths about the limits of one- and two-byte numbers, and of the cut.
    str: st.one_of(
        st.text(alphabet=st.characters(codec="utf-8"), max_size=40),
        st.sampled_from([0, 1, 63, 64, 100, 127, 128, 2047, 2048, 2049, 5000]).flatmap(
            lambda size: st.sampled_from("aé€😀").map(lambda letter: letter * size)
        ),
    ),
    int: st.integers(-(2**63) + 1, 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
}
TIMES = st.integers(0, 2**62)


def tags_of(tags: Sequence[Tag]) -> st.SearchStrategy[dict[Tag, object]]:
    return st.fixed_dictionaries({}, optional={tag: VALUES[TAGS[tag].type] for tag in tags})


PLAIN_TAGS = [tag for tag in Tag if tag not in SCRUBBED_TAGS]


@dataclass(frozen=True)
class Step:
    """One span of a story: what is known at its start, what later, and how it ends."""

    name: SpanName
    first: Mapping[Tag, object]
    later: Mapping[Tag, object]
    failure: str | None
    start_ns: int
    end_ns: int


def steps(name: SpanName) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        st.just(name),
        tags_of(PLAIN_TAGS),
        tags_of(PLAIN_TAGS),
        st.none() | st.sampled_from(["session_expired", "refusé", "x" * 500]),
        TIMES,
        TIMES,
    )


class BorrowedIds(IdGenerator):
    """Gives the SDK the ids that our spans were given, in the order in which they were opened."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._traces = iter([int.from_bytes(span.trace_id) for span in spans])
        self._spans: Iterator[int] = iter([int.from_bytes(span.span_id) for span in spans])

    def generate_trace_id(self) -> int:
        return next(self._traces)

    def generate_span_id(self) -> int:
        return next(self._spans)


def tell_ours(root: Step, child: Step, *, remote: bool) -> list[bytes]:
    """Open `child` under `root`, which has a link and may continue another process's trace."""
    written: list[bytes] = []
    tracing, memory = trace_in_memory()
    link = link_to(OTHER_TRACE)
    assert link is not None
    parent = context_from(OTHER_TRACE) if remote else NEW_TRACE
    above = tracing.span(root.name, root.first, parent=parent, links=[link], start_ns=root.start_ns)
    below = tracing.span(child.name, child.first, parent=above.context, start_ns=child.start_ns)
    for step, span in ((child, below), (root, above)):
        span.tags(step.later)
        if step.failure is not None:
            span.fail(step.failure)
        span.end(step.end_ns)
    written.extend(memory.written)
    return written


def tell_the_sdk(
    root: Step, child: Step, ours: Sequence[Span], *, remote: bool
) -> tuple[ReadableSpan, ...]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource(RESOURCE),
        id_generator=BorrowedIds(ours),
        span_limits=SpanLimits(max_attribute_length=wire.LONGEST_TEXT),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer(SCOPE)
    _, trace_id, span_id, flags = OTHER_TRACE.split("-")
    other = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    parent = set_span_in_context(NonRecordingSpan(other)) if remote else None
    above = tracer.start_span(
        root.name.value,
        parent,
        SpanKind[SPANS[root.name].kind.name],
        plain(root.first) | dict(SPANS[root.name].constants),
        [Link(other)],
        start_time=root.start_ns,
    )
    below = tracer.start_span(
        child.name.value,
        set_span_in_context(above),
        SpanKind[SPANS[child.name].kind.name],
        plain(child.first) | dict(SPANS[child.name].constants),
        start_time=child.start_ns,
    )
    for step, span in ((child, below), (root, above)):
        span.set_attributes(plain(step.later))
        if step.failure is not None:
            span.set_attributes({"error": step.failure, "error.type": step.failure})
            span.set_status(Status(StatusCode.ERROR, step.failure))
        span.end(step.end_ns)
    return memory.get_finished_spans()


def plain(tags: Mapping[Tag, object]) -> dict[str, str | int | float | bool]:
    return {tag.value: value for tag, value in tags.items() if isinstance(value, str | int | float)}


def request_of(written: Sequence[bytes]) -> bytes:
    return wire.RequestWriter(RESOURCE, SCOPE).write([wire.frame_span(span) for span in written])


def in_order(span: Span) -> Span:
    """Sort attributes by key: the order in which they were set means nothing."""
    attributes = sorted(span.attributes, key=lambda item: item.key)
    del span.attributes[:]
    span.attributes.extend(attributes)
    return span


def sampled(span: Span) -> Span:
    """Add W3C's sampled flag, which OTLP has in the low byte and the Python SDK leaves out."""
    span.flags |= SAMPLED
    for link in span.links:
        link.flags |= SAMPLED
    return span


@given(
    st.booleans().flatmap(
        lambda remote: st.tuples(
            st.just(remote),
            steps(SpanName.WEBHOOK_IN if remote else SpanName.OUTBOUND_MESSAGE_PROCESS),
            steps(SpanName.WEBHOOK_PROCESS if remote else SpanName.DATABASE_SAVE),
        )
    )
)
def test_a_story_told_by_us_and_by_the_sdk_is_the_same_message(
    story: tuple[bool, Step, Step],
) -> None:
    remote, root, child = story
    written = tell_ours(root, child, remote=remote)
    ours = [Span.FromString(span) for span in written]
    theirs = tell_the_sdk(root, child, (ours[1], ours[0]), remote=remote)

    request = encode_spans(theirs)

    expected = request.resource_spans[0].scope_spans[0].spans
    assert [in_order(span) for span in ours] == [in_order(sampled(span)) for span in expected]

    whole = ExportTraceServiceRequest.FromString(request_of(written))
    for span in whole.resource_spans[0].scope_spans[0].spans:
        in_order(span)
    assert whole == request

    reader = SpanReader(RESOURCE, SCOPE)
    read_back = encode_spans([reader.read(span, ReadableSpan) for span in written])
    for span in read_back.resource_spans[0].scope_spans[0].spans:
        in_order(sampled(span))
    assert read_back == request


def as_integer(value: object) -> int:
    assert isinstance(value, int)
    return value


EDGES = [edge + step for power in range(7, 63, 7) for edge in [2**power] for step in (-1, 0, 1)]


@pytest.mark.parametrize("number", [0, 1, 4095, 4096, *EDGES, 2**63 - 1, -1, -(2**63) + 1])
def test_every_size_of_number_is_read_back(number: int) -> None:
    span = Span.FromString(wire.integer_writer("n", as_integer)(number))

    assert span.attributes[0].value.int_value == number


@pytest.mark.parametrize("spans", [0, 1, 5, 3000])
def test_a_request_holds_all_its_spans(spans: int) -> None:
    tracing, memory = trace_in_memory()
    for _ in range(spans):
        with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS):
            pass

    whole = ExportTraceServiceRequest.FromString(request_of(memory.written))

    scope_spans = whole.resource_spans[0].scope_spans[0]
    assert [span.span_id.hex() for span in scope_spans.spans] == [
        span.span_id for span in memory.spans
    ]
    assert scope_spans.scope.name == SCOPE


def test_a_text_is_cut_between_characters() -> None:
    span = Span.FromString(wire.text_writer("k", str)("😀" * 3000))

    assert span.attributes[0].value.string_value == "😀" * 2048


def test_text_that_utf8_cannot_carry_is_repaired() -> None:
    tracing, memory = trace_in_memory()
    with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS, {Tag.ORG_ID: "caf\udce9"}) as attempt:
        attempt.fail("oops", "caf\udce9")

    [span] = memory.spans
    assert span.tags["org.id"] == "caf?"
    assert span.message.status.message == "caf?"
