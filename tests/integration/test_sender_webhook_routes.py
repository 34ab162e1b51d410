"""Webhooks as the providers post them, through the routes, into the rows."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import psycopg
import pytest

from sender.signatures import sign_twilio
from tests.integration.webhook_stand import (
    PLATFORM_SECRET,
    TWILIO_TOKEN,
    TWILIO_URL,
    WebhookStand,
    add_message,
    add_organisation,
    run_stand,
)

NUMBER = "+33612345678"


def _meta(field: str, value: dict[str, Any], account: str = "waba-a", at: int = 0) -> object:
    entry = {"id": account, "time": at or int(time.time()), "changes": [{"field": field}]}
    entry["changes"][0]["value"] = value  # type: ignore[index]  # a list just made
    return {"object": "whatsapp_business_account", "entry": [entry]}


def _status(name: str, status: str, reference: str = "") -> dict[str, Any]:
    found = {"id": name, "status": status, "timestamp": str(int(time.time()) - 5)}
    return found | ({"biz_opaque_callback_data": reference} if reference else {})


def _statuses(*statuses: dict[str, Any], number_id: str = "1001") -> object:
    value = {"metadata": {"phone_number_id": number_id}, "statuses": list(statuses)}
    return _meta("messages", value)


def _inbound(number_id: str, name: str) -> object:
    message = {"id": name, "from": NUMBER[1:], "timestamp": str(int(time.time()))}
    value = {"metadata": {"phone_number_id": number_id}, "messages": [message]}
    return _meta("messages", value)


@pytest.fixture
def tenants(database: str) -> str:
    """Two organisations, each with a number, an account and a secret of its own."""
    add_organisation(database, "a", "1001", "secret-a")
    add_organisation(database, "b", "1002", "secret-b")
    return database


def test_a_tenants_secret_settles_its_own_messages_and_nobody_elses(tenants: str) -> None:
    mine = add_message(tenants, "a", provider_id="wamid.mine")
    theirs = add_message(tenants, "b", recipient="+33600000002", provider_id="wamid.theirs")
    lost = add_message(tenants, "b", recipient="+33600000003", status="SENDING")

    async def act(stand: WebhookStand) -> None:
        body = _statuses(
            _status("wamid.mine", "delivered"),
            _status("wamid.theirs", "delivered"),
            _status("wamid.guessed", "delivered", json.dumps({"m": lost, "a": 1})),
        )
        statement = "SELECT id, status FROM outbound_message ORDER BY id"
        assert await stand.post_meta(body, "secret-a") == 200
        await stand.apply()
        assert await stand.ask(statement) == [
            (mine, "DELIVERED"),
            (theirs, "SENT"),
            (lost, "SENDING"),
        ]
        assert stand.count('outbound_receipts_total{effect="unmatched",provider="whatsapp"}') == 2
        assert await stand.post_meta(body, PLATFORM_SECRET) == 200
        await stand.apply()
        assert {status for _, status in await stand.ask(statement)} == {"DELIVERED"}

    run_stand(tenants, act)


def test_a_tenants_secret_opens_windows_of_its_own_numbers_only(tenants: str) -> None:
    async def act(stand: WebhookStand) -> None:
        for number_id in ("1001", "1002", "9999"):
            body = _inbound(number_id, f"wamid.in.{number_id}")
            assert await stand.post_meta(body, "secret-a") == 200
        await stand.apply()
        assert await stand.ask("SELECT org_id FROM whatsapp_session_window") == [("a",)]
        assert await stand.ask("SELECT org_id FROM message") == [("a",)]
        assert await stand.post_meta(_inbound("1002", "wamid.in.again")) == 200
        await stand.apply()
        windows = await stand.ask("SELECT org_id FROM whatsapp_session_window ORDER BY 1")
        assert windows == [("a",), ("b",)]

    run_stand(tenants, act)


def test_a_secret_that_two_organisations_share_speaks_for_both(database: str) -> None:
    add_organisation(database, "a", "1001", "shared")
    add_organisation(database, "b", "1002", "shared")

    async def act(stand: WebhookStand) -> None:
        for number_id in ("1001", "1002"):
            body = _inbound(number_id, f"wamid.in.{number_id}")
            assert await stand.post_meta(body, "shared") == 200
        await stand.apply()
        windows = await stand.ask("SELECT org_id FROM whatsapp_session_window ORDER BY 1")
        assert windows == [("a",), ("b",)]

    run_stand(database, act)


def test_a_rotated_secret_and_the_one_before_are_accepted_at_once(tenants: str) -> None:
    async def act(stand: WebhookStand) -> None:
        assert await stand.post_meta(_statuses(), "secret-a") == 200
        assert await stand.post_meta(_statuses(), "secret-new") == 401
        with psycopg.connect(tenants) as connection:
            connection.execute(
                "UPDATE whatsapp_provider_config SET"
                " webhook_secret_encrypted = pgp_sym_encrypt('secret-new', 'database-key')"
                " WHERE org_id = 'a'"
            )
        # The store looks again at most once a second.
        answers = set()
        deadline = time.monotonic() + 30
        while 200 not in answers and time.monotonic() < deadline:
            answers.add(await stand.post_meta(_statuses(), "secret-new"))
        assert 200 in answers
        assert await stand.post_meta(_statuses(), "secret-a") == 200

    run_stand(tenants, act)


def test_one_organisations_spoilt_secret_is_no_others_trouble(tenants: str) -> None:
    with psycopg.connect(tenants) as connection:
        connection.execute(
            "UPDATE whatsapp_provider_config SET"
            " webhook_secret_encrypted = pgp_sym_encrypt('x', 'another key') WHERE org_id = 'b'"
        )

    async def act(stand: WebhookStand) -> None:
        assert await stand.post_meta(_statuses(), "secret-a") == 200

    run_stand(tenants, act)


TEMPLATE = {
    "message_template_id": 12,
    "message_template_name": "appointment_reminder",
    "message_template_language": "en",
}


def test_templates_accounts_and_numbers_are_told_once_and_in_order(tenants: str) -> None:
    paused = _meta(
        "message_template_status_update",
        TEMPLATE | {"event": "PAUSED", "reason": "NONE"},
        at=1_700_000_200,
    )
    approved = _meta(
        "message_template_status_update", TEMPLATE | {"event": "APPROVED"}, at=1_700_000_100
    )
    quality = _meta(
        "message_template_quality_update",
        TEMPLATE | {"previous_quality_score": "GREEN", "new_quality_score": "YELLOW"},
    )
    restricted = _meta(
        "account_update",
        {
            "event": "ACCOUNT_RESTRICTION",
            "restriction_info": [{"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}],
        },
    )
    alert = _meta(
        "account_alerts",
        {
            "entity_type": "BUSINESS",
            "entity_id": "77",
            "alert_info": {
                "alert_severity": "WARNING",
                "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED",
            },
        },
    )
    limit = _meta("business_capability_update", {"max_daily_conversations_per_business": 2000})
    number = _meta("phone_number_quality_update", {"event": "FLAGGED", "current_limit": "TIER_1K"})

    async def act(stand: WebhookStand) -> None:
        for body in (paused, approved, quality, restricted, alert, limit, number, paused):
            assert await stand.post_meta(body) == 200
        await stand.apply()
        rows = await stand.ask(
            "SELECT business_account_id, name, language, status, reason, quality"
            " FROM whatsapp_template"
        )
        assert rows == [("waba-a", "appointment_reminder", "en", "PAUSED", None, "YELLOW")]
        told = await stand.ask("SELECT kind, severity, event FROM provider_notice ORDER BY id")
        assert sorted(told) == [
            ("account_alerts", "warning", "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED"),
            ("account_update", "critical", "ACCOUNT_RESTRICTION"),
            ("business_capability_update", "info", None),
            ("message_template_quality_update", "warning", "YELLOW"),
            ("message_template_status_update", "critical", "PAUSED"),
            ("message_template_status_update", "info", "APPROVED"),
            ("phone_number_quality_update", "warning", "FLAGGED"),
        ]
        paused_series = (
            "outbound_provider_notices_total"
            '{kind="message_template_status_update",provider="whatsapp",severity="critical"}'
        )
        assert stand.count(paused_series) == 1

    run_stand(tenants, act)


def test_a_tenant_tells_nothing_of_anothers_templates(tenants: str) -> None:
    async def act(stand: WebhookStand) -> None:
        for account in ("waba-b", "waba-unknown", "waba-a"):
            body = _meta(
                "message_template_status_update", TEMPLATE | {"event": "PAUSED"}, account=account
            )
            assert await stand.post_meta(body, "secret-a") == 200
        await stand.apply()
        rows = await stand.ask("SELECT business_account_id FROM whatsapp_template")
        assert rows == [("waba-a",)]
        assert await stand.ask("SELECT account FROM provider_notice") == [("waba-a",)]

    run_stand(tenants, act)


def _wish(value: str, at: int, number_id: str) -> object:
    wish = {"wa_id": NUMBER[1:], "category": "marketing_messages", "value": value, "timestamp": at}
    return _meta(
        "user_preferences",
        {"metadata": {"phone_number_id": number_id}, "user_preferences": [wish]},
    )


def test_the_latest_wish_of_a_recipient_holds_however_wishes_arrive(tenants: str) -> None:
    with psycopg.connect(tenants) as connection:
        connection.execute(
            "INSERT INTO consentement (org_id, recipient, channel, status) VALUES"
            " ('a', %s, 'WHATSAPP', 'GRANTED'), ('b', %s, 'WHATSAPP', 'GRANTED')",
            (NUMBER, NUMBER),
        )

    async def act(stand: WebhookStand) -> None:
        now = int(time.time())
        statement = "SELECT org_id, status FROM consentement ORDER BY org_id"
        stop, resume = _wish("stop", now - 60, "1001"), _wish("resume", now - 30, "1001")
        assert await stand.post_meta(stop, "secret-a") == 200
        await stand.apply()
        assert await stand.ask(statement) == [("a", "REVOKED"), ("b", "GRANTED")]
        for body in (resume, stop, resume, stop):
            assert await stand.post_meta(body, "secret-a") == 200
            await stand.apply()
        assert await stand.ask(statement) == [("a", "GRANTED"), ("b", "GRANTED")]
        # Another's number is not the signer's to speak for.
        assert await stand.post_meta(_wish("stop", now, "1002"), "secret-a") == 200
        await stand.apply()
        assert await stand.ask(statement) == [("a", "GRANTED"), ("b", "GRANTED")]
        series = 'outbound_recipient_wishes_total{channel="whatsapp",wish="stop"}'
        assert stand.count(series) == 1

    run_stand(tenants, act)


def test_a_stop_at_the_platforms_own_number_is_an_opt_out_and_cancels_what_waits(
    database: str,
) -> None:
    queued = add_message(database, "a", status="QUEUED")

    async def act(stand: WebhookStand) -> None:
        assert await stand.post_meta(_wish("stop", int(time.time()), "10001")) == 200
        await stand.apply()
        row = await stand.ask("SELECT wa_id, opted_out, opt_out_reason FROM contact_preferences")
        assert row == [(NUMBER, True, "whatsapp:user_preferences")]
        row = await stand.ask(
            "SELECT status, error_code FROM outbound_message WHERE id = %s", queued
        )
        assert row == [("FAILED", "opted_out")]

    run_stand(database, act)


def test_twilios_callbacks_settle_stop_and_start(database: str) -> None:
    number = add_message(database, "a", channel="SMS", status="SENDING")

    async def act(stand: WebhookStand) -> None:
        fields = [("MessageSid", "SM1"), ("MessageStatus", "delivered"), ("k", "2"), ("k", "1")]
        query = f"?m={number}&a=1"
        assert await stand.post_twilio(fields, query, token="wrong") == 401
        assert await stand.post_twilio(fields, f"?m={number}&a=1") == 204
        assert await stand.post_twilio([("MessageSid", "SM1")]) == 400
        for word in ("Stop.", "START", "yes please"):
            inbound = [("MessageSid", f"SM{word}"), ("From", NUMBER), ("Body", word)]
            assert await stand.post_twilio(inbound) == 204
            await stand.apply()
            row = await stand.ask("SELECT opted_out FROM contact_preferences")
            assert row == [(word == "Stop.",)]
        row = await stand.ask("SELECT status, provider_message_id FROM outbound_message")
        assert row == [("DELIVERED", "SM1")]
        for result, count in (("accepted", 4), ("rejected", 1), ("malformed", 1)):
            series = f'outbound_webhooks_total{{provider="twilio",result="{result}"}}'
            assert stand.count(series) == count

    run_stand(database, act)


def test_twilios_json_is_checked_by_the_digest_in_the_query(database: str) -> None:
    raw = json.dumps({"MessageSid": "SM1", "MessageStatus": "sent"}).encode()

    async def post(stand: WebhookStand, query: str, body: bytes) -> int:
        headers = {
            "Content-Type": "application/json",
            "X-Twilio-Signature": sign_twilio(TWILIO_URL + query, [], TWILIO_TOKEN),
        }
        return (await stand.post(f"/webhooks/twilio{query}", body, headers))[0]

    async def act(stand: WebhookStand) -> None:
        query = f"?bodySHA256={hashlib.sha256(raw).hexdigest()}"
        assert await post(stand, query, raw) == 204
        assert await post(stand, query, raw + b" ") == 401
        assert await post(stand, "?m=1", raw) == 401

    run_stand(database, act)


def test_a_recipient_whom_twilio_knows_as_unsubscribed_is_asked_no_more(database: str) -> None:
    number = add_message(database, "a", channel="SMS", status="SENDING")

    async def act(stand: WebhookStand) -> None:
        fields = [("MessageSid", "SM1"), ("MessageStatus", "failed")]
        fields += [("ErrorCode", "21610"), ("To", NUMBER)]
        assert await stand.post_twilio(fields, f"?m={number}&a=1") == 204
        await stand.apply()
        rows = await stand.ask("SELECT org_id, recipient, channel, status FROM consentement")
        assert rows == [("a", NUMBER, "SMS", "REVOKED")]
        assert await stand.ask("SELECT status, error_code FROM outbound_message") == [
            ("FAILED", "21610")
        ]

    run_stand(database, act)


def test_sendgrids_events_settle_e_mails_once_and_unsubscribe(database: str) -> None:
    address = "ann@example.org"
    first = add_message(
        database, "a", channel="EMAIL", recipient=address, provider_id="id-of-the-answer"
    )
    second = add_message(
        database, "a", channel="EMAIL", recipient="b@example.org", status="SENDING"
    )

    async def act(stand: WebhookStand) -> None:
        now = int(time.time())

        def event(kind: str, name: str, message: int, **more: object) -> dict[str, object]:
            return {
                "event": kind,
                "sg_event_id": name,
                "sg_message_id": f"id-of-{'the-answer' if message == first else 'b'}.recv.0",
                "email": address,
                "timestamp": now,
                "m": str(message),
                "a": "1",
            } | more

        events = [
            event("processed", "e1", first),
            event("delivered", "e2", first),
            event("bounce", "e3", second, type="bounce", reason="550 no such user"),
            event("group_unsubscribe", "e4", first),
        ]
        assert await stand.post_sendgrid(events, str(now)) == 204
        assert await stand.post_sendgrid(events, str(now)) == 204
        assert await stand.post_sendgrid(events, str(now - 30 * 3600)) == 401
        assert await stand.post_sendgrid({"not": "a list"}, str(now)) == 400
        await stand.apply()
        rows = await stand.ask(
            "SELECT id, status, error_code, error_message FROM outbound_message ORDER BY id"
        )
        assert rows == [
            (first, "DELIVERED", None, None),
            (second, "FAILED", "sendgrid_bounce", "550 no such user"),
        ]
        rows = await stand.ask("SELECT org_id, recipient, channel, status FROM consentement")
        assert rows == [("a", address, "EMAIL", "REVOKED")]
        assert stand.count('outbound_receipts_total{effect="moved",provider="sendgrid"}') == 2
        assert stand.count('outbound_receipts_total{effect="repeated",provider="sendgrid"}') == 0

    run_stand(database, act)


def test_webhooks_that_come_together_are_all_stored_and_a_bad_one_alone_is_refused(
    database: str,
) -> None:
    async def act(stand: WebhookStand) -> None:
        good = [stand.post_meta(_statuses(_status(f"wamid.{n}", "sent"))) for n in range(40)]
        raw = b'{"entry": [], "note": "\xff"}'
        signature = "sha256=" + hmac.new(PLATFORM_SECRET.encode(), raw, "sha256").hexdigest()
        bad = stand.post("/webhooks/whatsapp", raw, {"X-Hub-Signature-256": signature})
        answers = await asyncio.gather(*good)
        assert set(answers) == {200}
        assert (await bad)[0] == 400
        assert await stand.ask("SELECT count(*) FROM provider_webhook") == [(40,)]

    run_stand(database, act)
