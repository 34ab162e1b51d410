"""Counters of watched organisations: exact, of these alone, and never falling."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from random import Random

import psycopg
import pytest

from exporter.compaction import compact, compact_all
from exporter.rollup.organisations import MOST_WATCHED, unwatch, watch
from outbound_slo.database import load_queries
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.exporter_parts import open_service, pick, refresh_and_read, total
from tests.rollup_parts import (
    Connection,
    add_messages,
    deliver,
    empty_rollup,
    read,
    settle,
    start_attempt,
)

NAME = "outbound_organisation_messages_finished_total"
Counts = Counter[tuple[str, str, str]]


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for this module: emptying its tables takes less time than a clone per test."""
    yield postgres_server.create_database("organisations", template=template_database)
    postgres_server.drop_database("organisations")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        empty_rollup(opened)
        yield opened


def counted(connection: Connection) -> Counts:
    """Give what was counted, by organisation, channel and outcome."""
    rows = connection.execute(
        "SELECT org_id, channel, outcome, sum(messages)::int FROM outbound_organisation_finished"
        " GROUP BY 1, 2, 3"
    )
    return Counter({(org, channel, outcome): events for org, channel, outcome, events in rows})


ENDS = [
    ("SENT", "SENT", None, "SENT"),
    ("FAILED", "FAILED", "131026", "FAILED"),
    ("REFUSED", "FAILED", "opted_out", "REFUSED"),
]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("attempt", "status", "code", "outcome"), ENDS)
def test_an_end_counts_for_an_organisation_that_is_watched_and_no_other(
    database: str, connection: Connection, attempt: str, status: str, code: str, outcome: str,
    count: int,
) -> None:  # fmt: skip
    watch(database, ["acme"])
    for org in ("acme", "zeta"):
        settle(connection, add_messages(connection, count, "SMS", org), attempt, status, code)

    assert counted(connection) == {("acme", "SMS", outcome): count}
    # The counters of all know nothing of it.
    assert sum(read(connection, "finished").values()) == 2 * count
    compact_all(connection)
    assert counted(connection) == {("acme", "SMS", outcome): count}


def test_a_statement_over_several_organisations_and_channels_is_told_apart(
    database: str, connection: Connection
) -> None:
    watch(database, ["acme", "beta"])
    ids = [
        *add_messages(connection, 2, "SMS", "acme"),
        *add_messages(connection, 3, "EMAIL", "acme"),
        *add_messages(connection, 4, "SMS", "beta"),
        *add_messages(connection, 5, "SMS", "zeta"),
    ]
    settle(connection, ids, "SENT", "SENT")

    assert counted(connection) == {
        ("acme", "SMS", "SENT"): 2,
        ("acme", "EMAIL", "SENT"): 3,
        ("beta", "SMS", "SENT"): 4,
    }


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_no_end_counts_nothing(database: str, connection: Connection, count: int) -> None:
    watch(database, ["org"])
    ids = add_messages(connection, count)
    settle(connection, ids, "FAILED", "QUEUED", "131016")
    connection.execute("UPDATE outbound_message SET error_code = 'other'")
    start_attempt(connection, ids)
    with connection.transaction(force_rollback=True):
        settle(connection, ids, "SENT", "SENT")
    connection.execute(
        "INSERT INTO outbound_message (org_id, channel, to_recipient, status)"
        " VALUES ('org', 'SMS', '+1', 'SENT')"
    )

    assert counted(connection) == {}


@pytest.mark.parametrize("count", [1, 3])
def test_a_life_with_several_ends_counts_as_the_counters_of_all_do(
    database: str, connection: Connection, count: int
) -> None:
    watch(database, ["org"])
    ids = add_messages(connection, count)
    settle(connection, ids, "SENT", "SENT")
    deliver(connection, ids)
    connection.execute("UPDATE outbound_message SET status = 'FAILED', error_code = '131049'")
    connection.execute("UPDATE outbound_message SET status = 'QUEUED', attempt_count = 0")
    start_attempt(connection, ids)
    deliver(connection, ids)

    assert counted(connection) == {
        ("org", "WHATSAPP", "SENT"): 2 * count,
        ("org", "WHATSAPP", "FAILED"): count,
    }
    assert read(connection, "finished") == {
        ("whatsapp", "sent", ""): 2 * count,
        ("whatsapp", "failed", "131049"): count,
    }


@pytest.mark.parametrize("count", [1, 3])
def test_a_failure_that_is_put_back_by_an_undo_is_not_counted_again(
    database: str, connection: Connection, count: int
) -> None:
    watch(database, ["org"])
    ids = add_messages(connection, count)
    settle(connection, ids, "FAILED", "FAILED", "131026")
    connection.execute("UPDATE outbound_message SET status = 'QUEUED'")
    with connection.transaction():
        connection.execute("SET LOCAL outbound_slo.undoing = 'on'")
        connection.execute("UPDATE outbound_message SET status = 'FAILED'")

    assert counted(connection) == {("org", "WHATSAPP", "FAILED"): count}
    assert read(connection, "finished") == {("whatsapp", "failed", "131026"): count}


def test_counting_begins_ends_and_goes_on_with_the_watch(
    database: str, connection: Connection
) -> None:
    key = ("org", "WHATSAPP", "SENT")
    settle(connection, add_messages(connection, 7), "SENT", "SENT")
    watch(database, ["org"])
    assert counted(connection) == {}
    settle(connection, add_messages(connection, 2), "SENT", "SENT")
    unwatch(database, ["org"])
    settle(connection, add_messages(connection, 11), "SENT", "SENT")
    assert counted(connection) == {key: 2}
    compact_all(connection)
    watch(database, ["org"])
    settle(connection, add_messages(connection), "SENT", "SENT")
    assert counted(connection) == {key: 3}


def test_rows_that_go_take_nothing_back(database: str, connection: Connection) -> None:
    watch(database, ["org"])
    settle(connection, add_messages(connection, 4), "SENT", "SENT")
    connection.execute("DELETE FROM outbound_message WHERE mod(id, 2) = 0")
    connection.execute("TRUNCATE outbound_message CASCADE")

    assert counted(connection) == {("org", "WHATSAPP", "SENT"): 4}


def test_the_page_has_every_series_of_who_is_watched_from_the_start(
    database: str, connection: Connection
) -> None:
    with open_service(database) as service:
        assert pick(refresh_and_read(service), NAME) == {}
        watch(database, ["acme", "org"])
        numbers = refresh_and_read(service)
        assert len(pick(numbers, NAME)) == 2 * 3 * 3
        assert set(pick(numbers, NAME).values()) == {0.0}
        settle(connection, add_messages(connection, 5), "SENT", "SENT")
        settle(connection, add_messages(connection, 2, "SMS"), "REFUSED", "FAILED", "opted_out")
        numbers = refresh_and_read(service)
        assert len(pick(numbers, NAME)) == 2 * 3 * 3
        assert {
            tuple(sorted(labels)): value for labels, value in pick(numbers, NAME).items() if value
        } == {
            (("channel", "whatsapp"), ("org_id", "org"), ("outcome", "sent")): 5.0,
            (("channel", "sms"), ("org_id", "org"), ("outcome", "refused")): 2.0,
        }
        unwatch(database, ["org"])
        numbers = refresh_and_read(service)
        assert {dict(labels)["org_id"] for labels in pick(numbers, NAME)} == {"acme"}
        watch(database, ["org"])
        settle(connection, add_messages(connection), "SENT", "SENT")
        numbers = refresh_and_read(service)
        assert total(numbers, NAME, org_id="org", channel="whatsapp", outcome="sent") == 6
        assert total(numbers, "outbound_exporter_counter_rebases_total") == 0


def test_as_many_as_may_be_watched_fit_on_the_page(database: str, connection: Connection) -> None:
    watch(database, [f"org-{number}" for number in range(MOST_WATCHED)])
    assert counted(connection) == {}
    with open_service(database) as service:
        assert len(pick(refresh_and_read(service), NAME)) == MOST_WATCHED * 9


def test_a_temporary_table_cannot_divert_the_counts(database: str, connection: Connection) -> None:
    watch(database, ["org"])
    connection.execute("CREATE TEMP TABLE outbound_watched_organisation (org_id text)")
    for count in (1, 2):
        settle(connection, add_messages(connection, count), "SENT", "SENT")
    connection.execute("DROP TABLE pg_temp.outbound_watched_organisation")

    assert counted(connection) == {("org", "WHATSAPP", "SENT"): 3}


def test_reading_passes_over_deltas_once_and_never_over_messages(
    database: str, connection: Connection
) -> None:
    watch(database, [f"org-{number}" for number in range(MOST_WATCHED)])
    connection.execute(
        "INSERT INTO outbound_event_delta (kind, channel, outcome, error_code, events)"
        " SELECT CASE WHEN n % 2 = 0 THEN 'organisation' ELSE 'attempt' END, 'SMS', 'SENT',"
        " 'org-' || n % 70, 1 FROM generate_series(1, 5000) AS n"
    )
    statement = load_queries("exporter", "packs/outbound/events.sql")["organisations"]
    explain = b"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "
    # As they come, and as the exporter's session might plan them at its worst.
    for setting in ("on", "off"):
        connection.execute(f"SET enable_hashjoin = {setting}".encode())
        connection.execute(f"SET enable_mergejoin = {setting}".encode())
        plan = [str(row[0]) for row in connection.execute(explain + statement.encode())]
        scans = [
            line for line in plan if re.search(r"(Seq|Heap|Only) Scan on outbound_event_", line)
        ]
        assert len(scans) == 2
        assert all("loops=1)" in line for line in scans)
        assert not any("on outbound_message" in line for line in plan)
    found = connection.execute(statement.encode()).fetchall()
    assert sum(row[3] for row in found) == sum(counted(connection).values()) - sum(
        events for (org, *_), events in counted(connection).items() if int(org[4:]) >= MOST_WATCHED
    )


# --- under concurrent writers -------------------------------------------------------------------

WRITERS = 5
STEPS = 40
ORGANISATIONS = ("acme", "beta", "zeta")
LIVES = [*ENDS, ("FAILED", "QUEUED", "131016", None), ("UNKNOWN", "SENDING", "timeout", None)]


def _live(database: str, seed: int, ends: Counts) -> None:
    """Lead messages of all organisations through random lives, and note what should be counted."""
    random = Random(seed)  # noqa: S311 - a repeatable history, nothing secret
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(STEPS):
            attempt, status, code, outcome = random.choice(LIVES)
            noted, ids = Counts(), list[int]()
            for org in random.sample(ORGANISATIONS, random.randint(1, 3)):
                channel, count = random.choice(["SMS", "EMAIL"]), random.randint(1, 3)
                ids += add_messages(connection, count, channel, org)
                if outcome:
                    noted[org, channel, outcome] += count
            rolled_back = random.random() < 0.2
            with connection.transaction(force_rollback=rolled_back):
                if random.random() < 0.5:
                    settle(connection, ids, attempt, status, code)
                else:
                    for number in ids:
                        settle(connection, [number], attempt, status, code)
            if not rolled_back:
                ends.update(noted)
            if random.random() < 0.3:
                connection.execute("DELETE FROM outbound_message WHERE id = ANY (%s)", (ids,))


def _compact_and_look(database: str, ended: threading.Event, falls: list[str]) -> None:
    heights = Counts()
    with psycopg.connect(database, autocommit=True) as connection:
        while not ended.is_set():
            compact(connection, batch_rows=20)
            now = counted(connection)
            falls += [f"{key}" for key, height in heights.items() if now[key] < height]
            heights = now


def test_under_concurrent_writers_and_compaction_the_counters_equal_a_recount(
    database: str, connection: Connection
) -> None:
    watch(database, ["acme", "beta"])
    ends = [Counts() for _ in range(WRITERS)]
    ended, falls = threading.Event(), list[str]()
    looking = threading.Thread(target=_compact_and_look, args=(database, ended, falls))
    writers = [
        threading.Thread(target=_live, args=(database, seed, ends[seed])) for seed in range(WRITERS)
    ]
    for thread in (looking, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    looking.join()

    expected = sum(ends, Counts())
    assert falls == []
    assert sum(expected.values()) > 0
    assert counted(connection) == {k: n for k, n in expected.items() if k[0] != "zeta"}


def test_a_watch_that_begins_and_ends_under_writers_misses_nothing_in_between(
    database: str, connection: Connection
) -> None:
    """What began after the command came back counts, what ended before it was given does not."""
    before, after, ended = threading.Event(), threading.Event(), threading.Event()
    surely, perhaps = Counts(), Counts()

    def write() -> None:
        with psycopg.connect(database, autocommit=True) as own:
            while not ended.is_set():
                ids = add_messages(own, 2)
                sure = after.is_set()
                settle(own, ids, "SENT", "SENT")
                if before.is_set():
                    (surely if sure else perhaps)["org", "WHATSAPP", "SENT"] += 2

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not counted_messages(connection, 20):
            pass
        before.set()
        watch(database, ["org"])
        after.set()
        done = counted_messages(connection, 0)
        while not counted_messages(connection, done + 20):
            pass
    finally:
        ended.set()
        writer.join()

    events = counted(connection)["org", "WHATSAPP", "SENT"]
    least = sum(surely.values())
    assert least > 0
    assert least <= events <= least + sum(perhaps.values())


def counted_messages(connection: Connection, least: int) -> int:
    """Give how many messages were sent, or 0 while they are fewer than `least`."""
    row = connection.execute(
        "SELECT count(*) FROM outbound_message WHERE status = 'SENT'"
    ).fetchone()
    number = int(row[0]) if row else 0
    return number if number >= least else 0
