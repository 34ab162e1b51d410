"""An outbox in a real database, and what a sender does to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import psycopg_pool

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus
from sender.lanes import LaneBook
from sender.outbox import (
    Claim,
    Order,
    Pool,
    Settlement,
    claim,
    configure,
    look_for_lanes,
    settle,
)

WHATSAPP = Channel.WHATSAPP.value
QUERIES = load_queries("sender", "sql/outbox.sql")


class Outbox:
    """A database with messages, and what a sender does to it."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.book = LaneBook()
        self.now = 0.0

    def add(
        self,
        recipient: str,
        *,
        org: str = "org",
        priority: int = 1,
        due_s: float = -60,
        count: int = 1,
    ) -> list[int]:
        with psycopg.connect(self.database) as connection:
            rows = connection.execute(
                "INSERT INTO outbound_message (org_id, channel, to_recipient, template_code,"
                " priority, created_at, scheduled_at)"
                " SELECT %(org)s, 'WHATSAPP', %(recipient)s, 'hello', %(priority)s,"
                " now() - interval '1 hour', now() + %(due)s * interval '1 second'"
                " FROM generate_series(1, %(count)s) RETURNING id",
                {
                    "org": org,
                    "recipient": recipient,
                    "priority": priority,
                    "due": due_s,
                    "count": count,
                },
            )
            return [number for (number,) in rows]

    def change(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def use(self, work: Callable[[Pool], Awaitable[Any]]) -> Any:  # noqa: ANN401 - the work's own
        async def run() -> Any:  # noqa: ANN401 - as above
            pool: Pool = psycopg_pool.AsyncConnectionPool(
                self.database, min_size=1, max_size=4, open=False, configure=configure
            )
            async with pool:
                return await work(pool)

        return asyncio.run(run())

    def claim(
        self, room: int = 10, *, look: bool = True, strict: bool = False, worker: str = "w"
    ) -> list[int]:
        return [message.id for message in self.claim_all(room, look, strict, worker).messages]

    def claim_all(
        self, room: int = 10, look: bool = True, strict: bool = False, worker: str = "w"
    ) -> Claim:
        async def work(pool: Pool) -> Claim:
            self.now += 10
            if look:
                states, _ = await look_for_lanes(pool, [WHATSAPP])
                self.book.note_look(states, self.now, 0.0)
            shares = self.book.plan({WHATSAPP: room}, self.now, {})
            held = {WHATSAPP: self.book.held(WHATSAPP, self.now)}
            probe = [] if self.book.knows_urgent(WHATSAPP) else [WHATSAPP]
            order = Order({WHATSAPP: room}, shares, held, strict, probe)
            found = await claim(pool, worker=worker, order=order)
            self.book.note_claim(shares, found.candidates, self.now, 0.0)
            return found

        found: Claim = self.use(work)
        return found

    def settle(self, number: int, status: MessageStatus = MessageStatus.SENT, **more: Any) -> int:  # noqa: ANN401 - fields of a settlement
        [(attempt,)] = self.change("SELECT attempt_seq FROM outbound_message WHERE id = %s", number)
        outcome = AttemptOutcome.SENT if status is MessageStatus.SENT else AttemptOutcome.FAILED
        one = Settlement(number, attempt, outcome, status, **more)
        written = self.use(lambda pool: settle(pool, [one]))
        return int(written.moved)

    def turns(self) -> dict[int, tuple[str, str]]:
        rows = self.change("SELECT id, status, turn FROM outbound_message ORDER BY id")
        return {number: (status, turn) for number, status, turn in rows}
