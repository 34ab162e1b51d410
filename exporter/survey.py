"""`exporter check --live`: what each query needs, what is missing, what it would cost.

Nothing is run: statements are planned (EXPLAIN without ANALYZE) and described.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import psycopg

from exporter.failures import Reason, classify
from exporter.migrations import ROLLUP_RELATIONS
from exporter.pack import Pack, PackMetric, Query
from exporter.plan import Plan, advise, read_plan
from exporter.session import Session
from exporter.target import Target
from outbound_slo.database import core_migrations, load_queries
from outbound_slo.vocabulary.metrics import MetricKind

_TIMEOUTS = "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'"
_IDLE_S = 60.0
# By PostgreSQL's type numbers: bool, int8, int2, int4, float4, float8, interval, numeric.
_NUMBERS = frozenset({16, 20, 21, 23, 700, 701, 1186, 1700})
_INSTANTS = frozenset({1114, 1184})  # timestamp without and with time zone
_MENDS: Mapping[Reason, str] = {
    Reason.SCHEMA: "Add what is missing to the tables, or mend the pack",
    Reason.PERMISSION: "GRANT what is missing to the exporter's role",
    Reason.TIMEOUT: "Try again when nobody holds a lock on its tables",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps a query from working, and the mend."""

    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about one query on a live database.

    Attributes:
        pack: Its pack.
        query: Its name.
        troubles: What is wrong; empty when nothing is.
        plan: Its execution plan; None where there is none.
        advice: A line about its cost; empty where there is no plan.

    """

    pack: str
    query: str
    troubles: tuple[Trouble, ...]
    plan: Plan | None
    advice: str


@dataclass(frozen=True, slots=True)
class Report:
    """What is known about a target.

    Attributes:
        database: Its name; empty for the one of DATABASE_URL.
        server: The server and the role, in a line.
        findings: One per query.

    """

    database: str
    server: str
    findings: tuple[Finding, ...]


def survey(target: Target) -> Report:
    """Look at a target's database and plan every query.

    Raises:
        UserMistake: The database can't be reached.

    """
    session = Session(target, _IDLE_S)
    try:
        surveyor = _Surveyor(session.open())
        return Report(
            database=target.name,
            server=surveyor.describe_server(),
            findings=tuple(
                surveyor.find(pack, query) for pack in target.packs for query in pack.queries
            ),
        )
    finally:
        session.close()


class _Surveyor:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._statements = load_queries("exporter", "survey.sql")

    def _ask(self, block: str, **parameters: object) -> tuple[object, ...]:
        statement = self._statements[block].encode()
        return self._connection.execute(statement, parameters).fetchone() or ()

    def describe_server(self) -> str:
        version, in_recovery, role, is_superuser = self._ask("server")
        kind = "replica" if in_recovery else "primary"
        risk = ", a superuser: a role that may only read is safer" if is_superuser else ""
        return f"PostgreSQL {version}, {kind}, as {role}{risk}"

    def find(self, pack: Pack, query: Query) -> Finding:
        troubles = list(self._missing(query))
        plan: Plan | None = None
        advice = ""
        try:
            with self._planning():
                plan = self._explain(query)
                troubles += self._mismatches(pack, query)
                rows = {scan.table: self._count(scan.table) for scan in plan.scans}
            advice = advise(plan, rows, _most_series(pack, query))
        except psycopg.Error as error:
            failure = classify(error)
            # What is missing explains why it can't be planned.
            if not troubles:
                mend = _MENDS.get(failure.reason, "Run it by hand, or mend the pack")
                troubles.append(Trouble(f"{failure.reason}: {failure.text}", mend))
        if plan is not None and plan.writes:
            troubles.append(Trouble("the statement writes", "Give one that only reads"))
        return Finding(pack.name, query.name, tuple(troubles), plan, advice)

    @contextmanager
    def _planning(self) -> Iterator[None]:
        with self._connection.transaction(force_rollback=True):
            self._connection.execute(_TIMEOUTS)
            yield

    def _explain(self, query: Query) -> Plan:
        statement = b"EXPLAIN (VERBOSE, FORMAT JSON) " + query.sql.encode()
        row = self._connection.execute(statement).fetchone()
        return read_plan(row[0] if row else [])

    def _count(self, table: str) -> float:
        (rows,) = self._ask("rows", name=table)
        return float(str(rows))

    def _missing(self, query: Query) -> Iterator[Trouble]:
        needs = query.requires
        for table, columns in needs.tables.items():
            yield from self._missing_of_table(table, columns)
        for table, privileges in needs.privileges.items():
            for privilege in privileges:
                if self._ask("privilege", name=table, privilege=privilege) == (False,):
                    yield Trouble(
                        f"no right to {privilege} on {table}",
                        f"GRANT {privilege} ON {table} TO the exporter's role",
                    )
        for extension in needs.extensions:
            if not self._ask("extension", name=extension)[0]:
                yield Trouble(f"no extension {extension}", f"CREATE EXTENSION {extension}")
        yield from self._missing_roles(needs.roles)
        yield from self._missing_indexes(needs.indexes)

    def _missing_roles(self, roles: Sequence[str]) -> Iterator[Trouble]:
        for role in roles:
            (has,) = self._ask("role", name=role)
            if has is None:
                yield Trouble(f"there is no role {role}", f"CREATE ROLE {role}")
            elif not has:
                yield Trouble(
                    f"no rights of {role}: what it alone may see is absent",
                    f"GRANT {role} TO the exporter's role",
                )

    def _missing_indexes(self, indexes: Mapping[str, str]) -> Iterator[Trouble]:
        for index, statement in indexes.items():
            (valid,) = self._ask("index", name=index)
            if valid is None:
                yield Trouble(f"no index {index}", statement)
            elif not valid:
                yield Trouble(f"the index {index} was never finished", f"REINDEX INDEX {index}")

    def _missing_of_table(self, table: str, columns: Sequence[str]) -> Iterator[Trouble]:
        there, readable, present = self._ask("relation", name=table)
        if not there:
            yield Trouble(f"there is no table {table}", _mend_absence(table))
            return
        if not readable:
            mend = f"GRANT SELECT ON {table} TO the exporter's role"
            yield Trouble(f"no right to read {table}", mend)
        known = present if isinstance(present, list) else []
        for column in columns:
            if column not in known:
                yield Trouble(
                    f"{table} has no column {column}", f"Add {column} to {table}, or mend the pack"
                )

    def _mismatches(self, pack: Pack, query: Query) -> Iterator[Trouble]:
        """Compare the columns that the pack names with those that the statement gives."""
        given = self._describe(query)
        for metric in pack.fed_by(query.name):
            labels = [label for label in metric.labels if label not in metric.derived]
            yield from self._mismatches_of(metric, given, labels, _numbers(metric), ())
        for metric in pack.illustrated_by(query.name):
            source = metric.exemplars
            if source is not None:
                labels = [label for label in metric.labels if label not in metric.derived]
                texts = [*labels, *source.labels.values()]
                numbers = [source.value] if source.value else []
                instants = [source.at] if source.at else []
                yield from self._mismatches_of(metric, given, texts, numbers, instants)

    def _mismatches_of(
        self,
        metric: PackMetric,
        given: Mapping[str, int],
        texts: Sequence[str],
        numbers: Sequence[str],
        instants: Sequence[str],
    ) -> Iterator[Trouble]:
        for column in (*texts, *numbers, *instants):
            if column not in given:
                yield Trouble(
                    f"the result has no column {column}, only {', '.join(given)}",
                    f"Name the column {column}, or mend the metric {metric.name}",
                )
        for column, fit in (
            *((column, _NUMBERS) for column in numbers),
            *((column, _NUMBERS | _INSTANTS) for column in instants),
        ):
            if column in given and given[column] not in fit:
                (kind,) = self._ask("type_name", oid=given[column])
                yield Trouble(
                    f"the column {column} is {kind}, which is no number",
                    f"Cast it, or mend the metric {metric.name}",
                )

    def _describe(self, query: Query) -> Mapping[str, int]:
        """Give the type of each column, without running the statement."""
        line = self._connection.pgconn
        line.prepare(b"", query.sql.encode())
        described = line.describe_prepared(b"")
        names = [described.fname(position) or b"" for position in range(described.nfields)]
        return {name.decode(): described.ftype(at) for at, name in enumerate(names)}


def _mend_absence(table: str) -> str:
    if table in ROLLUP_RELATIONS:
        return "Run 'outbound-slo exporter rollup install'"
    if table in _core_relations():
        return "Run 'outbound-slo db migrate'"
    return f"Create {table}, or use another pack"


@cache
def _core_relations() -> frozenset[str]:
    made = re.compile(r"^CREATE (?:TABLE|VIEW) (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
    return frozenset(name for step in core_migrations() for name in made.findall(step.text))


def _numbers(metric: PackMetric) -> list[str]:
    source = metric.source
    columns = [getattr(source, name, None) for name in ("value", "bucket", "total")]
    return [column for column in columns if column is not None]


def _most_series(pack: Pack, query: Query) -> int:
    users = (*pack.fed_by(query.name), *pack.illustrated_by(query.name))
    return max(
        metric.max_series * (metric.part_count if metric.kind is MetricKind.HISTOGRAM else 1)
        for metric in users
    )
