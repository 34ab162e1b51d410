"""The routes that providers call: checked over the raw bytes, stored, then answered."""

import hmac
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

import structlog
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse

from sender.callbacks import MalformedWebhookError, read_json, verify_meta, verify_twilio
from sender.inbox import Inbox
from sender.metrics import SenderMetrics
from sender.secrets import SecretStore

_log = structlog.get_logger()

WEBHOOK_LIMIT = 3 * 1024 * 1024
"""Bytes of a body: Meta sends 3 MB at most."""


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """What webhooks are checked with; empty means that the channel is not set up.

    Attributes:
        whatsapp: App secrets that are accepted (more than one during a rotation).
        whatsapp_verify_token: Answer to Meta's GET handshake.
        twilio: Auth token.
        twilio_url: The public URL that Twilio signs, without its query.

    """

    whatsapp: SecretStore
    whatsapp_verify_token: str
    twilio: str
    twilio_url: str


def add_webhook_routes(
    app: FastAPI, inbox: Inbox, secrets: WebhookSecrets, metrics: SenderMetrics
) -> None:
    """Add the routes of every provider."""
    _add_whatsapp(app, inbox, secrets, metrics)
    _add_twilio(app, inbox, secrets, metrics)


async def _read_body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > WEBHOOK_LIMIT:
            raise HTTPException(413, f"The body is larger than {WEBHOOK_LIMIT} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _add_whatsapp(
    app: FastAPI, inbox: Inbox, secrets: WebhookSecrets, metrics: SenderMetrics
) -> None:
    @app.get("/webhooks/whatsapp")
    async def confirm_subscription(
        mode: Annotated[str, Query(alias="hub.mode")] = "",
        token: Annotated[str, Query(alias="hub.verify_token")] = "",
        challenge: Annotated[str, Query(alias="hub.challenge")] = "",
    ) -> PlainTextResponse:
        """Answer Meta's handshake."""
        expected = secrets.whatsapp_verify_token
        if mode != "subscribe" or not expected or not _same(token, expected):
            raise HTTPException(403, "hub.verify_token is not ours")
        return PlainTextResponse(challenge)

    @app.post("/webhooks/whatsapp")
    async def receive_whatsapp(request: Request) -> Response:
        """Store a webhook, then answer; statuses and inbound messages are applied after."""
        raw = await _read_body(request)
        signature = request.headers.get("x-hub-signature-256", "")
        accepted = await secrets.whatsapp.current()
        genuine = verify_meta(raw, signature, accepted)
        if not genuine and await secrets.whatsapp.look_again():
            accepted = await secrets.whatsapp.current()
            genuine = verify_meta(raw, signature, accepted)
        if not accepted:
            raise HTTPException(503, "WHATSAPP_APP_SECRET is not set, so webhooks can't be checked")
        if not genuine:
            metrics.signature_failures.inc()
            metrics.webhooks.labels("whatsapp", "rejected").inc()
            _log.warning("Invalid webhook signature", provider="whatsapp")
            raise HTTPException(401, "Invalid webhook signature")
        try:
            body = read_json(raw)
        except MalformedWebhookError as error:
            metrics.webhooks.labels("whatsapp", "malformed").inc()
            raise HTTPException(400, f"Malformed webhook: {error}") from error
        await inbox.store("whatsapp", body)
        metrics.webhooks.labels("whatsapp", "accepted").inc()
        return Response(status_code=200)


def _add_twilio(
    app: FastAPI, inbox: Inbox, secrets: WebhookSecrets, metrics: SenderMetrics
) -> None:
    @app.post("/webhooks/twilio")
    async def receive_twilio(request: Request) -> Response:
        """Store a status callback, then answer."""
        raw = await _read_body(request)
        if not secrets.twilio:
            raise HTTPException(503, "TWILIO_AUTH_TOKEN is not set, so callbacks can't be checked")
        form = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
        query = request.url.query
        url = secrets.twilio_url + (f"?{query}" if query else "")
        signature = request.headers.get("x-twilio-signature", "")
        if not verify_twilio(url, form, signature, secrets.twilio):
            metrics.webhooks.labels("twilio", "rejected").inc()
            _log.warning("Invalid webhook signature", provider="twilio")
            raise HTTPException(401, "Invalid webhook signature")
        if "MessageSid" not in form or "MessageStatus" not in form:
            metrics.webhooks.labels("twilio", "malformed").inc()
            raise HTTPException(400, "Malformed webhook: MessageSid or MessageStatus is missing")
        reference = {name: request.query_params.get(name, "") for name in ("m", "a")}
        await inbox.store("twilio", form | reference)
        metrics.webhooks.labels("twilio", "accepted").inc()
        return Response(status_code=204)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
