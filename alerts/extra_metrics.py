"""Metrics and lines of a user's own, so that the lint knows them beside the vocabulary's."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from alerts.rule_files import read_mapping
from outbound_slo.vocabulary.metrics import Metric, MetricKind, Origin
from outbound_slo.vocabulary.mistakes import UserMistake

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_KEYS: Final = frozenset({"kind", "labels"})


def read_extra_metrics(path: Path) -> Mapping[str, Metric]:
    """Read metrics by name: under `metrics`, each name with its `kind` and, if any, its `labels`.

    Raises:
        UserMistake: It can't be read, or an entry is not of this form; names the metric.

    """
    document = read_mapping(path)
    entries = document.get("metrics", {} if "lines" in document else None)
    if not isinstance(entries, dict):
        raise UserMistake(
            f"{path}: 'metrics' is no mapping", "Write 'metrics:' with 'name: {kind: gauge}' below"
        )
    return {str(name): _read_metric(path, str(name), entry) for name, entry in entries.items()}


def read_extra_lines(path: Path) -> frozenset[float]:
    """Read the numbers under `lines`, which alerts may compare with; none where the key is absent.

    Raises:
        UserMistake: It can't be read, or `lines` is no list of numbers.

    """
    lines = read_mapping(path).get("lines", [])
    if not isinstance(lines, list) or not all(type(line) in {int, float} for line in lines):
        raise UserMistake(f"{path}: 'lines' is no list of numbers", "Write 'lines: [0.1, 500]'")
    return frozenset(float(line) for line in lines)


def _read_metric(path: Path, name: str, entry: object) -> Metric:
    kinds = ", ".join(MetricKind)
    if not _NAME.fullmatch(name):
        raise UserMistake(f"{path}: {name!r} is no name of a metric", "Write it as Prometheus does")
    if not isinstance(entry, dict) or not entry.keys() <= _KEYS:
        raise UserMistake(f"{path}: {name} needs 'kind' and may have 'labels'", f"Kinds: {kinds}")
    if entry.get("kind") not in list(MetricKind):
        raise UserMistake(f"{path}: {name} is of no known kind", f"Kinds: {kinds}")
    labels = entry.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise UserMistake(f"{path}: the labels of {name} are no list of names", "Write [a, b]")
    kind = MetricKind(entry["kind"])
    return Metric(name, kind, "", tuple(labels), Origin.EXPORTER, str(path))
