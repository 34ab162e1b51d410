"""Dead letters reported and exported: every number against the rows, and files whole or absent."""

import csv
import io
import stat
import subprocess
from pathlib import Path

import pytest

from operations.dead_letters import describe_code
from operations.exporting import CRITICAL_FAILURES, DEAD_LETTERS
from operations.triage import sort_out
from outbound_slo.database import load_queries
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.errors import PASSING_CODES
from tests.integration.sending import PROGRAM, own_environment
from tests.ops_parts import Operator
from tests.ops_schemas import check_printed


@pytest.fixture(scope="module")
def ops(postgres_server: EmbeddedPostgres, template_database: str) -> Operator:
    """Somebody in front of ten dead letters and some other failures; nothing here changes them."""
    found = Operator(postgres_server.create_database("ops_dlq", template=template_database))
    found.add(4, code="131016", age="2 days")
    found.add(1, code="131016", age="2 hours", org="other")
    found.add(1, code="131021", age="8 days")
    found.add(1, code="133006", age="40 days", template="newsletter")
    found.add(1, code="30005", channel="SMS", age="1 hour")
    found.add(1, code="wondrous", channel="EMAIL", age="3 hours")
    found.add(1, code=None, channel="EMAIL", age="9 days", attempts=5)
    found.add(2, attempts=2, code="190", age="1 hour")
    found.add(1, status="QUEUED", attempts=0, code=None)
    found.execute(
        "WITH d AS (INSERT INTO dossier (org_id, lead_name, lead_email)"
        " VALUES ('org', '=HYPERLINK(\"x\")', 'ada@example.org') RETURNING id)"
        " UPDATE outbound_message SET dossier_id = (SELECT id FROM d),"
        " error_message = 'two\nlines, \"quoted\"' WHERE error_code = '131021'"
    )
    return found


def test_the_report_counts_what_lies_there(ops: Operator) -> None:
    report = ops.run("dlq", "report", "--json", "--latest", "2").json()
    check_printed("dlq_report", report)
    assert (report["total"], report["line"]) == (10, None)
    counts = {(each["channel"], each["code"]): each["messages"] for each in report["codes"]}
    assert counts == {
        ("WHATSAPP", "131016"): 5,
        ("WHATSAPP", "131021"): 1,
        ("WHATSAPP", "133006"): 1,
        ("SMS", "30005"): 1,
        ("EMAIL", "wondrous"): 1,
        ("EMAIL", None): 1,
    }
    first = report["codes"][0]
    assert (first["percentage"], first["orgs"], first["cooled"], first["old"]) == (50.0, 2, 4, 0)
    assert {each["age"]: each["messages"] for each in report["ages"]} == {
        "< 1 day": 3,
        "1-7 days": 4,
        "7-30 days": 2,
        "> 30 days": 1,
    }
    assert report["organisations"] == [
        {"org": "org", "messages": 9},
        {"org": "other", "messages": 1},
    ]
    assert sum(each["messages"] for each in report["days"]) == 7
    assert [each["code"] for each in report["latest"]] == ["30005", "131016"]
    assert report["latest"][0]["recipient"].startswith("+3361")


def test_the_report_has_001s_categories(ops: Operator) -> None:
    categories = ops.run("dlq", "report", "--json").json()["categories"]
    found = {
        each["category"]: (each["messages"], each["orgs"], each["retryable"], each["action"])
        for each in categories
    }
    assert found == {
        "Service Unavailable": (5, 2, True, "Retry after 24 hours"),
        "Invalid Phone Number": (1, 1, False, "Update recipient phone number"),
        "Template Paused": (1, 1, False, "Fix/approve template in Meta"),
        "Uncategorized": (3, 1, False, "Manual investigation required"),
    }


def test_the_report_says_what_to_do_next(ops: Operator) -> None:
    report = ops.run("dlq", "report", "--json", "--channel", "whatsapp", "--org", "org").json()
    assert report["total"] == 6
    assert [step["command"] for step in report["next"]] == [
        "outbound-slo ops dlq retry --channel whatsapp --org org --dry-run",
        "outbound-slo ops dlq retry --codes 133006 -a 0 --channel whatsapp --org org --dry-run",
        "outbound-slo ops dlq archive --channel whatsapp --org org --dry-run",
        "outbound-slo ops dlq export --channel whatsapp --org org --to dlq.csv",
    ]
    for step in report["next"][:3]:
        arguments = step["command"].removeprefix("outbound-slo ops ").split()
        dry = ops.run(*arguments, "--json").json()
        assert f"{dry['rows']:,} " in step["why"], step


def test_the_report_names_the_line_that_was_crossed(database: str) -> None:
    ops = Operator(database)
    assert ops.run("dlq", "report").out == "Dead letters: 0.\n"
    ops.add(1000, code="opted_out")
    ops.add(100)
    assert ops.run("dlq", "report").out.startswith("Dead letters: 1,100.\n")
    ops.add(901)
    assert ops.run("dlq", "report").out.startswith(
        "Dead letters: 2,001, above the alert line of 1,000, 001 (to L2).\n"
    )


def test_a_code_is_explained_by_both_catalogues_where_they_differ() -> None:
    assert describe_code("131016") != describe_code("0")
    assert "(Meta: AuthException)" in describe_code("0")
    assert describe_code("30005") == "Number unknown or no longer in use"
    assert describe_code("wondrous") == describe_code(None) == "Not in any catalogue"


def test_the_report_goes_to_a_file(ops: Operator, tmp_path: Path) -> None:
    page, data = tmp_path / "report.txt", tmp_path / "report.json"
    said = ops.run("dlq", "report", "--to", page)
    assert (said.code, said.out) == (0, "")
    assert page.read_text("utf-8").startswith("Dead letters: 10.\n")
    assert "Service Unavailable" in page.read_text("utf-8")
    ops.run("dlq", "report", "--json", "--to", data)
    assert '"total": 10' in data.read_text("utf-8")
    again = ops.run("dlq", "report", "--to", page)
    assert (again.code, again.err) == (
        2,
        f"{page} is there already. Name another file, or add --force\n",
    )


def _read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_an_export_has_001s_columns_and_every_dead_letter(ops: Operator, tmp_path: Path) -> None:
    file = tmp_path / "dlq.csv"
    said = ops.run("dlq", "export", "--to", file)
    assert (said.code, said.out, said.err) == (0, "", f"Exported 10 messages to {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    text = file.read_text("utf-8")
    assert text.splitlines()[0] == (
        "id,org_id,dossier_id,channel,to_recipient,template_code,subject,error_code,error_message,"
        "attempt_count,max_attempts,created_at,updated_at,days_in_dlq,lead_name,lead_email"
    )
    rows = _read(text)
    numbers = "SELECT id FROM outbound_message WHERE attempt_count >= 5"
    order = " ORDER BY created_at DESC, id DESC"
    assert [int(row["id"]) for row in rows] == [
        number for (number,) in ops.execute(numbers + order)
    ]
    [invalid] = [row for row in rows if row["error_code"] == "131021"]
    assert invalid["lead_name"] == '=HYPERLINK("x")'
    assert invalid["error_message"] == 'two\nlines, "quoted"'
    assert float(invalid["days_in_dlq"]) == pytest.approx(8, abs=0.1)
    assert all(row["to_recipient"].startswith("+3361") for row in rows)


def test_cells_are_defused_for_spreadsheets_only_on_demand(ops: Operator, tmp_path: Path) -> None:
    file = tmp_path / "dlq.csv"
    ops.run("dlq", "export", "--to", file, "--for-spreadsheets")
    rows = _read(file.read_text("utf-8"))
    assert {row["lead_name"] for row in rows} == {"", '\'=HYPERLINK("x")'}
    assert all(row["to_recipient"].startswith("'+3361") for row in rows)
    assert {row["org_id"] for row in rows} == {"org", "other"}


def test_an_export_takes_filters_and_overwrites_only_on_demand(
    ops: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "dlq.csv"
    file.write_text("mine")
    refused = ops.run("dlq", "export", "--to", file)
    assert (refused.code, file.read_text("utf-8")) == (2, "mine")
    done = ops.run("dlq", "export", "--to", file, "--force", "--channel", "sms")
    assert done.err.startswith("Exported 1 message")
    assert [row["error_code"] for row in _read(file.read_text("utf-8"))] == ["30005"]
    ops.run("dlq", "export", "--to", file, "--force", "--template", "newsletter", "--org", "org")
    assert [row["error_code"] for row in _read(file.read_text("utf-8"))] == ["133006"]
    nowhere = ops.run("dlq", "export", "--to", tmp_path / "no" / "dlq.csv")
    assert "There is no directory" in nowhere.err
    assert "is a directory" in ops.run("dlq", "export", "--to", tmp_path).err


def test_critical_failures_are_exported_whatever_is_left_of_their_budget(
    ops: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "critical.csv"
    ops.run("dlq", "export", "--critical", "--to", file)
    rows = _read(file.read_text("utf-8"))
    assert list(rows[0]) == list(CRITICAL_FAILURES.columns)
    assert len(rows) == 2  # code 190, with budget left; the other is two hours old
    ops.run("dlq", "export", "--critical", "--hours", "3", "--to", file, "--force")
    assert len(_read(file.read_text("utf-8"))) == 3
    ops.run("dlq", "export", "--critical", "--template", "x", "--to", file, "--force")
    assert _read(file.read_text("utf-8")) == []
    assert ops.run("dlq", "export", "--critical", "--channel", "sms", "--to", "-").code == 2


def test_an_export_to_standard_output_is_csv_alone(ops: Operator) -> None:
    done = subprocess.run(
        [PROGRAM, "ops", "dlq", "export", "--to", "-"],
        env=own_environment(DATABASE_URL=ops.database),
        capture_output=True,
        check=True,
        timeout=60,
    )
    rows = _read(done.stdout.decode())
    assert len(rows) == 10
    assert list(rows[0]) == list(DEAD_LETTERS.columns)
    assert done.stderr == b"Exported 10 messages to standard output\n"


def test_an_export_that_fails_leaves_no_file(
    ops: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dlq.csv"
    file.write_text("mine")
    export = load_queries("operations", "sql/dlq.sql")["export"]
    broken = export.replace("om.id,", "1 / (om.id - om.id) AS id,", 1)
    monkeypatch.setattr("operations.exporting._QUERIES", {"export": broken})
    failed = ops.run("dlq", "export", "--to", file, "--force")
    assert (failed.code, "division by zero" in failed.err) == (2, True)
    assert [each.name for each in tmp_path.iterdir()] == ["dlq.csv"]
    assert file.read_text("utf-8") == "mine"


def test_what_001_calls_retryable_are_the_codes_that_a_retry_takes() -> None:
    assert all(sort_out(code).retryable for code in PASSING_CODES)
    assert not any(sort_out(code).retryable for code in ("130", "131021", "133006", None))
