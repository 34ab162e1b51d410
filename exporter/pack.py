"""What a pack says, read and checked: queries, the metrics they feed, and their other names.

A pack is a folder with a `pack.yml` and `.sql` files; `exporter.loader` makes these objects of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from exporter.schedule import Schedule
from outbound_slo.vocabulary.metrics import MetricKind

LabelValues: TypeAlias = tuple[str, ...]
"""Values in the order of a metric's label names."""

Parts: TypeAlias = tuple[float, ...]
"""A series' numbers: one for a gauge, counter or info; for a histogram the events of each bucket
(not cumulative, the last bucket has no upper edge) and then their sum."""

Series: TypeAlias = Mapping[LabelValues, Parts]
"""All series of one metric at one instant."""


class WhenStale(StrEnum):
    """What becomes of a metric's numbers while its query fails, after `absent_after_s`."""

    ABSENT = "absent"
    HOLD = "hold"
    ZERO = "zero"


class WhenNull(StrEnum):
    """What NULL or NaN in a metric's value means."""

    ABSENT = "absent"
    ZERO = "zero"
    FAIL = "fail"


class WhenFull(StrEnum):
    """What happens to label sets beyond `max_series`."""

    FAIL = "fail"
    DROP = "drop"


class RunsOn(StrEnum):
    """On which servers a query runs: a replica lacks what only the primary knows."""

    ANY = "any"
    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a query needs of the database, for `exporter check --live`.

    Attributes:
        tables: Tables and views that it reads, each with the columns that it must have.
        privileges: By table the privileges beyond SELECT.
        extensions: Extensions that must be installed.
        roles: Roles whose rights the exporter's own must have, such as pg_monitor.
        indexes: Indexes without which it is slow, each with the statement that makes it.

    """

    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    privileges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    indexes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement.

    Attributes:
        name: Its name in the pack and in the file.
        sql: A statement that reads and has no parameters.
        timeout_s: How long the server may work on it, in seconds.
        requires: What it needs of the database.
        client_timeout_s: When the client cuts the line to a server that does not keep to the
            time-out, in seconds.
        schedule: When it runs; None for every refresh.
        databases: Names of the pack's databases on which it runs; empty for all.
        runs_on: On which kind of server it runs.

    """

    name: str
    sql: str
    timeout_s: float
    requires: Requirements = Requirements()
    client_timeout_s: float = 600.0
    schedule: Schedule | None = None
    databases: tuple[str, ...] = ()
    runs_on: RunsOn = RunsOn.ANY


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
class Exemplars:
    """Where a counter's or a histogram's exemplars come from.

    Attributes:
        query: A query whose rows have the metric's label columns and those below.
        labels: By exemplar label (`trace_id`) the column that gives it; rows with NULL are passed
            over.
        value: Column with the observed value, which also decides the bucket; None for 1.
        at: Column with the instant, a timestamp or Unix seconds; None leaves it to the scraper.

    """

    query: str
    labels: Mapping[str, str]
    value: str | None = None
    at: str | None = None


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
        unit: Its base unit, in which the name ends; empty for none.
        when_stale: What becomes of the numbers after `absent_after_s`.
        when_null: What NULL and NaN in the value mean.
        when_full: What happens beyond `max_series`.
        exemplars: Where its exemplars come from, or None.

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
    unit: str = ""
    when_stale: WhenStale = WhenStale.ABSENT
    when_null: WhenNull = WhenNull.ABSENT
    when_full: WhenFull = WhenFull.FAIL
    exemplars: Exemplars | None = None

    @property
    def part_count(self) -> int:
        """How many numbers a series of this metric has."""
        return len(self.buckets) + 2 if self.kind is MetricKind.HISTOGRAM else 1


@dataclass(frozen=True, slots=True)
class PackDatabase:
    """A database that a pack names itself.

    Attributes:
        name: Its name in the pack, and the value of the label `database`.
        url: Its address, with references such as `${ORDERS_URL}` not yet followed: what they lead
            to may be a secret, and may change.
        labels: Further labels of every series that comes from it.

    """

    name: str
    url: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack: its queries and metrics, in the order of the file.

    Attributes:
        name: Its name, as in the label `pack`.
        description: What it watches.
        queries: Its queries.
        metrics: Its metrics.
        databases: Databases that it names; empty for the exporter's own (DATABASE_URL).

    """

    name: str
    description: str
    queries: tuple[Query, ...]
    metrics: tuple[PackMetric, ...]
    databases: tuple[PackDatabase, ...] = ()

    def fed_by(self, query: str) -> tuple[PackMetric, ...]:
        """Give the metrics that take their numbers from a query's columns."""
        return tuple(
            metric
            for metric in self.metrics
            if isinstance(metric.source, FromQuery) and metric.source.query == query
        )

    def illustrated_by(self, query: str) -> tuple[PackMetric, ...]:
        """Give the metrics that take their exemplars from a query."""
        return tuple(m for m in self.metrics if m.exemplars and m.exemplars.query == query)

    def uses(self, query: str) -> bool:
        """Tell whether anything on the page comes from a query."""
        return bool(self.fed_by(query) or self.illustrated_by(query))

    def without_compat(self) -> "Pack":
        """Leave out the other names, and the queries that only they needed."""
        metrics = tuple(metric for metric in self.metrics if not metric.compat)
        kept = replace(self, metrics=metrics)
        return replace(kept, queries=tuple(q for q in self.queries if kept.uses(q.name)))

    def on(self, database: str) -> "Pack":
        """Leave out what does not run on one of the pack's databases."""
        queries = tuple(q for q in self.queries if not q.databases or database in q.databases)
        run = {query.name for query in queries}
        fed = {
            metric.name
            for metric in self.metrics
            if isinstance(metric.source, FromQuery) and metric.source.query in run
        }
        metrics = tuple(
            metric
            for metric in self.metrics
            if metric.name in fed
            or (isinstance(metric.source, FromMetric) and metric.source.metric in fed)
        )
        return replace(self, queries=queries, metrics=metrics)
