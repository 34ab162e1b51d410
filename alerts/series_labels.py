"""Which labels the series of an expression have, as far as the vocabulary knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from alerts.promql import Aggregation, Binary, Call, Literal, Node, Selector
from outbound_slo.vocabulary.metrics import METRICS, Metric, MetricKind, Origin

SCRAPED: Final = frozenset({"job", "instance", "database"})
"""Labels that a scraped series may have besides its own: Prometheus's, and the exporter's."""

_PARTS: Final = ("_bucket", "_count", "_sum")
_WITHOUT_LABELS: Final = frozenset({"vector", "time", "scalar", "pi"})


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of a series.

    Attributes:
        names: Those that it has.
        may_have: Those that it may have besides.
        is_known: False where nothing is known, and it may have any.

    """

    names: frozenset[str]
    may_have: frozenset[str] = frozenset()
    is_known: bool = True

    @property
    def possible(self) -> frozenset[str]:
        """All that it may have."""
        return self.names | self.may_have

    @property
    def are_certain(self) -> bool:
        """Whether it has its names and nothing else."""
        return self.is_known and not self.may_have


UNKNOWN: Final = Labels(frozenset(), is_known=False)
_NONE: Final = Labels(frozenset())


def find_metric(name: str, extra: Mapping[str, Metric] | None = None) -> Metric | None:
    """Find the metric that has a series of this name; a histogram has its parts only."""
    metrics = METRICS if extra is None else {**METRICS, **extra}
    found = metrics.get(name)
    if found is not None:
        return found if found.kind is not MetricKind.HISTOGRAM else None
    for part in _PARTS:
        base = metrics.get(name.removesuffix(part))
        if name.endswith(part) and base is not None and base.kind is MetricKind.HISTOGRAM:
            return base
    return None


def labels_of(node: Node, extra: Mapping[str, Metric] | None = None) -> Labels:
    """Infer the labels of what an expression gives."""
    match node:
        case Literal():
            return _NONE
        case Selector(metric=name):
            return _labels_of_metric(name, find_metric(name, extra))
        case Aggregation():
            return _aggregated(node, labels_of(node.arguments[-1], extra))
        case Call():
            return _returned(node, extra)
        case Binary():
            return _joined(node, labels_of(node.left, extra), labels_of(node.right, extra))


def is_scalar(node: Node) -> bool:
    """Tell whether an expression is a number rather than series."""
    match node:
        case Literal():
            return True
        case Call(function=function):
            return function in {"scalar", "time", "pi"}
        case Binary(left=left, right=right):
            return is_scalar(left) and is_scalar(right)
        case _:
            return False


def _labels_of_metric(name: str, metric: Metric | None) -> Labels:
    if metric is None:
        return UNKNOWN
    names = frozenset(metric.labels) | (frozenset({"le"}) if name.endswith("_bucket") else set())
    if metric.origin is Origin.RECORDING:
        return Labels(names)
    if metric.origin is Origin.MONITORING:
        return Labels(names, is_known=False)
    return Labels(names, SCRAPED - names)


def _aggregated(node: Aggregation, below: Labels) -> Labels:
    if node.operator in {"topk", "bottomk"}:
        return below
    if node.mode == "without":
        left_out = frozenset(node.labels)
        return Labels(below.names - left_out, below.may_have - left_out, below.is_known)
    if node.operator == "count_values":
        return UNKNOWN
    return Labels(frozenset(node.labels))


def _returned(node: Call, extra: Mapping[str, Metric] | None) -> Labels:
    if node.function in _WITHOUT_LABELS:
        return _NONE
    if node.function in {"absent", "absent_over_time"}:
        selected = node.arguments[0]
        matchers = selected.matchers if isinstance(selected, Selector) else ()
        return Labels(frozenset(label for label, operator, _ in matchers if operator == "="))
    if node.function in {"label_replace", "label_join"}:
        changed = labels_of(node.arguments[0], extra)
        made = node.arguments[1]
        name = made.text[1:-1] if isinstance(made, Literal) else ""
        return Labels(changed.names | {name}, changed.may_have, changed.is_known)
    if not node.arguments:
        return _NONE
    # Of these the first argument is a number.
    series = node.arguments[-1 if "quantile" in node.function else 0]
    given = labels_of(series, extra)
    if node.function == "histogram_quantile":
        return Labels(given.names - {"le"}, given.may_have, given.is_known)
    return given


def _joined(node: Binary, left: Labels, right: Labels) -> Labels:
    if is_scalar(node.left):
        return right
    if is_scalar(node.right) or node.operator in {"and", "unless"}:
        return left
    if node.operator == "or":
        both = left.names & right.names
        return Labels(
            both, (left.possible | right.possible) - both, left.is_known and right.is_known
        )
    return _matched(node, right if node.group == "group_right" else left)


def _matched(node: Binary, side: Labels) -> Labels:
    """Give what is left of the labels of the side that may have many series."""
    if node.group:
        return Labels(side.names | set(node.included), side.may_have, side.is_known)
    if node.mode == "on":
        return Labels(frozenset(node.labels))
    ignored = frozenset(node.labels)
    return Labels(side.names - ignored, side.may_have - ignored, side.is_known)
