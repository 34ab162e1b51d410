"""The control interface's second half: what happens because a test or the demo says so.

A user writes, Meta pauses a template, a stranger forges a webhook: `POST`s under `/_control/`.
"""

import secrets
from typing import Literal

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from outbound_slo.simulator.accounts import TemplateStatus
from outbound_slo.simulator.control_bodies import build_refusal, read_body
from outbound_slo.simulator.meta import to_wa_id
from outbound_slo.simulator.meta_notices import NoticeField, NoticeOrder, build_notice
from outbound_slo.simulator.meta_webhooks import InboundText, StatusUpdate, build_metadata
from outbound_slo.simulator.packing import Packer, Parcel
from outbound_slo.simulator.sendgrid_events import MailEvent, MailEventKind
from outbound_slo.simulator.sends import STAGE
from outbound_slo.simulator.stage import Stage
from outbound_slo.simulator.twilio import TwilioCall, build_inbound

_DEFAULT_NUMBER_ID = "106540352242922"
_DEFAULT_ACCOUNT = "AC" + "0" * 31 + "1"
_PHONE = r"^\+?[1-9]\d{6,14}$"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_TEMPLATE_STATUSES = {
    "APPROVED": TemplateStatus.APPROVED,
    "REINSTATED": TemplateStatus.APPROVED,
    "PAUSED": TemplateStatus.PAUSED,
    "DISABLED": TemplateStatus.DISABLED,
    "REJECTED": TemplateStatus.REJECTED,
}


class _Order(BaseModel):
    """A request body."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class InboundOrder(_Order):
    """The body of `POST /_control/inbound`: who writes what."""

    sender: str = Field(alias="from", pattern=_PHONE)
    text: str = Field(min_length=1, max_length=4096)
    name: str = Field(default="Simulated User", min_length=1)
    phone_number_id: str = Field(default="", pattern=r"^\d*$")


class InboundSmsOrder(_Order):
    """The body of `POST /_control/inbound/sms`: who writes what to which number of ours."""

    sender: str = Field(alias="from", pattern=_PHONE)
    number: str = Field(alias="to", pattern=_PHONE)
    text: str = Field(min_length=1, max_length=1600)
    account_sid: str = Field(default=_DEFAULT_ACCOUNT, pattern="^AC[0-9a-f]{32}$")


class MailEventOrder(_Order):
    """The body of `POST /_control/mail-events`: what a reader of e-mail does, or a server."""

    email: str = Field(pattern=_EMAIL)
    event: MailEventKind = Field(strict=False)
    message_id: str = ""
    custom_args: dict[str, str] = Field(default_factory=dict)


class ForgeryOrder(_Order):
    """The body of `POST /_control/webhooks/forge`: what a stranger claims, in whose name.

    Attributes:
        signature: wrong is well-formed but not the provider's, none leaves the header out.
        reference: What the provider would echo: callback data, or the m of custom arguments.
        url: Where Twilio's goes; the other two know their receiver.

    """

    provider: Literal["meta", "twilio", "sendgrid"]
    signature: Literal["wrong", "none"] = "wrong"
    message_id: str = "wamid.Zm9yZ2Vk"
    status: str = Field(default="delivered", min_length=1)
    recipient: str = "33612345678"
    reference: str | None = None
    url: str = ""


class HandshakeOrder(_Order):
    """The body of `POST /_control/webhooks/handshake`."""

    verify_token: str = Field(min_length=1)


class FlushOrder(_Order):
    """The body of `POST /_control/webhooks/flush`; may be left out."""

    limit_seconds: float = Field(default=10, gt=0, le=300)


async def send_inbound(request: web.Request) -> web.Response:
    """Play a WhatsApp user who writes to the business: opens the window, posts the webhook."""
    order = await read_body(request, InboundOrder)
    stage = request.app[STAGE]
    number = order.phone_number_id or _find_number(stage)
    now = stage.clock()
    message_id = stage.meta.create_id(stage.rng)
    stage.account.note_inbound(order.sender.lstrip("+"), now)
    stage.courier.schedule(
        InboundText(number, message_id, order.sender, order.name, order.text, now), delay=0
    )
    return web.json_response({"id": message_id, "phone_number_id": number}, status=202)


async def send_inbound_sms(request: web.Request) -> web.Response:
    """Play a user who writes an SMS; STOP and START are obeyed as Twilio does."""
    order = await read_body(request, InboundSmsOrder)
    stage = request.app[STAGE]
    url = stage.options.twilio_inbound_url
    if not url:
        raise build_refusal("there is no receiver of SMS", "Start with --twilio-inbound-url.")
    message_id = stage.twilio.create_id(stage.rng)
    kind = stage.twilio.note_inbound(order.sender, order.number, order.text)
    call = build_inbound(
        url, order.account_sid, message_id, order.sender, order.number, order.text, kind
    )
    stage.courier.schedule(call, delay=0)
    return web.json_response({"id": message_id, "keyword": kind}, status=202)


async def send_notice(request: web.Request) -> web.Response:
    """Post one of Meta's webhooks about the account; a template's status is taken over too."""
    order = await read_body(request, NoticeOrder)
    stage = request.app[STAGE]
    metadata = build_metadata(_find_number(stage), stage.courier.packer.address.display_number)
    notice = build_notice(order, metadata, stage.clock())
    if notice.field is NoticeField.TEMPLATE_STATUS:
        status = _TEMPLATE_STATUSES.get(str(notice.value["event"]))
        if status is not None:
            stage.account.note_status(str(notice.value["message_template_name"]), status)
    stage.courier.schedule(notice, delay=0)
    body = {"field": notice.field.value, "value": notice.value}
    return web.json_response(body, status=202)


async def send_mail_event(request: web.Request) -> web.Response:
    """Post one SendGrid event, of a message or of none."""
    order = await read_body(request, MailEventOrder)
    stage = request.app[STAGE]
    event = MailEvent(
        order.event,
        order.email,
        order.message_id,
        stage.clock(),
        order.custom_args,
    )
    stage.courier.schedule(event, delay=0)
    return web.json_response({"event": order.event.value, "email": order.email}, status=202)


async def forge_webhook(request: web.Request) -> web.Response:
    """Post a status that no provider signed; answer with what the receiver said to it."""
    order = await read_body(request, ForgeryOrder)
    stage = request.app[STAGE]
    parcel = _forge(order, stage.courier.packer, _find_number(stage), stage.clock())
    if not parcel.url:
        raise build_refusal(
            f"nobody listens to webhooks of {order.provider}",
            "Start with --callback-url or --sendgrid-events-url; Twilio's needs url.",
        )
    if order.signature == "none":
        for name in [name for name in parcel.headers if "Signature" in name]:
            del parcel.headers[name]
    return web.json_response({"status": await stage.courier.post(parcel)})


async def flush_webhooks(request: web.Request) -> web.Response:
    """Post at once all that waits; answer when it is done, or the limit is reached."""
    order = await read_body(request, FlushOrder) if request.can_read_body else FlushOrder()
    courier = request.app[STAGE].courier
    pending = await courier.flush(order.limit_seconds)
    return web.json_response({"pending": pending, "webhooks": dict(courier.counts)})


async def shake_hands(request: web.Request) -> web.Response:
    """Perform Meta's verification of the callback: GET with a challenge that must come back."""
    order = await read_body(request, HandshakeOrder)
    stage = request.app[STAGE]
    if not stage.options.callback_url:
        raise build_refusal("there is no callback to verify", "Start with --callback-url.")
    challenge = str(secrets.randbelow(10**10))
    query = {
        "hub.mode": "subscribe",
        "hub.verify_token": order.verify_token,
        "hub.challenge": challenge,
    }
    try:
        async with stage.session.get(
            stage.options.callback_url, params=query, timeout=aiohttp.ClientTimeout(total=5)
        ) as answer:
            status, text = answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return web.json_response({"verified": False, "status": 0, "reason": str(error)})
    verified = status == web.HTTPOk.status_code and text.strip() == challenge
    return web.json_response({"verified": verified, "status": status})


def list_occasions() -> list[web.RouteDef]:
    """List the routes of this half."""
    return [
        web.post("/_control/inbound", send_inbound),
        web.post("/_control/inbound/sms", send_inbound_sms),
        web.post("/_control/notices", send_notice),
        web.post("/_control/mail-events", send_mail_event),
        web.post("/_control/webhooks/forge", forge_webhook),
        web.post("/_control/webhooks/flush", flush_webhooks),
        web.post("/_control/webhooks/handshake", shake_hands),
    ]


def _find_number(stage: Stage) -> str:
    """Return the number that speaks where an order names none."""
    known = stage.options.phone_number_ids
    return known[0] if known else _DEFAULT_NUMBER_ID


def _forge(order: ForgeryOrder, packer: Packer, number: str, now: float) -> Parcel:
    """Write a stranger's webhook."""
    if order.provider == "meta":
        wa_id = to_wa_id(order.recipient)
        update = StatusUpdate(
            number, order.message_id, order.status, wa_id, now, callback_data=order.reference
        )
        return packer.pack_statuses([update], is_forged=True)
    if order.provider == "sendgrid":
        args = {} if order.reference is None else {"m": order.reference}
        email = order.recipient if "@" in order.recipient else "somebody@example.org"
        event = MailEvent(MailEventKind.DELIVERED, email, order.message_id, now, args)
        return packer.pack_mails([event], is_forged=True)
    form = {"MessageSid": order.message_id, "MessageStatus": order.status}
    return packer.pack_single(TwilioCall(order.url, form), is_forged=True)
