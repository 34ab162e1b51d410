"""From the rows of a query to the series of a metric, and from one metric's series to another's."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from exporter.failures import BadResultError, Reason
from exporter.pack import (
    FromMetric,
    FromQuery,
    LabelValues,
    PackMetric,
    Parts,
    Series,
    WhenFull,
    WhenNull,
)
from outbound_slo.vocabulary.metrics import MetricKind

Row: TypeAlias = Sequence[object]

# What the labels of an exemplar may have together, names and values, by OpenMetrics.
_EXEMPLAR_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Reading:
    """What a query's rows say about a metric.

    Attributes:
        series: Its series.
        dropped: Label sets that were left out because there are more than `max_series`.

    """

    series: Series
    dropped: int


@dataclass(frozen=True, slots=True)
class Example:
    """One event behind a count.

    Attributes:
        labels: Where to find it, such as its trace id.
        value: What was observed; 1 where the query gives none.
        at: When, in Unix seconds; None where the query does not say.

    """

    labels: Mapping[str, str]
    value: float
    at: float | None


ExemplarSeries: TypeAlias = Mapping[tuple[LabelValues, int], Example]
"""By series and bucket (0 for a counter) the newest example."""


def read_series(metric: PackMetric, columns: Sequence[str], rows: Sequence[Row]) -> Reading:
    """Make a metric's series of its query's rows, with zeros for label values that have no row.

    Raises:
        BadResultError: A column is missing, a value is no number or not there where the pack wants
            one, two rows give one series, a counter is negative, or there are too many series.

    """
    source = metric.source
    if not isinstance(source, FromQuery):
        raise TypeError(f"{metric.name} is not fed by a query")
    cells = _Cells(metric, columns, (source.value, source.bucket, source.total))
    found: dict[LabelValues, list[float]] = {}
    totals: dict[LabelValues, list[float]] = {}
    unknown: set[LabelValues] = set()
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        labels = cells.labels(row)
        if metric.kind is MetricKind.HISTOGRAM:
            bucket = _bucket(metric, cells.number(row, source.bucket))
            key: tuple[object, ...] = (*labels, cells.raw(row, source.bucket))
            events, total = cells.value(row, source.value), cells.value(row, source.total)
            parts = found.setdefault(labels, [0.0] * metric.part_count)
            parts[bucket] += events or 0.0
            totals.setdefault(labels, []).append(total or 0.0)
        else:
            key = labels
            number = 1.0 if source.value is None else cells.value(row, source.value)
            if number is None:
                unknown.add(labels)
            else:
                found[labels] = [number]
        if key in seen:
            shown = ", ".join(f"{n}={v!r}" for n, v in zip(metric.labels, labels, strict=True))
            raise BadResultError(
                Reason.DATA, f"{metric.name}: two rows for one series ({shown or 'no labels'})"
            )
        seen.add(key)
    for labels, each in totals.items():
        found[labels][-1] = _add_up(each)
    _refuse_negative(metric, found)
    zero = (0.0,) * metric.part_count
    # A row with NULL says that the number is not known: no zero stands in for it.
    series: dict[LabelValues, Parts] = {key: zero for key in metric.zero_fill if key not in unknown}
    series.update({labels: tuple(parts) for labels, parts in found.items()})
    beyond = len(series) - metric.max_series
    if beyond <= 0:
        return Reading(series, 0)
    if metric.when_full is WhenFull.FAIL:
        raise BadResultError(
            Reason.CARDINALITY,
            f"{metric.name}: more than {metric.max_series} series (max_series of the pack)",
        )
    return Reading(dict(list(series.items())[: metric.max_series]), beyond)


def read_exemplars(
    metric: PackMetric, columns: Sequence[str], rows: Sequence[Row]
) -> ExemplarSeries:
    """Make a metric's exemplars of the rows of the query that it takes them from.

    Of several for one series and bucket the newest is kept, or the last where no instant is given.

    Raises:
        BadResultError: A column is missing, a value is no number or instant, or the labels are
            longer than OpenMetrics allows.

    """
    source = metric.exemplars
    if source is None:
        raise TypeError(f"{metric.name} has no exemplars")
    wanted = (source.value, source.at, *source.labels.values())
    cells = _Cells(metric, columns, wanted)
    found: dict[tuple[LabelValues, int], Example] = {}
    for row in rows:
        texts = {label: cells.raw(row, column) for label, column in source.labels.items()}
        value = 1.0 if source.value is None else cells.number(row, source.value)
        if value is None or any(text is None for text in texts.values()):
            continue
        labels = {label: str(text) for label, text in texts.items()}
        if sum(len(label) + len(text) for label, text in labels.items()) > _EXEMPLAR_CHARACTERS:
            raise BadResultError(
                Reason.DATA,
                f"{metric.name}: labels of an exemplar have over {_EXEMPLAR_CHARACTERS} characters",
            )
        at = None if source.at is None else cells.instant(row, source.at)
        key = (cells.labels(row), bisect_left(metric.buckets, value) if metric.buckets else 0)
        before = found.get(key)
        if before is None or before.at is None or at is None or at >= before.at:
            found[key] = Example(labels, value, at)
    return found


def sum_exemplars(
    metric: PackMetric, base: PackMetric, exemplars: ExemplarSeries
) -> ExemplarSeries:
    """Give the exemplars of a metric that is made of another one."""
    source = metric.source
    if not isinstance(source, FromMetric):
        raise TypeError(f"{metric.name} is not made of another metric")
    kept = [base.labels.index(label) for label in metric.labels]
    wanted = [(base.labels.index(label), values) for label, values in source.where.items()]
    return {
        (tuple(labels[position] for position in kept), bucket): example
        for (labels, bucket), example in exemplars.items()
        if all(labels[position] in values for position, values in wanted)
    }


def sum_series(metric: PackMetric, base: PackMetric, series: Series) -> Series:
    """Select and add up another metric's series; without labels there is always one, if only 0."""
    source = metric.source
    if not isinstance(source, FromMetric):
        raise TypeError(f"{metric.name} is not made of another metric")
    if metric.labels and not source.where and metric.labels == base.labels:
        return series
    kept = [base.labels.index(label) for label in metric.labels]
    wanted = [(base.labels.index(label), values) for label, values in source.where.items()]
    summands: dict[LabelValues, list[Parts]] = {}
    if not metric.labels:
        summands[()] = [(0.0,) * metric.part_count]
    for labels, parts in series.items():
        for position, values in wanted:
            if labels[position] not in values:
                break
        else:
            key = tuple([labels[position] for position in kept])
            summands.setdefault(key, []).append(parts)
    return {
        key: each[0] if len(each) == 1 else tuple(map(_add_up, zip(*each, strict=True)))
        for key, each in summands.items()
    }


class _Cells:
    """Reads a row's cells by the names that the pack gives."""

    def __init__(
        self, metric: PackMetric, columns: Sequence[str], wanted: Sequence[str | None]
    ) -> None:
        self._metric = metric
        self._positions = {column: position for position, column in enumerate(columns)}
        self._columns = columns
        self._given = [label for label in metric.labels if label not in metric.derived]
        # Checked even for a result without rows: a renamed column must not look like zero.
        for column in (*self._given, *wanted):
            if column is not None:
                self._position(column)

    def _position(self, column: str | None) -> int:
        position = None if column is None else self._positions.get(column)
        if position is None:
            raise BadResultError(
                Reason.SCHEMA,
                f"{self._metric.name}: the result has no column {column}, "
                f"only {', '.join(self._columns)}",
            )
        return position

    def raw(self, row: Row, column: str | None) -> object:
        return row[self._position(column)]

    def labels(self, row: Row) -> LabelValues:
        """Label values as text; NULL is the empty value, which Prometheus reads as no label."""
        values: dict[str, str] = {}
        for label in self._given:
            cell = row[self._positions[label]]
            values[label] = "" if cell is None else str(cell)
        for label, rule in self._metric.derived.items():
            values[label] = rule.value_for(values[rule.source])
        return tuple(values[label] for label in self._metric.labels)

    def value(self, row: Row, column: str | None) -> float | None:
        """Give a number as the metric's policy for NULL says."""
        number = self.number(row, column)
        if number is not None or self._metric.when_null is WhenNull.ABSENT:
            return number
        if self._metric.when_null is WhenNull.ZERO:
            return 0.0
        raise BadResultError(Reason.DATA, f"{self._metric.name}: {column} is NULL or NaN")

    def instant(self, row: Row, column: str) -> float | None:
        """Give Unix seconds."""
        cell = self.raw(row, column)
        if not isinstance(cell, datetime):
            return self.number(row, column)
        return (cell if cell.tzinfo else cell.replace(tzinfo=UTC)).timestamp()

    def number(self, row: Row, column: str | None) -> float | None:
        """Give a number; None for NULL and NaN."""
        cell = row[self._position(column)]
        match cell:
            case None:
                return None
            case timedelta():
                return cell.total_seconds()
            case bool() | int() | float() | Decimal():
                number = float(cell)
                return None if math.isnan(number) else number
        raise BadResultError(
            Reason.DATA, f"{self._metric.name}: {column} is {str(cell)[:40]!r}, which is no number"
        )


def _add_up(summands: Iterable[float]) -> float:
    """Add in a way that does not depend on the order, as rows come in any.

    Seconds added in another order differ in their last digit, and a counter that falls by that much
    is a restart to Prometheus, which then counts all of it again.
    """
    values = tuple(summands)
    # fsum raises for infinities of both signs, and can't name the metric.
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def _bucket(metric: PackMetric, edge: float | None) -> int:
    if edge is None:
        raise BadResultError(Reason.DATA, f"{metric.name}: a row has no bucket edge")
    return bisect_left(metric.buckets, edge)


def _refuse_negative(metric: PackMetric, found: Mapping[LabelValues, Sequence[float]]) -> None:
    if metric.kind not in {MetricKind.COUNTER, MetricKind.HISTOGRAM}:
        return
    for parts in found.values():
        if not all(0 <= part < math.inf for part in parts):
            raise BadResultError(
                Reason.DATA, f"{metric.name}: a {metric.kind} is negative or infinite"
            )
