"""What the page shows when a query fails or its result is not as the pack says (T12, T13)."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from exporter.collector import Clock
from exporter.failures import Failure, Reason
from exporter.loader import load_pack
from exporter.publication import Publication
from exporter.session import APPLICATION_NAME
from exporter.target import own_target
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.errors import ErrorPolicy
from tests.exporter_parts import (
    open_service,
    pick,
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

_numbers = count(1)


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """One database for this module; each test has a schema of its own."""
    yield postgres_server.create_database("faults")
    postgres_server.drop_database("faults")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with open_parcels(database) as opened:
        yield opened


@pytest.fixture
def pack(tmp_path: Path, connection: Connection) -> str:
    assert connection
    return write_pack(tmp_path / "post", METRICS, QUERIES)


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


def count_sessions(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            [APPLICATION_NAME],
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_connection_in_disorder_costs_one_refresh(database: str, pack: str) -> None:
    with open_service(database, pack) as service:
        refresh_and_read(service)
        # A command whose answer nobody took: every further one is refused on this connection.
        service.collector.open().pgconn.send_query(b"SELECT 1")
        disorder = refresh_and_read(service)
        # The server takes a moment to see that the session is gone, and with it the lead.
        wait_for(lambda: not count_sessions(database), "the end of the old session")
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
