"""Event counters: each event once, none ever taken back."""

from collections.abc import Iterator

import psycopg
import pytest

from exporter.compaction import COMPACTION_LOCK, compact
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.rollup_parts import (
    Connection,
    add_messages,
    deliver,
    empty_rollup,
    read,
    settle,
    start_attempt,
)


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for this module: emptying its tables takes less time than a clone per test."""
    yield postgres_server.create_database("rollup", template=template_database)
    postgres_server.drop_database("rollup")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        empty_rollup(opened)
        yield opened


@pytest.mark.parametrize(
    ("outcome", "status", "code", "label"),
    [
        ("SENT", "SENT", None, ""),
        ("FAILED", "QUEUED", "131016", "131016"),
        ("FAILED", "QUEUED", None, "unknown"),
        ("FAILED", "QUEUED", "", "unknown"),
        ("FAILED", "QUEUED", "x" * 90, "x" * 64),
        ("UNKNOWN", "SENDING", "timeout", "timeout"),
        ("REFUSED", "FAILED", "opted_out", "opted_out"),
        ("DEFERRED", "QUEUED", "quota_exhausted", "quota_exhausted"),
    ],
)
def test_an_attempt_counts_once_under_its_outcome_and_code(
    connection: Connection, outcome: str, status: str, code: str | None, label: str
) -> None:
    settle(connection, add_messages(connection), outcome, status, code)

    assert read(connection, "attempt") == {("whatsapp", outcome.lower(), label): 1}


def test_attempts_in_flight_do_not_count(connection: Connection) -> None:
    add_messages(connection, 3)

    assert read(connection, "attempt") == {}


def test_a_corrected_outcome_counts_and_says_that_it_stands_twice(connection: Connection) -> None:
    ids = add_messages(connection)
    settle(connection, ids, "UNKNOWN", "SENDING", "timeout")
    settle(connection, ids, "SENT", "SENT")

    assert read(connection, "attempt") == {
        ("whatsapp", "unknown", "timeout"): 1,
        ("whatsapp", "sent", ""): 1,
        ("whatsapp", "corrected", "timeout"): 1,
    }


def test_touching_a_settled_row_counts_nothing(connection: Connection) -> None:
    ids = add_messages(connection)
    settle(connection, ids, "SENT", "SENT")
    before = read(connection, "attempt"), read(connection, "finished")
    connection.execute("UPDATE outbound_attempt SET updated_at = now(), error_code = 'late'")
    connection.execute("UPDATE outbound_message SET updated_at = now(), error_code = 'late'")

    assert (read(connection, "attempt"), read(connection, "finished")) == before


def test_a_message_finishes_when_the_provider_accepts_it_and_not_again_when_delivered(
    connection: Connection,
) -> None:
    ids = add_messages(connection, 3)
    settle(connection, ids, "SENT", "SENT")
    deliver(connection, ids)

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 3}


def test_a_message_whose_acceptance_nobody_saw_finishes_when_delivered(
    connection: Connection,
) -> None:
    deliver(connection, add_messages(connection))

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 1}


def test_a_retry_is_no_end(connection: Connection) -> None:
    settle(connection, add_messages(connection), "FAILED", "QUEUED", "131016")

    assert read(connection, "finished") == {}


def test_a_final_failure_counts_under_its_code(connection: Connection) -> None:
    settle(connection, add_messages(connection), "FAILED", "FAILED", "131026")

    assert read(connection, "finished") == {("whatsapp", "failed", "131026"): 1}


def test_a_refusal_of_our_own_is_no_failure_of_the_provider(connection: Connection) -> None:
    settle(connection, add_messages(connection), "REFUSED", "FAILED", "consent_missing")

    assert read(connection, "finished") == {("whatsapp", "refused", "consent_missing"): 1}


def test_a_message_that_was_accepted_and_fails_later_is_both(connection: Connection) -> None:
    ids = add_messages(connection)
    settle(connection, ids, "SENT", "SENT")
    connection.execute("UPDATE outbound_message SET status = 'FAILED', error_code = '131049'")

    assert read(connection, "finished") == {
        ("whatsapp", "sent", ""): 1,
        ("whatsapp", "failed", "131049"): 1,
    }


def test_a_message_that_a_human_resets_finishes_again(connection: Connection) -> None:
    ids = add_messages(connection)
    settle(connection, ids, "FAILED", "FAILED", "131016")
    connection.execute("UPDATE outbound_message SET status = 'QUEUED', attempt_count = 0")
    start_attempt(connection, ids)
    settle(connection, ids, "SENT", "SENT")

    assert read(connection, "finished") == {
        ("whatsapp", "failed", "131016"): 1,
        ("whatsapp", "sent", ""): 1,
    }
    assert sum(read(connection, "attempt").values()) == 2


def test_channels_are_told_apart_in_one_statement(connection: Connection) -> None:
    ids = [*add_messages(connection, 2), *add_messages(connection, 3, channel="SMS")]
    settle(connection, ids, "SENT", "SENT")

    expected = {("whatsapp", "sent", ""): 2, ("sms", "sent", ""): 3}
    assert read(connection, "finished") == expected
    assert read(connection, "attempt") == expected


def test_several_statements_of_one_transaction_all_count(connection: Connection) -> None:
    ids = add_messages(connection, 4)
    with connection.transaction():
        for number in ids:
            settle(connection, [number], "SENT", "SENT")
        deliver(connection, ids)

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 4}
    assert read(connection, "attempt") == {("whatsapp", "sent", ""): 4}


def test_what_is_rolled_back_never_happened(connection: Connection) -> None:
    ids = add_messages(connection)
    with connection.transaction(force_rollback=True):
        settle(connection, ids, "SENT", "SENT")
        assert read(connection, "finished") == {("whatsapp", "sent", ""): 1}

    assert read(connection, "finished") == {}
    assert read(connection, "attempt") == {}


def test_rows_that_arrive_settled_are_an_import_and_count_nothing(connection: Connection) -> None:
    with connection.cursor().copy(
        "COPY outbound_message (org_id, channel, to_recipient, status, sent_at) FROM STDIN"
    ) as copy:
        copy.write_row(("org", "WHATSAPP", "+1", "SENT", "2026-01-01"))
    connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, outcome)"
        " SELECT id, 1, 'SENT' FROM outbound_message"
    )

    assert read(connection, "finished") == {}
    assert read(connection, "attempt") == {}


def test_an_upsert_that_settles_a_row_counts_like_an_update(connection: Connection) -> None:
    ids = add_messages(connection)
    connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no) VALUES (%s, 1)"
        " ON CONFLICT (outbound_message_id, attempt_no) DO UPDATE SET outcome = 'SENT'",
        (ids[0],),
    )

    assert read(connection, "attempt") == {("whatsapp", "sent", ""): 1}


@pytest.mark.parametrize(
    "removal",
    [
        "DELETE FROM outbound_message",
        """WITH gone AS (DELETE FROM outbound_message RETURNING *)
           INSERT INTO outbound_message_archive SELECT * FROM gone""",
        "TRUNCATE outbound_message CASCADE",
    ],
    ids=["deleted", "archived", "truncated"],
)
def test_counters_do_not_fall_when_rows_are(connection: Connection, removal: str) -> None:
    ids = add_messages(connection, 5)
    settle(connection, ids, "SENT", "SENT")
    deliver(connection, ids)
    queries = ("attempt", "finished", "send_latency", "delivery_latency")
    before = {query: read(connection, query) for query in queries}

    connection.execute(removal.encode())

    assert connection.execute("SELECT count(*) FROM outbound_message").fetchone() == (0,)
    assert {query: read(connection, query) for query in queries} == before


def test_whoever_may_write_messages_is_counted_without_rights_on_our_tables(
    connection: Connection,
) -> None:
    ids = add_messages(connection)
    connection.execute("CREATE ROLE plain_sender")
    try:
        connection.execute(
            "GRANT SELECT, UPDATE ON outbound_message, outbound_attempt TO plain_sender"
        )
        connection.execute("SET ROLE plain_sender")
        settle(connection, ids, "SENT", "SENT")
        connection.execute("RESET ROLE")
    finally:
        connection.execute("RESET ROLE")
        connection.execute("DROP OWNED BY plain_sender")
        connection.execute("DROP ROLE plain_sender")

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 1}


def test_a_temporary_table_cannot_divert_the_counts(connection: Connection) -> None:
    ids = add_messages(connection)
    connection.execute("CREATE TEMP TABLE outbound_event_delta (LIKE outbound_event_delta)")
    settle(connection, ids, "SENT", "SENT")
    connection.execute("DROP TABLE pg_temp.outbound_event_delta")

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 1}


def test_no_plan_that_a_session_keeps_ruins_a_bulk_update(connection: Connection) -> None:
    """Made for two rows, the cheapest join is a nested loop; for 20,000 rows it takes minutes."""
    plans: list[str] = []
    connection.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
    connection.execute("LOAD 'auto_explain'")
    connection.execute("SET auto_explain.log_min_duration = 0")
    connection.execute("SET auto_explain.log_nested_statements = on")
    connection.execute("SET auto_explain.log_level = notice")
    # As the sender's sessions do for the sake of their own statements.
    connection.execute("SET enable_hashjoin = off")
    connection.execute("SET enable_mergejoin = off")
    settle(connection, add_messages(connection, 2), "SENT", "SENT")

    joins = [plan for plan in plans if "INSERT INTO outbound" in plan and "after AS n" in plan]
    assert len(joins) == 3  # the message's twice (claim and settlement), the attempt's once
    assert all("Full Join" in plan for plan in joins)


def test_a_bulk_update_counts_every_row(connection: Connection) -> None:
    ids = add_messages(connection, 3000)
    settle(connection, ids, "SENT", "SENT")

    assert read(connection, "attempt") == {("whatsapp", "sent", ""): 3000}
    assert read(connection, "finished") == {("whatsapp", "sent", ""): 3000}


def _deltas(connection: Connection) -> int:
    row = connection.execute(
        "SELECT (SELECT count(*) FROM outbound_event_delta)"
        " + (SELECT count(*) FROM outbound_message_delta)"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_compaction_moves_deltas_in_batches_and_changes_no_count(connection: Connection) -> None:
    for number in add_messages(connection, 5):
        settle(connection, [number], "SENT", "SENT")
    queries = ("attempt", "finished", "send_latency")
    before = {query: read(connection, query) for query in queries}
    deltas = _deltas(connection)

    # Attempts and messages have a batch each.
    assert compact(connection, batch_rows=4) == 8
    assert _deltas(connection) == deltas - 8
    assert compact(connection) == deltas - 8
    assert compact(connection) == 0
    assert {query: read(connection, query) for query in queries} == before


def test_a_second_compaction_at_once_gives_way(connection: Connection, database: str) -> None:
    settle(connection, add_messages(connection), "SENT", "SENT")
    with psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (COMPACTION_LOCK,))
        assert compact(connection) is None

    assert compact(connection)


def test_a_snapshot_does_not_see_a_compaction_that_commits_under_it(
    connection: Connection, database: str
) -> None:
    settle(connection, add_messages(connection), "SENT", "SENT")
    with psycopg.connect(database) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = read(reader, "finished")
        compact(connection)
        assert read(reader, "finished") == before == {("whatsapp", "sent", ""): 1}
