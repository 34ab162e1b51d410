"""The ledger over HTTP: order and overlaps per recipient, and the counting kind."""

import asyncio

from outbound_slo.simulator.ledger import LedgerKind
from tests.integration.simulator_stand import open_stand

ANA, BEN = "+33612345678", "+33687654321"


def test_two_requests_at_once_to_one_recipient_are_told() -> None:
    async def scenario() -> None:
        async with open_stand(latency_ms=500) as stand:
            await asyncio.gather(
                stand.send("41", to=ANA), stand.send("42", to=BEN), stand.send("43", to=ANA)
            )
            await stand.send("44", to=ANA)
            _, ledger = await stand.control("GET", "ledger")
            assert ledger["totals"]["overlaps"] == 1
            ((overlap),) = ledger["overlaps"]
            assert {overlap["in_flight"]["message"], overlap["came"]["message"]} == {"41", "43"}

    asyncio.run(scenario())


def test_a_recipients_requests_tell_start_end_and_outcome() -> None:
    async def scenario() -> None:
        async with open_stand(latency_ms=20) as stand:
            await stand.set_fault(kind="error", http_status=429, code=130429, for_requests=1)
            for attempt in (1, 2):
                await stand.send("41", attempt, to=ANA)
            _, found = await stand.control("GET", "ledger?recipient=%2B33612345678")
            told = [
                (each["message"], each["attempt"], each["outcome"]) for each in found["requests"]
            ]
            assert told == [("41", "1", "error"), ("41", "2", "accepted")]
            first, second = found["requests"]
            assert first["started_at"] + 0.02 <= first["ended_at"] <= second["started_at"]

    asyncio.run(scenario())


def test_a_hanging_request_is_in_flight_until_its_caller_leaves() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            await stand.set_fault(kind="timeout", timeout_seconds=600, accepts=True, for_requests=1)
            hanging = asyncio.create_task(stand.send("41", to=ANA))
            await stand.wait_for_control("ledger", lambda found: found["totals"]["accepted"] == 1)
            await stand.send("42", to=ANA)
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
            await stand.wait_for_control(
                "ledger?recipient=%2B33612345678",
                lambda found: found["requests"][0]["outcome"] == "left",
            )
            await stand.send("43", to=ANA)
            _, ledger = await stand.control("GET", "ledger")
            assert (ledger["totals"]["overlaps"], ledger["totals"]["unanswered"]) == (1, 1)

    asyncio.run(scenario())


def test_a_counting_ledger_tells_duplicates_and_overlaps_without_a_list() -> None:
    async def scenario() -> None:
        async with open_stand(ledger=LedgerKind.COUNTS, latency_ms=500) as stand:
            await asyncio.gather(stand.send("41", 1, to=ANA), stand.send("42", 1, to=ANA))
            await stand.send("41", 2, to=ANA)
            _, ledger = await stand.control("GET", "ledger")
            assert ledger["kind"] == "counts"
            totals = ledger["totals"]
            assert (totals["accepted"], totals["messages"], totals["duplicates"]) == (3, 2, 1)
            assert totals["overlaps"] == 1
            assert [each["attempt"] for each in ledger["duplicates"]["41"]] == ["2"]
            assert ledger["messages"] == {}
            _, one = await stand.control("GET", "ledger?message=41")
            assert one["count"] == 2

    asyncio.run(scenario())
