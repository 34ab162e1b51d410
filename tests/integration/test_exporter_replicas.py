"""Several exporters on one database, and one exporter on a database with a standby."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exporter.session import APPLICATION_NAME
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.exporter_parts import (
    Numbers,
    get_numbers,
    open_service,
    pick,
    refresh_and_read,
    serving,
    total,
    write_pack,
)
from tests.patience import wait_for
from tests.standby_parts import make_standby

LEADER = "outbound_exporter_leader"
METRICS = """
  - {name: answer, type: gauge, help: The answer., query: a, value: n}
  - {name: seen_total, type: counter, help: N., query: a, value: n}
"""


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    yield postgres_server.create_database("replicas")
    postgres_server.drop_database("replicas")


@pytest.fixture
def pack(tmp_path: Path) -> str:
    return write_pack(tmp_path / "post", METRICS, {"a": "SELECT 42 AS n"})


def sums(*pages: Numbers) -> list[float]:
    """Give what `sum()` over all replicas would: of leaders and of the pack's metric."""
    return [
        sum(total(page, LEADER) for page in pages),
        sum(sum(pick(page, "answer").values()) for page in pages),
    ]


def test_of_two_replicas_one_asks_and_shows(
    database: str, pack: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with (
        open_service(database, pack, elects=True) as one,
        open_service(database, pack, elects=True) as other,
    ):
        pages = [refresh_and_read(service) for service in (one, other, one, other)]

    assert sums(*pages[:2]) == sums(*pages[2:]) == [1, 42]
    standby = pages[3]
    assert total(standby, "outbound_exporter_database_up") == 1
    assert not pick(standby, "outbound_exporter_query_success")
    assert total(standby, "outbound_exporter_query_errors_total") == 0
    (told,) = [line for line in caplog.messages if "stands by" in line]
    assert f"'{APPLICATION_NAME}', process" in told


def test_a_standby_takes_over_when_the_leader_is_gone(database: str, pack: str) -> None:
    with open_service(database, pack, elects=True) as standby:
        with open_service(database, pack, elects=True) as leader:
            refresh_and_read(leader)
            before = refresh_and_read(standby)
        wait_for(lambda: total(refresh_and_read(standby), LEADER) == 1, "the standby to lead")
        after = refresh_and_read(standby)

    assert (total(before, LEADER), total(after, LEADER)) == (0, 1)
    assert total(after, "answer") == 42


def test_a_leader_whose_session_was_ended_gives_way(database: str, pack: str) -> None:
    with (
        open_service(database, pack, elects=True) as old,
        open_service(database, pack, elects=True) as new,
    ):
        refresh_and_read(old)
        with psycopg.connect(database, autocommit=True) as connection:
            pid = old.collector.open().info.backend_pid
            connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        taken = refresh_and_read(new)
        lost = refresh_and_read(old)
        back = refresh_and_read(old)

    assert total(taken, LEADER) == 1
    # The first refresh finds the line cut, the second finds who leads.
    assert total(lost, "outbound_exporter_database_up") == 0
    assert total(back, LEADER) == 0
    assert not pick(back, "answer")


def test_exporters_of_different_packs_do_not_wait_for_each_other(
    database: str, pack: str, tmp_path: Path
) -> None:
    metrics = "  - {name: other, type: gauge, help: N., query: b, value: n}\n"
    second = write_pack(tmp_path / "other", metrics, {"b": "SELECT 7 AS n"})
    with (
        open_service(database, pack, elects=True) as one,
        open_service(database, second, elects=True) as other,
    ):
        assert total(refresh_and_read(one), "answer") == 42
        assert total(refresh_and_read(other), "other") == 7


@pytest.mark.parametrize(
    "query",
    ["SELECT 42 AS n", "SELECT 42 AS n FROM pg_sleep(0.5)"],
    ids=["mostly_between_two_refreshes", "mostly_within_one"],
)
def test_a_frozen_leader_loses_the_lead(database: str, tmp_path: Path, query: str) -> None:
    quick = {
        "OUTBOUND_METRICS_UPDATE_INTERVAL_MS": "100",
        "OUTBOUND_EXPORTER_STATEMENT_TIMEOUT_MS": "1000",
    }
    arguments = ("--pack", write_pack(tmp_path / "post", METRICS, {"a": query}))
    with (
        serving(database, *arguments, **quick) as (first, pid),
        serving(database, *arguments, **quick) as (second, _),
    ):
        wait_for(lambda: total(get_numbers(first), LEADER) == 1, "the first to lead")
        assert total(get_numbers(second), LEADER) == 0
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for(lambda: total(get_numbers(second), LEADER) == 1, "the second to lead")
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: total(get_numbers(first), LEADER) == 0, "the first to give way")
        assert sums(get_numbers(first), get_numbers(second)) == [1, 42]


def test_without_an_election_both_show(database: str, pack: str) -> None:
    arguments = ("--pack", pack)
    off = {"OUTBOUND_EXPORTER_ELECTION": "false"}
    with (
        serving(database, *arguments, **off) as (first, _),
        serving(database, *arguments, **off) as (second, _),
    ):
        assert sums(get_numbers(first), get_numbers(second)) == [2, 84]


SERVERS = """
  - {name: anywhere, type: gauge, help: N., query: anywhere, value: n}
  - {name: on_primary, type: gauge, help: N., query: on_primary, value: n}
  - {name: on_replica, type: gauge, help: N., query: on_replica, value: n}
"""


@pytest.fixture
def both_kinds(tmp_path: Path) -> str:
    folder = write_pack(
        tmp_path / "kinds",
        SERVERS,
        dict.fromkeys(("anywhere", "on_primary", "on_replica"), "SELECT count(*) AS n FROM parcel"),
    )
    document = Path(folder, "pack.yml")
    text = document.read_text()
    for kind in ("primary", "replica"):
        text = text.replace(
            f"on_{kind}: {{file: q.sql}}", f"on_{kind}: {{file: q.sql, runs_on: {kind}}}"
        )
    document.write_text(text)
    return folder


def shown(numbers: Numbers) -> set[str]:
    return {name for name in ("anywhere", "on_primary", "on_replica") if pick(numbers, name)}


def test_a_replica_is_known_with_its_lag_and_the_queries_that_run_there(both_kinds: str) -> None:
    with EmbeddedPostgres(fsync=False) as primary:
        with psycopg.connect(primary.conninfo(), autocommit=True) as connection:
            connection.execute("CREATE TABLE parcel ()")
        with (
            make_standby(primary) as replica,
            open_service(primary.conninfo(), both_kinds) as of_primary,
            open_service(replica.conninfo(), both_kinds) as of_replica,
        ):
            first = refresh_and_read(of_primary)
            wait_for(
                lambda: _lag(refresh_and_read(of_replica)) == 0, "the replica to have caught up"
            )
            second = refresh_and_read(of_replica)
            primary.stop()
            wait_for(
                lambda: _lag(refresh_and_read(of_replica)) > 0,
                "the replica to notice that nothing arrives",
            )
            cut_off = refresh_and_read(of_replica)

    name = "outbound_exporter_database_in_recovery"
    assert (total(first, name), total(second, name)) == (0, 1)
    assert shown(first) == {"anywhere", "on_primary"}
    assert shown(second) == {"anywhere", "on_replica"}
    assert _lag(first) == 0
    assert total(cut_off, "anywhere") == 0
    # Elsewhere is no failure.
    assert total(second, "outbound_exporter_query_success") == 2
    assert total(second, "outbound_exporter_query_errors_total") == 0


def _lag(numbers: Numbers) -> float:
    return total(numbers, "outbound_exporter_replication_lag_seconds")
