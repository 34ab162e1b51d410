"""Writers, readers and compaction at once: the rollup equals a recount, and nothing falls."""

import threading
from collections import Counter
from collections.abc import Iterator
from random import Random

import psycopg
import pytest

from exporter.compaction import RECLAIM_ROWS, Compactor, compact
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.patience import wait_for
from tests.rollup_parts import (
    Connection,
    Counts,
    add_messages,
    deliver,
    empty_rollup,
    read,
    settle,
)


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for this module: emptying its tables takes less time than a clone per test."""
    yield postgres_server.create_database("rollup_races", template=template_database)
    postgres_server.drop_database("rollup_races")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        empty_rollup(opened)
        yield opened


WRITERS = 6
STEPS = 60
OUTCOMES = [
    ("SENT", "SENT", None),
    ("SENT", "SENT", None),
    ("FAILED", "QUEUED", "131016"),
    ("FAILED", "FAILED", "131026"),
    ("REFUSED", "FAILED", "opted_out"),
    ("UNKNOWN", "SENDING", "timeout"),
    ("DEFERRED", "QUEUED", "quota_exhausted"),
]


def _live(database: str, seed: int, attempts: Counter[str], finished: Counter[str]) -> None:
    """Lead messages through random lives, and note what should be counted."""
    random = Random(seed)  # noqa: S311 - a repeatable history, nothing secret
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(STEPS):
            ids = add_messages(connection, random.randint(1, 4))
            outcome, status, code = random.choice(OUTCOMES)
            rolled_back = random.random() < 0.15
            with connection.transaction(force_rollback=rolled_back):
                settle(connection, ids, outcome, status, code)
            if rolled_back:
                continue
            attempts[outcome] += len(ids)
            if status == "FAILED":
                finished["REFUSED" if outcome == "REFUSED" else "FAILED"] += len(ids)
            if status == "SENT":
                finished["SENT"] += len(ids)
                if random.random() < 0.5:
                    deliver(connection, ids)
            if random.random() < 0.3:
                connection.execute("DELETE FROM outbound_message WHERE id = ANY (%s)", (ids,))


def _watch_heights(database: str, ended: threading.Event, falls: list[str]) -> None:
    heights: Counts = {}
    with psycopg.connect(database) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        while not ended.is_set():
            for query in ("attempt", "finished"):
                for labels, count in read(reader, query).items():
                    if count < heights.get((query, *labels), 0):
                        falls.append(f"{query} {labels}")
                    heights[query, *labels] = count
            reader.commit()


def _compact_often(database: str, ended: threading.Event, moved: list[int]) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        while not ended.is_set():
            moved.append(compact(connection, batch_rows=20) or 0)


def test_under_concurrent_writers_and_compaction_the_rollup_equals_a_recount(
    database: str, connection: Connection
) -> None:
    attempts = [Counter[str]() for _ in range(WRITERS)]
    finished = [Counter[str]() for _ in range(WRITERS)]
    falls: list[str] = []
    moved: list[int] = []
    ended = threading.Event()
    watchers = [
        threading.Thread(target=_watch_heights, args=(database, ended, falls)),
        threading.Thread(target=_compact_often, args=(database, ended, moved)),
    ]
    writers = [
        threading.Thread(target=_live, args=(database, seed, attempts[seed], finished[seed]))
        for seed in range(WRITERS)
    ]
    for thread in (*watchers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    for thread in watchers:
        thread.join()

    def by_outcome(query: str) -> Counter[str]:
        counted: Counter[str] = Counter()
        for (_, outcome, _), count in read(connection, query).items():
            counted[outcome.upper()] += count
        return counted

    assert by_outcome("attempt") == sum(attempts, Counter())
    assert by_outcome("finished") == sum(finished, Counter())
    assert falls == []
    assert sum(moved) > 0


def test_a_compaction_waits_for_no_lock_longer_than_it_may(
    connection: Connection, database: str
) -> None:
    connection.execute("SET statement_timeout = '20s'")
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE outbound_event_delta IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            compact(connection)


def test_the_space_of_deltas_is_given_back_once_enough_of_them_were_moved(
    connection: Connection,
) -> None:
    compactor = Compactor()

    def count_vacuums() -> int:
        connection.execute("SELECT pg_stat_clear_snapshot()")
        found = connection.execute(
            "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'outbound_event_delta'"
        ).fetchone()
        return int(found[0]) if found else 0

    before = count_vacuums()
    _add_deltas(connection, RECLAIM_ROWS - 1)
    compactor.after_refresh(connection)
    assert count_vacuums() == before
    _add_deltas(connection, 1)
    compactor.after_refresh(connection)
    wait_for(lambda: count_vacuums() > before, "the vacuum to be counted")


def _add_deltas(connection: Connection, number: int) -> None:
    connection.execute(
        "INSERT INTO outbound_event_delta (kind, channel, outcome, events)"
        " SELECT 'attempt', 'SMS', 'SENT', 1 FROM generate_series(1, %s)",
        (number,),
    )
