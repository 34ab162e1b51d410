"""The hot path reads by its indexes, whatever the statistics say."""

import json
import re
from collections.abc import Mapping, Sequence

import psycopg
import pytest

from sender.outbox import (
    Order,
    look_for_lanes,
    write_order,
)
from tests.outbox_parts import QUERIES, WHATSAPP, Outbox


@pytest.fixture
def outbox(database: str) -> Outbox:
    return Outbox(database)


def _plan(connection: psycopg.Connection, name: str, values: Mapping[str, object]) -> str:
    rows = connection.execute(
        b"EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF) " + QUERIES[name].encode(), values
    )
    return "\n".join(line for (line,) in rows)


_WHOLE = re.compile(
    r"(?:Seq Scan|Bitmap Heap Scan)[^\n]* on outbound_(?:message|attempt)\b"
    r"|Index (?:Only )?Scan[^\n]* on outbound_(?:message|attempt)\b[^\n]*\n(?! *Index Cond)"
)
"""Reading a whole table, or an index from end to end."""

_BOUNDED = (
    "idx_outbound_message_in_flight",
    "idx_outbound_message_parked",
    "idx_outbound_message_woken",
)
"""Indexes that hold no more than is in flight, or are meant to be walked from their beginning."""


def _scans(plan: str) -> list[str]:
    found = [match[0] for match in _WHOLE.finditer(plan)]
    return [scan for scan in found if not any(name in scan for name in _BOUNDED)]


@pytest.mark.parametrize("analysed", [False, True])
def test_each_statement_of_the_hot_path_reads_by_its_index(outbox: Outbox, analysed: bool) -> None:
    """Statistics may be those of an empty table or of a full one: the plan is the same."""
    if not analysed:
        outbox.change("ANALYZE outbound_message")
    outbox.change(
        "INSERT INTO outbound_message (org_id, channel, to_recipient, status)"
        " SELECT 'org', 'WHATSAPP', '+3360' || n, CASE WHEN n %% 5 = 0 THEN 'QUEUED'"
        " ELSE 'DELIVERED' END FROM generate_series(1, 20000) AS n"
    )
    outbox.change(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no)"
        " SELECT id, 1 FROM outbound_message WHERE status = 'DELIVERED'"
    )
    if analysed:
        outbox.change("ANALYZE outbound_message")
    states, _ = outbox.use(lambda pool: look_for_lanes(pool, [WHATSAPP]))
    outbox.book.note_look(states, 1.0, 0.0)
    shares = outbox.book.plan({WHATSAPP: 50}, 1.0, {})
    plans: dict[str, str] = {}
    with psycopg.connect(outbox.database) as connection:
        connection.execute(QUERIES["plan_by_index"].encode())
        order = write_order(Order({WHATSAPP: 50}, shares, probe=[WHATSAPP]), "w")
        connection.execute(QUERIES["order_by_index"].encode())
        plans["lanes"] = _plan(connection, "lanes", {"channels": [WHATSAPP]})
        plans["claim"] = _plan(connection, "claim", order)
        connection.execute("SET LOCAL enable_sort = on")
        connection.execute("SET LOCAL enable_incremental_sort = on")
        rows = _settlements(connection)
        plans["settle"] = _plan(connection, "settle", {"rows": json.dumps(rows)})
        plans["expire"] = _plan(connection, "expire", {"limit": 10, "error_code": "x"})
        plans["recover"] = _plan(
            connection, "recover", {"limit": 10, "window_s": 0, "silence_s": 60, "error_code": "x"}
        )
        plans["wake_forgotten"] = _plan(connection, "wake_forgotten", {"limit": 10})
        connection.rollback()
    for name, plan in plans.items():
        assert not _scans(plan), f"{name}\n{plan}"
    assert "idx_outbound_message_lane" in plans["claim"], plans["claim"]
    assert "idx_outbound_message_in_flight" in plans["claim"], plans["claim"]


def _settlements(connection: psycopg.Connection) -> Sequence[Mapping[str, object]]:
    rows = connection.execute("SELECT id FROM outbound_message WHERE status = 'SENDING'")
    return [
        {
            "message_id": number,
            "attempt_no": 1,
            "outcome": "SENT",
            "status": "SENT",
            "close_budget": False,
            "give_back": False,
            "traceparent": "00",
        }
        for (number,) in rows
    ]
