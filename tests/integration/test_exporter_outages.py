"""What the page shows when the database is slow, locked or away, and that it mends itself (T13)."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from exporter.collector import Clock, Refresh
from exporter.failures import Failure, Reason
from exporter.loader import load_pack
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.errors import ErrorPolicy
from tests.exporter_parts import (
    Numbers,
    open_service,
    read_page,
    refresh_and_read,
    total,
    write_pack,
)
from tests.parcels import (
    METRICS,
    QUERIES,
    amend,
    errors_of,
    make_collector,
    make_pack,
    open_parcels,
    works,
)
from tests.patience import wait_for

Connection = psycopg.Connection


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """One database for this module; each test has a schema of its own."""
    yield postgres_server.create_database("outages")
    postgres_server.drop_database("outages")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with open_parcels(database) as opened:
        yield opened


@pytest.fixture
def pack(tmp_path: Path, connection: Connection) -> str:
    assert connection
    return write_pack(tmp_path / "post", METRICS, QUERIES)


@pytest.mark.usefixtures("connection")
def test_a_query_that_never_ends_is_ended(database: str, tmp_path: Path) -> None:
    endless = "SELECT 'a' AS state, count(*) AS n FROM generate_series(1, 1000000000000)"
    with open_service(database, make_pack(tmp_path, endless, timeout_ms=100)) as service:
        numbers = refresh_and_read(service)

    assert errors_of(numbers, "trial") == {"timeout": 1}
    assert total(numbers, "clock") == 1


@pytest.mark.usefixtures("connection")
def test_the_operators_limit_holds_against_a_patient_pack(database: str, tmp_path: Path) -> None:
    slow = make_pack(tmp_path, "SELECT 'a' AS state, 1 AS n, pg_sleep(60)", timeout_ms=60_000)
    with open_service(database, slow, timeout=100) as service:
        numbers = refresh_and_read(service)

    assert errors_of(numbers, "trial") == {"timeout": 1}


def test_a_lock_is_not_waited_for_as_long_as_a_statement_may_take(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    pack = make_pack(tmp_path, "SELECT state, 1 AS n FROM parcel LIMIT 1", timeout_ms=600_000)
    with (
        open_service(database, pack, timeout=600_000, lock_timeout=50) as service,
        connection.transaction(),
    ):
        connection.execute("LOCK TABLE parcel IN ACCESS EXCLUSIVE MODE")
        numbers = refresh_and_read(service)

    assert errors_of(numbers, "trial") == {"timeout": 1}
    assert works(numbers, "clock")


ORDER = """
  - {name: hung, type: gauge, help: N., query: hung, value: n}
  - {name: clock, type: gauge, help: N., query: clock, value: n}
"""


@pytest.mark.usefixtures("connection")
def test_a_query_whose_server_hangs_is_cut_off_and_has_its_turn_last_next_time(
    database: str, tmp_path: Path
) -> None:
    queries = {"hung": "SELECT 1 AS n, pg_advisory_xact_lock_shared(8)", "clock": "SELECT 1 AS n"}
    folder = write_pack(tmp_path / "hung", ORDER, queries)
    amend(
        folder,
        "hung: {file: q.sql}",
        "hung: {file: q.sql, timeout_ms: 500, client_timeout_ms: 600}",
    )
    loaded = load_pack(folder, ErrorPolicy.RUNBOOK)
    collector = make_collector(database, loaded, deadline_s=600)
    stalled: list[Refresh] = []
    collecting = threading.Thread(target=lambda: stalled.append(collector.collect()))
    try:
        with psycopg.connect(database) as holder:
            holder.execute("SELECT pg_advisory_xact_lock(8)")
            backend = collector.open().info.backend_pid
            collecting.start()
            wait_for(lambda: _waits_for_a_lock(database), "the query to hang")
            # From here on the server cannot end the statement by itself.
            with _paused(backend):
                collecting.join(timeout=60)
                ended_by_itself = not collecting.is_alive()
        again = collector.collect()
    finally:
        collector.close()

    assert ended_by_itself
    hung, clock = stalled[0].runs
    assert hung.failure == Failure(Reason.TIMEOUT, "the server did not answer, so the line was cut")
    assert clock.failure is not None
    assert clock.failure.reason is Reason.CONNECTION
    assert not stalled[0].reached
    assert [(run.query, run.failure) for run in again.runs] == [("clock", None), ("hung", None)]


@pytest.mark.usefixtures("connection")
def test_a_query_that_eats_the_deadline_cannot_starve_the_same_neighbours_twice(
    database: str, tmp_path: Path
) -> None:
    queries = {"hung": "SELECT 1 AS n, pg_sleep(600)", "clock": "SELECT 1 AS n"}
    folder = write_pack(tmp_path / "hungry", ORDER, queries, timeout_ms=600_000)
    loaded = load_pack(folder, ErrorPolicy.RUNBOOK)
    collector = make_collector(database, loaded, deadline_s=0.3)
    try:
        first, second, third = (collector.collect().runs for _ in range(3))
    finally:
        collector.close()

    starved = first[1].failure
    assert starved is not None
    assert "no time left" in starved.text
    for runs in (second, third):
        assert [(run.query, run.failure is None) for run in runs] == [
            ("clock", True),
            ("hung", False),
        ]


def test_a_transaction_that_a_query_ends_is_whole_again_at_the_next_refresh(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    with open_service(database, make_pack(tmp_path, "COMMIT")) as service:
        first, second = refresh_and_read(service), refresh_and_read(service)

    assert errors_of(first, "trial") == {"schema": 1}
    assert not works(first, "clock")
    assert works(second, "clock")
    assert connection.execute("SELECT count(*) FROM parcel").fetchone() == (3,)


def test_a_slow_database_gives_a_late_page_and_the_old_one_meanwhile(
    database: str, connection: Connection, pack: str
) -> None:
    amend(pack, "parcels: {file: q.sql}", "parcels: {file: q.sql, timeout_ms: 60000}")
    with open_service(database, pack, timeout=60_000, lock_timeout=60_000) as service:
        refresh_and_read(service)
        with connection.transaction():
            connection.execute("LOCK TABLE parcel IN ACCESS EXCLUSIVE MODE")
            connection.execute("INSERT INTO parcel VALUES ('new', 3)")
            refreshing = threading.Thread(target=service.refresh)
            refreshing.start()
            wait_for(lambda: _waits_for_a_lock(database), "the refresh to wait")
            meanwhile = read_page(service.publication.page())
        refreshing.join()
        late = read_page(service.publication.page())

    assert total(meanwhile, "parcels", state="new") == 2
    assert works(meanwhile, "parcels")
    assert total(late, "outbound_exporter_query_errors_total") == 0
    # The snapshot was taken before the rows came.
    assert total(late, "parcels", state="new") == 2
    duration = "outbound_exporter_query_duration_seconds"
    assert total(late, duration, query="parcels") > total(meanwhile, duration, query="parcels")


def test_a_locked_table_is_a_timeout_and_no_queue_behind_it(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    pack = make_pack(tmp_path, "SELECT state, 1 AS n FROM parcel LIMIT 1", timeout_ms=100)
    with open_service(database, pack) as service, connection.transaction():
        connection.execute("LOCK TABLE parcel IN ACCESS EXCLUSIVE MODE")
        numbers = refresh_and_read(service)

    assert errors_of(numbers, "trial") == {"timeout": 1}
    assert works(numbers, "clock")


@pytest.mark.usefixtures("connection")
def test_a_refresh_ends_at_its_deadline_and_the_rest_are_timeouts(
    database: str, tmp_path: Path
) -> None:
    metrics = "".join(
        f"  - {{name: {name}, type: gauge, help: N., query: {name}, value: n}}\n"
        for name in ("quick", "slow", "late")
    )
    queries = {
        "quick": "SELECT 1 AS n",
        "slow": "SELECT 1 AS n, pg_sleep(60)",
        "late": "SELECT 1 AS n",
    }
    folder = write_pack(tmp_path / "slow", metrics, queries, timeout_ms=60_000)
    loaded = load_pack(folder, ErrorPolicy.RUNBOOK)
    # A second passes at each look at the clock: the first query starts at 1 s, the second at 3 s
    # with half a second left, the third at 5 s and beyond the deadline.
    ticks = map(float, count())
    clock = Clock(wall=lambda: 0.0, steady=lambda: next(ticks))
    collector = make_collector(database, loaded, clock=clock, deadline_s=3.5)
    try:
        quick, slow, late = collector.collect().runs
    finally:
        collector.close()

    assert quick.failure is None
    assert slow.failure is not None
    assert slow.failure.text == "canceling statement due to statement timeout"
    assert late.failure is not None
    assert late.failure.reason is Reason.TIMEOUT
    assert "no time left" in late.failure.text


def test_the_numbers_of_one_page_belong_to_one_instant(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    metrics = """
  - {name: before, type: gauge, help: N., query: before, value: n}
  - {name: gate, type: gauge, help: N., query: gate, value: n}
  - {name: after, type: gauge, help: N., query: after, value: n}
"""
    queries = {
        "before": "SELECT count(*) AS n FROM parcel",
        "gate": "SELECT 1 AS n, pg_advisory_xact_lock_shared(7)",
        "after": "SELECT count(*) AS n FROM parcel",
    }
    pages: list[Numbers] = []
    with open_service(database, write_pack(tmp_path / "gate", metrics, queries)) as service:
        refreshing = threading.Thread(target=lambda: pages.append(refresh_and_read(service)))
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(7)")
            refreshing.start()
            wait_for(lambda: _waits_for_a_lock(database), "the refresh to reach the gate")
            with psycopg.connect(database, autocommit=True) as other:
                other.execute("INSERT INTO parcel VALUES ('late', 9)")
        refreshing.join()

    assert connection.execute("SELECT count(*) FROM parcel").fetchone() == (4,)
    assert total(pages[0], "before") == total(pages[0], "after") == 3


def _waits_for_a_lock(database: str) -> bool:
    with psycopg.connect(database) as looking:
        row = looking.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%exporter'"
            " AND datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row[0] > 0


def test_a_counter_over_rows_that_are_purged_does_not_fall(
    database: str, connection: Connection, pack: str
) -> None:
    with open_service(database, pack) as service:
        refresh_and_read(service)
        connection.execute("DELETE FROM parcel")
        purged = refresh_and_read(service)
        connection.execute("INSERT INTO parcel VALUES ('new', 5), ('new', 6)")
        grown = refresh_and_read(service)

    assert total(purged, "parcels_seen_total") == 3
    assert total(grown, "parcels_seen_total") == 5
    assert total(grown, "outbound_exporter_counter_rebases_total") == 1
    assert total(purged, "parcels") == 0


def test_a_backend_that_is_ended_costs_one_refresh(
    database: str, connection: Connection, pack: str
) -> None:
    with open_service(database, pack) as service:
        refresh_and_read(service)
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE '%exporter' AND datname = current_database()"
        )
        cut = refresh_and_read(service)
        back = refresh_and_read(service)

    assert errors_of(cut, "parcels") == {"connection": 1}
    assert total(cut, "outbound_exporter_database_up") == 0
    assert total(cut, "parcels", state="new") == 2
    assert total(back, "outbound_exporter_database_up") == 1
    assert works(back, "parcels")


def test_a_server_that_stops_answering_does_not_hold_the_exporter_for_ever(
    database: str, pack: str
) -> None:
    clock = Clock(wall=lambda: 0.0, steady=lambda: 0.0)
    loaded = load_pack(pack, ErrorPolicy.RUNBOOK)
    collector = make_collector(database, loaded, clock=clock, deadline_s=0.1)
    stalled: list[Refresh] = []
    collecting = threading.Thread(target=lambda: stalled.append(collector.collect()))
    try:
        with _paused(collector.open().info.backend_pid):
            collecting.start()
            # Bounds a failure only: without an end of its own it would wait for the server.
            collecting.join(timeout=60)
            ended_by_itself = not collecting.is_alive()
        collecting.join()
        again = collector.collect()
    finally:
        collector.close()

    assert ended_by_itself
    assert not stalled[0].reached
    assert {run.failure.reason for run in stalled[0].runs if run.failure} == {Reason.CONNECTION}
    assert again.reached
    assert not [run for run in again.runs if run.failure]


@contextmanager
def _paused(backend: int) -> Iterator[None]:
    """Stop a server process as if its machine hung; it cannot end meanwhile."""
    os.kill(backend, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(backend, signal.SIGCONT)


def test_a_database_that_goes_and_comes_back_needs_no_restart(tmp_path: Path) -> None:
    metrics = "  - {name: clock, type: gauge, help: One., query: clock, value: one}\n"
    pack = write_pack(tmp_path / "clock", metrics, {"clock": "SELECT 1 AS one"})
    with (
        EmbeddedPostgres(fsync=False) as server,
        open_service(server.conninfo(), pack) as service,
    ):
        up = refresh_and_read(service)
        server.stop()
        down = [refresh_and_read(service), refresh_and_read(service)]
        server.start()
        back = refresh_and_read(service)

    name = "outbound_exporter_database_up"
    assert [total(page, name) for page in (up, *down, back)] == [1, 0, 0, 1]
    assert [errors_of(page, "clock") for page in down] == [{"connection": 1}, {"connection": 2}]
    assert total(down[0], "clock") == 1
    assert works(back, "clock")
    stamp = "outbound_exporter_snapshot_timestamp_seconds"
    assert total(down[1], stamp) == total(up, stamp)
    assert total(back, stamp) > total(up, stamp)
