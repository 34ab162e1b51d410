"""From hop to hop: webhooks continue the trace of the very attempt that they speak of."""

import asyncio
import json
import time
from collections.abc import Sequence

import psycopg_pool

from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus
from sender.callbacks import Caller
from sender.inbox import Inbox
from sender.intake import Arrival
from sender.metrics import SenderMetrics
from sender.outbox import ClaimedMessage, Pool, Settlement, settle
from tests.outbox_parts import Outbox
from tests.tracing_parts import FinishedSpan, trace_in_memory


def claim_some(outbox: Outbox, count: int) -> list[ClaimedMessage]:
    for number in range(count):
        outbox.add(f"+3360000000{number}")
    return list(outbox.claim_all().messages)


def post_statuses(outbox: Outbox, told: Sequence[tuple[str, ClaimedMessage]]) -> list[FinishedSpan]:
    """Store and apply one POST with a status of each message; gives the spans of the webhooks."""
    statuses = [
        {
            "id": f"wamid.{message.id}",
            "status": status,
            "timestamp": str(int(time.time())),
            "biz_opaque_callback_data": message.reference,
        }
        for status, message in told
    ]
    value = {"metadata": {"phone_number_id": "10001"}, "statuses": statuses}
    change = {"field": "messages", "value": value}
    body = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
    tracing, memory = trace_in_memory()

    async def work() -> None:
        pool: Pool = psycopg_pool.AsyncConnectionPool(outbox.database, min_size=1, open=False)
        async with pool:
            inbox = Inbox(pool, tracing, ErrorPolicy.RUNBOOK, SenderMetrics())
            await inbox.store(Arrival(Caller.WHATSAPP, json.dumps(body), None))
            while await inbox.apply_some():
                pass

    asyncio.run(work())
    return memory.spans


def places(spans: Sequence[FinishedSpan]) -> dict[object, str]:
    """Give by message the trace and span that its webhook hangs from, as a traceparent."""
    return {
        span.tags["message.id"]: f"00-{span.trace_id}-{span.parent_id}-01"
        for span in spans
        if span.name == SpanName.WEBHOOK_IN
    }


def test_a_post_of_many_statuses_touches_each_messages_own_trace(database: str) -> None:
    outbox = Outbox(database)
    messages = claim_some(outbox, 3)
    sent = [
        Settlement(
            one.id,
            1,
            AttemptOutcome.SENT,
            MessageStatus.SENT,
            provider_message_id=f"wamid.{one.id}",
        )
        for one in messages
    ]
    outbox.use(lambda pool: settle(pool, sent))

    spans = post_statuses(outbox, [("delivered", one) for one in messages])

    assert places(spans) == {one.id: one.own_traceparent for one in messages}
    assert len({one.own_traceparent for one in messages}) == 3
    assert [span.name for span in spans].count(SpanName.STATUS_UPDATE) == 3


def test_a_receipt_that_is_quicker_than_the_settlement_continues_the_attempts_trace(
    database: str,
) -> None:
    outbox = Outbox(database)
    [message] = claim_some(outbox, 1)

    spans = post_statuses(outbox, [("sent", message)])

    assert places(spans) == {message.id: message.own_traceparent}
    assert outbox.change("SELECT outcome, settled_at FROM outbound_attempt") == [("SENT", None)]


def test_a_receipt_of_an_earlier_attempt_stays_in_that_attempts_trace(database: str) -> None:
    outbox = Outbox(database)
    [first] = claim_some(outbox, 1)
    outbox.settle(first.id, MessageStatus.QUEUED, retry_in_s=0.0)
    [second] = outbox.claim_all().messages
    assert second.previous_traceparent == first.own_traceparent

    spans = post_statuses(outbox, [("delivered", first)])

    assert places(spans) == {first.id: first.own_traceparent}
    assert first.own_traceparent != second.own_traceparent
