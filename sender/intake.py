"""Storing webhooks before they are answered: those that come together go in together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
import structlog

from outbound_slo.database import load_queries
from sender.callbacks import Caller
from sender.faults import is_passing
from sender.outbox import Pool, hurry

_log = structlog.get_logger()
_QUERIES = load_queries("sender", "sql/callbacks.sql")

MOST = 200
"""Webhooks stored in one transaction."""

MOST_CHARACTERS = 4_000_000
"""Length of the bodies stored in one transaction, unless one alone is longer."""

PATIENCE_S = 2.5
"""Seconds that a webhook waits for the database: less than its server grants it at the end."""

SILENCE_S = 60.0
"""Seconds without a webhook after which re-sends hold, unless a setting says otherwise."""

GATHER_S = 0.005
"""Seconds that a webhook waits for others: a commit costs more than the bodies in it."""

HEALTH_S = 1.0
"""Seconds between two notes of a provider's health by one process, as rules ask for minutes."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A webhook whose signature was found good; `body` is JSON, `signed_by` as `Signer.owners`."""

    caller: Caller
    body: str
    signed_by: tuple[str, ...] | None = None


class Intake:
    """Stores arrivals; a transaction at a time, with all that came while the last one ran."""

    def __init__(self, pool: Pool, announce: Callable[[], None], silence_s: float) -> None:
        """Call `announce` after each transaction that stored something.

        Args:
            pool: The sender's connections.
            announce: Called often, so it only sets a sign.
            silence_s: Seconds without a webhook that count as their silence.

        """
        self._pool = pool
        self._silence_s = silence_s
        self._announce = announce
        self._waiting: deque[tuple[Arrival, asyncio.Future[None]]] = deque()
        self._storing: asyncio.Task[None] | None = None
        self._accepted_noted: dict[Caller, float] = {}
        self._rejected_noted: dict[Caller, float] = {}

    async def store(self, arrival: Arrival) -> None:
        """Keep a webhook; when this returns it is safe to answer the provider.

        Raises:
            psycopg.Error: It is not stored; an OperationalError if it took `PATIENCE_S`, after
                which it may be stored all the same.

        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, stored))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_waiting())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await stored
        except TimeoutError:
            raise psycopg.OperationalError("a webhook waited too long for the database") from None

    async def note_rejected(self, caller: Caller) -> None:
        """Note that a webhook was refused for its signature; the database may be away."""
        now = time.monotonic()
        if now - self._rejected_noted.get(caller, float("-inf")) < HEALTH_S:
            return
        self._rejected_noted[caller] = now
        try:
            async with asyncio.timeout(PATIENCE_S), self._pool.connection() as connection:
                await connection.execute(
                    _QUERIES["note_rejected"].encode(), {"provider": caller.value}
                )
        except (psycopg.Error, TimeoutError) as fault:
            _log.warning("refused webhook not noted", error=type(fault).__name__)

    async def _store_waiting(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(GATHER_S)
                batch = self._take_batch()
                if not batch:
                    continue
                try:
                    await self._insert([arrival for arrival, _ in batch])
                except psycopg.Error as fault:
                    await self._store_apart(batch, fault)
                else:
                    _settle(batch, None)
        finally:
            self._storing = None
            # Only a cancelled process leaves any: nobody is answered that all is well.
            _settle(list(self._waiting), psycopg.OperationalError("the sender is stopping"))
            self._waiting.clear()

    def _take_batch(self) -> list[tuple[Arrival, asyncio.Future[None]]]:
        """Take what fits into one transaction, less what was given up: its provider repeats it."""
        batch: list[tuple[Arrival, asyncio.Future[None]]] = []
        length = 0
        while self._waiting and len(batch) < MOST:
            arrival, stored = self._waiting[0]
            if not stored.done():
                length += len(arrival.body)
                if batch and length > MOST_CHARACTERS:
                    break
                batch.append((arrival, stored))
            self._waiting.popleft()
        return batch

    async def _store_apart(
        self, batch: Sequence[tuple[Arrival, asyncio.Future[None]]], fault: psycopg.Error
    ) -> None:
        """Let one webhook that the database refuses be nobody else's trouble."""
        if len(batch) == 1 or is_passing(fault):
            _settle(batch, fault)
            return
        for one in batch:
            try:
                await self._insert([one[0]])
            except psycopg.Error as own_fault:
                _settle([one], own_fault)
            else:
                _settle([one], None)

    async def _insert(self, arrivals: Sequence[Arrival]) -> None:
        by_signer: dict[tuple[str, ...] | None, list[Arrival]] = {}
        for arrival in arrivals:
            by_signer.setdefault(arrival.signed_by, []).append(arrival)
        now = time.monotonic()
        due = {
            arrival.caller
            for arrival in arrivals
            if now - self._accepted_noted.get(arrival.caller, float("-inf")) >= HEALTH_S
        }
        async with self._pool.connection() as connection, hurry(connection):
            for signed_by, group in by_signer.items():
                await connection.execute(
                    _QUERIES["store_webhooks"].encode(),
                    {
                        "providers": [arrival.caller.value for arrival in group],
                        "bodies": [arrival.body for arrival in group],
                        "signed_by": None if signed_by is None else list(signed_by),
                    },
                )
            if due:
                await connection.execute(
                    _QUERIES["note_accepted"].encode(),
                    {
                        "providers": [caller.value for caller in due],
                        "silence_s": self._silence_s,
                    },
                )
        self._accepted_noted.update(dict.fromkeys(due, now))
        self._announce()


def _settle(
    batch: Sequence[tuple[Arrival, asyncio.Future[None]]], fault: psycopg.Error | None
) -> None:
    for _, stored in batch:
        if stored.done():
            # Its request was given up meanwhile.
            continue
        if fault is None:
            stored.set_result(None)
        else:
            stored.set_exception(fault)
