"""pgqueuer doing the same HTTP job in its asynchronous worker, untraced."""

import json
from datetime import timedelta

import aiohttp
import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job as QueuedJob
from pgqueuer.types import QueueExecutionMode

from benchmarks.baselines.job import (
    CONCURRENCY,
    FILL_BATCH,
    Job,
    build_body,
    recipient_of,
    run_asynchronous,
)

_BATCH = CONCURRENCY // 2
"""Jobs per claim: the most that its bound on jobs at work allows."""


async def fill(job: Job, messages: int) -> None:
    """Install its schema and enqueue the jobs, many in one statement."""
    async with asyncpg.create_pool(job.database, min_size=1, max_size=2) as pool:
        queuer = PgQueuer.from_asyncpg_pool(pool)
        await queuer.qm.queries.install()
        for first in range(1, messages + 1, FILL_BATCH):
            numbers = range(first, min(first + FILL_BATCH, messages + 1))
            payloads: list[bytes | None] = [json.dumps(number).encode() for number in numbers]
            await queuer.qm.queries.enqueue(["send"] * len(payloads), payloads, [0] * len(payloads))


async def work(job: Job) -> None:
    """Work until the queue is empty."""
    calls = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with (
        asyncpg.create_pool(job.database, min_size=4, max_size=8) as pool,
        aiohttp.ClientSession(connector=calls) as session,
    ):
        queuer = PgQueuer.from_asyncpg_pool(pool)

        async def send(queued: QueuedJob) -> None:
            number = json.loads(queued.payload or b"0")
            body = build_body(number, recipient_of(number))
            async with session.post(job.url, json=body, headers=job.headers) as answer:
                answer.raise_for_status()
                await answer.read()

        queuer.entrypoint("send")(send)
        await queuer.run(
            dequeue_timeout=timedelta(seconds=1),
            batch_size=_BATCH,
            mode=QueueExecutionMode.drain,
            max_concurrent_tasks=2 * _BATCH,
        )


if __name__ == "__main__":
    run_asynchronous(fill, work)
