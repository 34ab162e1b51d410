"""`ops backup`: a file that holds the queue at one instant, and is known to."""

import hashlib
import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.rollup.verification import verify
from operations.tables import BACKED_UP
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from tests.integration.sending import (
    NUMBER,
    PROGRAM,
    Sending,
    own_environment,
    template_message,
    wait_until,
)
from tests.ops_backup_parts import (
    fill_outbox,
    find_client,
    make_client,
    make_halting_client,
    make_late_client,
    make_lossy_client,
    make_recording_client,
    make_watching_client,
)
from tests.ops_parts import Operator
from tests.ops_schemas import check_printed

RESTORE = ("--data-only", "--disable-triggers", "--single-transaction", "--exit-on-error")


@pytest.fixture(scope="module")
def operator(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[Operator]:
    database = postgres_server.create_database("ops_backup", template=template_database)
    found = Operator(database)
    fill_outbox(found)
    yield found
    postgres_server.drop_database("ops_backup")


@pytest.fixture(scope="module")
def made(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a backup of all that, once."""
    printed = operator.run("backup", "create", "--to", tmp_path_factory.mktemp("made"), "--json")
    assert printed.code == 0, printed
    check_printed("backup-create", printed.json())
    return Path(printed.json()["file"])


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """Copy it, to be spoilt."""
    for name in (made.name, f"{made.name}.json"):
        (tmp_path / name).write_bytes(made.with_name(name).read_bytes())
    return tmp_path / made.name


def read_all(operator: Operator, table: str) -> list[tuple[Any, ...]]:
    return operator.execute(f"SELECT to_jsonb(t) FROM {table} AS t ORDER BY to_jsonb(t)::text")


def change_manifest(backup: Path, **changes: object) -> None:
    beside = backup.with_name(f"{backup.name}.json")
    beside.write_text(json.dumps(json.loads(beside.read_text("utf-8")) | changes))


def test_what_was_backed_up_is_restored_row_for_row(
    operator: Operator, made: Path, database: str
) -> None:
    restored, client = Operator(database), find_client()
    assert all(operator.ask(f"SELECT count(*) FROM {table}") for table in BACKED_UP)

    restored.execute("TRUNCATE outbound_switch")
    told = client.run("pg_restore", *RESTORE, f"--dbname={database}", str(made))

    assert told.returncode == 0, told.stderr
    for table in BACKED_UP:
        before = read_all(operator, table)
        if table == "outbound_operation":
            before = [row for row in before if row[0]["command"] == "retry"]
        assert read_all(restored, table) == before, table
    # Numbers go on after the last one.
    after = restored.add(1, status="QUEUED", attempts=0)
    assert after[0] > operator.ask("SELECT max(id) FROM outbound_message")
    verify(database, repair=True)
    assert verify(database, repair=False).sound


def test_the_help_tells_how_to_restore(operator: Operator) -> None:
    told = " ".join(operator.run("backup", "create", "--help").out.replace("│", " ").split())

    assert "psql --dbname=NAME --command='TRUNCATE outbound_switch'" in told
    assert f"pg_restore {' '.join(RESTORE)} --dbname=NAME FILE" in told


def test_the_manifest_tells_what_is_in_the_file(operator: Operator, made: Path) -> None:
    manifest = json.loads(made.with_name(f"{made.name}.json").read_text("utf-8"))

    assert list(manifest["tables"]) == [*BACKED_UP]
    assert manifest["tables"]["outbound_message"] == 40
    assert manifest["sha256"] == hashlib.sha256(made.read_bytes()).hexdigest()
    assert manifest["migrations"]["outbound_slo"] == operator.ask(
        "SELECT max(name) FROM outbound_slo_migration WHERE component = 'outbound_slo'"
    )
    assert manifest["server_version"].startswith(operator.ask("SHOW server_version").split()[0])


def test_only_the_owner_may_read_it_and_nothing_else_lies_there(made: Path) -> None:
    assert sorted(each.name for each in made.parent.iterdir()) == [made.name, f"{made.name}.json"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in made.parent.iterdir()} == {0o600}


def test_a_good_backup_is_sound(operator: Operator, made: Path) -> None:
    printed = operator.run("backup", "check", made)
    as_json = operator.run("backup", "check", made, "--json")

    assert printed.code == 0
    assert printed.out.startswith(f"Sound: {len(BACKED_UP)} tables, ")
    assert as_json.json()["sound"] is True
    check_printed("backup-check", as_json.json())


def test_a_truncated_file_is_refused(operator: Operator, copied: Path) -> None:
    whole = copied.read_bytes()
    copied.write_bytes(whole[:-100])

    printed = operator.run("backup", "check", copied)

    assert printed.code == 1
    assert printed.out == (
        f"Not sound: {copied.name}: it has {len(whole) - 100:,} bytes and had {len(whole):,}.\n"
    )
    # Whoever mends the manifest as well does not get through either.
    change_manifest(copied, bytes=len(whole) - 100, sha256=hashlib.sha256(whole[:-100]).hexdigest())
    printed = operator.run("backup", "check", copied)
    assert printed.code == 1
    assert "pg_restore cannot read it" in printed.out


def test_an_altered_file_is_refused(operator: Operator, copied: Path) -> None:
    altered = bytearray(copied.read_bytes())
    altered[len(altered) // 2] ^= 1
    copied.write_bytes(altered)

    printed = operator.run("backup", "check", copied, "--json")

    assert printed.code == 1
    assert printed.json()["faults"] == ["its checksum is another one"]


@pytest.mark.parametrize(
    ("tables", "fault"),
    [
        ({"outbound_message": 41}, "outbound_message has 40 rows and had 41"),
        ({"outbound_rollup": 1}, "it lacks outbound_rollup"),
    ],
)
def test_rows_and_tables_are_counted(
    operator: Operator, copied: Path, tables: Mapping[str, int], fault: str
) -> None:
    change_manifest(copied, tables=tables)

    printed = operator.run("backup", "check", copied, "--json")

    assert (printed.code, printed.json()["faults"]) == (1, [fault])


def test_without_a_manifest_nothing_can_be_said(operator: Operator, copied: Path) -> None:
    beside = copied.with_name(f"{copied.name}.json")
    beside.write_text("[]")
    assert "is no manifest" in operator.run("backup", "check", copied).err
    beside.unlink()
    printed = operator.run("backup", "check", copied)
    assert printed.code == 2
    assert "There is no file" in printed.err


def test_a_dry_run_shows_tables_rows_and_size_and_writes_nothing(
    operator: Operator, tmp_path: Path
) -> None:
    operator.execute("ANALYZE")

    printed = operator.run("backup", "create", "--to", tmp_path, "--dry-run")
    as_json = operator.run("backup", "create", "--to", tmp_path, "--dry-run", "--json")

    assert printed.code == as_json.code == 0
    assert "Dry run: nothing was written." in printed.out
    assert {each["table"]: each["rows"] for each in as_json.json()["tables"]}["dossier"] == 2
    assert as_json.json()["bytes_at_most"] > 0
    assert not list(tmp_path.iterdir())


def test_no_snapshot_is_held_while_the_file_is_read_back(
    operator: Operator, tmp_path: Path
) -> None:
    client = make_watching_client(tmp_path / "bin", operator.database, tmp_path / "held")

    printed = operator.run("backup", "create", "--to", tmp_path, **client)

    assert printed.code == 0, printed
    assert set((tmp_path / "held").read_text().split()) == {"0"}


def test_a_dry_run_counts_no_rows(operator: Operator, tmp_path: Path) -> None:
    operator.execute("ANALYZE")
    operator.execute("UPDATE pg_class SET reltuples = 77 WHERE relname = 'dossier'")

    dry = operator.run("backup", "create", "--to", tmp_path, "--dry-run", "--json").json()

    operator.execute("ANALYZE dossier")
    assert {each["table"]: each["rows"] for each in dry["tables"]}["dossier"] == 77


def test_the_password_is_no_argument(operator: Operator, tmp_path: Path) -> None:
    url = operator.database.replace("postgres@", "postgres:s3cret%20word@")
    client = make_recording_client(tmp_path / "bin", tmp_path / "called")

    printed = operator.run("backup", "create", "--to", tmp_path, DATABASE_URL=url, **client)

    assert printed.code == 0, printed
    assert "s3cret" not in (tmp_path / "called").read_text()
    assert (tmp_path / "called.password").read_text() == "s3cret word\n"
    assert "s3cret" not in printed.out
    assert not any("s3cret" in each.read_text("utf-8") for each in tmp_path.glob("*.json"))


def test_what_comes_after_the_count_is_not_dumped(operator: Operator, tmp_path: Path) -> None:
    late = "INSERT INTO dossier (org_id) VALUES ('late')"
    client = make_late_client(tmp_path / "bin", late)

    printed = operator.run("backup", "create", "--to", tmp_path, "--json", **client)

    assert printed.code == 0, printed
    assert printed.json()["manifest"]["tables"]["dossier"] == 2
    assert operator.execute("DELETE FROM dossier WHERE org_id = 'late' RETURNING 1") == [(1,)]


def test_a_dump_that_lacks_something_never_gets_its_name(
    operator: Operator, tmp_path: Path
) -> None:
    client = make_lossy_client(tmp_path / "bin", "message")
    (tmp_path / "to").mkdir()

    printed = operator.run("backup", "create", "--to", tmp_path / "to", **client)

    assert printed.code == 2
    assert printed.err == (
        "The backup is not what it should be: it lacks message. It was removed; try again\n"
    )
    assert not list((tmp_path / "to").iterdir())


def test_programs_that_are_missing_or_older_than_the_server_are_told(
    operator: Operator, tmp_path: Path
) -> None:
    old = make_client(tmp_path / "old", version="9.6.24")
    none = {"PATH": "", "OUTBOUND_SLO_IGNORE_INSTALLED": "1", "OUTBOUND_SLO_CACHE": str(tmp_path)}

    assert (
        "pg_dump 9.6 is older than the server"
        in operator.run("backup", "create", "--to", tmp_path, **old).err
    )
    assert operator.run("backup", "create", "--to", tmp_path, **none).err == (
        "There is no pg_dump with a pg_restore on this machine. Install PostgreSQL's client"
        " programs, or name their directory in OUTBOUND_SLO_POSTGRESQL_BIN\n"
    )


def test_a_failed_dump_leaves_nothing_and_is_written_down(
    operator: Operator, tmp_path: Path
) -> None:
    client = make_client(tmp_path / "bin", dump='echo "pg_dump: error: disk full" >&2; exit 1')
    (tmp_path / "to").mkdir()

    printed = operator.run("backup", "create", "--to", tmp_path / "to", **client)

    assert printed.code == 2
    assert printed.err.startswith("pg_dump failed: disk full. ")
    assert not list((tmp_path / "to").iterdir())
    assert operator.execute(
        "SELECT command, operator, state FROM outbound_operation ORDER BY id DESC LIMIT 1"
    ) == [("backup create", "ana", "FAILED")]


def test_a_directory_that_is_none_is_told(operator: Operator, tmp_path: Path) -> None:
    printed = operator.run("backup", "create", "--to", tmp_path / "none")

    assert (printed.code, printed.err) == (
        2, f"{tmp_path}/none is no directory. Make it: mkdir -p {tmp_path}/none\n",
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_cut_short_it_leaves_no_half_file_under_the_final_name(
    operator: Operator, tmp_path: Path, number: signal.Signals
) -> None:
    to, pid_file = tmp_path / "to", tmp_path / "pid"
    to.mkdir()
    client = make_halting_client(tmp_path / "bin", pid_file)
    environment = own_environment(DATABASE_URL=operator.database, OUTBOUND_OPERATOR="ben", **client)
    command = [PROGRAM, "ops", "backup", "create", "--to", str(to)]

    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as child:
        wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()), "a dump under way")
        child.send_signal(number)
        # pg_dump has its standard error elsewhere, so ours ends with us.
        _, told = child.communicate()

    left = [each.name for each in to.iterdir()]
    if number is signal.SIGTERM:
        assert (child.returncode, left) == (130, [])
        assert "no backup was made" in told
    else:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        assert [name.endswith(".dump.partial") for name in left] == [True]
    state = "INTERRUPTED" if number is signal.SIGTERM else "RUNNING"
    assert (
        operator.ask(
            "SELECT state FROM outbound_operation WHERE operator = 'ben' ORDER BY id DESC LIMIT 1"
        )
        == state
    )

    printed = operator.run("backup", "create", "--to", to, "--json")

    assert printed.code == 0
    assert len(list(to.iterdir())) == 2
    assert ("which a killed backup had left" in printed.err) == (number is signal.SIGKILL)


def test_senders_are_not_disturbed(database: str, tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        numbers = [f"{NUMBER[:-3]}{n:03}" for n in range(200)]
        sending.allow(*numbers)
        sending.start_simulator()
        sending.start_sender()
        queued = sending.queue(*(template_message(number) for number in numbers))
        wait_until(lambda: sending.ledger()["accepted"] > 0, "the first message")
        printed = Operator(database).run("backup", "create", "--to", tmp_path, "--json")
        wait_until(lambda: set(sending.statuses(queued)) == {("DELIVERED", None)}, "every delivery")
        assert sending.ledger()["duplicates"] == 0

    assert printed.code == 0, printed
    assert printed.json()["manifest"]["tables"]["outbound_message"] == 200
