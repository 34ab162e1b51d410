"""The control interface, under `/_control/`: what a test or the demo sets and reads.

Bad input is answered with 400 and `{"error", "mend"}`, and changes nothing.
"""

from dataclasses import asdict

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from outbound_slo.simulator.accounts import Template, TemplateStatus
from outbound_slo.simulator.control_bodies import read_body
from outbound_slo.simulator.faults import FaultSet
from outbound_slo.simulator.ledger import Ledger
from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.limits import Limits
from outbound_slo.simulator.occasions import list_occasions
from outbound_slo.simulator.sends import STAGE
from outbound_slo.simulator.stage import Stage


class _Body(BaseModel):
    """A request body of the control interface."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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
    faults = await read_body(request, FaultSet)
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
    changes = await read_body(request, Behaviour)
    courier = request.app[STAGE].courier
    courier.behaviour = courier.behaviour.model_copy(update=changes.model_dump(exclude_unset=True))
    return await read_behaviour(request)


async def read_templates(request: web.Request) -> web.Response:
    """List the account's templates; none means that every name is known."""
    templates = [asdict(template) for template in request.app[STAGE].account.templates]
    return web.json_response({"templates": templates})


async def replace_templates(request: web.Request) -> web.Response:
    """Put the templates of the body in the place of all others."""
    orders = await read_body(request, TemplateOrders)
    request.app[STAGE].account.replace_templates(
        Template(**order.model_dump()) for order in orders.templates
    )
    return await read_templates(request)


async def read_limits(request: web.Request) -> web.Response:
    """Show Meta's own rate limits."""
    return web.json_response(request.app[STAGE].account.throttle.limits.model_dump())


async def change_limits(request: web.Request) -> web.Response:
    """Change the named limits, keep the others."""
    changes = await read_body(request, Limits)
    throttle = request.app[STAGE].account.throttle
    throttle.limits = throttle.limits.model_copy(update=changes.model_dump(exclude_unset=True))
    return await read_limits(request)


async def read_keys(request: web.Request) -> web.Response:
    """Show the public key of SendGrid's event webhook, as the receiver is configured with it."""
    return web.json_response({"sendgrid_public_key": request.app[STAGE].event_key.public_key})


async def read_ledger(request: web.Request) -> web.Response:
    """Show totals, messages accepted twice, overlapping requests and all messages.

    `?message=ID` shows one message's acceptances, `?recipient=…` the requests to one recipient;
    `?messages=false` leaves the list of all messages out.
    """
    stage = request.app[STAGE]
    wanted, recipient = request.query.get("message"), request.query.get("recipient")
    if wanted is not None:
        return web.json_response(_describe_message(stage.ledger, wanted))
    if recipient is not None:
        visits = stage.traffic.list_visits(recipient)
        return web.json_response({"recipient": recipient, "requests": visits})
    body: dict[str, object] = {
        "kind": stage.ledger.kind.value,
        "totals": _summarise(stage),
        "duplicates": {
            message: [acceptance._asdict() for acceptance in taken]
            for message, taken in stage.ledger.find_duplicates().items()
        },
        "overlaps": stage.traffic.list_overlaps(),
    }
    if request.query.get("messages") != "false":
        body["messages"] = stage.ledger.list_messages()
    return web.json_response(body)


async def clear_ledger(request: web.Request) -> web.Response:
    """Forget what was accepted and who overlapped."""
    stage = request.app[STAGE]
    stage.ledger.clear()
    stage.traffic.clear()
    return web.json_response({"totals": _summarise(stage)})


async def read_stats(request: web.Request) -> web.Response:
    """Show requests by provider and outcome, and what became of the webhooks."""
    stage = request.app[STAGE]
    requests: dict[str, dict[str, int]] = {}
    for (provider, outcome), count in stage.requests.items():
        requests.setdefault(provider.value, {})[outcome] = count
    return web.json_response(
        {
            "uptime_seconds": stage.steady_clock() - stage.started_at,
            "requests": requests,
            "webhooks": {**stage.courier.counts, "pending": stage.courier.pending},
            "accepted": stage.ledger.accepted,
        }
    )


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
        web.get("/_control/limits", read_limits, allow_head=False),
        web.put("/_control/limits", change_limits),
        web.get("/_control/keys", read_keys, allow_head=False),
        *list_occasions(),
    ]


def _summarise(stage: Stage) -> dict[str, object]:
    return {**stage.ledger.summarise(), "overlaps": stage.traffic.overlaps}


def _describe_message(ledger: Ledger, message: str) -> dict[str, object]:
    found = [acceptance._asdict() for acceptance in ledger.find(message)]
    return {"message": message, "count": ledger.count(message), "acceptances": found}
