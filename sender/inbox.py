"""The inbox of webhooks: stored before they are answered, applied after, by whoever comes first."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.callbacks import Caller, read_news
from sender.faults import is_passing
from sender.intake import SILENCE_S, Arrival, Intake
from sender.journal import tell_receipt
from sender.metrics import SenderMetrics
from sender.outbox import Pool
from sender.reactions import Dispatch, Told, log_told, react
from sender.retelling import keep_stories, retell
from sender.sendgrid_events import keep_events, read_event_ids
from sender.settlement import Settled, Tidings, settle
from sender.turns import AT_ONCE, in_turns
from sender.webhook_spans import tell
from sender.wire import decode
from tracing.setup import Tracing

_log = structlog.get_logger()
_QUERIES = load_queries("sender", "sql/callbacks.sql")

BATCH = 200
"""Webhooks applied in one transaction at most."""

BEHIND_S = 2.0
"""Seconds that webhooks may wait in favour of what is being sent; older ones get larger turns."""

LARGE_TURN = 4 * AT_ONCE
"""Items of an inbox that is behind, before others get their turn on the event loop."""

BATCH_BYTES = 100_000
"""Size of their bodies as PostgreSQL stores them, long ones compressed to a tenth: four thousand
statuses or so. The first one is taken whatever its size."""

MAX_TRIES = 20
"""Tries to apply a stored webhook; after that it stays for a person to look at."""

GATHER_S = 0.02
"""Seconds that what is stored waits for more to apply with it, unless a batch is full already."""

IDLE_S = 5.0
"""Seconds between looks for webhooks that another process stored and did not apply."""

KEEP_S = 7 * 86400.0
"""Seconds that applied webhooks are kept: as long as Meta repeats one that was not answered."""

PURGE_ROWS = 5000
"""Rows removed in one statement, so that none holds others up for long."""


@dataclass(frozen=True, slots=True)
class _Webhook:
    id: int
    caller: Caller
    signed_by: tuple[str, ...] | None
    received_at: datetime
    body: str


class Inbox:
    """Stores and applies webhooks."""

    def __init__(
        self,
        pool: Pool,
        tracing: Tracing,
        policy: ErrorPolicy,
        metrics: SenderMetrics,
        silence_s: float = SILENCE_S,
    ) -> None:
        """Use the sender's pool; without a webhook for `silence_s` seconds they are silent."""
        self._pool = pool
        self._tracing = tracing
        self._policy = policy
        self._metrics = metrics
        self._news = asyncio.Event()
        self._intake = Intake(pool, self._news.set, silence_s)

    async def store(self, arrival: Arrival) -> None:
        """Keep a webhook; when this returns it is safe to answer the provider.

        Raises:
            psycopg.Error: It is not stored.

        """
        await self._intake.store(arrival)

    async def note_rejected(self, caller: Caller) -> None:
        """Note that a webhook was refused for its signature: re-sends hold then."""
        await self._intake.note_rejected(caller)

    async def run(self) -> None:
        """Apply webhooks until cancelled."""
        while True:
            self._news.clear()
            try:
                while taken := await self.apply_some():
                    if taken < BATCH:
                        await asyncio.sleep(GATHER_S)
            except psycopg.Error as fault:
                _log.warning("applying webhooks failed, trying again", error=type(fault).__name__)
                await asyncio.sleep(1.0)
                continue
            except Exception:  # noqa: BLE001 - the inbox must outlive any one webhook
                _log.exception("applying webhooks crashed, trying again")
                await asyncio.sleep(1.0)
                continue
            try:
                await asyncio.wait_for(self._news.wait(), IDLE_S)
            except TimeoutError:
                continue

    async def apply_some(self) -> int:
        """Apply up to `BATCH` stored webhooks.

        A batch that can't be applied is split, so that one bad webhook holds up nobody.

        Returns:
            How many were taken.

        """
        try:
            return await self._apply(BATCH)
        except psycopg.errors.DeadlockDetected:
            # One webhook takes its locks in order, so it gets through where a batch did not.
            return await self._apply(1)
        except psycopg.Error as fault:
            if is_passing(fault):
                raise
            return await self._apply(1, give_up=True)
        except Exception:  # noqa: BLE001 - a webhook that we can't read is set aside like a refused one
            return await self._apply(1, give_up=True)

    async def _apply(self, limit: int, *, give_up: bool = False) -> int:
        """Take and apply webhooks in one transaction; spans and counters follow its commit."""
        started_ns = time.time_ns()
        async with self._pool.connection() as connection:
            webhooks = await self._take(connection, limit)
            if not webhooks:
                return 0
            at_once = _measure_turn(webhooks[0], time.time())
            try:
                if give_up:
                    # A savepoint: the webhook stays locked when a statement fails.
                    async with connection.transaction():
                        settled, stories, told = await self._apply_all(
                            connection, webhooks, at_once
                        )
                else:
                    settled, stories, told = await self._apply_all(connection, webhooks, at_once)
            except Exception as fault:
                if not give_up or (isinstance(fault, psycopg.Error) and is_passing(fault)):
                    raise
                [bad] = webhooks
                _log.exception("webhook can't be applied", webhook=bad.id)
                await connection.execute(
                    _QUERIES["fail_webhook"].encode(), {"id": bad.id, "error": str(fault)[:500]}
                )
                return 1
            await connection.execute(
                _QUERIES["finish_webhooks"].encode(), {"ids": [webhook.id for webhook in webhooks]}
            )
        self._count(settled, told)
        retell(self._tracing, stories)
        for one in settled:
            tell_receipt(one)
        log_told(told)
        await tell(self._tracing, settled, started_ns, at_once)
        return len(webhooks)

    async def _take(self, connection: AsyncConnection[Any], limit: int) -> list[_Webhook]:
        await connection.execute(_QUERIES["plan_by_index"].encode())
        cursor = await connection.execute(
            _QUERIES["take_webhooks"].encode(),
            {"limit": limit, "max_tries": MAX_TRIES, "bytes": BATCH_BYTES},
        )
        return [
            _Webhook(
                number,
                Caller(provider),
                None if signed_by is None else tuple(signed_by),
                received_at,
                body,
            )
            for number, provider, body, signed_by, received_at in await cursor.fetchall()
        ]

    async def _apply_all(
        self, connection: AsyncConnection[Any], webhooks: Sequence[_Webhook], at_once: int
    ) -> tuple[list[Settled], list[dict[str, Any]], Told]:
        dispatches: list[Dispatch] = []
        tidings: list[Tidings] = []
        async for webhook in in_turns(webhooks, at_once):
            caller, signed_by = webhook.caller, webhook.signed_by
            body = decode(webhook.body)
            if caller is Caller.SENDGRID:
                body = await self._leave_out_known(connection, body)
            news = read_news(caller, body, webhook.received_at.timestamp(), self._policy)
            dispatches.append(Dispatch(caller, signed_by, news))
            tidings += [
                Tidings(caller, signed_by, webhook.received_at, receipt)
                for receipt in news.receipts
            ]
        settled, stories = await keep_stories(
            connection, await settle(connection, tidings), self._tracing
        )
        return settled, stories, await react(connection, dispatches)

    async def _leave_out_known(self, connection: AsyncConnection[Any], body: object) -> object:
        cursor = await connection.execute(
            _QUERIES["keep_new_events"].encode(),
            {"provider": Caller.SENDGRID.value, "ids": read_event_ids(body)},
        )
        return keep_events(body, {name for (name,) in await cursor.fetchall()})

    def _count(self, settled: Sequence[Settled], told: Told) -> None:
        effects = Counter((one.tidings.caller, one.effect) for one in settled)
        for (caller, effect), count in effects.items():
            self._metrics.receipts.labels(caller.value, effect.value).inc(count)
        for provider, kind, severity, *_ in told.notices:
            self._metrics.provider_notices.labels(provider, kind, severity).inc()
        for channel, stop in told.wishes:
            wish = "stop" if stop else "resume"
            self._metrics.recipient_wishes.labels(channel.lower(), wish).inc()

    async def purge(self) -> None:
        """Remove applied webhooks that are older than `KEEP_S`, and ids that come no more."""
        async with self._pool.connection() as connection:
            await connection.execute(_QUERIES["purge_events"].encode())
        removed = PURGE_ROWS
        while removed == PURGE_ROWS:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(
                    _QUERIES["purge_webhooks"].encode(), {"keep_s": KEEP_S, "limit": PURGE_ROWS}
                )
                removed = cursor.rowcount


def _measure_turn(oldest: _Webhook, now: float) -> int:
    behind = now - oldest.received_at.timestamp() > BEHIND_S
    return LARGE_TURN if behind else AT_ONCE
