"""From a pack's document to a `Pack`: names followed, and checked where a schema can't."""

from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any

from exporter.catalogues import LABEL_SETS
from exporter.complaint import Complaint, show
from exporter.metric_builder import MetricBuilder
from exporter.pack import LabelValues, Pack, PackDatabase, PackMetric
from exporter.query_builder import DATABASE_LABEL, QueryBuilder, build_databases
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.metrics import MetricKind

# What a histogram adds to its name on the page; nothing else may be called that.
_HISTOGRAM_SUFFIXES = ("_bucket", "_count", "_sum")


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
        self._complaint = Complaint(where)
        self._policy = policy

    def build(self) -> Pack:
        """Make the pack.

        Raises:
            UserMistake: A name leads nowhere, or keys do not go together.

        """
        document = self._document
        databases = build_databases(document, self._complaint)
        queries = QueryBuilder(document, self._folder, databases, self._complaint).build()
        label_sets = {
            name: self._label_set(name, entry)
            for name, entry in document.get("label_sets", {}).items()
        }
        builder = MetricBuilder(
            document.get("defaults", {}), label_sets, queries, self._policy, self._complaint
        )
        metrics: dict[str, PackMetric] = {}
        for section, compat in (("metrics", False), ("compat", True)):
            for index, entry in enumerate(document.get(section, [])):
                key = f"{section}[{index}]"
                metric = builder.build(key, entry, metrics, compat=compat)
                self._refuse_clash(key, metric, metrics)
                self._refuse_labels(key, metric, databases)
                metrics[metric.name] = metric
        pack = Pack(
            name=document["pack"],
            description=document.get("description", ""),
            queries=tuple(queries.values()),
            metrics=tuple(metrics.values()),
            databases=tuple(databases.values()),
        )
        for name in queries:
            if not pack.uses(name):
                raise self._complaint.about(
                    f"queries.{name}", "feeds no metric", "Remove it or use it"
                )
        return pack

    def _label_set(self, name: str, entry: list[str] | Mapping[str, str]) -> LabelValues:
        if isinstance(entry, list):
            return tuple(entry)
        make = LABEL_SETS.get(entry["catalogue"])
        if make is None:
            raise self._complaint.about(
                f"label_sets.{name}.catalogue",
                f"is {show(entry['catalogue'])}",
                f"Use one of: {', '.join(LABEL_SETS)}",
            )
        return make(self._policy)

    def _refuse_clash(
        self, key: str, metric: PackMetric, earlier: Mapping[str, PackMetric]
    ) -> None:
        taken = {name for other in earlier.values() for name in _page_names(other)}
        clash = taken & _page_names(metric)
        if clash:
            raise self._complaint.about(
                f"{key}.name",
                f"is {metric.name}, and {min(clash)} is on the page already",
                "Choose another name",
            )

    def _refuse_labels(
        self, key: str, metric: PackMetric, databases: Mapping[str, PackDatabase]
    ) -> None:
        given = {label for database in databases.values() for label in database.labels}
        clash = (given | {DATABASE_LABEL} if databases else given) & set(metric.labels)
        if clash:
            raise self._complaint.about(
                f"{key}.labels",
                f"has {min(clash)}, which every series of a named database has already",
                "Choose another name",
            )


def _page_names(metric: PackMetric) -> set[str]:
    suffixes = _HISTOGRAM_SUFFIXES if metric.kind is MetricKind.HISTOGRAM else ()
    return {metric.name, *(metric.name + suffix for suffix in suffixes)}
