"""The pages that the exporter, the sender and Prometheus would show, written onto a tape."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from alerts.replay.tape import Labels, Series, Tape, sort_labels
from outbound_slo.vocabulary.alerts import EXPORTER_JOB, SENDER_JOB
from outbound_slo.vocabulary.metrics import Metric, Origin

_TARGETS: Final[Mapping[Origin, Mapping[str, str]]] = {
    Origin.EXPORTER: {"job": EXPORTER_JOB, "instance": "exporter:9109"},
    Origin.SENDER: {"job": SENDER_JOB, "instance": "sender:8080"},
    Origin.MONITORING: {},
    Origin.RECORDING: {},
}

Key = tuple[str, Labels]


# A week has millions of samples and hundreds of keys.
@cache
def _key(name: str, origin: Origin, labels: tuple[tuple[str, str], ...]) -> Key:
    return name, sort_labels(dict(_TARGETS[origin]) | dict(labels))


@cache
def _bucket_keys(
    name: str, origin: Origin, edges: tuple[float, ...], channel: str
) -> tuple[Key, ...]:
    return tuple(
        _key(f"{name}_bucket", origin, (("channel", channel), ("le", edge)))
        for edge in (*map(str, edges), "+Inf")
    )


class Page:
    """What one target shows at one scrape."""

    def __init__(self) -> None:
        self.values: dict[Key, float] = {}

    def put(self, metric: Metric, value: float, suffix: str = "", /, **labels: str) -> None:
        """Show a value.

        Args:
            metric: Whose.
            value: The value.
            suffix: What comes after the metric's name, such as `_bucket`.
            labels: Its labels, less those of the scrape.

        """
        self.values[_key(metric.name + suffix, metric.origin, tuple(labels.items()))] = value

    def put_histogram(
        self,
        metric: Metric,
        edges: tuple[float, ...],
        counts: list[int],
        total: float,
        channel: str,
    ) -> None:
        """Show a histogram with its cumulative buckets."""
        keys = _bucket_keys(metric.name, metric.origin, edges, channel)
        below = 0
        for key, count in zip(keys, counts, strict=True):
            below += count
            self.values[key] = float(below)
        self.put(metric, float(below), "_count", channel=channel)
        self.put(metric, total, "_sum", channel=channel)


class Recorder:
    """Collects pages, one instant after the other.

    Args:
        start_s: The first instant in Unix seconds.
        step_s: Seconds between instants.

    """

    def __init__(self, start_s: int, step_s: int) -> None:
        self._start_s = start_s
        self._step_s = step_s
        self._steps = 0
        self._values: dict[Key, list[float | None]] = {}

    def scrape(self, *pages: Page) -> None:
        """Take one instant's pages; what is on none of them is absent at it."""
        for page in pages:
            for key, value in page.values.items():
                values = self._values.setdefault(key, [])
                values.extend([None] * (self._steps - len(values)))
                values.append(value)
        self._steps += 1

    def finish(self) -> Tape:
        """Give the tape."""
        series = tuple(
            Series(name, labels, values + [None] * (self._steps - len(values)))
            for (name, labels), values in self._values.items()
        )
        return Tape(self._start_s, self._step_s, self._steps, series)
