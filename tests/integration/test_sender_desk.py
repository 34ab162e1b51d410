"""The HTTP face's own transactions against those of others, on a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Barrier, BrokenBarrierError

import psycopg
import pytest
from psycopg import sql

from sender.desk import Desk

LOCK = "SELECT 1 FROM outbound_message WHERE id = %s FOR UPDATE"


def _put(database: str, *numbers: int) -> None:
    with psycopg.connect(database) as connection:
        for number in numbers:
            connection.execute(
                "INSERT INTO outbound_message (id, org_id, channel, to_recipient, template_code)"
                " VALUES (%s, 'o', 'WHATSAPP', '+33612345678', 'x')",
                (number,),
            )


def test_two_tasks_that_wait_for_each_other_are_both_carried_out(database: str) -> None:
    _put(database, 1, 2)
    # A deadlock is found long before a lock or a statement times out, on a busy machine too.
    with psycopg.connect(database, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '20ms'").format(name))
    both_hold_one = Barrier(2)
    tries: list[int] = []

    def take(connection: psycopg.Connection, first: int, second: int) -> int:
        tries.append(first)
        connection.execute(LOCK, (first,))
        # A broken barrier: this is the second try, with nobody beside it.
        with suppress(BrokenBarrierError):
            both_hold_one.wait(10)
        connection.execute(LOCK, (second,))
        return first

    def carry_out(first: int, second: int) -> int:
        try:
            return desk.work(lambda connection: take(connection, first, second))
        finally:
            both_hold_one.abort()

    with closing(Desk(database, patience_s=60)) as desk, ThreadPoolExecutor(2) as people:
        desk.open()
        tasks = [people.submit(carry_out, *order) for order in ((1, 2), (2, 1))]
        assert [task.result() for task in tasks] == [1, 2]

    assert len(tries) == 3


def test_a_task_that_meets_a_deadlock_again_and_again_gives_up(database: str) -> None:
    tries: list[int] = []

    def fail(_: psycopg.Connection) -> None:
        tries.append(1)
        raise psycopg.errors.DeadlockDetected

    with closing(Desk(database)) as desk:
        desk.open()
        with pytest.raises(psycopg.errors.DeadlockDetected):
            desk.work(fail)

    assert len(tries) == 3
