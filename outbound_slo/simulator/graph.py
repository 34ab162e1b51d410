"""Meta's Graph API reads that runbooks 000 to 002 call: a number's state and its templates."""

import base64
from dataclasses import dataclass

from aiohttp import web

from outbound_slo.simulator.accounts import Template
from outbound_slo.simulator.sends import STAGE, read_inquiry, render
from outbound_slo.simulator.stage import Stage
from outbound_slo.simulator.wire import RefusedError

_PAGE_SIZE = 25
"""Elements of a page unless `limit` says otherwise, by the Graph API's own default."""

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
    """Answer `GET /{version}/{waba_id}/message_templates`: Meta's filters, fields and pages."""
    stage = request.app[STAGE]
    try:
        stage.meta.check_access(read_inquiry(request, b""))
        page = _read_page(stage, request)
    except RefusedError as refusal:
        return render(refusal.answer)
    name, status = request.query.get("name"), request.query.get("status")
    chosen = [
        _describe_template(number, template)
        for number, template in enumerate(stage.account.templates, start=1)
        if name in (None, template.name) and status in (None, template.status.value)
    ]
    wanted = request.query.get("fields")
    if wanted:
        names = {"id", *wanted.split(",")}
        chosen = [{key: each[key] for key in each if key in names} for each in chosen]
    shown = chosen[page.start : page.start + page.size]
    body: dict[str, object] = {"data": shown}
    if shown:
        body["paging"] = _write_paging(request, page, len(chosen))
    return web.json_response(body, headers=_name_version(stage, request))


@dataclass(frozen=True, slots=True)
class _Page:
    """Which of a list's elements are asked for: `size` of them from `start` on."""

    start: int
    size: int


def _read_page(stage: Stage, request: web.Request) -> _Page:
    """Read `limit` and `after`.

    Raises:
        RefusedError: Either is none.

    """
    limit, after = request.query.get("limit", str(_PAGE_SIZE)), request.query.get("after")
    if not (limit.isascii() and limit.isdigit() and int(limit) > 0):
        raise stage.meta.refuse(400, 100, "Param limit must be an integer greater than 0")
    try:
        start = 0 if after is None else int(base64.urlsafe_b64decode(after)) + 1
    except ValueError as error:
        raise stage.meta.refuse(400, 100, f"Invalid cursors values: {after}") from error
    return _Page(max(start, 0), int(limit))


def _write_paging(request: web.Request, page: _Page, total: int) -> dict[str, object]:
    """Give the cursors, and the next page's address with the caller's token in it, as Meta does."""
    last = min(page.start + page.size, total) - 1
    paging: dict[str, object] = {
        "cursors": {"before": _write_cursor(page.start), "after": _write_cursor(last)}
    }
    if last + 1 < total:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        query = {**request.query, "access_token": token, "after": _write_cursor(last)}
        paging["next"] = str(request.url.with_query(query))
    return paging


def _write_cursor(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode()


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
