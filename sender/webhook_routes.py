"""The routes that providers call: checked over the raw bytes, stored, then answered."""

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qs, parse_qsl

import orjson
import psycopg
import structlog
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse

from sender.callbacks import Caller
from sender.inbox import Inbox
from sender.intake import Arrival
from sender.metrics import SenderMetrics
from sender.problems import declare
from sender.secrets import SecretStore
from sender.sendgrid_events import is_timely
from sender.signatures import (
    Field,
    SendGridKey,
    matches_digest,
    verify_meta,
    verify_sendgrid,
    verify_twilio,
)
from sender.storable import clean_text
from sender.twilio_callbacks import is_callback
from sender.wire import MalformedWebhookError, decode

_log = structlog.get_logger()

WEBHOOK_LIMIT = 3 * 1024 * 1024
"""Bytes of a body: Meta sends 3 MB at most."""

Receiver = Callable[[Request], Awaitable[Response]]
"""Stores what a provider posts and gives the answer, or raises what `sender.problems` answers."""

LINES_PER_S = 10
"""Lines in a second about wrong signatures of one provider: a forger must not fill the disk."""


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """What webhooks are checked with; empty means that the channel is not set up.

    Attributes:
        whatsapp: App secrets that are accepted (more than one during a rotation).
        whatsapp_verify_token: Answer to Meta's GET handshake.
        twilio: Auth tokens.
        twilio_url: The public URL that Twilio signs, without its query; empty if not configured.
        sendgrid: Public keys.

    """

    whatsapp: SecretStore
    whatsapp_verify_token: str
    twilio: Sequence[str]
    twilio_url: str
    sendgrid: Sequence[SendGridKey]


class Reception:
    """What the routes have in common: reading, refusing, storing."""

    def __init__(self, inbox: Inbox, metrics: SenderMetrics) -> None:
        """Count in `metrics`, store in `inbox`."""
        self._inbox = inbox
        self._metrics = metrics
        self._accepted = {
            caller: metrics.webhooks.labels(caller.value, "accepted") for caller in Caller
        }
        self._lines: dict[Caller, tuple[int, int]] = {}

    async def read_body(self, request: Request) -> bytes:
        """Read a body to its end.

        Raises:
            HTTPException: 413, it is longer than any provider's.

        """
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > WEBHOOK_LIMIT:
                raise HTTPException(413, f"The body is larger than {WEBHOOK_LIMIT} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    async def refuse_signature(self, caller: Caller) -> HTTPException:
        """Count, log and note a wrong signature; gives the answer to raise."""
        self._metrics.webhooks.labels(caller.value, "rejected").inc()
        if caller is Caller.WHATSAPP:
            self._metrics.signature_failures.inc()
        self._complain(caller)
        await self._inbox.note_rejected(caller)
        return HTTPException(401, "Invalid webhook signature")

    def refuse_form(self, caller: Caller, reason: str) -> HTTPException:
        """Count a body that is not what the provider documents; gives the answer to raise."""
        self._metrics.webhooks.labels(caller.value, "malformed").inc()
        return HTTPException(400, f"Malformed webhook: {reason}")

    async def store(self, arrival: Arrival) -> None:
        """Store a genuine webhook and count it.

        Raises:
            HTTPException: 400, it is no JSON to PostgreSQL.
            psycopg.Error: It is not stored; the provider shall come again.

        """
        try:
            await self._inbox.store(arrival)
        except psycopg.DataError as fault:
            raise self.refuse_form(arrival.caller, "the body can't be stored") from fault
        self._accepted[arrival.caller].inc()

    def _complain(self, caller: Caller) -> None:
        second = int(time.monotonic())
        since, lines = self._lines.get(caller, (second, 0))
        if since != second:
            if lines > LINES_PER_S:
                _log.warning(
                    "Invalid webhook signature, not logged one by one",
                    provider=caller.value,
                    count=lines - LINES_PER_S,
                )
            since, lines = second, 0
        self._lines[caller] = (since, lines + 1)
        if lines < LINES_PER_S:
            _log.warning("Invalid webhook signature", provider=caller.value)


def add_webhook_routes(
    app: FastAPI, inbox: Inbox, secrets: WebhookSecrets, metrics: SenderMetrics
) -> Mapping[str, Receiver]:
    """Add the routes of every provider; gives what takes the POSTs, by path."""
    reception = Reception(inbox, metrics)
    return {
        "/webhooks/whatsapp": _add_whatsapp(app, reception, secrets),
        "/webhooks/twilio": _add_twilio(app, reception, secrets),
        "/webhooks/sendgrid": _add_sendgrid(app, reception, secrets),
    }


def _describe(*media_types: str) -> dict[str, Any]:
    """Describe a route for the OpenAPI document; the signature stands for the admin token."""
    content: dict[str, object] = {media_type: {"schema": {}} for media_type in media_types}
    return {
        "tags": ["webhooks"],
        "response_class": Response,
        "responses": declare(400, 401, 413, 503),
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }


def _add_whatsapp(app: FastAPI, reception: Reception, secrets: WebhookSecrets) -> Receiver:
    @app.get(
        "/webhooks/whatsapp",
        tags=["webhooks"],
        response_class=PlainTextResponse,
        responses=declare(403, 422),
    )
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

    @app.post("/webhooks/whatsapp", **_describe("application/json"))
    async def receive_whatsapp(request: Request) -> Response:
        """Store a webhook, then answer; what it tells is applied after."""
        raw = await reception.read_body(request)
        if not await secrets.whatsapp.any_known():
            raise HTTPException(503, "WHATSAPP_APP_SECRET is not set, so webhooks can't be checked")
        signature = request.headers.get("x-hub-signature-256", "")
        signer = await secrets.whatsapp.find_signer(
            raw, lambda secret: verify_meta(raw, signature, secret)
        )
        if signer is None:
            raise await reception.refuse_signature(Caller.WHATSAPP)
        try:
            body = decode(raw)
        except MalformedWebhookError as error:
            raise reception.refuse_form(Caller.WHATSAPP, str(error)) from error
        if not isinstance(body, dict):
            raise reception.refuse_form(Caller.WHATSAPP, "the body is not a JSON object")
        if not isinstance(body.get("entry"), list):
            raise reception.refuse_form(Caller.WHATSAPP, "the body has no list 'entry'")
        await reception.store(Arrival(Caller.WHATSAPP, raw.decode(), signer.owners))
        return Response(status_code=200)

    return receive_whatsapp


def _add_twilio(app: FastAPI, reception: Reception, secrets: WebhookSecrets) -> Receiver:
    @app.post(
        "/webhooks/twilio",
        status_code=204,
        **_describe("application/x-www-form-urlencoded", "application/json"),
    )
    async def receive_twilio(request: Request) -> Response:
        """Store a status callback or an inbound SMS, then answer."""
        raw = await reception.read_body(request)
        if not secrets.twilio:
            raise HTTPException(503, "TWILIO_AUTH_TOKEN is not set, so callbacks can't be checked")
        if not secrets.twilio_url:
            raise HTTPException(
                503, "OUTBOUND_PUBLIC_URL is not set, so callbacks can't be checked"
            )
        is_json = request.headers.get("content-type", "").startswith("application/json")
        signed = [] if is_json else parse_qsl(raw.decode("utf-8", "replace"), True)
        if not _is_twilios(request, raw, signed, secrets):
            raise await reception.refuse_signature(Caller.TWILIO)
        try:
            fields = decode(raw) if is_json else dict(signed)
        except MalformedWebhookError as error:
            raise reception.refuse_form(Caller.TWILIO, str(error)) from error
        if not isinstance(fields, dict) or not is_callback(fields):
            raise reception.refuse_form(
                Caller.TWILIO, "MessageSid, and MessageStatus or From, are missing"
            )
        fields |= {name: request.query_params.get(name, "") for name in ("m", "a")}
        stored = {clean_text(str(name)): _clean(value) for name, value in fields.items()}
        await reception.store(Arrival(Caller.TWILIO, orjson.dumps(stored).decode()))
        return Response(status_code=204)

    return receive_twilio


def _clean(value: object) -> object:
    return clean_text(value) if isinstance(value, str) else value


def _is_twilios(
    request: Request, raw: bytes, signed: Sequence[Field], secrets: WebhookSecrets
) -> bool:
    """Check a callback: a form is signed with its fields, JSON by its digest in the query."""
    query = request.url.query
    url = secrets.twilio_url + (f"?{query}" if query else "")
    signature = request.headers.get("x-twilio-signature", "")
    if not any(verify_twilio(url, signed, signature, token) for token in secrets.twilio):
        return False
    digests = parse_qs(query).get("bodySHA256")
    if digests is not None:
        return matches_digest(raw, digests[0])
    # Without fields or a digest the signature says nothing of the body.
    return bool(signed)


def _add_sendgrid(app: FastAPI, reception: Reception, secrets: WebhookSecrets) -> Receiver:
    @app.post("/webhooks/sendgrid", status_code=204, **_describe("application/json"))
    async def receive_sendgrid(request: Request) -> Response:
        """Store a POST of the signed event webhook, then answer."""
        raw = await reception.read_body(request)
        if not secrets.sendgrid:
            raise HTTPException(
                503, "SENDGRID_WEBHOOK_PUBLIC_KEY is not set, so events can't be checked"
            )
        signature = request.headers.get("x-twilio-email-event-webhook-signature", "")
        timestamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
        genuine = is_timely(timestamp, time.time()) and any(
            verify_sendgrid(raw, timestamp, signature, key) for key in secrets.sendgrid
        )
        if not genuine:
            raise await reception.refuse_signature(Caller.SENDGRID)
        try:
            body = decode(raw)
        except MalformedWebhookError as error:
            raise reception.refuse_form(Caller.SENDGRID, str(error)) from error
        if not isinstance(body, list):
            raise reception.refuse_form(Caller.SENDGRID, "the body is not a JSON array")
        await reception.store(Arrival(Caller.SENDGRID, raw.decode()))
        return Response(status_code=204)

    return receive_sendgrid


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
