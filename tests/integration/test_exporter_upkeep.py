"""What the pack `outbound` tells of the database itself, on real servers."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from exporter.loader import load_pack
from exporter.service import Service
from operations.tables import TABLES
from outbound_slo.database import migrate
from outbound_slo.embedded.binaries import POSTGRESQL, find_tools
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.schema import all_migrations
from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.heartbeat import SILENT_S
from tests.exporter_parts import (
    Connection,
    open_service,
    pick,
    refresh_and_read,
    total,
    write_pack,
)
from tests.integrity_parts import find_contradictions
from tests.patience import wait_for
from tests.standby_parts import make_standby

PACK = load_pack("outbound", ErrorPolicy.RUNBOOK)
QUERIES = {query.name: query.sql for query in PACK.queries}
CHECKS = {
    "duplicate_in_flight",
    "duplicate_keys",
    "orphaned_attempts",
    "sending_without_attempt",
}


def ask(connection: psycopg.Connection[Any], query: str) -> list[dict[str, Any]]:
    """Run one query of the pack."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES[query].encode()).fetchall()


def ask_by(connection: psycopg.Connection[Any], query: str) -> Mapping[str, Any]:
    """Run a query that gives one label and one number."""
    rows = [tuple(row.values()) for row in ask(connection, query)]
    assert len(rows) == len(dict(rows))
    return dict(rows)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """Give a server whose files a test may spoil, with checksums and prepared transactions."""
    with EmbeddedPostgres(fsync=False, settings={"max_prepared_transactions": "4"}) as running:
        running.stop()
        program = Path(find_tools(POSTGRESQL)["postgres"]).parent / "pg_checksums"
        owner = running.data_directory.stat()
        subprocess.run(
            [program, "--enable", "--no-sync", "-D", running.data_directory],
            check=True,
            capture_output=True,
            user=owner.st_uid if os.geteuid() == 0 else None,
        )
        running.start()
        migrate(running.create_database("outbox"), all_migrations())
        yield running


def test_everything_is_on_the_page_of_a_primary(service: Service, outbox: Connection) -> None:
    outbox.execute("VACUUM outbound_message")
    refresh_and_read(service)
    # What has an interval of its own comes with the second refresh.
    numbers = refresh_and_read(service)

    watched = {dict(labels)["table"] for labels in pick(numbers, "outbound_table_dead_rows")}
    assert watched < TABLES.keys()
    assert {"outbound_message", "outbound_attempt"} < watched
    for name in ("dead_rows_ratio", "frozen_age_ratio"):
        assert len(pick(numbers, f"outbound_table_{name}")) == len(watched)
    age = pick(numbers, "outbound_table_autovacuum_age_seconds", table="outbound_message")
    assert all(0 <= seconds < 3600 for seconds in age.values())
    assert age
    for holder in ("transaction", "prepared"):
        assert pick(numbers, "outbound_database_oldest_snapshot_seconds", holder=holder)
    checks = pick(numbers, "outbound_integrity_violations")
    # This server has no checksums: their failures are not zero but unknown.
    assert {dict(labels)["check"] for labels in checks} == CHECKS
    assert set(checks.values()) == {0.0}
    assert total(numbers, "outbound_exporter_query_success") == len(PACK.queries)


def test_a_reader_without_the_right_to_see_sessions_gives_no_age(
    database: str, server: EmbeddedPostgres
) -> None:
    assert server
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE short_sighted LOGIN")
        url = database.replace("postgres@", "short_sighted@")
        try:
            with psycopg.connect(url, autocommit=True) as reader:
                assert ask_by(reader, "snapshots") == {"transaction": None, "prepared": 0}
                connection.execute("GRANT pg_monitor TO short_sighted")
                assert ask_by(reader, "snapshots") == {"transaction": 0, "prepared": 0}
        finally:
            connection.execute("DROP ROLE short_sighted")


def test_the_oldest_transaction_that_keeps_dead_rows_counts_and_no_other(database: str) -> None:
    with (
        psycopg.connect(database, autocommit=True) as looking,
        psycopg.connect(database) as idle,
        psycopg.connect(database) as older,
        psycopg.connect(database) as younger,
    ):
        # It has read and holds nothing any more.
        idle.execute("SELECT 1")
        assert ask_by(looking, "snapshots")["transaction"] == 0
        older.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        began = older.execute("SELECT now()").fetchone()
        looking.execute("SELECT pg_sleep(0.05)")
        younger.execute("CREATE TABLE written ()")

        def age() -> float:
            row = looking.execute("SELECT EXTRACT(EPOCH FROM now() - %s)", began).fetchone()
            assert row
            return float(row[0])

        before = age()
        assert before <= ask_by(looking, "snapshots")["transaction"] <= age()
        older.rollback()
        # It began no sooner than the nap was over.
        assert 0 < ask_by(looking, "snapshots")["transaction"] <= age() - 0.05
        younger.rollback()
        assert ask_by(looking, "snapshots")["transaction"] == 0


def test_a_transaction_of_another_database_holds_nothing_here(
    database: str, empty_database: str
) -> None:
    with psycopg.connect(database) as looking, psycopg.connect(empty_database) as other:
        other.execute("CREATE TABLE written ()")
        assert ask_by(looking, "snapshots")["transaction"] == 0


def test_a_prepared_transaction_is_seen_until_it_ends(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.conninfo("outbox"), autocommit=True) as connection:
        connection.execute("BEGIN; CREATE TABLE forgotten (); PREPARE TRANSACTION 'forgotten'")
        connection.execute("SELECT pg_sleep(0.01)")
        with psycopg.connect(server.conninfo()) as other:
            elsewhere = ask_by(other, "snapshots")
        seen = ask_by(connection, "snapshots")
        connection.execute("ROLLBACK PREPARED 'forgotten'")
        gone = ask_by(connection, "snapshots")

    assert seen["prepared"] > 0
    assert (elsewhere["prepared"], gone["prepared"]) == (0, 0)


def test_dead_rows_and_the_time_since_vacuum_are_the_statistics(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.conninfo("outbox"), autocommit=True) as connection:

        def row() -> dict[str, Any]:
            rows = {row["table"]: row for row in ask(connection, "upkeep")}
            return rows["whatsapp_rate_limit"]

        connection.execute(
            "INSERT INTO whatsapp_rate_limit (org_id) SELECT n::text FROM generate_series(1, 30) n"
        )
        connection.execute("DELETE FROM whatsapp_rate_limit WHERE org_id::int <= 10")
        wait_for(lambda: row()["dead_rows"] == 10, "the statistics to be written")
        dirty = row()
        connection.execute("VACUUM whatsapp_rate_limit")
        clean = row()

    assert (dirty["dead_share"], dirty["vacuum_age"]) == (10 / 30, None)
    assert (clean["dead_rows"], clean["dead_share"]) == (0, 0)
    assert clean["vacuum_age"] >= 0


def test_the_frozen_age_is_of_the_limit_that_the_table_has(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.conninfo("outbox"), autocommit=True) as connection:

        def share() -> float:
            rows = {row["table"]: row["frozen_age"] for row in ask(connection, "upkeep")}
            return float(rows["provider_webhook"])

        connection.execute("VACUUM FREEZE provider_webhook")
        for _ in range(50):
            connection.execute("SELECT pg_current_xact_id()")
        by_default = share()
        connection.execute("ALTER TABLE provider_webhook SET (autovacuum_freeze_max_age = 100000)")
        of_its_own = share()
        connection.execute("ALTER TABLE provider_webhook RESET (autovacuum_freeze_max_age)")

    assert 50 / 200_000_000 <= by_default < 0.001
    assert of_its_own == pytest.approx(by_default * 2000, rel=0.1)


def test_a_replica_that_lags_and_a_slot_that_nobody_reads_are_told() -> None:
    with EmbeddedPostgres(fsync=False) as primary:
        with psycopg.connect(primary.conninfo(), autocommit=True) as setting_up:
            # One that has reserved nothing yet keeps nothing.
            setting_up.execute("SELECT pg_create_physical_replication_slot('late')")
            setting_up.execute("SELECT pg_create_physical_replication_slot('unused', true)")
        with (
            make_standby(primary, cluster_name="west") as replica,
            psycopg.connect(primary.conninfo(), autocommit=True) as connection,
        ):
            wait_for(lambda: ask_by(connection, "replicas") == {"west": 0}, "no lag")
            with psycopg.connect(replica.conninfo(), autocommit=True) as standby:
                standby.execute("SELECT pg_wal_replay_pause()")
                connection.execute("CREATE TABLE parcel AS SELECT generate_series(1, 9999)")
                wait_for(lambda: ask_by(connection, "replicas")["west"] > 0, "the lag")
                standby.execute("SELECT pg_wal_replay_resume()")
            wait_for(lambda: ask_by(connection, "replicas") == {"west": 0}, "it to catch up")
            connection.execute("CREATE ROLE short_sighted LOGIN")
            role = primary.conninfo().replace("postgres@", "short_sighted@")
            with psycopg.connect(role) as reader:
                assert ask(reader, "replicas") == []
            (slot,) = ask(connection, "slots")
    assert (slot["slot"], slot["active"]) == ("unused", "false")
    assert slot["bytes"] > 0


def test_a_standby_gives_none_of_its_primarys_numbers() -> None:
    primaries = {query.name for query in PACK.queries if query.runs_on == "primary"}
    assert primaries == {"snapshots", "upkeep", "replicas", "slots"}


DAMAGE = {
    "duplicate_in_flight": """
        DROP INDEX idx_outbound_message_in_flight;
        INSERT INTO outbound_message (org_id, channel, to_recipient, status)
        VALUES ('o', 'SMS', '+1', 'SENDING'), ('o', 'SMS', '+1', 'SENDING')""",
    "duplicate_keys": """
        ALTER TABLE outbound_message DROP CONSTRAINT outbound_message_idempotency_key_once;
        INSERT INTO outbound_message (org_id, channel, to_recipient, idempotency_key)
        VALUES ('o', 'SMS', '+1', 'k'), ('o', 'SMS', '+2', 'k')""",
    "orphaned_attempts": """
        INSERT INTO outbound_message (id, org_id, channel, to_recipient)
        VALUES (7, 'o', 'SMS', '+1');
        INSERT INTO outbound_attempt (outbound_message_id, attempt_no) VALUES (7, 1);
        SET LOCAL session_replication_role = replica;
        DELETE FROM outbound_message WHERE id = 7""",
    "sending_without_attempt": """
        INSERT INTO outbound_message (id, org_id, channel, to_recipient, status, attempt_seq)
        VALUES (7, 'o', 'SMS', '+1', 'SENDING', 2);
        INSERT INTO outbound_attempt (outbound_message_id, attempt_no) VALUES (7, 1)""",
}


@pytest.mark.parametrize(("check", "damage"), DAMAGE.items())
def test_each_contradiction_is_found_by_its_check_alone(
    outbox: Connection, check: str, damage: str
) -> None:
    with outbox.transaction(force_rollback=True):
        assert find_contradictions(outbox) == set()
        outbox.execute(damage.encode())
        assert find_contradictions(outbox) == {check}
        assert ask_by(outbox, "integrity")[check] == 1


def test_two_rows_of_one_id_are_found(outbox: Connection) -> None:
    with outbox.transaction(force_rollback=True):
        outbox.execute("ALTER TABLE outbound_message DROP CONSTRAINT outbound_message_pkey CASCADE")
        outbox.execute(
            "INSERT INTO outbound_message (id, org_id, channel, to_recipient, idempotency_key)"
            " VALUES (7, 'o', 'SMS', '+1', 'a'), (7, 'o', 'SMS', '+2', 'b')"
        )
        assert find_contradictions(outbox) == {"duplicate_keys"}


_INSERT = (
    "INSERT INTO outbound_message (org_id, channel, to_recipient, status, attempt_seq) VALUES "
)
SOUND = [
    # Another sender than ours leaves no attempt, and attempt_seq alone.
    _INSERT + "('o', 'SMS', '+1', 'SENDING', 0)",
    # The same recipient on another channel, and once more in the queue.
    _INSERT + "('o', 'SMS', '+1', 'SENDING', 0), ('o', 'WHATSAPP', '+1', 'SENDING', 0),"
    " ('o', 'SMS', '+1', 'QUEUED', 0)",
    # Out of a table of archived messages, without their attempts, and reset by hand.
    _INSERT + "('o', 'SMS', '+1', 'QUEUED', 3)",
]


@pytest.mark.parametrize("statement", SOUND)
def test_what_people_and_other_senders_may_do_is_no_contradiction(
    outbox: Connection, statement: str
) -> None:
    outbox.execute(statement.encode())
    assert find_contradictions(outbox) == set()


def test_the_checks_read_a_bounded_number_of_rows_of_a_long_table(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO outbound_message (org_id, channel, to_recipient, status)"
            " SELECT 'o', 'SMS', '+' || n, CASE WHEN n % 100 = 0 THEN 'SENDING' ELSE 'SENT' END"
            " FROM generate_series(1, 20000) AS n"
        )
        connection.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no)"
            " SELECT id, 1 FROM outbound_message"
        )
        connection.execute("VACUUM ANALYZE outbound_message, outbound_attempt")
        plan = connection.execute(
            b"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) " + QUERIES["integrity"].encode()
        ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "Seq Scan on outbound_" not in text
    read = [int(rows) for rows in re.findall(r"Scan.*rows=(\d+)", text)]
    assert read
    assert max(read) <= 1000


def test_a_page_that_cannot_be_read_is_damage_to_the_exporter_and_a_failed_checksum(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = server.conninfo("outbox")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE parcel AS SELECT 1 AS n")
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_relation_filepath('parcel')").fetchone()
        assert row
        assert ask_by(connection, "integrity")["checksum_failures"] == 0
    server.stop()
    with (server.data_directory / row[0]).open("r+b") as file:
        file.seek(8000)
        file.write(b"\xff" * 100)
    server.start()
    metric = "  - {name: parcels, type: gauge, help: N., query: q, value: n}\n"
    pack = write_pack(tmp_path / "post", metric, {"q": "SELECT n FROM parcel"})
    with open_service(url, pack) as exporter:
        numbers = refresh_and_read(exporter)
    with psycopg.connect(url, autocommit=True) as connection:
        failures = ask_by(connection, "integrity")["checksum_failures"]
        connection.execute("DROP TABLE parcel")

    errors = pick(numbers, "outbound_exporter_query_errors_total", reason="corruption")
    assert list(errors.values()) == [1]
    assert total(numbers, "outbound_exporter_query_errors_total") == 1
    assert total(numbers, "outbound_exporter_database_up") == 1
    assert failures >= 1


def test_senders_are_counted_while_they_give_signs_of_life(
    service: Service, outbox: Connection
) -> None:
    name, seen = "outbound_senders", "outbound_sender_last_seen_timestamp_seconds"
    outbox.execute("TRUNCATE outbound_sender")
    empty = refresh_and_read(service)
    assert len(pick(empty, name)) == 2
    assert total(empty, name) == 0
    assert not pick(empty, seen)
    outbox.execute(
        "INSERT INTO outbound_sender"
        " (worker, version, started_at, seen_at, claiming, in_flight, breakers)"
        " SELECT worker, '1', now(), now() - %s * interval '1 second' * share, claiming, 0, '{}'"
        " FROM (VALUES ('a', 0.1, true), ('b', 0.5, true), ('c', 1.1, true), ('d', 0.5, false),"
        " ('e', 4, false)) AS sender (worker, share, claiming)",
        (SILENT_S,),
    )
    numbers = refresh_and_read(service)
    row = outbox.execute("SELECT EXTRACT(EPOCH FROM max(seen_at)) FROM outbound_sender").fetchone()
    outbox.execute("TRUNCATE outbound_sender")

    assert row
    assert total(numbers, name, state="claiming") == 2
    assert total(numbers, name, state="idle") == 1
    assert total(numbers, seen) == pytest.approx(float(row[0]), abs=0.001)


def test_a_pause_lasts_since_the_oldest_switch_that_makes_it_was_touched(
    service: Service, outbox: Connection
) -> None:
    turn = (
        "UPDATE outbound_switch SET paused = true, until = now() + %s::interval,"
        " updated_at = now() - %s::interval WHERE channel = %s"
    )
    name = "outbound_channel_paused_seconds"
    try:
        assert total(refresh_and_read(service), name) == 0
        outbox.execute(turn, (None, "100 seconds", "SMS"))
        numbers = refresh_and_read(service)
        assert 100 <= total(numbers, name, channel="sms") < 1000
        assert total(numbers, name, channel="email") == 0
        outbox.execute(turn, ("1 hour", "1000 seconds", "ALL"))
        numbers = refresh_and_read(service)
        assert 1000 <= total(numbers, name, channel="sms") < 2000
        assert 1000 <= total(numbers, name, channel="email") < 2000
        # One that has ended pauses nothing any more, however long ago it began.
        outbox.execute(turn, ("-1 second", "9000 seconds", "ALL"))
        numbers = refresh_and_read(service)
        assert 100 <= total(numbers, name, channel="sms") < 1000
        assert total(numbers, name, channel="email") == 0
    finally:
        outbox.execute("UPDATE outbound_switch SET paused = false")
