"""Dead letters and fallback beside 001's and 002's own statements, on equal outboxes."""

import csv
import io
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbound_slo.embedded.binaries import POSTGRESQL, find_tools
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.ops_parts import Operator
from tests.runbooks.bench import Bench, seat
from tests.runbooks.clones import open_clone, open_world
from tests.runbooks.extraction import extract_scripts, extract_statements
from tests.runbooks.faults import SCRIPT_FAULTS
from tests.runbooks.scripts import Stage
from tests.runbooks.source import read_runbooks, runbook_directory

if not runbook_directory().is_dir():
    pytest.skip(f"No runbooks in {runbook_directory()}", allow_module_level=True)

RUNBOOKS = read_runbooks(runbook_directory())
STATEMENTS = {
    statement.place: statement
    for number, text in RUNBOOKS.items()
    for statement in extract_statements(number, text)
}
EXPORT = "export-dlq-messages.sh"
PASSING = (
    "id",
    *("created_at", "updated_at", "created_by", "updated_by", "idempotency_key"),
    *("due_at", "due_since", "turn"),
)
"""Columns that tell when and by whom, not what."""


@pytest.fixture(scope="module")
def world(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    with open_world(postgres_server, template_database, "ops_dlq_world") as name:
        yield name


@pytest.fixture
def ops(postgres_server: EmbeddedPostgres, world: str) -> Iterator[Operator]:
    with open_clone(postgres_server, world, "ops_dlq_by_command") as url:
        yield Operator(url)


@pytest.fixture
def bench(postgres_server: EmbeddedPostgres, world: str) -> Iterator[Bench]:
    scratch = Path(tempfile.mkdtemp(dir=postgres_server.directory))
    scratch.chmod(0o777)  # the server, who is another user, writes there too
    with (
        open_clone(postgres_server, world, "ops_dlq_by_hand") as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        yield seat(connection, STATEMENTS, scratch)


def _rows(where: Operator | Bench, table: str, *without: str) -> list[Any]:
    query = f"SELECT to_jsonb(t) - '{{{','.join(without)}}}'::text[] AS row FROM {table} AS t"
    if isinstance(where, Bench):
        found = [each["row"] for each in where.connection.execute(query.encode())]
    else:
        found = [row for (row,) in where.execute(query)]
    return sorted(found, key=str)


def test_a_fallback_queues_the_sms_that_001_would(ops: Operator, bench: Bench) -> None:
    assert bench.run("001:486").rowcount == 1
    assert ops.change("fallback", "--critical")["changed"] == 1
    assert _rows(ops, "outbound_message", *PASSING) == _rows(bench, "outbound_message", *PASSING)
    assert bench.run("001:524").rowcount == 1


def test_an_archive_ends_as_002s_two_statements_do(ops: Operator, bench: Bench) -> None:
    bench.run("002:199")
    assert bench.run("002:204").rowcount == 1
    assert ops.change("dlq", "archive")["changed"] == 1
    for table in ("outbound_message", "outbound_message_archive", "outbound_attempt"):
        assert _rows(ops, table) == _rows(bench, table), table


def test_archive_and_purge_leave_what_001s_deletion_leaves(
    ops: Operator, bench: Bench, tmp_path: Path
) -> None:
    assert bench.run("001:1157").rowcount == bench.run("001:1180").rowcount == 1
    ops.change("dlq", "archive")
    saved = tmp_path / "purged.csv"
    assert ops.change("dlq", "purge", "--to", saved)["changed"] == 1
    for table in ("outbound_message", "outbound_message_archive", "outbound_attempt"):
        assert _rows(ops, table) == _rows(bench, table), table
    # 001's file has some of the columns; this one has them all, written alike.
    [theirs] = _read((bench.scratch / "dlq_archive.csv").read_text("utf-8"))
    [ours] = _read(saved.read_text("utf-8"))
    assert theirs.items() <= ours.items()


def test_exports_have_the_cells_of_001s(ops: Operator, bench: Bench, tmp_path: Path) -> None:
    critical, dead = tmp_path / "critical.csv", tmp_path / "dead.csv"
    bench.run("001:460")
    ops.run("dlq", "export", "--critical", "--to", critical)
    theirs = bench.scratch / "critical_whatsapp_failures.csv"
    assert critical.read_text("utf-8") == theirs.read_text("utf-8")
    [script] = [each for each in extract_scripts("001", RUNBOOKS["001"]) if each.name == EXPORT]
    stage = Stage(bench.scratch, find_tools(POSTGRESQL), ops.database)
    run = stage.run(SCRIPT_FAULTS[EXPORT].correct(script.text))
    [file] = run.directory.glob("dlq_export_*.csv")
    ops.run("dlq", "export", "--to", dead)
    found, expected = (_read(each.read_text("utf-8")) for each in (dead, file))
    assert [list(each) for each in found] == [list(each) for each in expected]
    for ours, by_hand in zip(found, expected, strict=True):
        days = Decimal(ours.pop("days_in_dlq")) - Decimal(by_hand.pop("days_in_dlq"))
        assert abs(days) < 1
        assert ours == by_hand


def _read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_report_has_the_numbers_of_001s_and_002s_statements(
    ops: Operator, bench: Bench
) -> None:
    report = ops.run("dlq", "report", "--json", "--latest", "100").json()

    def ask(place: str) -> list[dict[str, Any]]:
        return [dict(row) for row in bench.run(place)]

    assert ask("001:820") == [{"dlq_total_size": report["total"]}]
    assert {
        (row["channel"], row["error_code"], row["message_count"], row["affected_orgs"])
        for row in ask("001:826")
    } == {
        (each["channel"], each["code"], each["messages"], each["orgs"]) for each in report["codes"]
    }
    assert [row["daily_dlq_additions"] for row in ask("001:842")] == [
        each["messages"] for each in report["days"]
    ]
    groups: dict[str, int] = {}
    for each in report["categories"]:
        groups[each["group"]] = groups.get(each["group"], 0) + each["messages"]
    expected: dict[str, int] = {}
    for row in ask("001:858"):
        expected[row["category"]] = expected.get(row["category"], 0) + row["frequency"]
    assert groups == expected
    retryable = sum(each["messages"] for each in report["categories"] if each["retryable"])
    assert {row["retry_status"]: row["count"] for row in ask("001:885")} == {
        "Retryable": retryable,
        "Non-Retryable": report["total"] - retryable,
    }
    assert {
        (
            row["error_category"],
            row["retryable"] == "YES",
            row["recommended_action"],
            row["message_count"],
            row["orgs_affected"],
            float(row["percentage"]),
        )
        for row in ask("001:955")
    } == {
        tuple(
            each[name]
            for name in ("category", "retryable", "action", "messages", "orgs", "percentage")
        )
        for each in report["categories"]
    }
    assert {row["age"]: row["count"] for row in ask("001:1467")} == {
        each["age"]: each["messages"] for each in report["ages"]
    }
    assert [list(row.values()) for row in ask("001:1486")] == [
        [each["org"], each["messages"]] for each in report["organisations"]
    ]
    assert {(row["channel"], row["error_code"], row["count"]) for row in ask("002:146")} == {
        (each["channel"], each["code"], each["messages"]) for each in report["codes"]
    }
    assert ask("002:161") == [
        {
            "error_code": each["code"],
            "error_message": each["error"],
            "to_recipient": each["recipient"],
            "template_code": each["template"],
        }
        for each in report["latest"]
    ]
