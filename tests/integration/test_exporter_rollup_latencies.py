"""Latency histograms of the rollup: each event in its bucket, once."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from exporter.compaction import compact
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.metrics import DELIVERY_LATENCY_BUCKETS, SEND_LATENCY_BUCKETS
from tests.rollup_parts import Connection, add_messages, deliver, empty_rollup, read_latency, settle


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for this module: emptying its tables takes less time than a clone per test."""
    yield postgres_server.create_database("rollup_latencies", template=template_database)
    postgres_server.drop_database("rollup_latencies")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        empty_rollup(opened)
        yield opened


@pytest.mark.parametrize(
    ("histogram", "edges"),
    [("send_latency", SEND_LATENCY_BUCKETS), ("delivery_latency", DELIVERY_LATENCY_BUCKETS)],
)
def test_the_databases_bucket_edges_are_the_vocabularys(
    connection: Connection, histogram: str, edges: tuple[float, ...]
) -> None:
    rows = connection.execute(
        "SELECT edge FROM outbound_latency_edge WHERE histogram = %s ORDER BY edge", (histogram,)
    ).fetchall()

    assert [row[0] for row in rows] == [*edges, float("inf")]


def _set_times(connection: Connection, number: int, **seconds_ago: float) -> None:
    for column, seconds in seconds_ago.items():
        connection.execute(
            sql.SQL(
                "UPDATE outbound_message SET {} = now() - %s * interval '1 second' WHERE id = %s"
            ).format(sql.Identifier(column)),
            (seconds, number),
        )


def test_send_latency_runs_from_due_to_accepted(connection: Connection) -> None:
    with connection.transaction():
        (number,) = add_messages(connection)
        _set_times(connection, number, due_since=42.5)
        settle(connection, [number], "SENT", "SENT")

    assert read_latency(connection, "send_latency") == {60.0: (1, 42.5)}


@pytest.mark.parametrize(("seconds", "edge"), [(30.0, 30.0), (30.000001, 60.0), (0.0, 0.1)])
def test_an_upper_edge_belongs_to_its_bucket(
    connection: Connection, seconds: float, edge: float
) -> None:
    with connection.transaction():
        (number,) = add_messages(connection)
        _set_times(connection, number, due_since=seconds)
        settle(connection, [number], "SENT", "SENT")

    assert read_latency(connection, "send_latency") == {edge: (1, seconds)}


def test_a_latency_beyond_every_edge_is_in_the_last_bucket(connection: Connection) -> None:
    with connection.transaction():
        (number,) = add_messages(connection)
        _set_times(connection, number, due_since=100_000)
        settle(connection, [number], "SENT", "SENT")

    assert read_latency(connection, "send_latency") == {float("inf"): (1, 100_000.0)}


def test_delivery_latency_runs_from_accepted_to_delivered(connection: Connection) -> None:
    with connection.transaction():
        (number,) = add_messages(connection)
        settle(connection, [number], "SENT", "SENT")
        _set_times(connection, number, sent_at=119.25)
        deliver(connection, [number])

    assert read_latency(connection, "delivery_latency") == {120.0: (1, 119.25)}


def test_a_provider_whose_clock_is_behind_delivers_in_no_time_not_in_less(
    connection: Connection,
) -> None:
    with connection.transaction():
        (number,) = add_messages(connection)
        settle(connection, [number], "SENT", "SENT")
        connection.execute(
            "UPDATE outbound_message SET status = 'DELIVERED', delivered_at = now() - interval '3s'"
        )

    assert read_latency(connection, "delivery_latency") == {0.5: (1, 0.0)}


def test_without_both_instants_no_latency_is_made_up(connection: Connection) -> None:
    (number,) = add_messages(connection)
    connection.execute("UPDATE outbound_message SET status = 'DELIVERED'")

    assert read_latency(connection, "send_latency") == {}
    assert read_latency(connection, "delivery_latency") == {}
    assert number


def test_the_sum_of_seconds_is_exact_whatever_the_order(connection: Connection) -> None:
    waits = [0.1, 0.2, 0.3, 0.7, 1.1] * 3
    for wait in waits:
        with connection.transaction():
            (number,) = add_messages(connection)
            _set_times(connection, number, due_since=wait)
            settle(connection, [number], "SENT", "SENT")
    before = read_latency(connection, "send_latency")
    compact(connection, batch_rows=7)

    assert read_latency(connection, "send_latency") == before
    assert sum(seconds for _, seconds in before.values()) == pytest.approx(7.2, abs=1e-9)
