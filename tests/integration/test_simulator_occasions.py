"""What happens on demand, as a real receiver gets it: notices, SMS, e-mail events, forgeries."""

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from outbound_slo.simulator.accounts import Template
from outbound_slo.simulator.limits import Limits
from tests.integration.simulator_stand import ACCOUNT, CALM, Call, Stand, open_stand
from tests.provider_schemas import check_shape

MAIL: dict[str, Any] = {
    "personalizations": [
        {"to": [{"email": "ana@example.org"}], "custom_args": {"m": "41", "a": "2"}},
        {"to": [{"email": "ben@example.org"}], "custom_args": {"m": "42", "a": "1"}},
    ],
    "from": {"email": "office@example.org"},
    "subject": "Your visit",
    "content": [{"type": "text/plain", "value": "It is on Monday."}],
}


async def send_mail(stand: Stand) -> str:
    async with stand.client.post(
        f"{stand.simulator.url}/v3/mail/send",
        json=MAIL,
        headers={"Authorization": "Bearer sendgrid-key"},
    ) as answer:
        assert answer.status == 202
        return answer.headers["X-Message-Id"]


async def is_genuine(stand: Stand, call: Call) -> bool:
    """Check SendGrid's signature with the key that the control interface shows."""
    _, keys = await stand.control("GET", "keys")
    key = serialization.load_der_public_key(base64.b64decode(keys["sendgrid_public_key"]))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(call.headers["X-Twilio-Email-Event-Webhook-Signature"])
    timestamp = call.headers["X-Twilio-Email-Event-Webhook-Timestamp"].encode()
    try:
        key.verify(signature, timestamp + call.raw, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def test_each_e_mail_of_a_request_has_signed_events_with_its_own_arguments() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            message_id = await send_mail(stand)
            await stand.receiver.wait_for(lambda receiver: len(receiver.mail_events) == 4)
            for call in stand.receiver.calls:
                check_shape("sendgrid_events", json.loads(call.raw))
                assert await is_genuine(stand, call)
            told = {(each["m"], each["a"], each["event"]) for each in stand.receiver.mail_events}
            assert told == {
                (message, attempt, event)
                for message, attempt in (("41", "2"), ("42", "1"))
                for event in ("processed", "delivered")
            }
            for event in stand.receiver.mail_events:
                assert event["sg_message_id"].startswith(f"{message_id}.")
            _, found = await stand.control("GET", "ledger?message=42")
            assert found["acceptances"][0]["recipient"] == "ben@example.org"

    asyncio.run(scenario())


def test_duplicated_events_keep_their_id() -> None:
    async def scenario() -> None:
        async with open_stand(CALM.model_copy(update={"duplicate_rate": 1.0})) as stand:
            await send_mail(stand)
            await stand.receiver.wait_for(lambda receiver: len(receiver.mail_events) == 8)
            ids = [event["sg_event_id"] for event in stand.receiver.mail_events]
            assert sorted(ids.count(each) for each in set(ids)) == [2, 2, 2, 2]

    asyncio.run(scenario())


def test_without_a_receiver_events_of_e_mails_are_counted_and_dropped() -> None:
    async def scenario() -> None:
        async with open_stand(sendgrid_events_url="") as stand:
            await send_mail(stand)
            _, stats = await stand.control("GET", "stats")
            assert stats["webhooks"] == {"without_address": 4, "pending": 0}

    asyncio.run(scenario())


def test_a_reader_who_unsubscribes_is_told_without_a_message() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            order = {"email": "ana@example.org", "event": "unsubscribe"}
            status, _ = await stand.control("POST", "mail-events", order)
            assert status == 202
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 1)
            check_shape("sendgrid_events", json.loads(stand.receiver.calls[0].raw))
            (event,) = stand.receiver.mail_events
            assert (event["event"], event["email"]) == ("unsubscribe", "ana@example.org")

    asyncio.run(scenario())


def test_a_paused_template_is_told_and_then_refused() -> None:
    async def scenario() -> None:
        async with open_stand(templates=(Template("visit_reminder"),)) as stand:
            template = {"name": "visit_reminder", "language": {"code": "en"}}
            assert (await stand.send(type="template", template=template))[0] == 200
            for event, code in (("PAUSED", 132015), ("APPROVED", None)):
                value = {"event": event, "message_template_name": "visit_reminder"}
                order = {"field": "message_template_status_update", "value": value}
                status, told = await stand.control("POST", "notices", order)
                assert (status, told["value"]["event"]) == (202, event)
                _, answer = await stand.send(type="template", template=template)
                assert answer.get("error", {}).get("code") == code
            await stand.control("POST", "webhooks/flush")
            notices = [call for call in stand.receiver.calls if b"template_status" in call.raw]
            assert len(notices) == 2
            for call in notices:
                check_shape("meta_notice", json.loads(call.raw))
                made = hmac.new(b"app-secret", call.raw, hashlib.sha256).hexdigest()
                assert call.headers["X-Hub-Signature-256"] == f"sha256={made}"

    asyncio.run(scenario())


def test_an_sms_that_says_stop_is_signed_and_ends_the_sending() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            order = {"from": "+33612345678", "to": "+15005550006", "text": "Stop"}
            status, made = await stand.control("POST", "inbound/sms", order)
            assert (status, made["keyword"]) == (202, "STOP")
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 1)
            (call,) = stand.receiver.calls
            form = dict(parse_qsl(call.raw.decode()))
            check_shape("twilio_inbound", form)
            url = stand.receiver.url.replace("whatsapp", "twilio")
            signed = url + "".join(key + form[key] for key in sorted(form))
            digest = hmac.new(b"twilio-token", signed.encode(), hashlib.sha1).digest()
            assert call.headers["X-Twilio-Signature"] == base64.b64encode(digest).decode()
            async with stand.client.post(
                f"{stand.simulator.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
                data={"To": order["from"], "From": order["to"], "Body": "Monday"},
                headers={
                    "Authorization": "Basic "
                    + base64.b64encode(f"{ACCOUNT}:twilio-token".encode()).decode()
                },
            ) as answer:
                assert (await answer.json())["code"] == 21610

    asyncio.run(scenario())


@pytest.mark.parametrize("signature", ["wrong", "none"])
@pytest.mark.parametrize(
    ("provider", "header"),
    [
        ("meta", "X-Hub-Signature-256"),
        ("twilio", "X-Twilio-Signature"),
        ("sendgrid", "X-Twilio-Email-Event-Webhook-Signature"),
    ],
)
def test_a_forgery_is_posted_once_and_the_receivers_answer_is_told(
    provider: str, header: str, signature: str
) -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            stand.receiver.answers = [401]
            order = {"provider": provider, "signature": signature, "reference": '{"m": 1}'}
            if provider == "twilio":
                order["url"] = stand.receiver.url + "?m=1&a=1"
            status, told = await stand.control("POST", "webhooks/forge", order)
            assert (status, told) == (200, {"status": 401})
            await stand.control("POST", "webhooks/flush")
            (call,) = stand.receiver.calls
            assert (header in call.headers) is (signature == "wrong")
            if provider == "sendgrid" and signature == "wrong":
                assert not await is_genuine(stand, call)
            if provider == "meta" and signature == "wrong":
                made = hmac.new(b"app-secret", call.raw, hashlib.sha256).hexdigest()
                assert call.headers[header] != f"sha256={made}"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "order", "options", "words"),
    [
        ("notices", {"field": "flows"}, {}, "field: "),
        ("mail-events", {"email": "ana", "event": "unsubscribe"}, {}, "email: "),
        ("mail-events", {"email": "a@b.c", "event": "eaten"}, {}, "event: "),
        ("inbound/sms", {"from": "Ana", "to": "+15005550006", "text": "x"}, {}, "from: "),
        (
            "inbound/sms",
            {"from": "+33612345678", "to": "+15005550006", "text": "x"},
            {"twilio_inbound_url": ""},
            "there is no receiver of SMS",
        ),
        ("webhooks/forge", {"provider": "twilio"}, {}, "nobody listens to webhooks of twilio"),
        ("webhooks/forge", {"provider": "meta"}, {"callback_url": ""}, "nobody listens"),
    ],
)
def test_orders_that_cannot_be_carried_out_say_why(
    path: str, order: dict[str, object], options: dict[str, Any], words: str
) -> None:
    async def scenario() -> None:
        async with open_stand(**options) as stand:
            status, answer = await stand.control("POST", path, order)
            assert (status, words in answer["error"]) == (400, True)
            assert answer["mend"]
            assert stand.receiver.calls == []

    asyncio.run(scenario())


def test_limits_can_be_set_while_it_runs_and_keep_what_is_not_named() -> None:
    async def scenario() -> None:
        async with open_stand(limits=Limits(pair_limit=True)) as stand:
            _, set_to = await stand.control("PUT", "limits", {"pair_burst": 1})
            assert set_to == {**Limits(pair_limit=True).model_dump(), "pair_burst": 1}
            assert (await stand.send("41"))[0] == 200
            _, refused = await stand.send("42")
            assert refused["error"]["code"] == 131056
            status, answer = await stand.control("PUT", "limits", {"pair_burst": 0})
            assert (status, "pair_burst" in answer["error"]) == (400, True)
            assert (await stand.control("GET", "limits"))[1] == set_to

    asyncio.run(scenario())
