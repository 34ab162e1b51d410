"""From a pack's document to a `Pack`: references followed, and checked where a schema can't."""

import itertools
import json
import math
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any

from exporter.catalogues import LABEL_MAPS, LABEL_SETS
from exporter.pack import FromMetric, FromQuery, LabelMap, LabelValues, Pack, PackMetric, Query
from outbound_slo.database import parse_queries
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.metrics import MetricKind
from outbound_slo.vocabulary.mistakes import UserMistake

_TIMEOUT_MS = 2000
_ABSENT_AFTER_S = 60.0
_MAX_SERIES = 1000
_SHOWN_CHARACTERS = 60

_SUFFIXES = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}
# What a histogram adds to its name on the page; nothing else may be called that.
_HISTOGRAM_SUFFIXES = ("_bucket", "_count", "_sum")


def show(value: object) -> str:
    """Write a value of the document for an error line, shortened to fit it."""
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 3]}..."


class PackBuilder:
    """Makes a Pack of one document.

    Args:
        document: A pack.yml that fits the schema.
        folder: Where its SQL files are.
        where: The file's name in errors.
        policy: Decides what error catalogues say (D6).

    """

    def __init__(
        self, document: Mapping[str, Any], folder: Traversable, where: str, policy: ErrorPolicy
    ) -> None:
        self._document = document
        self._folder = folder
        self._where = where
        self._policy = policy
        self._defaults: Mapping[str, Any] = document.get("defaults", {})
        self._files: dict[str, Mapping[str, str]] = {}
        self._label_sets: dict[str, tuple[str, ...]] = {}

    def build(self) -> Pack:
        """Make the pack.

        Raises:
            UserMistake: A name leads nowhere, or keys do not go together.

        """
        self._label_sets = {
            name: self._label_set(name, entry)
            for name, entry in self._document.get("label_sets", {}).items()
        }
        queries = {
            name: self._query(name, entry) for name, entry in self._document["queries"].items()
        }
        metrics: dict[str, PackMetric] = {}
        for section, compat in (("metrics", False), ("compat", True)):
            for index, entry in enumerate(self._document.get(section, [])):
                key = f"{section}[{index}]"
                metric = self._metric(key, entry, queries, metrics, compat=compat)
                self._refuse_clash(key, metric, metrics)
                metrics[metric.name] = metric
        pack = Pack(
            name=self._document["pack"],
            description=self._document.get("description", ""),
            queries=tuple(queries.values()),
            metrics=tuple(metrics.values()),
        )
        for name in queries:
            if not pack.fed_by(name):
                raise self._mistake(f"queries.{name}", "feeds no metric", "Remove it or use it")
        return pack

    def _mistake(self, key: str, what: str, mend: str) -> UserMistake:
        return UserMistake(f"{self._where}: {key} {what}", mend)

    def _label_set(self, name: str, entry: list[str] | Mapping[str, str]) -> tuple[str, ...]:
        if isinstance(entry, list):
            return tuple(entry)
        make = LABEL_SETS.get(entry["catalogue"])
        if make is None:
            raise self._mistake(
                f"label_sets.{name}.catalogue",
                f"is {show(entry['catalogue'])}",
                f"Use one of: {', '.join(LABEL_SETS)}",
            )
        return make(self._policy)

    def _query(self, name: str, entry: Mapping[str, Any]) -> Query:
        file = entry["file"]
        key = f"queries.{name}.file"
        if file not in self._files:
            path = self._folder.joinpath(file)
            if not path.is_file():
                raise self._mistake(key, f"is {file}, which is not there", "Correct the name")
            try:
                self._files[file] = parse_queries(path.read_text("utf-8"), file)
            except ValueError as error:
                raise self._mistake(key, f"cannot be used: {error}", "Mend that file") from error
        statement = self._files[file].get(name)
        if statement is None:
            raise self._mistake(
                key, f"is {file}, which has no block {name}", f"Add '-- name: {name}' to it"
            )
        timeout_ms = entry.get("timeout_ms", self._defaults.get("timeout_ms", _TIMEOUT_MS))
        return Query(
            name=name,
            sql=statement.rstrip().rstrip(";"),
            timeout_s=timeout_ms / 1000,
            requires=tuple(entry.get("requires", ())),
        )

    def _metric(
        self,
        key: str,
        entry: Mapping[str, Any],
        queries: Mapping[str, Query],
        earlier: Mapping[str, PackMetric],
        *,
        compat: bool,
    ) -> PackMetric:
        kind = MetricKind(entry["type"])
        labels: LabelValues = tuple(entry.get("labels", ()))
        suffix = _SUFFIXES.get(kind, "")
        if not entry["name"].endswith(suffix):
            raise self._mistake(
                f"{key}.name", f"is {entry['name']}", f"The name of a {kind} ends in {suffix}"
            )
        base: PackMetric | None = None
        source: FromQuery | FromMetric
        if "query" in entry:
            source = self._from_query(key, entry, kind, queries)
        else:
            base = self._base(key, entry, kind, labels, earlier)
            source = FromMetric(base.name, self._selection(f"{key}.where", entry, base))
        derived = self._derived(key, entry, labels)
        absent_after_s = (
            base.absent_after_s if base else self._defaults.get("absent_after_s", _ABSENT_AFTER_S)
        )
        return PackMetric(
            name=entry["name"],
            kind=kind,
            help=entry["help"],
            labels=labels,
            source=source,
            derived=derived,
            zero_fill=self._zero_fill(key, entry, labels, derived),
            buckets=base.buckets if base else self._buckets(key, entry, kind),
            max_series=entry.get("max_series", self._defaults.get("max_series", _MAX_SERIES)),
            absent_after_s=entry.get("absent_after_s", absent_after_s),
            compat=compat,
        )

    def _from_query(
        self, key: str, entry: Mapping[str, Any], kind: MetricKind, queries: Mapping[str, Query]
    ) -> FromQuery:
        if entry["query"] not in queries:
            raise self._mistake(
                f"{key}.query",
                f"is {entry['query']}, which is not under queries",
                f"Use one of: {', '.join(queries)}",
            )
        needed = {
            MetricKind.HISTOGRAM: ("value", "bucket", "total", "buckets"),
            MetricKind.INFO: (),
        }.get(kind, ("value",))
        for name in ("value", "bucket", "total", "buckets"):
            if name in needed and name not in entry:
                raise self._mistake(key, f"is a {kind} and lacks {name}", f"Add {name}")
            if name not in needed and name in entry:
                raise self._mistake(f"{key}.{name}", f"means nothing for a {kind}", "Remove it")
        if "where" in entry:
            raise self._mistake(f"{key}.where", "goes with 'of' only", "Select in the query")
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
            raise self._mistake(
                f"{key}.of",
                f"is {entry['of']}, which is no metric above it with a query",
                "Name a metric that has a query and stands before this one",
            )
        for name in ("value", "bucket", "total", "buckets", "derive", "zero_fill"):
            if name in entry:
                raise self._mistake(f"{key}.{name}", f"comes from {base.name}", "Remove it")
        if base.kind is not kind:
            raise self._mistake(
                f"{key}.type", f"is {kind} but {base.name} is a {base.kind}", f"Make it {base.kind}"
            )
        for label in labels:
            if label not in base.labels:
                raise self._mistake(
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
                raise self._mistake(
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
                raise self._mistake(at, "is not under labels", f"Add {label} to {key}.labels")
            if rule["from"] not in labels or rule["from"] in entry["derive"]:
                raise self._mistake(
                    f"{at}.from", f"is {rule['from']}", "Name a label that a column gives"
                )
            if "values" in rule:
                values = MappingProxyType(dict(rule["values"]))
                derived[label] = LabelMap(rule["from"], values, rule.get("default", ""))
            elif rule["catalogue"] in LABEL_MAPS:
                derived[label] = LABEL_MAPS[rule["catalogue"]](rule["from"], self._policy)
            else:
                raise self._mistake(
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
                raise self._mistake(
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
            raise self._mistake(
                key, f"is {show(entry)}, which is no label set", f"Known label sets: {known}"
            )
        return self._label_sets[entry]

    def _buckets(self, key: str, entry: Mapping[str, Any], kind: MetricKind) -> tuple[float, ...]:
        if kind is not MetricKind.HISTOGRAM:
            return ()
        edges = tuple(float(edge) for edge in entry["buckets"])
        if list(edges) != sorted(edges) or not all(map(math.isfinite, edges)):
            raise self._mistake(
                f"{key}.buckets", f"is {show(entry['buckets'])}", "Sort it; leave infinity out"
            )
        return edges

    def _refuse_clash(
        self, key: str, metric: PackMetric, earlier: Mapping[str, PackMetric]
    ) -> None:
        taken = {name for other in earlier.values() for name in _page_names(other)}
        clash = taken & _page_names(metric)
        if clash:
            raise self._mistake(
                f"{key}.name",
                f"is {metric.name}, and {min(clash)} is on the page already",
                "Choose another name",
            )


def _page_names(metric: PackMetric) -> set[str]:
    suffixes = _HISTOGRAM_SUFFIXES if metric.kind is MetricKind.HISTOGRAM else ()
    return {metric.name, *(metric.name + suffix for suffix in suffixes)}
