"""Secrets: found where they belong, and nowhere that people or machines read."""

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable

import psycopg
import psycopg_pool
import pytest
import structlog

from sender.outbox import Pool
from sender.secrets import CredentialsUnreadableError, SecretStore, TokenStore, WebhookSecret
from tests.integration.webhook_stand import (
    DATABASE_KEY,
    PLATFORM_SECRET,
    TWILIO_TOKEN,
    WebhookStand,
    add_organisation,
    run_stand,
)


def _run(database: str, act: Callable[[Pool], Awaitable[None]]) -> None:
    async def run() -> None:
        pool: Pool = psycopg_pool.AsyncConnectionPool(database, min_size=1, open=False)
        async with pool:
            await act(pool)

    asyncio.run(run())


def _set_token(database: str, token: str, key: str = DATABASE_KEY) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE whatsapp_provider_config"
            " SET access_token_encrypted = pgp_sym_encrypt(%s, %s) WHERE org_id = 'a'",
            (token, key),
        )


def test_an_organisations_own_token_is_found_and_others_have_none(database: str) -> None:
    add_organisation(database, "a", "1001", "secret-a")
    add_organisation(database, "b", "1002", "secret-b")
    _set_token(database, "token-of-a")

    async def act(pool: Pool) -> None:
        tokens = TokenStore(pool, key=DATABASE_KEY)
        assert await tokens.find("a") == "token-of-a"
        assert await tokens.find("b") is None
        assert await tokens.find("stranger") is None
        assert await TokenStore(pool, key="").find("a") is None

    _run(database, act)


def test_a_refused_token_is_replaced_as_soon_as_there_is_another(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_organisation(database, "a", "1001", "secret-a")
    _set_token(database, "old")
    monkeypatch.setattr("sender.secrets.LOOK_AGAIN_S", 0.0)

    async def act(pool: Pool) -> None:
        tokens = TokenStore(pool, key=DATABASE_KEY)
        assert await tokens.find("a") == "old"
        assert await tokens.replace_refused("a", "old") is None
        _set_token(database, "new")
        assert await tokens.find("a") == "old"
        assert await tokens.replace_refused("a", "old") == "new"
        assert await tokens.find("a") == "new"

    _run(database, act)


def test_a_token_under_another_key_is_said_to_be_unreadable(database: str) -> None:
    add_organisation(database, "a", "1001", "secret-a")
    _set_token(database, "token-of-a", key="another key")

    async def act(pool: Pool) -> None:
        with pytest.raises(CredentialsUnreadableError):
            await TokenStore(pool, key=DATABASE_KEY).find("a")

    _run(database, act)


def test_without_a_database_a_known_token_is_used_and_an_unknown_one_is_unreadable(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_organisation(database, "a", "1001", "secret-a")
    _set_token(database, "token-of-a")
    monkeypatch.setattr("sender.secrets.KEEP_S", 0.0)

    async def act(pool: Pool) -> None:
        tokens = TokenStore(pool, key=DATABASE_KEY)
        assert await tokens.find("a") == "token-of-a"
        await pool.close()
        assert await tokens.find("a") == "token-of-a"
        with pytest.raises(CredentialsUnreadableError):
            await tokens.find("b")

    _run(database, act)


PLANTED = ("secret-planted", "token-planted", PLATFORM_SECRET, TWILIO_TOKEN, DATABASE_KEY)


def test_no_secret_is_in_any_output(database: str) -> None:
    add_organisation(database, "a", "1001", "secret-planted")
    _set_token(database, "token-planted", key="another key")
    add_organisation(database, "b", "1002", None)
    lines = io.StringIO()
    told: list[str] = []

    async def act(stand: WebhookStand) -> None:
        answers = [
            await stand.post(path, raw, {"X-Hub-Signature-256": "sha256=00"})
            for path in ("/webhooks/whatsapp", "/webhooks/twilio", "/webhooks/sendgrid")
            for raw in (b"{}", b"not json")
        ]
        told.extend(text for _, text in answers)
        assert await stand.post_meta({"entry": []}, "secret-planted") == 200
        await stand.apply()
        store = SecretStore(stand.pool, fixed=[PLATFORM_SECRET], key=DATABASE_KEY)
        assert await store.find_signer(b"", lambda secret: secret == "secret-planted")
        tokens = TokenStore(stand.pool, key=DATABASE_KEY)
        with pytest.raises(CredentialsUnreadableError) as fault:
            await tokens.find("a")
        told.extend([repr(store), repr(tokens), repr(fault.value), str(fault.value)])
        told.append(repr(WebhookSecret("secret-planted")))
        told.extend(repr(secret) for secret in store._stored)
        told.extend(repr(held) for held in tokens._held.values())
        told.append(stand.metrics.render().decode())
        told.extend(str(row) for row in await stand.ask("SELECT * FROM provider_webhook"))

    handler = logging.StreamHandler(lines)
    logging.getLogger().addHandler(handler)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(lines))
    try:
        run_stand(database, act)
    finally:
        structlog.reset_defaults()
        logging.getLogger().removeHandler(handler)
    told.append(lines.getvalue())
    assert "Invalid webhook signature" in told[-1]
    assert "does not fit OUTBOUND_SECRETS_KEY" in told[-1]
    for secret in PLANTED:
        assert not [text for text in told if secret in text]
