"""Each command leaves behind what the runbook's own statement does, and can be taken back."""

from pathlib import Path

import psycopg
import pytest
from psycopg.rows import tuple_row
from typer.testing import CliRunner

from operations.commands import app
from tests.runbooks.bench import fill_world, seat
from tests.runbooks.commands import PAIRS, Pair
from tests.runbooks.extraction import extract_statements
from tests.runbooks.source import DIRECTORY_VARIABLE, read_runbooks, runbook_directory

if not runbook_directory().is_dir():
    pytest.skip(
        f"No runbooks in {runbook_directory()}; set {DIRECTORY_VARIABLE} to test their SQL",
        allow_module_level=True,
    )

STATEMENTS = {
    statement.place: statement
    for number, text in read_runbooks(runbook_directory()).items()
    for statement in extract_statements(number, text)
}


def run(database: str, *arguments: str, stdin: str = "") -> None:
    environment = {"DATABASE_URL": database, "OUTBOUND_SECRETS_KEY": "ENCRYPTION-KEY"}
    done = CliRunner().invoke(app, [*arguments, "--yes"], env=environment, input=stdin)
    assert (done.exit_code, done.exception) == (0, None), done.output


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.place} {pair.arguments[0]}")
def test_the_command_leaves_behind_what_the_statement_does(
    pair: Pair, database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        fill_world(connection)
        bench = seat(connection, STATEMENTS, tmp_path)

        def look() -> list[tuple[object, ...]]:
            with connection.cursor(row_factory=tuple_row) as cursor:
                return cursor.execute(pair.question.encode()).fetchall()

        before = look()
        with connection.transaction(force_rollback=True):
            assert bench.run(pair.place).rowcount >= 1
            by_hand = look()
        assert look() == before != by_hand
        run(database, *pair.arguments, stdin=pair.stdin)
        assert look() == by_hand
        run(database, "undo", find_latest(connection))
        if pair.place != "001:722":
            assert look() == before
        else:
            # The newer secret goes on being accepted, as 001 wants it of any that is replaced.
            assert [(row[0], row[4]) for row in look()] == [(row[0], row[4]) for row in before]


def find_latest(connection: psycopg.Connection[object]) -> str:
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT max(id)::text FROM outbound_operation")
        [(number,)] = cursor.fetchall()
    return str(number)
