"""The control interface, under `/_control/`: what a test or the demo steers and reads.

Bad input is answered with 400 and `{"error", "mend"}`, and changes nothing.
"""

import secrets
from dataclasses import asdict
from typing import TypeVar

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from outbound_slo.simulator.accounts import Template, TemplateStatus
from outbound_slo.simulator.faults import FaultSet
from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.sends import STAGE

_DEFAULT_NUMBER_ID = "106540352242922"
_SHOWN_PROBLEMS = 3
_FAULT_KINDS = frozenset({"error", "latency", "timeout", "drop", "html"})

ModelT = TypeVar("ModelT", bound=BaseModel)


class _Body(BaseModel):
    """A request body of the control interface."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class InboundOrder(_Body):
    """The body of `POST /_control/inbound`: who writes what."""

    sender: str = Field(alias="from", pattern=r"^\+?[1-9]\d{6,14}$")
    text: str = Field(min_length=1, max_length=4096)
    name: str = Field(default="Simulated User", min_length=1)
    phone_number_id: str = Field(default="", pattern=r"^\d*$")


class HandshakeOrder(_Body):
    """The body of `POST /_control/webhooks/handshake`."""

    verify_token: str = Field(min_length=1)


class FlushOrder(_Body):
    """The body of `POST /_control/webhooks/flush`; may be left out."""

    limit_seconds: float = Field(default=10, gt=0, le=300)


class TemplateOrder(_Body):
    """One template of `PUT /_control/templates`."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,512}$")
    status: TemplateStatus = TemplateStatus.APPROVED
    language: str = "en"
    category: str = Field(default="UTILITY", pattern="^(AUTHENTICATION|MARKETING|UTILITY)$")


class TemplateOrders(_Body):
    """The body of `PUT /_control/templates`."""

    templates: tuple[TemplateOrder, ...]


async def read_faults(request: web.Request) -> web.Response:
    """List the faults in force, with how often each has hit."""
    stage = request.app[STAGE]
    return web.json_response({"faults": stage.faults.describe(stage.steady_clock())})


async def replace_faults(request: web.Request) -> web.Response:
    """Put the faults of the body in the place of all others."""
    faults = await _read(request, FaultSet)
    stage = request.app[STAGE]
    stage.faults.replace(faults, stage.steady_clock())
    return await read_faults(request)


async def clear_faults(request: web.Request) -> web.Response:
    """Heal every provider."""
    stage = request.app[STAGE]
    stage.faults.replace(FaultSet(faults=()), stage.steady_clock())
    return await read_faults(request)


async def read_behaviour(request: web.Request) -> web.Response:
    """Show how webhooks behave."""
    return web.json_response(request.app[STAGE].courier.behaviour.model_dump())


async def change_behaviour(request: web.Request) -> web.Response:
    """Change the named settings of the webhooks' behaviour, keep the others."""
    changes = await _read(request, Behaviour)
    courier = request.app[STAGE].courier
    courier.behaviour = courier.behaviour.model_copy(update=changes.model_dump(exclude_unset=True))
    return await read_behaviour(request)


async def read_templates(request: web.Request) -> web.Response:
    """List the account's templates; none means that every name is known."""
    templates = [asdict(template) for template in request.app[STAGE].account.templates]
    return web.json_response({"templates": templates})


async def replace_templates(request: web.Request) -> web.Response:
    """Put the templates of the body in the place of all others."""
    orders = await _read(request, TemplateOrders)
    request.app[STAGE].account.replace_templates(
        Template(**order.model_dump()) for order in orders.templates
    )
    return await read_templates(request)


async def read_ledger(request: web.Request) -> web.Response:
    """Show totals, messages accepted twice and all messages.

    `?message=ID` shows one message's acceptances; `?messages=false` leaves the list out.
    """
    ledger = request.app[STAGE].ledger
    wanted = request.query.get("message")
    if wanted is not None:
        found = [asdict(acceptance) for acceptance in ledger.find(wanted)]
        return web.json_response({"message": wanted, "acceptances": found})
    body: dict[str, object] = {
        "totals": ledger.summarise(),
        "duplicates": {
            message: [asdict(acceptance) for acceptance in taken]
            for message, taken in ledger.find_duplicates().items()
        },
    }
    if request.query.get("messages") != "false":
        body["messages"] = ledger.list_messages()
    return web.json_response(body)


async def clear_ledger(request: web.Request) -> web.Response:
    """Forget what was accepted."""
    ledger = request.app[STAGE].ledger
    ledger.clear()
    return web.json_response({"totals": ledger.summarise()})


async def read_stats(request: web.Request) -> web.Response:
    """Show requests by provider and outcome, and what became of the webhooks."""
    stage = request.app[STAGE]
    requests: dict[str, dict[str, int]] = {}
    for key, count in stage.requests.items():
        provider, outcome = key.split(".")
        requests.setdefault(provider, {})[outcome] = count
    return web.json_response(
        {
            "uptime_seconds": stage.steady_clock() - stage.started_at,
            "requests": requests,
            "webhooks": {**stage.courier.counts, "pending": stage.courier.pending},
            "accepted": stage.ledger.summarise()["accepted"],
        }
    )


async def send_inbound(request: web.Request) -> web.Response:
    """Play a user who writes to the business."""
    order = await _read(request, InboundOrder)
    stage = request.app[STAGE]
    known = stage.options.phone_number_ids
    number = order.phone_number_id or (known[0] if known else _DEFAULT_NUMBER_ID)
    message_id = stage.send_inbound(order.sender, order.name, order.text, number)
    return web.json_response({"id": message_id, "phone_number_id": number}, status=202)


async def flush_webhooks(request: web.Request) -> web.Response:
    """Post at once all that waits; answer when it is done, or the limit is reached."""
    order = await _read(request, FlushOrder) if request.can_read_body else FlushOrder()
    courier = request.app[STAGE].courier
    pending = await courier.flush(order.limit_seconds)
    return web.json_response({"pending": pending, "webhooks": dict(courier.counts)})


async def shake_hands(request: web.Request) -> web.Response:
    """Perform Meta's verification of the callback: GET with a challenge that must come back."""
    order = await _read(request, HandshakeOrder)
    stage = request.app[STAGE]
    if not stage.options.callback_url:
        raise _build_refusal("there is no callback to verify", "Start with --callback-url.")
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


def list_routes() -> list[web.RouteDef]:
    """List the routes of the control interface."""
    return [
        web.get("/_control/faults", read_faults, allow_head=False),
        web.put("/_control/faults", replace_faults),
        web.delete("/_control/faults", clear_faults),
        web.get("/_control/behaviour", read_behaviour, allow_head=False),
        web.put("/_control/behaviour", change_behaviour),
        web.get("/_control/templates", read_templates, allow_head=False),
        web.put("/_control/templates", replace_templates),
        web.get("/_control/ledger", read_ledger, allow_head=False),
        web.delete("/_control/ledger", clear_ledger),
        web.get("/_control/stats", read_stats, allow_head=False),
        web.post("/_control/inbound", send_inbound),
        web.post("/_control/webhooks/flush", flush_webhooks),
        web.post("/_control/webhooks/handshake", shake_hands),
    ]


async def _read(request: web.Request, model: type[ModelT]) -> ModelT:
    """Read and check a body; a bad one becomes a 400 that names key and value."""
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        problems = [
            _describe_problem(problem["loc"], problem["msg"], problem["input"])
            for problem in error.errors(include_url=False)
        ]
    shown = "; ".join(problems[:_SHOWN_PROBLEMS])
    raise _build_refusal(shown, "See docs/simulator.md for the keys and their ranges.")


def _describe_problem(place: tuple[int | str, ...], message: str, value: object) -> str:
    """Write one problem as `faults[0].rate: … (got 1.5)`."""
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _FAULT_KINDS:
            path += f".{part}" if path else part
    given = f" (got {value!r})" if isinstance(value, str | int | float) else ""
    return f"{path or 'body'}: {message}{given}"


def _build_refusal(what: str, mend: str) -> web.HTTPBadRequest:
    body = web.json_response({"error": what, "mend": mend})
    return web.HTTPBadRequest(text=body.text, content_type="application/json")
