"""`exporter check --live`: what each query needs, what is missing, how long it takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg

from exporter.collector import Collector, QueryRun
from exporter.compaction import DELTA_TABLE
from exporter.failures import Reason
from exporter.pack import Pack, Query
from outbound_slo.database import load_queries


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about one query on a live database.

    Attributes:
        pack: Its pack.
        query: Its name.
        duration_s: How long it took, in seconds.
        rows: How many rows came.
        trouble: What is wrong, in one line; empty when nothing is.
        advice: How to mend it; empty when nothing is to mend.

    """

    pack: str
    query: str
    duration_s: float
    rows: int
    trouble: str
    advice: str


def survey(collector: Collector, packs: Sequence[Pack]) -> Sequence[Finding]:
    """Run every query once and say what is missing.

    Raises:
        UserMistake: The database can't be reached.

    """
    connection = collector.open()
    missing = {
        name: trouble
        for name in {
            name for pack in packs for query in pack.queries for name in query.requires.tables
        }
        if (trouble := _trouble_with(connection, name)) is not None
    }
    runs = {(run.pack, run.query): run for run in collector.collect().runs}
    return list(_find(packs, runs, missing))


def _trouble_with(connection: psycopg.Connection, name: str) -> tuple[str, str] | None:
    statement = load_queries("exporter", "survey.sql")["relation"]
    row = connection.execute(statement.encode(), {"name": name}).fetchone()
    there, readable = row or (False, False)
    if not there:
        rollup = name.startswith(DELTA_TABLE.rpartition("_")[0])
        mend = "Run 'outbound-slo db migrate'" if rollup else f"Create {name}, or use another pack"
        return f"there is no table {name}", mend
    if not readable:
        return f"no right to read {name}", f"GRANT SELECT ON {name} TO the exporter's role"
    return None


def _find(
    packs: Sequence[Pack],
    runs: dict[tuple[str, str], QueryRun],
    missing: dict[str, tuple[str, str]],
) -> Iterator[Finding]:
    for pack in packs:
        for query in pack.queries:
            run = runs[pack.name, query.name]
            trouble, advice = _explain(query, run, missing)
            yield Finding(pack.name, query.name, run.duration_s, run.rows, trouble, advice)


def _explain(query: Query, run: QueryRun, missing: dict[str, tuple[str, str]]) -> tuple[str, str]:
    troubles = [missing[name] for name in query.requires.tables if name in missing]
    if troubles:
        return "; ".join(what for what, _ in troubles), "; ".join(
            dict.fromkeys(mend for _, mend in troubles)
        )
    if run.failure is not None:
        mend = (
            "Add what is missing to the tables, or mend the pack"
            if run.failure.reason is Reason.SCHEMA
            else "Run it by hand, or mend the pack"
        )
        return f"{run.failure.reason}: {run.failure.text}", mend
    return "", ""
