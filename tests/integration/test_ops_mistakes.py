"""What people mistype, and what a database refuses, is told in one line."""

import psycopg
import pytest

from operations.reading import told
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.ops_parts import Operator

BEYOND = "99999999999999999999"


@pytest.mark.parametrize(
    "arguments",
    [
        ("undo", BEYOND),
        ("retry", BEYOND),
        ("stuck", "release", BEYOND),
        ("stuck", "explain", BEYOND),
        ("verify", "retry", "--operation", BEYOND),
        ("retry", "--age-hours", "1e8"),
        ("retry", "--per-second", "inf"),
        ("retry", "--per-second", "nan"),
        ("stuck", "release", "--minutes", "inf"),
        ("dlq", "retry", "--age-hours", "nan"),
        ("dlq", "archive", "--days", "1e8"),
        ("dlq", "purge", "--days", "inf"),
        ("dlq", "export", "--to", "-", "--critical", "--hours", "1e300"),
        ("fallback", "--critical", "--hours", "inf"),
        ("quota", "defer", "--hours", "nan"),
        ("quota", "show", "--above", "nan"),
        ("quota", "lower", "org", "--factor", "nan"),
        ("status", "--watch", "inf"),
    ],
)
def test_a_number_that_nothing_can_bear_is_refused(arguments: tuple[str, ...]) -> None:
    said = Operator("postgresql://127.0.0.1:1/none").run(*arguments)
    assert (said.code, "Invalid value" in said.err) == (2, True), said


def test_an_argument_that_is_no_text_is_refused(database: str) -> None:
    said = Operator(database).run("retry", "--org", "caf\udce9", "--dry-run")
    assert (said.code, said.err) == (
        2,
        "An argument is not valid UTF-8: 'caf\\udce9'. Type it anew\n",
    )


def test_a_replica_is_told_by_name(database: str) -> None:
    said = Operator(f"{database}?options=-c%20default_transaction_read_only%3Don").run(
        "channel", "pause", "sms", "--yes"
    )
    assert said.code == 2
    assert said.err.startswith("The database is a replica or read-only: cannot execute")


def test_what_the_database_refuses_is_told_in_its_own_words(database: str) -> None:
    ops = Operator(database)
    ops.add(1)
    ops.execute(
        "ALTER TABLE outbound_message ADD CONSTRAINT never CHECK (status <> 'QUEUED') NOT VALID"
    )
    said = ops.run("retry", "--yes")
    assert (said.code, len(said.err.splitlines())) == (2, 1)
    assert said.err.startswith("The database refuses: new row for relation")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (psycopg.OperationalError("server closed the connection\nprobably"), "went away: server"),
        (psycopg.errors.AdminShutdown("terminating"), "went away: terminating"),
        (psycopg.errors.DeadlockDetected("deadlock detected"), "refuses: deadlock detected"),
        (psycopg.InterfaceError("the connection is closed"), "refuses: the connection is closed"),
    ],
)
def test_nothing_is_said_of_a_batch_whose_end_is_not_known(error: psycopg.Error, said: str) -> None:
    with pytest.raises(UserMistake, match=said) as mistake, told():
        raise error
    assert "outbound-slo ops log" in str(mistake.value)
    assert "Nothing of the last batch" not in str(mistake.value)
