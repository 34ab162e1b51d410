"""`outbound-slo ops status`: what it prints to the letter, what it finds, and what it costs."""

import io
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from operations.facts import CEILING, Facts, Unanswered
from operations.judgement import judge_facts
from operations.looking import QUERIES
from operations.reading import open_reading
from operations.status_commands import keep_watching, read_facts
from outbound_slo.database import describe, migrate
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.audit import LOCK_CLASS
from tests.ops_parts import Operator
from tests.ops_schemas import check_printed

TROUBLE = Path(__file__).with_name("ops_trouble.sql").read_text("utf-8")
TRANSCRIPTS = Path(__file__).with_name("ops_transcripts")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")


@pytest.fixture(scope="module")
def trouble(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[Operator]:
    """Give an outbox at night of which every section has something to say."""
    url = postgres_server.create_database("ops_trouble", template=template_database)
    with psycopg.connect(url) as connection:
        connection.execute(TROUBLE.encode())
    yield Operator(url)
    postgres_server.drop_database("ops_trouble")


def revive(operator: Operator) -> None:
    """Have the senders of the night say again that they live."""
    operator.execute("UPDATE outbound_sender SET seen_at = now() WHERE worker <> 'node-3:7'")


def steady(text: str, database: str) -> str:
    """Take out of a screen what differs from run to run."""
    shown = MOMENT.sub("2026-09-01 03:00:00Z", text).replace(describe(database), "db:5432/outbox")
    shown = shown.replace(version("outbound-slo"), "0.1.0")
    return "\n".join(line.rstrip() for line in shown.splitlines()) + "\n"


def check_transcript(name: str, text: str) -> None:
    assert text == (TRANSCRIPTS / f"{name}.txt").read_text("utf-8")


def read(url: str, **more: float) -> Facts:
    return read_facts(url, None, ErrorPolicy.RUNBOOK, **more)


@pytest.mark.parametrize("columns", [100, 60])
def test_the_screen_of_a_bad_night(trouble: Operator, columns: int) -> None:
    revive(trouble)
    printed = Operator(trouble.database, columns).run("status")

    assert (printed.code, printed.err) == (1, "")
    assert max(map(len, printed.out.splitlines())) <= columns
    check_transcript(f"status_{columns}", steady(printed.out, trouble.database))


def test_a_quiet_outbox_is_well(database: str) -> None:
    printed = Operator(database).run("status")

    assert printed.code == 0
    check_transcript("status_quiet", steady(printed.out, database))
    # It runs on the schema as it is without the rollup, too.
    assert judge_facts(read(database)) == ()


def test_the_document_has_everything_and_keeps_its_schema(trouble: Operator, database: str) -> None:
    revive(trouble)
    printed = trouble.run("status", "--json")
    document = printed.json()

    check_printed("status", document)
    assert printed.code == 1
    assert (document["crossed"], document["call"]) == (True, "L2")
    assert {"channel": "WHATSAPP", "status": "QUEUED", "messages": 1197} in document["states"]
    assert [one["org_id"] for one in document["quotas"]] == ["agency-a", "agency-b"]
    assert [one["state"] for one in document["operations"]] == ["INTERRUPTED", "KILLED"]
    empty = Operator(database).run("status", "--json").json()
    check_printed("status", empty)
    assert (empty["crossed"], empty["call"], empty["findings"]) == (False, None, [])


def test_an_operation_that_runs_is_told_from_one_that_was_killed(trouble: Operator) -> None:
    number = trouble.ask("SELECT id FROM outbound_operation WHERE state = 'RUNNING'")
    with psycopg.connect(trouble.database) as holder:
        holder.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, number))
        facts = read(trouble.database)

    assert not isinstance(facts.operations, Unanswered)
    assert [one.state for one in facts.operations] == ["INTERRUPTED", "RUNNING"]


def test_one_organisations_screen_leaves_the_others_out(trouble: Operator) -> None:
    revive(trouble)
    document = trouble.run("status", "--org", "agency-b", "--json").json()

    assert document["states"] == [{"channel": "SMS", "status": "DELIVERED", "messages": 40}]
    assert {row["channel"] for row in document["attempts"]} == {"SMS"}
    assert [row["org_id"] for row in document["quotas"]] == ["agency-b"]
    assert document["dead"] == document["stuck"] == document["disabled"] == []
    assert "organisation agency-b" in trouble.run("status", "--org", "agency-b").out


def test_rows_are_counted_as_the_rollup_counts_them(trouble: Operator, empty_database: str) -> None:
    migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute(TROUBLE.encode())
    by_rows, by_rollup = read(empty_database), read(trouble.database)

    for answer in ("states", "dead"):
        rows, rollup = getattr(by_rows, answer), getattr(by_rollup, answer)
        assert sorted(map(repr, rows)) == sorted(map(repr, rollup))
    uncounted = Operator(trouble.database)
    uncounted.execute("UPDATE outbound_rollup SET counted_at = NULL")
    # Until it has counted, its view would read the whole table.
    with psycopg.connect(trouble.database) as connection:
        connection.execute("ALTER TABLE outbound_state_total RENAME TO away")
        connection.commit()
        assert not isinstance(read(trouble.database).states, Unanswered)
        connection.execute("ALTER TABLE away RENAME TO outbound_state_total")
    uncounted.execute("UPDATE outbound_rollup SET counted_at = now()")


def test_a_pile_is_counted_up_to_the_ceiling(
    trouble: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("looking", "lines"):
        monkeypatch.setattr(f"operations.{module}.CEILING", 500)
    revive(trouble)
    screen = " ".join(trouble.run("status", "--org", "agency-a").out.split())

    assert "WHATSAPP 500+ 501+ 3 0 0 500+" in screen
    assert "WHATSAPP QUEUED overdue 501+" in screen
    assert "Dead letters: 500+:" in screen


def test_a_question_that_takes_too_long_spoils_no_other(trouble: Operator) -> None:
    with psycopg.connect(trouble.database) as blocker:
        blocker.execute("LOCK TABLE provider_notice, outbound_sender IN ACCESS EXCLUSIVE MODE")
        facts = read(trouble.database, patience_s=0.1)

    assert facts.notices == facts.senders == Unanswered("took too long")
    assert not isinstance(facts.operations, Unanswered)
    assert "Not known: senders (took too long)" in {one.what for one in judge_facts(facts)}


def test_a_role_sees_what_it_may(trouble: Operator) -> None:
    trouble.execute("CREATE ROLE onlooker LOGIN")
    trouble.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO onlooker")
    trouble.execute("REVOKE SELECT ON provider_notice FROM onlooker")
    onlooker = Operator(trouble.database.replace("postgres@", "onlooker@"))
    try:
        out = onlooker.run("status").out
        assert "Notices: this role may not look: permission denied" in " ".join(out.split())
        assert "Dead letters: 520" in out
    finally:
        trouble.execute("DROP OWNED BY onlooker")
        trouble.execute("DROP ROLE onlooker")


def test_a_database_of_an_older_version_names_what_it_lacks(trouble: Operator) -> None:
    trouble.execute("ALTER TABLE outbound_sender RENAME TO away")
    try:
        out = " ".join(trouble.run("status").out.split())
    finally:
        trouble.execute("ALTER TABLE away RENAME TO outbound_sender")
    assert "Senders: the database lacks something, run 'outbound-slo db migrate':" in out


def test_no_question_reads_a_big_table(trouble: Operator) -> None:
    values = {
        "org_id": None, "ceiling": CEILING, "sample": 1000, "most": 5, "share": 0.7, "tries": 20,
        "lock_class": 1,
    }  # fmt: skip
    scan = re.compile(r"Seq Scan on (outbound_message|outbound_attempt)\b")
    planned = 0
    with open_reading(trouble.database) as connection:
        connection.execute(QUERIES["prepare"].encode())
        for name, text in QUERIES.items():
            if name in {"prepare", "bound", "states_by_rollup", "dead_by_rollup"}:
                continue
            rows = connection.execute(f"EXPLAIN {text}".encode(), values).fetchall()
            planned += 1
            assert not scan.search("\n".join(row[0] for row in rows)), name
    assert planned > 15


def test_watching_goes_on_over_an_outage_until_it_is_interrupted(trouble: Operator) -> None:
    revive(trouble)
    screen = io.StringIO()
    rounds = iter([None, UserMistake("The database went away", "Look again"), None])
    slept: list[float] = []

    def look() -> Facts:
        mistake = next(rounds)
        if mistake is not None:
            raise mistake
        return read(trouble.database)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep_watching(Console(file=screen, width=100), look, 5.0, sleep)
    assert slept == [5.0, 5.0, 5.0]
    assert screen.getvalue().count("Crossed, and what to run next") == 2
    assert screen.getvalue().count("The database went away. Look again") == 1


def test_watching_has_no_document(database: str) -> None:
    printed = Operator(database).run("status", "--watch", "5", "--json")

    assert (printed.code, printed.out) == (2, "")
    assert printed.err.startswith("--watch is for people")
    assert Operator(database).run("status", "--watch", "0.2").code == 2


def test_a_database_that_is_away_is_one_line() -> None:
    printed = Operator("postgresql://postgres@127.0.0.1:1/outbox").run("status")

    assert printed.code == 2
    assert printed.err.startswith("Cannot connect to the database 127.0.0.1:1/outbox")
