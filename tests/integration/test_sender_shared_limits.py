"""Throughput limits shared through a real Redis, and what senders do while it is not there."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis
from structlog.testing import capture_logs

from outbound_slo.embedded.processes import LOOPBACK, Supervisor, pick_port
from outbound_slo.embedded.redis import EmbeddedRedis
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage
from sender.limits import Grant, Limit, LocalBuckets, Wish
from sender.shared_limits import SharedBuckets
from tests.integration.sending import ORG, Sending, wait_until
from tests.patience import wait_for

UP = 'outbound_sender_shared_limit_up{store="redis"}'
COMPLAINT = "Redis does not answer"


class Clock:
    """The clock of the fall-back: it moves when told, so that its permits can be counted."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Member:
    """One sender's buckets, as open as in a process."""

    def __init__(self, url: str, name: str, per_second: float) -> None:
        self.clock = Clock()
        self.told: list[bool] = []
        limits = {"SMS": Limit(per_second)}
        self.buckets = SharedBuckets(
            url,
            sender=name,
            limits=limits,
            numbers={"SMS": "+15005550006"},
            local=LocalBuckets(limits, self.clock),
            on_change=self.told.append,
        )

    async def ask(self, wanted: int, returned: int = 0) -> Grant:
        return (await self.buckets.ask({"SMS": Wish(wanted, returned)}))["SMS"]


@asynccontextmanager
async def _watched(*members: Member) -> AsyncIterator[None]:
    watches = [asyncio.create_task(member.buckets.watch()) for member in members]
    try:
        yield
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        for member in members:
            await member.buckets.close()


async def _until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what)


async def _shared(*members: Member) -> None:
    await _until(lambda: all(member.told[-1] for member in members), "the sharing")


def _run(story: Callable[[], Awaitable[None]]) -> None:
    async def tell() -> None:
        await story()

    asyncio.run(tell())


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def sending(database: str, tmp_path: Path) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        yield Sending(supervisor, database)


def test_two_senders_together_get_no_more_than_one_limit(redis: EmbeddedRedis) -> None:
    async def story() -> None:
        limit = Limit(200)
        members = [Member(redis.url, name, limit.per_second) for name in ("one", "other")]
        async with _watched(*members):
            await _shared(*members)
            started, granted = time.monotonic(), 0
            while granted < 100:
                grants = [await member.ask(10) for member in members]
                granted += sum(grant.permits for grant in grants)
                passed = time.monotonic() - started
                assert granted <= limit.burst + limit.per_second * passed
                await asyncio.sleep(min(grant.wait_s for grant in grants))

    _run(story)


def test_what_one_sender_puts_back_another_gets(redis: EmbeddedRedis) -> None:
    async def story() -> None:
        # So slow that a test's time fills nothing.
        one, other = (Member(redis.url, name, 0.001) for name in ("one", "other"))
        async with _watched(one, other):
            await _shared(one, other)
            assert await one.ask(5) == Grant(1)
            refused = await other.ask(5)
            assert refused.permits == 0
            assert refused.wait_s > 500
            await one.ask(0, returned=1)
            assert await other.ask(5) == Grant(1)

    _run(story)


def test_every_key_expires_and_names_the_number_that_is_limited(redis: EmbeddedRedis) -> None:
    async def story() -> None:
        member = Member(redis.url, "one", 0.001)
        async with _watched(member):
            await _shared(member)
            await member.ask(5)
            with Redis.from_url(redis.url, decode_responses=True) as client:
                lives = {key: client.ttl(key) for key in client.scan_iter()}
        assert set(lives) == {
            "{outbound-slo}:limit:senders",
            "{outbound-slo}:limit:sms:+15005550006",
        }
        assert min(lives.values()) > 0

    _run(story)


def test_without_redis_each_sender_keeps_to_its_share_until_it_is_back(
    redis: EmbeddedRedis,
) -> None:
    async def story() -> None:
        one, other = (Member(redis.url, name, 100) for name in ("one", "other"))
        async with _watched(one, other):
            await _shared(one, other)
            with Redis.from_url(redis.url) as client:
                await _until(lambda: client.zcard("{outbound-slo}:limit:senders") == 2, "both")
            # An answer after both had come: now each knows of the other.
            await one.ask(0)
            await other.ask(0)
            await asyncio.to_thread(redis.stop)
            for member in (one, other):
                assert (await member.ask(10)).permits == 0, "a fall-back begins empty"
                assert not member.told[-1]
                member.clock.now += 1.0
                assert await member.ask(10) == Grant(5), "half the burst of 100 a second"
            await asyncio.to_thread(redis.start)
            await _shared(one, other)
            assert (await one.ask(10)).permits > 5

    _run(story)


async def _speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    writer.close()


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak Redis's protocol, and give every question an answer that is not the script's."""
    while await reader.read(4096):
        writer.write(b"+PONG\r\n")
    writer.close()


@pytest.mark.parametrize("behaviour", [_speak_http, _say_nothing, _agree])
def test_something_that_is_no_redis_holds_nobody_up_and_is_told_of_once(
    behaviour: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    async def story() -> None:
        port = pick_port()
        server = await asyncio.start_server(behaviour, LOOPBACK, port)
        member = Member(f"redis://{LOOPBACK}:{port}/0", "one", 100)
        async with server, _watched(member):
            await _until(lambda: len(member.told) > 1, "the first look")
            member.clock.now += 1.0
            assert await member.ask(10) == Grant(10)
            await _until(lambda: len(member.told) > 3, "two more looks")
        assert not any(member.told)

    with capture_logs() as lines:
        _run(story)
    assert [line["log_level"] for line in lines if COMPLAINT in line["event"]] == ["warning"]


def _sms(number: int) -> NewMessage:
    return NewMessage(ORG, Channel.SMS, f"+3361234{number:04d}", payload={"text": "Hello"})


def _log(sending: Sending, name: str) -> str:
    return (sending.supervisor.directory / f"{name}.log").read_text("utf-8")


def _all_sent(sending: Sending, numbers: list[int]) -> bool:
    return {status for status, _ in sending.statuses(numbers)} <= {"SENT", "DELIVERED"}


def test_two_processes_send_no_faster_than_one_limit_lets_them(
    sending: Sending, redis: EmbeddedRedis
) -> None:
    limit, count = Limit(10), 30
    settings = {
        "OUTBOUND_REDIS_URL": redis.url,
        "TWILIO_MESSAGES_PER_SECOND": f"{limit.per_second:g}",
    }
    sending.start_simulator()
    sending.start_sender(**settings)
    wait_until(lambda: sending.metric(UP) == 1, "the sharing")
    sending.start_sender(**settings, OUTBOUND_HTTP_PORT=str(pick_port()))
    with Redis.from_url(redis.url) as client:
        wait_until(lambda: client.zcard("{outbound-slo}:limit:senders") == 2, "both senders")
    started = time.monotonic()
    numbers = sending.queue(*[_sms(number) for number in range(count)])
    wait_until(lambda: _all_sent(sending, numbers), "the last message")
    passed = time.monotonic() - started
    assert count <= limit.burst + limit.per_second * passed
    assert sending.metric('outbound_sender_limited_claims_total{channel="sms"}') > 0


def test_a_sender_goes_on_without_redis_complains_once_and_finds_it_again(
    sending: Sending, redis: EmbeddedRedis
) -> None:
    sending.start_simulator()
    sending.start_sender(OUTBOUND_REDIS_URL=redis.url, TWILIO_MESSAGES_PER_SECOND="500")
    wait_until(lambda: sending.metric(UP) == 1, "the sharing")
    before = sending.queue(*[_sms(number) for number in range(20)])
    redis.stop()
    during = sending.queue(*[_sms(number) for number in range(20, 40)])
    wait_until(lambda: _all_sent(sending, before + during), "messages without Redis")
    wait_until(lambda: sending.metric(UP) == 0, "the metric's notice")
    assert _log(sending, "sender-1").count(COMPLAINT) == 1
    redis.start()
    wait_until(lambda: sending.metric(UP) == 1, "Redis's return")
    after = sending.queue(*[_sms(number) for number in range(40, 60)])
    wait_until(lambda: _all_sent(sending, after), "messages with Redis again")
    assert _log(sending, "sender-1").count(COMPLAINT) == 1
    assert _log(sending, "sender-1").count("limits are shared through Redis") == 2


def test_a_redis_that_was_never_there_is_no_hindrance(sending: Sending) -> None:
    sending.start_simulator()
    sending.start_sender(
        OUTBOUND_REDIS_URL=f"redis://:not-for-logs@{LOOPBACK}:{pick_port()}/0",
        TWILIO_MESSAGES_PER_SECOND="500",
    )
    numbers = sending.queue(*[_sms(number) for number in range(20)])
    wait_until(lambda: _all_sent(sending, numbers), "messages without Redis")
    assert sending.metric(UP) == 0
    assert "not-for-logs" not in _log(sending, "sender-1")
