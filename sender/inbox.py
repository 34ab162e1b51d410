"""The inbox of webhooks: stored before they are answered, applied after, by whoever comes first."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import Channel, MessageStatus
from sender.callbacks import Inbound, Receipt, read_meta_inbound, read_receipts
from sender.faults import is_passing
from sender.outbox import Pool
from sender.storable import make_storable
from tracing.propagation import NEW_TRACE, context_from
from tracing.setup import Tracing

_log = structlog.get_logger()
_QUERIES = load_queries("sender", "sql/callbacks.sql")

_CHANNELS = {"whatsapp": Channel.WHATSAPP, "twilio": Channel.SMS}

BATCH = 50
"""Webhooks applied in one transaction."""

MAX_TRIES = 20
"""Tries to apply a stored webhook; after that it stays for a person to look at."""

IDLE_S = 5.0
"""Seconds between looks for webhooks that another process stored and did not apply."""


def judge_repetition(said: str, old_status: str, was_read: bool) -> Tag | None:
    """Say why a receipt changed nothing.

    Args:
        said: What it brings: SENT, DELIVERED, READ or FAILED.
        old_status: The message's status before.
        was_read: The message was known as read.

    Returns:
        The tag for a repeated or a late receipt; None for one that only confirms what the
        provider's answer had told.

    """
    if said == "READ" or (said == old_status and said != MessageStatus.SENT.value):
        late = was_read and said == MessageStatus.DELIVERED.value
        return Tag.WEBHOOK_OUT_OF_ORDER if late else Tag.WEBHOOK_DUPLICATE
    return None if said == old_status else Tag.WEBHOOK_OUT_OF_ORDER


class Inbox:
    """Stores and applies webhooks."""

    def __init__(self, pool: Pool, tracing: Tracing, policy: ErrorPolicy) -> None:
        """Use the sender's pool."""
        self._pool = pool
        self._tracing = tracing
        self._policy = policy
        self._news = asyncio.Event()

    async def store(self, provider: str, body: Mapping[str, Any]) -> None:
        """Keep a webhook; when this returns it is safe to answer the provider."""
        async with self._pool.connection() as connection:
            await connection.execute(
                _QUERIES["store_webhook"].encode(),
                {"provider": provider, "body": Jsonb(make_storable(body))},
            )
        self._news.set()

    async def run(self) -> None:
        """Apply webhooks until cancelled."""
        while True:
            self._news.clear()
            try:
                while await self.apply_some():
                    pass
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
        story: list[tuple[Mapping[str, Any], datetime, int]] = []
        async with self._pool.connection() as connection:
            await connection.execute(_QUERIES["plan_by_index"].encode())
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(
                _QUERIES["take_webhooks"].encode(), {"limit": limit, "max_tries": MAX_TRIES}
            )
            rows = await cursor.fetchall()
            if not rows:
                return 0
            try:
                async with connection.transaction():
                    for row in rows:
                        story.extend(await self._apply_one(connection, row))
            except Exception as fault:
                if not give_up or (isinstance(fault, psycopg.Error) and is_passing(fault)):
                    raise
                _log.exception("webhook can't be applied", webhook=rows[0]["id"])
                await connection.execute(
                    _QUERIES["fail_webhook"].encode(),
                    {"id": rows[0]["id"], "error": str(fault)[:500]},
                )
                return len(rows)
            await connection.execute(
                _QUERIES["finish_webhooks"].encode(), {"ids": [row["id"] for row in rows]}
            )
        for update, received_at, started in story:
            self._tell(update, received_at, started)
        return len(rows)

    async def _apply_one(
        self, connection: AsyncConnection[Any], row: DictRow
    ) -> list[tuple[Mapping[str, Any], datetime, int]]:
        started = time.time_ns()
        received_s = row["received_at"].timestamp()
        receipts = read_receipts(row["provider"], row["body"], received_s, self._policy)
        if row["provider"] == "whatsapp":
            await self._keep_inbound(connection, read_meta_inbound(row["body"], received_s))
        channel = _CHANNELS[row["provider"]]
        updates = await self._settle(connection, receipts, channel) if receipts else []
        return [(update, row["received_at"], started) for update in updates]

    async def _settle(
        self, connection: AsyncConnection[Any], receipts: Sequence[Receipt], channel: Channel
    ) -> list[DictRow]:
        cursor = connection.cursor(row_factory=dict_row)
        rows = json.dumps([asdict(receipt) for receipt in receipts])
        await cursor.execute(
            _QUERIES["apply_receipts"].encode(), {"rows": rows, "channel": channel.value}
        )
        return await cursor.fetchall()

    async def _keep_inbound(
        self, connection: AsyncConnection[Any], inbound: Sequence[Inbound]
    ) -> None:
        if not inbound:
            return
        cursor = await connection.execute(_QUERIES["organisations_of_numbers"].encode())
        organisations = dict(await cursor.fetchall())
        known = [
            asdict(message) | {"org_id": organisations[message.phone_number_id]}
            for message in inbound
            if message.phone_number_id in organisations
        ]
        if len(known) < len(inbound):
            _log.warning("inbound messages to unknown numbers", count=len(inbound) - len(known))
        rows = json.dumps(known)
        await connection.execute(_QUERIES["store_inbound"].encode(), {"rows": rows})
        await connection.execute(_QUERIES["open_windows"].encode(), {"rows": rows})

    def _tell(self, update: Mapping[str, Any], received_at: datetime, started: int) -> None:
        """Continue the attempt's own trace, whichever POST the receipt came in."""
        identity: dict[Tag, object] = {
            Tag.WEBHOOK: True,
            Tag.MESSAGE_ID: update["id"],
            Tag.PROVIDER_MESSAGE_ID: update["provider_id"],
        }
        parent = context_from(update["traceparent"]) or NEW_TRACE
        arrival = int(received_at.timestamp() * 1e9)
        hop = self._tracing.span(
            SpanName.WEBHOOK_IN, identity, parent=parent, start_ns=min(arrival, started)
        )
        with (
            hop,
            self._tracing.span(SpanName.WEBHOOK_PROCESS, identity, start_ns=started) as process,
        ):
            if not update["moved"]:
                reason = judge_repetition(update["said"], update["old_status"], update["was_read"])
                if reason is not None:
                    process.tag(reason, value=True)
            tags: dict[Tag, object] = {
                Tag.NEW_STATUS: update["said"],
                Tag.ERROR_CODE: update["failure_code"],
            }
            with self._tracing.span(SpanName.STATUS_UPDATE, tags) as change:
                if update["said"] == MessageStatus.FAILED.value:
                    change.fail("delivery_failed")

    async def purge(self) -> None:
        """Remove applied webhooks that are older than seven days."""
        async with self._pool.connection() as connection:
            await connection.execute(_QUERIES["purge_webhooks"].encode())
