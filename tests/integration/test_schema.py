"""The migrations and what the database itself guarantees."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from outbound_slo.database import Migration, migrate, migration_states
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus
from tests.patience import wait_for

ONE = Migration("test", 1, "0001_one.sql", "CREATE TABLE one (a int)")
BROKEN = Migration("test", 2, "0002_two.sql", "CREATE TABLE two (a int); SELECT nonsense")


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def _queue(connection: psycopg.Connection, more: str = "") -> int:
    row = connection.execute(
        b"INSERT INTO outbound_message (org_id, channel, to_recipient) "
        b"VALUES ('org', 'WHATSAPP', '+33612345678') RETURNING id"
    ).fetchone()
    assert row is not None
    if more:
        connection.execute(f"UPDATE outbound_message SET {more} WHERE id = {row[0]}".encode())
    return int(row[0])


def _ask(connection: psycopg.Connection, expression: str, number: int) -> object:
    row = connection.execute(
        f"SELECT {expression} FROM outbound_message WHERE id = {number}".encode()
    ).fetchone()
    assert row is not None
    return row[0]


def test_a_second_run_applies_nothing(empty_database: str) -> None:
    assert migrate(empty_database, [ONE]) == ["test/0001_one.sql"]
    assert migrate(empty_database, [ONE]) == []
    assert [state.applied for state in migration_states(empty_database, [ONE, BROKEN])] == [
        True,
        False,
    ]


def test_a_migration_that_fails_leaves_nothing(empty_database: str) -> None:
    with pytest.raises(UserMistake, match=r"0002_two\.sql failed and was undone"):
        migrate(empty_database, [ONE, BROKEN])
    with psycopg.connect(empty_database) as connection:
        row = connection.execute("SELECT to_regclass('one'), to_regclass('two')").fetchone()
    assert row == ("one", None)


INDEXED = Migration(
    "test",
    2,
    "0002_indexed.sql",
    "-- In no transaction: each statement can be repeated.\n"
    "-- name: drop_the_remains\nDROP INDEX CONCURRENTLY IF EXISTS one_once\n"
    "-- name: build\nCREATE UNIQUE INDEX CONCURRENTLY one_once ON one (a)\n",
)


def test_an_index_is_built_beside_the_writers_and_again_after_a_failure(
    empty_database: str,
) -> None:
    migrate(empty_database, [ONE])
    with psycopg.connect(empty_database, autocommit=True) as writer:
        writer.execute("INSERT INTO one VALUES (1), (1)")
        with pytest.raises(UserMistake, match=r"0002_indexed\.sql failed and can be repeated"):
            migrate(empty_database, [ONE, INDEXED])
        writer.execute("TRUNCATE one")

        assert migrate(empty_database, [ONE, INDEXED]) == ["test/0002_indexed.sql"]
        row = writer.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'one_once'::regclass"
        ).fetchone()
    assert row == (True,)


def test_who_waits_to_migrate_does_not_hold_up_the_index_of_who_does(empty_database: str) -> None:
    migrate(empty_database, [ONE])
    with (
        psycopg.connect(empty_database) as writer,
        psycopg.connect(empty_database, autocommit=True) as watcher,
        ThreadPoolExecutor(2) as pool,
    ):
        writer.execute("INSERT INTO one VALUES (1)")
        runs = [pool.submit(migrate, empty_database, [ONE, INDEXED]) for _ in range(2)]
        wait_for(
            lambda: (
                watcher.execute(
                    "SELECT count(*), count(*) FILTER (WHERE query LIKE 'CREATE UNIQUE%')"
                    " FROM pg_stat_activity WHERE application_name = 'outbound-slo migrate'"
                ).fetchone()
                == (2, 1)
            ),
            "one to build and the other to wait for it",
        )
        writer.commit()
        done = [run.result() for run in runs]

    assert sorted(done) == [[], ["test/0002_indexed.sql"]]


def test_a_migration_waits_for_a_table_in_short_turns(empty_database: str) -> None:
    migrate(empty_database, [ONE])
    altered = Migration("test", 2, "0002_altered.sql", "ALTER TABLE one ADD COLUMN b int")
    with (
        psycopg.connect(empty_database) as holder,
        psycopg.connect(empty_database, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        holder.execute("SELECT * FROM one")
        run = pool.submit(migrate, empty_database, [ONE, altered])
        of_it = "FROM pg_stat_activity WHERE application_name = 'outbound-slo migrate'"
        waits = f"SELECT count(*) = 1 {of_it} AND wait_event_type = 'Lock'".encode()
        rests = f"SELECT count(*) = 1 {of_it} AND state = 'idle'".encode()
        wait_for(lambda: watcher.execute(waits).fetchone() == (True,), "it to wait")
        wait_for(lambda: watcher.execute(rests).fetchone() == (True,), "it to give way")
        holder.commit()

        assert run.result() == ["test/0002_altered.sql"]


def test_an_edited_migration_is_refused(empty_database: str) -> None:
    migrate(empty_database, [ONE])
    edited = Migration("test", 1, "0001_one.sql", "CREATE TABLE one (a bigint)")
    with pytest.raises(UserMistake, match="with another text"):
        migrate(empty_database, [edited])


def test_an_unreachable_database_is_one_clear_line() -> None:
    with pytest.raises(UserMistake, match=r"Cannot connect to the database 127\.0\.0\.1:1/x"):
        migrate("postgresql://postgres@127.0.0.1:1/x")
    with pytest.raises(UserMistake, match="DATABASE_URL is malformed"):
        migrate("not a conninfo")


@pytest.mark.parametrize(
    ("table", "constraint", "values"),
    [
        ("outbound_message", "outbound_message_status_known", set(MessageStatus)),
        ("outbound_message", "outbound_message_channel_known", set(Channel)),
        ("outbound_attempt", "outbound_attempt_outcome_known", set(AttemptOutcome)),
    ],
)
def test_the_checks_allow_just_what_the_vocabulary_has(
    connection: psycopg.Connection, table: str, constraint: str, values: set[str]
) -> None:
    row = connection.execute(
        "SELECT array_agg(found[1]) FROM pg_constraint,"
        " regexp_matches(pg_get_constraintdef(oid), '''([A-Z_]+)''', 'g') AS found"
        " WHERE conname = %s AND conrelid = %s::regclass",
        (constraint, table),
    ).fetchone()
    assert row is not None
    assert set(row[0]) == {str(value) for value in values}


def test_the_archive_has_the_messages_columns_in_their_order(
    connection: psycopg.Connection,
) -> None:
    def columns(table: str) -> list[tuple[object, ...]]:
        return connection.execute(
            "SELECT attname, atttypid, atttypmod FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (table,),
        ).fetchall()

    assert columns("outbound_message") == columns("outbound_message_archive")


def test_a_new_message_is_due_at_once(connection: psycopg.Connection) -> None:
    number = _queue(connection)
    assert _ask(connection, "due_at <= now() AND due_since = due_at", number)


def test_a_schedule_moves_both_the_due_time_and_the_start_of_the_latency(
    connection: psycopg.Connection,
) -> None:
    number = _queue(connection, "scheduled_at = now() + interval '1 hour'")
    assert _ask(connection, "due_at = scheduled_at AND due_since = scheduled_at", number)


def test_a_back_off_moves_the_due_time_only(connection: psycopg.Connection) -> None:
    number = _queue(connection, "next_retry_at = now() + interval '1 hour'")
    assert _ask(connection, "due_at = next_retry_at AND due_since < now()", number)


def test_an_edited_attempt_leads_its_message(connection: psycopg.Connection) -> None:
    number = _queue(connection)
    for attempt, wait in ((1, "1 hour"), (2, "2 hours")):
        connection.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, next_retry_at)"
            f" VALUES ({number}, {attempt}, now() + interval '{wait}')".encode()
        )
    assert _ask(connection, "due_at > now() + interval '119 minutes'", number)
    connection.execute("UPDATE outbound_attempt SET next_retry_at = NULL WHERE attempt_no = 1")
    assert _ask(connection, "due_at > now() + interval '119 minutes'", number)
    connection.execute("UPDATE outbound_attempt SET next_retry_at = NULL WHERE attempt_no = 2")
    assert _ask(connection, "due_at <= now()", number)


def test_a_future_updated_at_defers_and_taking_it_back_lets_go(
    connection: psycopg.Connection,
) -> None:
    number = _queue(connection, "updated_at = now() + interval '4 hours'")
    assert _ask(connection, "due_at = updated_at", number)
    connection.execute("UPDATE outbound_message SET updated_at = now()")
    assert _ask(connection, "due_at <= now()", number)


@pytest.mark.parametrize("status", ["SENDING", "FAILED", "SENT"])
def test_a_reset_to_queued_is_due_at_once(connection: psycopg.Connection, status: str) -> None:
    number = _queue(connection, f"status = '{status}'")
    connection.execute("UPDATE outbound_message SET due_at = now() + interval '9 days'")
    connection.execute("UPDATE outbound_message SET status = 'QUEUED', updated_at = now()")
    assert _ask(connection, "due_at <= now()", number)


def test_a_message_brought_back_from_an_end_starts_with_empty_times(
    connection: psycopg.Connection,
) -> None:
    number = _queue(connection, "status = 'FAILED', sent_at = now(), delivered_at = now()")
    connection.execute("UPDATE outbound_message SET status = 'QUEUED'")
    assert _ask(connection, "sent_at IS NULL AND delivered_at IS NULL", number)


def test_an_idempotency_key_is_used_once(connection: psycopg.Connection) -> None:
    _queue(connection, "idempotency_key = 'k'")
    second = _queue(connection)
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            f"UPDATE outbound_message SET idempotency_key = 'k' WHERE id = {second}".encode()
        )


def test_the_claim_walks_the_index_of_due_messages(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO outbound_message (org_id, channel, to_recipient, status)"
        " SELECT 'org', 'SMS', '+336' || n, CASE WHEN n % 100 = 0 THEN 'QUEUED' ELSE 'SENT' END"
        "   FROM generate_series(1, 20000) AS n"
    )
    connection.execute("ANALYZE outbound_message")
    plan = connection.execute(
        "EXPLAIN SELECT id FROM outbound_message WHERE status = 'QUEUED' AND due_at <= now()"
        " AND channel = ANY ('{SMS}') ORDER BY due_at, id LIMIT 10 FOR UPDATE SKIP LOCKED"
    ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "idx_outbound_message_due" in text
    assert "Sort" not in text


def test_a_message_without_a_key_gets_one_of_its_own(connection: psycopg.Connection) -> None:
    first, second = _queue(connection), _queue(connection)
    assert _ask(connection, "idempotency_key", first) != _ask(connection, "idempotency_key", second)


def test_a_raised_quota_frees_what_waited_for_it_and_nothing_else(
    connection: psycopg.Connection,
) -> None:
    connection.execute(
        "INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit)"
        " VALUES ('org', 10, 10)"
    )
    wait = "scheduled_at = now() + interval '9 hours'"
    held = _queue(connection, f"{wait}, error_code = 'quota_exhausted'")
    planned = _queue(connection, wait)
    connection.execute("UPDATE whatsapp_rate_limit SET quota_limit = 5")
    assert _ask(connection, "due_at > now()", held)
    connection.execute("UPDATE whatsapp_rate_limit SET quota_limit = 5000")
    assert _ask(connection, "due_at <= now()", held)
    assert _ask(connection, "due_at > now()", planned)


@pytest.mark.parametrize("options", ["-csearch_path=nowhere", "-cdefault_transaction_read_only=on"])
def test_a_database_that_refuses_is_one_clear_line(empty_database: str, options: str) -> None:
    with pytest.raises(UserMistake, match="The database refuses: "):
        migrate(make_conninfo(empty_database, options=options), [ONE])


def test_a_malformed_address_is_not_repeated() -> None:
    with pytest.raises(UserMistake) as caught:
        migrate("mysql://user:topsecret@host/outbox")
    assert "topsecret" not in str(caught.value)
