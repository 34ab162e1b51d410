"""What is in flight: begun in turns, the urgent first, and all of it lands."""

import asyncio
from dataclasses import MISSING, fields
from typing import Any

from outbound_slo.vocabulary.statuses import Priority
from sender.flight import Flight
from sender.outbox import ClaimedMessage
from sender.turns import AT_ONCE

NOTHING = {field.name: None for field in fields(ClaimedMessage) if field.default is MISSING}


def make_messages(
    count: int, first: int = 1, priority: Priority = Priority.BULK
) -> list[ClaimedMessage]:
    made: dict[str, Any] = {**NOTHING, "priority": priority.value}
    return [ClaimedMessage(**(made | {"id": first + n})) for n in range(count)]


def test_messages_are_begun_a_few_at_a_time_and_urgent_ones_pass_those_that_wait() -> None:
    begun: list[int] = []

    async def attempt(message: ClaimedMessage) -> None:
        begun.append(message.id)

    async def run() -> None:
        flight = Flight(100, attempt, lambda _: None)
        flight.take(make_messages(3 * AT_ONCE))
        flight.take(make_messages(2, first=1000, priority=Priority.URGENT))
        await asyncio.sleep(0)
        assert len(begun) == AT_ONCE
        await flight.land()

    asyncio.run(run())

    assert begun[AT_ONCE : AT_ONCE + 2] == [1000, 1001]
    assert sorted(begun) == [*range(1, 3 * AT_ONCE + 1), 1000, 1001]


def test_what_waits_takes_room_too_and_what_ends_gives_it_back() -> None:
    sizes: list[int] = []

    async def run() -> None:
        gate = asyncio.Event()

        async def attempt(_: ClaimedMessage) -> None:
            await gate.wait()

        flight = Flight(30, attempt, sizes.append)
        flight.take(make_messages(20))
        assert (flight.size, flight.room) == (20, 10)
        landing = asyncio.create_task(flight.wait_for_landing())
        await asyncio.sleep(0)
        assert not landing.done()
        gate.set()
        await landing
        await flight.land()
        assert (flight.size, flight.room) == (0, 30)

    asyncio.run(run())

    assert sizes[0] == 20
    assert sizes[-1] == 0


def test_whoever_waits_for_a_landing_can_be_stirred() -> None:
    async def attempt(_: ClaimedMessage) -> None:
        raise AssertionError("nothing was taken")

    async def run() -> None:
        flight = Flight(1, attempt, lambda _: None)
        waiting = asyncio.create_task(flight.wait_for_landing())
        await asyncio.sleep(0)
        flight.stir()
        await waiting

    asyncio.run(run())


def test_what_is_abandoned_is_cancelled_and_the_rest_never_begun() -> None:
    begun: list[int] = []
    cancelled: list[int] = []

    async def attempt(message: ClaimedMessage) -> None:
        begun.append(message.id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(message.id)
            raise

    async def run() -> None:
        flight = Flight(100, attempt, lambda _: None)
        flight.take(make_messages(2 * AT_ONCE))
        await asyncio.sleep(0)
        flight.abandon()
        await flight.land()
        await asyncio.sleep(0)

    asyncio.run(run())

    assert begun == list(range(1, AT_ONCE + 1))
    assert sorted(cancelled) == begun
