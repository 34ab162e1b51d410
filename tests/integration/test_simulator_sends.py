"""Sending to the simulator through a real HTTP client: answers, and every kind of fault."""

import asyncio
import base64

import aiohttp
import pytest

from tests.integration.simulator_stand import ACCOUNT, NUMBER, open_stand
from tests.provider_schemas import check_shape

TWILIO_LOGIN = base64.b64encode(f"{ACCOUNT}:twilio-token".encode()).decode()


def test_a_whatsapp_message_is_accepted_in_metas_words() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            status, answer = await stand.send()
            assert status == 200
            check_shape("meta_accepted", answer)

    asyncio.run(scenario())


def test_an_sms_is_accepted_in_twilios_words() -> None:
    async def scenario() -> None:
        async with (
            open_stand() as stand,
            stand.client.post(
                f"{stand.simulator.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
                data={"To": "+33612345678", "From": "+15005550006", "Body": "Monday"},
                headers={"Authorization": f"Basic {TWILIO_LOGIN}"},
            ) as answer,
        ):
            assert answer.status == 201
            check_shape("twilio_message", await answer.json())

    asyncio.run(scenario())


def test_a_mail_is_accepted_in_sendgrids_words() -> None:
    mail = {
        "personalizations": [{"to": [{"email": "ana@example.org"}], "custom_args": {"m": "5"}}],
        "from": {"email": "office@example.org"},
        "subject": "Your visit",
        "content": [{"type": "text/plain", "value": "Monday"}],
    }

    async def scenario() -> None:
        async with open_stand() as stand:
            async with stand.client.post(
                f"{stand.simulator.url}/v3/mail/send",
                json=mail,
                headers={"Authorization": "Bearer sendgrid-key"},
            ) as answer:
                assert (answer.status, await answer.text()) == (202, "")
                message_id = answer.headers["X-Message-Id"]
            _, ledger = await stand.control("GET", "ledger?message=5")
            assert ledger["acceptances"][0]["message_id"] == message_id

    asyncio.run(scenario())


def test_a_wrong_token_is_refused_over_http_and_not_accepted() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            async with stand.client.post(
                f"{stand.simulator.url}/v26.0/{NUMBER}/messages",
                json={},
                headers={"Authorization": "Bearer wrong"},
            ) as answer:
                assert answer.status == 401
                check_shape("meta_error", await answer.json())
            _, stats = await stand.control("GET", "stats")
            assert stats["requests"] == {"meta": {"refused": 1}}
            assert stats["accepted"] == 0

    asyncio.run(scenario())


def test_an_outage_answers_500_and_heals_when_cleared() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="error", provider="meta")
            status, answer = await stand.send()
            assert (status, answer["error"]["code"]) == (500, 131016)
            check_shape("meta_error", answer)
            assert (await stand.control("DELETE", "faults"))[1] == {"faults": []}
            assert (await stand.send())[0] == 200
            _, ledger = await stand.control("GET", "ledger")
            assert ledger["totals"]["accepted"] == 1

    asyncio.run(scenario())


def test_a_throttled_call_carries_retry_after() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(
                kind="error", http_status=429, code=130429, retry_after_seconds=11
            )
            async with stand.request_send() as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (429, "11")
                assert (await answer.json())["error"]["code"] == 130429

    asyncio.run(scenario())


def test_a_proxy_page_is_html_and_accepts_nothing() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="html")
            async with stand.request_send() as answer:
                assert (answer.status, answer.content_type) == (502, "text/html")
                assert (await answer.text()).startswith("<!DOCTYPE html>")
            assert (await stand.control("GET", "stats"))[1]["accepted"] == 0

    asyncio.run(scenario())


def test_a_dropped_answer_is_accepted_and_its_webhooks_come() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="drop", for_requests=1)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await stand.send("41")
            _, ledger = await stand.control("GET", "ledger?message=41")
            (taken,) = ledger["acceptances"]
            assert taken["answered"] is False
            await stand.receiver.wait_for(lambda receiver: len(receiver.statuses) == 2)
            assert {status["id"] for status in stand.receiver.statuses} == {taken["message_id"]}
            assert (await stand.send("42"))[0] == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("accepts", [False, True])
def test_a_timeout_hangs_until_the_client_gives_up(accepts: bool) -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="timeout", timeout_seconds=600, accepts=accepts)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await stand.send("41")
            _, ledger = await stand.control("GET", "ledger?message=41")
            assert len(ledger["acceptances"]) == int(accepts)

    asyncio.run(scenario())


def test_a_timeout_ends_without_an_answer() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="timeout", timeout_seconds=0.05)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await stand.send()

    asyncio.run(scenario())


def test_a_slow_provider_is_slower_than_the_clients_patience_but_takes_the_message() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="latency", latency_ms=600_000)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await stand.send()
            await stand.set_fault(kind="latency", latency_ms=10)
            assert (await stand.send())[0] == 200

    asyncio.run(scenario())


def test_a_fault_for_one_recipient_spares_the_others() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="error", recipient_prefix="+336")
            assert (await stand.send(to="+33612345678"))[0] == 500
            assert (await stand.send(to="+4915112345678"))[0] == 200

    asyncio.run(scenario())


def test_a_rate_hits_some_requests_and_counts_them() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="error", rate=0.5, name="half")
            statuses = [(await stand.send(str(number)))[0] for number in range(100)]
            hit = statuses.count(500)
            # 50 expected, standard deviation 5: five of them either way.
            assert 25 < hit < 75
            assert hit + statuses.count(200) == 100
            _, faults = await stand.control("GET", "faults")
            assert faults["faults"][0]["hits"] == hit

    asyncio.run(scenario())


def test_the_same_message_twice_is_a_duplicate_in_the_ledger() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            for message, attempt in (("41", 1), ("42", 1), ("41", 2)):
                await stand.send(message, attempt)
            _, ledger = await stand.control("GET", "ledger")
            assert ledger["totals"]["duplicates"] == 1
            assert [each["attempt"] for each in ledger["duplicates"]["41"]] == ["1", "2"]
            assert set(ledger["messages"]) == {"41", "42"}
            _, short = await stand.control("GET", "ledger?messages=false")
            assert set(short) == {"kind", "totals", "duplicates", "overlaps"}

    asyncio.run(scenario())


def test_hundreds_of_messages_at_once_are_each_accepted_once() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            answers = await asyncio.gather(*(stand.send(str(number)) for number in range(300)))
            assert {status for status, _ in answers} == {200}
            ids = {answer["messages"][0]["id"] for _, answer in answers}
            _, ledger = await stand.control("GET", "ledger")
            taken = {each["message_id"] for (each,) in ledger["messages"].values()}
            assert len(ids) == 300
            assert taken == ids

    asyncio.run(scenario())


def test_a_number_and_the_templates_can_be_read_as_the_runbooks_do() -> None:
    async def read(stand_url: str, client: aiohttp.ClientSession, path: str) -> dict[str, object]:
        headers = {"Authorization": "Bearer access-token"}
        async with client.get(f"{stand_url}/{path}", headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["facebook-api-version"] == "v21.0"
            body = await answer.json()
            assert isinstance(body, dict)
            return body

    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.control(
                "PUT",
                "templates",
                {"templates": [{"name": "visit_reminder"}, {"name": "old", "status": "PAUSED"}]},
            )
            url, client = stand.simulator.url, stand.client
            number = await read(url, client, f"v18.0/{NUMBER}")
            assert number["id"] == NUMBER
            assert "health_status" not in number
            health = await read(url, client, f"v18.0/{NUMBER}?fields=health_status")
            assert set(health) == {"id", "health_status"}
            for query, names in (
                ("", ["visit_reminder", "old"]),
                ("?status=PAUSED", ["old"]),
                ("?name=visit_reminder", ["visit_reminder"]),
                ("?name=visit_reminder&status=PAUSED", []),
            ):
                path = f"v18.0/102290129340398/message_templates{query}"
                listed = (await read(url, client, path))["data"]
                assert isinstance(listed, list)
                assert [template["name"] for template in listed] == names

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["v26.0/not-a-number", "nowhere", "v99.0/106540352242922"])
def test_what_does_not_exist_is_an_error_in_the_graph_apis_shape(path: str) -> None:
    async def scenario() -> None:
        async with (
            open_stand() as stand,
            stand.client.get(
                f"{stand.simulator.url}/{path}", headers={"Authorization": "Bearer access-token"}
            ) as answer,
        ):
            assert answer.status == 400
            check_shape("meta_error", await answer.json())

    asyncio.run(scenario())
