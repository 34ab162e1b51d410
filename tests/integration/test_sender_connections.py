"""Connections that the server ended, and databases that a sender does not start on."""

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from outbound_slo.database import core_migrations, migrate
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.outbox import check_connection
from sender.premises import check_database


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


def test_a_sender_does_not_start_on_an_outbox_that_it_could_not_settle_in(
    empty_database: str,
) -> None:
    # A newer migration: does a sender fail without it? Then sender/premises.py looks for it.
    assert core_migrations()[-1].name == "0011_operations.sql"
    with pytest.raises(UserMistake, match="has no outbox"):
        check_database(empty_database)
    migrate(empty_database, core_migrations()[:10])
    with pytest.raises(UserMistake, match=r"older version.*Run 'outbound-slo db migrate' first"):
        check_database(empty_database)
    migrate(empty_database)
    check_database(empty_database)


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE"])
def test_a_sender_does_not_start_where_its_role_may_not_write(database: str, right: str) -> None:
    role = f"guest_{right.lower()}"
    rights = ", ".join({"SELECT", "INSERT", "UPDATE"} - {right})
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN".encode())
        try:
            tables = "outbound_message, outbound_attempt, provider_webhook"
            owner.execute(f"GRANT {rights} ON {tables} TO {role}".encode())
            more = (
                "outbound_pause, outbound_sender, outbound_operation_row, outbound_operation,"
                " whatsapp_provider_config, consentement, contact_preferences,"
                " whatsapp_session_window, provider_webhook_health, whatsapp_rate_limit,"
                " outbound_idle_sender"
            )
            owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {more} TO {role}".encode())
            with pytest.raises(UserMistake, match=f"{role} may not {right} in outbound_message"):
                check_database(make_conninfo(database, user=role))
            owner.execute(f"GRANT {right} ON {tables} TO {role}".encode())
            check_database(make_conninfo(database, user=role))
        finally:
            owner.execute(f"DROP OWNED BY {role}".encode())
            owner.execute(f"DROP ROLE {role}".encode())
