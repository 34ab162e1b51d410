"""What a pack says, read and checked: queries, the metrics they feed, and their other names.

A pack is a folder with a `pack.yml` and `.sql` files; `exporter.loader` makes these objects of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from outbound_slo.vocabulary.metrics import MetricKind

LabelValues: TypeAlias = tuple[str, ...]
"""Values in the order of a metric's label names."""

Parts: TypeAlias = tuple[float, ...]
"""A series' numbers: one for a gauge, counter or info; for a histogram the events of each bucket
(not cumulative, the last bucket has no upper edge) and then their sum."""

Series: TypeAlias = Mapping[LabelValues, Parts]
"""All series of one metric at one instant."""


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement.

    Attributes:
        name: Its name in the pack and in the file.
        sql: A statement that reads and has no parameters.
        timeout_s: How long the server may work on it, in seconds.
        requires: Tables and views that it reads, for `exporter check --live`.

    """

    name: str
    sql: str
    timeout_s: float
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A label whose value follows from another label's.

    Attributes:
        source: The label that decides.
        values: From its value to ours.
        default: Our value where the table has none.

    """

    source: str
    values: Mapping[str, str]
    default: str

    def value_for(self, source_value: str) -> str:
        """Give the derived label's value."""
        return self.values.get(source_value, self.default)


@dataclass(frozen=True, slots=True)
class FromQuery:
    """A metric whose numbers are columns of a query.

    Attributes:
        query: The query's name.
        value: Column with the number; for a histogram the events of one bucket, None for an info.
        bucket: Histograms: column with the bucket's upper edge, infinity for the last.
        total: Histograms: column with the sum of the values observed in the bucket.

    """

    query: str
    value: str | None
    bucket: str | None = None
    total: str | None = None


@dataclass(frozen=True, slots=True)
class FromMetric:
    """A metric whose numbers are another's, selected by label values and summed.

    Attributes:
        metric: The other metric's name, in the same pack.
        where: Per label the values that take part; labels not named take part with every value.

    """

    metric: str
    where: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class PackMetric:
    """One metric of a pack.

    Attributes:
        name: As on the page; a counter's ends in `_total`, an info's in `_info`.
        kind: Its type.
        help: One line.
        labels: Label names, in order.
        source: Where the numbers come from.
        derived: Labels that no column gives, by name.
        zero_fill: Label values that are on the page with 0 where the query has no row for them.
        buckets: Histograms: upper edges, ascending, without infinity.
        max_series: More than this many label sets are an error of the query.
        absent_after_s: While the query fails, the last good numbers stay this long, in seconds.
        compat: True for another name of a house metric (D2), which `--no-compat` leaves out.

    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...]
    source: FromQuery | FromMetric
    derived: Mapping[str, LabelMap]
    zero_fill: tuple[LabelValues, ...]
    buckets: tuple[float, ...]
    max_series: int
    absent_after_s: float
    compat: bool

    @property
    def part_count(self) -> int:
        """How many numbers a series of this metric has."""
        return len(self.buckets) + 2 if self.kind is MetricKind.HISTOGRAM else 1


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack: its queries and metrics, in the order of the file."""

    name: str
    description: str
    queries: tuple[Query, ...]
    metrics: tuple[PackMetric, ...]

    def fed_by(self, query: str) -> tuple[PackMetric, ...]:
        """Give the metrics that take their numbers from a query's columns."""
        return tuple(
            metric
            for metric in self.metrics
            if isinstance(metric.source, FromQuery) and metric.source.query == query
        )

    def without_compat(self) -> "Pack":
        """Leave out the other names, and the queries that only they needed."""
        metrics = tuple(metric for metric in self.metrics if not metric.compat)
        kept = replace(self, metrics=metrics)
        return replace(kept, queries=tuple(q for q in self.queries if kept.fed_by(q.name)))
