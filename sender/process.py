"""The sender process: worker, inbox, upkeep and HTTP face around their connections."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import aiohttp
import psycopg
import psycopg_pool
import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from outbound_slo.settings import (
    DatabaseSettings,
    ProviderSettings,
    SenderSettings,
    TracingSettings,
)
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel
from sender.accounts import build_providers, build_secrets
from sender.admission import AdminTokens
from sender.api import Counter, build_api
from sender.attempt import Attempter, AttemptRules, Provider
from sender.bell import Bell
from sender.breaker import Breaker, BreakerPolicy
from sender.desk import Desk
from sender.health_routes import Probes
from sender.heartbeat import Pulse, keep_beating, sign_off
from sender.inbox import Inbox
from sender.limits import Limits
from sender.message_routes import MessageRules
from sender.metrics import SenderMetrics
from sender.outbox import Pool, check_connection, configure
from sender.premises import check_database
from sender.providers.answer import HttpCaller
from sender.quiet_hours import QuietPolicy
from sender.rehearsal import Rehearser
from sender.secrets import TokenStore
from sender.shared_limits import open_limits
from sender.upkeep import Patience, keep_up
from sender.worker import Worker, WorkerRules
from tracing.setup import Tracing, trace_service

_log = structlog.get_logger()

GRACE_S = 4
"""Seconds that requests have to end when the sender does; webhooks that wait need all but one."""

_RARE_COLLECTIONS = (20_000, 20, 20)
"""A message makes some hundred objects that live until it is settled, and hardly a circle."""


@dataclass(frozen=True, slots=True)
class SenderConfiguration:
    """All settings of a sender process."""

    database: DatabaseSettings
    sender: SenderSettings
    providers: ProviderSettings
    tracing: TracingSettings


def name_process() -> str:
    """Name this process among all senders."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run_sender(configuration: SenderConfiguration) -> None:
    """Run until SIGTERM or SIGINT, then settle what is in flight.

    Raises:
        UserMistake: The database can't be reached or lacks migrations, no provider is set up, or
            the port is in use.

    """
    check_database(configuration.database.url)
    listener = _listen(configuration.sender.http_host, configuration.sender.http_port)
    # Most of what a send costs here is the event loop's own work.
    with (
        contextlib.closing(listener),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_run(configuration, listener))


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserMistake(
            f"The HTTP face can't listen on {host}:{port}: {error.strerror or error}",
            "Set OUTBOUND_HTTP_HOST and OUTBOUND_HTTP_PORT to a free address",
        ) from error
    return listener


async def _run(configuration: SenderConfiguration, listener: socket.socket) -> None:
    settings = configuration.sender
    tracing = trace_service(
        configuration.tracing,
        resource={"service.instance.id": name_process()},
    )
    # What was imported stays; looking through it again and again costs more than is ever found.
    gc.freeze()
    gc.set_threshold(*_RARE_COLLECTIONS)
    pool = _build_pool(configuration.database.url, 2, 8, pause_s=5.0, patience_s=3.0)
    # What has become of messages is written whatever else waits for a connection: while servers
    # come and go, the pauses of the pool above would add up to a recovery window.
    writing = _build_pool(configuration.database.url, 1, 1, pause_s=0.05, patience_s=0.5)
    connector = aiohttp.TCPConnector(limit=settings.concurrency)
    try:
        async with (
            pool,
            writing,
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
        ):
            await _serve(configuration, listener, tracing, pool, writing, session)
    finally:
        await asyncio.to_thread(tracing.shutdown, 2.0)


def _build_pool(url: str, least: int, most: int, *, pause_s: float, patience_s: float) -> Pool:
    """Build a pool that begins anew on the next demand after `pause_s`.

    Its own pauses would double up to minutes. While a demand waits no new attempt to connect
    starts, and no stop comes to its end, so none waits longer than `patience_s`.
    """
    return psycopg_pool.AsyncConnectionPool(
        url,
        min_size=least,
        max_size=most,
        open=False,
        kwargs={"application_name": "outbound-slo sender"},
        configure=configure,
        reconnect_timeout=pause_s,
        timeout=patience_s,
        check=check_connection,
    )


def _now() -> datetime:
    return datetime.now(UTC)


async def _serve(
    configuration: SenderConfiguration,
    listener: socket.socket,
    tracing: Tracing,
    pool: Pool,
    writing: Pool,
    session: aiohttp.ClientSession,
) -> None:
    settings, known = configuration.sender, configuration.providers
    metrics = SenderMetrics()
    metrics.note_start(version("outbound-slo"), _now())
    metrics.note_api_version(known.whatsapp_api_version, _now)
    metrics.note_token(known.whatsapp_access_token_expires_at, _now)
    caller = HttpCaller(session, tracing, settings.request_timeout_s)
    tokens = TokenStore(pool, key=known.secrets_key.get_secret_value())
    providers = build_providers(known, caller, settings.public_url, tokens)
    breakers = {channel: Breaker(_breaker_policy(settings)) for channel in providers}
    for channel, breaker in breakers.items():
        metrics.watch_breaker(channel, breaker, time.monotonic)
    bell = Bell(configuration.database.url)
    limits = open_limits(settings, known, providers.keys(), sender=name_process(), metrics=metrics)
    worker = _build_worker(
        configuration, pool, writing, providers, breakers, tracing, metrics, bell, limits
    )
    inbox = Inbox(pool, tracing, known.whatsapp_error_policy, metrics, settings.silence_s)
    probes = Probes(
        database_answers=lambda: _answers(pool),
        worker_runs=lambda: not settings.worker_enabled or not worker_task.done(),
        refresh_metrics=lambda: metrics.note_dropped_spans(tracing.dropped()),
    )
    desk = Desk(configuration.database.url)
    counter = _build_counter(configuration, desk, breakers, tracing)
    secrets = build_secrets(known, pool, settings.public_url)
    api = build_api(inbox, secrets, metrics, probes, counter)
    server = _Server(_server_config(api))
    background = [
        asyncio.create_task(inbox.run()),
        asyncio.create_task(
            keep_up(
                pool,
                inbox,
                metrics,
                tracing,
                Patience(settings.recovery_window_s, settings.silence_s),
                worker.is_settling,
            )
        ),
        asyncio.create_task(bell.listen()),
        asyncio.create_task(limits.watch()),
    ]
    worker_task = asyncio.create_task(_work(worker, settings.worker_enabled, providers))
    # After the worker, so that the first beat tells what it does.
    background.append(asyncio.create_task(keep_beating(pool, _build_pulse(worker, breakers))))
    desk.open()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    serving = asyncio.create_task(server.serve([listener]))
    host, port = listener.getsockname()[:2]
    _log.info("sender ready", http=f"http://{host}:{port}", channels=[c.value for c in providers])
    try:
        await worker_task
    finally:
        server.should_exit = True
        await serving
        await asyncio.to_thread(desk.close)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await sign_off(pool, name_process())
        await limits.close()
    _log.info("sender stopped")


def _build_counter(
    configuration: SenderConfiguration,
    desk: Desk,
    breakers: Mapping[Channel, Breaker],
    tracing: Tracing,
) -> Counter:
    settings = configuration.sender
    policy = configuration.providers.whatsapp_error_policy
    tokens = [settings.admin_token, settings.previous_admin_token]
    breaker = breakers.get(Channel.WHATSAPP)
    return Counter(
        desk=desk,
        tokens=AdminTokens([token.get_secret_value() for token in tokens if token]),
        tracing=tracing,
        rules=MessageRules(policy, settings.recovery_window_s, settings.silence_s),
        rehearser=Rehearser(
            has_provider=breaker is not None,
            quiet=QuietPolicy.read(settings.quiet_hours_default, settings.quiet_hours_zone),
            breaker=lambda: breaker.state(time.monotonic()) if breaker else None,
            clock=lambda: datetime.now(UTC),
        ),
    )


def _build_pulse(worker: Worker, breakers: Mapping[Channel, Breaker]) -> Callable[[], Pulse]:
    started, name, own_version = time.monotonic(), name_process(), version("outbound-slo")

    def feel() -> Pulse:
        now = time.monotonic()
        return Pulse(
            worker=name,
            version=own_version,
            uptime_s=now - started,
            claiming=worker.is_claiming(),
            in_flight=worker.in_flight(),
            breakers={channel: breaker.state(now) for channel, breaker in breakers.items()},
        )

    return feel


async def _work(worker: Worker, enabled: bool, providers: Mapping[Channel, Provider]) -> None:
    if not enabled:
        _log.warning("worker is switched off by OUTBOUND_WORKER_ENABLED; nothing is sent")
    elif not providers:
        _log.warning(
            "no provider has credentials (WHATSAPP_PHONE_NUMBER_ID and _ACCESS_TOKEN, TWILIO_…, "
            "SENDGRID_…); nothing is sent"
        )
    await worker.run(claiming=enabled and bool(providers))


def _build_worker(
    configuration: SenderConfiguration,
    pool: Pool,
    writing: Pool,
    providers: Mapping[Channel, Provider],
    breakers: Mapping[Channel, Breaker],
    tracing: Tracing,
    metrics: SenderMetrics,
    bell: Bell,
    limits: Limits,
) -> Worker:
    settings = configuration.sender
    rules = AttemptRules(
        backoff_seconds=settings.backoff_seconds,
        jitter=settings.retry_jitter,
        error_policy=configuration.providers.whatsapp_error_policy,
        quiet=QuietPolicy.read(settings.quiet_hours_default, settings.quiet_hours_zone),
        slow_s=configuration.tracing.slow_ms / 1000,
    )
    attempter = Attempter(
        rules,
        providers,
        breakers,
        tracing,
        metrics,
        random.Random(),  # noqa: S311 - jitter only
    )
    worker_rules = WorkerRules(
        name=name_process(),
        batch_size=settings.batch_size,
        poll_interval_s=settings.poll_interval_ms / 1000,
        concurrency=settings.concurrency,
        strict_order=settings.strict_order,
        drain_s=settings.drain_s,
    )
    return Worker(worker_rules, pool, writing, attempter, breakers, tracing, metrics, bell, limits)


def _breaker_policy(settings: SenderSettings) -> BreakerPolicy:
    return BreakerPolicy(
        window=settings.breaker_window,
        minimum_calls=settings.breaker_minimum_calls,
        failure_rate=settings.breaker_failure_rate,
        slow_call_rate=settings.breaker_slow_call_rate,
        slow_call_s=settings.breaker_slow_call_s,
        open_s=settings.breaker_open_s,
        probes=settings.breaker_probes,
        probing_s=settings.breaker_probing_s,
    )


async def _answers(pool: Pool) -> bool:
    try:
        async with asyncio.timeout(2.0), pool.connection(timeout=1.5) as connection:
            await connection.execute("SELECT 1")
    except (psycopg.Error, TimeoutError):
        return False
    return True


def _server_config(api: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        log_config=None,
        access_log=False,
        lifespan="off",
        # Nothing here asks who called, so nobody is believed who says it.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


class _Server(uvicorn.Server):
    """A server that leaves signals to the worker, which has to settle before the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
