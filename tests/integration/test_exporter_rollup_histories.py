"""Random histories by several connections: the rollup equals a recount, and no counter falls."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.compaction import compact
from exporter.rollup.verification import verify
from outbound_slo.embedded.postgres import EmbeddedPostgres

Connection = psycopg.Connection
Key = tuple[str, str, str, str]

# Each connection writes messages of its own channel: what they share are the rollup's tables.
CHANNELS = ("WHATSAPP", "SMS", "EMAIL")
CODES = (None, "131016", "131026", "x" * 80)

INSERT = (
    "INSERT INTO outbound_message (org_id, channel, to_recipient, status, attempt_count)"
    " SELECT 'org', %(channel)s, '+' || gen_random_uuid(), 'QUEUED', 0"
    " FROM generate_series(1, %(count)s)"
)
CHOSEN = (
    " ARRAY(SELECT id FROM outbound_message WHERE channel = %(channel)s AND status = ANY(%(old)s)"
    " ORDER BY id LIMIT %(count)s)"
)
CLAIM = (
    "WITH claimed AS (UPDATE outbound_message SET status = 'SENDING',"
    " attempt_count = attempt_count + 1, attempt_seq = attempt_seq + 1"
    f" WHERE id = ANY ({CHOSEN}) RETURNING *)"
    " INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel)"
    " SELECT id, attempt_seq, channel FROM claimed"
)
SETTLE_ATTEMPT = (
    "UPDATE outbound_attempt AS a SET outcome = %(outcome)s, error_code = %(code)s,"
    " finished_at = now() FROM outbound_message AS m WHERE m.id = a.outbound_message_id"
    f" AND a.attempt_no = m.attempt_seq AND a.outcome = 'IN_FLIGHT' AND m.id = ANY ({CHOSEN})"
)
MOVE = (
    "UPDATE outbound_message SET status = %(new)s, error_code = %(code)s,"
    " sent_at = CASE WHEN %(new)s = 'SENT' THEN now() ELSE sent_at END,"
    " delivered_at = CASE WHEN %(new)s = 'DELIVERED' THEN now() ELSE delivered_at END"
    f" WHERE id = ANY ({CHOSEN})"
)
ARCHIVE = (
    f"WITH gone AS (DELETE FROM outbound_message WHERE id = ANY ({CHOSEN}) RETURNING *)"
    " INSERT INTO outbound_message_archive SELECT * FROM gone"
)
DELETE = f"DELETE FROM outbound_message WHERE id = ANY ({CHOSEN})"


@dataclass(frozen=True)
class Step:
    """What one connection does next, to how many of its messages."""

    writer: int
    action: str
    count: int
    code: str | None


@dataclass
class Writer:
    """A connection with a transaction open, and what its commit would add to the counters."""

    channel: str
    connection: Connection
    pending: Counter[Key] = field(default_factory=Counter)

    def act(self, step: Step) -> None:
        """Do one step inside the transaction."""
        names = {"channel": self.channel, "count": step.count, "code": step.code}
        code = (step.code or "unknown")[:64]
        match step.action:
            case "insert":
                self._run(INSERT, names)
            case "claim":
                self._run(CLAIM, {**names, "old": ["QUEUED"]})
            case "send":
                attempts = self._run(
                    SETTLE_ATTEMPT, {**names, "outcome": "SENT", "code": None, "old": ["SENDING"]}
                )
                sent = self._run(MOVE, {**names, "new": "SENT", "code": None, "old": ["SENDING"]})
                self._expect("attempt", "SENT", "", attempts)
                self._expect("finished", "SENT", "", sent)
            case "fail":
                attempts = self._run(
                    SETTLE_ATTEMPT, {**names, "outcome": "FAILED", "old": ["SENDING"]}
                )
                failed = self._run(MOVE, {**names, "new": "FAILED", "old": ["SENDING"]})
                self._expect("attempt", "FAILED", code, attempts)
                self._expect("finished", "FAILED", code, failed)
            case "deliver":
                self._run(MOVE, {**names, "new": "DELIVERED", "old": ["SENT"]})
            case "reset":
                self._run(MOVE, {**names, "new": "QUEUED", "old": ["FAILED", "SENDING"]})
            case "exhaust":
                self._run(
                    "UPDATE outbound_message SET attempt_count = max_attempts"
                    f" WHERE id = ANY ({CHOSEN})",
                    {**names, "old": ["FAILED"]},
                )
            case "archive":
                self._run(ARCHIVE, {**names, "old": ["FAILED", "DELIVERED"]})
            case "delete":
                self._run(DELETE, {**names, "old": ["QUEUED", "SENDING", "SENT"]})

    def _run(self, statement: str, values: dict[str, object]) -> int:
        return self.connection.execute(statement.encode(), values).rowcount

    def _expect(self, kind: str, outcome: str, code: str, count: int) -> None:
        if count:
            self.pending[kind, self.channel, outcome, code] += count


STEPS = st.lists(
    st.builds(
        Step,
        writer=st.integers(0, len(CHANNELS) - 1),
        action=st.sampled_from(
            ["insert", "claim", "send", "fail", "deliver", "reset", "exhaust", "archive", "delete",
             "commit", "rollback", "compact"]
        ),
        count=st.integers(1, 4),
        code=st.sampled_from(CODES),
    ),
    min_size=30,
    max_size=80,
)  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for all histories."""
    yield postgres_server.create_database("histories", template=template_database)
    postgres_server.drop_database("histories")


def _begin() -> list[Step]:
    """Give everyone messages to work on: a history that starts from nothing seldom gets far."""
    return [
        Step(n, action, count, None)
        for n in range(len(CHANNELS))
        for action, count in (("insert", 9), ("claim", 6), ("send", 2), ("commit", 1))
    ]


def _end() -> list[Step]:
    return [
        *(Step(n, "commit", 1, None) for n in range(len(CHANNELS))),
        Step(0, "compact", 9, None),
    ]


def _heights(reader: Connection) -> Counter[Key]:
    rows = reader.execute(
        "SELECT kind, channel, outcome, error_code, sum(events)::int FROM outbound_event"
        " WHERE kind IN ('attempt', 'finished') GROUP BY 1, 2, 3, 4"
    )
    return Counter({(kind, channel, outcome, code): n for kind, channel, outcome, code, n in rows})


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_the_rollup_equals_a_recount_and_no_counter_falls(database: str, steps: list[Step]) -> None:
    with psycopg.connect(database, autocommit=True) as reader:
        reader.execute(
            "TRUNCATE outbound_message, outbound_attempt, outbound_message_archive,"
            " outbound_event_total, outbound_event_delta, outbound_message_delta,"
            " outbound_state_total, outbound_cohort_total"
        )
        writers = [Writer(channel, psycopg.connect(database)) for channel in CHANNELS]
        expected = Counter[Key]()
        try:
            for step in [*_begin(), *steps, *_end()]:
                writer = writers[step.writer]
                if step.action == "compact":
                    compact(reader, batch_rows=step.count)
                elif step.action in ("commit", "rollback"):
                    getattr(writer.connection, step.action)()
                    if step.action == "commit":
                        expected += writer.pending
                    writer.pending.clear()
                else:
                    writer.act(step)
                # What is committed is counted, exactly and at once; so nothing ever falls.
                assert _heights(reader) == expected
        finally:
            for writer in writers:
                writer.connection.close()
    assert verify(database, repair=False).drifts == []
