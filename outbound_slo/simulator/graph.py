"""Meta's Graph API reads that runbooks 000 to 002 call: a number's state and its templates."""

from aiohttp import web

from outbound_slo.simulator.accounts import Template
from outbound_slo.simulator.sends import STAGE, read_inquiry, render
from outbound_slo.simulator.stage import Stage
from outbound_slo.simulator.wire import RefusedError

_DEFAULT_FIELDS = (
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "id",
)


async def handle_number(request: web.Request) -> web.Response:
    """Answer `GET /{version}/{phone_number_id}`; `fields` selects, as at Meta."""
    stage = request.app[STAGE]
    try:
        stage.meta.check_access(read_inquiry(request, b""))
    except RefusedError as refusal:
        return render(refusal.answer)
    object_id = request.match_info["object_id"]
    available: dict[str, object] = {
        "verified_name": "Simulated Business",
        "code_verification_status": "VERIFIED",
        "display_phone_number": "+1 555-078-3881",
        "quality_rating": "GREEN",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "id": object_id,
        "health_status": {
            "can_send_message": "AVAILABLE",
            "entities": [
                {
                    "entity_type": "PHONE_NUMBER",
                    "id": object_id,
                    "can_send_message": "AVAILABLE",
                }
            ],
        },
    }
    wanted = request.query.get("fields")
    names = {"id", *wanted.split(",")} if wanted else set(_DEFAULT_FIELDS)
    body = {name: value for name, value in available.items() if name in names}
    return web.json_response(body, headers=_name_version(stage, request))


async def handle_templates(request: web.Request) -> web.Response:
    """Answer `GET /{version}/{waba_id}/message_templates`, with Meta's name and status filters."""
    stage = request.app[STAGE]
    try:
        stage.meta.check_access(read_inquiry(request, b""))
    except RefusedError as refusal:
        return render(refusal.answer)
    name, status = request.query.get("name"), request.query.get("status")
    chosen = [
        _describe_template(number, template)
        for number, template in enumerate(stage.account.templates, start=1)
        if name in (None, template.name) and status in (None, template.status.value)
    ]
    body = {"data": chosen, "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}}
    return web.json_response(body, headers=_name_version(stage, request))


async def handle_unknown(request: web.Request) -> web.Response:
    """Answer a path that is nobody's, in the shape of the Graph API's own error."""
    stage = request.app[STAGE]
    refusal = stage.meta.refuse(400, 2500, f"Unknown path components: {request.path}")
    return render(refusal.answer)


def _name_version(stage: Stage, request: web.Request) -> dict[str, str]:
    """Name the version that really served the call, as Meta's header does."""
    version = stage.meta.versions.resolve(request.match_info["version"])
    return {"facebook-api-version": version or ""}


def _describe_template(number: int, template: Template) -> dict[str, object]:
    return {
        "name": template.name,
        "components": [{"type": "BODY", "text": template.name.replace("_", " ")}],
        "language": template.language,
        "status": template.status.value,
        "category": template.category,
        "id": str(900_000_000_000_000 + number),
    }
