"""What the documents of EXPLAIN say, and the line of advice that follows."""

from typing import Any

import pytest

from exporter.plan import Plan, Scan, advise, read_plan

SCAN = {
    "Node Type": "Seq Scan",
    "Schema": "public",
    "Relation Name": "parcel",
    "Filter": "(state = 'new'::text)",
    "Total Cost": 900.0,
    "Plan Rows": 10,
}


def make_document(**root: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as in EXPLAIN's JSON
    return [{"Plan": {"Node Type": "Aggregate", "Total Cost": 12.5, "Plan Rows": 3, **root}}]


def test_cost_and_rows_are_the_roots_and_scans_are_found_below() -> None:
    join = {"Node Type": "Hash Join", "Total Cost": 1.0, "Plan Rows": 1, "Plans": [SCAN, SCAN]}

    plan = read_plan(make_document(Plans=[join]))

    assert (plan.cost, plan.rows, plan.writes) == (12.5, 3, False)
    assert plan.scans == (Scan('"public"."parcel"', "(state = 'new'::text)"),)


def test_an_index_scan_is_no_scan_of_the_whole_table() -> None:
    index = SCAN | {"Node Type": "Index Scan"}

    assert read_plan(make_document(Plans=[index])).scans == ()


def test_a_statement_that_writes_is_known_by_its_plan() -> None:
    write = {"Node Type": "ModifyTable", "Total Cost": 1.0, "Plan Rows": 1}

    assert read_plan(make_document(Plans=[write])).writes


WHOLE = Scan("parcel", "")
PART = Scan("parcel", "(state = 'new')")
ADVICE = [
    (Plan(5.0, 3, (), writes=False), -1, "cheap"),
    (Plan(5_000.0, 3, (), writes=False), -1, "bearable"),
    (Plan(500_000.0, 3, (), writes=False), -1, "dear"),
    (Plan(5.0, 3, (WHOLE,), writes=False), 49_999, "cheap"),
    (Plan(5.0, 3, (WHOLE,), writes=False), 50_000, "reads all 50000 rows of parcel, more as"),
    (Plan(5.0, 3, (PART,), writes=False), 50_000, "CREATE INDEX … WHERE (state = 'new')"),
    (Plan(5.0, 3, (WHOLE,), writes=False), -1, "ANALYZE parcel"),
    (Plan(5.0, 101, (WHOLE,), writes=False), 50_000, "about 101 rows, but max_series is 100"),
]


@pytest.mark.parametrize(("plan", "rows", "advice"), ADVICE)
def test_the_most_pressing_advice_is_given(plan: Plan, rows: float, advice: str) -> None:
    assert advice in advise(plan, {"parcel": rows}, max_series=100)
