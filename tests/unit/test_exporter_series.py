"""Rows become series, or an error that says what is wrong with them."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.failures import BadResultError, Reason
from exporter.pack import (
    Exemplars,
    FromMetric,
    FromQuery,
    LabelMap,
    LabelValues,
    PackMetric,
    Series,
    WhenFull,
    WhenNull,
)
from exporter.series import Example, read_exemplars, read_series, sum_exemplars, sum_series
from outbound_slo.vocabulary.metrics import MetricKind


def make_metric(
    kind: MetricKind = MetricKind.GAUGE,
    labels: tuple[str, ...] = ("state",),
    zero_fill: tuple[LabelValues, ...] = (),
    max_series: int = 10,
    derived: dict[str, LabelMap] | None = None,
    source: FromQuery | FromMetric | None = None,
) -> PackMetric:
    histogram = kind is MetricKind.HISTOGRAM
    query = FromQuery("q", "n", "edge" if histogram else None, "seconds" if histogram else None)
    return PackMetric(
        name="parcels",
        kind=kind,
        help="Parcels.",
        labels=labels,
        source=source or query,
        derived=MappingProxyType(derived or {}),
        zero_fill=zero_fill,
        buckets=(1.0, 5.0) if histogram else (),
        max_series=max_series,
        absent_after_s=60.0,
        compat=False,
    )


def test_each_row_is_a_series_wherever_its_columns_stand() -> None:
    series = read_series(
        make_metric(), ["n", "extra", "state"], [(3, "x", "new"), (4, "y", "old")]
    ).series

    assert series == {("new",): (3.0,), ("old",): (4.0,)}


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (True, 1.0),
        (Decimal("2.5"), 2.5),
        (timedelta(minutes=2), 120.0),
        (math.inf, math.inf),
        (-7, -7.0),
    ],
)
def test_what_postgresql_counts_with_is_a_number(cell: object, number: float) -> None:
    assert read_series(make_metric(), ["state", "n"], [("new", cell)]).series == {
        ("new",): (number,)
    }


@pytest.mark.parametrize("nothing", [None, math.nan, Decimal("NaN")])
def test_null_and_nan_are_absent_and_not_zero(nothing: object) -> None:
    rows = [("new", nothing), ("old", 1)]

    assert read_series(make_metric(), ["state", "n"], rows).series == {("old",): (1.0,)}


def test_label_values_without_a_row_are_zero_when_the_pack_says_so() -> None:
    metric = make_metric(zero_fill=(("new",), ("old",)))

    assert read_series(metric, ["state", "n"], [("old", 2)]).series == {
        ("new",): (0.0,),
        ("old",): (2.0,),
    }
    assert read_series(metric, ["state", "n"], []).series == {("new",): (0.0,), ("old",): (0.0,)}


def test_no_rows_and_no_zero_fill_are_no_series() -> None:
    assert read_series(make_metric(), ["state", "n"], []).series == {}


def test_a_null_label_is_the_empty_value() -> None:
    assert read_series(make_metric(), ["state", "n"], [(None, 1)]).series == {("",): (1.0,)}


def test_a_derived_label_follows_its_source() -> None:
    mood = LabelMap("state", {"gone": "sad"}, "calm")
    metric = make_metric(labels=("mood", "state"), derived={"mood": mood})

    series = read_series(metric, ["state", "n"], [("gone", 1), ("new", 2)]).series

    assert series == {("sad", "gone"): (1.0,), ("calm", "new"): (2.0,)}


def test_an_info_is_one_whatever_the_row_says() -> None:
    metric = make_metric(MetricKind.INFO, source=FromQuery("q", None))

    assert read_series(metric, ["state"], [("new",)]).series == {("new",): (1.0,)}


def test_a_histograms_rows_fall_into_the_buckets_whose_upper_edge_holds_them() -> None:
    metric = make_metric(MetricKind.HISTOGRAM, zero_fill=(("idle",),))
    rows = [("new", 1.0, 2, 1.5), ("new", 5.0, 1, 4.0), ("new", math.inf, 3, Decimal(60))]

    series = read_series(metric, ["state", "edge", "n", "seconds"], rows).series

    assert series == {("new",): (2.0, 1.0, 3.0, 65.5), ("idle",): (0.0, 0.0, 0.0, 0.0)}


def test_edges_that_the_pack_does_not_have_count_in_the_next_bucket_up() -> None:
    metric = make_metric(MetricKind.HISTOGRAM)
    rows = [("new", 0.5, 1, 0.4), ("new", 3.0, 1, 2.0), ("new", 9.0, 1, 8.0)]

    series = read_series(metric, ["state", "edge", "n", "seconds"], rows).series

    assert series == {("new",): (1.0, 1.0, 1.0, 10.4)}


ERRORS = [
    (make_metric(), ["state", "m"], [("new", 1)], Reason.SCHEMA, "no column n"),
    (make_metric(), ["status", "n"], [], Reason.SCHEMA, "no column state"),
    (make_metric(), ["state", "n"], [("new", "many")], Reason.DATA, "'many', which is no number"),
    (make_metric(), ["state", "n"], [("a", 1), ("a", 1)], Reason.DATA, "state='a'"),
    (make_metric(labels=()), ["n"], [(1,), (2,)], Reason.DATA, "no labels"),
    (make_metric(), ["state", "n"], [(None, 1), ("", 2)], Reason.DATA, "two rows"),
    (make_metric(), ["state", "n"], [("a", None), ("a", 2)], Reason.DATA, "two rows"),
    (make_metric(MetricKind.COUNTER), ["state", "n"], [("a", -1)], Reason.DATA, "negative"),
    (make_metric(MetricKind.COUNTER), ["state", "n"], [("a", math.inf)], Reason.DATA, "infinite"),
    (
        make_metric(max_series=2, zero_fill=(("z",),)),
        ["state", "n"],
        [("a", 1), ("b", 1)],
        Reason.CARDINALITY,
        "more than 2 series",
    ),
    (
        make_metric(MetricKind.HISTOGRAM),
        ["state", "edge", "n", "seconds"],
        [("a", 1.0, 1, 1), ("a", 1.0, 1, 1)],
        Reason.DATA,
        "two rows",
    ),
    (
        make_metric(MetricKind.HISTOGRAM),
        ["state", "edge", "n", "seconds"],
        [("a", None, 1, 1)],
        Reason.DATA,
        "no bucket edge",
    ),
]


@pytest.mark.parametrize(("metric", "columns", "rows", "reason", "text"), ERRORS)
def test_a_result_that_cannot_be_the_metric_is_refused_with_its_reason(
    metric: PackMetric,
    columns: list[str],
    rows: list[tuple[object, ...]],
    reason: Reason,
    text: str,
) -> None:
    with pytest.raises(BadResultError, match=text) as caught:
        read_series(metric, columns, rows)

    assert caught.value.reason is reason


def test_exactly_the_maximum_of_series_is_allowed() -> None:
    metric = make_metric(max_series=2)

    assert len(read_series(metric, ["state", "n"], [("a", 1), ("b", 1)]).series) == 2


BASE = make_metric(labels=("channel", "outcome"))
NUMBERS: Series = {("sms", "sent"): (5.0,), ("sms", "failed"): (2.0,), ("email", "sent"): (1.0,)}


def make_alias(labels: tuple[str, ...], **where: set[str]) -> PackMetric:
    chosen = {label: frozenset(values) for label, values in where.items()}
    return make_metric(labels=labels, source=FromMetric("parcels", chosen))


def test_another_name_sums_over_the_labels_that_it_leaves_out() -> None:
    assert sum_series(make_alias(("channel",)), BASE, NUMBERS) == {
        ("sms",): (7.0,),
        ("email",): (1.0,),
    }


def test_another_name_takes_only_the_values_that_it_asks_for() -> None:
    alias = make_alias(("channel",), outcome={"sent", "other"})

    assert sum_series(alias, BASE, NUMBERS) == {("sms",): (5.0,), ("email",): (1.0,)}


def test_another_name_without_labels_is_zero_when_nothing_matches() -> None:
    assert sum_series(make_alias((), outcome={"lost"}), BASE, NUMBERS) == {(): (0.0,)}


def test_sums_do_not_depend_on_the_order_of_the_rows() -> None:
    # Added from the left, these differ in the last digit from one order to another.
    histogram = make_metric(MetricKind.HISTOGRAM)
    rows = [("new", edge, 1, seconds) for edge, seconds in ((1, 0.1), (5, 0.2), (9, 0.3))]
    columns = ["state", "edge", "n", "seconds"]

    orders = [read_series(histogram, columns, order).series for order in permutations(rows)]

    assert len({series["new",] for series in orders}) == 1
    base = make_metric(MetricKind.HISTOGRAM, labels=("channel",))
    total = make_metric(MetricKind.HISTOGRAM, labels=(), source=FromMetric("parcels", {}))
    series = {(name,): (0.0, 0.0, 0.0, s) for name, s in (("a", 0.1), ("b", 0.2), ("c", 0.3))}
    sums = [sum_series(total, base, dict(order)) for order in permutations(series.items())]
    assert len({each[()] for each in sums}) == 1


def test_histograms_add_up_bucket_by_bucket() -> None:
    base = make_metric(MetricKind.HISTOGRAM, labels=("channel",))
    alias = make_metric(MetricKind.HISTOGRAM, labels=(), source=FromMetric("parcels", {}))
    numbers: Series = {("sms",): (1.0, 2.0, 3.0, 40.0), ("email",): (10.0, 0.0, 1.0, 5.5)}

    assert sum_series(alias, base, numbers) == {(): (11.0, 2.0, 4.0, 45.5)}


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")),
        st.tuples(st.integers(0, 1000).map(float)),
    )
)
def test_no_number_is_lost_or_made_by_summing(
    numbers: dict[tuple[str, ...], tuple[float, ...]],
) -> None:
    summed = sum_series(make_alias(("outcome",)), BASE, numbers)

    assert sum(p[0] for p in summed.values()) == sum(p[0] for p in numbers.values())
    assert set(summed) == {labels[1:] for labels in numbers}


def test_a_row_with_null_takes_the_place_of_its_zero() -> None:
    metric = make_metric(zero_fill=(("new",), ("old",)))

    assert read_series(metric, ["state", "n"], [("old", None)]).series == {("new",): (0.0,)}


@pytest.mark.parametrize("nothing", [None, math.nan, Decimal("NaN")])
def test_null_is_what_the_pack_says(nothing: object) -> None:
    rows = [("new", nothing)]
    zero = replace(make_metric(), when_null=WhenNull.ZERO)
    fail = replace(make_metric(), when_null=WhenNull.FAIL)

    assert read_series(make_metric(), ["state", "n"], rows).series == {}
    assert read_series(zero, ["state", "n"], rows).series == {("new",): (0.0,)}
    with pytest.raises(BadResultError, match="n is NULL or NaN") as caught:
        read_series(fail, ["state", "n"], rows)
    assert caught.value.reason is Reason.DATA


def test_beyond_the_maximum_the_later_rows_are_dropped_where_the_pack_says_so() -> None:
    metric = replace(make_metric(zero_fill=(("new",),), max_series=3), when_full=WhenFull.DROP)
    reading = read_series(metric, ["state", "n"], [(letter, 1) for letter in "abcd"])

    assert reading.series == {("new",): (0.0,), ("a",): (1.0,), ("b",): (1.0,)}
    assert reading.dropped == 2


def make_counter_with_exemplars(**columns: str | None) -> PackMetric:
    source = Exemplars("q", {"trace_id": "trace"}, columns.get("value"), columns.get("at"))
    return replace(make_metric(MetricKind.COUNTER), exemplars=source)


def test_of_several_examples_the_newest_is_kept() -> None:
    metric = make_counter_with_exemplars(value="seconds", at="at")
    late = datetime(2026, 1, 1, 11, tzinfo=UTC)
    # Without a zone it is taken for UTC.
    early = late.replace(hour=10, tzinfo=None)
    rows = [("new", "a", 1, early), ("new", "b", 2, late), ("new", "c", 3, early)]
    found = read_exemplars(metric, ["state", "trace", "seconds", "at"], rows)

    assert found == {(("new",), 0): Example({"trace_id": "b"}, 2.0, late.timestamp())}


def test_without_an_instant_the_last_example_is_kept_and_counts_one() -> None:
    metric = make_counter_with_exemplars()
    rows = [("new", "a"), ("new", "b"), ("old", None)]

    assert read_exemplars(metric, ["state", "trace"], rows) == {
        (("new",), 0): Example({"trace_id": "b"}, 1.0, None)
    }


def test_a_histograms_example_goes_to_the_bucket_of_its_value() -> None:
    source = Exemplars("q", {"trace_id": "trace"}, "seconds")
    metric = replace(make_metric(MetricKind.HISTOGRAM), exemplars=source)
    rows = [("new", "a", 1), ("new", "b", 1.5), ("new", "c", 99)]
    found = read_exemplars(metric, ["state", "trace", "seconds"], rows)

    assert {bucket: dict(example.labels)["trace_id"] for (_, bucket), example in found.items()} == {
        0: "a",
        1: "b",
        2: "c",
    }


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        (["state", "span"], [], "no column trace"),
        (["state", "trace"], [("new", "x" * 121)], "over 128 characters"),
    ],
)
def test_an_example_that_would_spoil_the_page_is_an_error(
    columns: list[str], rows: list[tuple[object, ...]], words: str
) -> None:
    with pytest.raises(BadResultError, match=words):
        read_exemplars(make_counter_with_exemplars(), columns, rows)


def test_a_metric_made_of_another_takes_the_examples_that_it_selects() -> None:
    base = make_metric(MetricKind.COUNTER, labels=("state", "site"))
    source = FromMetric("parcels", {"site": frozenset({"north"})})
    metric = make_metric(MetricKind.COUNTER, labels=("state",), source=source)
    one, other = Example({}, 1.0, None), Example({}, 2.0, None)

    found = sum_exemplars(metric, base, {(("new", "north"), 0): one, (("new", "south"), 0): other})

    assert found == {(("new",), 0): one}
