"""Prepared statements of the exporter's session: made once, made anew, never in the way."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exporter.collector import Clock, Collector, Limits
from exporter.loader import load_pack
from exporter.reader import PLAN_LIFETIME_S
from exporter.service import Service
from exporter.target import own_target
from outbound_slo.vocabulary.errors import ErrorPolicy
from tests.exporter_parts import open_service, refresh_and_read, total, write_pack

METRICS = """
  - {name: parcels, type: gauge, help: Parcels., query: parcels, value: parcels}
  - {name: limit, type: gauge, help: Limit., query: limit, value: work_mem}
"""
QUERIES = {
    "parcels": "SELECT sum(weight) AS parcels FROM parcel",
    "limit": "SELECT 4 AS work_mem",
}
PREPARED = "SELECT count(*), min(prepare_time) FROM pg_prepared_statements"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute("CREATE TABLE parcel (weight integer)")
        opened.execute("INSERT INTO parcel VALUES (1), (2)")
        yield opened


@pytest.fixture
def pack(tmp_path: Path, connection: psycopg.Connection) -> str:
    assert connection
    return write_pack(tmp_path / "post", METRICS, QUERIES)


def read_prepared(service: Service) -> tuple[object, ...]:
    """Tell how many statements the exporter's session has prepared, and when the first was."""
    row = service.collector.open().execute(PREPARED).fetchone()
    assert row is not None
    return row


def test_each_query_is_planned_once(database: str, pack: str) -> None:
    with open_service(database, pack) as service:
        refresh_and_read(service)
        first = read_prepared(service)
        for _ in range(10):
            numbers = refresh_and_read(service)
        last = read_prepared(service)

    assert first[0] == 2
    assert last == first
    assert total(numbers, "parcels") == 3


def test_a_session_that_may_be_a_poolers_keeps_nothing(database: str, pack: str) -> None:
    with open_service(database, pack, elects=False) as service:
        for _ in range(10):
            refresh_and_read(service)
        assert read_prepared(service) == (0, None)


def test_a_table_that_changes_its_types_costs_no_refresh(
    database: str, connection: psycopg.Connection, pack: str
) -> None:
    with open_service(database, pack) as service:
        refresh_and_read(service)
        # The sum of integers is a bigint, and that of numbers a numeric.
        connection.execute("ALTER TABLE parcel ALTER weight TYPE numeric USING weight / 2.0")
        changed = refresh_and_read(service)
        again = refresh_and_read(service)
        prepared = read_prepared(service)

    for numbers in (changed, again):
        assert total(numbers, "parcels") == 1.5
        assert total(numbers, "outbound_exporter_query_errors_total") == 0
    assert prepared[0] == 2


def test_a_plan_that_is_gone_costs_no_refresh(database: str, pack: str) -> None:
    with open_service(database, pack) as service:
        refresh_and_read(service)
        service.collector.open().execute("DEALLOCATE ALL")
        numbers = refresh_and_read(service)
        refresh_and_read(service)
        prepared = read_prepared(service)

    assert total(numbers, "parcels") == 3
    assert total(numbers, "outbound_exporter_query_errors_total") == 0
    assert prepared[0] == 2


def test_plans_are_made_anew_after_their_lifetime(database: str, pack: str) -> None:
    now = 1000.0
    clock = Clock(wall=lambda: now, steady=lambda: now)
    with open_service(database, pack, clock=clock) as service:
        refresh_and_read(service)
        first = read_prepared(service)
        now += PLAN_LIFETIME_S - 1
        refresh_and_read(service)
        kept = read_prepared(service)
        now += 1
        refresh_and_read(service)
        anew = read_prepared(service)

    assert kept == first
    assert anew[0] == first[0]
    assert anew[1] != first[1]


def test_what_cannot_be_prepared_is_asked_as_it_is(database: str, tmp_path: Path) -> None:
    metrics = "  - {name: limit, type: gauge, help: Limit., query: limit, value: plan_rows}\n"
    shown = write_pack(tmp_path / "shown", metrics, {"limit": "SHOW server_version_num"})
    pack = load_pack(shown, ErrorPolicy.RUNBOOK)
    limits = Limits(statement_timeout_s=30, lock_timeout_s=30, deadline_s=30, idle_s=60)
    clock = Clock(wall=lambda: 0.0, steady=lambda: 0.0)
    collector = Collector(own_target(database, [pack]), limits, clock, elects=True)
    try:
        failures = [collector.collect().runs[0].failure for _ in range(2)]
    finally:
        collector.close()

    # It was asked, and what came was read.
    for failure in failures:
        assert failure is not None
        assert "no column plan_rows, only server_version_num" in failure.text


def test_a_name_that_the_session_has_already_costs_one_refresh(database: str, pack: str) -> None:
    with open_service(database, pack) as service:
        service.collector.open().execute("PREPARE outbound_slo_0 AS SELECT 1")
        refresh_and_read(service)
        numbers = refresh_and_read(service)

    assert total(numbers, "outbound_exporter_query_errors_total") == 1
    assert total(numbers, "outbound_exporter_query_success", query="parcels") == 1
    assert total(numbers, "parcels") == 3


def test_a_query_that_can_never_be_answered_does_not_cost_the_others_their_plans(
    database: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    connection.execute(
        "CREATE FUNCTION refuse() RETURNS integer LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = '0A000'; END $$"
    )
    queries = QUERIES | {"parcels": "SELECT refuse() AS parcels"}
    with open_service(database, write_pack(tmp_path / "post", METRICS, queries)) as service:
        refresh_and_read(service)
        first = read_prepared(service)
        refresh_and_read(service)
        numbers = refresh_and_read(service)
        last = read_prepared(service)

    assert last == first
    assert total(numbers, "outbound_exporter_query_errors_total", reason="schema") == 3
    assert total(numbers, "limit") == 4
