"""Webhook secrets: from the environment, and from the database where 001 rotates them in SQL."""

import time
from collections.abc import Sequence

import psycopg
import psycopg_pool
import structlog

from outbound_slo.database import load_queries
from sender.outbox import Pool

_log = structlog.get_logger()
_QUERIES = load_queries("sender", "sql/callbacks.sql")

KEEP_S = 30.0
"""Seconds that secrets read from the database are used before they are read again."""

LOOK_AGAIN_S = 1.0
"""Shortest time between two readings that a wrong signature causes, so that forgers cost little."""


class SecretStore:
    """The secrets that a webhook may be signed with now."""

    def __init__(self, pool: Pool, *, fixed: Sequence[str], key: str) -> None:
        """Accept `fixed` always, and what `whatsapp_provider_config` holds if there is a key."""
        self._pool = pool
        self._fixed = tuple(fixed)
        self._key = key
        self._stored: tuple[str, ...] = ()
        self._read_at = float("-inf")

    async def current(self) -> tuple[str, ...]:
        """Give every secret that is accepted; those of the database may be `KEEP_S` old."""
        if self._key and time.monotonic() - self._read_at > KEEP_S:
            await self._read()
        return self._fixed + self._stored

    async def look_again(self) -> bool:
        """Read the database once more, since a rotation may just have happened.

        Returns:
            Whether it was read; false when that was done a moment ago or there is no key.

        """
        if not self._key or time.monotonic() - self._read_at < LOOK_AGAIN_S:
            return False
        await self._read()
        return True

    async def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(
                    _QUERIES["read_secrets"].encode(), {"key": self._key}
                )
                self._stored = tuple(secret for (secret,) in await cursor.fetchall())
        except (psycopg.Error, psycopg_pool.PoolTimeout) as fault:
            # The text of such an error may quote the key; its class says enough.
            _log.warning("webhook secrets can't be read", error=type(fault).__name__)
