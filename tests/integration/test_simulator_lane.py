"""HTTP as it may come over a socket: the fast lane takes what is plain, aiohttp all the rest."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.simulator_stand import NUMBER, PATIENCE_SECONDS, Stand, open_stand

BODY = json.dumps(
    {
        "messaging_product": "whatsapp",
        "to": "+33612345678",
        "type": "text",
        "text": {"body": "Your visit is on Monday."},
        "biz_opaque_callback_data": '{"m": "41", "a": "1"}',
    }
).encode()


def write_request(*fields: bytes, body: bytes = BODY, sized: bool = True) -> bytes:
    head = [
        f"POST /v26.0/{NUMBER}/messages HTTP/1.1".encode(),
        b"Host: simulator",
        b"Authorization: Bearer access-token",
        *([b"Content-Length: " + str(len(body)).encode()] if sized else []),
        *fields,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *fields = head.strip().split("\r\n")
    length = next(
        int(field.partition(":")[2])
        for field in fields
        if field.lower().startswith("content-length:")
    )
    return int(status.split()[1]), await reader.readexactly(length)


def converse(
    conversation: Callable[[Stand, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    **options: Any,  # noqa: ANN401 - Options' fields
) -> None:
    """Open a stand and a connection to its simulator, and talk."""

    async def scenario() -> None:
        async with open_stand(**options) as stand:
            host, port = stand.simulator.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await conversation(stand, reader, writer)
            finally:
                writer.close()

    asyncio.run(scenario())


async def count_accepted(stand: Stand) -> int:
    _, ledger = await stand.control("GET", "ledger")
    accepted: int = ledger["totals"]["accepted"]
    return accepted


CHUNKED = (
    write_request(b"Transfer-Encoding: chunked", body=b"", sized=False)
    + f"{len(BODY):x}\r\n".encode()
    + BODY
    + b"\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    "parts",
    [
        [write_request()],
        [write_request()[:-40], write_request()[-40:]],
        [write_request()[:25], write_request()[25:]],
        [CHUNKED],
        [CHUNKED[:200], CHUNKED[200:]],
    ],
    ids=["whole", "body apart", "head apart", "chunked", "chunked apart"],
)
def test_a_send_is_answered_however_it_is_framed(parts: list[bytes]) -> None:
    async def conversation(
        stand: Stand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for _ in range(2):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.02)
            status, body = await read_response(reader)
            assert (status, "messages" in json.loads(body)) == (200, True)
        assert await count_accepted(stand) == 2

    converse(conversation)


def test_requests_written_ahead_are_answered_in_their_order() -> None:
    async def conversation(
        stand: Stand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(write_request() * 300 + write_request(body=b"{}") + write_request())
        answers = [(await read_response(reader))[0] for _ in range(302)]
        assert answers == [200] * 300 + [400, 200]
        assert await count_accepted(stand) == 301

    converse(conversation)


def test_a_connection_may_change_between_sends_and_reads() -> None:
    async def conversation(
        stand: Stand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        read = f"GET /v26.0/{NUMBER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer access-token"
        for request in (write_request(), read.encode() + b"\r\n\r\n", write_request()):
            writer.write(request)
            assert (await read_response(reader))[0] == 200
        assert await count_accepted(stand) == 2

    converse(conversation)


def test_a_caller_that_wants_it_finds_the_connection_closed_after_the_answer() -> None:
    async def conversation(
        stand: Stand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(write_request(b"Connection: close"))
        assert (await read_response(reader))[0] == 200
        assert await reader.read() == b""
        assert await count_accepted(stand) == 1

    converse(conversation)


def test_nonsense_is_answered_and_a_body_beyond_the_limit_is_refused() -> None:
    async def conversation(
        stand: Stand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        huge = write_request(body=b" " * (4 * 1024 * 1024 + 1))
        writer.write(huge)
        assert (await read_response(reader))[0] == 413
        other_reader, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
        other.write(b"\x16\x03\x01\x02\r\n\r\n")
        assert (await read_response(other_reader))[0] == 400
        other.close()
        assert await count_accepted(stand) == 0

    converse(conversation)


def test_a_caller_that_leaves_before_the_answer_is_accepted_unheard() -> None:
    async def conversation(
        stand: Stand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await stand.set_fault(kind="latency", latency_ms=300)
        writer.write(write_request())
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        del reader

        while not await count_accepted(stand):  # noqa: ASYNC110 - the ledger has no event
            await asyncio.sleep(0.01)
        _, found = await stand.control("GET", "ledger?message=41")
        (acceptance,) = found["acceptances"]
        assert acceptance["answered"] is False
        assert acceptance["accepted_at"] - acceptance["asked_at"] >= 0.29
        _, stats = await stand.control("GET", "stats")
        assert stats["requests"] == {"meta": {"unheard": 1}}

    converse(conversation)
