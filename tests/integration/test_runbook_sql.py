"""Every SQL statement of runbooks 000 to 002 runs on our schema and does what it promises.

The runbooks are read from beside the project, or from where OUTBOUND_SLO_SEEDS says. A clone that
stands alone has none: then this module is skipped, and so is what else needs their text.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from outbound_slo.embedded.binaries import POSTGRESQL, find_tools
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.metrics import METRICS, Origin
from tests.integrity_parts import find_contradictions
from tests.runbooks.bench import Bench, fill_in, fill_world, seat
from tests.runbooks.effects import EFFECTS, Effect
from tests.runbooks.extraction import (
    Statement,
    extract_scripts,
    extract_statements,
    extract_table_lists,
)
from tests.runbooks.faults import SCRIPT_FAULTS, STATEMENT_FAULTS
from tests.runbooks.page import RUNBOOK_METRICS, STATEMENT_COUNTS
from tests.runbooks.scripts import Stage
from tests.runbooks.source import DIRECTORY_VARIABLE, read_runbooks, runbook_directory

if not runbook_directory().is_dir():
    pytest.skip(
        f"No runbooks in {runbook_directory()}; set {DIRECTORY_VARIABLE} to test their SQL",
        allow_module_level=True,
    )

RUNBOOKS = read_runbooks(runbook_directory())
STATEMENTS = [
    statement for number, text in RUNBOOKS.items() for statement in extract_statements(number, text)
]
BY_PLACE = {statement.place: statement for statement in STATEMENTS}
SOUND = [statement for statement in STATEMENTS if statement.place not in STATEMENT_FAULTS]
SCRIPTS = {
    script.name: script
    for number, text in RUNBOOKS.items()
    for script in extract_scripts(number, text)
    if re.search(r"\b(psql|pg_dump)\b", script.text)
}

OUTSIDE_TRANSACTIONS = {"VACUUM", "REINDEX", "CHECKPOINT"}
CHANGING = {"INSERT", "UPDATE", "DELETE", "CREATE", "COPY"}

_VERB_IN_TEXT = re.compile(
    r"\b(SELECT\b|INSERT INTO|UPDATE [a-z]|DELETE FROM|CREATE (TEMP )?TABLE|COPY \(|VACUUM [A-Z]"
    r"|REINDEX [A-Z]|CHECKPOINT;)"
)


def _name(statement: Statement) -> str:
    words = re.findall(r"[A-Za-z_]+", statement.text)[:4]
    return f"{statement.place} {'-'.join(words)}"


@pytest.fixture
def scratch(postgres_server: EmbeddedPostgres) -> Path:
    """Give a directory of the test's own that the server, who is another user, may write too."""
    directory = Path(tempfile.mkdtemp(dir=postgres_server.directory))
    directory.chmod(0o777)
    return directory


@pytest.fixture(scope="module")
def filled_database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """Give one filled database; the tests that share it undo what they change."""
    url = postgres_server.create_database("runbooks", template=template_database)
    with psycopg.connect(url) as connection:
        fill_world(connection)
    yield url
    postgres_server.drop_database("runbooks")


@pytest.fixture
def bench(database: str, scratch: Path) -> Iterator[Bench]:
    with psycopg.connect(database, autocommit=True) as connection:
        fill_world(connection)
        yield seat(connection, BY_PLACE, scratch)


@pytest.fixture
def stage(database: str, scratch: Path) -> Stage:
    with psycopg.connect(database) as connection:
        fill_world(connection)
    return Stage(scratch, find_tools(POSTGRESQL), database)


def test_the_runbooks_have_exactly_the_statements_that_are_tested() -> None:
    counts = Counter((statement.runbook, statement.origin) for statement in STATEMENTS)
    assert counts == STATEMENT_COUNTS
    assert len(BY_PLACE) == len(STATEMENTS)


@pytest.mark.parametrize("number", RUNBOOKS)
def test_no_line_with_an_sql_verb_lies_outside_the_statements(number: str) -> None:
    covered = {
        line
        for statement in STATEMENTS
        if statement.runbook == number
        for line in range(statement.line, statement.last_line + 1)
    }
    lines = RUNBOOKS[number].splitlines()
    with_verb = {line for line, text in enumerate(lines, 1) if _VERB_IN_TEXT.search(text)}
    assert with_verb
    assert with_verb - covered == set()


def test_the_tables_that_the_runbooks_list_exist(filled_database: str) -> None:
    lists = [
        tables for number, text in RUNBOOKS.items() for tables in extract_table_lists(number, text)
    ]
    assert [(tables.runbook, len(tables.names)) for tables in lists] == [("000", 7), ("001", 7)]
    with psycopg.connect(filled_database) as connection:
        for name in {name for tables in lists for name in tables.names}:
            found = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
            assert found == (name,)


def test_the_indexes_that_the_runbooks_name_exist(filled_database: str) -> None:
    named = {name for text in RUNBOOKS.values() for name in re.findall(r"`(idx_\w+)`", text)}
    assert len(named) == 3
    with psycopg.connect(filled_database) as connection:
        existing = connection.execute("SELECT indexname FROM pg_indexes").fetchall()
    assert named <= {name for (name,) in existing}


def test_the_page_on_compatibility_names_the_metrics_that_the_runbooks_use() -> None:
    words = {word for text in RUNBOOKS.values() for word in re.findall(r"\w+", text)}
    words |= {word.removesuffix("_bucket") for word in words}
    # Of Prometheus's own names `up` is a word of English, too.
    ours = {name for name, each in METRICS.items() if each.origin is not Origin.MONITORING}
    assert words & ours == set(RUNBOOK_METRICS)


@pytest.mark.parametrize("statement", SOUND, ids=_name)
def test_the_statement_runs_unchanged_and_finds_what_it_looks_for(
    statement: Statement, filled_database: str, scratch: Path
) -> None:
    with psycopg.connect(
        filled_database, autocommit=statement.verb in OUTSIDE_TRANSACTIONS
    ) as connection:
        if statement.verb in OUTSIDE_TRANSACTIONS:
            assert connection.execute(fill_in(statement, scratch)).statusmessage == statement.verb
            return
        # A block's statements build on each other: a check looks at what an UPDATE has done.
        for earlier in _earlier_in_block(statement):
            connection.execute(fill_in(earlier, scratch))
        cursor = connection.execute(fill_in(statement, scratch))
        assert cursor.rowcount > 0
        if cursor.description is not None:
            rows = cursor.fetchall()
            assert len(rows) > 1 or all(value != 0 for value in rows[0] if isinstance(value, int))
        connection.rollback()


def _earlier_in_block(statement: Statement) -> list[Statement]:
    return [
        each
        for each in SOUND
        if (each.runbook, each.block) == (statement.runbook, statement.block)
        and each.line < statement.line
        and each.verb in CHANGING
    ]


def test_the_query_for_index_usage_names_columns_that_the_view_does_not_have(
    filled_database: str, scratch: Path
) -> None:
    fault = STATEMENT_FAULTS["001:1747"]
    query = fill_in(BY_PLACE[fault.place], scratch)
    with psycopg.connect(filled_database) as connection:
        with pytest.raises(psycopg.errors.UndefinedColumn) as refusal:
            connection.execute(query)
        connection.rollback()
        assert fault.symptom in str(refusal.value)
        rows = connection.execute(fault.correct(query.decode()).encode()).fetchall()
    assert {"outbound_message", "outbound_attempt"} <= {relname for _, relname, *_ in rows}


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.prove.__name__)
def test_the_statement_has_the_effect_that_the_runbook_promises(
    effect: Effect, bench: Bench
) -> None:
    effect.prove(bench)
    # What a runbook may do is no damage to whoever looks for damage.
    assert find_contradictions(bench.connection) == set()


def test_every_statement_that_changes_something_has_its_effect_proved() -> None:
    changing = {each.place for each in SOUND if each.verb in CHANGING}
    assert {place for effect in EFFECTS for place in effect.places} == changing


def test_every_script_that_uses_the_database_is_tried() -> None:
    sound = {
        "monitor-retry-progress.sh",
        "archive-old-dlq-messages.sh",
        "create-queue-backup.sh",
        "retry-messages.sh",
        "analyze-dlq.sh",
    }
    assert SCRIPTS.keys() == sound | SCRIPT_FAULTS.keys()


@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        ("monitor-retry-progress.sh", r"SENT +\| +1 "),
        ("archive-old-dlq-messages.sh", r"aws s3 cp \S+/dlq_archive_\d+_\d+\.csv s3://"),
        ("create-queue-backup.sh", r"Backup created: outbound_queue_backup_\d+_\d+\.sql\.gz"),
        ("retry-messages.sh", r"curl .*/outbound/messages/7/retry\n$"),
        ("analyze-dlq.sh", r"Total DLQ Messages: 4\n"),
    ],
)
def test_the_script_works_unchanged(name: str, evidence: str, stage: Stage) -> None:
    run = stage.run(SCRIPTS[name].text)
    assert (run.status, run.complaints) == (0, "")
    assert re.search(evidence, run.output + "".join(f"{call}\n" for call in run.calls))


@pytest.mark.parametrize(
    "name", ["force-retry-stuck-messages.sh", "bulk-retry-temporary-failures.sh"]
)
def test_the_script_that_counts_under_set_e_stops_after_the_first_message(
    name: str, stage: Stage
) -> None:
    with psycopg.connect(stage.database_url) as connection:
        connection.execute(
            "UPDATE outbound_message SET created_at = now(), error_code = '1' WHERE id IN (2, 4)"
        )
        connection.execute(
            "UPDATE outbound_message SET status = 'SENDING', updated_at = now() - interval '1 hour'"
            " WHERE id IN (10, 12)"
        )
    fault = SCRIPT_FAULTS[name]
    as_written = stage.run(SCRIPTS[name].text)
    assert (as_written.status, len(as_written.calls)) == (1, 1)
    corrected = stage.run(fault.correct(SCRIPTS[name].text))
    assert (corrected.status, len(corrected.calls)) == (0, 3)
    assert "Success: 3" in corrected.output


def test_the_export_script_says_complete_and_exports_nothing(stage: Stage) -> None:
    name = "export-dlq-messages.sh"
    as_written = stage.run(SCRIPTS[name].text)
    assert SCRIPT_FAULTS[name].symptom in as_written.complaints
    assert list(as_written.directory.glob("dlq_export_*.csv")) == []
    assert as_written.status == 0
    corrected = stage.run(SCRIPT_FAULTS[name].correct(SCRIPTS[name].text))
    [file] = corrected.directory.glob("dlq_export_*.csv")
    numbers = [line.partition(",")[0] for line in file.read_text("utf-8").splitlines()]
    assert numbers == ["id", "8", "3", "6", "5"]
    assert (corrected.status, corrected.complaints) == (0, "")


def test_the_webhook_monitor_trips_over_its_own_zero(stage: Stage) -> None:
    name = "monitor-webhook-health.sh"
    as_written = stage.run(SCRIPTS[name].text)
    assert as_written.complaints.count(SCRIPT_FAULTS[name].symptom) == 2
    corrected = stage.run(SCRIPT_FAULTS[name].correct(SCRIPTS[name].text))
    assert (corrected.status, corrected.complaints) == (0, "")
    assert corrected.output.count("Signature failures (last 5 min): 0") == 2
