"""The page that Prometheus reads: the packs' metrics and the exporter's own, in both formats."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest as write_text
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.registry import Collector as FamilySource
from prometheus_client.registry import CollectorRegistry

from exporter.failures import Reason
from exporter.memory import Memory
from exporter.pack import LabelValues, PackMetric, Parts, Series
from outbound_slo.vocabulary import metrics as vocabulary
from outbound_slo.vocabulary.metrics import MetricKind

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_VERSION = version("outbound-slo")


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page.

    Attributes:
        text: In Prometheus's text format.
        openmetrics: In OpenMetrics' format.
        good_until: When a metric on it goes absent, on the steady clock; infinity if never.

    """

    text: bytes
    openmetrics: bytes
    good_until: float


def render(memory: Memory, steady: float) -> Page:
    """Write the page for an instant of the steady clock."""
    families = [*_pack_families(memory, steady), *_own_families(memory)]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return Page(
        text=write_text(registry),
        openmetrics=_write_openmetrics(registry),
        good_until=memory.next_change(steady),
    )


def _write_openmetrics(registry: CollectorRegistry) -> bytes:
    # The library's function has no annotations of its own.
    written: bytes = write_openmetrics(registry)  # type: ignore[no-untyped-call]  # the library has no types here
    return written


class _Given(FamilySource):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Family]:
        return iter(self._families)


def _pack_families(memory: Memory, steady: float) -> Iterator[Family]:
    for metric, series in memory.visible(steady):
        yield _family(metric, series)


def _family(metric: PackMetric, series: Series) -> Family:
    family = Family(_base_name(metric.name, metric.kind), metric.help, metric.kind.value)
    for values, parts in sorted(series.items()):
        _add_samples(family, metric, values, parts)
    return family


def _base_name(name: str, kind: MetricKind) -> str:
    """Name the family as OpenMetrics does: a counter's lacks `_total`, an info's `_info`."""
    suffix = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}.get(kind, "")
    return name.removesuffix(suffix)


def _add_samples(family: Family, metric: PackMetric, values: LabelValues, parts: Parts) -> None:
    labels = dict(zip(metric.labels, values, strict=True))
    if metric.kind is not MetricKind.HISTOGRAM:
        family.add_sample(metric.name, labels, parts[0])
        return
    running = 0.0
    for edge, events in zip((*metric.buckets, math.inf), parts[:-1], strict=True):
        running += events
        le = "+Inf" if math.isinf(edge) else repr(float(edge))
        family.add_sample(f"{metric.name}_bucket", {**labels, "le": le}, running)
    family.add_sample(f"{metric.name}_count", labels, running)
    family.add_sample(f"{metric.name}_sum", labels, parts[-1])


def _own_families(memory: Memory) -> Iterator[Family]:
    last = memory.last
    yield _own(vocabulary.EXPORTER_INFO, {(_VERSION,): 1.0})
    yield _own(vocabulary.EXPORTER_UP, {(): float(last is not None and last.reached)})
    yield _own(vocabulary.EXPORTER_SNAPSHOT_AGE, {(): memory.good_at})
    yield _own(vocabulary.EXPORTER_REFRESH_DURATION, {(): last.duration_s if last else 0.0})
    yield _own(vocabulary.COUNTER_REBASES, {(): float(memory.rebases)})
    states = memory.states()
    keys = [(state.pack, state.query) for state in states]
    for metric, numbers in (
        (vocabulary.QUERY_SUCCESS, [float(s.good_at > 0 and s.failure is None) for s in states]),
        (vocabulary.QUERY_DURATION, [state.duration_s for state in states]),
        (vocabulary.QUERY_ROWS, [float(state.rows) for state in states]),
        (vocabulary.QUERY_LAST_SUCCESS, [state.good_at for state in states]),
    ):
        yield _own(metric, dict(zip(keys, numbers, strict=True)))
    # Every reason from the start: a first error that has no series yet is lost to increase().
    errors: dict[LabelValues, float] = {
        (state.pack, state.query, reason.value): float(state.errors.get(reason, 0))
        for state in states
        for reason in Reason
    }
    yield _own(vocabulary.QUERY_ERRORS, errors)


def _own(metric: vocabulary.Metric, values: dict[LabelValues, float]) -> Family:
    family = Family(_base_name(metric.name, metric.kind), metric.help, metric.kind.value)
    for labels, value in values.items():
        family.add_sample(metric.name, dict(zip(metric.labels, labels, strict=True)), value)
    return family
