"""Metrics in the JSON of Spring's actuator, whose dotted names the runbooks use. Pure."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

_STATISTICS = {"_count": "COUNT", "_sum": "TOTAL", "_total": "COUNT"}
_SILENT_SUFFIXES = ("_bucket", "_created")


class _Spring(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )


class MetricNames(_Spring):
    """All metrics of this process."""

    names: list[str]


class Measurement(_Spring):
    """One number of a metric: VALUE of a gauge, COUNT, TOTAL of what was timed."""

    statistic: str
    value: float


class AvailableTag(_Spring):
    """A tag that the metric can still be narrowed by, with its values."""

    tag: str
    values: list[str]


class MetricReading(_Spring):
    """A metric, summed over the tags that were not asked for."""

    name: str
    description: str
    base_unit: str | None
    measurements: list[Measurement]
    available_tags: list[AvailableTag]


def list_names(registry: CollectorRegistry) -> MetricNames:
    """List the metrics, by their dotted names."""
    return MetricNames(names=sorted(_dot(family.name) for family in registry.collect()))


def read_metric(
    registry: CollectorRegistry, name: str, tags: Sequence[tuple[str, str]]
) -> MetricReading | None:
    """Read a metric as `resilience4j.circuitbreaker.state` or by its Prometheus name.

    Args:
        registry: Where it is.
        name: Dots or underscores; a counter's with or without `_total`.
        tags: Narrow it down to the series with these values.

    Returns:
        None where there is no such metric, or no series with these tags.

    """
    wanted = name.replace(".", "_").removesuffix("_total")
    family = next((one for one in registry.collect() if one.name == wanted), None)
    if family is None:
        return None
    samples = [
        sample
        for sample in family.samples
        if not sample.name.endswith(_SILENT_SUFFIXES)
        and all(sample.labels.get(tag) == value for tag, value in tags)
    ]
    if not samples:
        return None
    sums: dict[str, float] = {}
    for sample in samples:
        statistic = _name_statistic(sample.name, family)
        sums[statistic] = sums.get(statistic, 0.0) + sample.value
    asked = {tag for tag, _ in tags}
    return MetricReading(
        name=name,
        description=family.documentation,
        base_unit="seconds" if family.name.endswith("_seconds") else None,
        measurements=[Measurement(statistic=key, value=value) for key, value in sums.items()],
        available_tags=_list_tags((sample.labels for sample in samples), asked),
    )


def _name_statistic(sample: str, family: Metric) -> str:
    return _STATISTICS.get(sample.removeprefix(family.name), "VALUE")


def _list_tags(labels: Iterable[dict[str, str]], asked: set[str]) -> list[AvailableTag]:
    values: dict[str, set[str]] = {}
    for one in labels:
        for tag, value in one.items():
            if tag not in asked:
                values.setdefault(tag, set()).add(value)
    return [AvailableTag(tag=tag, values=sorted(found)) for tag, found in sorted(values.items())]


def _dot(name: str) -> str:
    return name.replace("_", ".")
