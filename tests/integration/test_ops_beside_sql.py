"""Commands beside the runbooks' own statements: on two equal outboxes they come to the same end.

What differs is what a command does better: it stamps who asked, and keeps what an undo needs.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from operations.procedures import PROCEDURES
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.ops_parts import Operator
from tests.runbooks.bench import seat
from tests.runbooks.clones import open_clone, open_world
from tests.runbooks.extraction import extract_statements
from tests.runbooks.source import read_runbooks, runbook_directory

if not runbook_directory().is_dir():
    pytest.skip(f"No runbooks in {runbook_directory()}", allow_module_level=True)

STATEMENTS = {
    statement.place: statement
    for number, text in read_runbooks(runbook_directory()).items()
    for statement in extract_statements(number, text)
}

PAIRS = [
    ("000:776", ["stuck", "release"]),
    ("001:1674", ["stuck", "release", "--minutes", "30"]),
    ("002:415", ["stuck", "release", "--minutes", "10"]),
    ("000:813", ["stuck", "release", "--what", "overdue"]),
    ("001:1074", ["retry", "--mode", "dlq"]),
    ("002:185", ["retry", "--codes", "TEMPORARY_ERROR"]),
]
"""Statements with the command that replaces each."""

_PICTURE = (
    "SELECT to_jsonb(m) - ARRAY['updated_at', 'updated_by', 'due_at', 'due_since']"
    " FROM outbound_message AS m ORDER BY id"
)


@pytest.fixture(scope="module")
def world(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    with open_world(postgres_server, template_database, "ops_world") as name:
        yield name


@pytest.mark.parametrize(("place", "command"), PAIRS, ids=[place for place, _ in PAIRS])
def test_a_command_ends_as_the_statement_does(
    postgres_server: EmbeddedPostgres, world: str, place: str, command: list[str]
) -> None:
    scratch = Path(tempfile.gettempdir())
    with (
        open_clone(postgres_server, world, "ops_by_hand") as by_hand,
        open_clone(postgres_server, world, "ops_by_command") as by_command,
    ):
        with psycopg.connect(by_hand, autocommit=True) as connection:
            start: list[Any] = connection.execute(_PICTURE).fetchall()
            touched = seat(connection, STATEMENTS, scratch).run(place).rowcount
        ops = Operator(by_command)
        done = ops.change(*command)
        assert done["changed"] == touched > 0
        assert ops.execute(_PICTURE) == Operator(by_hand).execute(_PICTURE)
        stamped = "SELECT count(*) FROM outbound_message WHERE updated_by = %s"
        assert ops.ask(stamped, done["updated_by"]) == touched
        ops.change("undo", done["operation"])
        assert ops.execute(_PICTURE) == start


def test_the_statements_of_the_page_find_what_they_change(
    postgres_server: EmbeddedPostgres, world: str
) -> None:
    with (
        open_clone(postgres_server, world, "ops_page") as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        for procedure in PROCEDURES:
            if not procedure.sql or procedure.sql.startswith(("VACUUM", "REINDEX")):
                continue
            with connection.transaction(force_rollback=True):
                rows = 0
                for statement in procedure.sql.split(";\n"):
                    rows += connection.execute(statement.encode()).rowcount
            assert rows > 0, f"{procedure.place} finds nothing"
