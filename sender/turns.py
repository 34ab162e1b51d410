"""Turns on the event loop: long work is done in small pieces, so that nothing urgent waits for it.

Whatever a piece of work does without an `await` delays every message in flight, an urgent one
among them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

AT_ONCE = 8
"""Items worked on before others get their turn: a few milliseconds' work at most."""

Item = TypeVar("Item")


async def in_turns(items: Iterable[Item], at_once: int = AT_ONCE) -> AsyncIterator[Item]:
    """Give items one by one, and the loop to others after every so many."""
    for number, item in enumerate(items):
        if number and number % at_once == 0:
            await asyncio.sleep(0)
        yield item
