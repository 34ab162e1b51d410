"""The bell: a connection that listens, so that a sleeping sender starts at once."""

import asyncio

import psycopg
import structlog

_log = structlog.get_logger()

_PAUSE_S = 1.0
"""Seconds before a lost connection is made anew; until then polling does without the bell."""


class Bell:
    """Rings when a message was queued while some sender slept."""

    def __init__(self, conninfo: str) -> None:
        """Listen at the sender's own database."""
        self._conninfo = conninfo
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever waits: the database said so, or this process itself has news."""
        self._rung.set()

    def silence(self) -> None:
        """Forget what rang before, on going to look."""
        self._rung.clear()

    async def wait(self, seconds: float) -> bool:
        """Wait for the bell; tells whether it rang within `seconds`."""
        try:
            await asyncio.wait_for(self._rung.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def listen(self) -> None:
        """Listen until cancelled, over outages of the database."""
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo,
                    autocommit=True,
                    connect_timeout=10,
                    application_name="outbound-slo sender bell",
                )
                async with connection:
                    await connection.execute("LISTEN outbound_message")
                    # What came while nobody listened.
                    self.ring()
                    async for _ in connection.notifies():
                        self.ring()
            except psycopg.Error as fault:
                _log.debug("the bell is out of order", error=type(fault).__name__)
            await asyncio.sleep(_PAUSE_S)
