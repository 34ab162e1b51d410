"""Webhooks applied in every order to a real database: never backwards, never lost."""

import asyncio
import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import psycopg
import psycopg_pool
import pytest

from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.callbacks import Caller, read_news
from sender.inbox import Inbox
from sender.intake import Arrival
from sender.metrics import SenderMetrics
from sender.news import News
from sender.outbox import Pool
from tests.tracing_parts import trace_in_memory
from tracing.setup import Tracing, start_tracing

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIMES = {"sent": 1700000000, "delivered": 1700000003, "read": 1700000060, "failed": 1700000003}


def _post(*statuses: str, name: str = "wamid.1", code: int = 131026) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for status in statuses:
        item: dict[str, Any] = {"id": name, "status": status, "timestamp": str(TIMES[status])}
        if status == "failed":
            item["errors"] = [{"code": code, "title": "Message undeliverable"}]
        item["biz_opaque_callback_data"] = '{"m":1,"a":1}'
        items.append(item)
    return {"entry": [{"changes": [{"value": {"statuses": items}}]}]}


def _fill(database: str, status: str, outcome: str, provider_id: str | None) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO outbound_message (id, org_id, channel, to_recipient, status,"
            " attempt_count, attempt_seq, provider_message_id, sent_at)"
            " VALUES (1, 'org', 'WHATSAPP', '+33612345678', %s, 1, 1, %s::text,"
            " CASE WHEN %s::text IS NOT NULL THEN now() END)",
            (status, provider_id, provider_id),
        )
        connection.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, outcome,"
            " provider_message_id, traceparent) VALUES (1, 1, %s, %s, %s)",
            (outcome, provider_id, TRACE),
        )


def _apply(
    database: str,
    posts: Sequence[object],
    tracing: Tracing | None = None,
    caller: Caller = Caller.WHATSAPP,
    signed_by: tuple[str, ...] | None = None,
) -> SenderMetrics:
    metrics = SenderMetrics()

    async def apply() -> None:
        pool: Pool = psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False)
        async with pool:
            inbox = Inbox(pool, tracing or start_tracing(strict=True), ErrorPolicy.RUNBOOK, metrics)
            for post in posts:
                await inbox.store(Arrival(caller, json.dumps(post), signed_by))
                while await inbox.apply_some():
                    pass

    asyncio.run(apply())
    return metrics


def _open_webhooks(database: str) -> list[int]:
    """Give how often each webhook that is not applied was tried."""
    with psycopg.connect(database) as connection:
        cursor = connection.execute(
            "SELECT tries FROM provider_webhook WHERE processed_at IS NULL ORDER BY id"
        )
        return [tries for (tries,) in cursor]


def _state(database: str) -> tuple[Any, ...]:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT m.status, m.delivered_at IS NOT NULL, m.read_at IS NOT NULL, m.error_code,"
            " a.outcome, m.attempt_count FROM outbound_message AS m"
            " JOIN outbound_attempt AS a ON a.outbound_message_id = m.id"
        ).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["sent", "delivered", "read"])), ids="-".join
)
@pytest.mark.parametrize("doubled", [False, True])
def test_any_order_of_receipts_ends_in_the_same_state(
    database: str, order: tuple[str, ...], doubled: bool
) -> None:
    _fill(database, "SENT", "SENT", "wamid.1")
    posts = [_post(status) for status in order]
    _apply(database, posts * 2 if doubled else posts)
    assert _state(database) == ("DELIVERED", True, True, None, "SENT", 1)


def test_a_receipt_settles_an_attempt_whose_answer_was_lost(database: str) -> None:
    _fill(database, "SENDING", "UNKNOWN", None)
    _apply(database, [_post("sent")])
    assert _state(database) == ("SENT", False, False, None, "SENT", 1)


def test_a_receipt_settles_a_message_that_was_reset_meanwhile(database: str) -> None:
    _fill(database, "QUEUED", "UNKNOWN", None)
    _apply(database, [_post("delivered")])
    assert _state(database) == ("DELIVERED", True, False, None, "SENT", 1)


def test_a_receipt_of_an_earlier_attempt_changes_nothing(database: str) -> None:
    _fill(database, "SENDING", "UNKNOWN", None)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE outbound_message SET attempt_seq = 2, attempt_count = 2")
    _apply(database, [_post("delivered")])
    assert _state(database)[0] == "SENDING"


@pytest.mark.parametrize(("code", "used"), [(131026, 1), (131021, 5)])
def test_a_failed_receipt_fails_the_message_and_closes_the_budget_if_final(
    database: str, code: int, used: int
) -> None:
    _fill(database, "SENT", "SENT", "wamid.1")
    _apply(database, [_post("failed", code=code)])
    assert _state(database) == ("FAILED", False, False, str(code), "SENT", used)


def test_a_failed_receipt_after_delivery_changes_nothing(database: str) -> None:
    _fill(database, "SENT", "SENT", "wamid.1")
    _apply(database, [_post("delivered"), _post("failed", code=131021)])
    assert _state(database) == ("DELIVERED", True, False, None, "SENT", 1)


def test_a_receipt_of_an_unknown_message_is_kept_and_harms_nothing(database: str) -> None:
    post = _post("delivered", name="wamid.stranger")
    post["entry"][0]["changes"][0]["value"]["statuses"][0]["biz_opaque_callback_data"] = "x"
    _apply(database, [post])
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT processed_at IS NOT NULL FROM provider_webhook").fetchone()
    assert row == (True,)


def test_one_webhook_that_the_database_refuses_holds_up_nobody(database: str) -> None:
    _fill(database, "SENT", "SENT", "wamid.1")
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO whatsapp_provider_config (org_id, phone_number_id) VALUES ('org', '10001')"
        )
    # Longer than an index of PostgreSQL takes, even compressed.
    name = random.Random(1).randbytes(20_000).hex()  # noqa: S311 - no secret
    inbound = {"id": name, "from": "33612345678", "timestamp": "1700000000"}
    value = {"metadata": {"phone_number_id": "10001"}, "messages": [inbound]}
    _apply(database, [{"entry": [{"changes": [{"value": value}]}]}, _post("delivered")])
    assert _state(database)[0] == "DELIVERED"
    assert _open_webhooks(database) == [20]


def test_one_webhook_that_crashes_its_reader_holds_up_nobody(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(database, "SENT", "SENT", "wamid.1")

    def crash(caller: Caller, body: object, received_s: float, policy: ErrorPolicy) -> News:
        if body == {"entry": ["crash"]}:
            raise RecursionError
        return read_news(caller, body, received_s, policy)

    monkeypatch.setattr("sender.inbox.read_news", crash)
    _apply(database, [{"entry": ["crash"]}, _post("delivered")])
    assert _state(database)[0] == "DELIVERED"
    assert _open_webhooks(database) == [20]


def test_our_reference_in_anothers_receipt_moves_nothing(database: str) -> None:
    _fill(database, "SENT", "SENT", "wamid.1")
    _apply(database, [_post("delivered", name="wamid.of-somebody-else")])
    assert _state(database)[0] == "SENT"


def test_a_callback_of_another_channel_moves_nothing(database: str) -> None:
    _fill(database, "SENDING", "UNKNOWN", None)
    body = {"MessageSid": "SM1", "MessageStatus": "delivered", "m": "1", "a": "1"}
    _apply(database, [body], caller=Caller.TWILIO)
    assert _state(database)[0] == "SENDING"


def test_a_few_receipts_do_not_read_whole_tables(database: str) -> None:
    _fill(database, "SENT", "SENT", "wamid.1")
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO outbound_message (id, org_id, channel, to_recipient, status)"
            " SELECT number, 'org', 'WHATSAPP', '+33612345678', 'SENT' "
            " FROM generate_series(2, 5000) AS number"
        )
    _apply(database, [_post("delivered")])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        [read] = connection.execute(
            "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'outbound_message'"
        )
    assert read[0] < 5000


def test_the_webhooks_spans_continue_the_attempts_trace(database: str) -> None:
    _fill(database, "SENT", "SENT", "wamid.1")
    tracing, memory = trace_in_memory()
    _apply(database, [_post("delivered"), _post("delivered"), _post("sent")], tracing)
    told = [
        (span.name, span.tags)
        for span in memory.spans
        if span.name in {"webhook.process", "status.update"}
    ]
    assert {span.trace_id for span in memory.spans} == {TRACE[3:35]}
    assert [tags["new.status"] for name, tags in told if name == "status.update"] == [
        "DELIVERED",
        "DELIVERED",
        "SENT",
    ]
    processes = [tags for name, tags in told if name == "webhook.process"]
    assert "webhook.duplicate" not in processes[0]
    assert processes[1]["webhook.duplicate"] is True
    assert processes[2]["webhook.out_of_order"] is True
