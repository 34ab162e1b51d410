"""Queue depth from the rollup: whatever happens to rows, it equals a recount."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from exporter.compaction import compact_all
from exporter.rollup.verification import verify
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.metrics import PROVIDER_CALL_BUCKETS

Connection = psycopg.Connection

ROLLUP_TABLES = (
    "outbound_event_total, outbound_event_delta, outbound_message_delta, outbound_state_total,"
    " outbound_cohort_total"
)


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for this module: emptying its tables takes less time than a clone per test."""
    yield postgres_server.create_database("states", template=template_database)
    postgres_server.drop_database("states")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute(
            "TRUNCATE dossier, message, outbound_message, outbound_attempt,"
            f" outbound_message_archive, {ROLLUP_TABLES}".encode()
        )
        yield opened


def add(connection: Connection, count: int = 3, **columns: object) -> None:
    """Insert messages that differ from the defaults by these columns."""
    values = {"channel": "SMS", **columns}
    connection.execute(
        sql.SQL(
            "INSERT INTO outbound_message (org_id, to_recipient, {})"
            " SELECT 'org', '+' || gen_random_uuid(), {} FROM generate_series(1, {})"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Literal, values.values())),
            sql.Literal(count),
        )
    )


def states(connection: Connection) -> dict[tuple[str, str, str], int]:
    rows = connection.execute("SELECT channel, status, detail, messages FROM outbound_state")
    return {(channel, status, detail): count for channel, status, detail, count in rows}


HISTORIES = {
    "an update of one row": "UPDATE outbound_message SET status = 'SENT' WHERE id = 7",
    "a bulk update": "UPDATE outbound_message SET status = 'DELIVERED', error_code = 'x'",
    "another channel": "UPDATE outbound_message SET channel = 'EMAIL' WHERE id = 7",
    "other channels in bulk": "UPDATE outbound_message SET channel = 'EMAIL', status = 'SENT'",
    "another key": "UPDATE outbound_message SET id = id + 1000, status = 'SENT'",
    "a used-up budget": "UPDATE outbound_message SET attempt_count = max_attempts",
    "a budget raised": "UPDATE outbound_message SET max_attempts = 9 WHERE status = 'FAILED'",
    "another error": "UPDATE outbound_message SET error_code = 'y' WHERE status = 'FAILED'",
    "a deletion": "DELETE FROM outbound_message WHERE id IN (7, 8)",
    "a truncation": "TRUNCATE outbound_message CASCADE",
    "a cascade that deletes nothing of ours": "DELETE FROM dossier",
    "a move to the archive": (
        "WITH gone AS (DELETE FROM outbound_message WHERE status = 'FAILED' RETURNING *)"
        " INSERT INTO outbound_message_archive SELECT * FROM gone"
    ),
    "an upsert that updates and inserts": (
        "INSERT INTO outbound_message (id, org_id, channel, to_recipient)"
        " SELECT n, 'org', 'SMS', '+' || n FROM generate_series(7, 12) AS n"
        " ON CONFLICT (id) DO UPDATE SET status = 'FAILED', attempt_count = 5"
    ),
    "a merge": (
        "MERGE INTO outbound_message AS m USING generate_series(7, 12) AS n ON m.id = n"
        " WHEN MATCHED AND n = 7 THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET status = 'SENT'"
        " WHEN NOT MATCHED THEN INSERT (id, org_id, channel, to_recipient)"
        " VALUES (n, 'org', 'SMS', '+' || n)"
    ),
    "two changes in one statement": (
        "WITH deleted AS (DELETE FROM outbound_message WHERE id = 7)"
        " UPDATE outbound_message SET status = 'SENT' WHERE id = 8"
    ),
}


@pytest.mark.parametrize("statement", HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("compacted", [False, True], ids=["at once", "after a compaction"])
def test_states_equal_a_recount_after(
    database: str, connection: Connection, statement: str, *, compacted: bool
) -> None:
    connection.execute("ALTER SEQUENCE outbound_message_id_seq RESTART WITH 7")
    connection.execute("INSERT INTO dossier (id, org_id) VALUES (1, 'org')")
    add(connection, 3, dossier_id=1)
    add(connection, 2, status="FAILED", attempt_count=5, error_code="x")
    add(connection, 2, status="QUEUED", attempt_count=1)
    before = states(connection)
    assert sum(before.values()) == 7
    if compacted:
        compact_all(connection)
    connection.execute(statement.encode())

    assert verify(database, repair=False).drifts == []


def test_a_copy_is_counted(database: str, connection: Connection) -> None:
    with connection.cursor().copy(
        "COPY outbound_message (org_id, channel, to_recipient, status) FROM STDIN"
    ) as copy:
        for number in range(50):
            copy.write_row(("org", "EMAIL", f"a{number}", "SENT" if number % 2 else "QUEUED"))

    assert states(connection) == {("EMAIL", "SENT", ""): 25, ("EMAIL", "QUEUED", ""): 25}
    assert verify(database, repair=False).drifts == []


def test_details_tell_dead_letters_by_code_and_retries(connection: Connection) -> None:
    add(connection, 1, status="FAILED", attempt_count=5, error_code="131026")
    add(connection, 2, status="FAILED", attempt_count=5)
    add(connection, 3, status="FAILED", attempt_count=4)
    add(connection, 4, attempt_count=2)

    assert states(connection) == {
        ("SMS", "FAILED", "131026"): 1,
        ("SMS", "FAILED", "unknown"): 2,
        ("SMS", "FAILED", ""): 3,
        ("SMS", "QUEUED", "retry"): 4,
    }


def test_a_statement_writes_as_many_deltas_as_it_makes_kinds_of_change(
    connection: Connection,
) -> None:
    add(connection, 500)
    connection.execute("UPDATE outbound_message SET status = 'SENDING'")
    connection.execute("UPDATE outbound_message SET read_at = now()")

    row = connection.execute(
        "SELECT count(*), sum(messages) FROM outbound_message_delta"
    ).fetchone()
    assert row == (2, 1000)


def test_the_edges_of_attempts_are_the_vocabularys(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT edge FROM outbound_latency_edge WHERE histogram = 'attempt_duration' ORDER BY edge"
    ).fetchall()

    assert [row[0] for row in rows] == [*PROVIDER_CALL_BUCKETS, float("inf")]


@pytest.mark.parametrize(
    ("function", "histogram"),
    [
        ("outbound_send_edge", "send_latency"),
        ("outbound_delivery_edge", "delivery_latency"),
        ("outbound_attempt_edge", "attempt_duration"),
    ],
)
def test_each_edge_function_knows_the_edges_of_the_table(
    connection: Connection, function: str, histogram: str
) -> None:
    rows = connection.execute(
        sql.SQL(
            "SELECT edge, {0}(edge), {0}(edge - 0.0001), {0}(edge + 0.0001),"
            " COALESCE(lead(edge) OVER (ORDER BY edge), 'Infinity')"
            " FROM outbound_latency_edge WHERE histogram = %s"
        ).format(sql.Identifier(function)),
        (histogram,),
    ).fetchall()

    assert len(rows) > 5
    for edge, at, below, above, following in rows:
        assert (at, below, above) == (edge, edge, following)


def _send_and_deliver(
    connection: Connection, sent: datetime, seconds: float | None, count: int = 1
) -> None:
    """Take messages through a life whose times are chosen."""
    with connection.transaction():
        add(connection, count, status="SENDING")
        connection.execute(
            "UPDATE outbound_message SET status = 'SENT', sent_at = %s, due_since = %s"
            " WHERE status = 'SENDING'",
            (sent, sent),
        )
        if seconds is not None:
            connection.execute(
                "UPDATE outbound_message SET status = 'DELIVERED', delivered_at = %s"
                " WHERE status = 'SENT' AND sent_at = %s",
                (sent + timedelta(seconds=seconds), sent),
            )


def _judged(connection: Connection) -> dict[tuple[str, float], int]:
    rows = connection.execute(
        "SELECT kind, edge, sum(events)::int FROM outbound_event WHERE kind LIKE 'judged%'"
        " GROUP BY 1, 2"
    ).fetchall()
    return {(kind, edge): events for kind, edge, events in rows}


@pytest.mark.parametrize("count", [1, 3])
def test_a_delivery_is_judged_only_when_its_minute_is_old_enough(
    connection: Connection, count: int
) -> None:
    now = datetime.now(UTC)
    _send_and_deliver(connection, now - timedelta(minutes=1), 5, count)
    assert _judged(connection) == {}
    _send_and_deliver(connection, now - timedelta(minutes=6), 100, count)
    assert _judged(connection) == {("judged_delivery", 120.0): count}
    compact_all(connection)
    assert _judged(connection) == {("judged_delivery", 120.0): count}


def test_reach_is_judged_after_a_day_and_takes_late_receipts(connection: Connection) -> None:
    sent = datetime.now(UTC) - timedelta(hours=30)
    _send_and_deliver(connection, sent, None, 4)
    assert _judged(connection) == {("judged_sent", float("inf")): 4}
    compact_all(connection)
    connection.execute(
        "UPDATE outbound_message SET status = 'DELIVERED', delivered_at = sent_at"
        " + CASE WHEN mod(id, 2) = 0 THEN interval '23 hours' ELSE interval '25 hours' END"
    )
    compact_all(connection)
    judged = _judged(connection)
    assert judged["judged_sent", float("inf")] == 4
    assert judged["judged_reached", float("inf")] == 2
    assert judged["judged_delivery", 86400.0] == 2
    assert judged["judged_delivery", float("inf")] == 2
    row = connection.execute("SELECT count(*) FROM outbound_cohort_total").fetchone()
    assert row == (0,)


@pytest.mark.parametrize("count", [1, 2])
def test_a_sending_of_long_ago_is_an_import_without_latency(
    connection: Connection, count: int
) -> None:
    _send_and_deliver(connection, datetime.now(UTC) - timedelta(days=8), 5, count)
    rows = connection.execute("SELECT kind, sum(events) FROM outbound_event GROUP BY 1").fetchall()
    assert rows == [("finished", count)]


@pytest.mark.parametrize("count", [1, 2])
def test_one_row_and_several_make_the_same_events(connection: Connection, count: int) -> None:
    sent = datetime.now(UTC) - timedelta(minutes=10)
    _send_and_deliver(connection, sent, 42, count)
    add(connection, count, status="SENDING")
    connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, started_at)"
        " SELECT id, 1, 'SMS', now() - interval '2 seconds' FROM outbound_message"
        " WHERE status = 'SENDING'"
    )
    connection.execute("UPDATE outbound_attempt SET outcome = 'UNKNOWN', finished_at = now()")
    connection.execute("UPDATE outbound_attempt SET outcome = 'REFUSED', error_code = 'z'")
    connection.execute(
        "UPDATE outbound_message SET status = 'FAILED', error_code = 'z' WHERE status = 'SENDING'"
    )
    rows = connection.execute(
        "SELECT kind, outcome, error_code, edge, sum(events)::int, sum(microseconds)::bigint"
        " FROM outbound_event GROUP BY 1, 2, 3, 4 ORDER BY 1, 2"
    ).fetchall()

    infinite, us = float("inf"), 1_000_000
    assert [(*row[:4], row[4] / count) for row in rows] == [
        ("attempt", "CORRECTED", "unknown", -1.0, 1),
        ("attempt", "REFUSED", "z", -1.0, 1),
        ("attempt", "UNKNOWN", "unknown", 2.5, 1),
        ("delivery_latency", "", "", 60.0, 1),
        ("finished", "REFUSED", "z", infinite, 1),
        ("finished", "SENT", "", infinite, 1),
        ("judged_delivery", "", "", 60.0, 1),
        ("send_latency", "", "", 0.1, 1),
    ]
    sums = {row[0]: row[5] for row in rows if row[0].endswith(("latency", "delivery"))}
    assert sums == {
        "delivery_latency": 42 * us * count,
        "judged_delivery": 42 * us * count,
        "send_latency": 0,
    }
