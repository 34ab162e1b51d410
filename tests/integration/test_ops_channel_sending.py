"""Paused channels beside senders whose poll interval is ten minutes: only a call wakes them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.statuses import Channel, Priority
from sender.enqueue import NewMessage
from tests.integration.ops_processes import start_ops
from tests.integration.sending import NUMBER, ORG, Sending, template_message, wait_until
from tests.ops_parts import Operator

OTHER = "+33612345679"
SLEEPY = {"OUTBOUND_WORKER_POLL_INTERVAL_MS": "600000"}


@pytest.fixture
def sending(database: str, tmp_path: Path) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        found = Sending(supervisor, database)
        found.allow(NUMBER, OTHER)
        yield found


def _text(number: str, priority: Priority = Priority.NORMAL) -> NewMessage:
    return NewMessage(ORG, Channel.SMS, number, subject="Hello", priority=priority)


def _urgent() -> NewMessage:
    return NewMessage(ORG, Channel.WHATSAPP, OTHER, template_code="code", priority=Priority.URGENT)


def _attempts(sending: Sending, numbers: list[int]) -> int:
    [(count,)] = sending.execute(
        "SELECT count(*) FROM outbound_attempt WHERE outbound_message_id = ANY (%s)", numbers
    )
    assert isinstance(count, int)
    return count


def _deliver(sending: Sending, numbers: list[int]) -> None:
    wait_until(
        lambda: {status for status, _ in sending.statuses(numbers)} == {"DELIVERED"}, "deliveries"
    )


def test_nothing_of_a_paused_channel_is_claimed_and_its_end_calls_the_senders(
    sending: Sending,
) -> None:
    ops = Operator(sending.database)
    sending.start_simulator("--latency-ms", "2000")
    sending.start_sender(**SLEEPY)
    flying = sending.queue(template_message())
    wait_until(lambda: sending.statuses(flying) == [("SENDING", None)], "the claim")
    follower = sending.queue(template_message())
    wait_until(
        lambda: (
            sending.execute("SELECT turn FROM outbound_message WHERE id = %s", follower[0])
            == [("PARKED",)]
        ),
        "the follower to be parked",
    )
    paused = ops.run("channel", "pause", "whatsapp", "--yes")
    assert paused.code == 0, paused
    assert "1 in flight: waiting for them" in paused.err
    assert paused.err.endswith("Nothing is in flight.\n")
    assert sending.statuses(flying)[0][0] in {"SENT", "DELIVERED"}
    # What it frees is woken, and waits all the same; so do urgent messages that come now.
    assert sending.execute("SELECT turn FROM outbound_message WHERE id = %s", follower[0]) == [
        ("WOKEN",)
    ]
    held = follower + sending.queue(_urgent(), template_message(OTHER))
    sending.execute(
        "UPDATE outbound_message SET created_at = now() - interval '3 hours',"
        " due_at = now() - interval '3 hours', due_since = now() - interval '3 hours'"
        " WHERE id = ANY (%s)",
        held,
    )
    # Other channels go on: the sender has claimed since, several times.
    for number in (NUMBER, OTHER):
        _deliver(sending, sending.queue(_text(number, Priority.URGENT)))
    assert _attempts(sending, held) == 0
    assert sending.execute("SELECT count(*) FROM outbound_message_waiting") == [(0,)]
    resumed = ops.run("channel", "resume", "whatsapp", "--yes")
    assert "Due: 3 messages, " in resumed.err
    _deliver(sending, held)
    # Their latency starts at the resume.
    late = sending.execute(
        "SELECT count(*) FROM outbound_message AS m, outbound_switch AS s"
        " WHERE s.channel = 'WHATSAPP' AND m.id = ANY (%s) AND m.due_since < s.resumed_at",
        held,
    )
    assert late == [(0,)]
    assert sending.ledger()["duplicates"] == 0


def test_a_stop_holds_all_channels_and_an_undo_lets_them_go(sending: Sending) -> None:
    ops = Operator(sending.database)
    sending.start_simulator()
    number = ops.change("stop")["operation"]
    sending.start_sender(**SLEEPY)
    held = sending.queue(template_message(), _text(NUMBER), _urgent())
    # A sender that has looked for work goes to sleep.
    wait_until(
        lambda: sending.execute("SELECT count(*) FROM outbound_idle_sender") == [(1,)], "its sleep"
    )
    assert _attempts(sending, held) == 0
    ops.change("undo", number)
    _deliver(sending, held)


def test_a_pause_ends_by_itself(sending: Sending) -> None:
    ops = Operator(sending.database)
    sending.start_simulator()
    sending.start_sender(**SLEEPY)
    ops.change("channel", "pause", "whatsapp", "--for", "3s")
    held = sending.queue(template_message())
    _deliver(sending, held)
    early = sending.execute(
        "SELECT count(*) FROM outbound_attempt AS a, outbound_switch AS s"
        " WHERE s.channel = 'WHATSAPP' AND a.started_at < s.until"
    )
    assert early == [(0,)]


def test_an_organisations_pause_holds_its_messages_and_no_others(sending: Sending) -> None:
    ops = Operator(sending.database)
    sending.execute(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id) VALUES (%s, '10001')", ORG
    )
    sending.execute(
        "INSERT INTO consentement (org_id, recipient, channel, status)"
        " VALUES ('other', %s, 'WHATSAPP', 'GRANTED')",
        NUMBER,
    )
    ops.change("channel", "pause", "whatsapp", "--org", ORG)
    sending.start_simulator()
    sending.start_sender(**SLEEPY)
    held = sending.queue(template_message())
    _deliver(
        sending,
        sending.queue(
            NewMessage("other", Channel.WHATSAPP, NUMBER, template_code="appointment_reminder")
        ),
    )
    assert _attempts(sending, held) == 0
    assert "Due: 1 message, " in ops.run("channel", "resume", "whatsapp", "--org", ORG, "--yes").err
    _deliver(sending, held)


def test_a_resume_right_after_a_look_is_not_missed(sending: Sending) -> None:
    """A sender that has just looked does not look again for a quarter of a second."""
    ops = Operator(sending.database)
    sending.start_simulator()
    sending.start_sender(**SLEEPY)
    for _ in range(5):
        ops.change("channel", "pause", "whatsapp", "--no-wait")
        # Queuing wakes the sender: it looks, finds the lane held, and hears the resume just then.
        held = sending.queue(template_message())
        ops.change("channel", "resume", "whatsapp")
        _deliver(sending, held)


def test_a_killed_pause_stands_whole_or_not_at_all(sending: Sending) -> None:
    ops = Operator(sending.database)
    sending.start_simulator("--latency-ms", "5000")
    sending.start_sender(**SLEEPY)
    flying = sending.queue(template_message())
    wait_until(lambda: sending.statuses(flying) == [("SENDING", None)], "the claim")
    with start_ops(ops, "channel", "pause", "whatsapp", "--yes") as process:
        assert process.stdout is not None
        wait_until(lambda: "WHATSAPP" in _pauses(sending), "the pause")
        process.kill()
        process.wait()
    assert ops.run("log", "--json").json()[0]["changed"] == 1
    number = ops.run("log", "--json").json()[0]["operation"]
    ops.change("undo", number)
    assert _pauses(sending) == set()


def _pauses(sending: Sending) -> set[object]:
    return {name for (name,) in sending.execute("SELECT channel FROM outbound_pause WHERE paused")}
