"""Event counters and latency histograms: each event once, none ever taken back."""

import threading
from collections import Counter
from collections.abc import Iterator
from random import Random

import psycopg
import pytest
from psycopg import sql

from exporter.compaction import COMPACTION_LOCK, compact
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.metrics import DELIVERY_LATENCY_BUCKETS, SEND_LATENCY_BUCKETS

Connection = psycopg.Connection
Counts = dict[tuple[str, ...], int]


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for this module: emptying its tables takes less time than a clone per test."""
    yield postgres_server.create_database("rollup", template=template_database)
    postgres_server.drop_database("rollup")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute(
            "TRUNCATE outbound_message, outbound_attempt, outbound_message_archive,"
            " outbound_event_total, outbound_event_delta, outbound_message_delta,"
            " outbound_state_total, outbound_cohort_total"
        )
        yield opened


def read(connection: Connection, kind: str) -> Counts:
    """Give how many events of a kind were counted, by channel, outcome and code."""
    rows = connection.execute(
        "SELECT lower(channel), lower(outcome), error_code, sum(events) FROM outbound_event"
        " WHERE kind = %s GROUP BY 1, 2, 3",
        (kind,),
    ).fetchall()
    return {tuple(map(str, row[:-1])): int(row[-1]) for row in rows}


def read_latency(connection: Connection, kind: str) -> dict[float, tuple[int, float]]:
    """Give events and seconds per upper edge, of all channels."""
    rows = connection.execute(
        "SELECT edge, sum(events), sum(microseconds) / 1e6 FROM outbound_event"
        " WHERE kind = %s GROUP BY 1",
        (kind,),
    ).fetchall()
    return {edge: (int(events), float(seconds)) for edge, events, seconds in rows}


def add_messages(connection: Connection, count: int = 1, channel: str = "WHATSAPP") -> list[int]:
    """Queue messages, each with one attempt in flight."""
    rows = connection.execute(
        "INSERT INTO outbound_message (org_id, channel, to_recipient)"
        " SELECT 'org', %s, '+' || gen_random_uuid() FROM generate_series(1, %s) RETURNING id",
        (channel, count),
    ).fetchall()
    ids = [row[0] for row in rows]
    start_attempt(connection, ids)
    return ids


def start_attempt(connection: Connection, ids: list[int]) -> None:
    """Claim messages as the sender does."""
    connection.execute(
        "WITH claimed AS ("
        " UPDATE outbound_message SET status = 'SENDING', attempt_count = attempt_count + 1,"
        " attempt_seq = attempt_seq + 1, updated_at = now() WHERE id = ANY (%s) RETURNING *)"
        " INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel)"
        " SELECT id, attempt_seq, channel FROM claimed",
        (ids,),
    )


def settle(
    connection: Connection, ids: list[int], outcome: str, status: str, code: str | None = None
) -> None:
    """Settle attempt and message in one statement, as the sender does."""
    connection.execute(
        "WITH attempt AS ("
        " UPDATE outbound_attempt AS a SET outcome = %(outcome)s, error_code = %(code)s,"
        " finished_at = now() FROM outbound_message AS m"
        " WHERE m.id = ANY (%(ids)s) AND a.outbound_message_id = m.id"
        " AND a.attempt_no = m.attempt_seq AND a.outcome IN ('IN_FLIGHT', 'UNKNOWN'))"
        " UPDATE outbound_message SET status = %(status)s, error_code = %(code)s,"
        " sent_at = CASE WHEN %(status)s = 'SENT' THEN now() ELSE sent_at END, updated_at = now()"
        " WHERE id = ANY (%(ids)s)",
        {"ids": ids, "outcome": outcome, "status": status, "code": code},
    )


def deliver(connection: Connection, ids: list[int]) -> None:
    connection.execute(
        "UPDATE outbound_message SET status = 'DELIVERED', delivered_at = now()"
        " WHERE id = ANY (%s)",
        (ids,),
    )


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


@pytest.mark.parametrize(
    ("outcome", "status", "code", "label"),
    [
        ("SENT", "SENT", None, ""),
        ("FAILED", "QUEUED", "131016", "131016"),
        ("FAILED", "QUEUED", None, "unknown"),
        ("FAILED", "QUEUED", "", "unknown"),
        ("FAILED", "QUEUED", "x" * 90, "x" * 64),
        ("UNKNOWN", "SENDING", "timeout", "timeout"),
        ("REFUSED", "FAILED", "opted_out", "opted_out"),
        ("DEFERRED", "QUEUED", "quota_exhausted", "quota_exhausted"),
    ],
)
def test_an_attempt_counts_once_under_its_outcome_and_code(
    connection: Connection, outcome: str, status: str, code: str | None, label: str
) -> None:
    settle(connection, add_messages(connection), outcome, status, code)

    assert read(connection, "attempt") == {("whatsapp", outcome.lower(), label): 1}


def test_attempts_in_flight_do_not_count(connection: Connection) -> None:
    add_messages(connection, 3)

    assert read(connection, "attempt") == {}


def test_a_corrected_outcome_counts_and_says_that_it_stands_twice(connection: Connection) -> None:
    ids = add_messages(connection)
    settle(connection, ids, "UNKNOWN", "SENDING", "timeout")
    settle(connection, ids, "SENT", "SENT")

    assert read(connection, "attempt") == {
        ("whatsapp", "unknown", "timeout"): 1,
        ("whatsapp", "sent", ""): 1,
        ("whatsapp", "corrected", "timeout"): 1,
    }


def test_touching_a_settled_row_counts_nothing(connection: Connection) -> None:
    ids = add_messages(connection)
    settle(connection, ids, "SENT", "SENT")
    before = read(connection, "attempt"), read(connection, "finished")
    connection.execute("UPDATE outbound_attempt SET updated_at = now(), error_code = 'late'")
    connection.execute("UPDATE outbound_message SET updated_at = now(), error_code = 'late'")

    assert (read(connection, "attempt"), read(connection, "finished")) == before


def test_a_message_finishes_when_the_provider_accepts_it_and_not_again_when_delivered(
    connection: Connection,
) -> None:
    ids = add_messages(connection, 3)
    settle(connection, ids, "SENT", "SENT")
    deliver(connection, ids)

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 3}


def test_a_message_whose_acceptance_nobody_saw_finishes_when_delivered(
    connection: Connection,
) -> None:
    deliver(connection, add_messages(connection))

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 1}


def test_a_retry_is_no_end(connection: Connection) -> None:
    settle(connection, add_messages(connection), "FAILED", "QUEUED", "131016")

    assert read(connection, "finished") == {}


def test_a_final_failure_counts_under_its_code(connection: Connection) -> None:
    settle(connection, add_messages(connection), "FAILED", "FAILED", "131026")

    assert read(connection, "finished") == {("whatsapp", "failed", "131026"): 1}


def test_a_refusal_of_our_own_is_no_failure_of_the_provider(connection: Connection) -> None:
    settle(connection, add_messages(connection), "REFUSED", "FAILED", "consent_missing")

    assert read(connection, "finished") == {("whatsapp", "refused", "consent_missing"): 1}


def test_a_message_that_was_accepted_and_fails_later_is_both(connection: Connection) -> None:
    ids = add_messages(connection)
    settle(connection, ids, "SENT", "SENT")
    connection.execute("UPDATE outbound_message SET status = 'FAILED', error_code = '131049'")

    assert read(connection, "finished") == {
        ("whatsapp", "sent", ""): 1,
        ("whatsapp", "failed", "131049"): 1,
    }


def test_a_message_that_a_human_resets_finishes_again(connection: Connection) -> None:
    ids = add_messages(connection)
    settle(connection, ids, "FAILED", "FAILED", "131016")
    connection.execute("UPDATE outbound_message SET status = 'QUEUED', attempt_count = 0")
    start_attempt(connection, ids)
    settle(connection, ids, "SENT", "SENT")

    assert read(connection, "finished") == {
        ("whatsapp", "failed", "131016"): 1,
        ("whatsapp", "sent", ""): 1,
    }
    assert sum(read(connection, "attempt").values()) == 2


def test_channels_are_told_apart_in_one_statement(connection: Connection) -> None:
    ids = [*add_messages(connection, 2), *add_messages(connection, 3, channel="SMS")]
    settle(connection, ids, "SENT", "SENT")

    expected = {("whatsapp", "sent", ""): 2, ("sms", "sent", ""): 3}
    assert read(connection, "finished") == expected
    assert read(connection, "attempt") == expected


def test_several_statements_of_one_transaction_all_count(connection: Connection) -> None:
    ids = add_messages(connection, 4)
    with connection.transaction():
        for number in ids:
            settle(connection, [number], "SENT", "SENT")
        deliver(connection, ids)

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 4}
    assert read(connection, "attempt") == {("whatsapp", "sent", ""): 4}


def test_what_is_rolled_back_never_happened(connection: Connection) -> None:
    ids = add_messages(connection)
    with connection.transaction(force_rollback=True):
        settle(connection, ids, "SENT", "SENT")
        assert read(connection, "finished") == {("whatsapp", "sent", ""): 1}

    assert read(connection, "finished") == {}
    assert read(connection, "attempt") == {}


def test_rows_that_arrive_settled_are_an_import_and_count_nothing(connection: Connection) -> None:
    with connection.cursor().copy(
        "COPY outbound_message (org_id, channel, to_recipient, status, sent_at) FROM STDIN"
    ) as copy:
        copy.write_row(("org", "WHATSAPP", "+1", "SENT", "2026-01-01"))
    connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, outcome)"
        " SELECT id, 1, 'SENT' FROM outbound_message"
    )

    assert read(connection, "finished") == {}
    assert read(connection, "attempt") == {}


def test_an_upsert_that_settles_a_row_counts_like_an_update(connection: Connection) -> None:
    ids = add_messages(connection)
    connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no) VALUES (%s, 1)"
        " ON CONFLICT (outbound_message_id, attempt_no) DO UPDATE SET outcome = 'SENT'",
        (ids[0],),
    )

    assert read(connection, "attempt") == {("whatsapp", "sent", ""): 1}


@pytest.mark.parametrize(
    "removal",
    [
        "DELETE FROM outbound_message",
        """WITH gone AS (DELETE FROM outbound_message RETURNING *)
           INSERT INTO outbound_message_archive SELECT * FROM gone""",
        "TRUNCATE outbound_message CASCADE",
    ],
    ids=["deleted", "archived", "truncated"],
)
def test_counters_do_not_fall_when_rows_are(connection: Connection, removal: str) -> None:
    ids = add_messages(connection, 5)
    settle(connection, ids, "SENT", "SENT")
    deliver(connection, ids)
    queries = ("attempt", "finished", "send_latency", "delivery_latency")
    before = {query: read(connection, query) for query in queries}

    connection.execute(removal.encode())

    assert connection.execute("SELECT count(*) FROM outbound_message").fetchone() == (0,)
    assert {query: read(connection, query) for query in queries} == before


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


def test_whoever_may_write_messages_is_counted_without_rights_on_our_tables(
    connection: Connection,
) -> None:
    ids = add_messages(connection)
    connection.execute("CREATE ROLE plain_sender")
    try:
        connection.execute(
            "GRANT SELECT, UPDATE ON outbound_message, outbound_attempt TO plain_sender"
        )
        connection.execute("SET ROLE plain_sender")
        settle(connection, ids, "SENT", "SENT")
        connection.execute("RESET ROLE")
    finally:
        connection.execute("RESET ROLE")
        connection.execute("DROP OWNED BY plain_sender")
        connection.execute("DROP ROLE plain_sender")

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 1}


def test_a_temporary_table_cannot_divert_the_counts(connection: Connection) -> None:
    ids = add_messages(connection)
    connection.execute("CREATE TEMP TABLE outbound_event_delta (LIKE outbound_event_delta)")
    settle(connection, ids, "SENT", "SENT")
    connection.execute("DROP TABLE pg_temp.outbound_event_delta")

    assert read(connection, "finished") == {("whatsapp", "sent", ""): 1}


def test_no_plan_that_a_session_keeps_ruins_a_bulk_update(connection: Connection) -> None:
    """Made for two rows, the cheapest join is a nested loop; for 20,000 rows it takes minutes."""
    plans: list[str] = []
    connection.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
    connection.execute("LOAD 'auto_explain'")
    connection.execute("SET auto_explain.log_min_duration = 0")
    connection.execute("SET auto_explain.log_nested_statements = on")
    connection.execute("SET auto_explain.log_level = notice")
    # As the sender's sessions do for the sake of their own statements.
    connection.execute("SET enable_hashjoin = off")
    connection.execute("SET enable_mergejoin = off")
    settle(connection, add_messages(connection, 2), "SENT", "SENT")

    joins = [plan for plan in plans if "INSERT INTO outbound" in plan and "after AS n" in plan]
    assert len(joins) == 3  # the message's twice (claim and settlement), the attempt's once
    assert all("Full Join" in plan for plan in joins)


def test_a_bulk_update_counts_every_row(connection: Connection) -> None:
    ids = add_messages(connection, 3000)
    settle(connection, ids, "SENT", "SENT")

    assert read(connection, "attempt") == {("whatsapp", "sent", ""): 3000}
    assert read(connection, "finished") == {("whatsapp", "sent", ""): 3000}


def _deltas(connection: Connection) -> int:
    row = connection.execute(
        "SELECT (SELECT count(*) FROM outbound_event_delta)"
        " + (SELECT count(*) FROM outbound_message_delta)"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_compaction_moves_deltas_in_batches_and_changes_no_count(connection: Connection) -> None:
    for number in add_messages(connection, 5):
        settle(connection, [number], "SENT", "SENT")
    queries = ("attempt", "finished", "send_latency")
    before = {query: read(connection, query) for query in queries}
    deltas = _deltas(connection)

    # Attempts and messages have a batch each.
    assert compact(connection, batch_rows=4) == 8
    assert _deltas(connection) == deltas - 8
    assert compact(connection) == deltas - 8
    assert compact(connection) == 0
    assert {query: read(connection, query) for query in queries} == before


def test_a_second_compaction_at_once_gives_way(connection: Connection, database: str) -> None:
    settle(connection, add_messages(connection), "SENT", "SENT")
    with psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (COMPACTION_LOCK,))
        assert compact(connection) is None

    assert compact(connection)


def test_a_snapshot_does_not_see_a_compaction_that_commits_under_it(
    connection: Connection, database: str
) -> None:
    settle(connection, add_messages(connection), "SENT", "SENT")
    with psycopg.connect(database) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = read(reader, "finished")
        compact(connection)
        assert read(reader, "finished") == before == {("whatsapp", "sent", ""): 1}


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
