"""Durations of traces: the numbers of 000's fourth query and of its export script, in seconds."""

import math
import statistics

import pytest

from tests.span_parts import MS, PROCESS, SECOND, SEND, make_span
from tracing.analysis import measure, pick_percentile, summarize
from tracing.traces import gather_traces


def test_nothing_measured_has_no_summary() -> None:
    assert summarize([]) is None


def test_a_summary_is_what_the_runbooks_awk_would_say() -> None:
    durations = [(number * 7919 % 500) ** 2 / 9000 for number in range(500)]

    summary = summarize(durations)

    assert summary is not None
    mean = sum(durations) / 500
    assert summary.count == 500
    assert summary.mean_s == pytest.approx(mean)
    awk = math.sqrt(sum(each**2 for each in durations) / 500 - mean**2)
    assert summary.stddev_s == pytest.approx(awk)
    assert summary.stddev_s == pytest.approx(statistics.pstdev(durations))
    assert summary.slow == sum(each > 10 for each in durations) > 0


def test_exactly_ten_seconds_are_not_over_ten_seconds() -> None:
    summary = summarize([10.0, 10.000001])

    assert summary is not None
    assert summary.slow == 1


@pytest.mark.parametrize(
    ("values", "percent", "picked"),
    [
        ([5.0], 50, 5.0),
        ([5.0], 99, 5.0),
        ([1.0, 2.0], 50, 1.0),
        ([1.0, 2.0, 3.0], 50, 2.0),
        # In floating point 0.95 * 20 is more than 19, and would pick the twentieth.
        ([float(n) for n in range(1, 21)], 95, 19.0),
        ([float(n) for n in range(1, 101)], 95, 95.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 102)], 99, 100.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], percent: int, picked: float
) -> None:
    assert pick_percentile(values, percent) == picked


def test_a_webhook_an_hour_later_does_not_make_the_attempt_slow() -> None:
    traces = gather_traces(
        [
            make_span("a", 1, None, PROCESS, 0, 285 * MS),
            make_span("a", 2, 1, SEND, MS, 280 * MS),
            make_span("a", 3, 1, "webhook.in", 3600 * SECOND, 5 * MS),
        ]
    )

    assert measure(traces) == [0.285]
    assert measure(traces, SEND) == [0.28]
    assert measure(traces, "http.in") == []


def test_an_operation_that_stands_twice_counts_once_with_its_longest() -> None:
    traces = gather_traces(
        [
            make_span("a", 1, None, PROCESS, 0, SECOND),
            make_span("a", 2, 1, "webhook.in", SECOND, 5 * MS),
            make_span("a", 3, 1, "webhook.in", SECOND, 7 * MS),
        ]
    )

    assert measure(traces, "webhook.in") == [0.007]
