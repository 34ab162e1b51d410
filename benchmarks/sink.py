"""A trace collector that takes everything and keeps nothing: the cheapest that a sender can have.

It answers every POST with an empty OTLP success, so what tracing costs a sender can be told from
what a collector costs. Run as `python -m benchmarks.sink PORT`; SIGTERM ends it.
"""

import asyncio
import re
import signal
import sys

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One kept-alive connection; requests come one after the other, with a Content-Length."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
            if self._left <= 0:
                self._answer()
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        found = _LENGTH.search(self._head, 0, end)
        length = int(found[1]) if found else 0
        self._left = length - (len(self._head) - end - 4)
        self._head.clear()
        if self._left <= 0:
            self._answer()

    def _answer(self) -> None:
        self._left = 0
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.write(_ANSWER)


async def serve_sink(port: int) -> None:
    """Take exports on a loopback port until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(_Connection, "127.0.0.1", port)
    async with server:
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(serve_sink(int(sys.argv[1])))
