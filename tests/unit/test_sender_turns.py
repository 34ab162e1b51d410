"""Long work leaves the event loop to others between its pieces."""

import asyncio

from sender.turns import in_turns


def test_others_have_their_turn_after_every_few_items() -> None:
    story: list[str] = []
    tell = story.append

    async def work() -> None:
        async for item in in_turns(range(5), at_once=2):
            tell(str(item))

    async def wait_and_act() -> None:
        for _ in range(2):
            tell("other")
            await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(work(), wait_and_act())

    asyncio.run(run())

    assert story == ["0", "1", "other", "2", "3", "other", "4"]


def test_a_short_list_costs_no_turn() -> None:
    async def run() -> list[int]:
        other = asyncio.create_task(asyncio.sleep(0))
        items = [item async for item in in_turns([1, 2], at_once=2)]
        assert not other.done()
        await other
        return items

    assert asyncio.run(run()) == [1, 2]
