"""What a worker has in flight: begun in small turns, those that hurry first."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from outbound_slo.vocabulary.statuses import Priority
from sender.outbox import ClaimedMessage
from sender.turns import AT_ONCE


class Flight:
    """Runs an attempt for each message that it takes.

    Taking returns at once, so that the next claim can be under way while the messages of the last
    one are begun, a few at a time: begun all together they would hold up the loop for everybody.

    Args:
        ceiling: Messages taken and not yet over.
        attempt: Makes one attempt.
        note_size: Told how many are taken, whenever that changes.

    """

    def __init__(
        self,
        ceiling: int,
        attempt: Callable[[ClaimedMessage], Coroutine[Any, Any, None]],
        note_size: Callable[[int], None],
    ) -> None:
        self._ceiling = ceiling
        self._attempt = attempt
        self._note_size = note_size
        self._waiting: deque[ClaimedMessage] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._beginning: asyncio.Task[None] | None = None
        self._landed = asyncio.Event()

    @property
    def size(self) -> int:
        """How many are taken and not yet over."""
        return len(self._waiting) + len(self._running)

    @property
    def room(self) -> int:
        """How many more may be taken."""
        return self._ceiling - self.size

    def take(self, messages: Sequence[ClaimedMessage]) -> None:
        """Take messages; urgent ones pass those that have not been begun."""
        urgent = [one for one in messages if one.priority == Priority.URGENT]
        self._waiting.extendleft(reversed(urgent))
        self._waiting.extend(one for one in messages if one.priority != Priority.URGENT)
        if self._beginning is None:
            self._begin_some()
            if self._waiting:
                self._beginning = asyncio.create_task(self._begin_in_turns())
        self._note_size(self.size)

    async def wait_for_landing(self) -> None:
        """Wait until something ends, or `stir` is called."""
        self._landed.clear()
        await self._landed.wait()

    def stir(self) -> None:
        """Let whoever waits for a landing look again."""
        self._landed.set()

    async def land(self) -> None:
        """Wait until everything taken is over."""
        while self._waiting or self._running:
            if self._running:
                await asyncio.wait(self._running)
            else:
                await asyncio.sleep(0)

    def abandon(self) -> None:
        """Cancel what is not over."""
        self._waiting.clear()
        for task in self._running:
            task.cancel()

    async def _begin_in_turns(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)
            self._begin_some()
        self._beginning = None

    def _begin_some(self) -> None:
        for _ in range(min(AT_ONCE, len(self._waiting))):
            task = asyncio.create_task(self._attempt(self._waiting.popleft()))
            self._running.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._note_size(self.size)
        self._landed.set()
