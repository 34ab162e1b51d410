"""The metrics of a pack's document: where their numbers come from and what keys go together."""

import itertools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from exporter.catalogues import LABEL_MAPS
from exporter.complaint import Complaint, show
from exporter.pack import (
    Exemplars,
    FromMetric,
    FromQuery,
    LabelMap,
    LabelValues,
    PackMetric,
    Query,
    WhenFull,
    WhenNull,
    WhenStale,
)
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.metrics import MetricKind

_ABSENT_AFTER_S = 60.0
_MAX_SERIES = 1000

_SUFFIXES = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}
_COUNTING = frozenset({MetricKind.COUNTER, MetricKind.HISTOGRAM})
# What a metric made of another one cannot give, since that one did.
_FROM_BASE = (
    "value", "bucket", "total", "buckets", "derive", "zero_fill", "when_null", "when_full",
    "exemplars",
)  # fmt: skip


class MetricBuilder:
    """Makes the metrics of one document, one after the other.

    Args:
        defaults: The document's defaults.
        label_sets: Its label sets, by name.
        queries: Its queries, by name.
        policy: Decides what error catalogues say (D6).
        complaint: Makes mistakes.

    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        label_sets: Mapping[str, LabelValues],
        queries: Mapping[str, Query],
        policy: ErrorPolicy,
        complaint: Complaint,
    ) -> None:
        self._defaults = defaults
        self._label_sets = label_sets
        self._queries = queries
        self._policy = policy
        self._complaint = complaint

    def build(
        self,
        key: str,
        entry: Mapping[str, Any],
        earlier: Mapping[str, PackMetric],
        *,
        compat: bool,
    ) -> PackMetric:
        """Make a metric.

        Args:
            key: Where its entry stands, such as `metrics[3]`.
            entry: Its entry.
            earlier: The metrics before it, by name.
            compat: Whether it is another name of a house metric (D2).

        Raises:
            UserMistake: A name leads nowhere, or keys do not go together.

        """
        kind = MetricKind(entry["type"])
        labels: LabelValues = tuple(entry.get("labels", ()))
        self._check_name(key, entry, kind)
        base: PackMetric | None = None
        source: FromQuery | FromMetric
        if "query" in entry:
            source = self._from_query(key, entry, kind)
        else:
            base = self._base(key, entry, kind, labels, earlier)
            source = FromMetric(base.name, self._selection(f"{key}.where", entry, base))
        derived = self._derived(key, entry, labels)
        return PackMetric(
            name=entry["name"],
            kind=kind,
            help=entry["help"],
            labels=labels,
            source=source,
            derived=derived,
            zero_fill=self._zero_fill(key, entry, labels, derived),
            buckets=base.buckets if base else self._buckets(key, entry, kind),
            max_series=self._chosen("max_series", entry, _MAX_SERIES),
            absent_after_s=self._absent_after_s(entry, base),
            compat=compat,
            unit=entry.get("unit", ""),
            when_stale=self._when_stale(key, entry, kind, base),
            when_null=WhenNull(self._chosen("when_null", entry, WhenNull.ABSENT)),
            when_full=self._when_full(key, entry, kind),
            exemplars=self._exemplars(key, entry, kind),
        )

    def _chosen(self, name: str, entry: Mapping[str, Any], otherwise: Any) -> Any:  # noqa: ANN401 - YAML
        return entry.get(name, self._defaults.get(name, otherwise))

    def _check_name(self, key: str, entry: Mapping[str, Any], kind: MetricKind) -> None:
        name: str = entry["name"]
        suffix = _SUFFIXES.get(kind, "")
        if not name.endswith(suffix):
            raise self._complaint.about(
                f"{key}.name", f"is {name}", f"The name of a {kind} ends in {suffix}"
            )
        unit = entry.get("unit", "")
        if unit and kind is MetricKind.INFO:
            raise self._complaint.about(f"{key}.unit", "means nothing for an info", "Remove it")
        if unit and not name.removesuffix(suffix).endswith(f"_{unit}"):
            raise self._complaint.about(
                f"{key}.unit",
                f"is {unit}, in which the name {name} does not end",
                f"Call it {name.removesuffix(suffix)}_{unit}{suffix}, or remove the unit",
            )

    def _absent_after_s(self, entry: Mapping[str, Any], base: PackMetric | None) -> float:
        given = self._defaults.get("absent_after_s", _ABSENT_AFTER_S)
        seconds: float = entry.get("absent_after_s", base.absent_after_s if base else given)
        return seconds

    def _when_stale(
        self, key: str, entry: Mapping[str, Any], kind: MetricKind, base: PackMetric | None
    ) -> WhenStale:
        if "when_stale" not in entry and base is not None:
            return base.when_stale
        chosen = WhenStale(self._chosen("when_stale", entry, WhenStale.ABSENT))
        if chosen is WhenStale.ZERO and kind is not MetricKind.GAUGE:
            if "when_stale" not in entry:
                return WhenStale.ABSENT
            raise self._complaint.about(
                f"{key}.when_stale", "is zero", f"A {kind} never falls; use absent or hold"
            )
        return chosen

    def _when_full(self, key: str, entry: Mapping[str, Any], kind: MetricKind) -> WhenFull:
        chosen = WhenFull(self._chosen("when_full", entry, WhenFull.FAIL))
        if chosen is WhenFull.DROP and kind is MetricKind.HISTOGRAM:
            if "when_full" not in entry:
                return WhenFull.FAIL
            raise self._complaint.about(
                f"{key}.when_full",
                "is drop, which would leave histograms with some of their buckets",
                "Use fail, or aggregate in the query",
            )
        return chosen

    def _exemplars(self, key: str, entry: Mapping[str, Any], kind: MetricKind) -> Exemplars | None:
        if "exemplars" not in entry:
            return None
        given: Mapping[str, Any] = entry["exemplars"]
        if kind not in _COUNTING:
            raise self._complaint.about(
                f"{key}.exemplars",
                f"stands at a {kind}, and one there makes Prometheus refuse the page",
                "Give exemplars to counters and histograms only",
            )
        if given["query"] not in self._queries:
            raise self._complaint.about(
                f"{key}.exemplars.query",
                f"is {given['query']}, which is not under queries",
                f"Use one of: {', '.join(self._queries)}",
            )
        if kind is MetricKind.HISTOGRAM and "value" not in given:
            raise self._complaint.about(
                f"{key}.exemplars", "lacks value, which decides the bucket", "Add value"
            )
        labels = MappingProxyType(dict(given["labels"]))
        return Exemplars(given["query"], labels, given.get("value"), given.get("at"))

    def _from_query(self, key: str, entry: Mapping[str, Any], kind: MetricKind) -> FromQuery:
        if entry["query"] not in self._queries:
            raise self._complaint.about(
                f"{key}.query",
                f"is {entry['query']}, which is not under queries",
                f"Use one of: {', '.join(self._queries)}",
            )
        needed = {
            MetricKind.HISTOGRAM: ("value", "bucket", "total", "buckets"),
            MetricKind.INFO: (),
        }.get(kind, ("value",))
        for name in ("value", "bucket", "total", "buckets"):
            if name in needed and name not in entry:
                raise self._complaint.about(key, f"is a {kind} and lacks {name}", f"Add {name}")
            if name not in needed and name in entry:
                raise self._complaint.about(
                    f"{key}.{name}", f"means nothing for a {kind}", "Remove it"
                )
        if "where" in entry:
            raise self._complaint.about(
                f"{key}.where", "goes with 'of' only", "Select in the query"
            )
        return FromQuery(
            entry["query"], entry.get("value"), entry.get("bucket"), entry.get("total")
        )

    def _base(
        self,
        key: str,
        entry: Mapping[str, Any],
        kind: MetricKind,
        labels: LabelValues,
        earlier: Mapping[str, PackMetric],
    ) -> PackMetric:
        base = earlier.get(entry["of"])
        if base is None or not isinstance(base.source, FromQuery):
            raise self._complaint.about(
                f"{key}.of",
                f"is {entry['of']}, which is no metric above it with a query",
                "Name a metric that has a query and stands before this one",
            )
        for name in _FROM_BASE:
            if name in entry:
                raise self._complaint.about(f"{key}.{name}", f"comes from {base.name}", "Remove it")
        if base.kind is not kind:
            raise self._complaint.about(
                f"{key}.type", f"is {kind} but {base.name} is a {base.kind}", f"Make it {base.kind}"
            )
        for label in labels:
            if label not in base.labels:
                raise self._complaint.about(
                    f"{key}.labels",
                    f"has {label}, which {base.name} lacks",
                    f"Use some of: {', '.join(base.labels)}",
                )
        return base

    def _selection(
        self, key: str, entry: Mapping[str, Any], base: PackMetric
    ) -> Mapping[str, frozenset[str]]:
        where: Mapping[str, Any] = entry.get("where", {})
        for label in where:
            if label not in base.labels:
                raise self._complaint.about(
                    key, f"has {label}, which {base.name} lacks", "Use one of its labels"
                )
        return MappingProxyType(
            {label: frozenset(self._values(f"{key}.{label}", v)) for label, v in where.items()}
        )

    def _derived(
        self, key: str, entry: Mapping[str, Any], labels: LabelValues
    ) -> Mapping[str, LabelMap]:
        derived: dict[str, LabelMap] = {}
        for label, rule in entry.get("derive", {}).items():
            at = f"{key}.derive.{label}"
            if label not in labels:
                raise self._complaint.about(
                    at, "is not under labels", f"Add {label} to {key}.labels"
                )
            if rule["from"] not in labels or rule["from"] in entry["derive"]:
                raise self._complaint.about(
                    f"{at}.from", f"is {rule['from']}", "Name a label that a column gives"
                )
            if "values" in rule:
                values = MappingProxyType(dict(rule["values"]))
                derived[label] = LabelMap(rule["from"], values, rule.get("default", ""))
            elif rule["catalogue"] in LABEL_MAPS:
                derived[label] = LABEL_MAPS[rule["catalogue"]](rule["from"], self._policy)
            else:
                raise self._complaint.about(
                    f"{at}.catalogue",
                    f"is {show(rule['catalogue'])}",
                    f"Use one of: {', '.join(LABEL_MAPS)}",
                )
        return MappingProxyType(derived)

    def _zero_fill(
        self,
        key: str,
        entry: Mapping[str, Any],
        labels: LabelValues,
        derived: Mapping[str, LabelMap],
    ) -> tuple[LabelValues, ...]:
        given = [label for label in labels if label not in derived]
        filled: dict[LabelValues, None] = {}
        for index, product in enumerate(entry.get("zero_fill", [])):
            at = f"{key}.zero_fill[{index}]"
            if set(product) != set(given):
                raise self._complaint.about(
                    at,
                    f"has the labels {', '.join(product) or 'of nothing'}",
                    f"Give values for exactly: {', '.join(given)}",
                )
            columns = [self._values(f"{at}.{label}", product[label]) for label in given]
            for combination in itertools.product(*columns):
                values = dict(zip(given, combination, strict=True))
                for label, rule in derived.items():
                    values[label] = rule.value_for(values[rule.source])
                filled[tuple(values[label] for label in labels)] = None
        return tuple(filled)

    def _values(self, key: str, entry: list[str] | str) -> tuple[str, ...]:
        if isinstance(entry, list):
            return tuple(entry)
        if entry not in self._label_sets:
            known = ", ".join(self._label_sets) or "none yet"
            raise self._complaint.about(
                key, f"is {show(entry)}, which is no label set", f"Known label sets: {known}"
            )
        return self._label_sets[entry]

    def _buckets(self, key: str, entry: Mapping[str, Any], kind: MetricKind) -> tuple[float, ...]:
        if kind is not MetricKind.HISTOGRAM:
            return ()
        edges = tuple(float(edge) for edge in entry["buckets"])
        if list(edges) != sorted(edges) or not all(map(math.isfinite, edges)):
            raise self._complaint.about(
                f"{key}.buckets", f"is {show(entry['buckets'])}", "Sort it; leave infinity out"
            )
        return edges
