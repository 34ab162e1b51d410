"""Timers by the thousand: what falls due within the same few milliseconds shares one timer."""

import asyncio
from collections.abc import Callable

GRAIN_SECONDS = 0.002
"""How late a call may come: short against any latency that a sender could notice."""


class TimerWheel:
    """Calls functions later, never too early and at most one grain too late.

    A timer of its own for each of a thousand answers a second costs more than the answer: the
    loop would wake for every one of them.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, grain_seconds: float = GRAIN_SECONDS
    ) -> None:
        """Turn with the clock of `loop`."""
        self._loop = loop
        self._grain = grain_seconds
        self._slots: dict[int, list[Callable[[], None]]] = {}

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call a function in `delay` seconds."""
        slot = int((self._loop.time() + delay) / self._grain) + 1
        waiting = self._slots.get(slot)
        if waiting is None:
            waiting = self._slots[slot] = []
            self._loop.call_at(slot * self._grain, self._turn, slot)
        waiting.append(callback)

    def stop(self) -> None:
        """Forget every call that still waits."""
        self._slots.clear()

    def _turn(self, slot: int) -> None:
        """Make the calls of one slot; one that fails is reported and keeps none from its turn."""
        for callback in self._slots.pop(slot, ()):
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - reported by the loop, as for its own timers
                self._loop.call_exception_handler(
                    {"message": "a call of the timer wheel failed", "exception": error}
                )
