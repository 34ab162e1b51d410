"""The fallback beside a running sender: each recipient gets one message, this way or that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage
from tests.integration.ops_processes import read_changed, start_ops
from tests.integration.sending import NUMBER, ORG, Sending, wait_until
from tests.ops_parts import Operator

OUTAGE = {"kind": "error", "provider": "meta", "http_status": 500, "code": 131016}
FALLBACK = ("fallback", "--critical", "--waiting", "--yes", "--json", "--per-second", "0")
PATIENT = {
    "OUTBOUND_BREAKER_MINIMUM_CALLS": "100000",
    "OUTBOUND_BREAKER_WINDOW_CALLS": "100000",
}


@pytest.fixture
def sending(database: str, tmp_path: Path) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        found = Sending(supervisor, database)
        found.start_simulator()
        found.set_faults(OUTAGE)
        yield found


def _queue(sending: Sending, count: int, max_attempts: int) -> list[int]:
    recipients = [f"{NUMBER[:-3]}{place:03d}" for place in range(count)]
    sending.allow(*recipients)
    messages = [
        NewMessage(
            ORG,
            Channel.WHATSAPP,
            each,
            template_code="urgent_notification",
            subject="Water is off",
            max_attempts=max_attempts,
        )
        for each in recipients
    ]
    return sending.queue(*messages)


def _count(sending: Sending, condition: str) -> int:
    [(count,)] = sending.execute(f"SELECT count(*) FROM outbound_message WHERE {condition}")
    assert isinstance(count, int)
    return count


def test_the_sms_arrives_once_and_the_late_retry_is_refused(sending: Sending) -> None:
    ops = Operator(sending.database)
    sending.start_sender(**PATIENT, OUTBOUND_RETRY_BACKOFF_SECONDS="3600")
    failed, waiting = _queue(sending, 5, 1), _queue(sending, 5, 2)
    wait_until(lambda: _count(sending, "error_code = '131016' AND status <> 'SENDING'") == 10, "it")
    assert ops.change(*FALLBACK[:2])["changed"] == 5
    with start_ops(ops, *FALLBACK) as one, start_ops(ops, *FALLBACK) as two:
        done = [process.communicate(timeout=60) for process in (one, two)]
    assert {one.returncode, two.returncode} == {0}, done
    assert ops.run(*FALLBACK).json()["rows"] == 0
    wait_until(lambda: _count(sending, "channel = 'SMS' AND status = 'DELIVERED'") == 10, "SMS")
    sending.set_faults()
    for numbers in (failed, waiting):
        refused = ops.run("retry", *numbers, "--yes", "--json").json()
        assert (refused["rows"], len(refused["warnings"])) == (0, 1)
    ledger = sending.ledger()
    assert (ledger["accepted_by_provider"], ledger["duplicates"]) == ({"twilio": 10}, 0)


def test_while_messages_are_tried_again_each_recipient_gets_one(sending: Sending) -> None:
    ops = Operator(sending.database)
    sending.start_sender(**PATIENT, OUTBOUND_RETRY_BACKOFF_SECONDS="0.3")
    numbers = _queue(sending, 60, 100)
    wait_until(lambda: _count(sending, "error_code = '131016'") == 60, "first attempts")
    with (
        start_ops(ops, *FALLBACK, "--batch", "3") as one,
        start_ops(ops, *FALLBACK, "--batch", "3") as two,
    ):
        wait_until(lambda: read_changed(ops) > 0, "a batch")
        sending.set_faults()
        done = [process.communicate(timeout=60) for process in (one, two)]
    assert {one.returncode, two.returncode} == {0}, done
    wait_until(lambda: _count(sending, "status IN ('QUEUED', 'SENDING', 'SENT')") == 0, "all")
    by_sms = _count(sending, "channel = 'SMS' AND status = 'DELIVERED'")
    by_whatsapp = _count(sending, "channel = 'WHATSAPP' AND status = 'DELIVERED'")
    assert by_sms == _count(sending, "error_code = 'fell_back'") > 0
    assert by_sms + by_whatsapp == len(numbers)
    accepted = sending.ledger()
    assert (accepted["accepted"], accepted["duplicates"]) == (60, 0)
    assert accepted["accepted_by_provider"]["twilio"] == by_sms
