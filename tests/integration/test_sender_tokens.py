"""A token that Meta refuses (190): sent once more with another one, if there is another one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import aiohttp
import psycopg
import psycopg_pool
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sender.outbox import Pool
from sender.providers.answer import HttpCaller, SendResult
from sender.providers.whatsapp import WhatsAppProvider
from sender.secrets import TokenStore
from tests.integration.webhook_stand import DATABASE_KEY, add_organisation
from tests.unit.test_sender_rules import GOOD
from tracing.setup import start_tracing

REFUSAL = {"error": {"code": 190, "message": "Error validating access token: it has expired"}}

Send = Callable[[], Awaitable[SendResult]]


def _set_token(database: str, token: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE whatsapp_provider_config"
            " SET access_token_encrypted = pgp_sym_encrypt(%s, %s) WHERE org_id = 'a'",
            (token, DATABASE_KEY),
        )


def _act(database: str, good: str, act: Callable[[Send], Awaitable[None]]) -> list[str]:
    """Let `act` send for organisation `a` to a Meta that takes one token; gives those it saw."""
    seen: list[str] = []

    async def take(request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        seen.append(token)
        if token != good:
            return web.json_response(REFUSAL, status=401)
        return web.json_response({"messages": [{"id": "wamid.1"}]})

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v26.0/{number}/messages", take)
        pool: Pool = psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False)
        async with pool, TestServer(app) as server, aiohttp.ClientSession() as session:
            provider = WhatsAppProvider(
                HttpCaller(session, start_tracing(), 10.0),
                base_url=str(server.make_url("")),
                version="v26.0",
                number_id="10001",
                token="the-platforms",
                tokens=TokenStore(pool, key=DATABASE_KEY),
            )
            await act(lambda: provider.send(replace(GOOD, org_id="a")))

    asyncio.run(run())
    return seen


@pytest.fixture(autouse=True)
def _look_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sender.secrets.LOOK_AGAIN_S", 0.0)


def test_a_token_changed_since_it_was_read_sends_the_message_in_the_same_attempt(
    database: str,
) -> None:
    add_organisation(database, "a", "1001", "secret")
    _set_token(database, "old")

    async def act(send: Send) -> None:
        assert (await send()).error_code == "190"
        _set_token(database, "new")
        assert (await send()).provider_message_id == "wamid.1"
        assert (await send()).accepted

    seen = _act(database, "new", act)

    # The third message does not begin with the refused one again.
    assert seen == ["old", "old", "new", "new"]


def test_an_organisation_that_gets_a_token_of_its_own_needs_no_restart(database: str) -> None:
    add_organisation(database, "a", "1001", "secret")

    async def act(send: Send) -> None:
        assert (await send()).error_code == "190"
        _set_token(database, "own")
        assert (await send()).accepted

    assert _act(database, "own", act) == ["the-platforms", "the-platforms", "own"]


def test_a_token_that_is_refused_and_unchanged_is_asked_once_an_attempt(database: str) -> None:
    add_organisation(database, "a", "1001", "secret")
    _set_token(database, "old")

    async def act(send: Send) -> None:
        result = await send()
        assert (result.accepted, result.unknown) == (False, False)
        assert (result.error_code, result.http_status) == ("190", 401)

    assert _act(database, "another", act) == ["old"]


def test_another_token_that_is_refused_too_ends_the_attempt(database: str) -> None:
    add_organisation(database, "a", "1001", "secret")
    _set_token(database, "old")

    async def act(send: Send) -> None:
        await send()
        _set_token(database, "newer")
        assert (await send()).error_code == "190"

    assert _act(database, "another", act) == ["old", "old", "newer"]
