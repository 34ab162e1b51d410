"""Bad input at the control interface: 400, a clear word, nothing changed."""

import asyncio

import pytest

from tests.integration.simulator_stand import find_deaf_address, open_stand

OUTAGE = {"kind": "error", "provider": "meta", "name": "outage"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body: Invalid JSON"),
        (b"{", "body: Invalid JSON"),
        ([], "body: Input should be an object"),
        ({}, "faults: Field required"),
        ({"fault": []}, "fault: Extra inputs"),
        ({"faults": [{"kind": "error", "rate": 1.5}]}, "faults[0].rate"),
        ({"faults": [{"kind": "error", "rate": -0.1}]}, "(got -0.1)"),
        ({"faults": [{"kind": "error", "rate": "half"}]}, "(got 'half')"),
        ({"faults": [{"kind": "error", "http_status": 200}]}, "faults[0].http_status"),
        ({"faults": [{"kind": "error", "colour": "red"}]}, "faults[0].colour: Extra inputs"),
        ({"faults": [OUTAGE, {"kind": "gremlin"}]}, "faults[1]: Input tag 'gremlin'"),
        ({"faults": [{"rate": 1}]}, "faults[0]: Unable to extract tag"),
        ({"faults": [{"kind": "latency"}]}, "faults[0].latency_ms: Field required"),
        ({"faults": [{"kind": "timeout", "timeout_seconds": 0}]}, "faults[0].timeout_seconds"),
        ({"faults": [{"kind": "drop", "provider": "sinch"}]}, "faults[0].provider"),
        ({"faults": [{"kind": "drop", "phone_number_id": "1"}]}, "needs provider meta"),
        ({"faults": [{"kind": "drop", "for_requests": 0}]}, "faults[0].for_requests"),
    ],
)
def test_a_bad_fault_is_named_and_the_faults_in_force_stay(body: object, words: str) -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(**OUTAGE)
            status, answer = await stand.control("PUT", "faults", body)
            assert status == 400
            assert words in answer["error"]
            assert "docs/simulator.md" in answer["mend"]
            _, faults = await stand.control("GET", "faults")
            assert [each["name"] for each in faults["faults"]] == ["outage"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("PUT", "behaviour", {"late_rate": 2}, "late_rate: "),
        ("PUT", "behaviour", {"lateness": 1}, "lateness: Extra inputs"),
        ("PUT", "behaviour", {"batch_limit": 1001}, "batch_limit: "),
        ("PUT", "templates", {"templates": [{"name": "Visit Reminder"}]}, "templates[0].name"),
        ("PUT", "templates", {"templates": [{"name": "a", "status": "GONE"}]}, "status"),
        ("POST", "inbound", {"from": "Ana", "text": "Hi"}, "from: "),
        ("POST", "inbound", {"from": "33612345678", "text": ""}, "text: "),
        ("POST", "inbound", {"text": "Hi"}, "from: Field required"),
        ("POST", "webhooks/flush", {"limit_seconds": 0}, "limit_seconds: "),
        ("POST", "webhooks/handshake", {}, "verify_token: Field required"),
    ],
)
def test_bad_orders_are_refused_by_name(method: str, path: str, body: object, words: str) -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            status, answer = await stand.control(method, path, body)
            assert status == 400
            assert words in answer["error"]
            assert stand.receiver.calls == []

    asyncio.run(scenario())


def test_a_change_of_behaviour_keeps_what_it_does_not_name() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            _, before = await stand.control("GET", "behaviour")
            _, after = await stand.control("PUT", "behaviour", {"late_rate": 0.25})
            assert after == {**before, "late_rate": 0.25}
            _, still = await stand.control("PUT", "behaviour", {"late_rate": 7})
            assert "late_rate" in still["error"]
            assert (await stand.control("GET", "behaviour"))[1] == after

    asyncio.run(scenario())


def test_the_ledger_can_be_cleared() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.send()
            _, cleared = await stand.control("DELETE", "ledger")
            assert cleared["totals"]["accepted"] == 0
            assert (await stand.control("GET", "ledger"))[1]["messages"] == {}

    asyncio.run(scenario())


def test_a_handshake_without_a_callback_says_what_to_do() -> None:
    async def scenario() -> None:
        async with open_stand(callback_url="") as stand:
            status, answer = await stand.control(
                "POST", "webhooks/handshake", {"verify_token": "x"}
            )
            assert (status, answer["mend"]) == (400, "Start with --callback-url.")

    asyncio.run(scenario())


def test_a_handshake_with_nobody_there_is_not_verified() -> None:
    async def scenario() -> None:
        with find_deaf_address() as nobody:
            async with open_stand(callback_url=nobody) as stand:
                status, answer = await stand.control(
                    "POST", "webhooks/handshake", {"verify_token": "x"}
                )
                assert status == 200
                assert (answer["verified"], answer["status"]) == (False, 0)

    asyncio.run(scenario())
