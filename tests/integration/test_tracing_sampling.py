"""Sampled traces: what the head leaves out, what failure keeps, and what a webhook brings back."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg_pool
import pytest

from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus
from sender.callbacks import Caller
from sender.inbox import Inbox
from sender.intake import Arrival
from sender.metrics import SenderMetrics
from sender.outbox import Order, Pool, Settlement, claim, look_for_lanes, recover, settle
from sender.retelling import tell_lost
from tests.integration.sending import NUMBER, Sending, template_message
from tests.outbox_parts import WHATSAPP, Outbox
from tests.patience import wait_for
from tests.tracing_parts import FinishedSpans, open_store, trace_in_memory
from tracing.jaeger import JaegerClient
from tracing.propagation import context_from
from tracing.sampling import Sampler, read_sampler
from tracing.traces import Trace

HALF = read_sampler("traceidratio", "0.5")
NEVER = read_sampler("always_off", None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    with open_store(tmp_path / "traces.db") as url:
        yield url


@pytest.fixture
def sending(database: str, tmp_path: Path, store: str) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        sending.allow(NUMBER)
        sending.start_simulator("--never-delivered-rate", "1")
        sending.start_sender(
            OTEL_EXPORTER_OTLP_ENDPOINT=store,
            OTEL_TRACES_SAMPLER="always_off",
            OUTBOUND_TRACE_SLOW_MS="60000",
        )
        yield sending


def tell(provider_id: str, status: str, **more: object) -> dict[str, Any]:
    """Write Meta's webhook about one message."""
    said = {"id": provider_id, "status": status, "timestamp": str(int(time.time())), **more}
    value = {"metadata": {"phone_number_id": "10001"}, "statuses": [said]}
    change = {"field": "messages", "value": value}
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}


def attempt_row(sending: Sending, message: int) -> tuple[Any, ...]:
    [row] = sending.execute(
        "SELECT traceparent, trace_kept, trace_stages, provider_message_id FROM outbound_attempt"
        " WHERE outbound_message_id = %s AND settled_at IS NOT NULL",
        message,
    )
    return row


def await_status(sending: Sending, message: int, status: str) -> None:
    wait_for(lambda: sending.statuses([message])[0][0] == status, f"message {message} {status}")


def test_a_failure_that_a_webhook_brings_is_told_from_its_beginning(
    sending: Sending, store: str
) -> None:
    client = JaegerClient(store)
    [message] = sending.queue(template_message())
    await_status(sending, message, "SENT")
    traceparent, kept, stages, provider_id = attempt_row(sending, message)
    trace_id = traceparent.split("-")[1]
    assert traceparent.endswith("-00")
    assert kept is False
    assert {SpanName.WHATSAPP_SEND, SpanName.HTTP_CLIENT_REQUEST} <= stages["steps"].keys()
    # A good receipt is no reason to bring it back.
    assert sending.post_webhook(tell(provider_id, "sent")).ok
    errors = [{"code": 131026, "title": "Message undeliverable"}]
    assert sending.post_webhook(tell(provider_id, "failed", errors=errors)).ok

    def look() -> Trace | None:
        found = client.trace(trace_id)
        names = {span.name for span in found.spans} if found else set()
        return (
            found if {SpanName.OUTBOUND_MESSAGE_PROCESS, SpanName.STATUS_UPDATE} <= names else None
        )

    trace = wait_for(look, "the story of the failed message")
    assert trace is not None
    assert [span.name for span in trace.spans].count(SpanName.WEBHOOK_IN) == 1
    spans = {span.name: span for span in trace.spans}
    root, send = trace.root, spans[SpanName.WHATSAPP_SEND]
    assert (root.name, root.span_id) == (SpanName.OUTBOUND_MESSAGE_PROCESS, trace_id[:16])
    assert root.tags["message.id"] == message
    assert send.parent_id == root.span_id
    assert send.tags["provider.message.id"] == provider_id
    assert send.tags["http.status"] == 200
    assert spans[SpanName.HTTP_CLIENT_REQUEST].parent_id == send.span_id
    assert spans[SpanName.SESSION_WINDOW_CHECK].parent_id == send.span_id
    assert spans[SpanName.DATABASE_SAVE].parent_id == root.span_id
    assert spans[SpanName.WEBHOOK_IN].parent_id == root.span_id
    assert spans[SpanName.STATUS_UPDATE].failed
    offset, took = stages["steps"][SpanName.HTTP_CLIENT_REQUEST]
    call = spans[SpanName.HTTP_CLIENT_REQUEST]
    assert call.start_us == (int(stages["from"]) + offset) // 1000
    assert call.duration_us == took // 1000
    assert attempt_row(sending, message)[1] is True


def test_a_delivered_message_that_was_left_out_leaves_no_span_and_a_failed_one_does(
    sending: Sending, store: str
) -> None:
    client = JaegerClient(store)
    [good] = sending.queue(template_message())
    await_status(sending, good, "SENT")
    provider_id = attempt_row(sending, good)[3]
    assert sending.post_webhook(tell(provider_id, "delivered")).ok
    await_status(sending, good, "DELIVERED")
    sending.set_faults({"kind": "error", "provider": "meta", "http_status": 400, "code": 133004})
    [bad] = sending.queue(template_message())
    await_status(sending, bad, "FAILED")

    [trace] = wait_for(lambda: client.traces_of_message(bad), "the trace of the failed message")

    assert trace.root.tags["error.code"] == "133004"
    assert trace.root.span_id == trace.trace_id[:16]
    assert attempt_row(sending, bad)[:3][1:] == (True, None)
    # The failed one came after it, so the other will not come any more.
    assert client.traces_of_message(good) == []


def claim_with(outbox: Outbox, sampler: Sampler) -> list[Any]:
    async def work(pool: Pool) -> Any:  # noqa: ANN401 - a claim
        states, _ = await look_for_lanes(pool, [WHATSAPP])
        outbox.book.note_look(states, 0.0, 0.0)
        shares = outbox.book.plan({WHATSAPP: 100}, 0.0, {})
        return await claim(pool, worker="w", order=Order({WHATSAPP: 100}, shares), sampler=sampler)

    return list(outbox.use(work).messages)


def test_the_database_and_the_sender_draw_the_same_line(database: str) -> None:
    outbox = Outbox(database)
    for number in range(60):
        outbox.add(f"+33600000{number:03}")

    contexts = [context_from(one.own_traceparent) for one in claim_with(outbox, HALF)]

    decisions = [(one.sampled, HALF.decide(one.trace_bytes)) for one in contexts if one]
    assert len(decisions) == 60
    assert all(stored is decided for stored, decided in decisions)
    assert 5 < sum(stored for stored, _ in decisions) < 55
    assert all(one.span_bytes == one.trace_bytes[:8] for one in contexts if one)


@pytest.mark.parametrize("flag", ["00", "01"])
def test_a_sampler_that_follows_does_as_the_request_did(database: str, flag: str) -> None:
    outbox = Outbox(database)
    outbox.add("+33600000000")
    outbox.change(
        "UPDATE outbound_message SET traceparent = %s", f"00-{'a' * 32}-{'b' * 16}-{flag}"
    )

    name = "parentbased_always_off" if flag == "01" else "parentbased_always_on"
    [message] = claim_with(outbox, read_sampler(name, None))

    assert message.own_traceparent.endswith(f"-{flag}")


def apply_failure(outbox: Outbox, reference: str, memory: FinishedSpans | None = None) -> None:
    """Let a failure arrive that names the attempt by our reference."""
    tracing, spans = trace_in_memory()
    if memory is not None:
        memory.spans = spans.spans

    async def work(pool: Pool) -> None:
        inbox = Inbox(pool, tracing, ErrorPolicy.RUNBOOK, SenderMetrics())
        body = tell(
            "wamid.early",
            "failed",
            biz_opaque_callback_data=reference,
            errors=[{"code": 131026, "title": "Message undeliverable"}],
        )
        await inbox.store(Arrival(Caller.WHATSAPP, json.dumps(body), None))
        while await inbox.apply_some():
            pass

    async def run() -> None:
        pool: Pool = psycopg_pool.AsyncConnectionPool(outbox.database, min_size=1, open=False)
        async with pool:
            await work(pool)

    asyncio.run(run())


def test_a_failure_that_is_quicker_than_the_settlement_has_the_sender_keep_the_story(
    database: str,
) -> None:
    outbox = Outbox(database)
    outbox.add("+33600000000")
    [message] = claim_with(outbox, NEVER)
    webhook = FinishedSpans()
    apply_failure(outbox, message.reference, webhook)
    one = Settlement(
        message.id, 1, AttemptOutcome.SENT, MessageStatus.SENT, trace_kept=False, trace_stages={}
    )

    written = outbox.use(lambda pool: settle(pool, [one]))

    assert written.wanted == {message.id}
    # The webhook's spans stand in the attempt's trace, though it was not settled yet.
    [hop] = [span for span in webhook.spans if span.name == SpanName.WEBHOOK_IN]
    assert message.own_traceparent == f"00-{hop.trace_id}-{hop.parent_id}-00"
    assert outbox.change("SELECT trace_kept FROM outbound_attempt") == [(True,)]


def test_settling_again_writes_nothing(database: str) -> None:
    outbox = Outbox(database)
    outbox.add("+33600000000")
    [message] = claim_with(outbox, Sampler())
    sent = Settlement(message.id, 1, AttemptOutcome.SENT, MessageStatus.SENT, http_status=200)
    assert outbox.use(lambda pool: settle(pool, [sent])).moved == 1
    failed = Settlement(message.id, 1, AttemptOutcome.FAILED, MessageStatus.FAILED, http_status=500)

    assert outbox.use(lambda pool: settle(pool, [failed])).moved == 0
    assert outbox.change("SELECT http_status, trace_kept FROM outbound_attempt") == [(200, True)]


def test_of_an_attempt_whose_process_ended_the_sweep_tells(database: str) -> None:
    outbox = Outbox(database)
    outbox.add("+33600000000")
    [message] = claim_with(outbox, NEVER)
    tracing, memory = trace_in_memory()

    async def sweep(pool: Pool) -> None:
        for _ in range(2):
            await tell_lost(pool, tracing, await recover(pool, window_s=0, silence_s=60))

    outbox.use(sweep)

    [root] = memory.spans
    assert root.name == SpanName.OUTBOUND_MESSAGE_PROCESS
    assert message.own_traceparent == f"00-{root.trace_id}-{root.span_id}-00"
    assert (root.tags["message.id"], root.tags["status"]) == (message.id, "QUEUED")
    assert root.tags["error"] == "outcome_unknown"
    assert outbox.change("SELECT trace_kept FROM outbound_attempt") == [(True,)]
