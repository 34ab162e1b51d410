"""The way of a send request through the simulator: check, faults, latency, answer or none."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from outbound_slo.simulator.faults import DropFault, ErrorFault, HtmlFault, TimeoutFault
from outbound_slo.simulator.stage import Stage
from outbound_slo.simulator.wire import Answer, Inquiry, RefusedError, Submission, Wire

STAGE = web.AppKey("stage", Stage)
STOPPING = web.AppKey("stopping", asyncio.Event)

_PROXY_PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Error</title></head>
<body><h1>Sorry, something went wrong.</h1><p>The upstream server did not answer.</p></body></html>
"""


def create_send_handler(wire: Wire) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Build the handler of one provider's send endpoint."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handle_send(wire, request)

    return handle


async def handle_send(wire: Wire, request: web.Request) -> web.StreamResponse:
    """Answer a send request as the provider would, or as the faults in force demand."""
    stage = request.app[STAGE]
    inquiry = Inquiry(request.headers, request.match_info, await request.read())
    checked: Submission | RefusedError
    try:
        checked = wire.check_send(inquiry, stage.clock())
    except RefusedError as refusal:
        checked = refusal
    submission = checked if isinstance(checked, Submission) else None
    verdict = stage.faults.judge(
        wire.provider.value,
        submission.recipient if submission else None,
        submission.sender if submission else request.match_info.get("object_id"),
        stage.steady_clock(),
        stage.rng,
    )
    pause = stage.find_latency() + verdict.extra_seconds
    if pause > 0:
        await asyncio.sleep(pause)
    fault = verdict.fault
    if isinstance(fault, ErrorFault):
        return _render(stage, wire, "error", wire.answer_fault(fault))
    if isinstance(fault, HtmlFault):
        page = Answer(fault.http_status, text=_PROXY_PAGE, content_type="text/html")
        return _render(stage, wire, "html", page)
    if isinstance(fault, TimeoutFault):
        return await _hang(stage, wire, request, fault, submission)
    if isinstance(checked, RefusedError):
        return _render(stage, wire, "refused", checked.answer)
    if isinstance(fault, DropFault):
        stage.accept(wire, checked, answered=False)
        return _hang_up(stage, wire, request, "drop")
    message_id = stage.accept(wire, checked, answered=True)
    return _render(
        stage, wire, "accepted", wire.answer_accepted(checked, message_id, stage.clock())
    )


async def _hang(
    stage: Stage,
    wire: Wire,
    request: web.Request,
    fault: TimeoutFault,
    submission: Submission | None,
) -> web.StreamResponse:
    """Keep the caller waiting, then hang up; a stop of the simulator ends the wait."""
    if fault.accepts and submission is not None:
        stage.accept(wire, submission, answered=False)
    try:
        async with asyncio.timeout(fault.timeout_seconds):
            await request.app[STOPPING].wait()
    except TimeoutError:
        pass
    return _hang_up(stage, wire, request, "timeout")


def _hang_up(stage: Stage, wire: Wire, request: web.Request, outcome: str) -> web.StreamResponse:
    """Close the connection without a byte of an answer."""
    stage.requests[f"{wire.provider}.{outcome}"] += 1
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _render(stage: Stage, wire: Wire, outcome: str, answer: Answer) -> web.Response:
    """Count a request and turn its answer into an HTTP response."""
    stage.requests[f"{wire.provider}.{outcome}"] += 1
    return render(answer)


def render(answer: Answer) -> web.Response:
    """Turn an answer into an HTTP response."""
    if answer.text is not None:
        return web.Response(
            status=answer.status,
            text=answer.text,
            content_type=answer.content_type,
            headers=answer.headers,
        )
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
