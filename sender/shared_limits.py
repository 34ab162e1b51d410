"""Throughput limits that all senders share through Redis, and what holds while it is not there.

Redis may be gone, hang or answer nonsense: no send waits for it. A question that is not answered
well within 100 ms ends the sharing at once; from then on this process keeps to an equal share of
each limit, by the number of senders that Redis knew last, until Redis answers again.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import resources
from typing import Any

import structlog

from outbound_slo.settings import ProviderSettings, SenderSettings
from outbound_slo.vocabulary.statuses import Channel
from sender.limits import Grant, Limit, Limits, LocalBuckets, Store, Wish
from sender.logs import WORKER
from sender.metrics import SenderMetrics

_log = structlog.get_logger(component=WORKER)

ANSWER_S = 0.1
"""Seconds in which Redis has to answer a question that a claim waits for."""

CONNECT_S = 1.0
"""Seconds for a new connection, which no claim waits for."""

WATCH_S = 1.0
"""Seconds between two looks whether Redis is there; each also says that this sender lives."""

FORGET_S = 15
"""Whole seconds of silence after which a sender no longer counts."""

_SPACE = "{outbound-slo}:limit"
"""Before every key; the braces keep all keys of one script on one node of a cluster."""


class SharedBuckets:
    """Token buckets in Redis, with those of this process to fall back on."""

    def __init__(
        self,
        url: str,
        *,
        sender: str,
        limits: Mapping[str, Limit],
        numbers: Mapping[str, str],
        local: LocalBuckets,
        on_change: Callable[[bool], None],
    ) -> None:
        """Ask nobody yet; `watch` does.

        Args:
            url: Redis's address, as `redis://…`.
            sender: Name of this process, other than those of all others.
            limits: Limit per channel.
            numbers: Number, account or address per channel that the provider counts by.
            local: Used while Redis is not; empty until it is known whether Redis is there.
            on_change: Called with whether the limits are shared, from the start on.

        """
        # A tenth of a sender's start, and most have no Redis.
        from redis.asyncio import Redis  # noqa: PLC0415 - as said above
        from redis.asyncio.retry import Retry  # noqa: PLC0415 - likewise
        from redis.backoff import NoBackoff  # noqa: PLC0415 - likewise

        self._client = Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_S,
            # The sooner of two time-outs; see `ask`.
            socket_timeout=CONNECT_S,
            # Its usual three tries with pauses would outlast our patience.
            retry=Retry(NoBackoff(), 0),
            client_name="outbound-slo-sender",
        )
        self._script = self._client.register_script(
            resources.files("sender").joinpath("lua/take.lua").read_text("utf-8")
        )
        self._sender = sender
        self._limits = limits
        self._keys = {
            channel: f"{_SPACE}:{channel.lower()}:{numbers[channel]}" for channel in limits
        }
        self._local = local
        self._on_change = on_change
        self._senders = 1
        self._shared = False
        self._fault = ""
        local.start_over(self._senders)
        on_change(False)

    async def ask(self, wishes: Mapping[str, Wish]) -> Mapping[str, Grant]:
        """Ask Redis, or at once this process's own buckets where it does not answer well."""
        if self._shared:
            try:
                return await self._ask_redis(wishes)
            except Exception as fault:  # noqa: BLE001 - whatever Redis does, messages have to go
                self._fall_back(fault)
        return self._local.take(wishes)

    async def watch(self) -> None:
        """See whether Redis answers, now and every second until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self._client.ping()
                await self._ask_redis({})
            except Exception as fault:  # noqa: BLE001 - as above
                self._fall_back(fault)
            else:
                self._share()
            await asyncio.sleep(WATCH_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask_redis(self, wishes: Mapping[str, Wish]) -> dict[str, Grant]:
        arguments: list[str | int | float] = [self._sender, FORGET_S]
        for channel, wish in wishes.items():
            limit = self._limits[channel]
            arguments += [limit.per_second, limit.burst, limit.grain, wish.wanted, wish.returned]
        keys = [f"{_SPACE}:senders", *(self._keys[channel] for channel in wishes)]
        async with asyncio.timeout(ANSWER_S):
            answer = await self._script(keys=keys, args=arguments)
        self._senders, grants = read_answer(answer, wishes)
        return grants

    def _share(self) -> None:
        if not self._shared:
            _log.info("throughput limits are shared through Redis", senders=self._senders)
        self._shared, self._fault = True, ""
        self._on_change(True)

    def _fall_back(self, fault: Exception) -> None:
        # An address in the text of an error may hold a password; its kind is enough.
        kind = type(fault).__name__
        if self._shared or not self._fault:
            _log.warning(
                "Redis does not answer; this sender keeps to its share of the throughput limits",
                error=kind,
                senders=self._senders,
            )
            self._local.start_over(self._senders)
        self._shared, self._fault = False, kind
        self._on_change(False)


def open_limits(
    settings: SenderSettings,
    known: ProviderSettings,
    channels: Collection[Channel],
    *,
    sender: str,
    metrics: SenderMetrics,
) -> Limits:
    """Build the limits of the channels that are switched on, shared if a Redis is named.

    Raises:
        UserMistake: The Redis client refuses the address.

    """
    rates = {
        Channel.WHATSAPP: (known.whatsapp_per_second, known.whatsapp_phone_number_id),
        Channel.SMS: (known.twilio_per_second, known.twilio_from),
        Channel.EMAIL: (known.sendgrid_per_second, known.sendgrid_from),
    }
    limited = {channel.value: rates[channel] for channel in channels if rates[channel][0] > 0}
    limits = {channel: Limit(rate) for channel, (rate, _) in limited.items()}
    local = LocalBuckets(limits, time.monotonic)
    store: Store = local
    url = settings.redis_url.get_secret_value()
    if url and limits:
        store = SharedBuckets(
            url,
            sender=sender,
            limits=limits,
            numbers={channel: number for channel, (_, number) in limited.items()},
            local=local,
            on_change=lambda shared: metrics.shared_limit_up.labels("redis").set(shared),
        )
    return Limits(
        limits, store, lambda channel: metrics.limited_claims.labels(Channel(channel).label).inc()
    )


def read_answer(answer: Any, wishes: Mapping[str, Wish]) -> tuple[int, dict[str, Grant]]:  # noqa: ANN401 - it comes from outside
    """Read what the script gave: the number of senders, and a grant per wish.

    Raises:
        ValueError: It is not what the script gives.

    """
    if not _are_counts(answer) or len(answer) != 1 + 2 * len(wishes) or answer[0] < 1:
        raise ValueError("Redis's answer is not the script's")
    pairs = zip(answer[1::2], answer[2::2], strict=True)
    grants = {
        channel: Grant(permits, wait_ms / 1000)
        for channel, (permits, wait_ms) in zip(wishes, pairs, strict=True)
    }
    if any(grant.permits > wishes[channel].wanted for channel, grant in grants.items()):
        raise ValueError("Redis's answer grants more than was asked for")
    return answer[0], grants


def _are_counts(answer: object) -> bool:
    return isinstance(answer, Sequence) and all(type(one) is int and one >= 0 for one in answer)
