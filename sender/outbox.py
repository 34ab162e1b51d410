"""The sender's side of the outbox: claim, settle, recover. One statement, one round trip each."""

import json
import select
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from datetime import time
from typing import Any

import orjson
import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.statuses import (
    AttemptOutcome,
    Channel,
    MessageStatus,
    Priority,
    Turn,
)
from sender.lanes import Candidate, LaneKey, LaneState, Share, Verdict
from sender.storable import clean_text
from tracing.sampling import ALWAYS, Sampler

_QUERIES = load_queries("sender", "sql/outbox.sql")

Pool = AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message that this process holds, with what the checks before a send need.

    Attributes:
        attempt_no: Number of this attempt over the message's life.
        attempt_count: Attempts of the budget used, this one included.
        consent: The recipient's consent for the channel; None where there is no record.
        window_open: Whether the 24-hour window is open; None where the recipient never wrote.
        quota_wait_s: Seconds until the used-up quota resets; None while some is left.
        throttle_wait_s: Seconds that the organisation is throttled for; None if it is not.
        priority: 0 urgent, 1 normal, 2 bulk.
        expired: Its `expires_at` has passed.
        quiet_hours_override: It may come at night.
        contact_opted_out: Whether the recipient has opted out; None without preferences.
        quiet_from: Start of the recipient's quiet hours, by their clock; None without preferences.
        quiet_until: End of the quiet hours.
        quiet_zone: IANA name of the recipient's time zone.
        provider_enabled: False where the organisation's WhatsApp is switched off.
        traceparent: Trace of the request that queued the message.
        previous_traceparent: Trace of the attempt before.
        own_traceparent: Trace of this attempt, as its row has it.

    """

    id: int
    org_id: str
    channel: str
    to_recipient: str
    template_code: str | None
    subject: str | None
    payload_json: dict[str, Any] | None
    attempt_no: int
    attempt_count: int
    max_attempts: int
    session_id: str | None
    run_id: str | None
    hypothesis_id: str | None
    traceparent: str | None
    consent: str | None
    window_open: bool | None
    quota_wait_s: float | None
    throttle_wait_s: float | None
    provider_enabled: bool | None
    phone_number_id: str | None
    previous_traceparent: str | None
    priority: int = Priority.NORMAL.value
    expired: bool = False
    quiet_hours_override: bool = False
    contact_opted_out: bool | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None
    quiet_zone: str | None = None
    own_traceparent: str | None = None

    @property
    def reference(self) -> str:
        """Our name for this attempt; providers send it back in their webhooks."""
        return f'{{"m":{self.id},"a":{self.attempt_no}}}'


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of an attempt, ready to be written.

    Attributes:
        status: The message's new status; None leaves it in SENDING (outcome unknown).
        retry_in_s: Seconds until the next attempt (back-off, open breaker).
        defer_s: Seconds of a planned wait (quota, throttle), which the send latency leaves out.
        close_budget: The failure is final whatever attempts are left (D7).
        give_back: The attempt does not count (D31).
        throttle_s: Seconds to throttle the organisation.
        trace_kept: Whether the attempt's spans are exported.
        trace_stages: Where they are not, when its steps began and what they took.

    """

    message_id: int
    attempt_no: int
    outcome: AttemptOutcome
    status: MessageStatus | None
    http_status: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    provider_message_id: str | None = None
    retry_in_s: float | None = None
    defer_s: float | None = None
    close_budget: bool = False
    give_back: bool = False
    throttle_s: float | None = None
    trace_kept: bool = True
    trace_stages: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim has found: the messages taken, and all that it looked at."""

    messages: list[ClaimedMessage]
    candidates: list[Candidate]


@dataclass(frozen=True, slots=True)
class Order:
    """What a claim shall take.

    Attributes:
        rooms: Messages wanted per channel.
        shares: How many of each lane, from where.
        held: Organisations per channel whose woken and newly urgent messages have to wait.
        strict: Whether a message waits for every earlier one of its conversation (D19).
        probe: Channels on which no lane of urgent messages is known: whether there are some now
            is seen in passing.

    """

    rooms: Mapping[str, int]
    shares: Sequence[Share]
    held: Mapping[str, Sequence[str]] = field(default_factory=dict)
    strict: bool = False
    probe: Collection[str] = ()


async def configure(connection: AsyncConnection[Any]) -> None:
    """Prepare a connection of the sender's pool."""
    set_json_loads(orjson.loads, connection)
    await connection.execute(_QUERIES["plan_by_index"].encode())
    await connection.commit()


async def check_connection(connection: AsyncConnection[Any]) -> None:
    """Refuse a connection that the server has ended; asks the server only where there is a sign.

    A connection at rest has nothing to say: what can be read is its end, or a notice.

    Raises:
        psycopg.Error: The connection is of no use.

    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(connection)


@asynccontextmanager
async def hurry(connection: AsyncConnection[Any]) -> AsyncIterator[None]:
    """Carry out a transaction in two round trips: its beginning, and all the rest.

    On a busy loop each trip waits for its turn behind everything in flight. Results can be read
    after the block; an error of any statement is raised at its end.
    """
    async with connection.pipeline():
        yield
        await connection.commit()


def read_lanes(rows: Sequence[tuple[Any, ...]]) -> list[LaneState]:
    """Read the rows of the look for lanes."""
    return [
        LaneState(LaneKey(channel, priority, org), due_in_s, held_s, quota_left)
        for channel, priority, org, due_in_s, held_s, quota_left, _ in rows
    ]


async def look_for_lanes(pool: Pool, channels: Sequence[str]) -> tuple[list[LaneState], float]:
    """List the lanes of the channels that have open messages.

    Returns:
        The lanes, and the seconds that the server took.

    """
    async with pool.connection() as connection, hurry(connection):
        await connection.execute(_QUERIES["order_by_index"].encode())
        cursor = await connection.execute(_QUERIES["lanes"].encode(), {"channels": list(channels)})
    rows = await cursor.fetchall()
    return read_lanes(rows), max((row[-1] for row in rows), default=0.0)


def write_order(order: Order, worker: str, sampler: Sampler = ALWAYS) -> dict[str, object]:
    """Give an order as the values of the claim's statement."""
    lanes = [
        {
            "channel": share.key.channel,
            "priority": share.key.priority,
            "org_id": share.key.org_id,
            "share": share.share,
            "after_due": share.after_due.isoformat() if share.after_due else "-infinity",
            "after_id": share.after_id,
        }
        for share in order.shares
    ]
    rooms = [
        {
            "channel": channel,
            "room": room,
            "urgent": max(1, room // 4) if channel in order.probe else 0,
            "held": list(order.held.get(channel, ())),
        }
        for channel, room in order.rooms.items()
    ]
    return {
        "lanes": json.dumps(lanes),
        "rooms": json.dumps(rooms),
        "strict": order.strict,
        "worker": worker,
        "unknown": HouseCode.OUTCOME_UNKNOWN.value,
        "sample_from": sampler.threshold,
        "follow": sampler.follows,
    }


def read_claim(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Claim:
    """Read the rows of the claim's statement; `names` are those of its columns."""
    candidates = [
        Candidate(number, LaneKey(channel, priority, org), Turn(turn), due_at, Verdict(verdict))
        for verdict, turn, due_at, number, channel, priority, org, *_ in rows
    ]
    told = names[_TOLD:]
    messages = [
        ClaimedMessage(**dict(zip(told, row[_TOLD:], strict=True)))
        for row in rows
        if row[0] == Verdict.CLAIMED
    ]
    candidates.sort(key=lambda one: (one.due_at, one.id))
    # In this order they are started, and the last of a hundred waits for all others' requests.
    messages.sort(key=lambda one: (one.priority, one.id))
    return Claim(messages, candidates)


_TOLD = 3
"""Columns of a claim before those of the message itself: verdict, turn, due_at."""


async def claim(pool: Pool, *, worker: str, order: Order, sampler: Sampler = ALWAYS) -> Claim:
    """Take due messages; no other process gets the same ones, nor one to the same recipient.

    Where another process took a message to one of the recipients a moment ago, the claim is empty:
    ask again. The sampler decides which of their traces are exported whatever becomes of them.
    """
    async with pool.connection() as connection:
        try:
            async with hurry(connection):
                await connection.execute(_QUERIES["order_by_index"].encode())
                cursor = await connection.execute(
                    _QUERIES["claim"].encode(), write_order(order, worker, sampler)
                )
        except psycopg.errors.UniqueViolation:
            await connection.rollback()
            return Claim([], [])
    rows = await cursor.fetchall()
    return read_claim([column.name for column in cursor.description or ()], rows)


def _write_settlement(settlement: Settlement) -> dict[str, object]:
    row: dict[str, object] = {
        name: value
        for name in _SETTLED
        if (value := getattr(settlement, name)) is not None and value is not False
    }
    for name in _PROVIDERS_WORDS:
        if name in row:
            # They may hold what the database can't.
            row[name] = clean_text(str(row[name]))
    return row


_SETTLED = tuple(one.name for one in fields(Settlement))
_PROVIDERS_WORDS = ("error_code", "error_message", "provider_message_id")


@dataclass(frozen=True, slots=True)
class Written:
    """What settlements came to.

    Attributes:
        moved: How many messages moved; others had been settled or reset by somebody else meanwhile.
        wanted: Messages whose story is to be kept against the sampler's word: a receipt was quicker
            and told of a failure.

    """

    moved: int
    wanted: frozenset[int]


async def settle(pool: Pool, settlements: Sequence[Settlement]) -> Written:
    """Write settlements."""
    rows = orjson.dumps([_write_settlement(settlement) for settlement in settlements]).decode()
    async with pool.connection() as connection, hurry(connection):
        # Planned each time: a plan made while the table was small would read the whole of it for
        # ever.
        cursor = await connection.execute(
            _QUERIES["settle"].encode(), {"rows": rows}, prepare=False
        )
    told = await cursor.fetchall()
    wanted = frozenset(number for number, moved in told if not moved)
    return Written(len(told) - len(wanted), wanted)


async def recover(
    pool: Pool, *, window_s: float, silence_s: float, limit: int = 500
) -> dict[int, MessageStatus]:
    """Take messages out of SENDING that nothing was heard of for `window_s` seconds.

    Webhooks that have been silent for `silence_s` seconds hold back what they might tell of.

    Returns:
        The new status of each by its id: QUEUED, or FAILED where the budget is used up.

    """
    async with pool.connection() as connection:
        cursor = await connection.execute(
            _QUERIES["recover"].encode(),
            {
                "window_s": window_s,
                "silence_s": silence_s,
                "limit": limit,
                "error_code": HouseCode.OUTCOME_UNKNOWN.value,
            },
        )
        return {number: MessageStatus(status) for number, status in await cursor.fetchall()}


async def count_held(pool: Pool, *, window_s: float) -> dict[Channel, int]:
    """Count what stays in SENDING beyond the window, since webhooks might still tell of it."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_QUERIES["count_held"].encode(), {"window_s": window_s})
        return {Channel(channel): count for channel, count in await cursor.fetchall()}


async def wake_forgotten(pool: Pool, limit: int = 500) -> int:
    """Wake parked messages that nothing is in flight for any more; gives their number."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_QUERIES["wake_forgotten"].encode(), {"limit": limit})
        return cursor.rowcount


async def expire(pool: Pool, limit: int = 500) -> int:
    """End messages that waited beyond their `expires_at`; gives their number."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            _QUERIES["expire"].encode(),
            {"limit": limit, "error_code": HouseCode.MESSAGE_EXPIRED.value},
        )
        return cursor.rowcount


async def fall_asleep(pool: Pool, *, worker: str, seconds: float) -> None:
    """Ask whoever queues a message within `seconds` to notify."""
    async with pool.connection() as connection:
        await connection.execute(_QUERIES["sleep"].encode(), {"worker": worker, "seconds": seconds})


async def wake_up(pool: Pool, *, worker: str) -> None:
    """Take that request back."""
    async with pool.connection() as connection:
        await connection.execute(_QUERIES["wake"].encode(), {"worker": worker})


async def renew_quotas(pool: Pool) -> int:
    """Start new quota windows where the old ones ended; gives their number."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_QUERIES["renew_quotas"].encode())
        return cursor.rowcount
