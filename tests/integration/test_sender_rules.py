"""The checks before a send, by a real sender on a real database: rows, spans and counters."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.metrics import DEFERRALS, REFUSALS
from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.statuses import Channel, Priority
from sender.enqueue import NewMessage
from tests.integration.sending import NUMBER, ORG, Sending, template_message, wait_until
from tests.patience import wait_for
from tests.tracing_parts import open_store
from tracing.jaeger import JaegerClient
from tracing.traces import Trace

NIGHT = (
    "INSERT INTO contact_preferences (wa_id, timezone, quiet_hours_start, quiet_hours_end)"
    " SELECT %s, 'Asia/Tokyo', local - interval '1 hour', local + interval '2 hours'"
    " FROM (SELECT (now() AT TIME ZONE 'Asia/Tokyo')::time) AS clock (local)"
)
"""Quiet hours that hold now and for two hours more, whenever the test runs."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    with open_store(tmp_path / "traces.db") as url:
        yield url


@pytest.fixture
def sending(database: str, tmp_path: Path, store: str) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        sending.allow(NUMBER)
        sending.start_simulator()
        sending.start_sender(OTEL_EXPORTER_OTLP_ENDPOINT=store)
        yield sending


def _insert(sending: Sending, channel: Channel, recipient: str, **values: object) -> int:
    """Put a message on the queue as SQL does, past the checks of enqueueing."""
    columns = {"org_id": ORG, "channel": channel.value, "to_recipient": recipient, **values}
    places = ", ".join(["%s"] * len(columns))
    [(number,)] = sending.execute(
        f"INSERT INTO outbound_message ({', '.join(columns)}) VALUES ({places}) RETURNING id",
        *columns.values(),
    )
    return int(number)


def _row(sending: Sending, number: int, columns: str) -> tuple[Any, ...]:
    [row] = sending.execute(f"SELECT {columns} FROM outbound_message WHERE id = %s", number)
    return row


def _sent(sending: Sending, number: int) -> bool:
    return bool(_row(sending, number, "sent_at IS NOT NULL")[0])


def _attempts(sending: Sending, number: int) -> list[tuple[str, str | None]]:
    rows = sending.execute(
        "SELECT outcome, error_code FROM outbound_attempt WHERE outbound_message_id = %s"
        " ORDER BY attempt_no",
        number,
    )
    return [(outcome, code) for outcome, code in rows]


def _trace(store: str, number: int) -> Trace:
    client = JaegerClient(store)
    [trace] = wait_for(
        lambda: [one for one in client.traces_of_message(number) if one.root.parent_id is None],
        f"the trace of message {number}",
    )
    return trace


def _refused_messages(sending: Sending) -> dict[HouseCode, int]:
    """Queue one message for each refusal, to recipients of their own."""
    template: dict[str, object] = {"template_code": "appointment_reminder"}
    recipients = [f"+3361234567{n}" for n in range(4)]
    unknown, left, other, free = recipients
    sending.allow(left, other, free)
    sending.execute("SELECT mark_opted_out(%s, 'user_request')", left)
    return {
        HouseCode.RECIPIENT_INVALID: _insert(sending, Channel.WHATSAPP, "0612345678", **template),
        HouseCode.OPTED_OUT: _insert(sending, Channel.WHATSAPP, left, **template),
        HouseCode.CONSENT_MISSING: _insert(sending, Channel.WHATSAPP, unknown, **template),
        HouseCode.CONTENT_INVALID: _insert(
            sending, Channel.WHATSAPP, other, **template, payload_json='{"parameters": [null]}'
        ),
        HouseCode.SESSION_EXPIRED: _insert(
            sending, Channel.WHATSAPP, free, payload_json='{"text": "Hello"}'
        ),
    }


def test_each_refusal_has_its_own_code_pattern_of_spans_and_counter(
    sending: Sending, store: str
) -> None:
    messages = _refused_messages(sending)
    numbers = list(messages.values())
    wait_until(
        lambda: {status for status, _ in sending.statuses(numbers)} == {"FAILED"}, "the refusals"
    )
    for code, number in messages.items():
        columns = "error_code, attempt_count = max_attempts, sent_at"
        assert _row(sending, number, columns) == (code.value, True, None)
        assert _attempts(sending, number) == [("REFUSED", code.value)]
        series = f'{REFUSALS.name}{{channel="whatsapp",error_code="{code.value}"}}'
        assert sending.metric(series) == 1

        trace = _trace(store, number)
        spans = {span.name: span for span in trace.spans}
        send = spans[SpanName.WHATSAPP_SEND]
        assert send.failed
        assert send.tags["error"] == send.tags["error.code"] == code.value
        assert send.tags["status"] == trace.root.tags["status"] == "FAILED"
        # Fast, and never near the provider.
        assert SpanName.HTTP_CLIENT_REQUEST not in spans
    assert sending.ledger()["accepted"] == 0


def test_other_channels_have_the_same_checks(sending: Sending) -> None:
    sms = _insert(sending, Channel.SMS, NUMBER, payload_json='{"text": ["Hello"]}')
    mail = _insert(sending, Channel.EMAIL, "ann", subject="Hello")
    wait_until(
        lambda: (
            sending.statuses([sms, mail])
            == [("FAILED", "content_invalid"), ("FAILED", "recipient_invalid")]
        ),
        "both refusals",
    )
    for channel, code in (("sms", "content_invalid"), ("email", "recipient_invalid")):
        series = f'{REFUSALS.name}{{channel="{channel}",error_code="{code}"}}'
        assert sending.metric(series) == 1


def test_a_message_that_has_expired_is_not_sent_any_more(sending: Sending) -> None:
    number = _insert(
        sending,
        Channel.WHATSAPP,
        NUMBER,
        template_code="appointment_reminder",
        expires_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    wait_until(lambda: sending.statuses([number]) == [("FAILED", "message_expired")], "the end")
    assert _row(sending, number, "attempt_count = max_attempts, sent_at") == (True, None)
    assert sending.ledger()["accepted"] == 0


def test_an_opt_out_ends_what_is_queued_and_what_comes_later(sending: Sending) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    sms = NewMessage(ORG, Channel.SMS, NUMBER, payload={"text": "Hi"}, scheduled_at=later)
    queued = sending.queue(replace(template_message(), scheduled_at=later), sms)
    assert sending.execute("SELECT mark_opted_out(%s, 'user_request')", NUMBER) == [(2,)]
    assert sending.statuses(queued) == [("FAILED", "opted_out")] * 2
    # Consent is on record, and the opt-out wins (D35).
    [refused] = sending.queue(template_message())
    wait_until(lambda: sending.statuses([refused]) == [("FAILED", "opted_out")], "the refusal")
    assert sending.ledger()["accepted"] == 0


def test_quiet_hours_put_a_message_off_without_failing_it_or_costing_an_attempt(
    sending: Sending, store: str
) -> None:
    sending.execute(NIGHT, NUMBER)
    [number] = sending.queue(template_message())
    wait_until(lambda: _attempts(sending, number) == [("DEFERRED", "quiet_hours")], "the deferral")
    columns = (
        "status, attempt_count, error_code, due_at > now() + interval '115 minutes',"
        " due_at < now() + interval '2 hours', due_since = due_at"
    )
    wanted = ("QUEUED", 0, "quiet_hours", True, True, True)
    wait_until(lambda: _row(sending, number, columns) == wanted, "the settlement")
    series = f'{DEFERRALS.name}{{channel="whatsapp",error_code="quiet_hours"}}'
    assert sending.metric(series) == 1
    trace = _trace(store, number)
    send = next(span for span in trace.spans if span.name == SpanName.WHATSAPP_SEND)
    assert not send.failed
    assert send.tags["error.code"] == "quiet_hours"
    assert send.tags["retry.scheduled"] is True
    assert send.tags["status"] == "QUEUED"

    sending.execute("UPDATE contact_preferences SET quiet_hours_end = NULL")
    wait_until(lambda: _sent(sending, number), "the send after quiet hours were given up")
    assert _row(sending, number, "attempt_count, error_code") == (1, None)


def test_urgent_messages_and_those_that_may_disturb_come_at_night(sending: Sending) -> None:
    sending.execute(NIGHT, NUMBER)
    urgent, disturbing, plain = sending.queue(
        replace(template_message(), priority=Priority.URGENT),
        replace(template_message(), quiet_hours_override=True),
        template_message(),
    )
    wait_until(lambda: _sent(sending, urgent), "the urgent message")
    wait_until(lambda: _sent(sending, disturbing), "the message with an override")
    wait_until(lambda: sending.statuses([plain]) == [("QUEUED", "quiet_hours")], "the deferral")
    # Somebody decides that it can't wait.
    sending.execute("UPDATE outbound_message SET quiet_hours_override = true WHERE id = %s", plain)
    wait_until(lambda: _sent(sending, plain), "the message that was let go")


def test_the_settings_give_quiet_hours_to_numbers_without_preferences(
    database: str, tmp_path: Path
) -> None:
    # Nothing but the number tells the zone.
    local = datetime.now(ZoneInfo("Europe/Paris"))
    window = f"{local - timedelta(hours=1):%H:%M}-{local + timedelta(hours=2):%H:%M}"
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        sending.allow(NUMBER)
        sending.start_simulator()
        sending.start_sender(OUTBOUND_QUIET_HOURS_DEFAULT=window)
        mail = NewMessage(ORG, Channel.EMAIL, "ann@example.org", subject="Hello")
        number, written = sending.queue(template_message(), mail)
        wait_until(lambda: _sent(sending, written), "the e-mail")
        wait_until(
            lambda: sending.statuses([number]) == [("QUEUED", "quiet_hours")], "the deferral"
        )


def test_messages_of_an_organisation_that_is_switched_off_wait_until_it_is_back(
    sending: Sending,
) -> None:
    sending.execute(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id, enabled)"
        " VALUES (%s, '10001', false)",
        ORG,
    )
    sending.execute(
        "INSERT INTO consentement (org_id, recipient, channel, status)"
        " VALUES ('other', %s, 'WHATSAPP', 'GRANTED')",
        NUMBER,
    )
    held, free = sending.queue(template_message(), replace(template_message(), org_id="other"))
    wait_until(lambda: _sent(sending, free), "another organisation's message")
    assert _row(sending, held, "status, attempt_count") == ("QUEUED", 0)
    sending.execute("UPDATE whatsapp_provider_config SET enabled = true")
    wait_until(lambda: _sent(sending, held), "the message that waited")
