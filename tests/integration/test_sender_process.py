"""The sender as a real process, against the simulator and a real PostgreSQL."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from outbound_slo.embedded.processes import Supervisor, pick_port
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage
from tests.integration.sending import (
    NUMBER,
    ORG,
    Sending,
    template_message,
    wait_until,
)

OUTAGE = {"kind": "error", "provider": "meta", "http_status": 500, "code": 131016}


@pytest.fixture
def sending(database: str, tmp_path: Path) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        yield Sending(supervisor, database)


def _all_are(sending: Sending, numbers: list[int], status: str) -> bool:
    return {found for found, _ in sending.statuses(numbers)} == {status}


def test_every_channel_is_sent_and_receipts_come_back(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.start_sender()
    mail = NewMessage(
        ORG, Channel.EMAIL, "ann@example.org", subject="Hi", payload={"text": "Hello"}
    )
    text = NewMessage(ORG, Channel.SMS, NUMBER, payload={"text": "Hello"})
    whatsapp, sms, email = sending.queue(template_message(), text, mail)
    wait_until(lambda: _all_are(sending, [whatsapp, sms], "DELIVERED"), "receipts")
    wait_until(lambda: _all_are(sending, [email], "SENT"), "the e-mail's acceptance")
    [(attempt, traced)] = sending.execute(
        "SELECT outcome, traceparent IS NOT NULL FROM outbound_attempt"
        " WHERE outbound_message_id = %s",
        whatsapp,
    )
    assert (attempt, traced) == ("SENT", True)
    assert sending.ledger()["duplicates"] == 0


def test_an_outage_is_ridden_out_with_retries_and_nothing_is_lost_or_doubled(
    sending: Sending,
) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.set_faults(OUTAGE)
    sending.start_sender(OUTBOUND_WORKER_BATCH_SIZE="50")
    numbers = sending.queue(*[template_message(max_attempts=50) for _ in range(120)])
    series = 'resilience4j_circuitbreaker_state{name="whatsapp"}'
    wait_until(lambda: sending.metric(series) == 1.0, "the breaker to open")
    sending.set_faults()
    wait_until(lambda: _all_are(sending, numbers, "DELIVERED"), "the backlog to drain")
    wait_until(lambda: sending.metric(series) == 0.0, "the breaker to close")
    ledger = sending.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (120, 0)
    [(failed,)] = sending.execute("SELECT count(*) FROM outbound_attempt WHERE outcome = 'FAILED'")
    [(used,)] = sending.execute("SELECT sum(attempt_count) FROM outbound_message")
    assert failed >= 20
    # What the open breaker held back cost no attempt (D31).
    assert used == failed + 120


def test_the_budget_ends_in_failure_with_the_providers_code(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.set_faults(OUTAGE)
    sending.start_sender(
        OUTBOUND_BREAKER_MINIMUM_CALLS="1000", OUTBOUND_BREAKER_WINDOW_CALLS="1000"
    )
    [number] = sending.queue(template_message(max_attempts=3))
    wait_until(lambda: _all_are(sending, [number], "FAILED"), "the end of the budget")
    assert sending.statuses([number]) == [("FAILED", "131016")]
    rows = sending.execute(
        "SELECT attempt_no, outcome, http_status, error_code, next_retry_at IS NOT NULL"
        " FROM outbound_attempt ORDER BY attempt_no"
    )
    assert rows == [
        (1, "FAILED", 500, "131016", True),
        (2, "FAILED", 500, "131016", True),
        (3, "FAILED", 500, "131016", False),
    ]


def test_what_cannot_be_retried_goes_to_the_dead_letters_at_once(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.set_faults({"kind": "error", "provider": "meta", "http_status": 400, "code": 131021})
    sending.start_sender()
    [number] = sending.queue(template_message())
    wait_until(lambda: _all_are(sending, [number], "FAILED"), "the refusal")
    [(used, budget, attempts)] = sending.execute(
        "SELECT attempt_count, max_attempts, (SELECT count(*) FROM outbound_attempt)"
        " FROM outbound_message"
    )
    assert (used, budget, attempts) == (5, 5, 1)


def test_our_own_rules_refuse_before_anything_is_sent(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.start_sender()
    free = NewMessage(ORG, Channel.WHATSAPP, NUMBER, payload={"text": "Hello"})
    stranger = template_message("+33612345679")
    numbers = sending.queue(free, stranger)
    wait_until(lambda: _all_are(sending, numbers, "FAILED"), "the refusals")
    assert [code for _, code in sending.statuses(numbers)] == ["session_expired", "consent_missing"]
    assert sending.ledger()["accepted"] == 0


def test_an_inbound_message_opens_the_window_for_free_form(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.execute(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id) VALUES (%s, '10001')", ORG
    )
    sending.start_simulator()
    sending.start_sender()
    answer = requests.post(
        f"{sending.simulator_url}/_control/inbound",
        json={"from": NUMBER, "text": "Hello", "phone_number_id": "10001"},
        timeout=10,
    )
    assert answer.ok, answer.text
    wait_until(lambda: bool(sending.execute("SELECT 1 FROM whatsapp_session_window")), "the window")
    [number] = sending.queue(NewMessage(ORG, Channel.WHATSAPP, NUMBER, payload={"text": "Hi"}))
    wait_until(lambda: _all_are(sending, [number], "DELIVERED"), "the free-form message")


def test_a_used_up_quota_costs_no_attempt_and_a_reset_lets_go(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.execute(
        "INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit)"
        " VALUES (%s, 5, 5)",
        ORG,
    )
    sending.start_simulator()
    sending.start_sender()
    [number] = sending.queue(template_message())
    [other] = sending.queue(NewMessage(ORG, Channel.SMS, NUMBER, subject="Hello"))
    wait_until(lambda: _all_are(sending, [other], "DELIVERED"), "what needs no quota")
    assert sending.statuses([number]) == [("QUEUED", None)]
    assert sending.execute("SELECT count(*) FROM outbound_attempt") == [(1,)]
    # Runbook 001, issue 3: the reset alone has to be enough.
    sending.execute(
        "UPDATE whatsapp_rate_limit SET messages_sent_count = 0, throttle_until = NULL,"
        " reset_at = NOW() + INTERVAL '24 hours', updated_at = NOW()"
    )
    wait_until(lambda: _all_are(sending, [number], "DELIVERED"), "the message after the reset")


def test_a_rate_limit_answer_throttles_the_organisation(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.execute("INSERT INTO whatsapp_rate_limit (org_id) VALUES (%s)", ORG)
    sending.start_simulator()
    sending.set_faults(
        {
            "kind": "error",
            "provider": "meta",
            "http_status": 429,
            "code": 130,
            "retry_after_seconds": 3600,
        }
    )
    sending.start_sender()
    sending.queue(template_message())
    wait_until(
        lambda: (
            sending.execute("SELECT throttle_until > now() FROM whatsapp_rate_limit") == [(True,)]
        ),
        "the throttle",
    )
    [(waits,)] = sending.execute(
        "SELECT due_at > now() + interval '59 minutes' FROM outbound_message"
    )
    assert waits


def test_a_lost_answer_is_settled_by_the_webhook_and_sent_once(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.set_faults({"kind": "drop", "provider": "meta", "for_requests": 1})
    sending.start_sender()
    [number] = sending.queue(template_message())
    wait_until(lambda: _all_are(sending, [number], "DELIVERED"), "the webhook's word")
    ledger = sending.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (1, 0)


def test_a_killed_senders_message_is_sent_again_after_the_window_and_marked(
    sending: Sending,
) -> None:
    sending.allow(NUMBER)
    sending.start_simulator("--callback-url", "")
    sending.set_faults({"kind": "timeout", "provider": "meta", "timeout_seconds": 30})
    victim = sending.start_sender()
    [number] = sending.queue(template_message())
    wait_until(lambda: _all_are(sending, [number], "SENDING"), "the claim")
    os.kill(victim.pid, signal.SIGKILL)
    sending.supervisor.stop_child(victim)
    sending.set_faults()
    sending.start_sender(
        OUTBOUND_RECOVERY_WINDOW_SECONDS="1", OUTBOUND_REQUEST_TIMEOUT_SECONDS="0.5"
    )
    wait_until(lambda: _all_are(sending, [number], "SENT"), "the second attempt")
    rows = sending.execute(
        "SELECT attempt_no, outcome, possible_duplicate FROM outbound_attempt ORDER BY attempt_no"
    )
    assert rows == [(1, "UNKNOWN", True), (2, "SENT", False)]
    assert sending.metric('outbound_sender_recovered_total{result="requeued"}') == 1


def test_a_reset_by_hand_is_picked_up(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.set_faults({"kind": "error", "provider": "meta", "http_status": 400, "code": 133004})
    sending.start_sender()
    [number] = sending.queue(template_message())
    wait_until(lambda: _all_are(sending, [number], "FAILED"), "the template error")
    sending.set_faults()
    sending.execute(
        "UPDATE outbound_message SET status = 'QUEUED', attempt_count = 0, error_code = NULL,"
        " error_message = NULL, updated_at = NOW(), updated_by = 'ops-by-hand'"
    )
    wait_until(lambda: _all_are(sending, [number], "DELIVERED"), "the message after the reset")
    assert sending.execute("SELECT updated_by FROM outbound_message") == [("ops-by-hand",)]


def test_sigterm_settles_what_is_in_flight(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator("--callback-url", "")
    sending.set_faults({"kind": "latency", "provider": "meta", "latency_ms": 1500})
    sender = sending.start_sender(OUTBOUND_WORKER_BATCH_SIZE="20")
    sending.queue(*[template_message() for _ in range(20)])
    wait_until(lambda: bool(sending.ledger()["accepted"]) or _claimed(sending), "the claim")
    assert sending.supervisor.stop_child(sender) == 0
    left = sending.execute("SELECT count(*) FROM outbound_message WHERE status = 'SENDING'")
    assert left == [(0,)]
    [(sent,)] = sending.execute("SELECT count(*) FROM outbound_message WHERE status = 'SENT'")
    assert sent == sending.ledger()["accepted"] > 0


def _claimed(sending: Sending) -> bool:
    return bool(sending.execute("SELECT 1 FROM outbound_message WHERE status = 'SENDING'"))


def test_a_database_restart_is_survived_without_a_restart_of_ours(
    sending: Sending, database: str
) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.start_sender()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'outbound-slo sender'"
            "   AND datname = current_database()"
        )
    numbers = sending.queue(*[template_message() for _ in range(10)])
    wait_until(lambda: _all_are(sending, numbers, "DELIVERED"), "messages after the reconnect")


def test_a_server_that_only_reads_for_a_while_loses_no_settlement(sending: Sending) -> None:
    recipients = [f"+336000000{number:02}" for number in range(10)]
    sending.allow(*recipients)
    sending.start_simulator("--callback-url", "")
    sending.set_faults({"kind": "latency", "provider": "meta", "latency_ms": 2000})
    sending.start_sender()
    numbers = sending.queue(*[template_message(recipient) for recipient in recipients])
    wait_until(lambda: _all_are(sending, numbers, "SENDING"), "the claim")
    # As after a failover to a standby that is not promoted yet.
    name = sending.execute("SELECT current_database()")[0][0]
    with psycopg.connect(sending.database, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'outbound-slo sender' AND datname = current_database()"
        )
        wait_until(lambda: sending.ledger()["accepted"] == len(numbers), "the acceptances")
        # A webhook that can't be stored is to be repeated by the provider.
        body = {"object": "whatsapp_business_account", "entry": []}
        wait_until(lambda: sending.post_webhook(body).status_code == 503, "the refusal")
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'outbound-slo sender' AND datname = current_database()"
        )
    wait_until(lambda: _all_are(sending, numbers, "SENT"), "the settlements")
    assert sending.ledger()["duplicates"] == 0


def test_forged_webhooks_are_refused_and_counted(sending: Sending) -> None:
    sending.start_simulator()
    sending.start_sender()
    body = {"object": "whatsapp_business_account", "entry": []}
    assert sending.post_webhook(body, secret="wrong").status_code == 401
    assert sending.post_webhook({"object": "x"}).status_code == 400
    assert sending.post_webhook(body).status_code == 200
    assert sending.metric("whatsapp_webhook_signature_failures_total") == 1
    for result in ("accepted", "rejected", "malformed"):
        series = f'outbound_webhooks_total{{provider="whatsapp",result="{result}"}}'
        assert sending.metric(series) == 1
    assert sending.execute("SELECT count(*) FROM provider_webhook") == [(1,)]


def test_the_handshake_answers_the_challenge_to_the_right_token_only(sending: Sending) -> None:
    sending.start_simulator()
    sending.start_sender()
    url = f"{sending.sender_url}/webhooks/whatsapp"
    query = {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "42"}
    right = requests.get(url, params=query, timeout=10)
    wrong = requests.get(url, params=query | {"hub.verify_token": "no"}, timeout=10)
    assert (right.status_code, right.text) == (200, "42")
    assert wrong.status_code == 403


def test_health_follows_the_database(sending: Sending) -> None:
    sending.start_simulator()
    sending.start_sender()
    body = requests.get(f"{sending.sender_url}/actuator/health", timeout=10).json()
    assert body["status"] == "UP"
    assert body["components"]["db"]["status"] == "UP"


def test_two_senders_share_the_work_and_send_nothing_twice(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.start_sender()
    numbers = sending.queue(*[template_message() for _ in range(200)])
    sending.sender_url = f"http://127.0.0.1:{pick_port()}"
    sending.start_sender()
    wait_until(lambda: _all_are(sending, numbers, "DELIVERED"), "the work of both")
    ledger = sending.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (200, 0)


def test_a_secret_rotated_in_sql_works_at_once_and_the_old_one_goes_on(sending: Sending) -> None:
    sending.execute(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id, webhook_secret_encrypted)"
        " VALUES (%s, '10001', pgp_sym_encrypt('old-secret', 'the-key'))",
        ORG,
    )
    sending.start_simulator()
    sending.start_sender(OUTBOUND_SECRETS_KEY="the-key")
    body = {"object": "whatsapp_business_account", "entry": []}
    assert sending.post_webhook(body, secret="old-secret").status_code == 200
    sending.execute(
        "UPDATE whatsapp_provider_config"
        " SET webhook_secret_encrypted = pgp_sym_encrypt('new-secret', 'the-key')"
    )
    wait_until(
        lambda: sending.post_webhook(body, secret="new-secret").status_code == 200, "the rotation"
    )
    assert sending.post_webhook(body, secret="old-secret").status_code == 200
    assert sending.post_webhook(body, secret="neither").status_code == 401
