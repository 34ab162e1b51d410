"""What the page shows when the database misbehaves, and that it mends itself (T12, T13)."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from exporter.collector import Clock, Collector, Limits, Refresh
from exporter.failures import Failure, Reason
from exporter.loader import load_pack
from exporter.pack import Pack
from exporter.publication import Publication
from exporter.service import SYSTEM_CLOCK
from exporter.target import own_target
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.errors import ErrorPolicy
from tests.exporter_parts import (
    Numbers,
    open_service,
    pick,
    read_page,
    refresh_and_read,
    total,
    write_pack,
)
from tests.patience import wait_for

Connection = psycopg.Connection

METRICS = """
  - {name: parcels, type: gauge, help: Parcels., labels: [state], query: parcels, value: parcels,
     zero_fill: [{state: [new, gone]}]}
  - {name: parcels_seen_total, type: counter, help: Parcels., query: seen, value: parcels}
  - {name: clock, type: gauge, help: One., query: clock, value: one}
"""
QUERIES = {
    "parcels": "SELECT state, count(*) AS parcels FROM parcel GROUP BY state",
    "seen": "SELECT count(*) AS parcels FROM parcel",
    "clock": "SELECT 1 AS one",
}

_numbers = count(1)


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """One database for this module; each test has a schema of its own."""
    yield postgres_server.create_database("faults")
    postgres_server.drop_database("faults")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute("DROP SCHEMA public CASCADE")
        opened.execute("CREATE SCHEMA public")
        opened.execute("GRANT USAGE ON SCHEMA public TO public")
        opened.execute("CREATE TABLE parcel (state text, weight integer)")
        opened.execute("INSERT INTO parcel VALUES ('new', 1), ('new', 2), ('sent', 3)")
        yield opened


@pytest.fixture
def pack(tmp_path: Path, connection: Connection) -> str:
    assert connection
    return write_pack(tmp_path / "post", METRICS, QUERIES)


def make_pack(
    folder: Path,
    statement: str,
    *,
    kind: str = "gauge",
    timeout_ms: int = 5000,
    columns: str = "",
) -> str:
    """Write a pack with one query on trial, and one that always works."""
    if columns:
        statement = f"SELECT * FROM ({statement}) AS given {columns}"
    name = "trial_total" if kind == "counter" else "trial"
    metrics = f"""
  - {{name: {name}, type: {kind}, help: On trial., labels: [state], query: trial, value: n}}
  - {{name: clock, type: gauge, help: One., query: clock, value: one}}
"""
    queries = {"trial": statement, "clock": "SELECT 1 AS one"}
    return write_pack(folder / "trial", metrics, queries, timeout_ms)


def amend(pack: str, text: str, other: str) -> None:
    """Change the text of a pack."""
    document = Path(pack, "pack.yml")
    before = document.read_text()
    assert text in before
    document.write_text(before.replace(text, other, 1))


def make_collector(
    database: str, pack: Pack, *, clock: Clock = SYSTEM_CLOCK, deadline_s: float = 10.0
) -> Collector:
    limits = Limits(
        statement_timeout_s=30.0, lock_timeout_s=30.0, deadline_s=deadline_s, idle_s=60.0
    )
    return Collector(own_target(database, [pack]), limits, clock)


def errors_of(numbers: Numbers, query: str) -> dict[str, float]:
    """Give a query's errors by reason, without the zeros."""
    found = pick(numbers, "outbound_exporter_query_errors_total", query=query)
    return {dict(labels)["reason"]: value for labels, value in found.items() if value}


def works(numbers: Numbers, query: str) -> bool:
    return total(numbers, "outbound_exporter_query_success", query=query) == 1


def test_a_good_pack_shows_its_numbers_zeros_and_success(database: str, pack: str) -> None:
    with open_service(database, pack) as service:
        numbers = refresh_and_read(service)

    states = {dict(labels)["state"]: n for labels, n in pick(numbers, "parcels").items()}
    assert states == {"new": 2, "sent": 1, "gone": 0}
    assert total(numbers, "parcels_seen_total") == 3
    assert total(numbers, "outbound_exporter_query_rows", query="parcels") == 2
    assert total(numbers, "outbound_exporter_database_up") == 1
    assert total(numbers, "outbound_exporter_query_errors_total") == 0
    assert total(numbers, "outbound_exporter_query_last_success_timestamp_seconds") > 0


TRIALS = [
    ("a_missing_table", "SELECT 'a' AS state, 1 AS n FROM nowhere", Reason.SCHEMA),
    ("a_missing_column", "SELECT state, mass AS n FROM parcel", Reason.SCHEMA),
    ("a_column_by_another_name", "SELECT state, weight AS mass FROM parcel", Reason.SCHEMA),
    ("another_name_and_no_rows", "SELECT state, 1 AS m FROM parcel WHERE false", Reason.SCHEMA),
    ("broken_sql", "SELEKT 1", Reason.SCHEMA),
    ("two_statements", "SELECT 'a' AS state, 1 AS n; SELECT 2", Reason.SCHEMA),
    ("a_statement_that_writes", "DELETE FROM parcel RETURNING state, 1 AS n", Reason.SCHEMA),
    ("a_statement_that_ends_the_transaction", "COMMIT", Reason.SCHEMA),
    ("a_statement_without_result", "SET work_mem = '1MB'", Reason.SCHEMA),
    ("two_rows_for_one_series", "SELECT state, weight AS n FROM parcel", Reason.DATA),
    ("text_for_a_number", "SELECT state, state AS n FROM parcel", Reason.DATA),
    ("a_division_by_zero", "SELECT 'a' AS state, 1 / 0 AS n", Reason.DATA),
    (
        "a_label_explosion",
        "SELECT 'p' || i AS state, 1 AS n FROM generate_series(1, 100000) AS i",
        Reason.CARDINALITY,
    ),
]


@pytest.mark.parametrize("elects", [True, False], ids=["own_session", "any_session"])
@pytest.mark.parametrize(
    ("statement", "reason"), [row[1:] for row in TRIALS], ids=[row[0] for row in TRIALS]
)
def test_a_failing_query_is_absent_with_its_reason_and_hurts_no_other(
    database: str,
    connection: Connection,
    tmp_path: Path,
    statement: str,
    reason: Reason,
    *,
    elects: bool,
) -> None:
    with open_service(database, make_pack(tmp_path, statement), elects=elects) as service:
        refresh_and_read(service)
        numbers = refresh_and_read(service)

    assert not pick(numbers, "trial")
    assert not works(numbers, "trial")
    assert errors_of(numbers, "trial") == {reason.value: 2}
    assert works(numbers, "clock")
    assert total(numbers, "clock") == 1
    assert total(numbers, "outbound_exporter_database_up") == 1
    assert connection.execute("SELECT count(*) FROM parcel").fetchone() == (3,)


@pytest.mark.usefixtures("connection")
@pytest.mark.usefixtures("connection")
def test_an_explosion_stops_at_the_limit_and_not_in_memory(database: str, tmp_path: Path) -> None:
    explosion = "SELECT 'p' || i AS state, 1 AS n FROM generate_series(1, 100000) AS i"
    loaded = load_pack(make_pack(tmp_path, explosion), ErrorPolicy.RUNBOOK)
    collector = make_collector(database, loaded)
    try:
        trial, clock = collector.collect().runs
    finally:
        collector.close()

    assert trial.failure == Failure(
        Reason.CARDINALITY, "the query trial gives more than 50 rows (max_series of the pack)"
    )
    assert clock.failure is None


def test_a_connection_in_disorder_costs_one_refresh(database: str, pack: str) -> None:
    with open_service(database, pack) as service:
        refresh_and_read(service)
        # A command whose answer nobody took: every further one is refused on this connection.
        service.collector.open().pgconn.send_query(b"SELECT 1")
        disorder = refresh_and_read(service)
        order = refresh_and_read(service)

    assert errors_of(disorder, "clock") == {"connection": 1}
    assert works(order, "clock")


@pytest.mark.parametrize("nothing", ["NULL::integer", "'NaN'::float8", "'NaN'::numeric"])
def test_null_and_nan_are_absent_without_an_error(
    database: str, tmp_path: Path, nothing: str
) -> None:
    statement = f"VALUES ('a', {nothing}), ('b', 2)"
    pack = make_pack(tmp_path, f"SELECT state, n FROM ({statement}) AS v (state, n)")
    with open_service(database, pack) as service:
        numbers = refresh_and_read(service)

    assert {dict(labels)["state"] for labels in pick(numbers, "trial")} == {"b"}
    assert works(numbers, "trial")


@pytest.mark.parametrize(
    ("policy", "shown", "errors"),
    [("zero", {"a": 0, "b": 2}, {}), ("fail", {}, {"data": 1}), ("absent", {"b": 2}, {})],
)
def test_null_may_mean_zero_or_a_fault(
    database: str, tmp_path: Path, policy: str, shown: dict[str, float], errors: dict[str, float]
) -> None:
    pack = make_pack(tmp_path, "VALUES ('a', NULL::integer), ('b', 2)", columns="(state, n)")
    amend(pack, "value: n}", f"value: n, when_null: {policy}}}")
    with open_service(database, pack) as service:
        numbers = refresh_and_read(service)

    assert {dict(labels)["state"]: n for labels, n in pick(numbers, "trial").items()} == shown
    assert errors_of(numbers, "trial") == errors


def test_an_explosion_may_be_cut_to_its_first_rows_and_is_counted(
    database: str, tmp_path: Path
) -> None:
    explosion = "SELECT 'p' || i AS state, i AS n FROM generate_series(1, 100000) AS i"
    pack = make_pack(tmp_path, explosion)
    amend(pack, "value: n}", "value: n, when_full: drop}")
    with open_service(database, pack) as service:
        numbers = refresh_and_read(service)

    assert total(numbers, "trial") == sum(range(1, 51))
    assert total(numbers, "outbound_exporter_query_dropped_series", query="trial") == 99_950
    assert total(numbers, "outbound_exporter_query_dropped_series", query="clock") == 0
    assert works(numbers, "trial")


def test_no_rows_are_no_error(database: str, connection: Connection, pack: str) -> None:
    connection.execute("DELETE FROM parcel")
    with open_service(database, pack) as service:
        numbers = refresh_and_read(service)

    assert set(pick(numbers, "parcels").values()) == {0.0}
    assert works(numbers, "parcels")


def test_a_column_that_was_renamed_and_comes_back_needs_no_restart(
    database: str, connection: Connection, pack: str
) -> None:
    with open_service(database, pack) as service:
        refresh_and_read(service)
        connection.execute("ALTER TABLE parcel RENAME COLUMN state TO status")
        held = refresh_and_read(service)
        connection.execute("ALTER TABLE parcel RENAME COLUMN status TO state")
        connection.execute("INSERT INTO parcel VALUES ('new', 4)")
        mended = refresh_and_read(service)

    # The pack allows 30 seconds: within them the last good number stays, marked as not fresh.
    assert total(held, "parcels", state="new") == 2
    assert not works(held, "parcels")
    assert errors_of(held, "parcels") == {"schema": 1}
    assert total(held, "parcels_seen_total") == 3
    assert total(mended, "parcels", state="new") == 3
    assert works(mended, "parcels")
    assert errors_of(mended, "parcels") == {"schema": 1}


def test_a_broken_query_is_asked_again_at_every_refresh(
    database: str, connection: Connection, pack: str
) -> None:
    connection.execute("ALTER TABLE parcel RENAME TO parcels")
    with open_service(database, pack) as service:
        first, second = refresh_and_read(service), refresh_and_read(service)
        connection.execute("ALTER TABLE parcels RENAME TO parcel")
        third = refresh_and_read(service)

    assert (errors_of(first, "seen"), errors_of(second, "seen")) == ({"schema": 1}, {"schema": 2})
    assert total(third, "parcels_seen_total") == 3


def test_frozen_numbers_go_when_the_pack_says_so(
    database: str, connection: Connection, pack: str
) -> None:
    now = [1000.0]
    clock = Clock(wall=lambda: now[0], steady=lambda: now[0])
    loaded = load_pack(pack, ErrorPolicy.RUNBOOK)
    target = own_target(database, [loaded])
    collector = make_collector(database, loaded, clock=clock)
    publication = Publication([target], 15.0, clock)
    try:
        publication.publish(target, collector.collect())
        connection.execute("DROP TABLE parcel")
        now[0] = 1029.0
        publication.publish(target, collector.collect())
        held = read_page(publication.page())
        now[0] = 1030.0
        gone = read_page(publication.page())
    finally:
        collector.close()

    assert total(held, "parcels", state="new") == 2
    assert not pick(gone, "parcels")
    assert not pick(gone, "parcels_seen_total")
    assert total(gone, "clock") == 1


def test_a_revoked_right_is_told_and_a_granted_one_is_used(
    database: str, connection: Connection, pack: str
) -> None:
    role = f"reader_{next(_numbers)}"
    connection.execute(f"CREATE ROLE {role} LOGIN")
    connection.execute(f"GRANT SELECT ON parcel TO {role}")
    try:
        with open_service(database.replace("postgres@", f"{role}@"), pack) as service:
            before = refresh_and_read(service)
            connection.execute(f"REVOKE SELECT ON parcel FROM {role}")
            revoked = refresh_and_read(service)
            connection.execute(f"GRANT SELECT ON parcel TO {role}")
            granted = refresh_and_read(service)
    finally:
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")

    assert works(before, "parcels")
    assert errors_of(revoked, "parcels") == {"permission": 1}
    assert works(granted, "parcels")


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
