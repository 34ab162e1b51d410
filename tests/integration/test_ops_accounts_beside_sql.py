"""Commands for quotas and secrets beside the runbooks' own statements: the same end, and undone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import tuple_row

from tests.ops_parts import Operator
from tests.runbooks.bench import fill_world, seat
from tests.runbooks.extraction import extract_statements
from tests.runbooks.source import read_runbooks, runbook_directory

if not runbook_directory().is_dir():
    pytest.skip(f"No runbooks in {runbook_directory()}", allow_module_level=True)

STATEMENTS = {
    statement.place: statement
    for number, text in read_runbooks(runbook_directory()).items()
    for statement in extract_statements(number, text)
}
KEY, SECRET = "ENCRYPTION-KEY", "NEW-SECRET-HERE"

_QUOTAS = "SELECT org_id, messages_sent_count, quota_limit, reset_at, throttle_until"


@dataclass(frozen=True)
class Pair:
    """A statement, the command that replaces it, and what must be the same after either."""

    place: str
    command: tuple[str, ...]
    question: str


PAIRS = [
    Pair(
        "001:600",
        ("quota", "raise", "ORG-ID-HERE", "5000"),
        f"{_QUOTAS}, updated_by LIKE 'ops-%' FROM whatsapp_rate_limit ORDER BY org_id",
    ),
    Pair(
        "001:1706",
        ("quota", "reset", "ORG-ID-HERE"),
        "SELECT org_id, messages_sent_count, quota_limit, throttle_until,"
        " CASE WHEN updated_by LIKE 'ops-%' THEN reset_at - updated_at END"
        " FROM whatsapp_rate_limit ORDER BY org_id",
    ),
    Pair(
        "002:326",
        ("quota", "lower", "ORG_ID", "--factor", "0.5"),
        f"{_QUOTAS} FROM whatsapp_rate_limit ORDER BY org_id",
    ),
    # One moves updated_at ahead, the other scheduled_at; the sender goes by due_at.
    Pair(
        "002:334",
        ("quota", "defer", "--hours", "4"),
        "SELECT id, status, attempt_count, priority, due_at = due_since,"
        " due_at BETWEEN now() + interval '3 hours 59 minutes' AND now() + interval '4 hours'"
        " FROM outbound_message ORDER BY id",
    ),
]


def _look(connection: psycopg.Connection[Any], question: str) -> list[tuple[Any, ...]]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(question.encode()).fetchall()


@pytest.mark.parametrize("pair", PAIRS, ids=[pair.place for pair in PAIRS])
def test_a_command_ends_as_the_statement_does(pair: Pair, database: str, tmp_path: Path) -> None:
    ops = Operator(database)
    with psycopg.connect(database, autocommit=True) as connection:
        fill_world(connection)
        bench = seat(connection, STATEMENTS, tmp_path)
        before = _look(connection, pair.question)
        with connection.transaction(force_rollback=True):
            touched = bench.run(pair.place).rowcount
            by_hand = _look(connection, pair.question)
        assert _look(connection, pair.question) == before != by_hand
        done = ops.change(*pair.command)
        assert done["changed"] == touched > 0
        assert _look(connection, pair.question) == by_hand
        ops.change("undo", done["operation"])
        assert _look(connection, pair.question) == before


def test_a_rotation_ends_as_the_statement_does(database: str, tmp_path: Path) -> None:
    question = (
        "SELECT org_id, phone_number_id, enabled, previous_webhook_secret_encrypted,"
        f" outbound_decrypt(webhook_secret_encrypted, '{KEY}'),"
        " previous_webhook_secret_until - updated_at, updated_by LIKE 'ops-%'"
        " FROM whatsapp_provider_config ORDER BY org_id"
    )
    file = tmp_path / "secret"
    file.write_text(SECRET)
    ops = Operator(database)
    with psycopg.connect(database, autocommit=True) as connection:
        fill_world(connection)
        stored = "SELECT webhook_secret_encrypted FROM whatsapp_provider_config WHERE org_id = %s"
        before = ops.ask(stored, "ORG-ID-HERE")
        with connection.transaction(force_rollback=True):
            assert seat(connection, STATEMENTS, tmp_path).run("001:722").rowcount == 1
            by_hand = _look(connection, question)
        assert (SECRET, True) in [(row[4], row[6]) for row in by_hand]
        # The world's present secret is none that anybody encrypted.
        command = ("secret", "rotate", "ORG-ID-HERE", "--secret-file", file, "--force")
        done = ops.change(*command, OUTBOUND_SECRETS_KEY=KEY)
        assert _look(connection, question) == by_hand
    ops.change("undo", done["operation"])
    # The newer one goes on being accepted, as 001 wants it of any that is replaced.
    assert ops.execute(
        "SELECT webhook_secret_encrypted, outbound_decrypt(previous_webhook_secret_encrypted, %s)"
        " FROM whatsapp_provider_config WHERE org_id = 'ORG-ID-HERE'",
        KEY,
    ) == [(before, SECRET)]
