"""Providers' POSTs go past the framework; what goes wrong is answered as it would be there."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import psycopg
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sender.api import SenderApi
from sender.problems import MEDIA_TYPE, add_handlers

PATH = "/webhooks/whatsapp"
Receiver = Callable[[Request], Awaitable[Response]]


def _post(receiver: Receiver, *heard: MutableMapping[str, Any]) -> list[MutableMapping[str, Any]]:
    """POST to the application, which hears `heard`; gives what it says."""
    app = SenderApi()
    add_handlers(app)
    app.receivers = {PATH: receiver}
    waiting = list(heard) or [{"type": "http.request", "body": b"{}"}]
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "headers": [],
    }
    asyncio.run(app(scope, receive, send))
    return said


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (HTTPException(401, "Invalid webhook signature"), 401),
        (psycopg.OperationalError("the server closed the connection"), 503),
        (psycopg.errors.QueryCanceled(), 503),
        (ZeroDivisionError(), 500),
    ],
)
def test_every_fault_is_answered_with_a_problem(fault: Exception, status: int) -> None:
    async def fail(_request: Request) -> Response:
        raise fault

    start, body = _post(fail)

    assert start["status"] == status
    assert (b"content-type", MEDIA_TYPE.encode()) in start["headers"]
    assert json.loads(body["body"])["status"] == status


def test_a_caller_who_is_gone_is_not_answered() -> None:
    async def read(request: Request) -> Response:
        return Response(await request.body())

    assert _post(read, {"type": "http.disconnect"}) == []


def test_what_takes_the_post_answers_it() -> None:
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    start, body = _post(echo)

    assert (start["status"], body["body"]) == (200, b"{}")
