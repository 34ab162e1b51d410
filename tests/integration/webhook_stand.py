"""The webhook routes in this process, with the inbox behind them and a real database."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import psycopg
import psycopg_pool
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

from outbound_slo.embedded.processes import pick_port
from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.api import SenderApi
from sender.inbox import Inbox
from sender.metrics import SenderMetrics
from sender.outbox import Pool, configure
from sender.problems import add_handlers
from sender.secrets import SecretStore
from sender.signatures import sign_meta, sign_twilio
from sender.webhook_routes import WebhookSecrets, add_webhook_routes
from tracing.setup import start_tracing

PLATFORM_SECRET = "platform-app-secret"
TWILIO_TOKEN = "twilio-auth-token"
TWILIO_URL = "https://sender.example/webhooks/twilio"
DATABASE_KEY = "database-key"

Answer = tuple[int, str]


class WebhookStand:
    """Posts to the routes as the providers do, and applies what they store."""

    def __init__(
        self, database: str, pool: Pool, url: str, inbox: Inbox, metrics: SenderMetrics
    ) -> None:
        self.database = database
        self.pool = pool
        self.url = url
        self.inbox = inbox
        self.metrics = metrics
        self.sendgrid_key: EllipticCurvePrivateKey

    async def post(self, path: str, raw: bytes, headers: Mapping[str, str]) -> Answer:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}{path}", data=raw, headers=headers) as answer,
        ):
            return answer.status, await answer.text()

    async def post_meta(self, body: object, secret: str = PLATFORM_SECRET) -> int:
        raw = json.dumps(body).encode()
        headers = {"X-Hub-Signature-256": sign_meta(raw, secret)}
        return (await self.post("/webhooks/whatsapp", raw, headers))[0]

    async def post_twilio(
        self, fields: list[tuple[str, str]], query: str = "", token: str = TWILIO_TOKEN
    ) -> int:
        signature = sign_twilio(TWILIO_URL + query, fields, token)
        headers = {
            "X-Twilio-Signature": signature,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return (await self.post(f"/webhooks/twilio{query}", urlencode(fields).encode(), headers))[0]

    async def post_sendgrid(self, events: object, timestamp: str) -> int:
        raw = json.dumps(events).encode()
        signature = self.sendgrid_key.sign(timestamp.encode() + raw, ECDSA(SHA256()))
        headers = {
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }
        return (await self.post("/webhooks/sendgrid", raw, headers))[0]

    async def apply(self) -> None:
        while await self.inbox.apply_some():
            pass

    async def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    def count(self, series: str) -> float:
        """Give the value of one series of the metrics page."""
        for line in self.metrics.render().decode().splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"{series} is not on the page")


def run_stand(database: str, act: Callable[[WebhookStand], Awaitable[None]]) -> None:
    """Serve the routes, let `act` post to them, and stop."""
    asyncio.run(_run(database, act))


async def _run(database: str, act: Callable[[WebhookStand], Awaitable[None]]) -> None:
    metrics = SenderMetrics()
    pool: Pool = psycopg_pool.AsyncConnectionPool(
        database, min_size=1, max_size=4, open=False, configure=configure
    )
    async with pool:
        inbox = Inbox(pool, start_tracing(strict=True), ErrorPolicy.RUNBOOK, metrics)
        sendgrid_key = generate_private_key(SECP256R1())
        secrets = WebhookSecrets(
            whatsapp=SecretStore(pool, fixed=[PLATFORM_SECRET], key=DATABASE_KEY),
            whatsapp_verify_token="verify-me",
            twilio=["new-token", TWILIO_TOKEN],
            twilio_url=TWILIO_URL,
            sendgrid=[sendgrid_key.public_key()],
        )
        app = SenderApi()
        add_handlers(app)
        app.receivers = add_webhook_routes(app, inbox, secrets, metrics)
        port = pick_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        stand = WebhookStand(database, pool, f"http://127.0.0.1:{port}", inbox, metrics)
        stand.sendgrid_key = sendgrid_key
        try:
            await act(stand)
        finally:
            server.should_exit = True
            await serving


def add_organisation(database: str, org_id: str, number_id: str, secret: str | None) -> None:
    """Configure an organisation with a WhatsApp number, account `waba-<org>` and its own secret."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO whatsapp_provider_config"
            " (org_id, phone_number_id, business_account_id, webhook_secret_encrypted)"
            " VALUES (%s, %s, %s, pgp_sym_encrypt(%s, %s))",
            (org_id, number_id, f"waba-{org_id}", secret, DATABASE_KEY),
        )


def add_message(
    database: str,
    org_id: str,
    *,
    channel: str = "WHATSAPP",
    recipient: str = "+33612345678",
    status: str = "SENT",
    provider_id: str | None = None,
) -> int:
    """Put a message with one attempt into the database; gives its id."""
    outcome = "SENT" if provider_id else "UNKNOWN"
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "INSERT INTO outbound_message (org_id, channel, to_recipient, status, attempt_count,"
            " attempt_seq, provider_message_id, sent_at) VALUES (%s, %s, %s, %s, 1, 1, %s::text,"
            " CASE WHEN %s::text IS NOT NULL THEN now() END) RETURNING id",
            (org_id, channel, recipient, status, provider_id, provider_id),
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome,"
            " provider_message_id) VALUES (%s, 1, %s, %s, %s)",
            (row[0], channel, outcome, provider_id),
        )
        return int(row[0])
