"""Webhooks as a real receiver gets them: signed, late, twice, out of order, tried again."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qsl

from outbound_slo.simulator.courier import TICK_SECONDS, Persistence
from outbound_slo.simulator.lifecycle import Behaviour
from tests.integration.simulator_stand import (
    ACCOUNT,
    CALM,
    NUMBER,
    Receiver,
    Stand,
    find_deaf_address,
    open_stand,
)
from tests.provider_schemas import check_shape

HOUR_MS = 3_600_000.0


def told(receiver: Receiver) -> list[str]:
    return [status["status"] for status in receiver.statuses]


async def send_sms(stand: Stand, callback: str) -> None:
    login = base64.b64encode(f"{ACCOUNT}:twilio-token".encode()).decode()
    async with stand.client.post(
        f"{stand.simulator.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data={
            "To": "+33612345678",
            "From": "+15005550006",
            "Body": "Monday",
            "StatusCallback": callback,
        },
        headers={"Authorization": f"Basic {login}"},
    ) as answer:
        assert answer.status == 201


def test_sent_and_delivered_come_signed_and_echo_the_reference() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            _, answer = await stand.send("41", 2)
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 2)
            assert told(stand.receiver) == ["sent", "delivered"]
            for call, status in zip(stand.receiver.calls, stand.receiver.statuses, strict=True):
                assert call.path == "/webhooks/whatsapp"
                made = hmac.new(b"app-secret", call.raw, hashlib.sha256).hexdigest()
                assert call.headers["X-Hub-Signature-256"] == f"sha256={made}"
                check_shape("meta_notification", json.loads(call.raw))
                assert status["id"] == answer["messages"][0]["id"]
                assert json.loads(status["biz_opaque_callback_data"]) == {"m": "41", "a": 2}

    asyncio.run(scenario())


def test_late_statuses_wait_for_their_time_unless_flushed() -> None:
    async def scenario() -> None:
        late = CALM.model_copy(update={"late_rate": 1.0, "late_ms": HOUR_MS})
        async with open_stand(late) as stand:
            await stand.send()
            _, stats = await stand.control("GET", "stats")
            assert stats["webhooks"] == {"scheduled": 2, "pending": 2}
            _, flushed = await stand.control("POST", "webhooks/flush")
            assert flushed["pending"] == 0
            assert told(stand.receiver) == ["sent", "delivered"]

    asyncio.run(scenario())


def test_duplicates_are_the_same_status_again() -> None:
    async def scenario() -> None:
        async with open_stand(CALM.model_copy(update={"duplicate_rate": 1.0})) as stand:
            await stand.send()
            await stand.receiver.wait_for(lambda receiver: len(receiver.statuses) == 4)
            seen = [json.dumps(status, sort_keys=True) for status in stand.receiver.statuses]
            assert sorted(seen.count(each) for each in set(seen)) == [2, 2]

    asyncio.run(scenario())


def test_out_of_order_brings_delivered_before_sent() -> None:
    async def scenario() -> None:
        disordered = Behaviour(delivery_ms=300, read_rate=0, out_of_order_rate=1.0, batch_rate=1.0)
        async with open_stand(disordered) as stand:
            await stand.send()
            await stand.receiver.wait_for(lambda receiver: len(receiver.statuses) == 2)
            assert told(stand.receiver) == ["delivered", "sent"]

    asyncio.run(scenario())


def test_several_statuses_share_one_post() -> None:
    async def scenario() -> None:
        batched = Behaviour(delivery_ms=HOUR_MS, read_rate=0, batch_rate=1.0, batch_limit=1000)
        async with open_stand(batched) as stand:
            for number in range(5):
                await stand.send(str(number))
            await stand.control("POST", "webhooks/flush")
            assert len(stand.receiver.calls) == 1
            check_shape("meta_notification", json.loads(stand.receiver.calls[0].raw))
            assert sorted(told(stand.receiver)) == ["delivered"] * 5 + ["sent"] * 5
            # Flushed before its time, a status says that it happened now, not in an hour.
            assert all(int(each["timestamp"]) <= time.time() for each in stand.receiver.statuses)

    asyncio.run(scenario())


def test_what_is_due_is_collected_as_long_as_set_and_then_posted_together() -> None:
    async def scenario() -> None:
        patient = Behaviour(
            delivery_ms=0, read_rate=0, collect_ms=60_000, batch_rate=1.0, batch_limit=1000
        )
        async with open_stand(patient) as stand:
            for number in range(5):
                await stand.send(str(number))
            # Time for several ticks of the courier: none of them may post.
            await asyncio.sleep(10 * TICK_SECONDS)
            assert stand.receiver.calls == []
            await stand.control("POST", "webhooks/flush")
            assert len(stand.receiver.calls) == 1
            assert len(stand.receiver.statuses) == 10

    asyncio.run(scenario())


def test_a_failure_after_acceptance_names_metas_code() -> None:
    async def scenario() -> None:
        failing = CALM.model_copy(update={"failed_rate": 1.0, "failed_code": 131049})
        async with open_stand(failing) as stand:
            await stand.send()
            await stand.receiver.wait_for(lambda receiver: len(receiver.statuses) == 1)
            (status,) = stand.receiver.statuses
            assert (status["status"], status["errors"][0]["code"]) == ("failed", 131049)

    asyncio.run(scenario())


def test_what_the_receiver_refuses_is_posted_again_with_the_same_bytes() -> None:
    async def scenario() -> None:
        async with open_stand(CALM.model_copy(update={"never_delivered_rate": 1.0})) as stand:
            stand.receiver.answers = [500, 204]
            await stand.send()
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 3)
            assert len({call.raw for call in stand.receiver.calls}) == 1
            await stand.control("POST", "webhooks/flush")
            _, stats = await stand.control("GET", "stats")
            assert stats["webhooks"]["refused_posts"] == 2
            assert stats["webhooks"]["delivered"] == 1

    asyncio.run(scenario())


def test_a_receiver_that_never_takes_it_is_given_up_after_the_set_tries() -> None:
    async def scenario() -> None:
        persistence = Persistence(tries=3, first_seconds=0.01)
        lonely = CALM.model_copy(update={"never_delivered_rate": 1.0})
        async with open_stand(lonely, persistence) as stand:
            stand.receiver.answers = [503] * 10
            await stand.send()
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 3)
            _, flushed = await stand.control("POST", "webhooks/flush")
            assert flushed["pending"] == 0
            assert flushed["webhooks"]["abandoned"] == 1
            assert len(stand.receiver.calls) == 3

    asyncio.run(scenario())


def test_a_receiver_that_cannot_be_reached_costs_no_send() -> None:
    async def scenario() -> None:
        persistence = Persistence(tries=2, first_seconds=0.01)
        with find_deaf_address() as nobody:
            async with open_stand(CALM, persistence, callback_url=nobody) as stand:
                assert (await stand.send())[0] == 200
                _, flushed = await stand.control("POST", "webhooks/flush")
                assert flushed["pending"] == 0
                assert flushed["webhooks"]["abandoned"] == 2

    asyncio.run(scenario())


def test_paused_webhooks_wait_and_then_come() -> None:
    async def scenario() -> None:
        async with open_stand(CALM.model_copy(update={"delivery_ms": 0.0})) as stand:
            await stand.control("PUT", "behaviour", {"paused": True})
            await stand.send()
            _, flushed = await stand.control("POST", "webhooks/flush")
            # Time for several ticks of the courier: none of them may post.
            await asyncio.sleep(10 * TICK_SECONDS)
            assert (flushed["pending"], stand.receiver.calls) == (2, [])
            await stand.control("PUT", "behaviour", {"paused": False})
            await stand.receiver.wait_for(lambda receiver: len(receiver.statuses) == 2)

    asyncio.run(scenario())


def test_a_forged_signature_does_not_verify() -> None:
    async def scenario() -> None:
        async with open_stand(CALM.model_copy(update={"bad_signature_rate": 1.0})) as stand:
            await stand.send()
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 2)
            for call in stand.receiver.calls:
                made = hmac.new(b"app-secret", call.raw, hashlib.sha256).hexdigest()
                assert call.headers["X-Hub-Signature-256"] != f"sha256={made}"

    asyncio.run(scenario())


def test_sms_callbacks_go_to_the_url_of_the_request_and_are_signed() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            callback = stand.receiver.url.replace("whatsapp", "twilio") + "?m=41&a=2"
            await send_sms(stand, callback)
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 2)
            seen = []
            for call in stand.receiver.calls:
                form = dict(parse_qsl(call.raw.decode()))
                check_shape("twilio_callback", form)
                seen.append(form["MessageStatus"])
                assert (call.path, call.query) == ("/webhooks/twilio", {"m": "41", "a": "2"})
                signed = callback + "".join(key + form[key] for key in sorted(form))
                made = hmac.new(b"twilio-token", signed.encode(), hashlib.sha1).digest()
                assert call.headers["X-Twilio-Signature"] == base64.b64encode(made).decode()
            assert seen == ["sent", "delivered"]
            _, ledger = await stand.control("GET", "ledger?message=41")
            assert ledger["acceptances"][0]["provider"] == "twilio"

    asyncio.run(scenario())


def test_an_sms_that_fails_is_undelivered_with_twilios_code() -> None:
    async def scenario() -> None:
        async with open_stand(CALM.model_copy(update={"failed_rate": 1.0})) as stand:
            await send_sms(stand, stand.receiver.url)
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 1)
            form = dict(parse_qsl(stand.receiver.calls[0].raw.decode()))
            assert (form["MessageStatus"], form["ErrorCode"]) == ("undelivered", "30003")

    asyncio.run(scenario())


def test_an_inbound_message_is_posted_and_opens_the_window() -> None:
    async def scenario() -> None:
        async with open_stand(enforces_window=True) as stand:
            assert (await stand.send())[0] == 400
            order = {"from": "+33612345678", "text": "Monday is fine", "name": "Ana"}
            status, made = await stand.control("POST", "inbound", order)
            assert status == 202
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 1)
            notification = json.loads(stand.receiver.calls[0].raw)
            check_shape("meta_notification", notification)
            value = notification["entry"][0]["changes"][0]["value"]
            assert value["messages"][0]["id"] == made["id"]
            assert value["messages"][0]["text"] == {"body": "Monday is fine"}
            assert value["contacts"] == [{"profile": {"name": "Ana"}, "wa_id": "33612345678"}]
            assert (await stand.send())[0] == 200

    asyncio.run(scenario())


def test_an_inbound_message_can_name_the_business_number() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            order = {"from": "33612345678", "text": "Hi", "phone_number_id": NUMBER}
            assert (await stand.control("POST", "inbound", order))[1]["phone_number_id"] == NUMBER
            await stand.receiver.wait_for(lambda receiver: len(receiver.calls) == 1)
            assert f'"phone_number_id":"{NUMBER}"'.encode() in stand.receiver.calls[0].raw

    asyncio.run(scenario())


def test_the_handshake_succeeds_only_with_the_receivers_token() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            stand.receiver.verify_token = "right"
            _, right = await stand.control("POST", "webhooks/handshake", {"verify_token": "right"})
            _, wrong = await stand.control("POST", "webhooks/handshake", {"verify_token": "wrong"})
            assert right == {"verified": True, "status": 200}
            assert wrong == {"verified": False, "status": 403}

    asyncio.run(scenario())


def test_the_handshake_fails_if_the_challenge_does_not_come_back_as_it_went() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            stand.receiver.verify_token = "right"
            stand.receiver.challenge_suffix = "0"
            _, shaken = await stand.control("POST", "webhooks/handshake", {"verify_token": "right"})
            assert shaken == {"verified": False, "status": 200}

    asyncio.run(scenario())


def test_without_a_callback_url_statuses_are_counted_and_dropped() -> None:
    async def scenario() -> None:
        async with open_stand(callback_url="") as stand:
            assert (await stand.send())[0] == 200
            _, stats = await stand.control("GET", "stats")
            assert stats["webhooks"] == {"without_address": 2, "pending": 0}

    asyncio.run(scenario())
