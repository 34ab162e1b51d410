"""Sampled traces: what the head leaves out, what failure keeps, and what a webhook brings back."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
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
from sender.outbox import ClaimedMessage, Order, Pool, Settlement, claim, look_for_lanes, settle
from sender.receipts import Effect, Receipt
from sender.retelling import is_remarkable, tell_lost
from sender.settlement import Settled, Tidings
from tests.integration.sending import NUMBER, Sending, template_message
from tests.outbox_parts import WHATSAPP, Outbox
from tests.patience import wait_for
from tests.tracing_parts import FinishedSpan, trace_in_memory
from tracing.jaeger import JaegerClient
from tracing.propagation import context_from
from tracing.sampling import Sampler, read_sampler
from tracing.setup import Tracing, start_tracing
from tracing.traces import Trace

HALF = read_sampler("traceidratio", "0.5")
NEVER = read_sampler("always_off", None)


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


def await_webhooks(sending: Sending) -> None:
    left = "SELECT count(*) FROM provider_webhook WHERE processed_at IS NULL"
    wait_for(lambda: sending.execute(left) == [(0,)], "all webhooks to be applied")


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
    # A good receipt is no reason to bring it back, nor is one that comes late after it.
    assert sending.post_webhook(tell(provider_id, "sent")).ok
    await_webhooks(sending)
    assert attempt_row(sending, message)[1] is False
    assert client.trace(trace_id) is None
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


def apply_webhook(
    outbox: Outbox, body: object, tracing: Tracing | None = None
) -> list[FinishedSpan]:
    """Store and apply a webhook; gives the spans that came of it."""
    own, memory = trace_in_memory()

    async def run() -> None:
        pool: Pool = psycopg_pool.AsyncConnectionPool(outbox.database, min_size=1, open=False)
        async with pool:
            inbox = Inbox(pool, tracing or own, ErrorPolicy.RUNBOOK, SenderMetrics())
            await inbox.store(Arrival(Caller.WHATSAPP, json.dumps(body), None))
            while await inbox.apply_some():
                pass

    asyncio.run(run())
    return memory.spans


def test_a_failure_that_is_quicker_than_the_settlement_has_the_sender_keep_the_story(
    database: str,
) -> None:
    outbox = Outbox(database)
    outbox.add("+33600000000")
    [message] = claim_with(outbox, NEVER)
    errors = [{"code": 131026, "title": "Message undeliverable"}]
    spans = apply_webhook(
        outbox,
        tell("wamid.early", "failed", biz_opaque_callback_data=message.reference, errors=errors),
    )
    one = Settlement(
        message.id, 1, AttemptOutcome.SENT, MessageStatus.SENT, trace_kept=False, trace_stages={}
    )

    written = outbox.use(lambda pool: settle(pool, [one]))

    assert written.wanted == {message.id}
    # The webhook's spans stand in the attempt's trace, though it was not settled yet.
    [hop] = [span for span in spans if span.name == SpanName.WEBHOOK_IN]
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


def test_of_an_attempt_that_nobody_settles_the_sweep_tells_once(database: str) -> None:
    outbox = Outbox(database)
    outbox.add("+33600000000")
    [message] = claim_with(outbox, NEVER)
    tracing, memory = trace_in_memory()

    def sweep() -> int:
        told: int = outbox.use(lambda pool: tell_lost(pool, tracing, window_s=600, back_s=300))
        return told

    assert sweep() == 0
    outbox.change("UPDATE outbound_attempt SET started_at = now() - interval '11 minutes'")
    # Whatever a receipt or a person has made of the message meanwhile.
    outbox.change("UPDATE outbound_message SET status = 'QUEUED'")
    assert (sweep(), sweep()) == (1, 0)

    [root] = memory.spans
    assert root.name == SpanName.OUTBOUND_MESSAGE_PROCESS
    assert message.own_traceparent == f"00-{root.trace_id}-{root.span_id}-00"
    assert (root.tags["message.id"], root.tags["status"]) == (message.id, "QUEUED")
    assert root.tags["error"] == "outcome_unknown"
    assert outbox.change("SELECT trace_kept FROM outbound_attempt") == [(True,)]


def test_the_sweep_leaves_alone_what_an_older_sender_has_told(database: str) -> None:
    outbox = Outbox(database)
    outbox.add("+33600000000")
    claim_with(outbox, NEVER)
    outbox.change(
        "UPDATE outbound_attempt SET outcome = 'UNKNOWN', traceparent = %s,"
        " started_at = now() - interval '11 minutes'",
        f"00-{'ab' * 16}-{'cd' * 8}-01",
    )
    tracing, memory = trace_in_memory()

    assert outbox.use(lambda pool: tell_lost(pool, tracing, window_s=600, back_s=300)) == 0
    assert memory.spans == []


ARRIVED = Settled(
    Tidings(Caller.WHATSAPP, None, datetime.now(UTC), Receipt("wamid", delivered_s=1.0)),
    Effect.MOVED,
)


@pytest.mark.parametrize(
    ("receipt", "took_s", "remarkable"),
    [
        (Receipt("wamid", sent_s=1.0), None, False),
        (Receipt("wamid", delivered_s=1.0), 119.0, False),
        (Receipt("wamid", delivered_s=1.0), 121.0, True),
        (Receipt("wamid", read_s=1.0), None, False),
        (Receipt("wamid", failed_s=1.0), None, True),
    ],
)
def test_a_failure_and_a_late_arrival_are_worth_a_look(
    receipt: Receipt, took_s: float | None, remarkable: bool
) -> None:
    tidings = ARRIVED.tidings._replace(receipt=receipt)

    assert is_remarkable(ARRIVED._replace(tidings=tidings, took_s=took_s)) is remarkable


def sent_long_ago(outbox: Outbox) -> ClaimedMessage:
    """Send a message that the sampler leaves out, ten minutes ago."""
    outbox.add("+33600000000")
    message: ClaimedMessage = claim_with(outbox, NEVER)[0]
    one = Settlement(
        message.id,
        1,
        AttemptOutcome.SENT,
        MessageStatus.SENT,
        provider_message_id="wamid.early",
        trace_kept=False,
        trace_stages={"from": "1", "steps": {}},
    )
    outbox.use(lambda pool: settle(pool, [one]))
    outbox.change("UPDATE outbound_attempt SET started_at = now() - interval '10 minutes'")
    return message


def test_a_delivery_beyond_the_line_brings_the_story_back_and_a_late_reading_does_not(
    database: str,
) -> None:
    outbox = Outbox(database)
    sent_long_ago(outbox)
    early = str(int(time.time()) - 590)

    apply_webhook(outbox, tell("wamid.early", "delivered", timestamp=early))
    apply_webhook(outbox, tell("wamid.early", "read"))
    assert outbox.change("SELECT trace_kept FROM outbound_attempt") == [(False,)]

    outbox.change(
        "UPDATE outbound_message SET status = 'SENT', delivered_at = NULL, read_at = NULL"
    )
    spans = apply_webhook(outbox, tell("wamid.early", "delivered"))

    assert outbox.change("SELECT trace_kept FROM outbound_attempt") == [(True,)]
    assert SpanName.OUTBOUND_MESSAGE_PROCESS in {span.name for span in spans}


def test_without_a_collector_no_row_says_that_its_story_was_kept(database: str) -> None:
    outbox = Outbox(database)
    sent_long_ago(outbox)

    apply_webhook(outbox, tell("wamid.early", "delivered"), start_tracing())

    assert outbox.change("SELECT trace_kept FROM outbound_attempt") == [(False,)]


@pytest.mark.parametrize(("age_s", "kept"), [(0, None), (5, True)])
def test_a_receipt_of_an_attempt_that_is_long_without_an_answer_has_its_story_kept(
    database: str, age_s: int, kept: bool | None
) -> None:
    outbox = Outbox(database)
    outbox.add("+33600000000")
    [message] = claim_with(outbox, NEVER)
    outbox.change(
        "UPDATE outbound_attempt SET started_at = now() - %s * interval '1 second'", age_s
    )

    spans = apply_webhook(
        outbox, tell("wamid.early", "sent", biz_opaque_callback_data=message.reference)
    )

    assert outbox.change("SELECT trace_kept FROM outbound_attempt") == [(kept,)]
    assert bool(spans) is bool(kept)
