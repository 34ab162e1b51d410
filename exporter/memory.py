"""What the exporter remembers between refreshes: last good numbers, their age, counters' heights.

One memory per target. No thread safety here and no clock: `exporter.publication` brings both.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from exporter.collector import QueryKey, QueryRun, Refresh
from exporter.failures import Failure, Reason
from exporter.heights import HeightGuard
from exporter.pack import FromMetric, FromQuery, Pack, PackMetric, Query, Series, WhenStale
from exporter.series import ExemplarSeries, sum_exemplars, sum_series
from outbound_slo.vocabulary.metrics import MetricKind

_COUNTING = frozenset({MetricKind.COUNTER, MetricKind.HISTOGRAM})
_NO_LABELS: Mapping[str, str] = MappingProxyType({})
_NO_EXEMPLARS: ExemplarSeries = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class QueryState:
    """How one query is doing.

    Attributes:
        pack: Its pack.
        query: Its name.
        failure: Why its last run failed; None if it worked or never ran.
        duration_s: Of its last run, in seconds.
        rows: Of its last good run.
        good_at: When its last good run began, in Unix seconds; 0 before the first.
        fresh_until: Until when, on the steady clock, its numbers have no age: when its last good
            run began, or for a query with a schedule of its own when the next was due then; minus
            infinity before the first.
        errors: Failed runs by reason.
        dropped: Label sets that its last good run left out.
        skipped: True where it does not run on this kind of server.

    """

    pack: str
    query: str
    failure: Failure | None = None
    duration_s: float = 0.0
    rows: int = 0
    good_at: float = 0.0
    fresh_until: float = -math.inf
    errors: Mapping[Reason, int] = field(default_factory=dict)
    dropped: int = 0
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric as it may be shown at an instant.

    What did not change since the last time is the same object.
    """

    metric: PackMetric
    series: Series
    exemplars: ExemplarSeries


class Memory:
    """The state of a target's packs: fed with refreshes, asked for what may be shown.

    Args:
        packs: The packs that are served.
        patience_s: Numbers stay at least this long in seconds after a good refresh, so that a
            `absent_after_s` shorter than the refresh interval does not blank the page in between.
        labels: Labels of everything from this target.

    """

    def __init__(
        self, packs: Sequence[Pack], patience_s: float, labels: Mapping[str, str] = _NO_LABELS
    ) -> None:
        self._patience_s = patience_s
        self.labels = labels
        self._entries: dict[str, _Entry] = {}
        self._queries: dict[QueryKey, Query] = {}
        self._states: dict[QueryKey, QueryState] = {}
        self._series: dict[str, Series] = {}
        self._exemplars: dict[str, ExemplarSeries] = {}
        self._guards: dict[str, HeightGuard] = {}
        self._sums: dict[str, _Sum] = {}
        self._past_rebases = 0
        self.last: Refresh | None = None
        self.good_at = 0.0
        self.change_packs(packs)

    @property
    def rebases(self) -> int:
        """How often a counter's source fell and the guard held it."""
        return self._past_rebases + sum(guard.rebases for guard in self._guards.values())

    @property
    def leads(self) -> bool:
        """Whether this exporter is the one that shows the target's numbers."""
        return self.last is None or self.last.leads

    def change_packs(self, packs: Sequence[Pack]) -> None:
        """Serve these packs from now on.

        What did not change goes on: counters keep their heights and the page its numbers, so that
        a reload is no outage.
        """
        rebases = self.rebases
        entries, queries = _read_entries(packs), _read_queries(packs)
        same = {key for key, query in queries.items() if self._queries.get(key) == query}
        fresh = {key: QueryState(*key) for key in queries}
        self._states = {key: self._states[key] if key in same else fresh[key] for key in fresh}
        kept = {
            name
            for name, entry in entries.items()
            if entry == self._entries.get(name) and entry.key in same
        }
        self._series = {name: series for name, series in self._series.items() if name in kept}
        self._exemplars = {name: found for name, found in self._exemplars.items() if name in kept}
        self._guards = {
            name: self._guards[name] if name in kept else HeightGuard(2 * entry.metric.max_series)
            for name, entry in entries.items()
            if entry.metric.kind in _COUNTING and entry.metric is entry.base
        }
        self._sums = {}
        self._entries, self._queries = entries, queries
        self._past_rebases = 0
        self._past_rebases = rebases - self.rebases

    def take(self, refresh: Refresh, steady: float) -> None:
        """Remember a refresh that ended at the instant `steady` of the steady clock."""
        began = steady - refresh.duration_s
        for run in refresh.runs:
            renewal = refresh.renewals.get((run.pack, run.query), 0.0)
            self._take_run(run, refresh.at, began + renewal)
        good = any(run.failure is None and not run.skipped for run in refresh.runs)
        if good or (refresh.reached and refresh.leads and not refresh.runs):
            self.good_at = refresh.at
        self.last = refresh

    def _take_run(self, run: QueryRun, at: float, fresh_until: float) -> None:
        before = self._states[run.pack, run.query]
        now = replace(before, failure=run.failure, duration_s=run.duration_s, skipped=run.skipped)
        if run.failure is not None:
            errors = Counter(before.errors)
            errors[run.failure.reason] += 1
            now = replace(now, errors=MappingProxyType(dict(errors)))
        elif not run.skipped:
            for name, series in run.series.items():
                guard = self._guards.get(name)
                _keep(self._series, name, guard.lift(series) if guard else series)
            for name, exemplars in run.exemplars.items():
                _keep(self._exemplars, name, exemplars)
            now = replace(
                now, rows=run.rows, good_at=at, fresh_until=fresh_until, dropped=run.dropped
            )
        self._states[run.pack, run.query] = now

    def states(self) -> Sequence[QueryState]:
        """How every query is doing."""
        return tuple(self._states.values())

    def visible(self, steady: float) -> Iterator[Shown]:
        """Give each metric that may be shown at an instant, with its series.

        While its query fails, a metric's last good numbers are shown until they are
        `absent_after_s` old, and then what its policy says; the same where no refresh ends any
        more. Where another exporter leads, it shows the numbers.
        """
        if not self.leads:
            return
        for entry in self._entries.values():
            metric, base, state = entry.metric, entry.base, self._states[entry.key]
            if base.name not in self._series or state.skipped:
                continue
            series = self._series[base.name]
            exemplars = self._shown_exemplars(entry, steady)
            if steady >= self._gone_at(entry):
                if metric.when_stale is WhenStale.ABSENT:
                    continue
                if metric.when_stale is WhenStale.ZERO:
                    series = dict.fromkeys(series, (0.0,) * base.part_count)
            if metric is not base:
                series, exemplars = self._sum(metric, base, series, exemplars)
            yield Shown(metric, series, exemplars)

    def _sum(
        self, metric: PackMetric, base: PackMetric, series: Series, exemplars: ExemplarSeries
    ) -> tuple[Series, ExemplarSeries]:
        """Make a metric of another one, unless that is as it was."""
        known = self._sums.get(metric.name)
        if known is None or known.series is not series or known.exemplars is not exemplars:
            known = _Sum(
                series,
                exemplars,
                sum_series(metric, base, series),
                sum_exemplars(metric, base, exemplars),
            )
            self._sums[metric.name] = known
        return known.summed, known.summed_exemplars

    def next_change(self, steady: float) -> float:
        """Tell when, on the steady clock, the next shown metric changes; infinity if none."""
        moments = [
            self._gone_at(entry)
            for entry in self._entries.values()
            if entry.metric.when_stale is not WhenStale.HOLD
        ]
        return min((moment for moment in moments if moment > steady), default=math.inf)

    def _shown_exemplars(self, entry: "_Entry", steady: float) -> ExemplarSeries:
        base = entry.base
        state = self._states.get((entry.key[0], base.exemplars.query)) if base.exemplars else None
        patience_s = max(base.absent_after_s, self._patience_s)
        if state is None or steady >= state.fresh_until + patience_s:
            return _NO_EXEMPLARS
        return self._exemplars.get(base.name, _NO_EXEMPLARS)

    def _gone_at(self, entry: "_Entry") -> float:
        state, absent_after_s = self._states[entry.key], entry.metric.absent_after_s
        if state.failure is not None:
            return state.fresh_until + absent_after_s
        return state.fresh_until + max(absent_after_s, self._patience_s)


@dataclass(frozen=True, slots=True)
class _Sum:
    """What was made of another metric's series, and of which."""

    series: Series
    exemplars: ExemplarSeries
    summed: Series
    summed_exemplars: ExemplarSeries


_Value = TypeVar("_Value")


def _keep(kept: dict[str, _Value], name: str, value: _Value) -> None:
    """Keep a value, and the very object from before where it is equal.

    Most numbers are what they were a refresh ago: what is made of them need not be made again.
    """
    if kept.get(name) != value:
        kept[name] = value


@dataclass(frozen=True, slots=True)
class _Entry:
    """A metric, the one that its numbers are read for, and the query that gives them."""

    metric: PackMetric
    base: PackMetric
    key: QueryKey


def _read_queries(packs: Sequence[Pack]) -> dict[QueryKey, Query]:
    return {(pack.name, query.name): query for pack in packs for query in pack.queries}


def _read_entries(packs: Sequence[Pack]) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for pack in packs:
        for metric in pack.metrics:
            # A metric made of another one stands after it.
            source = metric.source
            base = entries[source.metric].metric if isinstance(source, FromMetric) else metric
            if not isinstance(base.source, FromQuery):
                raise TypeError(f"{base.name} is not fed by a query")
            entries[metric.name] = _Entry(metric, base, (pack.name, base.source.query))
    return entries
