"""The HTTP job that every baseline does: one template message to the simulated Cloud API."""

import argparse
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import uvloop

CONCURRENCY = 200
"""Calls in flight at most: enough to wait for a provider at any rate that they reach."""

FILL_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """Where to send and how to log in."""

    database: str
    url: str
    headers: dict[str, str]
    collector: str


def read_job() -> Job:
    """Read the job from the environment that the benchmark's stack gives to its processes."""
    return Job(
        database=os.environ["DATABASE_URL"],
        url=f"{os.environ['WHATSAPP_API_URL']}/v26.0/10001/messages",
        headers={"Authorization": f"Bearer {os.environ['WHATSAPP_ACCESS_TOKEN']}"},
        collector=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    )


def recipient_of(number: int) -> str:
    """Give the recipient of a message: one each."""
    return f"+336{number:08}"


def build_body(number: int, recipient: str) -> dict[str, object]:
    """Build the request; its reference is what the simulator's ledger knows the message by."""
    texts = [{"type": "text", "text": text} for text in ("Ada", "Tuesday", "10:30")]
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": recipient,
        "biz_opaque_callback_data": f'{{"m":{number},"a":1}}',
        "type": "template",
        "template": {
            "name": "appointment_reminder",
            "language": {"code": "en"},
            "components": [{"type": "body", "parameters": texts}],
        },
    }


def read_order() -> tuple[bool, int]:
    """Read the command line: whether to fill the queue (or to work), and how many messages."""
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=("fill", "work"))
    parser.add_argument("messages", type=int)
    order = parser.parse_args()
    return order.step == "fill", order.messages


def run_asynchronous(
    fill: Callable[[Job, int], Awaitable[None]], work: Callable[[Job], Awaitable[None]]
) -> None:
    """Run the step that the command line asks for."""
    filling, messages = read_order()
    job = read_job()

    async def step() -> None:
        await (fill(job, messages) if filling else work(job))

    # The faster loop, as pgqueuer's own command takes it.
    uvloop.run(step())
