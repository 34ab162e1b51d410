"""The embedded trace store as a service: one port for OTLP and for Jaeger's query API."""

import asyncio
import signal
import time
from collections.abc import Callable

from aiohttp import web

from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.store.archive import TraceArchive
from tracing.store.otlp import LARGEST_BODY
from tracing.store.query import QueryFace
from tracing.store.receiver import Receiver

_SHUTDOWN_S = 2.0


def make_app(archive: TraceArchive, clock_ns: Callable[[], int] = time.time_ns) -> web.Application:
    """Build the application over an open archive.

    Args:
        archive: Where spans go; closing it stays the caller's business.
        clock_ns: Now, nanoseconds since the epoch.

    """
    # Bodies stay as they came (auto_decompress=False below): the reader bounds what they unpack to.
    app = web.Application(client_max_size=LARGEST_BODY)

    async def tell_health(_: web.Request) -> web.Response:
        traces, spans = await asyncio.to_thread(archive.totals)
        return web.json_response({"status": "ok", "traces": traces, "spans": spans})

    app.add_routes([web.post("/v1/traces", Receiver(archive).receive)])
    app.add_routes(QueryFace(archive, clock_ns).routes())
    app.add_routes([web.get("/healthz", tell_health)])
    return app


async def serve(
    archive: TraceArchive,
    host: str,
    port: int,
    *,
    announce: Callable[[str], None],
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `stop` is set.

    Args:
        archive: Where the traces are.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        announce: Told the service's URL once it listens.
        stop: Ends the service instead of signals, for a caller with a loop of its own.

    Raises:
        UserMistake: The port is taken or the address is not this machine's.

    """
    runner = web.AppRunner(
        make_app(archive), access_log=None, shutdown_timeout=_SHUTDOWN_S, auto_decompress=False
    )
    await runner.setup()
    try:
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
        except OSError as error:
            raise UserMistake(
                f"the trace store cannot listen on {host}:{port}: {error.strerror or error}",
                "Choose another with --port, or stop what listens there",
            ) from error
        name, bound = runner.addresses[0][:2]
        announce(f"http://{name}:{bound}")
        await (_signalled() if stop is None else stop).wait()
    finally:
        await runner.cleanup()


def _signalled() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
