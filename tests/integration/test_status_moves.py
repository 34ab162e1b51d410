"""The table of moves against the SQL: every pair of states, through every statement that moves."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

import psycopg
import psycopg_pool
import pytest

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.statuses import (
    MOVES,
    AttemptOutcome,
    Channel,
    MessageStatus,
    Mover,
)
from sender.lanes import LaneKey, Share
from sender.outbox import Order, Pool, Settlement, claim, configure, expire, recover, settle

RECEIPTS = load_queries("sender", "sql/callbacks.sql")["apply_receipts"]
ORG = "org"
WINDOW_S = 0.0
"""The server has only just started, and no more than its running time counts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A message as some statement may find it; its latest attempt has number 1."""

    status: MessageStatus
    error_code: str | None = None
    used: int = 1

    def __str__(self) -> str:
        return f"{self.status} {self.error_code or ''} {self.used}/5"


STANDINGS = (
    *(Standing(status) for status in MessageStatus),
    Standing(MessageStatus.SENDING, used=5),
    Standing(MessageStatus.FAILED, HouseCode.OUTCOME_UNKNOWN.value, used=5),
    Standing(MessageStatus.FAILED, "131021", used=5),
)

Act = Callable[[Pool, int], Awaitable[object]]


def _settling(settlement: Settlement) -> Act:
    async def act(pool: Pool, number: int) -> object:
        return await settle(pool, [replace(settlement, message_id=number)])

    return act


def _settled(outcome: AttemptOutcome, status: MessageStatus | None) -> Settlement:
    return Settlement(0, 1, outcome, status)


def _receiving(*, sent: bool = False, delivered: bool = False, failed: bool = False) -> Act:
    async def act(pool: Pool, number: int) -> object:
        row = {
            "place": 0,
            "channel": Channel.WHATSAPP.value,
            "owners": None,
            "provider_message_id": f"wamid.{number}",
            "message_id": number,
            "attempt_no": 1,
            "sent": sent,
            "delivered_s": 1_800_000_000.0 if delivered else None,
            "read_s": None,
            "failed": failed,
            "error_code": "131026" if failed else None,
            "error_message": None,
            "close_budget": failed,
        }
        async with pool.connection() as connection:
            return await connection.execute(RECEIPTS.encode(), {"rows": json.dumps([row])})

    return act


async def _claim(pool: Pool, _number: int) -> object:
    lane = LaneKey(Channel.WHATSAPP.value, 1, ORG)
    order = Order({lane.channel: 10}, [Share(lane, 10, None, 0)])
    return await claim(pool, worker="test", order=order)


async def _sweep(pool: Pool, _number: int) -> object:
    return await recover(pool, window_s=WINDOW_S, silence_s=60)


async def _expire(pool: Pool, number: int) -> object:
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE outbound_message SET expires_at = now() - interval '1 second' WHERE id = %s",
            [number],
        )
    return await expire(pool)


async def _opt_out(pool: Pool, _number: int) -> object:
    async with pool.connection() as connection:
        return await connection.execute("SELECT mark_opted_out('+33612345678', 'test')")


ACTS: tuple[tuple[Mover, str, Act], ...] = (
    (Mover.CLAIM, "claim", _claim),
    *(
        (Mover.SETTLEMENT, f"settle {outcome} {status}", _settling(_settled(outcome, status)))
        for outcome, status in (
            (AttemptOutcome.SENT, MessageStatus.SENT),
            (AttemptOutcome.FAILED, MessageStatus.QUEUED),
            (AttemptOutcome.FAILED, MessageStatus.FAILED),
            (AttemptOutcome.REFUSED, MessageStatus.FAILED),
            (AttemptOutcome.DEFERRED, MessageStatus.QUEUED),
            (AttemptOutcome.UNKNOWN, None),
        )
    ),
    (Mover.RECEIPT, "sent", _receiving(sent=True)),
    (Mover.RECEIPT, "delivered", _receiving(delivered=True)),
    (Mover.RECEIPT, "failed", _receiving(failed=True)),
    (Mover.SWEEP, "sweep", _sweep),
    (Mover.EXPIRY, "expire", _expire),
    (Mover.OPT_OUT, "opt out", _opt_out),
)

PUT = """
INSERT INTO outbound_message (
    org_id, channel, to_recipient, template_code, status, error_code, attempt_count, attempt_seq,
    created_at, updated_at, scheduled_at)
VALUES (%(org)s, 'WHATSAPP', '+33612345678', 'hello', %(status)s, %(code)s, %(used)s, 1,
        now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour')
RETURNING id
"""


@pytest.fixture
def pool_runner(database: str) -> Iterator[tuple[str, asyncio.Runner]]:
    with asyncio.Runner() as runner:
        yield database, runner


def _try(database: str, runner: asyncio.Runner, standing: Standing, act: Act) -> MessageStatus:
    """Put a message where `standing` says, let the statement at it, and see where it is."""

    async def run(number: int) -> None:
        pool: Pool = psycopg_pool.AsyncConnectionPool(
            database, min_size=1, max_size=1, open=False, configure=configure
        )
        async with pool:
            await act(pool, number)

    values = {"status": standing.status, "code": standing.error_code, "used": standing.used}
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM outbound_message")
        connection.execute("DELETE FROM contact_preferences")
        [(number,)] = connection.execute(PUT, values | {"org": ORG}).fetchall()
        connection.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel)"
            " VALUES (%s, 1, 'WHATSAPP')",
            [number],
        )
        runner.run(run(number))
        [(status,)] = connection.execute(
            "SELECT status FROM outbound_message WHERE id = %s", [number]
        ).fetchall()
    return MessageStatus(status)


def test_the_statements_make_the_moves_of_the_table_and_no_others(
    pool_runner: tuple[str, asyncio.Runner],
) -> None:
    database, runner = pool_runner
    made = {
        (mover, standing.status, after)
        for standing in STANDINGS
        for mover, _, act in ACTS
        if (after := _try(database, runner, standing, act)) is not standing.status
    }
    assert made == {(move.mover, move.before, move.after) for move in MOVES}


SPEAKING_OF_ATTEMPTS = [
    pytest.param(act, id=name)
    for mover, name, act in ACTS
    if mover in {Mover.SETTLEMENT, Mover.RECEIPT}
]


@pytest.mark.parametrize("act", SPEAKING_OF_ATTEMPTS)
def test_what_speaks_of_an_attempt_before_the_latest_moves_nothing(database: str, act: Act) -> None:

    async def run(number: int) -> None:
        pool: Pool = psycopg_pool.AsyncConnectionPool(
            database, min_size=1, max_size=1, open=False, configure=configure
        )
        async with pool:
            await act(pool, number)

    with psycopg.connect(database, autocommit=True) as connection:
        values = {"org": ORG, "status": "SENDING", "code": None, "used": 2}
        [(number,)] = connection.execute(PUT, values).fetchall()
        for attempt in (1, 2):
            connection.execute(
                "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel)"
                " VALUES (%s, %s, 'WHATSAPP')",
                [number, attempt],
            )
        connection.execute("UPDATE outbound_message SET attempt_seq = 2 WHERE id = %s", [number])
        asyncio.run(run(number))
        [(status,)] = connection.execute("SELECT status FROM outbound_message").fetchall()
    assert status == "SENDING"


def test_the_moves_of_operators_are_allowed_by_the_database(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for standing in STANDINGS:
            values = {"status": standing.status, "code": standing.error_code, "used": 1}
            [(number,)] = connection.execute(PUT, values | {"org": ORG}).fetchall()
            connection.execute(
                "UPDATE outbound_message SET status = 'QUEUED' WHERE id = %s", [number]
            )
        [(queued,)] = connection.execute(
            "SELECT count(*) FROM outbound_message WHERE status = 'QUEUED'"
        ).fetchall()
    assert queued == len(STANDINGS)
