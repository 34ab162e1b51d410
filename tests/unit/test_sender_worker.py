"""The worker: what it knows is the newest, and it ends where it can write nothing."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from sender import settler as module
from sender import worker as loop
from sender.attempt import Attempted, Attempter
from sender.bell import Bell
from sender.lanes import LaneKey, LaneState
from sender.limits import Limits, LocalBuckets
from sender.metrics import SenderMetrics
from sender.outbox import Pool
from sender.worker import Worker, WorkerRules
from tracing.setup import Tracing


def make_worker() -> Worker:
    nobody = cast("Any", None)
    return Worker(
        WorkerRules("w", 1, 60.0, 1, drain_s=0.01),
        cast("Pool", nobody),
        cast("Pool", nobody),
        cast("Attempter", nobody),
        {},
        cast("Tracing", nobody),
        SenderMetrics(),
        cast("Bell", Ring()),
        Limits({}, LocalBuckets({}, lambda: 0.0), lambda _: None),
    )


async def explode(_pool: Pool, _settlements: Sequence[object]) -> int:
    raise ZeroDivisionError


def test_a_worker_that_cannot_settle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "settle", explode)
    worker = make_worker()

    async def run() -> None:
        working = asyncio.create_task(worker.run(claiming=False))
        await asyncio.sleep(0)
        worker._settler.take(cast("Attempted", Result()))
        await working

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(run())

    assert caught.group_contains(ZeroDivisionError)


def test_what_an_older_look_saw_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = LaneState(LaneKey("WHATSAPP", 1, "org"), 0.0, 0.0, None)
    gates = [asyncio.Event(), asyncio.Event()]
    answers: list[list[LaneState]] = [[], [lane]]
    asked: list[int] = []

    async def look(_pool: Pool, _channels: Sequence[str]) -> tuple[list[LaneState], float]:
        number = len(asked)
        asked.append(number)
        await gates[number].wait()
        return answers[number], 0.0

    monkeypatch.setattr(loop, "look_for_lanes", look)
    worker = make_worker()

    async def run() -> None:
        looks = []
        for _ in range(2):
            looks.append(asyncio.create_task(worker._look()))
            await asyncio.sleep(0)
        gates[1].set()
        await looks[1]
        gates[0].set()
        await looks[0]

    asyncio.run(run())

    assert worker._book.has_work(time.monotonic(), ["WHATSAPP"])


class Ring:
    """A bell that nobody hears."""

    def ring(self) -> None:
        """Do nothing."""


class Result:
    """An attempt's result, of which only the message's id is looked at."""

    class settlement:  # noqa: N801 - an attribute's name
        message_id = 1
