"""`ops maintenance`: what tables and indexes look like, and their care beside writers."""

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from operations.tables import TABLES, all_planned_indexes
from operations.upkeep import read_progress
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.integration.sending import PROGRAM, own_environment, wait_until
from tests.ops_parts import Operator, Printed
from tests.ops_schemas import check_printed

LOCK_TABLE = "LOCK TABLE outbound_attempt IN ROW EXCLUSIVE MODE"
NOTHING = "Nothing to mend.\n"


@pytest.fixture
def operator(database: str) -> Operator:
    return Operator(database)


@pytest.fixture(scope="module")
def settled(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[Operator]:
    """Give an outbox in which nothing is to be mended."""
    database = postgres_server.create_database("ops_settled", template=template_database)
    yield Operator(database)
    postgres_server.drop_database("ops_settled")


def read_json(printed: Printed, schema: str) -> dict[str, Any]:
    found: dict[str, Any] = printed.json()
    check_printed(schema, found)
    return found


def invalid_indexes(operator: Operator) -> list[str]:
    return [
        name
        for (name,) in operator.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1"
        )
    ]


def fill(operator: Operator, live: int, dead: int) -> None:
    operator.execute("ALTER TABLE whatsapp_template SET (autovacuum_enabled = off)")
    operator.execute(
        "INSERT INTO whatsapp_template (business_account_id, name, language)"
        " SELECT '1', 'template-' || n, 'fr' FROM generate_series(1, %s) AS n",
        live + dead,
    )
    operator.execute("DELETE FROM whatsapp_template WHERE split_part(name, '-', 2)::int > %s", live)
    wait_until(
        lambda: operator.ask(
            "SELECT n_dead_tup >= %s FROM pg_stat_user_tables WHERE relname = 'whatsapp_template'",
            dead,
        ),
        "statistics",
    )


def test_our_tables_are_those_of_the_migrations(settled: Operator) -> None:
    made = settled.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace ="
                           " 'public'::regnamespace")  # fmt: skip

    assert set(TABLES) == {name for (name,) in made}


def test_our_indexes_are_those_of_the_migrations(settled: Operator) -> None:
    made = settled.execute(
        "SELECT indexrelid::regclass::text, indrelid::regclass::text FROM pg_index AS i"
        " WHERE indrelid::regclass::text NOT LIKE 'pg\\_%%'"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)"
    )

    assert {(each.name, each.table) for each in all_planned_indexes()} == set(made)


def test_tables_without_trouble_want_nothing(settled: Operator) -> None:
    printed = settled.run("maintenance", "bloat")
    found = read_json(settled.run("maintenance", "bloat", "--json"), "maintenance-bloat")

    assert printed.code == 0
    assert printed.out == f"{len(TABLES)} tables below 1 MB are not shown (--all).\n{NOTHING}"
    assert found["advice"] == []


def test_dead_rows_over_the_line_are_told_with_the_command_that_mends_them(
    operator: Operator,
) -> None:
    fill(operator, 30_000, 20_000)

    printed = operator.run("maintenance", "bloat")
    narrow = Operator(operator.database, 60).run("maintenance", "bloat")

    assert printed.code == 1
    lines = [line.rstrip() for line in printed.out.splitlines()]
    heading = (
        " Table                 Size   Indexes     Live     Dead    %   Vacuumed   Analyzed   "
    )
    assert lines[:4] == ["Tables", "", f"{heading}Frozen", f" {'─' * 90}"]
    assert re.fullmatch(
        r" whatsapp_template   .* MB  .* MB   30,000   20,000   40   never      never         0 %",
        lines[4],
    )
    assert lines[6:] == [
        f"{len(TABLES) - 1} tables below 1 MB are not shown (--all).",
        "Mend: whatsapp_template: 40 % of its rows are dead",
        "      outbound-slo ops maintenance vacuum whatsapp_template",
        "Mend: whatsapp_template: it was never analyzed: the planner guesses",
        "      outbound-slo ops maintenance vacuum whatsapp_template",
    ]
    assert narrow.out.splitlines()[2].split() == ["Table", "Size", "Dead", "%", "Vacuumed"]
    assert max(map(len, narrow.out.splitlines())) <= 60

    done = operator.run("maintenance", "vacuum", "whatsapp_template", "--yes")

    assert done.code == 0
    assert re.fullmatch(
        r"whatsapp_template: \d+\.\d s, 20,000 dead rows, [\d.]+ MB\nOperation 1: 1 table done\.\n",
        done.out,
    )
    wait_until(lambda: operator.run("maintenance", "bloat").code == 0, "statistics")


def test_who_holds_vacuum_back_is_told(operator: Operator) -> None:
    with psycopg.connect(operator.database, application_name="report") as holder:
        holder.execute("SELECT txid_current()")
        pid = holder.info.backend_pid
        found = operator.run("maintenance", "bloat", "--json").json()
        assert [
            (each["kind"], each["name"], each["who"], each["state"]) for each in found["holders"]
        ] == [("transaction", str(pid), "report, postgres", "idle in transaction")]
        # A short one is no trouble; the line itself is tried in the unit tests.
        assert found["advice"] == []
        screen = operator.run("maintenance", "bloat").out
        assert "What vacuum must spare for" in screen
        fill(operator, 0, 10_000)
        done = operator.run("maintenance", "vacuum", "whatsapp_template", "--yes").out
        assert "10,000 remain (see 'bloat')" in done


def test_indexes_are_told_with_use_and_what_is_broken_missing_or_idle(operator: Operator) -> None:
    operator.execute("DROP INDEX idx_outbound_message_due")
    operator.execute("CREATE INDEX mine ON message (body)")
    operator.execute("INSERT INTO dossier (org_id, lead_name) VALUES ('org', 'x'), ('org', 'x')")
    with (
        psycopg.connect(operator.database, autocommit=True) as connection,
        pytest.raises(psycopg.errors.UniqueViolation),
    ):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY twice ON dossier (lead_name)")

    printed = operator.run("maintenance", "indexes")
    found = read_json(operator.run("maintenance", "indexes", "--json"), "maintenance-indexes")

    assert printed.code == 1
    assert re.search(r"\n dossier  +twice +0 B +0 +0 +INVALID\s*\n", printed.out)
    assert printed.out.endswith(
        "mine was never used on this server; no migration makes it. Perhaps:\n"
        "      DROP INDEX CONCURRENTLY public.mine\n"
        "Mend: twice is invalid: its build was cut short\n"
        "      outbound-slo ops maintenance reindex dossier\n"
        "Mend: idx_outbound_message_due is missing\n"
        "      CREATE INDEX CONCURRENTLY idx_outbound_message_due ON outbound_message (due_at, id)"
        " WHERE status = 'QUEUED'\n"
    )
    assert [each["name"] for each in found["missing"]] == ["idx_outbound_message_due"]
    operator.execute("UPDATE dossier SET lead_name = id::text")
    [statement] = [each["statement"] for each in found["missing"]]
    with psycopg.connect(operator.database, autocommit=True) as connection:
        connection.execute(statement)

    done = operator.run("maintenance", "reindex", "dossier", "--yes", "--json")

    assert read_json(done, "maintenance-work")["tables"][0]["repaired"] == ["twice"]
    assert operator.run("maintenance", "indexes").code == 0


@pytest.mark.parametrize("command", ["vacuum", "reindex"])
def test_a_dry_run_lists_and_does_nothing(settled: Operator, command: str) -> None:
    printed = settled.run("maintenance", command, "message", "outbound_switch", "--dry-run")
    as_json = settled.run("maintenance", command, "message", "--dry-run", "--json")

    assert [line.split()[0] for line in printed.out.splitlines() if " kB " in line] == [
        "message", "outbound_switch",
    ]  # fmt: skip
    assert printed.out.endswith("Dry run: nothing was done.\n")
    assert read_json(as_json, "maintenance-work")["operation"] is None
    assert settled.ask("SELECT count(*) FROM outbound_operation") == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pg_class", "--yes"], "pg_class is no table of the outbox"),
        (["message"], "Nobody is here to say yes"),
        (["message", "--json"], "Nobody is here to say yes"),
    ],
)
def test_mistakes_are_told(settled: Operator, arguments: list[str], told: str) -> None:
    printed = settled.run("maintenance", "vacuum", *arguments)

    assert (printed.code, printed.out) == (2, "")
    assert printed.err.startswith(told)


def test_a_person_is_asked(operator: Operator) -> None:
    command = [PROGRAM, "ops", "maintenance", "vacuum", "message", "dossier"]
    environment = own_environment(DATABASE_URL=operator.database, OUTBOUND_OPERATOR="ana")
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        master, terminal = pty.openpty()
        with subprocess.Popen(
            command,
            env=environment,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
        ) as process:
            os.close(terminal)
            os.write(master, answer)
            out, _ = process.communicate()
        told = os.read(master, 65536)
        os.close(master)
        assert b"Vacuum 2 tables? [y/N]" in told
        assert (b"Nothing was done." in told) == (code == 1)
        assert (process.returncode, b"Operation 1: 2 tables done." in out) == (code, code == 0)


def test_a_role_that_may_not_vacuum_is_told(operator: Operator) -> None:
    operator.execute("DROP ROLE IF EXISTS onlooker")
    operator.execute("CREATE ROLE onlooker LOGIN")
    operator.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO onlooker")
    url = operator.database.replace("postgres@", "onlooker@")

    vacuum = operator.run("maintenance", "vacuum", "message", "--yes", DATABASE_URL=url)
    reindex = operator.run("maintenance", "reindex", "message", "--yes", DATABASE_URL=url)

    assert vacuum.code == reindex.code == 2
    assert vacuum.err.startswith("message was not vacuumed: ")
    assert "must be owner of table message" in reindex.err
    states = operator.execute("SELECT state FROM outbound_operation")
    assert states == [("FAILED",), ("FAILED",)]
    operator.execute("DROP OWNED BY onlooker")
    operator.execute("DROP ROLE onlooker")


def test_only_one_is_at_it_at_a_time(operator: Operator) -> None:
    with psycopg.connect(operator.database) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (0x6F75_7475,))
        printed = operator.run("maintenance", "vacuum", "message", "--yes")

    assert printed.code == 2
    assert printed.err.startswith("Another 'ops maintenance' is at work on this database. ")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_reindex_cut_short_is_mended_by_the_next_run(
    operator: Operator, number: signal.Signals
) -> None:
    operator.add(20)
    command = [PROGRAM, "ops", "maintenance", "reindex", "outbound_attempt", "--yes"]
    environment = own_environment(DATABASE_URL=operator.database, OUTBOUND_OPERATOR="ben")
    building = "SELECT pid FROM pg_stat_progress_create_index WHERE lockers_total > 0"
    with psycopg.connect(operator.database) as writer:
        writer.execute(LOCK_TABLE)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as child:
            wait_until(lambda: bool(operator.execute(building)), "a build that waits for a writer")
            [(pid,)] = operator.execute(building)
            with psycopg.connect(operator.database, autocommit=True) as onlooker:
                assert "waiting for writers" in str(read_progress(onlooker, pid))
                # Senders go on meanwhile: new rows are written at once.
                onlooker.execute("SET lock_timeout = '1s'")
                onlooker.execute("UPDATE outbound_attempt SET worker = 'w' WHERE id = 1")
            child.send_signal(number)
        # The server notices by itself that nobody waits for the build.
        wait_until(lambda: not operator.execute(building), "the end of the build")
        assert child.returncode == (130 if number is signal.SIGINT else -number)

    left = invalid_indexes(operator)
    assert left
    assert all(re.search(r"_ccnew\d*$", name) for name in left)
    broken = operator.run("maintenance", "indexes")
    assert broken.code == 1
    assert broken.out.count("is leftover: its build was cut short") == len(left)

    done = operator.run("maintenance", "reindex", "outbound_attempt", "--yes", "--json")

    assert sorted(done.json()["tables"][0]["dropped"]) == sorted(
        name.removeprefix("pg_toast.") for name in left
    )
    assert invalid_indexes(operator) == []
    assert operator.run("maintenance", "indexes").code == 0
    states = operator.execute("SELECT state FROM outbound_operation ORDER BY id")
    assert states == [("INTERRUPTED" if number is signal.SIGINT else "RUNNING",), ("DONE",)]
