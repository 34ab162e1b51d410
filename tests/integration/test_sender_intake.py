"""A webhook that the database keeps waiting is answered in time: its provider comes again."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import psycopg_pool
import pytest
import requests

from outbound_slo.embedded.processes import Supervisor
from sender import intake
from sender.callbacks import Caller
from sender.intake import Arrival, Intake
from sender.outbox import Pool
from tests.integration.sending import Sending, wait_until

WAITS = (
    "SELECT count(*) > 0 FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def closed_to_webhooks(database: str) -> Iterator[None]:
    """Keep every webhook from being stored for the length of the block."""
    with psycopg.connect(database) as connection:
        connection.execute("LOCK TABLE provider_webhook IN SHARE MODE")
        yield


def test_a_webhook_given_up_leaves_those_behind_it_their_turn(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PATIENCE_S", 0.3)
    announced: list[int] = []

    async def arrive() -> None:
        pool: Pool = psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False)
        async with pool:
            door = Intake(pool, lambda: announced.append(1), 60.0)
            with closed_to_webhooks(database):
                first = asyncio.create_task(door.store(Arrival(Caller.WHATSAPP, "1")))
                while door._storing is None or door._waiting:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)
                # This one waits in the line behind the first, not for the database.
                second = asyncio.create_task(door.store(Arrival(Caller.WHATSAPP, "2")))
                outcomes = await asyncio.gather(first, second, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [psycopg.OperationalError] * 2
            monkeypatch.setattr(intake, "PATIENCE_S", 30.0)
            await door.store(Arrival(Caller.WHATSAPP, "3"))

    asyncio.run(arrive())

    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT body FROM provider_webhook ORDER BY id").fetchall()
    # The first was under way when it was given up, so it may be stored; the second was dropped.
    assert {body for (body,) in rows} - {1} == {3}
    assert announced


def test_a_sender_that_ends_answers_the_webhook_that_waits(database: str, tmp_path: Path) -> None:
    answers: list[int] = []

    def post(sending: Sending) -> None:
        try:
            answers.append(sending.post_webhook({"entry": []}).status_code)
        except requests.RequestException:
            answers.append(0)

    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        child = sending.start_sender()
        with closed_to_webhooks(database):
            poster = threading.Thread(target=post, args=(sending,))
            poster.start()
            wait_until(lambda: sending.execute(WAITS) == [(True,)], "the webhook to wait")
            os.kill(child.pid, signal.SIGTERM)
            poster.join()
            wait_until(child.has_ended, "the end of the sender")
        log = child.log.read_text("utf-8")
        assert supervisor.stop_child(child) == 0

    assert answers == [503]
    assert "Traceback" not in log
    assert "sender stopped" in log
