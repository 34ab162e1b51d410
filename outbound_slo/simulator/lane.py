"""The fast lane: plain send requests are read and answered without a web framework.

At a thousand messages a second a framework's request, router and response objects cost more than
all that the simulator does with a message. So a connection begins in a lane. Whatever is not a
send in its plainest framing (a whole head, a Content-Length, HTTP/1.1) is not understood here but
handed over, bytes and connection, to aiohttp, which answers everything.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import cast

from outbound_slo.simulator.sends import Errand
from outbound_slo.simulator.stage import Stage
from outbound_slo.simulator.wire import Answer, Inquiry, Provider, encode_body

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a request; above Meta's own 3 MB."""

_HEAD_END = b"\r\n\r\n"
_TARGETS = (
    (Provider.META, re.compile(r"/(?P<version>v\d+\.\d+)/(?P<object_id>[0-9A-Za-z_]+)/messages")),
    (
        Provider.TWILIO,
        re.compile(r"/2010-04-01/Accounts/(?P<account_sid>[0-9A-Za-z]+)/Messages\.json"),
    ),
    (Provider.SENDGRID, re.compile(r"/v3/mail/send")),
)
_UNPLAIN = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


@dataclass(frozen=True, slots=True)
class Head:
    """What a lane must know of a request before its body."""

    provider: Provider
    path: Mapping[str, str]
    authorization: str
    length: int
    closes: bool


@lru_cache(maxsize=1024)
def find_target(target: bytes) -> tuple[Provider, Mapping[str, str]] | None:
    """Tell whose send endpoint a request target is, and what its path names."""
    text = target.decode("latin-1")
    for provider, pattern in _TARGETS:
        found = pattern.fullmatch(text)
        if found:
            return provider, found.groupdict()
    return None


def read_head(lines: bytes) -> Head | None:
    """Read a request's head, without its empty line; None for anything but a plain send."""
    request_line, *fields = lines.split(b"\r\n")
    method, _, rest = request_line.partition(b" ")
    target, _, version = rest.partition(b" ")
    if method != b"POST" or version != b"HTTP/1.1":
        return None
    found = find_target(target)
    if found is None:
        return None
    authorization, length, closes = "", -1, False
    for field in fields:
        name, _, value = field.partition(b":")
        name = name.lower()
        if name == b"content-length":
            # Twice, signed or not a number: whatever that means, it is not plain.
            if length >= 0 or not value.strip().isdigit():
                return None
            length = int(value)
        elif name == b"authorization":
            authorization = value.strip().decode("utf-8", "replace")
        elif name == b"connection":
            closes = value.strip().lower() == b"close"
        elif name in _UNPLAIN or name.strip() != name:
            return None
    if not 0 <= length <= BODY_LIMIT:
        return None
    return Head(*found, authorization, length, closes)


def write_response(answer: Answer) -> bytes:
    """Write an answer as the bytes of an HTTP/1.1 response."""
    body = encode_body(answer)
    head = _write_status(answer.status) + f"Content-Type: {answer.content_type}; charset=utf-8\r\n"
    for name, value in answer.headers.items():
        head += f"{name}: {value}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


@lru_cache(maxsize=64)
def _write_status(status: int) -> str:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n"


class Lane(asyncio.Protocol):
    """One connection, as long as it carries nothing but plain sends."""

    def __init__(
        self, stage: Stage, lanes: "set[Lane]", create_handler: Callable[[], asyncio.Protocol]
    ) -> None:
        """Serve from `stage`; be among `lanes` while open; hand over to a new handler."""
        self._stage = stage
        self._lanes = lanes
        self._create_handler = create_handler
        self._buffer = b""
        self._errand: Errand | None = None
        self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        self._transport = cast("asyncio.Transport", transport)
        self._lanes.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; they wait while a request is being answered."""
        self._buffer = self._buffer + data if self._buffer else data
        if self._errand is None:
            self._serve()
        elif len(self._buffer) > BODY_LIMIT:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a request that is being answered know that nobody waits for it."""
        del exc
        self._lanes.discard(self)
        if self._errand is not None:
            self._errand.leave()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def _serve(self) -> None:
        """Begin the next request of the buffer, if it is there as a whole."""
        end = self._buffer.find(_HEAD_END)
        head = read_head(self._buffer[:end]) if end >= 0 else None
        if head is None:
            self._hand_over()
            return
        start = end + len(_HEAD_END)
        rest = start + head.length
        if len(self._buffer) < rest:
            return
        body, self._buffer = self._buffer[start:rest], self._buffer[rest:]
        self._closes = head.closes
        wire = self._stage.wires[head.provider]
        inquiry = Inquiry(head.authorization, head.path, body)
        self._errand = Errand(self._stage, wire, inquiry, self._reply)
        self._errand.start()

    def _reply(self, answer: Answer | None) -> None:
        """Write an answer and go on with what came meanwhile."""
        self._errand = None
        if answer is None:
            self._transport.abort()
            return
        self._transport.write(write_response(answer))
        if self._closes:
            self._transport.close()
        elif self._buffer:
            # Not from here: a client that writes ahead must not make the stack grow.
            asyncio.get_running_loop().call_soon(self._serve_waiting)

    def _serve_waiting(self) -> None:
        if self._errand is None and self._buffer and not self._transport.is_closing():
            self._serve()

    def _hand_over(self) -> None:
        """Let aiohttp have the connection and what has been read of it."""
        self._lanes.discard(self)
        handler = self._create_handler()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(self._buffer)
        self._buffer = b""
