"""The story of a message as the real sender tells it, against the simulator and a real store."""

import itertools
from pathlib import Path

from outbound_slo.vocabulary.spans import SPANS, TAGS, SpanName, Tag
from sender.enqueue import NewMessage
from tests.integration.sending import NUMBER, ORG, Sending, template_message
from tests.patience import wait_for
from tracing.jaeger import JaegerClient
from tracing.traces import Span, Trace

OUTAGE = {"kind": "error", "provider": "meta", "http_status": 500, "code": 131016}


def named(trace: Trace, name: SpanName) -> Span:
    return next(span for span in trace.spans if span.name == name)


def fail_then_deliver(sending: Sending, client: JaegerClient) -> tuple[int, list[Trace]]:
    """Let a message meet an outage, heal it, and wait for the whole story.

    Gives the message and its traces, the first a failed attempt and the last a delivered one. There
    may be more between them, if the machine is slow to heal.
    """
    sending.set_faults(OUTAGE)
    [message] = sending.queue(template_message())
    failed = "SELECT 1 FROM outbound_attempt WHERE outbound_message_id = %s AND outcome = 'FAILED'"
    wait_for(lambda: sending.execute(failed, message), "the first attempt to fail")
    sending.set_faults()

    def look() -> list[Trace]:
        # A receipt that overtakes the settlement has a trace of its own, which is no attempt's.
        traces = [
            trace
            for trace in client.traces_of_message(message)
            if trace.root.name == SpanName.OUTBOUND_MESSAGE_PROCESS
        ]
        updates = [
            span.tags.get(Tag.NEW_STATUS.value)
            for trace in traces[-1:]
            for span in trace.spans
            if span.name == SpanName.STATUS_UPDATE
        ]
        whole = bool(traces) and traces[-1].root.parent_id is None
        return traces if whole and "DELIVERED" in updates else []

    return message, wait_for(look, f"the trace of message {message}'s delivery")


def test_each_attempt_is_a_trace_and_the_webhook_continues_the_one_it_answers(
    sending: Sending, store: str
) -> None:
    message, (failed, *between, sent) = fail_then_deliver(sending, JaegerClient(store))

    assert [span.name for span in failed.spans][:2] == [
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        SpanName.WHATSAPP_SEND,
    ]
    assert failed.root.tags["message.attempt"] == 1
    assert failed.root.tags["error.code"] == "131016"
    assert failed.root.tags["status"] == "QUEUED"
    call = named(failed, SpanName.HTTP_CLIENT_REQUEST)
    assert (call.failed, call.tags["http.status_code"]) == (True, 500)
    assert sent.root.tags["message.attempt"] == 2 + len(between)
    assert sent.root.tags["status"] == "SENT"
    # Each attempt is linked to the one before, and stored with its row.
    for earlier, later in itertools.pairwise((failed, *between, sent)):
        assert earlier.trace_id in {link.trace_id for link in later.root.links}
    rows = sending.execute(
        "SELECT traceparent FROM outbound_attempt WHERE outbound_message_id = %s"
        " ORDER BY attempt_no",
        message,
    )
    assert [traceparent.split("-")[1] for (traceparent,) in rows] == [
        trace.trace_id for trace in (failed, *between, sent)
    ]
    webhook = named(sent, SpanName.WEBHOOK_IN)
    assert webhook.parent_id in {sent.root.span_id, named(sent, SpanName.WHATSAPP_SEND).span_id}
    process = named(sent, SpanName.WEBHOOK_PROCESS)
    provider_id = named(sent, SpanName.WHATSAPP_SEND).tags["provider.message.id"]
    assert process.tags["provider.message.id"] == provider_id


def test_a_message_outside_its_window_leaves_the_runbooks_first_pattern(
    sending: Sending, store: str
) -> None:
    free_form = NewMessage(ORG, template_message().channel, NUMBER, payload={"text": "Hello"})
    [message] = sending.queue(free_form)
    client = JaegerClient(store)

    def look() -> list[Trace]:
        return [
            trace for trace in client.traces_of_message(message) if trace.root.parent_id is None
        ]

    [trace] = wait_for(look, f"the trace of message {message}")

    send = named(trace, SpanName.WHATSAPP_SEND)
    assert send.failed
    assert send.tags["within.session.window"] is False
    assert send.tags["has.template"] is False
    assert send.tags["status"] == "FAILED"
    assert named(trace, SpanName.SESSION_WINDOW_CHECK).parent_id == send.span_id
    assert SpanName.HTTP_CLIENT_REQUEST not in {span.name for span in trace.spans}


def test_every_span_of_the_sender_stands_in_its_place_with_typed_tags(
    sending: Sending, store: str, tmp_path: Path
) -> None:
    _, traces = fail_then_deliver(sending, JaegerClient(store))

    for trace in traces:
        by_id = {span.span_id: span for span in trace.spans}
        for span in trace.spans:
            row = SPANS[SpanName(span.name)]
            above = None if span.parent_id is None else SpanName(by_id[span.parent_id].name)
            assert above in row.parents | row.remote_parents, span.name
            constants = dict(row.constants)
            assert {key: span.tags[key] for key in constants} == constants
            for key in span.tags.keys() - constants.keys():
                assert type(span.tags[key]) is TAGS[Tag(key)].type, key
    logs = "".join(log.read_text() for log in tmp_path.rglob("sender*.log"))
    assert "legal:" not in logs
    assert "tag " not in logs
