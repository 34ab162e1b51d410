"""Secrets of organisations: what signs their webhooks, and the tokens that send their messages.

Both lie encrypted in `whatsapp_provider_config` (pgcrypto), where 001 rotates them in SQL; the
environment has the platform's own. No text of theirs is in a repr, a log line or an error.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import psycopg_pool
import structlog

from outbound_slo.database import load_queries
from sender.outbox import Pool

_log = structlog.get_logger()
_QUERIES = load_queries("sender", "sql/secrets.sql")

KEEP_S = 30.0
"""Seconds that what was read from the database is used before it is read again."""

CONNECTION_S = 1.0
"""Seconds that a webhook's check waits for a connection before it makes do with what it knows."""

LOOK_AGAIN_S = 1.0
"""Shortest time between two readings that a failure causes, so that forgers cost little."""


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """One secret that a webhook may be signed with.

    Attributes:
        text: The secret.
        owners: Organisations that it speaks for; None for the environment's: all of them.
        marks: Ids of the owners' accounts and numbers, which a webhook of theirs names.

    """

    text: str = field(repr=False)
    owners: tuple[str, ...] | None = None
    marks: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed a webhook; `owners` as in `WebhookSecret`."""

    owners: tuple[str, ...] | None


class SecretStore:
    """The secrets that a webhook may be signed with now."""

    def __init__(self, pool: Pool, *, fixed: Sequence[str], key: str) -> None:
        """Accept `fixed` always, and what `whatsapp_provider_config` holds if there is a key."""
        self._pool = pool
        self._fixed = tuple(WebhookSecret(text) for text in fixed)
        self._key = key
        self._stored: tuple[WebhookSecret, ...] = ()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def any_known(self) -> bool:
        """Tell whether there is any secret to check with."""
        return bool(await self._current())

    async def find_signer(self, raw: bytes, verify: Callable[[str], bool]) -> Signer | None:
        """Find whose secret signed a body; None if no accepted one did.

        Looks into the database once more before it gives up: a rotation may just have happened.

        Args:
            raw: The body; the secrets of organisations that it names are tried first.
            verify: Tells whether a secret made the signature, in constant time.

        """
        tried = await self._current()
        signer = _try_all(tried, raw, verify)
        if signer is None and await self._look_again():
            signer = _try_all(set(self._stored) - set(tried), raw, verify)
        return signer

    async def _current(self) -> tuple[WebhookSecret, ...]:
        if self._key and time.monotonic() - self._read_at > KEEP_S:
            await self._read(KEEP_S)
        return self._fixed + self._stored

    async def _look_again(self) -> bool:
        if not self._key or time.monotonic() - self._read_at < LOOK_AGAIN_S:
            return False
        await self._read(LOOK_AGAIN_S)
        return True

    async def _read(self, younger_than_s: float) -> None:
        async with self._reading:
            if time.monotonic() - self._read_at < younger_than_s:
                return
            try:
                # A webhook waits for it, and after that to be stored.
                async with self._pool.connection(timeout=CONNECTION_S) as connection:
                    cursor = await connection.execute(
                        _QUERIES["read_webhook_secrets"].encode(), {"key": self._key}
                    )
                    rows = await cursor.fetchall()
                self._stored = self._build(rows)
            except (psycopg.Error, psycopg_pool.PoolTimeout) as fault:
                # The text of such an error may quote the key; its class says enough.
                _log.warning("webhook secrets can't be read", error=type(fault).__name__)
            self._read_at = time.monotonic()

    def _build(self, rows: Iterable[tuple[Any, ...]]) -> tuple[WebhookSecret, ...]:
        fixed = {secret.text for secret in self._fixed}
        found: list[WebhookSecret] = []
        for text, owners, marks, unreadable in rows:
            if unreadable:
                _log.warning("webhook secrets do not fit OUTBOUND_SECRETS_KEY", org_ids=owners)
            elif text not in fixed:
                known = tuple(mark.encode() for mark in marks if mark)
                found.append(WebhookSecret(text, tuple(owners), known))
        return tuple(found)


def _try_all(
    secrets: Iterable[WebhookSecret], raw: bytes, verify: Callable[[str], bool]
) -> Signer | None:
    """Try the platform's secrets, then those of whom the body names, then the others."""

    def rank(secret: WebhookSecret) -> int:
        if secret.owners is None:
            return 0
        return 1 if any(mark in raw for mark in secret.marks) else 2

    for secret in sorted(secrets, key=rank):
        if verify(secret.text):
            return Signer(secret.owners)
    return None


class CredentialsUnreadableError(Exception):
    """An organisation has a token of its own and it can't be read; never says more."""


@dataclass(frozen=True, slots=True)
class _HeldToken:
    text: str | None = field(repr=False)
    read_at: float


class TokenStore:
    """The access tokens with which organisations send, for those that have their own."""

    def __init__(self, pool: Pool, *, key: str) -> None:
        """Read nothing if there is no key: then no organisation has a token of its own."""
        self._pool = pool
        self._key = key
        self._held: dict[str, _HeldToken] = {}
        self._reading = asyncio.Lock()

    async def find(self, org_id: str) -> str | None:
        """Give an organisation's own token; None if it has none. May be `KEEP_S` old.

        Raises:
            CredentialsUnreadableError: The database does not answer, or the key does not fit.

        """
        if not self._key:
            return None
        held = self._held.get(org_id)
        if held is None or time.monotonic() - held.read_at > KEEP_S:
            return await self._read(org_id, KEEP_S)
        return held.text

    async def replace_refused(self, org_id: str, refused: str) -> str | None:
        """Give another token than the one that the provider refused; None if there is none.

        Raises:
            CredentialsUnreadableError: As for `find`.

        """
        if not self._key:
            return None
        found = await self._read(org_id, LOOK_AGAIN_S)
        return found if found != refused else None

    async def _read(self, org_id: str, younger_than_s: float) -> str | None:
        async with self._reading:
            held = self._held.get(org_id)
            if held is not None and time.monotonic() - held.read_at < younger_than_s:
                return held.text
            try:
                async with self._pool.connection() as connection:
                    cursor = await connection.execute(
                        _QUERIES["read_access_token"].encode(),
                        {"key": self._key, "org_id": org_id},
                    )
                    row = await cursor.fetchone()
            except (psycopg.Error, psycopg_pool.PoolTimeout) as fault:
                _log.warning(
                    "access token can't be read", org_id=org_id, error=type(fault).__name__
                )
                if held is not None and isinstance(fault, psycopg.OperationalError):
                    return held.text
                raise CredentialsUnreadableError(org_id) from None
            text = None if row is None else row[0]
            if row is not None and text is None:
                _log.warning("access token does not fit OUTBOUND_SECRETS_KEY", org_id=org_id)
                raise CredentialsUnreadableError(org_id)
            self._held[org_id] = _HeldToken(text, time.monotonic())
            return text
