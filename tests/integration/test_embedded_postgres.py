"""The private PostgreSQL server."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import LOOPBACK, is_port_free, pick_port
from outbound_slo.vocabulary.mistakes import UserMistake


@pytest.fixture
def directory() -> Iterator[Path]:
    """Make a directory which the server's user can reach; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(prefix="outbound-slo-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def tell(conninfo: str, statement: LiteralString) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(statement)


def ask(conninfo: str, question: LiteralString) -> object:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def test_a_copy_of_a_template_has_its_tables_and_keeps_changes_to_itself(
    postgres_server: EmbeddedPostgres,
) -> None:
    pattern = postgres_server.create_database("pattern")
    tell(pattern, "CREATE TABLE note AS SELECT 1 AS number")
    copy = postgres_server.create_database("copy", template="pattern")
    tell(copy, "INSERT INTO note VALUES (2)")
    assert ask(copy, "SELECT array_agg(number) FROM note") == [1, 2]
    assert ask(pattern, "SELECT array_agg(number) FROM note") == [1]
    postgres_server.drop_database("copy")
    postgres_server.drop_database("pattern")


def test_a_database_is_dropped_under_a_session_that_still_holds_it(
    postgres_server: EmbeddedPostgres,
) -> None:
    with psycopg.connect(postgres_server.create_database("held")) as session:
        postgres_server.drop_database("held")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    count = "SELECT count(*) FROM pg_database WHERE datname = 'held'"
    assert ask(postgres_server.conninfo(), count) == 0


def test_the_extensions_of_the_runbooks_can_be_used(empty_database: str) -> None:
    tell(empty_database, "CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_stat_statements")
    assert ask(empty_database, "SELECT length(encode(gen_random_bytes(8), 'hex'))") == 16
    assert ask(empty_database, "SELECT count(*) > 0 FROM pg_stat_statements") is True


def test_each_test_gets_a_migrated_database_of_its_own(database: str) -> None:
    assert ask(database, "SELECT count(*) FROM outbound_message") == 0


def test_a_database_speaks_utf8_and_utc(empty_database: str) -> None:
    assert ask(empty_database, "SHOW server_encoding") == "UTF8"
    assert ask(empty_database, "SHOW timezone") == "UTC"


def test_the_server_listens_on_loopback_only_and_does_not_run_as_root(
    postgres_server: EmbeddedPostgres,
) -> None:
    conninfo = postgres_server.conninfo()
    assert ask(conninfo, "SHOW listen_addresses") == LOOPBACK
    assert ask(conninfo, "SHOW unix_socket_directories") == ""
    assert Path(f"/proc/{postgres_server.pid}").stat().st_uid != 0


def test_without_a_directory_nothing_is_left_behind() -> None:
    with EmbeddedPostgres(fsync=False) as server:
        assert ask(server.conninfo(), "SELECT 1") == 1
    assert not server.directory.exists()
    assert is_port_free(server.port)


def test_data_survives_a_restart_and_a_second_run_in_the_same_directory(directory: Path) -> None:
    with EmbeddedPostgres(directory, fsync=False) as server:
        tell(server.conninfo(), "CREATE TABLE note AS SELECT 42 AS number")
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            ask(server.conninfo(), "SELECT 1")
        server.start()
        assert ask(server.conninfo(), "SELECT number FROM note") == 42
    with EmbeddedPostgres(directory, fsync=False) as server:
        assert ask(server.conninfo(), "SELECT number FROM note") == 42


def test_commits_are_durable_unless_that_is_given_up(directory: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        durable = ask(server.conninfo(), "SELECT current_setting('fsync')")
    with EmbeddedPostgres(directory, fsync=False) as server:
        quick = ask(server.conninfo(), "SELECT current_setting('fsync')")
    assert (durable, quick) == ("on", "off")


def test_a_port_in_use_is_one_line_and_leaves_nothing(
    postgres_server: EmbeddedPostgres, directory: Path
) -> None:
    port = postgres_server.port
    with (
        pytest.raises(UserMistake, match=f"Port {port} on {LOOPBACK}, wanted for PostgreSQL"),
        EmbeddedPostgres(directory, port=port),
    ):
        pass
    assert list(directory.iterdir()) == []


def test_a_setting_that_the_server_does_not_know_is_one_line_that_names_it(
    directory: Path,
) -> None:
    port = pick_port()
    with (
        pytest.raises(UserMistake) as mistake,
        EmbeddedPostgres(directory, port=port, settings={"no_such_setting": "1"}),
    ):
        pass
    assert 'unrecognized configuration parameter "no_such_setting"' in str(mistake.value)
    assert "\n" not in str(mistake.value)
    assert is_port_free(port)


def test_a_directory_that_cannot_be_made_is_one_line_that_names_it(directory: Path) -> None:
    (directory / "file").touch()
    with pytest.raises(UserMistake, match="file/below"), EmbeddedPostgres(directory / "file/below"):
        pass
