"""The HTTP server: which path is whose, start and stop."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from outbound_slo.simulator import control, graph, reads
from outbound_slo.simulator.lane import BODY_LIMIT, Lane
from outbound_slo.simulator.options import Options
from outbound_slo.simulator.sends import STAGE, create_send_handler
from outbound_slo.simulator.stage import Stage
from outbound_slo.simulator.wire import Provider
from outbound_slo.vocabulary.mistakes import UserMistake

_BACKLOG = 2048
_VERSION_PATH = r"/{version:v\d+\.\d+}/{object_id}"


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """A simulator that listens: its base URL, without a slash at the end, and its state."""

    url: str
    stage: Stage


def build_application(stage: Stage) -> web.Application:
    """Build the application with all routes."""
    app = web.Application(client_max_size=BODY_LIMIT)
    app[STAGE] = stage
    wires = stage.wires
    app.add_routes(
        [
            web.post(f"{_VERSION_PATH}/messages", create_send_handler(wires[Provider.META])),
            web.get(f"{_VERSION_PATH}/message_templates", graph.handle_templates),
            web.get(_VERSION_PATH, graph.handle_number),
            web.post(
                "/2010-04-01/Accounts/{account_sid}/Messages.json",
                create_send_handler(wires[Provider.TWILIO]),
            ),
            web.get("/2010-04-01/Accounts/{account_sid}.json", reads.handle_account),
            web.get("/v3/scopes", reads.handle_scopes),
            web.post("/v3/mail/send", create_send_handler(wires[Provider.SENDGRID])),
            *control.list_routes(),
            web.route("*", "/{path:.*}", graph.handle_unknown),
        ]
    )
    return app


@asynccontextmanager
async def serve_simulator(options: Options) -> AsyncIterator[RunningSimulator]:
    """Run a simulator for the length of the block.

    Raises:
        UserMistake: The address cannot be listened on, or webhooks could not be signed.

    """
    if options.callback_url and not options.credentials.app_secret:
        raise UserMistake(
            "a callback URL is given, but no app secret to sign webhooks with",
            "Set WHATSAPP_APP_SECRET or --app-secret to the receiver's secret.",
        )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        stage = Stage(options, session)
        app = build_application(stage)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await runner.setup()
        lanes: set[Lane] = set()
        courier = asyncio.create_task(stage.courier.run())
        try:
            server = await _listen(lambda: Lane(stage, lanes, _get_server(runner)), options)
            port = server.sockets[0].getsockname()[1]
            try:
                yield RunningSimulator(f"http://{options.host}:{port}", stage)
            finally:
                server.close()
        finally:
            stage.stop()
            for lane in list(lanes):
                lane.abort()
            courier.cancel()
            with suppress(asyncio.CancelledError):
                await courier
            await runner.cleanup()


def _get_server(runner: web.AppRunner) -> web.Server:
    """Return what makes aiohttp's own connections; the runner has been set up."""
    if runner.server is None:
        raise RuntimeError("the application was not set up")
    return runner.server


async def _listen(create_lane: Callable[[], Lane], options: Options) -> asyncio.Server:
    """Open the port; every connection begins in a lane."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(create_lane, options.host, options.port, backlog=_BACKLOG)
    except OSError as error:
        place = f"{options.host}:{options.port}"
        if error.errno == errno.EADDRINUSE:
            raise UserMistake(
                f"the simulator's address {place} is in use",
                "Stop what listens there, or choose another --port (0 picks a free one).",
            ) from error
        raise UserMistake(
            f"the simulator cannot listen on {place}: {error.strerror or error}",
            "Choose another --host or --port.",
        ) from error
