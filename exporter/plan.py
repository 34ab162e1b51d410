"""What an execution plan says about a query's cost, and what would mend it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# A table of so many rows is read in some ten milliseconds; it grows on.
_MANY_ROWS = 50_000
# Plan costs are in reads of a page in sequence (seq_page_cost = 1): about 8 MB and 800 MB.
_CHEAP = 1_000
_DEAR = 100_000


@dataclass(frozen=True, slots=True)
class Scan:
    """A table that a plan reads from its first row to its last.

    Attributes:
        table: Its name, quoted as PostgreSQL understands it.
        condition: Which rows it keeps; empty for all.

    """

    table: str
    condition: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What EXPLAIN (FORMAT JSON) says about a query.

    Attributes:
        cost: Estimated total cost, in reads of a page.
        rows: Estimated rows of the result.
        scans: Tables that it reads whole.
        writes: Whether it changes something.

    """

    cost: float
    rows: int
    scans: tuple[Scan, ...]
    writes: bool


def read_plan(document: Sequence[Mapping[str, Any]]) -> Plan:
    """Read the JSON document of EXPLAIN (FORMAT JSON, VERBOSE)."""
    root: Mapping[str, Any] = document[0]["Plan"]
    nodes = list(_walk(root))
    scans = (
        Scan(_quote(node), node.get("Filter", ""))
        for node in nodes
        if node["Node Type"] == "Seq Scan"
    )
    return Plan(
        cost=float(root["Total Cost"]),
        rows=int(root["Plan Rows"]),
        scans=tuple(dict.fromkeys(scans)),
        writes=any(node["Node Type"] == "ModifyTable" for node in nodes),
    )


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def _quote(node: Mapping[str, Any]) -> str:
    parts = [node[key] for key in ("Schema", "Relation Name") if key in node]
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def advise(plan: Plan, rows_by_table: Mapping[str, float], max_series: int) -> str:
    """Say in a line what the cost means.

    Args:
        plan: The query's.
        rows_by_table: Rows of the tables that it reads whole; -1 where nobody counted.
        max_series: Most series of a metric that it feeds.

    """
    unknown = [scan.table for scan in plan.scans if rows_by_table.get(scan.table, -1) < 0]
    if unknown:
        return f"ANALYZE {unknown[0]}: the planner has no numbers to estimate with"
    if plan.rows > max_series:
        return f"about {plan.rows} rows, but max_series is {max_series}: group by fewer labels"
    for scan in plan.scans:
        rows = rows_by_table.get(scan.table, -1)
        if rows >= _MANY_ROWS:
            return _advise_scan(scan, rows)
    if plan.cost >= _DEAR:
        return "dear: look at EXPLAIN ANALYZE, or give it interval_s or cron"
    if plan.cost >= _CHEAP:
        return "bearable every refresh; watch outbound_exporter_query_duration_seconds"
    return "cheap"


def _advise_scan(scan: Scan, rows: float) -> str:
    what = f"reads all {rows:.0f} rows of {scan.table}"
    if scan.condition:
        return f"{what}; a partial index would help: CREATE INDEX … WHERE {scan.condition}"
    return f"{what}, more as it grows: count by triggers, or give it interval_s or cron"
