"""Rate limits at a real sender: those whose rate it is wait, at one attempt's cost; no others."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage
from tests.integration.sending import NUMBER, ORG, Sending, template_message, wait_until

OTHER = "+33612345679"


@pytest.fixture
def sending(database: str, tmp_path: Path) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        yield Sending(supervisor, database)


def _attempts(sending: Sending, outcome: str, code: str) -> int:
    [(count,)] = sending.execute(
        "SELECT count(*) FROM outbound_attempt WHERE outcome = %s AND error_code = %s",
        outcome,
        code,
    )
    return int(count)


def _is(sending: Sending, number: int, status: str) -> bool:
    return sending.statuses([number])[0][0] == status


def _sms(recipient: str) -> NewMessage:
    return NewMessage(ORG, Channel.SMS, recipient, payload={"text": "Hello"})


def test_an_accounts_limit_costs_one_attempt_and_the_followers_wait_at_no_cost(
    sending: Sending,
) -> None:
    sending.start_simulator()
    sending.set_faults(
        {
            "kind": "error",
            "provider": "twilio",
            "http_status": 429,
            "code": 20429,
            "retry_after_seconds": 3600,
        }
    )
    sending.start_sender()
    [first] = sending.queue(_sms(NUMBER))
    wait_until(lambda: _attempts(sending, "FAILED", "20429") == 1, "the limit")
    followers = sending.queue(*[_sms(f"+3361234{number:04d}") for number in range(20)])
    wait_until(lambda: _attempts(sending, "DEFERRED", "throttled") == 20, "the deferrals")
    rows = sending.execute(
        "SELECT status, attempt_count, due_at > now() + interval '59 minutes'"
        " FROM outbound_message WHERE id = ANY (%s)",
        followers,
    )
    assert set(rows) == {("QUEUED", 0, True)}
    assert _attempts(sending, "FAILED", "20429") == 1
    assert _is(sending, first, "QUEUED")


def test_the_pair_limit_holds_one_recipient_and_nobody_else(sending: Sending) -> None:
    sending.allow(NUMBER, OTHER)
    sending.execute("INSERT INTO whatsapp_rate_limit (org_id) VALUES (%s)", ORG)
    sending.start_simulator()
    sending.set_faults(
        {
            "kind": "error",
            "provider": "meta",
            "http_status": 400,
            "code": 131056,
            "recipient_prefix": NUMBER,
        }
    )
    sending.start_sender(OUTBOUND_RETRY_BACKOFF_SECONDS="3600", OUTBOUND_RETRY_JITTER="0")
    [held] = sending.queue(template_message())
    wait_until(lambda: _attempts(sending, "FAILED", "131056") >= 2, "the second refusal")
    [other] = sending.queue(template_message(OTHER))
    wait_until(lambda: _is(sending, other, "DELIVERED"), "the other recipient's message")
    assert sending.execute("SELECT throttle_until FROM whatsapp_rate_limit") == [(None,)]
    # The waits are Meta's 4^X seconds and not the back-off of an hour.
    [(waited,)] = sending.execute(
        "SELECT EXTRACT(EPOCH FROM next_retry_at - updated_at)::int FROM outbound_attempt"
        " WHERE outbound_message_id = %s AND attempt_no = 2",
        held,
    )
    assert waited == 4


def test_an_organisations_limit_throttles_it_in_the_database(sending: Sending) -> None:
    sending.allow(NUMBER, OTHER)
    sending.execute("INSERT INTO whatsapp_rate_limit (org_id) VALUES (%s)", ORG)
    sending.start_simulator()
    sending.set_faults({"kind": "error", "provider": "meta", "http_status": 429, "code": 80007})
    sending.start_sender()
    sending.queue(template_message())
    wait_until(
        lambda: (
            sending.execute(
                "SELECT throttle_until BETWEEN now() + interval '50 seconds'"
                " AND now() + interval '61 seconds' FROM whatsapp_rate_limit"
            )
            == [(True,)]
        ),
        "the throttle of a minute",
    )
    [follower] = sending.queue(template_message(OTHER))
    # Once the message behind it is sent, it has been passed over.
    [later] = sending.queue(_sms(OTHER))
    wait_until(lambda: _is(sending, later, "DELIVERED"), "the message on another channel")
    assert _attempts(sending, "FAILED", "80007") == 1
    assert _is(sending, follower, "QUEUED")


def test_a_limit_hit_again_and_again_never_uses_up_a_budget(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator()
    limit = {"kind": "error", "http_status": 429, "retry_after_seconds": 1}
    sending.set_faults(
        limit | {"provider": "twilio", "code": 20429, "for_requests": 4},
        limit | {"provider": "meta", "code": 131056, "for_requests": 3},
    )
    sending.start_sender(OUTBOUND_RETRY_JITTER="0")
    [whatsapp] = sending.queue(template_message(max_attempts=1))
    [sms] = sending.queue(replace(_sms(OTHER), max_attempts=2))
    wait_until(lambda: _is(sending, whatsapp, "DELIVERED"), "the message of one attempt")
    wait_until(lambda: _is(sending, sms, "DELIVERED"), "the message of two attempts")
    # Each refusal stays with its attempt; of the budget they took one at most.
    assert (_attempts(sending, "FAILED", "131056"), _attempts(sending, "FAILED", "20429")) == (3, 4)
    used = dict(sending.execute("SELECT id, attempt_count FROM outbound_message"))
    assert used == {whatsapp: 1, sms: 2}
