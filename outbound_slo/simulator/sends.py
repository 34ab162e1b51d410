"""The way of a send request through the simulator: check, faults, latency, answer or none."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from outbound_slo.simulator.faults import DropFault, ErrorFault, HtmlFault, TimeoutFault
from outbound_slo.simulator.stage import Stage
from outbound_slo.simulator.wire import (
    Answer,
    Inquiry,
    RefusedError,
    Submission,
    Wire,
    encode_body,
)

STAGE = web.AppKey("stage", Stage)

Reply = Callable[[Answer | None], None]
"""Gets a request's answer once, or None where the connection closes without one."""

_PROXY_PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Error</title></head>
<body><h1>Sorry, something went wrong.</h1><p>The upstream server did not answer.</p></body></html>
"""


class Errand:
    """One send request on its way: `start` it, tell it if its caller leaves, get the reply."""

    __slots__ = (
        "_asked_at",
        "_checked",
        "_has_caller",
        "_reply",
        "_stage",
        "_verdict",
        "_visit",
        "_wire",
    )

    def __init__(self, stage: Stage, wire: Wire, inquiry: Inquiry, reply: Reply) -> None:
        """Judge the request; nothing is answered before `start`."""
        self._stage = stage
        self._wire = wire
        self._reply = reply
        self._has_caller = True
        self._asked_at = now = stage.clock()
        self._checked: Submission | RefusedError
        try:
            self._checked = taken = wire.check_send(inquiry, now)
        except RefusedError as refusal:
            self._checked = refusal
            recipient, sender, self._visit = None, inquiry.path.get("object_id"), None
        else:
            recipient, sender = taken.recipient, taken.sender
            provider = wire.provider.value
            self._visit = stage.traffic.begin(provider, recipient, taken.references[0], now)
        self._verdict = stage.faults.judge(
            wire.provider.value, recipient, sender, stage.steady_clock(), stage.rng
        )

    def start(self) -> None:
        """Let the latency pass, then finish."""
        pause = self._stage.find_latency() + self._verdict.extra_seconds
        if pause > 0:
            self._stage.wheel.call_later(pause, self._finish)
        else:
            self._finish()

    def leave(self) -> None:
        """Note that the caller has gone: what was asked for still happens, unheard."""
        self._has_caller = False
        if self._visit is not None:
            self._stage.traffic.end(self._visit, "left", self._stage.clock())

    def _finish(self) -> None:
        """Do what the verdict demands, or what the provider would."""
        wire, fault, checked = self._wire, self._verdict.fault, self._checked
        if isinstance(fault, ErrorFault):
            self._end("error", wire.answer_fault(fault))
        elif isinstance(fault, HtmlFault):
            page = Answer(fault.http_status, text=_PROXY_PAGE, content_type="text/html")
            self._end("html", page)
        elif isinstance(fault, TimeoutFault):
            if fault.accepts and isinstance(checked, Submission):
                self._stage.accept(wire, checked, self._asked_at, answered=False)
            self._stage.wheel.call_later(fault.timeout_seconds, self._hang_up)
        elif isinstance(checked, RefusedError):
            self._end("refused", checked.answer)
        elif isinstance(fault, DropFault):
            self._stage.accept(wire, checked, self._asked_at, answered=False)
            self._end("drop", None)
        else:
            heard = self._has_caller
            message_id = self._stage.accept(wire, checked, self._asked_at, answered=heard)
            answer = wire.answer_accepted(checked, message_id, self._stage.clock())
            self._end("accepted" if heard else "unheard", answer)

    def _hang_up(self) -> None:
        """End a hang."""
        self._end("timeout", None)

    def _end(self, outcome: str, answer: Answer | None) -> None:
        """Count the request and reply to whoever still listens."""
        self._stage.requests[self._wire.provider, outcome] += 1
        if self._visit is not None:
            self._stage.traffic.end(self._visit, outcome, self._stage.clock())
        if self._has_caller:
            self._reply(answer)


def create_send_handler(wire: Wire) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Build the handler of one provider's send endpoint, for requests that no lane took."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handle_send(wire, request)

    return handle


async def handle_send(wire: Wire, request: web.Request) -> web.StreamResponse:
    """Answer a send request as the provider would, or as the faults in force demand."""
    stage = request.app[STAGE]
    replied: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

    def reply(answer: Answer | None) -> None:
        if not replied.done():
            replied.set_result(answer)

    errand = Errand(stage, wire, read_inquiry(request, await request.read()), reply)
    stage.waiting.add(replied)
    try:
        errand.start()
        answer = await replied
    except asyncio.CancelledError:
        errand.leave()
        raise
    finally:
        stage.waiting.discard(replied)
    if answer is not None:
        return render(answer)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def read_inquiry(request: web.Request, body: bytes) -> Inquiry:
    """Take from a request what a wire format needs."""
    return Inquiry(request.headers.get("Authorization", ""), request.match_info, body)


def render(answer: Answer) -> web.Response:
    """Turn an answer into an HTTP response."""
    return web.Response(
        status=answer.status,
        body=encode_body(answer),
        content_type=answer.content_type,
        charset="utf-8",
        headers=answer.headers,
    )
