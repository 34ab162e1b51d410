"""What the exporter remembers between refreshes: last good numbers, their age, counters' heights.

No thread safety here and no clock: `exporter.publication` brings both.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from exporter.collector import QueryRun, Refresh
from exporter.failures import Failure, Reason
from exporter.pack import FromMetric, FromQuery, LabelValues, Pack, PackMetric, Parts, Query, Series
from exporter.series import sum_series
from outbound_slo.vocabulary.metrics import MetricKind

_COUNTING = frozenset({MetricKind.COUNTER, MetricKind.HISTOGRAM})


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
        good_steady: The same on the steady clock; minus infinity before the first.
        errors: Failed runs by reason.

    """

    pack: str
    query: str
    failure: Failure | None
    duration_s: float
    rows: int
    good_at: float
    good_steady: float
    errors: Mapping[Reason, int]


class HeightGuard:
    """Keeps a counter from falling (T5, T12).

    Where a source falls, because somebody counts rows that were purged or the database was
    restored, what is served stays at its height and goes on from there by the source's increments.
    Prometheus would otherwise take the fall for a restart and count everything twice. The memory
    ends with the process: a fall across a restart of the exporter is seen as a reset.

    Args:
        capacity: Series that are gone are forgotten when more than this many are remembered.

    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._last: dict[LabelValues, Parts] = {}
        self._offset: dict[LabelValues, Parts] = {}
        self.rebases = 0

    def lift(self, series: Series) -> Series:
        """Give what to serve for what the source says now."""
        lifted = {key: self._lift(key, parts) for key, parts in series.items()}
        if len(self._last) > self._capacity:
            self._last = {key: self._last[key] for key in series}
            self._offset = {key: self._offset[key] for key in series if key in self._offset}
        return MappingProxyType(lifted)

    def _lift(self, key: LabelValues, parts: Parts) -> Parts:
        last = self._last.get(key)
        if last is not None and any(now < then for now, then in zip(parts, last, strict=True)):
            lost = tuple(max(then - now, 0.0) for now, then in zip(parts, last, strict=True))
            self._offset[key] = _add(self._offset.get(key), lost)
            self.rebases += 1
        self._last[key] = parts
        return _add(self._offset.get(key), parts)


def _add(offset: Parts | None, parts: Parts) -> Parts:
    return parts if offset is None else tuple(map(sum, zip(offset, parts, strict=True)))


class Memory:
    """The state of some packs: fed with refreshes, asked for what may be shown.

    Args:
        packs: The packs that are served.
        patience_s: Numbers stay at least this long in seconds after a good refresh, so that a
            `absent_after_s` shorter than the refresh interval does not blank the page in between.

    """

    def __init__(self, packs: Sequence[Pack], patience_s: float) -> None:
        self._packs = tuple(packs)
        self._patience_s = patience_s
        self._states = {
            (pack.name, query.name): _fresh(pack, query) for pack in packs for query in pack.queries
        }
        self._series: dict[str, Series] = {}
        self._guards = {
            metric.name: HeightGuard(2 * metric.max_series)
            for pack in packs
            for metric in pack.metrics
            if metric.kind in _COUNTING and isinstance(metric.source, FromQuery)
        }
        self.last: Refresh | None = None
        self.good_at = 0.0

    @property
    def rebases(self) -> int:
        """How often a counter's source fell and the guard held it."""
        return sum(guard.rebases for guard in self._guards.values())

    def take(self, refresh: Refresh, steady: float) -> None:
        """Remember a refresh that ended at the instant `steady` of the steady clock."""
        began = steady - refresh.duration_s
        for run in refresh.runs:
            self._take_run(run, refresh.at, began)
        if any(run.failure is None for run in refresh.runs):
            self.good_at = refresh.at
        self.last = refresh

    def _take_run(self, run: QueryRun, at: float, steady: float) -> None:
        before = self._states[run.pack, run.query]
        errors = Counter(before.errors)
        if run.failure is not None:
            errors[run.failure.reason] += 1
        else:
            for name, series in run.series.items():
                guard = self._guards.get(name)
                self._series[name] = guard.lift(series) if guard else series
        good = run.failure is None
        self._states[run.pack, run.query] = QueryState(
            pack=run.pack,
            query=run.query,
            failure=run.failure,
            duration_s=run.duration_s,
            rows=run.rows if good else before.rows,
            good_at=at if good else before.good_at,
            good_steady=steady if good else before.good_steady,
            errors=MappingProxyType(dict(errors)),
        )

    def states(self) -> Sequence[QueryState]:
        """How every query is doing."""
        return tuple(self._states.values())

    def visible(self, steady: float) -> Iterator[tuple[PackMetric, Series]]:
        """Give each metric that may be shown at an instant, with its series.

        While its query fails, a metric's last good numbers are shown until they are
        `absent_after_s` old, and then nothing is; the same where no refresh ends any more.
        """
        for pack in self._packs:
            by_name = {metric.name: metric for metric in pack.metrics}
            for metric in pack.metrics:
                base = _base(metric, by_name)
                if base.name in self._series and steady < self._gone_at(pack, metric, base):
                    series = self._series[base.name]
                    yield metric, series if metric is base else sum_series(metric, base, series)

    def next_change(self, steady: float) -> float:
        """Tell when, on the steady clock, the next shown metric goes absent; infinity if none."""
        moments = [
            self._gone_at(pack, metric, _base(metric, {m.name: m for m in pack.metrics}))
            for pack in self._packs
            for metric in pack.metrics
        ]
        return min((moment for moment in moments if moment > steady), default=math.inf)

    def _gone_at(self, pack: Pack, metric: PackMetric, base: PackMetric) -> float:
        if not isinstance(base.source, FromQuery):
            raise TypeError(f"{base.name} is not fed by a query")
        state = self._states[pack.name, base.source.query]
        if state.failure is not None:
            return state.good_steady + metric.absent_after_s
        return state.good_steady + max(metric.absent_after_s, self._patience_s)


def _base(metric: PackMetric, by_name: Mapping[str, PackMetric]) -> PackMetric:
    return by_name[metric.source.metric] if isinstance(metric.source, FromMetric) else metric


def _fresh(pack: Pack, query: Query) -> QueryState:
    return QueryState(
        pack=pack.name,
        query=query.name,
        failure=None,
        duration_s=0.0,
        rows=0,
        good_at=0.0,
        good_steady=-math.inf,
        errors=MappingProxyType({}),
    )
