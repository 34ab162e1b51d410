"""The rollup comes and goes under running writers, and tells when something escaped it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from typer.testing import CliRunner

from exporter.rollup.commands import app
from exporter.rollup.installation import Patience, install, remove
from exporter.rollup.verification import verify
from outbound_slo.database import core_migrations, migrate
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.exporter_parts import open_service, refresh_and_read, total

Connection = psycopg.Connection

INSERT = (
    "INSERT INTO outbound_message (org_id, channel, to_recipient, status)"
    " SELECT 'org', 'SMS', '+' || gen_random_uuid(), %s FROM generate_series(1, %s)"
)


def _go_on() -> None:
    """Try again at once."""


QUICK = Patience(lock_timeout_ms=200, tries=100, pause=_go_on)


@pytest.fixture
def plain(empty_database: str) -> str:
    """Give a database with the outbox and rows in it, but no rollup."""
    migrate(empty_database, core_migrations())
    with psycopg.connect(empty_database) as connection:
        connection.execute(INSERT, ("SENT", 40))
        connection.execute(INSERT, ("FAILED", 2))
        connection.execute("UPDATE outbound_message SET attempt_count = 5 WHERE status = 'FAILED'")
    return empty_database


@pytest.fixture
def connection(plain: str) -> Iterator[Connection]:
    with psycopg.connect(plain, autocommit=True) as opened:
        yield opened


def _states(connection: Connection) -> dict[tuple[str, str], int]:
    rows = connection.execute("SELECT status, detail, messages FROM outbound_state").fetchall()
    return {(status, detail): messages for status, detail, messages in rows}


def test_what_is_there_already_is_counted(plain: str, connection: Connection) -> None:
    done = install(plain, QUICK)

    assert done.verdict.size == 42
    assert done.verdict.repaired
    assert _states(connection) == {("SENT", ""): 40, ("FAILED", "unknown"): 2}
    assert verify(plain, repair=False).sound


def test_a_second_installation_changes_nothing(plain: str) -> None:
    install(plain, QUICK)
    again = install(plain, QUICK)

    assert (again.applied, again.restored, again.verdict.drifts) == ([], [], [])


def test_until_the_first_count_readers_count_rows(plain: str, connection: Connection) -> None:
    install(plain, QUICK)
    connection.execute("UPDATE outbound_rollup SET counted_at = NULL")
    connection.execute("DELETE FROM outbound_message_delta")

    assert _states(connection) == {("SENT", ""): 40, ("FAILED", "unknown"): 2}


def _write_until(url: str, ended: threading.Event, refused: list[str]) -> None:
    """Write without end, unwilling to wait for a lock much longer than an installation may."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '3s'")
        while not ended.is_set():
            try:
                connection.execute(INSERT, ("QUEUED", 3))
                connection.execute(
                    "UPDATE outbound_message SET status = 'SENT' WHERE id = ANY (ARRAY("
                    " SELECT id FROM outbound_message WHERE status = 'QUEUED' LIMIT 2"
                    " FOR UPDATE SKIP LOCKED))"
                )
            except psycopg.errors.LockNotAvailable as error:
                refused.append(str(error))


def test_a_long_transaction_delays_the_installation_and_no_writer(plain: str) -> None:
    """The lock is waited for 100 ms at a time; a writer that gives up after 3 s never has to."""
    ended, refused, pauses = threading.Event(), list[str](), list[int]()
    writers = [
        threading.Thread(target=_write_until, args=(plain, ended, refused)) for _ in range(3)
    ]
    with psycopg.connect(plain) as holder:
        holder.execute("UPDATE outbound_message SET org_id = 'held' WHERE status = 'FAILED'")
        for writer in writers:
            writer.start()

        def let_go_at_last() -> None:
            pauses.append(1)
            if len(pauses) == 40:
                holder.commit()

        try:
            done = install(plain, Patience(200, 1000, let_go_at_last))
        finally:
            ended.set()
            for writer in writers:
                writer.join()

    assert len(pauses) >= 40
    assert refused == []
    assert done.verdict.missing_triggers == []
    assert verify(plain, repair=False).drifts == []


def test_an_installation_that_never_gets_the_lock_says_so(plain: str) -> None:
    with psycopg.connect(plain) as holder:
        holder.execute("UPDATE outbound_message SET org_id = 'held'")
        with pytest.raises(UserMistake, match="held the outbox's tables in each of 3 tries"):
            install(plain, Patience(20, 3, _go_on))


def test_a_partitioned_table_is_refused(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE outbound_message (id bigint) PARTITION BY RANGE (id)")
        connection.execute("CREATE TABLE outbound_attempt (id bigint)")
    with pytest.raises(UserMistake, match="outbound_message is partitioned"):
        install(empty_database, QUICK)


def test_missing_tables_and_columns_are_named(empty_database: str) -> None:
    with pytest.raises(UserMistake, match="no table outbound_message"):
        install(empty_database, QUICK)
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE outbound_message (id bigint, channel text)")
        connection.execute("CREATE TABLE outbound_attempt (id bigint)")
    with pytest.raises(UserMistake, match=r"not there: outbound_message\.status"):
        install(empty_database, QUICK)


def _in_replica_mode(connection: Connection) -> None:
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM outbound_message WHERE status = 'FAILED'")
    connection.execute(INSERT, ("SENDING", 1))
    connection.execute("RESET session_replication_role")


def _with_triggers_off(connection: Connection) -> None:
    connection.execute("ALTER TABLE outbound_message DISABLE TRIGGER ALL")
    connection.execute("DELETE FROM outbound_message WHERE status = 'FAILED'")
    connection.execute(INSERT, ("SENDING", 1))
    connection.execute("ALTER TABLE outbound_message ENABLE TRIGGER ALL")


@pytest.mark.parametrize("escape", [_in_replica_mode, _with_triggers_off])
def test_what_escapes_the_triggers_is_found_and_put_right(
    plain: str, connection: Connection, escape: Callable[[Connection], None]
) -> None:
    install(plain, QUICK)
    escape(connection)
    found = verify(plain, repair=False)

    assert not found.sound
    assert [(d.status, d.detail, d.messages) for d in found.drifts] == [
        ("FAILED", "unknown", -2),
        ("SENDING", "", 1),
    ]
    with open_service(plain) as service:
        numbers = refresh_and_read(service)
        assert total(numbers, "outbound_rollup_drift_messages") == 3
        assert total(numbers, "outbound_rollup_verified_timestamp_seconds") > 0
    assert verify(plain, repair=True).sound
    assert verify(plain, repair=False).drifts == []
    assert _states(connection) == {("SENT", ""): 40, ("SENDING", ""): 1}


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE outbound_message DISABLE TRIGGER outbound_message_departures",
        "DROP TRIGGER outbound_message_departures ON outbound_message",
    ],
)
def test_a_missing_trigger_is_named_and_an_installation_puts_it_back(
    plain: str, connection: Connection, damage: str
) -> None:
    install(plain, QUICK)
    connection.execute(damage.encode())
    connection.execute("DELETE FROM outbound_message WHERE status = 'FAILED'")

    with open_service(plain) as service:
        assert total(refresh_and_read(service), "outbound_rollup_missing_triggers") == 1
    assert verify(plain, repair=False).missing_triggers == ["outbound_message_departures"]
    assert install(plain, QUICK).restored == ["outbound_message_departures"]
    connection.execute("DELETE FROM outbound_message WHERE status = 'SENT'")
    assert verify(plain, repair=False).sound
    assert _states(connection) == {}


def test_repairing_under_writers_is_exact(plain: str, connection: Connection) -> None:
    install(plain, QUICK)
    ended, refused = threading.Event(), list[str]()
    writers = [
        threading.Thread(target=_write_until, args=(plain, ended, refused)) for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    try:
        for _ in range(5):
            _in_replica_mode(connection)
            verify(plain, repair=True)
    finally:
        ended.set()
        for writer in writers:
            writer.join()

    assert verify(plain, repair=False).drifts == []


def test_what_was_removed_is_gone_and_can_come_back(plain: str, connection: Connection) -> None:
    install(plain, QUICK)
    remove(plain, QUICK)
    left = connection.execute(
        "SELECT relname FROM pg_class WHERE relname LIKE 'outbound_rollup%%'"
        " OR relname LIKE 'outbound_event%%' OR relname LIKE 'outbound_state%%'"
    ).fetchall()

    assert left == []
    # The outbox's own view of what waits is no part of it.
    assert connection.execute("SELECT count(*) FROM outbound_message_waiting").fetchall() == [(0,)]
    connection.execute(INSERT, ("SENT", 1))
    with pytest.raises(UserMistake, match="not installed"):
        verify(plain, repair=False)
    install(plain, QUICK)
    assert _states(connection)["SENT", ""] == 41


def test_the_command_tells_what_is_wrong_and_ends_with_1(
    plain: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", plain)
    run = CliRunner().invoke
    assert "42 messages were counted anew" in run(app, ["install"]).output
    assert run(app, ["verify"]).exit_code == 0
    _in_replica_mode(connection)
    told = run(app, ["verify", "--json"])
    assert told.exit_code == 1
    assert json.loads(told.output)["drift"] == 3
    assert "3 messages stand wrong" in run(app, ["verify"]).output
    assert run(app, ["verify", "--repair"]).exit_code == 0
    assert isinstance(run(app, ["remove"]).exception, UserMistake)
    assert run(app, ["remove", "--yes"]).exit_code == 0


def test_a_role_that_may_not_is_told_which_may(
    plain: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(plain, QUICK)
    connection.execute("CREATE ROLE nobody_special LOGIN")
    with closing(connection):
        try:
            monkeypatch.setenv("DATABASE_URL", plain.replace("postgres@", "nobody_special@"))
            told = CliRunner().invoke(app, ["verify"])
        finally:
            connection.execute("DROP ROLE nobody_special")
    assert isinstance(told.exception, UserMistake)
    assert "owns the outbox's tables" in told.exception.mend
