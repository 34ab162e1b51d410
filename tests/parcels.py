"""A small database of parcels and packs that ask it, for tests of what goes wrong there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from exporter.collector import Clock, Collector, Limits
from exporter.pack import Pack
from exporter.service import SYSTEM_CLOCK
from exporter.target import own_target
from tests.exporter_parts import (
    Numbers,
    pick,
    total,
    write_pack,
)

METRICS = """
  - {name: parcels, type: gauge, help: Parcels., labels: [state], query: parcels, value: parcels,
     zero_fill: [{state: [new, gone]}]}
  - {name: parcels_seen_total, type: counter, help: Parcels., query: seen, value: parcels}
  - {name: clock, type: gauge, help: One., query: clock, value: one}
"""
QUERIES = {
    "parcels": "SELECT state, count(*) AS parcels FROM parcel GROUP BY state",
    "seen": "SELECT count(*) AS parcels FROM parcel",
    "clock": "SELECT 1 AS one",
}


@contextmanager
def open_parcels(database: str) -> Iterator[psycopg.Connection]:
    """Give a connection to a database with nothing but three parcels in it."""
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute("DROP SCHEMA public CASCADE")
        opened.execute("CREATE SCHEMA public")
        opened.execute("GRANT USAGE ON SCHEMA public TO public")
        opened.execute("CREATE TABLE parcel (state text, weight integer)")
        opened.execute("INSERT INTO parcel VALUES ('new', 1), ('new', 2), ('sent', 3)")
        yield opened


def make_pack(
    folder: Path,
    statement: str,
    *,
    kind: str = "gauge",
    timeout_ms: int = 5000,
    columns: str = "",
) -> str:
    """Write a pack with one query on trial, and one that always works."""
    if columns:
        statement = f"SELECT * FROM ({statement}) AS given {columns}"
    name = "trial_total" if kind == "counter" else "trial"
    metrics = f"""
  - {{name: {name}, type: {kind}, help: On trial., labels: [state], query: trial, value: n}}
  - {{name: clock, type: gauge, help: One., query: clock, value: one}}
"""
    queries = {"trial": statement, "clock": "SELECT 1 AS one"}
    return write_pack(folder / "trial", metrics, queries, timeout_ms)


def amend(pack: str, text: str, other: str) -> None:
    """Change the text of a pack."""
    document = Path(pack, "pack.yml")
    before = document.read_text()
    assert text in before
    document.write_text(before.replace(text, other, 1))


def make_collector(
    database: str, pack: Pack, *, clock: Clock = SYSTEM_CLOCK, deadline_s: float = 10.0
) -> Collector:
    limits = Limits(
        statement_timeout_s=30.0, lock_timeout_s=30.0, deadline_s=deadline_s, idle_s=60.0
    )
    return Collector(own_target(database, [pack]), limits, clock)


def errors_of(numbers: Numbers, query: str) -> dict[str, float]:
    """Give a query's errors by reason, without the zeros."""
    found = pick(numbers, "outbound_exporter_query_errors_total", query=query)
    return {dict(labels)["reason"]: value for labels, value in found.items() if value}


def works(numbers: Numbers, query: str) -> bool:
    return total(numbers, "outbound_exporter_query_success", query=query) == 1
