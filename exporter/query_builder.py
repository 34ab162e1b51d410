"""The queries of a pack's document, and the databases on which they run."""

from collections.abc import Mapping
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any

from exporter.complaint import Complaint, show
from exporter.pack import PackDatabase, Query, Requirements, RunsOn
from exporter.references import check_references
from exporter.schedule import Every, Schedule, parse_cron
from outbound_slo.database import parse_queries

DATABASE_LABEL = "database"

_TIMEOUT_MS = 2000
# A server that is alive ends a statement by itself; this is what it may be late.
_CLIENT_GRACE_MS = 2000


def build_databases(
    document: Mapping[str, Any], complaint: Complaint
) -> Mapping[str, PackDatabase]:
    """Make the databases that the pack names; there may be none.

    Raises:
        UserMistake: A reference is malformed, or a label is already taken.

    """
    built: dict[str, PackDatabase] = {}
    for name, entry in document.get("databases", {}).items():
        key = f"databases.{name}"
        labels: Mapping[str, str] = entry.get("labels", {})
        for at, text in (("url", entry["url"]), *((f"labels.{k}", v) for k, v in labels.items())):
            trouble = check_references(text)
            if trouble is not None:
                raise complaint.about(
                    f"{key}.{at}", trouble, "Write ${NAME}, ${file:/path}, or $$ for a dollar sign"
                )
        if DATABASE_LABEL in labels:
            raise complaint.about(
                f"{key}.labels.{DATABASE_LABEL}", f"is always {name}", "Remove it"
            )
        built[name] = PackDatabase(name, entry["url"], MappingProxyType(dict(labels)))
    sets = {frozenset(database.labels) for database in built.values()}
    if len(sets) > 1:
        raise complaint.about(
            "databases", "have different labels", "Give every database the same label names"
        )
    return MappingProxyType(built)


class QueryBuilder:
    """Makes the queries of one document.

    Args:
        document: A pack.yml that fits the schema.
        folder: Where its SQL files are.
        databases: The databases that the pack names.
        complaint: Makes mistakes.

    """

    def __init__(
        self,
        document: Mapping[str, Any],
        folder: Traversable,
        databases: Mapping[str, PackDatabase],
        complaint: Complaint,
    ) -> None:
        self._entries: Mapping[str, Mapping[str, Any]] = document["queries"]
        self._defaults: Mapping[str, Any] = document.get("defaults", {})
        self._folder = folder
        self._databases = databases
        self._complaint = complaint
        self._files: dict[str, Mapping[str, str]] = {}

    def build(self) -> Mapping[str, Query]:
        """Make the queries by name.

        Raises:
            UserMistake: A file or block is not there, or keys do not go together.

        """
        return {name: self._query(name, entry) for name, entry in self._entries.items()}

    def _query(self, name: str, entry: Mapping[str, Any]) -> Query:
        timeout_ms = entry.get("timeout_ms", self._defaults.get("timeout_ms", _TIMEOUT_MS))
        client_ms = entry.get("client_timeout_ms", self._defaults.get("client_timeout_ms"))
        if client_ms is not None and client_ms < timeout_ms:
            raise self._complaint.about(
                f"queries.{name}.client_timeout_ms",
                f"is {client_ms}, before the server's own {timeout_ms} ms have passed",
                "Give more than timeout_ms: it is for a server that does not answer any more",
            )
        return Query(
            name=name,
            sql=self._statement(name, entry["file"]),
            timeout_s=timeout_ms / 1000,
            requires=build_requirements(entry.get("requires", ())),
            client_timeout_s=(client_ms or timeout_ms + _CLIENT_GRACE_MS) / 1000,
            schedule=self._schedule(name, entry),
            databases=self._targets(name, entry),
            runs_on=RunsOn(entry.get("runs_on", RunsOn.ANY)),
        )

    def _statement(self, name: str, file: str) -> str:
        key = f"queries.{name}.file"
        if file not in self._files:
            path = self._folder.joinpath(file)
            if not path.is_file():
                raise self._complaint.about(
                    key, f"is {file}, which is not there", "Correct the name"
                )
            try:
                self._files[file] = parse_queries(path.read_text("utf-8"), file)
            except ValueError as error:
                raise self._complaint.about(
                    key, f"cannot be used: {error}", "Mend that file"
                ) from error
        statement = self._files[file].get(name)
        if statement is None:
            raise self._complaint.about(
                key, f"is {file}, which has no block {name}", f"Add '-- name: {name}' to it"
            )
        return statement.rstrip().rstrip(";")

    def _schedule(self, name: str, entry: Mapping[str, Any]) -> Schedule | None:
        cron = entry.get("cron")
        if cron is None:
            interval_s = entry.get("interval_s", self._defaults.get("interval_s"))
            return None if interval_s is None else Every(float(interval_s))
        if "interval_s" in entry:
            raise self._complaint.about(
                f"queries.{name}", "has both interval_s and cron", "Give one of them"
            )
        try:
            return parse_cron(cron)
        except ValueError as error:
            raise self._complaint.about(
                f"queries.{name}.cron",
                f"is {show(cron)}: {str(error).lower()}",
                "Give minute, hour, day of month, month and day of week, such as 0 3 * * *",
            ) from error

    def _targets(self, name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
        wanted: list[str] = entry.get("databases", [])
        for position, database in enumerate(wanted):
            if database not in self._databases:
                known = ", ".join(self._databases) or "none: add 'databases' to the pack"
                raise self._complaint.about(
                    f"queries.{name}.databases[{position}]",
                    f"is {show(database)}, which is not under databases",
                    f"Known: {known}",
                )
        return tuple(wanted)


def build_requirements(entry: Any) -> Requirements:  # noqa: ANN401 - a list or a mapping of YAML
    """Make what a query needs; a mere list names tables."""
    if not isinstance(entry, dict):
        return Requirements(tables=_columns_by_table(entry))
    return Requirements(
        tables=_columns_by_table(entry.get("tables", ())),
        privileges=_columns_by_table(entry.get("privileges", {})),
        extensions=tuple(entry.get("extensions", ())),
        roles=tuple(entry.get("roles", ())),
        indexes=MappingProxyType(dict(entry.get("indexes", {}))),
    )


def _columns_by_table(entry: Any) -> Mapping[str, tuple[str, ...]]:  # noqa: ANN401 - the same
    if isinstance(entry, dict):
        return MappingProxyType({name: tuple(columns) for name, columns in entry.items()})
    return MappingProxyType(dict.fromkeys(entry, ()))
