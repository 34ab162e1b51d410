"""What docs/exporter.md says can be done as it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from exporter.loader import load_pack, pack_schema
from outbound_slo.database import core_migrations, migrate
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.errors import ErrorPolicy
from tests.exporter_parts import open_service, pick, refresh_and_read, run_exporter, total

DOCS = Path(__file__).parents[2] / "docs"
MANUAL = DOCS.joinpath("exporter.md").read_text("utf-8")
PACKS = DOCS.joinpath("packs.md").read_text("utf-8")


def read_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)


def test_the_rights_of_the_manual_are_all_that_the_exporter_needs(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    (grants,) = [block for block in read_blocks("sql") if "GRANT" in block]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(grants.encode())
        connection.execute(
            "INSERT INTO outbound_event_delta (kind, channel, outcome, events)"
            " VALUES ('attempt', 'SMS', 'SENT', 5)"
        )
        role = database.replace("postgres@", "outbound_exporter@")
        try:
            with open_service(role) as service:
                numbers = refresh_and_read(service)
        finally:
            left = connection.execute("SELECT count(*) FROM outbound_event_delta").fetchone()
            connection.execute("DROP OWNED BY outbound_exporter")
            connection.execute("DROP ROLE outbound_exporter")

    assert set(pick(numbers, "outbound_exporter_query_success").values()) == {1.0}
    assert total(numbers, "outbound_attempts_total", channel="sms", outcome="sent") == 5
    assert left == (0,)
    assert caplog.messages == []


def _shell(line: str, folder: Path, database: str) -> subprocess.CompletedProcess[str]:
    """Type a line into a shell that finds the commands of this environment."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=os.environ | {"DATABASE_URL": database, "PATH": path, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_five_minutes_of_the_manual_go_as_they_are_written(
    empty_database: str, tmp_path: Path
) -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PACKS, re.MULTILINE | re.DOTALL)
    typed = 0
    for language, text in blocks:
        if language == "console":
            for transcript in text.split("$ ")[1:]:
                line, _, answer = transcript.partition("\n")
                assert _shell(line, tmp_path, empty_database).stdout == answer, line
                typed += 1
        elif language == "yaml":
            tmp_path.joinpath("shop", "pack.yml").write_text(text)
        elif language == "sql" and "-- name:" in text:
            tmp_path.joinpath("shop", "shop.sql").write_text(text)
        elif language == "sql":
            with psycopg.connect(empty_database) as connection:
                connection.execute(text.encode())

    assert typed == 7


def test_the_manual_lists_every_key_of_the_schema_and_no_other() -> None:
    definitions = pack_schema()["$defs"]
    keys = set(definitions["query"]["properties"]) | set(definitions["metric"]["properties"])
    tables = PACKS.partition("### Queries")[2].partition("### Databases")[0]
    listed = {
        key.partition(".")[0]
        for row in re.findall(r"^\| ([^|]+) \|", tables, re.MULTILINE)
        for key in re.findall(r"`([a-z_.]+)`", row)
    }

    assert listed == keys


def test_the_age_that_the_manual_names_is_the_packs() -> None:
    ages = {metric.absent_after_s for metric in load_pack("outbound", ErrorPolicy.RUNBOOK).metrics}

    assert ages == {60.0}
    assert "`absent_after_s` seconds (60 unless" in MANUAL
    assert ExporterSettings.model_fields["host"].default == "127.0.0.1"


def test_tables_of_ones_own_need_two_columns_and_the_rollup(empty_database: str) -> None:
    rollup = DOCS.joinpath("rollup.md").read_text("utf-8")
    (alter,) = re.findall(r"^```sql\n(ALTER .*?)^```", rollup, re.MULTILINE | re.DOTALL)
    migrate(empty_database, core_migrations()[:1])
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE outbound_message DROP COLUMN due_at CASCADE, DROP COLUMN due_since CASCADE"
        )
        connection.execute(
            "INSERT INTO outbound_message (org_id, channel, to_recipient, template_code)"
            " VALUES ('o', 'SMS', '+33612345678', 'x')"
        )
        # Somebody else made these tables.
        connection.execute("DELETE FROM outbound_slo_migration")
        refused = run_exporter(empty_database, "rollup", "install")
        connection.execute(alter.encode())
        installed = run_exporter(empty_database, "rollup", "install")
        # The message has been due since the columns were added.
        connection.execute("UPDATE outbound_message SET due_at = now() - interval '1 hour'")
    shown = run_exporter(empty_database, "--once")
    removed = run_exporter(empty_database, "rollup", "remove", "--yes")
    with psycopg.connect(empty_database) as connection:
        views = connection.execute("SELECT to_regclass('outbound_message_waiting')").fetchall()

    assert refused.returncode == 2
    assert "docs/rollup.md" in refused.stderr
    assert installed.returncode == 0, installed.stderr
    assert 'outbound_message_queue_depth_by_channel{channel="sms",status="queued"} 1.0' in (
        shown.stdout
    )
    assert 'outbound_dead_letters{channel="sms"' in shown.stdout
    assert 'outbound_attempts_total{channel="sms"' in shown.stdout
    assert 'outbound_messages_stuck{channel="sms",status="queued",reason="overdue"} 1.0' in (
        shown.stdout
    )
    due = 'outbound_oldest_message_age_seconds{channel="sms",state="due"} '
    assert float(shown.stdout.partition(due)[2].split()[0]) >= 3600
    assert removed.returncode == 0, removed.stderr
    assert views == [(None,)]
