"""The page that Prometheus reads: the packs' metrics and the exporter's own, in both formats."""

import gzip
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

from exporter.exposition import Family, Line, Pairs, write_number, write_openmetrics, write_text
from exporter.memory import Memory, Shown
from exporter.own_metrics import ConfigState, describe_exporter
from outbound_slo.vocabulary.metrics import MetricKind

# Higher levels take several times as long for a page that is a tenth smaller.
_GZIP_LEVEL = 1


class Body:
    """A page in one format, as it is and, for who asks first, compressed."""

    def __init__(self, plain: bytes) -> None:
        """Take the page as it is."""
        self.plain = plain

    @cached_property
    def gzipped(self) -> bytes:
        """The page, compressed."""
        # Without a time in its head the same page gives the same bytes.
        return gzip.compress(self.plain, _GZIP_LEVEL, mtime=0)


@dataclass(frozen=True, slots=True)
class Passage:
    """The lines of one metric of one target, and what they were written of."""

    shown: Shown
    labels: Mapping[str, str]
    lines: Sequence[Line]

    def tells(self, shown: Shown, labels: Mapping[str, str]) -> bool:
        """Tell whether the same would be written again."""
        known = self.shown
        return (
            known.metric is shown.metric
            and known.series is shown.series
            and known.exemplars is shown.exemplars
            and self.labels is labels
        )


Passages: TypeAlias = Mapping[tuple[str, int], Passage]
"""By metric and position of its target."""

_NO_PASSAGES: Passages = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page.

    Attributes:
        text: In Prometheus's text format.
        openmetrics: In OpenMetrics' format, with exemplars.
        good_until: When a metric on it goes absent, on the steady clock; infinity if never.
        passages: What the next page may take over.

    """

    text: Body
    openmetrics: Body
    good_until: float
    passages: Passages


def render(
    memories: Sequence[Memory],
    config: ConfigState,
    steady: float,
    known: Passages = _NO_PASSAGES,
) -> Page:
    """Write the page for an instant of the steady clock.

    Args:
        memories: Of all targets.
        config: How the last reading of the packs went.
        steady: The instant.
        known: The passages of the page before; those that would be the same are taken over.

    """
    passages: dict[tuple[str, int], Passage] = {}
    families = [
        *_pack_families(memories, steady, known, passages),
        *_own_families(memories, config),
    ]
    return Page(
        text=Body(write_text(families)),
        openmetrics=Body(write_openmetrics(families)),
        good_until=min((memory.next_change(steady) for memory in memories), default=math.inf),
        passages=passages,
    )


def _pack_families(
    memories: Sequence[Memory],
    steady: float,
    known: Passages,
    written: dict[tuple[str, int], Passage],
) -> Iterable[Family]:
    """Make one family per name: what several databases give stands together."""
    families: dict[str, Family] = {}
    for position, memory in enumerate(memories):
        for shown in memory.visible(steady):
            metric = shown.metric
            family = families.get(metric.name)
            if family is None:
                family = Family(metric.name, metric.kind, metric.help, metric.unit)
                families[metric.name] = family
            place = (metric.name, position)
            passage = known.get(place)
            if passage is None or not passage.tells(shown, memory.labels):
                passage = Passage(shown, memory.labels, _write_lines(shown, memory.labels))
            written[place] = passage
            family.lines += passage.lines
    return families.values()


def _write_lines(shown: Shown, target_labels: Mapping[str, str]) -> Sequence[Line]:
    metric = shown.metric
    family = Family(metric.name, metric.kind, metric.help, metric.unit)
    add = _add_histograms if metric.kind is MetricKind.HISTOGRAM else _add_values
    add(family, shown, tuple(target_labels.items()))
    return family.lines


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
