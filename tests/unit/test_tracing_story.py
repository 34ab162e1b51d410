"""Spans as they come out: parents, tags, failures, contexts across tasks, and mistakes."""

import asyncio
import contextvars
import logging
import subprocess
import sys

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import SpanName, Tag
from tests.tracing_parts import trace_in_memory
from tracing.hierarchy import IllegalStoryError
from tracing.propagation import NEW_TRACE, context_from, link_to
from tracing.setup import start_tracing

PROCESS = SpanName.OUTBOUND_MESSAGE_PROCESS
SEND = SpanName.WHATSAPP_SEND


def test_nested_spans_form_the_runbooks_tree() -> None:
    tracing, memory = trace_in_memory()
    with tracing.span(PROCESS, {Tag.MESSAGE_ID: 1}) as attempt:
        with tracing.span(SEND) as send:
            with tracing.span(SpanName.SESSION_WINDOW_CHECK):
                pass
            with tracing.span(SpanName.HTTP_CLIENT_REQUEST):
                pass
        with tracing.span(SpanName.DATABASE_SAVE):
            pass
        with tracing.span(SpanName.METRICS_RECORD):
            pass

    spans = memory.by_name()
    parents = {name: span.parent_id for name, span in spans.items() if span.parent_id}
    assert parents == {
        "whatsapp-cloud-api-send": attempt.span_id,
        "session.window.check": send.span_id,
        "http.client.request": send.span_id,
        "database.save": attempt.span_id,
        "metrics.record": attempt.span_id,
    }
    assert {span.trace_id for span in spans.values()} == {attempt.trace_id}
    assert spans["outbound-message-process"].message.kind == Span.SPAN_KIND_CONSUMER
    assert spans["http.client.request"].message.kind == Span.SPAN_KIND_CLIENT


def test_a_span_in_the_wrong_place_raises_in_strict_mode() -> None:
    tracing, _ = trace_in_memory()

    with pytest.raises(IllegalStoryError, match=r"span http\.client\.request cannot start a trace"):
        tracing.span(SpanName.HTTP_CLIENT_REQUEST)
    with (
        tracing.span(PROCESS),
        pytest.raises(IllegalStoryError, match="cannot stand under outbound-message-process"),
    ):
        tracing.span(SpanName.HTTP_CLIENT_REQUEST)


def test_a_tag_of_the_wrong_type_raises_in_strict_mode() -> None:
    tracing, _ = trace_in_memory()

    with (
        tracing.span(PROCESS) as attempt,
        pytest.raises(IllegalStoryError, match=r"tag message\.id takes int, not str '12'"),
    ):
        attempt.tag(Tag.MESSAGE_ID, "12")


def test_in_production_a_mistake_is_logged_once_and_the_span_is_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracing, memory = trace_in_memory(strict=False)

    with caplog.at_level(logging.ERROR, logger="tracing"):
        for number in range(3):
            with tracing.span(SpanName.DATABASE_SAVE) as save:
                save.tags({Tag.STATUS: "SENT", Tag.MESSAGE_ID: f"text {number}"})

    assert len(memory.spans) == 3
    assert memory.spans[0].tags == {"status": "SENT"}
    place, value = (record.getMessage() for record in caplog.records)
    assert place.startswith("span database.save cannot start a trace; legal: under outbound-")
    assert value == "tag message.id takes int, not str 'text 0' (logged once)"


def test_a_failure_has_the_runbooks_error_tag_and_the_span_status() -> None:
    tracing, memory = trace_in_memory()
    with tracing.span(PROCESS), tracing.span(SEND) as send:
        send.fail("session_expired", "The 24-hour window is over")

    span = memory.by_name()[SEND]
    assert span.tags == {
        "error": "session_expired",
        "error.type": "session_expired",
        "error.message": "The 24-hour window is over",
    }
    assert span.message.status.code == Status.STATUS_CODE_ERROR
    assert span.message.status.message == "The 24-hour window is over"


def test_an_escaping_exception_leaves_its_class_and_no_text() -> None:
    tracing, memory = trace_in_memory()

    def call() -> None:
        with tracing.span(PROCESS), tracing.span(SEND):
            raise ConnectionResetError("token=secret")

    with pytest.raises(ConnectionResetError):
        call()

    for span in memory.spans:
        assert span.tags["exception"] == "ConnectionResetError"
        assert span.tags["error"] == "ConnectionResetError"
        assert "secret" not in str(span.message)


def test_a_failure_told_before_an_exception_keeps_its_name() -> None:
    tracing, memory = trace_in_memory()

    def call() -> None:
        with tracing.span(PROCESS) as attempt:
            attempt.fail("shutting_down")
            raise TimeoutError

    with pytest.raises(TimeoutError):
        call()

    assert memory.by_name()[PROCESS].tags["error"] == "shutting_down"


def test_shared_tags_stand_on_process_span_and_provider_span() -> None:
    tracing, memory = trace_in_memory()
    with (
        tracing.span(PROCESS, {Tag.MESSAGE_TO: "+33612345678"}),
        tracing.span(SEND, {Tag.HAS_TEMPLATE: True}) as send,
    ):
        send.tags({Tag.STATUS: "QUEUED", Tag.ERROR_CODE: "130", Tag.HTTP_STATUS: 429})

    shared = {
        "message.to": "+33612345678",
        "has.template": True,
        "status": "QUEUED",
        "error.code": "130",
    }
    assert memory.by_name()[PROCESS].tags == shared
    assert memory.by_name()[SEND].tags == {**shared, "http.status": 429}


def test_a_tag_without_a_value_is_left_out() -> None:
    tracing, memory = trace_in_memory()
    with tracing.span(PROCESS, {Tag.TEMPLATE_CODE: None}) as attempt:
        attempt.tag(Tag.SESSION_ID, None)

    assert memory.by_name()[PROCESS].tags == {}


def test_a_webhook_continues_the_stored_trace_and_the_next_attempt_links_to_it() -> None:
    tracing, memory = trace_in_memory()
    with tracing.span(PROCESS, parent=NEW_TRACE) as first:
        stored = first.traceparent
    link = link_to(stored)
    assert link is not None
    with tracing.span(SpanName.WEBHOOK_IN, parent=context_from(stored)) as webhook:
        pass
    with tracing.span(PROCESS, parent=NEW_TRACE, links=[link]) as second:
        pass

    assert webhook.trace_id == first.trace_id
    assert second.trace_id != first.trace_id
    arrived = memory.by_name()[SpanName.WEBHOOK_IN]
    assert arrived.parent_id == first.span_id
    linked = memory.spans[-1].message.links
    assert [link.trace_id.hex() for link in linked] == [first.trace_id]


def test_baggage_of_an_explicit_parent_becomes_tags() -> None:
    tracing, memory = trace_in_memory()
    baggage = {"sessionId": "session-789", "run.id": "run-456", "hypothesis.id": "hyp-123"}
    with tracing.span(PROCESS, parent=context_from(None, baggage)), tracing.span(SEND):
        pass

    assert memory.by_name()[PROCESS].tags == {
        "session.id": "session-789",
        "run.id": "run-456",
        "hypothesis.id": "hyp-123",
    }


def test_concurrent_tasks_keep_their_own_traces() -> None:
    tracing, memory = trace_in_memory()

    async def attempt(number: int) -> None:
        with tracing.span(PROCESS, {Tag.MESSAGE_ID: number}, parent=NEW_TRACE):
            await asyncio.sleep(0)
            with tracing.span(SEND, {Tag.HTTP_STATUS: number}):
                await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(*(attempt(number) for number in range(20)))

    asyncio.run(run())

    spans = memory.spans
    attempts = {span.trace_id: span.tags["message.id"] for span in spans if span.name == PROCESS}
    sends = {span.trace_id: span.tags["http.status"] for span in spans if span.name == SEND}
    assert len(attempts) == 20
    assert attempts == sends


def test_work_of_another_task_is_recorded_under_the_span_it_belongs_to() -> None:
    tracing, memory = trace_in_memory()
    attempt = tracing.span(PROCESS, parent=NEW_TRACE, start_ns=1_000)
    tracing.record(SpanName.DATABASE_SAVE, parent=attempt.context, start_ns=2_000, end_ns=5_000)
    attempt.end(9_000)

    save, whole = memory.spans
    assert (save.start_ns, save.end_ns) == (2_000, 5_000)
    assert (whole.start_ns, whole.end_ns) == (1_000, 9_000)
    assert save.parent_id == attempt.span_id


@pytest.mark.parametrize("endpoint", [None, ""])
def test_ids_work_without_any_export(endpoint: str | None) -> None:
    tracing = start_tracing(endpoint=endpoint, strict=True)
    with tracing.span(PROCESS) as attempt:
        version, trace_id, span_id, _ = attempt.traceparent.split("-")

    assert (version, trace_id, span_id) == ("00", attempt.trace_id, attempt.span_id)
    assert int(trace_id, 16) > 0
    assert tracing.dropped() == 0
    tracing.shutdown()


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://collector", "http://"])
def test_an_endpoint_that_is_no_url_is_the_users_mistake(endpoint: str) -> None:
    with pytest.raises(UserMistake, match=r"is not an http\(s\) URL\. Give one like"):
        start_tracing(endpoint=endpoint)


def test_a_tag_after_the_end_is_a_mistake_and_a_second_end_is_none() -> None:
    tracing, memory = trace_in_memory()
    with tracing.span(PROCESS) as attempt:
        pass

    attempt.end()
    with pytest.raises(IllegalStoryError, match=r"span outbound-message-process has ended"):
        attempt.tag(Tag.STATUS, "SENT")

    assert len(memory.spans) == 1


def test_a_provider_span_that_outlives_the_attempt_leaves_it_as_it_was_told() -> None:
    tracing, memory = trace_in_memory()
    attempt = tracing.span(PROCESS, {Tag.MESSAGE_TO: "+33612345678"}, parent=NEW_TRACE)
    send = tracing.span(SEND, parent=attempt.context)
    attempt.end()
    send.tag(Tag.STATUS, "SENT")
    send.end()

    spans = memory.by_name()
    assert "status" not in spans[PROCESS].tags
    assert spans[SEND].tags == {"message.to": "+33612345678", "status": "SENT"}


def test_a_time_that_no_clock_shows_does_not_cost_the_span(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracing, memory = trace_in_memory(strict=False)
    with caplog.at_level(logging.ERROR, logger="tracing"):
        tracing.span(PROCESS, parent=NEW_TRACE, start_ns=-5).end(2**70)

    [span] = memory.spans
    assert (span.start_ns, span.end_ns) == (0, 2**64 - 1)
    assert "has a time that no clock shows" in caplog.text


def test_a_span_left_in_another_task_than_it_was_entered_in_ends_all_the_same() -> None:
    tracing, memory = trace_in_memory()
    attempt = tracing.span(PROCESS, parent=NEW_TRACE)
    contextvars.copy_context().run(attempt.__enter__)
    attempt.__exit__(None, None, None)

    assert [span.name for span in memory.spans] == [PROCESS]


def test_without_a_collector_nothing_is_kept_and_nothing_judged() -> None:
    tracing = start_tracing()
    with tracing.span(PROCESS, {Tag.MESSAGE_ID: "no integer"}) as attempt:
        attempt.tag(Tag.STATUS, 7)
        attempt.fail("oops")
        with tracing.span(SEND, {Tag.HAS_TEMPLATE: True}) as send:
            pass

    assert send.trace_id == attempt.trace_id
    assert send.span_id != attempt.span_id


FORKING = """
import os
from outbound_slo.vocabulary.spans import SpanName
from tracing.setup import start_tracing
child = os.fork()
with start_tracing().span(SpanName.OUTBOUND_MESSAGE_PROCESS) as attempt:
    os.write(1, f"{attempt.trace_id}\\n".encode())  # whole: two processes share the pipe
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_process_gives_ids_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=True
    )

    assert len(set(done.stdout.split())) == 2
