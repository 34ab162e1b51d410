"""What a sender says of itself every few seconds, for people who ask whether anybody sends."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg
import structlog
from psycopg.types.json import Jsonb

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.statuses import Channel
from sender.breaker import BreakerState
from sender.outbox import Pool

_log = structlog.get_logger()
_QUERIES = load_queries("sender", "sql/heartbeat.sql")

BEAT_S = 5.0
"""Seconds between beats."""

SILENT_S = 20.0
"""A sender of which nothing was heard for so long is taken for gone: four beats are missing."""

_GOODBYE_S = 1.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """One sender process at one moment.

    Attributes:
        worker: Its name, as attempts have it.
        version: Of this product.
        uptime_s: Seconds since it started.
        claiming: Whether it takes messages; false while it stops.
        in_flight: Messages that it has taken and not settled.
        breakers: State of the circuit breaker of each channel that it serves.

    """

    worker: str
    version: str
    uptime_s: float
    claiming: bool
    in_flight: int
    breakers: Mapping[Channel, BreakerState]


async def keep_beating(pool: Pool, feel: Callable[[], Pulse]) -> None:
    """Write what `feel` gives until cancelled, over outages of the database."""
    while True:
        pulse = feel()
        try:
            async with pool.connection() as connection:
                await connection.execute(_QUERIES["beat"].encode(), _write_pulse(pulse))
        except psycopg.Error as fault:
            _log.warning("could not tell that this sender lives", error=type(fault).__name__)
        await asyncio.sleep(BEAT_S)


def _write_pulse(pulse: Pulse) -> dict[str, object]:
    return {
        "worker": pulse.worker,
        "version": pulse.version,
        "uptime_s": pulse.uptime_s,
        "claiming": pulse.claiming,
        "in_flight": pulse.in_flight,
        "breakers": Jsonb(
            {channel.value: state.name.lower() for channel, state in pulse.breakers.items()}
        ),
    }


async def sign_off(pool: Pool, worker: str) -> None:
    """Take this sender's row away; without a database it stays, and is forgotten in a day."""
    try:
        async with pool.connection(timeout=_GOODBYE_S) as connection:
            await connection.execute(_QUERIES["sign_off"].encode(), {"worker": worker})
    except psycopg.Error as fault:
        _log.warning("could not say goodbye", error=type(fault).__name__)
