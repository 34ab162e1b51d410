"""The command line as a user meets it: real processes, one clear line for each mistake."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from outbound_slo.cli import COMMANDS, load_command
from outbound_slo.schema import all_migrations
from tests.integration.sending import PROGRAM, own_environment

ROOT = Path(__file__).parents[2]
ENQUEUE = ["enqueue", "--to", "+33612345678", "--org", "o", "--template", "reminder"]


def _run(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    base = own_environment(NO_COLOR="1", COLUMNS="100")
    base.pop("DATABASE_URL", None)
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env=base | dict(environment or {}),
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["db", "migrate"], {}, "DATABASE_URL is not set"),
        (
            ["db", "migrate"],
            {"DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/x"},
            "Cannot connect to the database 127.0.0.1:1/x",
        ),
        (
            ["sender"],
            {"DATABASE_URL": "x", "OUTBOUND_WORKR_BATCH_SIZE": "1"},
            "Did you mean OUTBOUND_WORKER_BATCH_SIZE",
        ),
        (
            ["enqueue", "--to", "0612345678", "--org", "o", "--text", "x"],
            {"DATABASE_URL": "postgresql://127.0.0.1:1/x"},
            "Cannot connect",
        ),
        (
            ["enqueue", "--to", "+33612345678", "--org", "o", "--channel", "fax"],
            {},
            "'fax' is no channel",
        ),
        ([*ENQUEUE, "--priority", "asap"], {}, "--priority 'asap' is no priority"),
        ([*ENQUEUE, "--expires-in", "soon"], {}, "--expires-in 'soon' is no length of time"),
        (["generate", "--root", "/usr"], {}, "/usr is no checkout"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], environment: dict[str, str], said: str
) -> None:
    ended = _run(*arguments, environment=environment)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert "hush" not in ended.stderr


def test_an_empty_database_is_migrated_once_and_its_state_is_told(empty_database: str) -> None:
    there = {"DATABASE_URL": empty_database}
    before = _run("db", "status", environment=there)
    assert before.returncode == 1
    assert before.stdout.count("missing") == len(all_migrations())
    first = _run("db", "migrate", environment=there)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("applied") == len(all_migrations())
    assert "has every migration" in _run("db", "migrate", environment=there).stdout
    assert _run("db", "status", environment=there).returncode == 0


def test_a_message_is_queued_once_for_one_key(database: str) -> None:
    command = ["enqueue", "--to", "+33612345678", "--org", "org", "--template", "reminder"]
    command += ["--parameter", "Ann", "--parameter", "9:00", "--key", "k1", "--json"]
    first, second = (_run(*command, environment={"DATABASE_URL": database}) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout == '{"id": 1}\n'
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT channel, template_code, payload_json, status FROM outbound_message"
        ).fetchall()
    assert rows == [("WHATSAPP", "reminder", {"parameters": ["Ann", "9:00"]}, "QUEUED")]


def test_a_message_carries_what_the_command_line_says_of_it(database: str) -> None:
    ended = _run(
        *ENQUEUE,
        *("--priority", "urgent", "--at", "2030-01-01T09:00:00+01:00", "--max-attempts", "2"),
        *("--expires-at", "2030-01-01T08:30:00Z", "--override-quiet-hours"),
        *("--language", "fr", "--parameter", "Ada"),
        environment={"DATABASE_URL": database},
    )
    assert ended.returncode == 0, ended.stderr
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT priority, max_attempts, quiet_hours_override, payload_json,"
            " scheduled_at = '2030-01-01 08:00Z', expires_at - scheduled_at = interval '30 minutes'"
            " FROM outbound_message"
        ).fetchone()
    assert row == (0, 2, True, {"language": "fr", "parameters": ["Ada"]}, True, True)


def test_a_sender_without_an_outbox_says_what_to_do(empty_database: str) -> None:
    ended = _run("sender", environment={"DATABASE_URL": empty_database})
    assert ended.returncode == 2
    assert "Run 'outbound-slo db migrate' first" in ended.stderr


def test_a_database_without_the_outbox_refuses_a_message_in_one_line(empty_database: str) -> None:
    message = ("--to", "+33612345678", "--org", "o", "--template", "welcome")
    ended = _run("enqueue", *message, environment={"DATABASE_URL": empty_database})
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1
    assert 'relation "outbound_message" does not exist' in ended.stderr
    assert "outbound-slo db status" in ended.stderr


def test_tables_that_somebody_else_made_are_left_as_they_are(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE outbound_message (id bigint)")
    ended = _run("db", "migrate", environment={"DATABASE_URL": empty_database})
    assert ended.returncode == 2
    assert 'relation "outbound_message" already exists' in ended.stderr
    assert "use the exporter alone" in ended.stderr
    with psycopg.connect(empty_database) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
    assert ("outbound_attempt",) not in tables


def test_the_committed_generated_files_are_up_to_date() -> None:
    ended = _run("generate", "--check")
    assert ended.returncode == 0, ended.stderr


def test_every_command_is_explained_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert not [name for name in COMMANDS if f"outbound-slo {name}" not in readme]


def test_every_command_of_the_table_exists_and_explains_itself() -> None:
    listed = _run("--help")
    assert listed.returncode == 0, listed.stderr
    for name in COMMANDS:
        assert f" {name} " in listed.stdout
        assert load_command(name).name == name


def test_an_unknown_command_is_refused() -> None:
    ended = _run("demoo")
    assert ended.returncode == 2
    assert "demoo" in ended.stderr
