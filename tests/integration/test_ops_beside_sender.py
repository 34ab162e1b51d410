"""Quotas and secrets changed beside a running sender, which goes by them at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.statuses import Channel, Priority
from sender.enqueue import NewMessage
from tests.integration.sending import Sending, wait_until
from tests.ops_parts import Operator

KEY = "database-key"
OLD, OTHERS = "the-secret-before", "the-secret-of-somebody-else"


@pytest.fixture(scope="module")
def running(
    postgres_server: EmbeddedPostgres,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Sending]:
    """One simulator and one sender for the module; each test has an organisation of its own."""
    database = postgres_server.create_database("quota_sender", template=template_database)
    with Supervisor(tmp_path_factory.mktemp("sending")) as supervisor:
        sending = Sending(supervisor, database)
        sending.start_simulator()
        sending.start_sender(OUTBOUND_SECRETS_KEY=KEY)
        yield sending
    postgres_server.drop_database("quota_sender")


@pytest.fixture
def ops(running: Sending) -> Operator:
    return Operator(running.database)


def give_quota(running: Sending, org: str, used: int, limit: int) -> None:
    running.execute(
        "INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit)"
        " VALUES (%s, %s, %s)",
        org,
        used,
        limit,
    )


def queue(
    running: Sending,
    org: str,
    template: str = "newsletter",
    *,
    priority: Priority = Priority.NORMAL,
) -> int:
    number = f"+336{running.execute('SELECT count(*) FROM outbound_message')[0][0]:08}"
    running.execute(
        "INSERT INTO consentement (org_id, recipient, channel, status)"
        " VALUES (%s, %s, 'WHATSAPP', 'GRANTED')",
        org,
        number,
    )
    message = NewMessage(org, Channel.WHATSAPP, number, template_code=template, priority=priority)
    return running.queue(message)[0]


def went(running: Sending, number: int) -> bool:
    return running.statuses([number])[0][0] in {"SENT", "DELIVERED"}


def test_a_raised_quota_lets_go_and_its_undo_holds_again(running: Sending, ops: Operator) -> None:
    give_quota(running, "raised", 1, 1)
    waiting = queue(running, "raised")
    elsewhere = queue(running, "unlimited")
    wait_until(lambda: went(running, elsewhere), "a message without a quota")
    assert not went(running, waiting)
    ops.run("quota", "raise", "raised", 2, "--dry-run")
    done = ops.change("quota", "raise", "raised", 2)
    wait_until(lambda: went(running, waiting), "the message that waited for its quota")
    read = (
        "SELECT messages_sent_count, quota_limit FROM whatsapp_rate_limit WHERE org_id = 'raised'"
    )
    wait_until(lambda: ops.execute(read) == [(2, 2)], "its count")
    ops.change("undo", done["operation"])
    assert ops.execute(read) == [(2, 1)]
    held, after = queue(running, "raised"), queue(running, "unlimited")
    wait_until(lambda: went(running, after), "a message queued after it")
    assert not went(running, held)
    ops.change("quota", "reset", "raised")
    wait_until(lambda: went(running, held), "the message in the new window")


def test_a_lowered_quota_holds_what_goes_beyond_it(running: Sending, ops: Operator) -> None:
    give_quota(running, "lowered", 5, 10)
    done = ops.change("quota", "lower", "lowered", "--factor", "0.5")
    held, elsewhere = queue(running, "lowered"), queue(running, "unlimited")
    wait_until(lambda: went(running, elsewhere), "a message without a quota")
    assert not went(running, held)
    ops.change("undo", done["operation"])
    wait_until(lambda: went(running, held), "the message under the old quota")


def test_a_throttle_that_does_not_end_is_ended(running: Sending, ops: Operator) -> None:
    give_quota(running, "throttled", 5, 10)
    running.execute(
        "UPDATE whatsapp_rate_limit SET throttle_until = now() + interval '1 hour'"
        " WHERE org_id = 'throttled'"
    )
    held, elsewhere = queue(running, "throttled"), queue(running, "unlimited")
    wait_until(lambda: went(running, elsewhere), "a message without a throttle")
    assert not went(running, held)
    ops.change("quota", "reset", "throttled")
    wait_until(lambda: went(running, held), "the message that was throttled")


@pytest.mark.parametrize("way", ["end", "undo"])
def test_deferred_messages_wait_and_urgent_ones_do_not(
    running: Sending, ops: Operator, way: str
) -> None:
    org = f"deferred-{way}"
    running.execute("UPDATE outbound_switch SET paused = true WHERE channel = 'ALL'")
    news = queue(running, org)
    reminder = queue(running, org, "appointment_reminder")
    urgent = queue(running, org, priority=Priority.URGENT)
    done = ops.change("quota", "defer", "--org", org)
    assert done["changed"] == 1
    running.execute("UPDATE outbound_switch SET paused = false WHERE channel = 'ALL'")
    wait_until(lambda: went(running, reminder) and went(running, urgent), "what is spared")
    assert running.statuses([news]) == [("QUEUED", None)]
    arguments = ("quota", "defer", "--end") if way == "end" else ("undo", done["operation"])
    assert ops.change(*arguments)["changed"] == 1
    wait_until(lambda: went(running, news), "the deferred message")
    # The wait was planned, and no latency counts it.
    assert running.execute(
        "SELECT due_since > created_at AND due_since <= sent_at"
        " FROM outbound_message WHERE id = %s",
        news,
    ) == [(True,)]


def test_webhooks_with_the_new_and_the_old_secret_are_accepted(
    running: Sending, ops: Operator, tmp_path: Path
) -> None:
    running.execute(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id, webhook_secret_encrypted)"
        " VALUES ('rotated', '10002', pgp_sym_encrypt(%s, %s))",
        OLD,
        KEY,
    )

    def accepts(secret: str) -> bool:
        body = {"object": "whatsapp_business_account", "entry": []}
        return running.post_webhook(body, secret).status_code == 200

    wait_until(lambda: accepts(OLD), "the sender's knowledge of the secret")
    path = tmp_path / "new"
    arguments = ("rotate", "rotated", "--to-file", path)
    done = ops.change("secret", *arguments, OUTBOUND_SECRETS_KEY=KEY)
    new = path.read_text("utf-8").strip()
    wait_until(lambda: accepts(new), "the new secret")
    assert accepts(OLD)
    assert not accepts(OTHERS)
    ops.change("undo", done["operation"])
    assert (
        ops.ask(
            "SELECT outbound_decrypt(webhook_secret_encrypted, %s) FROM whatsapp_provider_config"
            " WHERE org_id = 'rotated'",
            KEY,
        )
        == OLD
    )
    # A sender that knows nothing of before goes by the row as it is now.
    [sender] = [each for each in running.supervisor.children if each.name == "sender-1"]
    running.supervisor.stop_child(sender)
    running.start_sender(OUTBOUND_SECRETS_KEY=KEY)
    assert accepts(OLD)
    assert accepts(new)
    assert not accepts(OTHERS)
