"""Settling: what it can't write is told, and what it was not made for ends the worker."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from sender import settler as module
from sender.attempt import Attempted, Attempter
from sender.bell import Bell
from sender.limits import Limits, LocalBuckets
from sender.metrics import SenderMetrics
from sender.outbox import Pool
from sender.worker import Worker, WorkerRules
from tracing.setup import Tracing


async def explode(_pool: Pool, _settlements: Sequence[object]) -> int:
    raise ZeroDivisionError


def test_a_worker_that_cannot_settle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "settle", explode)
    nobody = cast("Any", None)
    worker = Worker(
        WorkerRules("w", 1, 60.0, 1, drain_s=0.01),
        cast("Pool", nobody),
        cast("Attempter", nobody),
        {},
        cast("Tracing", nobody),
        SenderMetrics(),
        cast("Bell", Ring()),
        Limits({}, LocalBuckets({}, lambda: 0.0), lambda _: None),
    )

    async def run() -> None:
        working = asyncio.create_task(worker.run(claiming=False))
        await asyncio.sleep(0)
        worker._settler.take(cast("Attempted", Result()))
        await working

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(run())

    assert caught.group_contains(ZeroDivisionError)


class Ring:
    """A bell that nobody hears."""

    def ring(self) -> None:
        """Do nothing."""


class Result:
    """An attempt's result, of which only the message's id is looked at."""

    class settlement:  # noqa: N801 - an attribute's name
        message_id = 1
