"""What senders tell of themselves in `outbound_sender`."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import psycopg_pool
import pytest

from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.statuses import Channel
from sender import heartbeat
from sender.breaker import BreakerState
from sender.heartbeat import Pulse, keep_beating, sign_off
from sender.outbox import Pool
from tests.integration.sending import NUMBER, PATIENCE_S, Sending, template_message, wait_until

OUTAGE = {"kind": "error", "provider": "meta", "http_status": 500, "code": 131016}


@pytest.fixture
def sending(database: str, tmp_path: Path) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        yield Sending(supervisor, database)


def test_a_sender_tells_its_state_and_takes_its_leave(sending: Sending) -> None:
    def rows() -> list[tuple[Any, ...]]:
        return sending.execute(
            "SELECT worker, version, claiming, breakers,"
            " started_at BETWEEN now() - interval '1 minute' AND seen_at FROM outbound_sender"
        )

    sending.execute(
        "INSERT INTO outbound_sender VALUES"
        " ('long-gone:1', '0', now() - interval '3 days', now() - interval '25 hours', true, 1,"
        " '{}')"
    )
    people = [f"+3361234{number:04}" for number in range(30)]
    sending.allow(*people)
    sending.start_simulator()
    sending.set_faults(OUTAGE)
    sender = sending.start_sender(OUTBOUND_BREAKER_OPEN_SECONDS="60")

    name = f"{socket.gethostname()}:{sender.pid}"
    # The same statement forgets what is a day old.
    wait_until(lambda: name in {row[0] for row in rows()}, "the first beat")
    closed = {"WHATSAPP": "closed", "SMS": "closed", "EMAIL": "closed"}
    assert rows() == [(name, version("outbound-slo"), True, closed, True)]

    sending.queue(*(template_message(number) for number in people))
    wait_until(lambda: rows()[0][3] == closed | {"WHATSAPP": "open"}, "the breaker's state")

    assert sender.stop() == 0
    assert rows() == []


def test_a_sender_that_is_switched_off_says_so(sending: Sending) -> None:
    sending.start_sender(OUTBOUND_WORKER_ENABLED="false", TWILIO_ACCOUNT_SID="")

    def rows() -> list[tuple[Any, ...]]:
        return sending.execute("SELECT claiming, breakers FROM outbound_sender")

    wait_until(lambda: len(rows()) == 1, "the first beat")
    assert rows() == [(False, {"WHATSAPP": "closed", "EMAIL": "closed"})]


def test_beats_go_on_after_an_outage_and_leave_the_living_alone(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.01)
    beats = 0
    felt = asyncio.Event()

    def feel() -> Pulse:
        nonlocal beats
        beats += 1
        felt.set()
        breakers = {Channel.SMS: BreakerState.HALF_OPEN}
        return Pulse(f"me:{os.getpid()}", "1", 60.0, True, beats, breakers)

    def change(statement: str) -> None:
        with psycopg.connect(database) as connection:
            connection.execute(statement.encode())

    def read() -> list[tuple[Any, ...]]:
        with psycopg.connect(database) as connection:
            return connection.execute(
                "SELECT in_flight, breakers FROM outbound_sender WHERE worker LIKE 'me:%'"
            ).fetchall()

    async def beat_through_an_outage() -> None:
        async def until_beat(number: int) -> None:
            while beats < number:
                felt.clear()
                await felt.wait()

        pool: Pool = psycopg_pool.AsyncConnectionPool(database, open=False)
        async with pool, asyncio.timeout(PATIENCE_S):
            task = asyncio.create_task(keep_beating(pool, feel))
            await until_beat(3)
            assert read()[0][1] == {"SMS": "half_open"}
            change("ALTER TABLE outbound_sender RENAME TO away")
            await until_beat(beats + 3)
            change("ALTER TABLE away RENAME TO outbound_sender")
            back = beats
            await until_beat(back + 3)
            assert read()[0][0] > back
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await sign_off(pool, f"me:{os.getpid()}")
            assert read() == []
            change("ALTER TABLE outbound_sender RENAME TO away")
            await sign_off(pool, f"me:{os.getpid()}")

    change(
        "INSERT INTO outbound_sender VALUES"
        " ('other:1', '1', now(), now() - interval '23 hours', true, 1, '{}')"
    )
    asyncio.run(beat_through_an_outage())
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT worker FROM away").fetchall() == [("other:1",)]


def test_numbers_are_those_of_the_flight(sending: Sending) -> None:
    sending.allow(NUMBER)
    sending.start_simulator("--latency-ms", "20000")
    sender = sending.start_sender(OUTBOUND_REQUEST_TIMEOUT_SECONDS="30")
    sending.queue(template_message())

    def told() -> list[tuple[Any, ...]]:
        return sending.execute("SELECT in_flight FROM outbound_sender")

    wait_until(lambda: told() == [(1,)], "one in flight")
    # A killed process takes no leave.
    os.kill(sender.pid, signal.SIGKILL)
    wait_until(sender.has_ended, "its end")
    assert told() == [(1,)]
