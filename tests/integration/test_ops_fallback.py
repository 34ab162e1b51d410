"""SMS instead of WhatsApp: one for each message, whoever asks how often, and never both."""

from collections.abc import Sequence
from typing import Any

import pytest

from sender.fallback import judge_candidates
from tests.integration.ops_processes import kill_midway
from tests.ops_parts import Operator
from tests.ops_schemas import check_printed

FELL_BACK = ("FAILED", "fell_back")


@pytest.fixture
def ops(database: str) -> Operator:
    return Operator(database)


def _sms(ops: Operator) -> list[tuple[Any, ...]]:
    return ops.execute(
        "SELECT w.id, s.subject, s.status FROM outbound_message AS s"
        " LEFT JOIN outbound_message AS w ON s.idempotency_key = w.idempotency_key"
        " || '-sms-fallback' WHERE s.channel = 'SMS' ORDER BY w.id"
    )


def _fates(ops: Operator, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
    return ops.execute(
        "SELECT status, error_code FROM outbound_message WHERE id = ANY (%s) ORDER BY id",
        list(numbers),
    )


def _wait(ops: Operator, count: int, code: str = "131016") -> list[int]:
    """Add messages that wait for their second attempt."""
    numbers = ops.add(count, status="QUEUED", attempts=1, code=code)
    ops.execute(
        "UPDATE outbound_attempt SET next_retry_at = now() + interval '15 minutes'"
        " WHERE outbound_message_id = ANY (%s)",
        numbers,
    )
    return numbers


def test_failed_messages_of_a_named_template_get_an_sms(ops: Operator) -> None:
    chosen = [*ops.add(2), *ops.add(1, attempts=1, code="0")]
    for options in (
        {"template": "newsletter"},
        {"code": "131026"},
        {"age": "3 hours"},
        {"status": "SENT", "code": None},
        {"channel": "EMAIL"},
        {"status": "QUEUED", "attempts": 1},
    ):
        ops.add(1, **options)
    before = ops.picture(chosen)
    assert ops.run("fallback", "--yes").err == (
        "No template is named. Name one with --template CODE, or add --critical\n"
    )
    dry = ops.run("fallback", "--critical", "--dry-run", "--json").json()
    check_printed("survey", dry)
    assert sorted(dry["keys"]) == chosen
    assert _sms(ops) == []
    done = ops.change("fallback", "--critical")
    check_printed("outcome", done)
    assert (done["changed"], done["skipped"]) == (3, {})
    text = "[WhatsApp Fallback] Your appointment"
    assert _sms(ops) == [(number, text, "QUEUED") for number in chosen]
    assert ops.picture(chosen) == before
    assert ops.ask("SELECT count(DISTINCT created_by) FROM outbound_message") == 1
    again = ops.run("fallback", "--critical", "--yes", "--json").json()
    assert (again["rows"], again["warnings"]) == (0, [])
    assert ops.change("fallback", "--template", "newsletter")["changed"] == 1


def test_what_waits_ends_with_its_budget_open(ops: Operator) -> None:
    waiting = _wait(ops, 2)
    _wait(ops, 1, code="131026")
    spent = ops.add(1, status="QUEUED", attempts=5)
    ops.add(1, status="QUEUED", attempts=0, code=None)
    ops.add(1, status="SENDING", attempts=1)
    assert ops.change("fallback", "--critical", "--waiting")["changed"] == 3
    assert _fates(ops, waiting + spent) == [FELL_BACK] * 3
    assert len(_sms(ops)) == 3
    dead = "SELECT count(*) FROM outbound_message WHERE attempt_count >= max_attempts"
    assert ops.ask(dead) == 0
    events = "SELECT error_code, sum(events) FROM outbound_event WHERE kind = 'finished' GROUP BY 1"
    assert ops.execute(events) == [("fell_back", 3)]


def test_the_sms_takes_over_what_matters(ops: Operator) -> None:
    [number] = ops.add(1)
    ops.execute(
        "UPDATE outbound_message SET priority = 0, expires_at = now() + interval '1 hour',"
        " quiet_hours_override = true, session_id = 's' WHERE id = %s",
        number,
    )
    ops.change("fallback", "--critical")
    taken = "to_recipient, org_id, priority, expires_at, quiet_hours_override, session_id"
    rows = ops.execute(f"SELECT {taken} FROM outbound_message ORDER BY id")
    assert len(rows) == 2
    assert rows[0] == rows[1]
    fresh = "SELECT attempt_count = 0 AND max_attempts = 5 AND due_at <= now() AND template_code"
    assert ops.ask(f"{fresh} IS NULL FROM outbound_message WHERE channel = 'SMS'")


def test_the_text_is_the_subject_or_the_payloads_or_the_operators(ops: Operator) -> None:
    subject, payload, none, odd, long = ops.add(5)
    for number, title, data in (
        (payload, None, '{"text": "Come in"}'),
        (none, " ", '["text"]'),
        (odd, None, '{"text": {"a": 1}}'),
        (long, "x" * 1590, None),
    ):
        ops.execute(
            "UPDATE outbound_message SET subject = %s, payload_json = %s WHERE id = %s",
            title,
            data,
            number,
        )
    dry = ops.run("fallback", "--critical", "--dry-run", "--json").json()
    assert dry["warnings"][1:] == [
        "2 are left alone: they have neither subject nor text; --text gives one",
        "1 are left alone: their text is longer than an SMS may be; --text gives another",
    ]
    ops.change("fallback", "--critical")
    assert [row[:2] for row in _sms(ops)] == [
        (subject, "[WhatsApp Fallback] Your appointment"),
        (payload, "[WhatsApp Fallback] Come in"),
    ]
    assert ops.change("fallback", "--critical", "--text", "Call us")["changed"] == 3
    assert [row[1] for row in _sms(ops)[2:]] == ["Call us"] * 3
    for text in (" ", "x" * 1601):
        assert ops.run("fallback", "--critical", "--text", text).code == 2
    assert {none, odd, long} == {row[0] for row in _sms(ops)[2:]}


def test_what_may_have_arrived_or_has_expired_is_left_alone(ops: Operator) -> None:
    [late] = ops.add(1)
    ops.execute("UPDATE outbound_message SET expires_at = now() WHERE id = %s", late)
    ops.add(1, attempts=1, outcome="UNKNOWN")
    dry = ops.run("fallback", "--critical", "--dry-run", "--json").json()
    assert dry["rows"] == 0
    assert dry["warnings"] == [
        "1 are left alone: the provider may have them, and a webhook may tell"
    ]


def test_a_limit_is_told_and_a_repeat_gets_past_it(ops: Operator) -> None:
    numbers = ops.add(3)
    [late] = ops.add(1)
    ops.execute("UPDATE outbound_message SET expires_at = now() WHERE id = %s", late)
    limited = ("fallback", "--critical", "--limit", "2")
    said = "the limit of 2 is reached: run the command again for the rest"
    assert said in ops.run(*limited, "--dry-run", "--json").json()["warnings"]
    assert ops.change(*limited)["changed"] == 2
    assert said not in ops.run(*limited, "--dry-run", "--json").json()["warnings"]
    assert ops.change(*limited)["changed"] == 1
    assert [row[0] for row in _sms(ops)] == numbers


def test_an_sms_that_somebody_queues_at_the_same_moment_is_the_only_one(
    ops: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = _wait(ops, 2)

    def judge_and_meanwhile(*arguments: Any, lock: bool = False) -> Any:  # noqa: ANN401 - passed on
        judged = judge_candidates(*arguments, lock=lock)
        if not lock:
            ops.execute(
                "INSERT INTO outbound_message (org_id, channel, to_recipient, subject,"
                " idempotency_key) SELECT org_id, 'SMS', to_recipient, 'theirs', idempotency_key"
                " || '-sms-fallback' FROM outbound_message WHERE id = %s",
                theirs,
            )
        return judged

    monkeypatch.setattr("sender.fallback.judge_candidates", judge_and_meanwhile)
    done = ops.change("fallback", "--critical", "--waiting")
    assert (done["changed"], done["skipped"]) == (1, {"fell_back": 1})
    assert [row[:2] for row in _sms(ops)] == [
        (theirs, "theirs"),
        (ours, "[WhatsApp Fallback] Your appointment"),
    ]
    assert _fates(ops, [theirs, ours]) == [("QUEUED", "131016"), FELL_BACK]


def test_a_message_that_moves_meanwhile_gets_no_sms(
    ops: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, gone, left = [*_wait(ops, 2), *ops.add(1)]

    def choose(*_arguments: object) -> list[int]:
        return [sent, gone, left]

    monkeypatch.setattr("operations.fallback.choose_candidates", choose)
    judge = "operations.fallback.judge_candidates"

    def judge_and_meanwhile(*arguments: Any) -> Any:  # noqa: ANN401 - passed on
        judged = judge_candidates(*arguments)
        ops.execute("UPDATE outbound_message SET status = 'SENDING' WHERE id = %s", sent)
        ops.execute("DELETE FROM outbound_message WHERE id = %s", gone)
        return judged

    monkeypatch.setattr(judge, judge_and_meanwhile)
    done = ops.change("fallback", "--critical", "--waiting")
    assert (done["changed"], done["skipped"]) == (1, {"moved_on": 2})
    assert [row[0] for row in _sms(ops)] == [left]


def test_what_fell_back_is_not_retried(ops: Operator) -> None:
    ops.add(1)
    waiting = _wait(ops, 1)
    ops.change("fallback", "--critical", "--waiting")
    for options in ([], ["--mode", "dlq", "--age-hours", "0"], ["--codes", "fell_back"]):
        dry = ops.run("retry", *options, "--dry-run", "--json").json()
        assert (dry["rows"], dry["warnings"]) == (0, [])
    named = ops.run("retry", waiting[0], "--dry-run", "--json").json()
    assert named["rows"] == 0
    assert named["warnings"][0].startswith("1 are left alone: they went out as SMS instead")


@pytest.mark.parametrize("mode", [("outage",), ("dlq", "--age-hours", "0")])
def test_what_is_never_retried_does_not_fill_a_retrys_limit(
    ops: Operator, mode: tuple[str, ...]
) -> None:
    fell, late = ops.add(1, age="1 hour"), ops.add(1, age="1 hour")
    ops.change("fallback", "--critical")
    [sms] = [row[0] for row in _sms(ops) if row[0] == late[0]]
    ops.execute(
        "DELETE FROM outbound_message WHERE channel = 'SMS' AND idempotency_key ="
        " (SELECT idempotency_key || '-sms-fallback' FROM outbound_message WHERE id = %s)",
        sms,
    )
    ops.execute("UPDATE outbound_message SET expires_at = now() WHERE id = %s", late[0])
    newest = mode[0] == "outage"
    free = ops.add(1, age="2 hours" if newest else "1 minute")
    retry = ("retry", "--mode", *mode, "--dry-run", "--json")
    assert ops.run(*retry, "--limit", "1").json()["keys"] == free
    forced = ops.run(*retry, "--force").json()["keys"]
    assert sorted(forced) == sorted(fell + late + free)


def test_a_paused_sms_channel_is_told(ops: Operator) -> None:
    ops.add(1)
    ops.change("channel", "pause", "sms")
    dry = ops.run("fallback", "--critical", "--dry-run", "--json").json()
    assert dry["warnings"][-1] == "sms is paused: they wait until it is resumed"


def test_an_undo_takes_the_sms_back_and_whatsapp_goes_on(ops: Operator) -> None:
    numbers = [*ops.add(2), *_wait(ops, 2)]
    before = ops.picture(numbers)
    done = ops.change("fallback", "--critical", "--waiting")
    after = ops.picture(numbers)
    undone = ops.change("undo", done["operation"])
    assert undone["skipped"] == {}
    assert _sms(ops) == []
    assert ops.picture(numbers) == before
    redone = ops.change("undo", undone["operation"])
    assert redone["skipped"] == {}
    assert len(_sms(ops)) == 4
    assert ops.picture(numbers) == after
    ops.change("undo", redone["operation"])
    assert _sms(ops) == []
    assert ops.picture(numbers) == before


def test_whatsapp_stays_ended_where_a_sender_has_taken_the_sms(ops: Operator) -> None:
    taken, free = _wait(ops, 2)
    number = ops.change("fallback", "--critical", "--waiting")["operation"]
    # As a claim does it, and a deferral after that.
    ops.execute(
        "UPDATE outbound_message SET attempt_seq = 1, updated_at = now() WHERE idempotency_key ="
        " (SELECT idempotency_key || '-sms-fallback' FROM outbound_message WHERE id = %s)",
        taken,
    )
    undone = ops.change("undo", number)
    assert undone["skipped"] == {"changed_since": 1, "sent_another_way": 1}
    assert _fates(ops, [taken, free]) == [FELL_BACK, ("QUEUED", "131016")]
    assert [row[0] for row in _sms(ops)] == [taken]


def test_an_sms_does_not_come_back_once_whatsapp_is_on_its_way_again(ops: Operator) -> None:
    [taken, free] = _wait(ops, 2)
    [failed] = ops.add(1)
    number = ops.change("fallback", "--critical", "--waiting")["operation"]
    undone = ops.change("undo", number)["operation"]
    ops.execute("UPDATE outbound_message SET status = 'SENDING' WHERE id = %s", taken)
    ops.change("retry", failed)
    redone = ops.change("undo", undone)
    assert redone["skipped"] == {"changed_since": 1, "sent_another_way": 2}
    assert [row[0] for row in _sms(ops)] == [free]
    assert _fates(ops, [taken, free]) == [("SENDING", "131016"), FELL_BACK]


def test_a_killed_fallback_has_done_whole_batches(ops: Operator) -> None:
    numbers = _wait(ops, 40)
    before = ops.picture(numbers)
    command = ["fallback", "--critical", "--waiting"]
    killed = kill_midway(ops, *command, "--per-second", "4", least=4)
    assert killed % 4 == 0
    assert 0 < killed < 40
    assert len(_sms(ops)) == killed
    assert _fates(ops, numbers).count(FELL_BACK) == killed
    rest = ops.change(*command)
    assert rest["changed"] == 40 - killed
    assert len(_sms(ops)) == 40
    for number in (rest["operation"], rest["operation"] - 1):
        ops.change("undo", number)
    assert _sms(ops) == []
    assert ops.picture(numbers) == before
