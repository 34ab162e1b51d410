"""Retry and release on a real outbox: whom they choose, what they leave alone, what is undone."""

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from sender.requeue import FALLBACK_SUFFIX
from tests.ops_parts import Operator
from tests.ops_schemas import check_printed
from tests.outbox_parts import Outbox


@pytest.fixture
def ops(database: str) -> Operator:
    return Operator(database)


def _fates(ops: Operator, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
    return ops.execute(
        "SELECT status, attempt_count, error_code, due_at <= now(), updated_by"
        " FROM outbound_message WHERE id = ANY (%s) ORDER BY id",
        list(numbers),
    )


def test_an_outage_is_retried_within_its_hours_and_codes(ops: Operator) -> None:
    fresh = ops.add(2)
    with_budget = ops.add(1, attempts=2, code="0")
    left = [
        *ops.add(1, age="5 hours"),
        *ops.add(1, code="131021"),
        *ops.add(1, status="SENT", code=None),
    ]
    before = ops.picture(left)
    dry = ops.run("retry", "--dry-run", "--json").json()
    check_printed("survey", dry)
    assert sorted(dry["keys"]) == sorted(fresh + with_budget)
    done = ops.change("retry", "--ticket", "INC-7")
    check_printed("outcome", done)
    assert (done["changed"], done["skipped"]) == (3, {})
    stamp = f"ops-{done['operation']}-retry-ana-INC-7"
    assert done["updated_by"] == stamp
    assert _fates(ops, fresh) == [("QUEUED", 0, None, True, stamp)] * 2
    assert _fates(ops, with_budget) == [("QUEUED", 2, None, True, stamp)]
    assert ops.picture(left) == before
    assert ops.run("retry", "--yes").out == "Nothing to do: no messages to change.\n"


def test_dead_letters_are_retried_when_they_have_cooled(ops: Operator) -> None:
    cooled = ops.add(1, age="25 hours")
    ops.add(1, age="23 hours")
    ops.add(1, age="25 hours", attempts=2)
    assert ops.change("retry", "--mode", "dlq")["changed"] == 1
    assert ops.statuses(cooled) == ["QUEUED"]
    assert ops.change("retry", "--mode", "dlq", "--age-hours", "22")["changed"] == 1


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["--codes", "132015, 190"], {"paused", "token"}),
        (["--channel", "sms"], {"sms"}),
        (["--org", "other"], {"other"}),
        (["--limit", "1"], {"newest"}),
    ],
)
def test_filters_choose(ops: Operator, options: list[str], chosen: set[str]) -> None:
    numbers = {
        "paused": ops.add(1, code="132015")[0],
        "token": ops.add(1, code="190", attempts=1)[0],
        "sms": ops.add(1, channel="SMS", age="2 hours")[0],
        "other": ops.add(1, org="other", age="2 hours")[0],
        "newest": ops.add(1, age="1 minute")[0],
    }
    keys = ops.run("retry", "--dry-run", "--json", *options).json()["keys"]
    assert {name for name, number in numbers.items() if number in keys} == chosen


def test_messages_can_be_named(ops: Operator) -> None:
    [one], [other] = ops.add(1, code="131021"), ops.add(1)
    dry = ops.run("retry", one, one, "--dry-run", "--json").json()
    assert dry["keys"] == [one]
    [warning] = dry["warnings"]
    assert warning.startswith("code 131021 does not pass by itself")
    assert ops.change("retry", one)["changed"] == 1
    assert ops.statuses([one, other]) == ["QUEUED", "FAILED"]
    unknown = ops.run("retry", 4711, "--yes")
    assert (unknown.code, unknown.err[:27]) == (2, "There is no message 4711. '")
    assert "of nobody" in ops.run("retry", one, "--org", "nobody").err


def test_what_the_provider_may_have_is_left_alone_unless_forced(ops: Operator) -> None:
    lost = ops.add(2, status="SENDING", code=None, attempts=1, outcome="IN_FLIGHT", age="7 minutes")
    gone = ops.add(
        1, status="SENDING", code=None, attempts=1, outcome="IN_FLIGHT", age="11 minutes"
    )
    dry = ops.run("stuck", "release", "--dry-run", "--json").json()
    assert dry["keys"] == gone
    [warning] = dry["warnings"]
    assert warning.startswith("2 are left alone: the provider may have them and a webhook may")
    assert ops.change("stuck", "release")["changed"] == 1
    assert ops.statuses(lost + gone) == ["SENDING", "SENDING", "QUEUED"]
    assert ops.change("stuck", "release", "--force")["changed"] == 2
    marks = "SELECT outcome, possible_duplicate, error_code FROM outbound_attempt"
    assert set(ops.execute(marks)) == {("UNKNOWN", True, "outcome_unknown")}


def test_while_webhooks_are_silent_nothing_unknown_is_released(ops: Operator) -> None:
    stuck = ops.add(1, status="SENDING", code=None, attempts=1, outcome="UNKNOWN", age="1 hour")
    ops.execute(
        "INSERT INTO provider_webhook_health (provider, last_rejected_at)"
        " VALUES ('whatsapp', now())"
    )
    assert ops.run("stuck", "release", "--yes").out == "Nothing to do: no messages to change.\n"
    ops.execute("DELETE FROM provider_webhook_health")
    assert ops.change("stuck", "release")["changed"] == 1
    assert ops.statuses(stuck) == ["QUEUED"]


def test_what_fell_back_to_sms_is_not_sent_again(ops: Operator) -> None:
    [fell, plain] = ops.add(2)
    ops.execute(
        "INSERT INTO outbound_message (org_id, channel, to_recipient, subject, idempotency_key)"
        " SELECT org_id, 'SMS', to_recipient, 'x', idempotency_key || %s FROM outbound_message"
        " WHERE id = %s",
        FALLBACK_SUFFIX,
        fell,
    )
    dry = ops.run("retry", "--dry-run", "--json").json()
    assert dry["keys"] == [plain]
    named = ops.run("retry", fell, "--dry-run", "--json").json()
    assert (named["rows"], len(named["warnings"])) == (0, 1)
    assert ops.run("retry", "--dry-run", "--json", "--force").json()["rows"] == 2


def test_overdue_and_waiting_retries_are_due_at_once(ops: Operator) -> None:
    overdue, waiting, recent = (
        ops.add(1, status="QUEUED", attempts=2, age=age)[0]
        for age in ("2 hours", "2 hours", "5 minutes")
    )
    for number, wait in ((overdue, "-40 minutes"), (waiting, "3 hours"), (recent, "3 hours")):
        ops.execute(
            "UPDATE outbound_attempt SET next_retry_at = now() + %s::interval"
            " WHERE outbound_message_id = %s",
            wait,
            number,
        )
    before = ops.picture([overdue, waiting])
    assert ops.change("stuck", "release", "--what", "overdue")["changed"] == 1
    done = ops.change("stuck", "release", "--what", "waiting")
    assert done["changed"] == 1
    due = "SELECT due_at <= now() AND next_retry_at IS NULL FROM outbound_message WHERE id = %s"
    assert [ops.ask(due, each) for each in (overdue, waiting, recent)] == [True, True, False]
    assert ops.ask("SELECT count(next_retry_at) FROM outbound_attempt") == 1
    for number in (done["operation"], done["operation"] - 1):
        ops.change("undo", number)
    assert ops.picture([overdue, waiting]) == before
    assert ops.ask("SELECT count(next_retry_at) FROM outbound_attempt") == 3


def test_an_undo_brings_rows_back_as_they_were_and_can_be_undone_itself(ops: Operator) -> None:
    failed = ops.add(3)
    stuck = ops.add(1, status="SENDING", code=None, attempts=1, outcome="UNKNOWN", age="1 hour")
    before = ops.picture(failed + stuck)
    attempts = ops.execute(
        "SELECT to_jsonb(a) - 'updated_at' FROM outbound_attempt AS a ORDER BY id"
    )
    numbers = [ops.change("retry")["operation"], ops.change("stuck", "release")["operation"]]
    after = ops.picture(failed + stuck)
    undone = [ops.change("undo", number)["operation"] for number in numbers]
    assert ops.picture(failed + stuck) == before
    assert (
        ops.execute("SELECT to_jsonb(a) - 'updated_at' FROM outbound_attempt AS a ORDER BY id")
        == attempts
    )
    for number in undone:
        ops.change("undo", number)
    assert ops.picture(failed + stuck) == after
    assert ops.run("undo", numbers[0], "--yes", "--json").json()["changed"] > 0


def test_an_undo_leaves_alone_what_a_sender_has_taken(ops: Operator) -> None:
    [taken, waiting] = ops.add(2)
    number = ops.change("retry")["operation"]
    outbox = Outbox(ops.database)
    claimed = outbox.claim(1)
    [left] = {taken, waiting} - set(claimed)
    undone = ops.change("undo", number)
    assert undone["skipped"] == {"changed_since": 2}  # the message and its last attempt
    assert dict(zip((taken, waiting), ops.statuses([taken, waiting]), strict=True)) == {
        claimed[0]: "SENDING",
        left: "FAILED",
    }


def test_an_undo_puts_no_second_message_in_flight_to_a_recipient(ops: Operator) -> None:
    released = ops.add(2, status="SENDING", attempts=1, outcome="UNKNOWN", age="1 hour")
    number = ops.change("stuck", "release")["operation"]
    ops.execute(
        "INSERT INTO outbound_message (org_id, channel, to_recipient, status)"
        " SELECT org_id, channel, to_recipient, 'SENDING' FROM outbound_message WHERE id = %s",
        released[0],
    )
    undone = ops.change("undo", number)
    assert undone["skipped"] == {"changed_since": 1}
    assert ops.statuses(released) == ["QUEUED", "SENDING"]


def test_an_undone_failure_is_not_counted_as_another(ops: Operator) -> None:
    events = "SELECT COALESCE(sum(events), 0) FROM outbound_event WHERE kind = 'finished'"
    for count in (1, 3):  # one row and several take different ways through the trigger
        ops.add(count)
        ops.change("undo", ops.change("retry")["operation"])
        assert ops.ask(events) == 0
        states = "SELECT sum(messages) FROM outbound_state WHERE status = 'FAILED'"
        assert ops.ask(states) == ops.ask("SELECT count(*) FROM outbound_message")
    ops.execute("UPDATE outbound_message SET status = 'QUEUED'")
    ops.execute("UPDATE outbound_message SET status = 'FAILED'")
    assert ops.ask(events) == 4


def test_what_was_done_stands_in_the_audit(ops: Operator) -> None:
    ops.add(2)
    number = ops.change("retry", "--ticket", "INC-7", "--limit", "5")["operation"]
    ops.change("undo", number, "--operator", "bo")
    assert ops.execute(
        "SELECT command, parameters ->> 'limit', operator, ticket, state, planned, changed, undoes"
        " FROM outbound_operation ORDER BY id"
    ) == [
        ("retry", "5", "ana", "INC-7", "DONE", 2, 2, None),
        ("undo", None, "bo", None, "DONE", 4, 4, number),
    ]
    log = ops.run("log", "--json").json()
    check_printed("log", log)
    assert [(each["command"], each["undoes"]) for each in log] == [
        ("undo", number),
        ("retry", None),
    ]


def test_rows_are_kept_for_seven_days(ops: Operator) -> None:
    ops.add(1)
    number = ops.change("retry")["operation"]
    ops.execute("UPDATE outbound_operation SET started_at = now() - interval '8 days'")
    ops.add(1)
    ops.change("retry")
    refused = ops.run("undo", number, "--yes")
    assert refused.code == 2
    assert "began more than 7 days ago" in refused.err
    assert ops.run("undo", 99, "--yes").err.startswith("There is no operation 99")


def test_a_frozen_session_is_waited_for_and_then_named(
    ops: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.change.LOCK_MS", 100)
    [number] = ops.add(1)
    with psycopg.connect(ops.database) as other:
        other.execute("SELECT FROM outbound_message WHERE id = %s FOR UPDATE", (number,))
        refused = ops.run("retry", "--yes")
    assert (refused.code, "Another session holds these rows" in refused.err) == (2, True)
    assert ops.statuses([number]) == ["FAILED"]
    assert ops.run("log", "--json").json()[0]["state"] == "failed"
