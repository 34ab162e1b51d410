"""What stands in the outbox of watched organisations: queue, stuck messages, service windows."""

from collections.abc import Iterator

import pytest

from exporter.rollup.organisations import MOST_WATCHED, unwatch, watch
from exporter.service import Service
from outbound_slo.database import load_queries
from tests.exporter_parts import Connection, Numbers, add, pick, refresh_and_read, total

DEPTH = "outbound_organisation_queue_depth"
STUCK = "outbound_organisation_messages_stuck"
WINDOWS = "whatsapp_organisation_session_windows_active"
CLOSES = "whatsapp_organisation_session_window_expiration_seconds"


@pytest.fixture(autouse=True)
def _nobody_is_watched(outbox: Connection) -> Iterator[None]:
    yield
    outbox.execute("DELETE FROM outbound_watched_organisation")


def found(numbers: Numbers, name: str) -> dict[tuple[str, ...], float]:
    """Give the series above 0 by their labels' values, in the order of the labels' names."""
    series = pick(numbers, name).items()
    return {tuple(value for _, value in sorted(labels)): value for labels, value in series if value}


def test_what_waits_is_counted_for_who_is_watched_and_nobody_else(
    pack_database: str, service: Service, outbox: Connection
) -> None:
    add(outbox, 3, org="acme")
    add(outbox, 2, org="acme", channel="SMS", scheduled_in="1 hour")
    add(outbox, 1, org="acme", channel="EMAIL", status="SENDING")
    add(outbox, 4, org="acme", channel="SMS", status="DELIVERED")
    add(outbox, 9, org="zeta")
    assert pick(refresh_and_read(service), DEPTH) == {}
    watch(pack_database, ["acme", "quiet"])

    numbers = refresh_and_read(service)

    assert found(numbers, DEPTH) == {
        ("whatsapp", "acme", "queued"): 3,
        ("sms", "acme", "queued"): 2,
        ("email", "acme", "sending"): 1,
    }
    assert len(pick(numbers, DEPTH)) == 2 * 3 * 2
    unwatch(pack_database, ["acme"])
    assert found(refresh_and_read(service), DEPTH) == {}


def test_a_stuck_message_counts_once_for_its_organisation_whatever_rules_it_meets(
    pack_database: str, service: Service, outbox: Connection
) -> None:
    watch(pack_database, ["acme"])
    # Overdue, and queued too long, and without progress: one message still.
    add(outbox, 1, org="acme", created="3 hours", updated="3 hours", attempts=3)
    add(outbox, 2, org="acme", status="SENDING", updated="6 minutes")
    add(outbox, 1, org="acme", channel="SMS", created="6 minutes")
    add(outbox, 1, org="acme", channel="EMAIL", created="4 minutes")
    add(outbox, 1, org="acme", channel="EMAIL", created="3 hours", scheduled_in="1 hour")
    add(outbox, 5, org="zeta", created="3 hours")

    numbers = refresh_and_read(service)

    assert found(numbers, STUCK) == {("whatsapp", "acme"): 3, ("sms", "acme"): 1}
    assert len(pick(numbers, STUCK)) == 3
    # By the same rules as the number of all.
    assert total(numbers, "outbound_message_stuck_total") == 3 + 1 + 5


def test_open_windows_are_the_organisations_own(
    pack_database: str, service: Service, outbox: Connection
) -> None:
    outbox.execute(
        "INSERT INTO whatsapp_session_window (org_id, phone_number, window_expires_at) VALUES"
        " ('acme', '+1', now() + interval '2 hours'), ('acme', '+2', now() + interval '1 hour'),"
        " ('acme', '+3', now() - interval '1 hour'), ('zeta', '+1', now() + interval '1 minute')"
    )
    watch(pack_database, ["acme", "quiet"])

    numbers = refresh_and_read(service)

    assert len(pick(numbers, WINDOWS)) == 2
    assert found(numbers, WINDOWS) == {("acme",): 2}
    closes = found(numbers, CLOSES)
    assert set(closes) == {("acme",)}
    assert 3000 < closes["acme",] <= 3600


def test_as_many_as_may_be_watched_fit_on_the_page(pack_database: str, service: Service) -> None:
    watch(pack_database, [f"org-{number}" for number in range(MOST_WATCHED)])

    numbers = refresh_and_read(service)

    assert len(pick(numbers, DEPTH)) == MOST_WATCHED * 3 * 2
    assert len(pick(numbers, STUCK)) == MOST_WATCHED * 3
    assert len(pick(numbers, WINDOWS)) == MOST_WATCHED
    # A channel of one's own would find room, too.
    assert max(len(pick(numbers, name)) for name in (DEPTH, STUCK)) * 4 / 3 < 1000


@pytest.mark.parametrize("name", ["organisation_queue", "organisation_stuck"])
def test_no_message_is_read_while_nobody_is_watched_and_the_queue_alone_otherwise(
    pack_database: str, outbox: Connection, name: str
) -> None:
    # An organisation's past is no part of its queue, however long it is.
    add(outbox, 3000, org="acme", channel="SMS", status="DELIVERED", updated="1 hour")
    add(outbox, 5, org="acme", channel="SMS", created="1 hour")
    outbox.execute("ANALYZE outbound_message")
    statement = load_queries("exporter", "packs/outbound/organisations.sql")[name]

    def explain() -> list[str]:
        rows = outbox.execute(
            f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {statement}".encode()
        )
        return [
            line
            for (line,) in rows
            if "Scan" in line and "outbound_message" in line.replace("idx_outbound_message", "")
        ]

    assert explain()
    assert all("never executed" in line for line in explain())
    watch(pack_database, ["acme"])
    reads = [line for line in explain() if "never executed" not in line]
    assert reads
    assert all("Seq Scan" not in line and "rows=3" not in line for line in reads), reads
