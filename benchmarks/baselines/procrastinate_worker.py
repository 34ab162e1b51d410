"""procrastinate doing the same HTTP job in its asynchronous worker, untraced."""

import aiohttp
from procrastinate import App, PsycopgConnector
from procrastinate.types import JSONDict

from benchmarks.baselines.job import (
    CONCURRENCY,
    FILL_BATCH,
    Job,
    build_body,
    recipient_of,
    run_asynchronous,
)

_POOL = 20
"""Connections of its pool: jobs finish in statements of their own, so more than a few help."""


async def fill(job: Job, messages: int) -> None:
    """Install its schema and defer the jobs, many in one statement."""
    app = App(connector=PsycopgConnector(conninfo=job.database))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(1, messages + 1, FILL_BATCH):
            numbers = range(first, min(first + FILL_BATCH, messages + 1))
            arguments: list[JSONDict] = [{"number": number} for number in numbers]
            await app.configure_task("send").batch_defer_async(*arguments)


async def work(job: Job) -> None:
    """Work until the queue is empty."""
    connector = PsycopgConnector(conninfo=job.database, min_size=_POOL, max_size=_POOL)
    app = App(connector=connector)
    calls = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=calls) as session:

        async def send(number: int) -> None:
            body = build_body(number, recipient_of(number))
            async with session.post(job.url, json=body, headers=job.headers) as answer:
                answer.raise_for_status()
                await answer.read()

        app.task(name="send")(send)
        async with app.open_async():
            await app.run_worker_async(concurrency=CONCURRENCY, wait=False)


if __name__ == "__main__":
    run_asynchronous(fill, work)
