"""Upkeep: what has to happen now and then, by whichever process comes first."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import structlog

from outbound_slo.vocabulary.statuses import Channel, MessageStatus
from sender.audit import FORGET, FORGET_AT_ONCE, KEEP_DAYS
from sender.inbox import Inbox
from sender.metrics import SenderMetrics
from sender.outbox import Pool, count_held, expire, recover, renew_quotas, wake_forgotten
from sender.retelling import tell_lost
from tracing.setup import Tracing

_log = structlog.get_logger()

UPKEEP_S = 30.0
"""Longest time between sweeps in seconds; a tenth of the recovery window where that is shorter."""

_LOOK_BACK = 4
"""Sweeps that may be missed before the story of a killed sender's attempt is not told any more."""

TIDY_S = 5.0
"""Longest time between looks for messages that expired or were forgotten."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When an attempt of which nothing is heard counts as lost; seconds.

    Attributes:
        window_s: In SENDING.
        silence_s: Without any webhook of its provider, as long as which it does not.

    """

    window_s: float
    silence_s: float


async def keep_up(
    pool: Pool,
    inbox: Inbox,
    metrics: SenderMetrics,
    tracing: Tracing,
    patience: Patience,
    is_settling: Callable[[], bool],
) -> None:
    """Sweep until cancelled, over outages of the database.

    Args:
        pool: The sender's connections.
        inbox: Where old webhooks are dropped.
        metrics: Where recoveries are counted.
        tracing: Where attempts are told of whose process has ended.
        patience: When an attempt counts as lost.
        is_settling: Whether this process still writes its own results; then it takes none for lost.

    """
    every = min(UPKEEP_S, patience.window_s / 10)
    due = time.monotonic()
    while True:
        try:
            await _tidy(pool)
            if time.monotonic() >= due and is_settling():
                await _sweep(pool, inbox, metrics, tracing, patience)
                due = time.monotonic() + every
        except psycopg.Error as fault:
            _log.warning("upkeep failed, trying again", error=type(fault).__name__)
        await asyncio.sleep(min(TIDY_S, every))


async def _tidy(pool: Pool) -> None:
    """End expired messages, wake forgotten ones."""
    while ended := await expire(pool):
        _log.warning("ended messages that expired before they could be sent", count=ended)
    while woken := await wake_forgotten(pool):
        _log.info("woke messages that nothing is in flight for", count=woken)


async def _sweep(
    pool: Pool, inbox: Inbox, metrics: SenderMetrics, tracing: Tracing, patience: Patience
) -> None:
    """Recover stale messages (000), start quota windows, drop what is old: webhooks, kept rows."""
    recovered = await recover(pool, window_s=patience.window_s, silence_s=patience.silence_s)
    for number, status in recovered.items():
        result = "requeued" if status is MessageStatus.QUEUED else "failed"
        metrics.recovered.labels(result).inc()
        _log.warning("recovered a stale message", messageId=number, status=status.value)
    await tell_lost(pool, tracing, window_s=patience.window_s, back_s=_LOOK_BACK * UPKEEP_S)
    held = await count_held(pool, window_s=patience.window_s)
    for channel in Channel:
        metrics.resends_held.labels(channel.label).set(held.get(channel, 0))
    if held:
        _log.warning(
            "not sent again while webhooks are silent or refused", count=sum(held.values())
        )
    await renew_quotas(pool)
    await inbox.purge()
    async with pool.connection() as connection:
        await connection.execute(FORGET.encode(), {"days": KEEP_DAYS, "limit": FORGET_AT_ONCE})
