"""Writes families of samples in Prometheus's text format and in OpenMetrics, both in one go.

The client library validates every name again at every refresh, which took ten times as long as this
for names that the packs' schema has checked once. Tests hold what is written here to the
library's strict parsers.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from exporter.series import Example
from outbound_slo.vocabulary.metrics import MetricKind

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""A sample's labels, each with its value."""

Line: TypeAlias = tuple[str, str]
"""A sample as it is in both formats, and its exemplar, empty if there is none."""

# What OpenMetrics leaves out of a family's name.
_SUFFIXES = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


@dataclass(slots=True)
class Family:
    """The samples of one metric.

    Attributes:
        name: The metric's name, with the suffix of its kind.
        kind: Its type.
        help: One line.
        unit: Its unit; empty for none.
        lines: The samples.

    """

    name: str
    kind: MetricKind
    help: str
    unit: str = ""
    lines: list[Line] = field(default_factory=list)

    def add(
        self,
        labels: Pairs,
        value: float,
        example: Example | None = None,
        suffix: str = "",
    ) -> None:
        """Add a sample; `suffix` is what a histogram adds to its name."""
        written = _write_labels(labels) if labels else ""
        line = f"{self.name}{suffix}{written} {write_number(value)}\n"
        self.lines.append((line, _write_example(example) if example else ""))


def write_number(value: float) -> str:
    """Write a number as both formats want it."""
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


# A page has nearly the same labels as the last one; writing them was most of making it.
@lru_cache(maxsize=1 << 16)
def _write_labels(labels: Pairs) -> str:
    pairs = [f'{name}="{text.translate(_ESCAPES)}"' for name, text in labels]
    return "{" + ",".join(pairs) + "}"


def _write_example(example: Example) -> str:
    at = "" if example.at is None else f" {example.at:.3f}"
    labels = _write_labels(tuple(example.labels.items()))
    return f" # {labels} {write_number(example.value)}{at}\n"


def write_text(families: Iterable[Family]) -> bytes:
    """Write a page in the text format, which knows neither units, exemplars nor infos."""
    parts: list[str] = []
    for family in families:
        kind = MetricKind.GAUGE if family.kind is MetricKind.INFO else family.kind
        parts.append(f"# HELP {family.name} {family.help.translate(_HELP_ESCAPES)}\n")
        parts.append(f"# TYPE {family.name} {kind}\n")
        parts += [line for line, _ in family.lines]
    return "".join(parts).encode()


def write_openmetrics(families: Iterable[Family]) -> bytes:
    """Write a page in OpenMetrics' format."""
    parts: list[str] = []
    for family in families:
        name = family.name.removesuffix(_SUFFIXES.get(family.kind, ""))
        parts.append(f"# HELP {name} {family.help.translate(_ESCAPES)}\n")
        parts.append(f"# TYPE {name} {family.kind}\n")
        if family.unit:
            parts.append(f"# UNIT {name} {family.unit}\n")
        parts += [line[:-1] + example if example else line for line, example in family.lines]
    parts.append("# EOF\n")
    return "".join(parts).encode()
