"""The page that Prometheus reads: the packs' metrics and the exporter's own, in both formats."""

import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import Exemplar
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest as write_text
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.registry import Collector as FamilySource
from prometheus_client.registry import CollectorRegistry

from exporter.memory import Memory, Shown
from exporter.own_metrics import ConfigState, describe_exporter
from exporter.pack import LabelValues, PackMetric, Parts
from exporter.series import Example
from outbound_slo.vocabulary import metrics as vocabulary
from outbound_slo.vocabulary.metrics import MetricKind

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# Higher levels take several times as long for a page that is a tenth smaller.
_GZIP_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Body:
    """A page in one format, as it is and compressed."""

    plain: bytes
    gzipped: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page.

    Attributes:
        text: In Prometheus's text format.
        openmetrics: In OpenMetrics' format, with exemplars.
        good_until: When a metric on it goes absent, on the steady clock; infinity if never.

    """

    text: Body
    openmetrics: Body
    good_until: float


def render(memories: Sequence[Memory], config: ConfigState, steady: float) -> Page:
    """Write the page for an instant of the steady clock."""
    families = [*_pack_families(memories, steady), *_own_families(memories, config)]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return Page(
        text=_compress(write_text(registry)),
        openmetrics=_compress(_write_openmetrics(registry)),
        good_until=min((memory.next_change(steady) for memory in memories), default=math.inf),
    )


def _compress(plain: bytes) -> Body:
    # Without a time in its head the same page gives the same bytes.
    return Body(plain, gzip.compress(plain, _GZIP_LEVEL, mtime=0))


def _write_openmetrics(registry: CollectorRegistry) -> bytes:
    # The library's function has no annotations of its own.
    written: bytes = write_openmetrics(registry)  # type: ignore[no-untyped-call]  # the library has no types here
    return written


class _Given(FamilySource):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Family]:
        return iter(self._families)


def _pack_families(memories: Sequence[Memory], steady: float) -> Iterable[Family]:
    """Make one family per name: what several databases give stands together."""
    families: dict[str, Family] = {}
    for memory in memories:
        for shown in memory.visible(steady):
            metric = shown.metric
            family = families.get(metric.name)
            if family is None:
                name = _base_name(metric.name, metric.kind)
                family = Family(name, metric.help, metric.kind.value, metric.unit)
                families[metric.name] = family
            for values, parts in sorted(shown.series.items()):
                _add_samples(family, shown, memory.labels, values, parts)
    return families.values()


def _base_name(name: str, kind: MetricKind) -> str:
    """Name the family as OpenMetrics does: a counter's lacks `_total`, an info's `_info`."""
    suffix = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}.get(kind, "")
    return name.removesuffix(suffix)


def _add_samples(
    family: Family,
    shown: Shown,
    target_labels: Mapping[str, str],
    values: LabelValues,
    parts: Parts,
) -> None:
    metric: PackMetric = shown.metric
    labels = {**target_labels, **dict(zip(metric.labels, values, strict=True))}
    if metric.kind is not MetricKind.HISTOGRAM:
        exemplar = _exemplar(shown.exemplars.get((values, 0)))
        family.add_sample(metric.name, labels, parts[0], exemplar=exemplar)
        return
    running = 0.0
    for bucket, edge in enumerate((*metric.buckets, math.inf)):
        running += parts[bucket]
        le = "+Inf" if math.isinf(edge) else repr(float(edge))
        exemplar = _exemplar(shown.exemplars.get((values, bucket)))
        family.add_sample(f"{metric.name}_bucket", {**labels, "le": le}, running, exemplar=exemplar)
    family.add_sample(f"{metric.name}_count", labels, running)
    family.add_sample(f"{metric.name}_sum", labels, parts[-1])


def _exemplar(example: Example | None) -> Exemplar | None:
    return Exemplar(dict(example.labels), example.value, example.at) if example else None


def _own_families(memories: Sequence[Memory], config: ConfigState) -> Iterator[Family]:
    for metric, samples in describe_exporter(memories, config):
        yield _own(metric, samples)


def _own(metric: vocabulary.Metric, samples: Iterable[tuple[Mapping[str, str], float]]) -> Family:
    family = Family(_base_name(metric.name, metric.kind), metric.help, metric.kind.value)
    for labels, value in samples:
        family.add_sample(metric.name, dict(labels), value)
    return family
