"""A simulator, a client and a receiver of webhooks, all real and all on loopback."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from outbound_slo.simulator.courier import Persistence
from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.options import Credentials, Options
from outbound_slo.simulator.server import RunningSimulator, serve_simulator

CREDENTIALS = Credentials("app-secret", "access-token", "twilio-token", "sendgrid-key")
CALM = Behaviour(delivery_ms=50, read_rate=0, batch_rate=0)
NUMBER = "106540352242922"
ACCOUNT = "AC" + "0a" * 16
PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Call:
    """One POST that the receiver got."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes


@dataclass(slots=True)
class Receiver:
    """Takes webhooks; `answers` are the statuses of the first POSTs, then 200."""

    url: str
    calls: list[Call] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    verify_token: str = ""
    challenge_suffix: str = ""

    @property
    def mail_events(self) -> list[dict[str, Any]]:
        """All of SendGrid's events in the order of their arrival."""
        return [
            event
            for call in self.calls
            if call.path == "/webhooks/sendgrid"
            for event in json.loads(call.raw)
        ]

    @property
    def statuses(self) -> list[dict[str, Any]]:
        """All of Meta's statuses in the order of their arrival."""
        return [
            status
            for call in self.calls
            for entry in json.loads(call.raw)["entry"]
            for change in entry["changes"]
            for status in change["value"].get("statuses", ())
        ]

    async def handle(self, request: web.Request) -> web.Response:
        """Keep a POST; answer Meta's handshake if the token is right."""
        if request.method == "GET":
            if request.query.get("hub.verify_token") != self.verify_token:
                return web.Response(status=403)
            return web.Response(text=request.query["hub.challenge"] + self.challenge_suffix)
        raw = await request.read()
        self.calls.append(Call(request.path, dict(request.query), dict(request.headers), raw))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def wait_for(self, condition: Callable[["Receiver"], bool]) -> None:
        """Wait until the calls fulfil a condition; a stand that never does raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(self):  # noqa: ASYNC110 - any condition on plain lists
                await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Stand:
    """Everything that a test of the simulator needs."""

    simulator: RunningSimulator
    client: aiohttp.ClientSession
    receiver: Receiver

    async def send(
        self, message: str = "1", attempt: int = 1, **changes: object
    ) -> tuple[int, dict[str, Any]]:
        """Send a WhatsApp text; return the HTTP status and the decoded answer."""
        async with self.request_send(message, attempt, **changes) as answer:
            return answer.status, await answer.json()

    def request_send(self, message: str = "1", attempt: int = 1, **changes: object) -> Any:  # noqa: ANN401 - aiohttp keeps the type of its request context to itself
        """Begin to send a WhatsApp text."""
        body = {
            "messaging_product": "whatsapp",
            "to": "+33612345678",
            "type": "text",
            "text": {"body": "Your visit is on Monday."},
            "biz_opaque_callback_data": json.dumps({"m": message, "a": attempt}),
        }
        return self.client.post(
            f"{self.simulator.url}/v26.0/{NUMBER}/messages",
            json={**body, **changes},
            headers={"Authorization": "Bearer access-token"},
        )

    async def control(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, Any]]:
        """Call the control interface; `bytes` go out as they are, other bodies as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self.simulator.url}/_control/{path}"
        async with self.client.request(method, url, data=None if body is None else data) as answer:
            return answer.status, await answer.json()

    async def wait_for_control(
        self, path: str, condition: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Ask a page of the control interface until its answer fulfils a condition; give it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(answer := (await self.control("GET", path))[1]):  # noqa: ASYNC110 - it is behind HTTP
                await asyncio.sleep(0.01)
        return answer

    async def set_fault(self, **fault: object) -> None:
        """Put one fault in the place of all others."""
        status, answer = await self.control("PUT", "faults", {"faults": [fault]})
        assert status == 200, answer


@contextmanager
def find_deaf_address() -> Iterator[str]:
    """Hold a port on which nobody listens: connections are refused, and nobody else gets it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/webhooks/whatsapp"


@asynccontextmanager
async def open_stand(
    behaviour: Behaviour = CALM,
    persistence: Persistence | None = None,
    **options: Any,  # noqa: ANN401 - Options' fields
) -> AsyncIterator[Stand]:
    """Start receiver, simulator and client; stop all three."""
    receiver = Receiver("")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/whatsapp"
        chosen = {
            "callback_url": receiver.url,
            "sendgrid_events_url": receiver.url.replace("whatsapp", "sendgrid"),
            "twilio_inbound_url": receiver.url.replace("whatsapp", "twilio"),
            "credentials": CREDENTIALS,
            "latency_ms": 0,
            "behaviour": behaviour,
            "persistence": persistence or Persistence(first_seconds=0.02),
            **options,
        }
        async with (
            serve_simulator(Options(**chosen)) as simulator,
            aiohttp.ClientSession() as client,
        ):
            yield Stand(simulator, client, receiver)
    finally:
        await runner.cleanup()
