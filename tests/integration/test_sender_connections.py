"""A connection that the server ended is found before it is used, at no cost to those that live."""

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection

from sender.outbox import check_connection


async def _settle_down(connection: AsyncConnection) -> None:
    """Wait until what the server said last has come, for a bounded while."""
    loop, said = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection.fileno(), said.set)
    try:
        await asyncio.wait_for(said.wait(), 10)
    finally:
        loop.remove_reader(connection.fileno())


def test_a_connection_that_the_server_ended_is_refused(database: str) -> None:
    async def check() -> None:
        connection = await AsyncConnection.connect(database, autocommit=True)
        async with await AsyncConnection.connect(database, autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        await _settle_down(connection)
        with pytest.raises(psycopg.OperationalError):
            await check_connection(connection)
        await connection.close()

    asyncio.run(check())


def test_a_connection_that_lives_is_passed_without_a_question(database: str) -> None:
    async def check() -> None:
        async with await AsyncConnection.connect(database, autocommit=True) as connection:
            await check_connection(connection)
            async with await AsyncConnection.connect(database, autocommit=True) as other:
                cursor = await other.execute(
                    "SELECT query FROM pg_stat_activity WHERE pid = %s",
                    (connection.info.backend_pid,),
                )
                row = await cursor.fetchone()
            # The server has never been asked anything on it.
            assert row == ("",)

    asyncio.run(check())


def test_a_notice_is_no_reason_to_refuse(database: str) -> None:
    async def check() -> None:
        async with await AsyncConnection.connect(database, autocommit=True) as connection:
            await connection.execute("LISTEN something")
            async with await AsyncConnection.connect(database, autocommit=True) as other:
                await other.execute("NOTIFY something")
            await _settle_down(connection)
            await check_connection(connection)
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)

    asyncio.run(check())
