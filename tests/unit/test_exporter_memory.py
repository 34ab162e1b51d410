"""What stays on the page, for how long, and counters that never fall."""

import math
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.collector import QueryRun, Refresh
from exporter.failures import Failure, Reason
from exporter.heights import HeightGuard
from exporter.memory import Memory
from exporter.pack import (
    Exemplars,
    FromMetric,
    FromQuery,
    Pack,
    PackMetric,
    Query,
    Series,
    WhenStale,
)
from exporter.series import Example, ExemplarSeries
from outbound_slo.vocabulary.metrics import MetricKind

BROKEN = Failure(Reason.SCHEMA, "no such column")


def make_metric(
    name: str, source: FromQuery | FromMetric, kind: MetricKind, absent_after_s: float
) -> PackMetric:
    return PackMetric(
        name=name,
        kind=kind,
        help="Help.",
        labels=(),
        source=source,
        derived=MappingProxyType({}),
        zero_fill=(),
        buckets=(),
        max_series=10,
        absent_after_s=absent_after_s,
        compat=False,
    )


PACK = Pack(
    name="post",
    description="",
    queries=(Query("steady", "SELECT 1", 1.0), Query("fast", "SELECT 1", 1.0)),
    metrics=(
        make_metric("steady", FromQuery("steady", "n"), MetricKind.GAUGE, 60.0),
        make_metric("fast", FromQuery("fast", "n"), MetricKind.GAUGE, 0.0),
        make_metric("fast_total", FromQuery("fast", "n"), MetricKind.COUNTER, 60.0),
        make_metric("alias", FromMetric("steady", MappingProxyType({})), MetricKind.GAUGE, 60.0),
    ),
)


def make_run(query: str, value: float | None) -> QueryRun:
    if value is None:
        return QueryRun("post", query, 0.5, 0, MappingProxyType({}), BROKEN)
    names = [metric.name for metric in PACK.fed_by(query)]
    series: dict[str, Series] = {name: {(): (value,)} for name in names}
    return QueryRun("post", query, 0.25, 1, MappingProxyType(series))


def make_refresh(at: float, *, steady: float | None, fast: float | None) -> Refresh:
    return Refresh(at, 0.0, reached=True, runs=(make_run("steady", steady), make_run("fast", fast)))


def shown(memory: Memory, now: float) -> dict[str, float]:
    return {shown.metric.name: shown.series[()][0] for shown in memory.visible(now)}


def test_nothing_is_shown_before_the_first_refresh() -> None:
    memory = Memory([PACK], patience_s=30)

    assert shown(memory, 0.0) == {}
    assert memory.next_change(0.0) == math.inf


def test_a_failing_query_keeps_its_numbers_until_their_stated_age_and_not_longer() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=5.0, fast=1.0), 0.0)
    memory.take(make_refresh(1010.0, steady=None, fast=2.0), 10.0)

    assert shown(memory, 59.9)["steady"] == 5.0
    assert shown(memory, 59.9)["alias"] == 5.0
    assert "steady" not in shown(memory, 60.0)
    assert "alias" not in shown(memory, 60.0)
    assert memory.next_change(40.0) == 60.0


def test_one_failing_query_leaves_the_others_alone() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=None, fast=2.0), 0.0)

    assert shown(memory, 0.0) == {"fast": 2.0, "fast_total": 2.0}


def test_an_age_of_zero_drops_the_numbers_with_the_first_failure() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=1.0, fast=1.0), 0.0)
    assert shown(memory, 29.0)["fast"] == 1.0

    memory.take(make_refresh(1010.0, steady=1.0, fast=None), 10.0)

    assert "fast" not in shown(memory, 10.0)
    assert shown(memory, 10.0)["fast_total"] == 1.0


def test_numbers_go_too_when_refreshes_end_without_a_word() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=1.0, fast=1.0), 0.0)

    assert memory.next_change(0.0) == 30.0
    assert set(shown(memory, 30.0)) == {"steady", "alias", "fast_total"}
    assert shown(memory, 60.0) == {}


def test_a_query_that_works_again_is_shown_again() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=1.0, fast=1.0), 0.0)
    memory.take(make_refresh(1100.0, steady=None, fast=1.0), 100.0)
    assert "steady" not in shown(memory, 100.0)

    memory.take(make_refresh(1110.0, steady=9.0, fast=1.0), 110.0)

    assert shown(memory, 110.0)["steady"] == 9.0


def test_states_tell_the_last_run_the_last_good_run_and_every_error() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=1.0, fast=1.0), 0.0)
    memory.take(make_refresh(1010.0, steady=None, fast=1.0), 10.0)
    memory.take(make_refresh(1020.0, steady=None, fast=1.0), 20.0)

    steady, fast = memory.states()
    assert (steady.failure, steady.rows, steady.good_at) == (BROKEN, 1, 1000.0)
    assert (steady.duration_s, steady.errors) == (0.5, {Reason.SCHEMA: 2})
    assert (fast.failure, fast.good_at, fast.errors) == (None, 1020.0, {})
    assert memory.good_at == 1020.0


def test_the_page_has_no_good_instant_while_every_query_fails() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=1.0, fast=1.0), 0.0)
    memory.take(make_refresh(1010.0, steady=None, fast=None), 10.0)

    assert memory.good_at == 1000.0


def test_a_gauge_may_fall_and_a_counter_may_not() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=1.0, fast=100.0), 0.0)
    memory.take(make_refresh(1010.0, steady=1.0, fast=40.0), 10.0)

    assert shown(memory, 10.0)["fast"] == 40.0
    assert shown(memory, 10.0)["fast_total"] == 100.0
    assert memory.rebases == 1

    memory.take(make_refresh(1020.0, steady=1.0, fast=43.0), 20.0)

    assert shown(memory, 20.0)["fast_total"] == 103.0
    assert memory.rebases == 1


def with_metric(name: str, **changes: Any) -> Pack:  # noqa: ANN401 - any field of a metric
    metrics = [replace(m, **changes) if m.name == name else m for m in PACK.metrics]
    return replace(PACK, metrics=tuple(metrics))


def test_held_numbers_stay_for_as_long_as_it_takes() -> None:
    memory = Memory([with_metric("steady", when_stale=WhenStale.HOLD)], patience_s=30)
    memory.take(make_refresh(1000.0, steady=5.0, fast=1.0), 0.0)
    memory.take(make_refresh(1010.0, steady=None, fast=1.0), 10.0)

    assert shown(memory, 1e9) == {"steady": 5.0}


def test_a_gauge_may_turn_to_zero_when_it_is_too_old() -> None:
    memory = Memory([with_metric("steady", when_stale=WhenStale.ZERO)], patience_s=30)
    memory.take(make_refresh(1000.0, steady=5.0, fast=1.0), 0.0)
    memory.take(make_refresh(1010.0, steady=None, fast=1.0), 10.0)

    assert shown(memory, 59.9)["steady"] == 5.0
    assert memory.next_change(40.0) == 60.0
    assert shown(memory, 60.0)["steady"] == 0.0
    assert "alias" not in shown(memory, 60.0)


def test_a_query_with_a_schedule_of_its_own_ages_from_when_it_was_due_again() -> None:
    memory = Memory([PACK], patience_s=30)
    refresh = make_refresh(1000.0, steady=5.0, fast=1.0)
    memory.take(replace(refresh, renewals={("post", "steady"): 3600.0}), 0.0)

    assert shown(memory, 3659.9)["steady"] == 5.0
    assert "fast" not in shown(memory, 3659.9)
    assert "steady" not in shown(memory, 3660.0)

    memory.take(make_refresh(4600.0, steady=None, fast=1.0), 3600.0)

    assert shown(memory, 3659.9)["steady"] == 5.0


def test_a_standby_shows_nothing_and_forgets_nothing() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=5.0, fast=100.0), 0.0)
    memory.take(Refresh(1010.0, 0.0, reached=True, runs=(), leads=False), 10.0)

    assert shown(memory, 10.0) == {}
    assert memory.good_at == 1000.0

    memory.take(make_refresh(1020.0, steady=6.0, fast=90.0), 20.0)

    assert shown(memory, 20.0)["fast_total"] == 100.0


def test_what_runs_on_another_kind_of_server_is_gone_at_once() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=5.0, fast=1.0), 0.0)
    elsewhere = QueryRun("post", "steady", 0.0, 0, MappingProxyType({}), skipped=True)
    memory.take(Refresh(1010.0, 0.0, reached=True, runs=(elsewhere, make_run("fast", 2.0))), 10.0)

    assert shown(memory, 10.0) == {"fast": 2.0, "fast_total": 2.0}


def test_a_reload_keeps_what_did_not_change() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=5.0, fast=100.0), 0.0)
    memory.take(make_refresh(1010.0, steady=None, fast=40.0), 10.0)

    memory.change_packs([with_metric("fast", help="Other words.")])

    assert shown(memory, 10.0) == {"steady": 5.0, "alias": 5.0, "fast_total": 100.0}
    assert memory.rebases == 1
    assert memory.states()[0].errors == {Reason.SCHEMA: 1}
    memory.take(make_refresh(1020.0, steady=1.0, fast=41.0), 20.0)
    assert shown(memory, 20.0)["fast_total"] == 101.0


def test_a_reload_forgets_what_another_statement_gave() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(1000.0, steady=5.0, fast=100.0), 0.0)
    memory.take(make_refresh(1010.0, steady=5.0, fast=40.0), 10.0)
    steady, fast = PACK.queries

    memory.change_packs([replace(PACK, queries=(steady, replace(fast, sql="SELECT 2")))])

    assert shown(memory, 10.0) == {"steady": 5.0, "alias": 5.0}
    assert memory.rebases == 1
    assert memory.states()[1].good_at == 0.0
    memory.take(make_refresh(1020.0, steady=5.0, fast=2.0), 20.0)
    assert shown(memory, 20.0)["fast_total"] == 2.0


def test_examples_go_with_the_query_that_gives_them() -> None:
    exemplars = Exemplars("steady", {"trace_id": "t"})
    memory = Memory([with_metric("fast_total", exemplars=exemplars)], patience_s=30)
    example = Example({"trace_id": "a"}, 1.0, None)
    steady = replace(make_run("steady", 1.0), exemplars={"fast_total": {((), 0): example}})
    memory.take(Refresh(1000.0, 0.0, reached=True, runs=(steady, make_run("fast", 7.0))), 0.0)

    def examples(now: float) -> ExemplarSeries:
        (found,) = [s for s in memory.visible(now) if s.metric.name == "fast_total"]
        return found.exemplars

    assert examples(0.0) == {((), 0): example}
    memory.take(make_refresh(1059.0, steady=None, fast=8.0), 59.0)
    assert examples(59.9) == {((), 0): example}
    assert examples(60.0) == {}


KEY = ("x",)


def served(guard: HeightGuard, *values: float) -> list[float]:
    return [guard.lift({KEY: (value,)})[KEY][0] for value in values]


def test_a_fall_costs_nothing_and_counts_nothing_twice() -> None:
    assert served(HeightGuard(10), 10, 12, 2, 5, 5, 1, 1) == [10, 12, 12, 15, 15, 15, 15]


def test_a_series_that_went_away_and_came_back_lower_stays_at_its_height() -> None:
    guard = HeightGuard(10)
    served(guard, 10)
    guard.lift({})

    assert served(guard, 3, 4) == [10, 11]


def test_buckets_are_held_one_by_one() -> None:
    guard = HeightGuard(10)
    guard.lift({KEY: (5.0, 5.0, 50.0)})

    assert guard.lift({KEY: (3.0, 7.0, 20.0)})[KEY] == (5.0, 7.0, 50.0)


def test_series_that_are_gone_are_forgotten_at_the_capacity() -> None:
    guard = HeightGuard(capacity=2)
    for name in ("a", "b", "c"):
        guard.lift({(name,): (10.0,)})

    assert guard.lift({("a",): (1.0,)})[("a",)] == (1.0,)


@given(st.lists(st.integers(0, 50).map(float), min_size=1))
def test_what_is_served_never_falls_and_keeps_every_rise(values: list[float]) -> None:
    out = served(HeightGuard(10), *values)

    assert out == sorted(out)
    rises = sum(max(0.0, now - then) for then, now in pairwise(values))
    assert out[-1] - out[0] == pytest.approx(rises)
