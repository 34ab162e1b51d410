"""What the provider simulator costs: processor time for a send and for a status told by webhook.

It shares the machine with the sender that is measured against it, so each microsecond here is one
that the sender does not have. Run it with `python -m benchmarks.simulator`; its last line is one
JSON object. Processor time is the kernel's account of the simulator's process, so other load on
the machine makes the figures worse, never better.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from benchmarks.processor import processor_seconds
from benchmarks.report import Goal, Report
from outbound_slo.demo.environment import strip_environment
from outbound_slo.embedded.processes import Supervisor, http_probe, pick_port

MESSAGES = 10_000
WARM_UP = 500
CONNECTIONS = 100
STATUSES = 3
PATIENCE_SECONDS = 60

GOALS = (
    Goal("send_microseconds", "processor time for one accepted message", at_most=150),
    Goal("status_microseconds", "more for each status, batched for 100 ms", at_most=40),
    Goal("messages_per_second", "reached at 50 ms latency and 100 connections, with statuses"),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run: processor seconds of the simulator per message, and messages a second."""

    seconds: float
    rate: float


class Receiver:
    """Takes Meta's webhooks and counts the statuses in them without reading more than it must."""

    def __init__(self) -> None:
        self.statuses = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Count the statuses of one POST."""
        self.statuses += (await request.read()).count(b'"recipient_id"')
        return web.Response()


@asynccontextmanager
async def receive() -> AsyncIterator[tuple[Receiver, str]]:
    """Listen for webhooks; give the receiver and its URL."""
    receiver = Receiver()
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_post("/webhooks", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield receiver, f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"
    finally:
        await runner.cleanup()


async def send_all(url: str, first: int, count: int) -> None:
    """Send templates to as many recipients, a bounded number at once."""
    numbers = iter(range(first, first + count))
    headers = {"Authorization": "Bearer benchmark"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for number in numbers:
                async with session.post(
                    f"{url}/v25.0/10001/messages", json=_build_body(number), headers=headers
                ) as answer:
                    if answer.status != web.HTTPOk.status_code:
                        raise RuntimeError(await answer.text())
                    await answer.read()

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


async def measure(supervisor: Supervisor, messages: int, *, told: bool) -> Cost:
    """Run a simulator under load; `told` posts three statuses for each message."""
    port = pick_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("outbound-slo")), "simulator"]
    command += ["--port", str(port), "--latency-ms", "50", "--read-rate", "1"]
    async with receive() as (receiver, callback):
        if told:
            command += ["--callback-url", callback]
            command += ["--webhook-batch-ms", "100", "--webhook-max-statuses", "1000"]
        environment = strip_environment(os.environ) | {"WHATSAPP_APP_SECRET": "benchmark"}
        ready = http_probe(f"{url}/_control/stats")
        simulator = supervisor.start(
            f"simulator-{port}", command, ready=ready, environment=environment
        )
        try:
            await send_all(url, 0, WARM_UP)
            await _wait_for(receiver, WARM_UP * STATUSES if told else 0)
            began, before = asyncio.get_running_loop().time(), processor_seconds(simulator.pid)
            await send_all(url, WARM_UP, messages)
            rate = messages / (asyncio.get_running_loop().time() - began)
            await _wait_for(receiver, (WARM_UP + messages) * STATUSES if told else 0)
            return Cost((processor_seconds(simulator.pid) - before) / messages, rate)
        finally:
            simulator.stop()


async def _wait_for(receiver: Receiver, statuses: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while receiver.statuses < statuses:  # noqa: ASYNC110 - counted by a handler, not an event
            await asyncio.sleep(0.05)


def _build_body(number: int) -> dict[str, object]:
    """Build a message as the sender does, references included."""
    return {
        "messaging_product": "whatsapp",
        "to": f"+336{number % 100_000_000:08d}",
        "type": "template",
        "template": {
            "name": "appointment_reminder",
            "language": {"code": "fr"},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}],
        },
        "biz_opaque_callback_data": json.dumps({"m": str(number), "a": "1"}),
    }


def main() -> None:
    """Measure both runs and report."""
    report = Report(GOALS)
    with (
        tempfile.TemporaryDirectory(prefix="outbound-slo-bench-") as directory,
        Supervisor(Path(directory)) as supervisor,
    ):
        silent = asyncio.run(measure(supervisor, MESSAGES, told=False))
        report.note("send_microseconds", silent.seconds * 1e6)
        told = asyncio.run(measure(supervisor, MESSAGES, told=True))
        report.note("status_microseconds", (told.seconds - silent.seconds) / STATUSES * 1e6)
        report.note("messages_per_second", told.rate)
    report.finish()


if __name__ == "__main__":
    main()
