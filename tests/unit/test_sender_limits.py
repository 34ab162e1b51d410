"""The arithmetic of throughput limits, without Redis: time and order are hypothesis's."""

import asyncio
import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.limits import Bucket, Grant, Limit, Limits, LocalBuckets, Wish
from sender.shared_limits import read_answer

RATES = st.floats(min_value=0.05, max_value=5000)
STEPS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=20),
        st.integers(min_value=0, max_value=1000),
        st.floats(min_value=0, max_value=1),
    ),
    max_size=40,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """A store that grants what it is told to, and remembers what it was asked."""

    def __init__(self, **grants: Grant) -> None:
        self.grants = grants
        self.asked: list[Mapping[str, Wish]] = []

    async def ask(self, wishes: Mapping[str, Wish]) -> Mapping[str, Grant]:
        self.asked.append(wishes)
        return {channel: self.grants.get(channel, Grant(0)) for channel in wishes}

    async def watch(self) -> None: ...

    async def close(self) -> None: ...


def _limits(store: Recorder, *channels: str) -> tuple[Limits, list[str]]:
    waiting: list[str] = []
    return Limits({channel: Limit(80) for channel in channels}, store, waiting.append), waiting


@given(RATES, STEPS)
def test_in_no_stretch_of_time_is_more_used_than_a_burst_and_the_rate_over_it(
    rate: float, steps: list[tuple[float, int, float]]
) -> None:
    limit = Limit(rate)
    bucket, now, used, unused = Bucket(limit, 0.0), 0.0, 0, 0
    before: list[tuple[float, int]] = []
    for pause, wanted, kept in steps:
        now += pause
        before.append((now, used))
        permits = bucket.take(Wish(wanted, unused), now).permits
        assert permits <= wanted
        unused = math.floor(permits * kept)
        used += permits - unused
        for then, used_then in before:
            assert used - used_then <= limit.burst + rate * (now - then) + 1e-6


@given(RATES, st.integers(min_value=1, max_value=1000), st.lists(st.integers(1, 50), max_size=5))
def test_who_waits_as_long_as_told_is_served(rate: float, wanted: int, before: list[int]) -> None:
    bucket = Bucket(Limit(rate), 0.0)
    for earlier in before:
        bucket.take(Wish(earlier), 0.0)
    first = bucket.take(Wish(wanted), 0.0)
    if first.permits == 0:
        # A float's rounding may cost one more wait, of a millisecond.
        assert bucket.take(Wish(wanted), first.wait_s + 0.001).permits > 0


def test_a_clock_that_goes_back_adds_no_permits() -> None:
    bucket = Bucket(Limit(10), 100.0)
    assert bucket.take(Wish(1), 100.0) == Grant(1)
    assert bucket.take(Wish(1), 40.0) == Grant(0, 0.1)
    assert bucket.take(Wish(1), 40.05).permits == 0


def test_a_handful_is_not_worth_a_claim_unless_no_more_is_wanted() -> None:
    bucket = Bucket(Limit(80), 0.0)
    assert bucket.take(Wish(6), 0.0) == Grant(6)
    assert bucket.take(Wish(10), 0.0) == Grant(0, 0.025)
    assert bucket.take(Wish(2), 0.0) == Grant(2)


@given(RATES, st.integers(min_value=1, max_value=20), STEPS)
def test_the_shares_of_all_senders_are_no_more_than_the_limit(
    rate: float, senders: int, steps: list[tuple[float, int, float]]
) -> None:
    clock = Clock()
    all_buckets = [LocalBuckets({"SMS": Limit(rate)}, clock) for _ in range(senders)]
    for buckets in all_buckets:
        buckets.start_over(senders)
    started, used = clock.now, 0
    for pause, wanted, _ in steps:
        clock.now += pause
        wishes = {"SMS": Wish(wanted)}
        used += sum(buckets.take(wishes)["SMS"].permits for buckets in all_buckets)
        assert used <= rate * (clock.now - started) + 1e-6 * senders


def test_a_channel_without_a_limit_gets_all_and_asks_nobody() -> None:
    store = Recorder()
    limits, waiting = _limits(store, "WHATSAPP")
    assert asyncio.run(limits.take({"SMS": 10})) == {"SMS": 10}
    assert (store.asked, waiting, limits.wait_s) == ([], [], math.inf)


def test_a_channel_without_permits_is_left_out_and_the_wait_is_told() -> None:
    store = Recorder(WHATSAPP=Grant(0, 0.04), EMAIL=Grant(3))
    limits, waiting = _limits(store, "WHATSAPP", "EMAIL")
    wanted = {"WHATSAPP": 10, "SMS": 10, "EMAIL": 10}
    assert asyncio.run(limits.take(wanted)) == {"SMS": 10, "EMAIL": 3}
    assert limits.wait_s == 0.04
    assert waiting == ["WHATSAPP"]


def test_a_wait_ends_with_the_next_claim_that_is_not_cut_short() -> None:
    store = Recorder(WHATSAPP=Grant(0, 0.04))
    limits, _ = _limits(store, "WHATSAPP")
    asyncio.run(limits.take({"WHATSAPP": 10}))
    assert limits.wait_s == 0.04
    asyncio.run(limits.take({}))
    assert limits.wait_s == math.inf


def test_what_is_put_back_goes_with_the_next_question_once() -> None:
    store = Recorder(WHATSAPP=Grant(5))
    limits, _ = _limits(store, "WHATSAPP")
    limits.give_back("WHATSAPP", 2)
    limits.give_back("WHATSAPP", 1)
    limits.give_back("SMS", 7)
    asyncio.run(limits.take({"WHATSAPP": 5}))
    asyncio.run(limits.take({"WHATSAPP": 5}))
    assert store.asked == [{"WHATSAPP": Wish(5, 3)}, {"WHATSAPP": Wish(5, 0)}]


def test_a_flush_puts_back_at_once_and_asks_nobody_for_nothing() -> None:
    store = Recorder()
    limits, _ = _limits(store, "WHATSAPP")
    limits.give_back("WHATSAPP", 2)
    asyncio.run(limits.flush())
    asyncio.run(limits.flush())
    assert store.asked == [{"WHATSAPP": Wish(0, 2)}]


def test_the_scripts_answer_is_read_in_the_order_of_the_wishes() -> None:
    wishes = {"WHATSAPP": Wish(10), "SMS": Wish(4)}
    grants = {"WHATSAPP": Grant(0, 0.025), "SMS": Grant(4)}
    assert read_answer([3, 0, 25, 4, 0], wishes) == (3, grants)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"PONG",
        [],
        [1],
        [1, 2],
        [1, 2, 0, 0],
        [0, 2, 0],
        [1, 11, 0],
        [1, -1, 0],
        [1, "2", 0],
        [1, 2.5, 0],
        [True, 2, 0],
    ],
)
def test_an_answer_that_is_not_the_scripts_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match="Redis's answer"):
        read_answer(answer, {"WHATSAPP": Wish(10)})
