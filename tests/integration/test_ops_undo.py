"""What an undo must never do: lose a message, send one twice, take back what has moved on."""

from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from operations.requeueing import Requeue
from sender.audit import Author, Operation, begin_operation
from sender.requeue import Objection
from tests.ops_parts import Operator


@pytest.fixture
def ops(database: str) -> Operator:
    return Operator(database)


def _places(ops: Operator, number: int) -> tuple[int, int]:
    """Count a message's rows in the outbox and in the archive."""
    outbox = ops.ask("SELECT count(*) FROM outbound_message WHERE id = %s", number)
    archive = ops.ask("SELECT count(*) FROM outbound_message_archive WHERE id = %s", number)
    return outbox, archive


def test_an_archived_message_whose_key_is_used_again_stays_in_the_archive(ops: Operator) -> None:
    [taken, free] = ops.add(2, age="8 days")
    number = ops.change("dlq", "archive")["operation"]
    ops.execute(
        "INSERT INTO outbound_message (org_id, channel, to_recipient, idempotency_key)"
        " SELECT org_id, channel, to_recipient, idempotency_key FROM outbound_message_archive"
        " WHERE id = %s",
        taken,
    )
    undone = ops.change("undo", number)
    assert undone["skipped"]["another_in_its_place"] > 0
    assert (_places(ops, taken), _places(ops, free)) == ((0, 1), (1, 0))


def test_undoing_the_undo_of_an_archive_leaves_alone_what_was_retried(ops: Operator) -> None:
    [retried, quiet] = ops.add(2, age="8 days")
    undone = ops.change("undo", ops.change("dlq", "archive")["operation"])["operation"]
    ops.execute(
        "UPDATE outbound_message SET status = 'SENT', updated_at = now() WHERE id = %s", retried
    )
    ops.change("undo", undone)
    assert (_places(ops, retried), _places(ops, quiet)) == ((1, 0), (0, 1))
    attempts = "SELECT outbound_message_id FROM outbound_attempt"
    assert ops.execute(attempts) == [(retried,)]


def test_what_began_more_than_seven_days_ago_is_not_undone_by_halves(ops: Operator) -> None:
    numbers = ops.add(3, age="8 days")
    archived = ops.change("dlq", "archive")["operation"]
    ops.execute("UPDATE outbound_operation SET started_at = now() - interval '8 days'")
    refused = ops.run("undo", archived, "--yes")
    assert (refused.code, "began more than 7 days ago" in refused.err) == (2, True)
    assert [_places(ops, number) for number in numbers] == [(0, 1)] * 3
    ops.add(1)
    ops.change("retry")
    assert (
        ops.ask("SELECT count(*) FROM outbound_operation_row WHERE operation_id = %s", archived)
        == 0
    )


def test_an_undo_from_a_desk_in_another_time_zone_finds_its_rows(ops: Operator) -> None:
    numbers = ops.add(2)
    before = ops.picture(numbers)
    abroad = Operator(make_conninfo(ops.database, options="-c TimeZone=Europe/Paris"))
    done = ops.change("retry")["operation"]
    assert abroad.change("undo", done)["skipped"] == {}
    assert ops.picture(numbers) == before
    again = abroad.change("retry")["operation"]
    assert ops.change("undo", again)["skipped"] == {}
    assert ops.picture(numbers) == before


def test_force_is_for_the_attempt_that_somebody_has_seen(
    ops: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = ops.add(2, status="SENDING", attempts=1, outcome="IN_FLIGHT", age="20 minutes")
    apply = Requeue.apply

    def overtake(
        change: Requeue,
        connection: psycopg.Connection,
        operation: Operation,
        keys: Any,  # noqa: ANN401 - as the frame's
    ) -> Any:  # noqa: ANN401 - as above
        # Between survey and batch one of them is swept and claimed again.
        ops.execute("UPDATE outbound_message SET attempt_seq = 2 WHERE id = %s", numbers[0])
        return apply(change, connection, operation, keys)

    monkeypatch.setattr(Requeue, "apply", overtake)
    done = ops.change("stuck", "release", "--force")
    assert (done["changed"], done["skipped"]) == (1, {Objection.MOVED_ON.value: 1})
    assert ops.statuses(numbers) == ["SENDING", "QUEUED"]


def test_an_undone_pause_ended_when_it_was_undone(ops: Operator) -> None:
    ops.execute(
        "UPDATE outbound_switch SET paused = true, until = now() - interval '1 day'"
        " WHERE channel = 'WHATSAPP'"
    )
    ended = "SELECT now() - ended_at < %s::interval FROM outbound_pause WHERE channel = 'WHATSAPP'"
    assert ops.ask(ended, "25 hours")
    assert not ops.ask(ended, "23 hours")
    paused = ops.change("channel", "pause", "whatsapp", "--no-wait")["operation"]
    assert ops.ask("SELECT paused FROM outbound_pause WHERE channel = 'WHATSAPP'")
    with psycopg.connect(ops.database, autocommit=True) as ear:
        ear.execute("LISTEN outbound_message")
        ops.change("undo", paused)
        assert [each.channel for each in ear.notifies(timeout=10, stop_after=1)]
    assert not ops.ask("SELECT paused FROM outbound_pause WHERE channel = 'WHATSAPP'")
    assert ops.ask(ended, "1 minute")


def test_a_refused_retry_over_http_keeps_no_house(ops: Operator) -> None:
    with psycopg.connect(ops.database) as connection:
        old = begin_operation(connection, "retry", Author("ana"))
    ops.execute(
        "INSERT INTO outbound_operation_row (operation_id, relation, key)"
        " SELECT %s, 'outbound_message', n::text FROM generate_series(1, 12000) AS n",
        old.id,
    )
    ops.execute("UPDATE outbound_operation SET started_at = now() - interval '8 days'")
    with psycopg.connect(ops.database) as connection:
        begin_operation(connection, "retry", Author("ana"))
    rows = "SELECT count(*) FROM outbound_operation_row"
    assert ops.ask(rows) == 12000
    ops.add(1)
    ops.change("retry")
    assert ops.ask(rows) == 2
