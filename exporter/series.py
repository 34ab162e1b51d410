"""From the rows of a query to the series of a metric, and from one metric's series to another's."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from exporter.failures import BadResultError, Reason
from exporter.pack import FromMetric, FromQuery, LabelValues, PackMetric, Parts, Series
from outbound_slo.vocabulary.metrics import MetricKind

Row = Sequence[object]


def read_series(metric: PackMetric, columns: Sequence[str], rows: Sequence[Row]) -> Series:
    """Make a metric's series of its query's rows, with zeros for label values that have no row.

    NULL and NaN give no sample, except where the label values are zero-filled.

    Raises:
        BadResultError: A column is missing, a value is no number, two rows give one series, a
            counter is negative, or there are too many series.

    """
    source = metric.source
    if not isinstance(source, FromQuery):
        raise TypeError(f"{metric.name} is not fed by a query")
    cells = _Cells(metric, source, columns)
    found: dict[LabelValues, list[float]] = {}
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        labels = cells.labels(row)
        if metric.kind is MetricKind.HISTOGRAM:
            bucket = _bucket(metric, cells.number(row, source.bucket))
            key: tuple[object, ...] = (*labels, cells.raw(row, source.bucket))
            events, total = cells.number(row, source.value), cells.number(row, source.total)
            parts = found.setdefault(labels, [0.0] * metric.part_count)
            parts[bucket] += events or 0.0
            parts[-1] += total or 0.0
        else:
            key = labels
            number = 1.0 if source.value is None else cells.number(row, source.value)
            if number is not None:
                found[labels] = [number]
        if key in seen:
            shown = ", ".join(f"{n}={v!r}" for n, v in zip(metric.labels, labels, strict=True))
            raise BadResultError(
                Reason.DATA, f"{metric.name}: two rows for one series ({shown or 'no labels'})"
            )
        seen.add(key)
    _refuse_negative(metric, found)
    zero = (0.0,) * metric.part_count
    series: dict[LabelValues, Parts] = dict.fromkeys(metric.zero_fill, zero)
    series.update({labels: tuple(parts) for labels, parts in found.items()})
    if len(series) > metric.max_series:
        raise BadResultError(
            Reason.CARDINALITY,
            f"{metric.name}: more than {metric.max_series} series (max_series of the pack)",
        )
    return series


def sum_series(metric: PackMetric, base: PackMetric, series: Series) -> Series:
    """Select and add up another metric's series; without labels there is always one, if only 0."""
    source = metric.source
    if not isinstance(source, FromMetric):
        raise TypeError(f"{metric.name} is not made of another metric")
    kept = [base.labels.index(label) for label in metric.labels]
    wanted = [(base.labels.index(label), values) for label, values in source.where.items()]
    sums: dict[LabelValues, Parts] = {}
    if not metric.labels:
        sums[()] = (0.0,) * metric.part_count
    for labels, parts in series.items():
        if all(labels[position] in values for position, values in wanted):
            key = tuple(labels[position] for position in kept)
            so_far = sums.get(key)
            sums[key] = (
                tuple(map(sum, zip(so_far, parts, strict=True))) if so_far is not None else parts
            )
    return sums


class _Cells:
    """Reads a row's cells by the names that the pack gives."""

    def __init__(self, metric: PackMetric, source: FromQuery, columns: Sequence[str]) -> None:
        self._metric = metric
        self._positions = {column: position for position, column in enumerate(columns)}
        self._columns = columns
        self._given = [label for label in metric.labels if label not in metric.derived]
        numbers = (source.value, source.bucket, source.total)
        # Checked even for a result without rows: a renamed column must not look like zero.
        for column in (*self._given, *numbers):
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

    def number(self, row: Row, column: str | None) -> float | None:
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


def _bucket(metric: PackMetric, edge: float | None) -> int:
    if edge is None:
        raise BadResultError(Reason.DATA, f"{metric.name}: a row has no bucket edge")
    return bisect_left(metric.buckets, edge)


def _refuse_negative(metric: PackMetric, found: Mapping[LabelValues, Sequence[float]]) -> None:
    if metric.kind not in {MetricKind.COUNTER, MetricKind.HISTOGRAM}:
        return
    for parts in found.values():
        if any(part < 0 or math.isinf(part) for part in parts):
            raise BadResultError(
                Reason.DATA, f"{metric.name}: a {metric.kind} is negative or infinite"
            )
