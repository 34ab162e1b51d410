"""Series on a grid of instants, as a replay takes them, and their text in OpenMetrics."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
"""Labels sorted by name, without `__name__`: usable as a key."""

Values = Sequence[float | None]
"""One value per instant; None where the series is absent, as after a failed scrape."""


def sort_labels(labels: Mapping[str, str]) -> Labels:
    """Make a key of labels, without the metric's name and without empty values."""
    return tuple(
        sorted((name, value) for name, value in labels.items() if name != "__name__" and value)
    )


@dataclass(frozen=True, slots=True)
class Series:
    """One series.

    Attributes:
        name: The metric's name on the page: a histogram's buckets have their suffix.
        labels: Its labels.
        values: One per instant of the tape.

    """

    name: str
    labels: Labels
    values: Values


@dataclass(frozen=True, slots=True)
class Tape:
    """Series that share their instants.

    Attributes:
        start_s: The first instant in Unix seconds, a multiple of the step.
        step_s: Seconds from one instant to the next: scrapes and evaluations alike.
        steps: How many instants there are.
        series: The series, each with as many values.

    Raises:
        ValueError: The start is off the grid, or a series has another number of values.

    """

    start_s: int
    step_s: int
    steps: int
    series: tuple[Series, ...]

    def __post_init__(self) -> None:
        if self.start_s % self.step_s:
            raise ValueError(f"{self.start_s} s is no multiple of {self.step_s} s")
        odd = [each.name for each in self.series if len(each.values) != self.steps]
        if odd:
            raise ValueError(f"{odd[0]} has not {self.steps} values")

    @property
    def end_s(self) -> int:
        """The last instant in Unix seconds."""
        return self.start_s + (self.steps - 1) * self.step_s

    def instant(self, index: int) -> int:
        """Unix seconds of an instant by its number."""
        return self.start_s + index * self.step_s

    def names(self) -> frozenset[str]:
        """Names of the metrics on the tape."""
        return frozenset(each.name for each in self.series)


def write_samples(tape: Tape, series: Sequence[Series]) -> Iterator[str]:
    """Write series with the tape's instants as lines of OpenMetrics, without the last `# EOF`."""
    instants = [tape.instant(index) for index in range(tape.steps)]
    for each in series:
        head = each.name + _write_labels(each.labels)
        yield from (
            f"{head} {write_number(value)} {at}\n"
            for at, value in zip(instants, each.values, strict=True)
            if value is not None
        )


def write_number(value: float) -> str:
    """Write a number so that it is read back as the same."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _write_labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{escape_label(value)}"' for name, value in labels) + "}"


def escape_label(value: str) -> str:
    """Escape a label's value for the text formats."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
