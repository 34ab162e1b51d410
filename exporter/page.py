"""The page that Prometheus reads: the packs' metrics and the exporter's own, in both formats."""

import gzip
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.exposition import Family, Pairs, write_number, write_openmetrics, write_text
from exporter.memory import Memory, Shown
from exporter.own_metrics import ConfigState, describe_exporter
from outbound_slo.vocabulary.metrics import MetricKind

# Higher levels take several times as long for a page that is a tenth smaller.
_GZIP_LEVEL = 1


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
    return Page(
        text=_compress(write_text(families)),
        openmetrics=_compress(write_openmetrics(families)),
        good_until=min((memory.next_change(steady) for memory in memories), default=math.inf),
    )


def _compress(plain: bytes) -> Body:
    # Without a time in its head the same page gives the same bytes.
    return Body(plain, gzip.compress(plain, _GZIP_LEVEL, mtime=0))


def _pack_families(memories: Sequence[Memory], steady: float) -> Iterable[Family]:
    """Make one family per name: what several databases give stands together."""
    families: dict[str, Family] = {}
    for memory in memories:
        for shown in memory.visible(steady):
            metric = shown.metric
            family = families.get(metric.name)
            if family is None:
                family = Family(metric.name, metric.kind, metric.help, metric.unit)
                families[metric.name] = family
            if metric.kind is MetricKind.HISTOGRAM:
                _add_histograms(family, shown, tuple(memory.labels.items()))
            else:
                _add_values(family, shown, tuple(memory.labels.items()))
    return families.values()


def _add_values(family: Family, shown: Shown, target_labels: Pairs) -> None:
    names = shown.metric.labels
    for values, parts in shown.series.items():
        labels = (*target_labels, *zip(names, values, strict=True))
        family.add(labels, parts[0], shown.exemplars.get((values, 0)))


def _add_histograms(family: Family, shown: Shown, target_labels: Pairs) -> None:
    edges = [write_number(edge) for edge in (*shown.metric.buckets, math.inf)]
    for values, parts in shown.series.items():
        labels = (*target_labels, *zip(shown.metric.labels, values, strict=True))
        running = 0.0
        for bucket, edge in enumerate(edges):
            running += parts[bucket]
            example = shown.exemplars.get((values, bucket))
            family.add((*labels, ("le", edge)), running, example, "_bucket")
        family.add(labels, running, suffix="_count")
        family.add(labels, parts[-1], suffix="_sum")


def _own_families(memories: Sequence[Memory], config: ConfigState) -> Iterable[Family]:
    for metric, samples in describe_exporter(memories, config):
        family = Family(metric.name, metric.kind, metric.help)
        for labels, value in samples:
            family.add(tuple(labels.items()), value)
        yield family
