"""Each of PostgreSQL's errors has one of the seven reasons."""

import psycopg
import pytest

from exporter.failures import REASON_BY_SQLSTATE, Reason, classify
from outbound_slo.vocabulary.metrics import QUERY_ERRORS

EXAMPLES = {
    "57014": Reason.TIMEOUT,  # canceled
    "55P03": Reason.TIMEOUT,  # lock timeout
    "25P03": Reason.TIMEOUT,  # idle in transaction
    "42501": Reason.PERMISSION,
    "28P01": Reason.PERMISSION,  # wrong password
    "42P01": Reason.SCHEMA,  # no such table
    "42703": Reason.SCHEMA,  # no such column
    "42883": Reason.SCHEMA,  # no such function
    "25006": Reason.SCHEMA,  # writes in a read-only transaction
    "0A000": Reason.SCHEMA,
    "3D000": Reason.SCHEMA,
    "3F000": Reason.SCHEMA,
    "22012": Reason.DATA,  # division by zero
    "P0001": Reason.DATA,  # raised by a function
    "40001": Reason.CONNECTION,  # conflict with recovery on a replica
    "08006": Reason.CONNECTION,
    "53300": Reason.CONNECTION,  # too many connections
    "57P01": Reason.CONNECTION,  # shutdown
    "58030": Reason.CONNECTION,
    "XX001": Reason.CORRUPTION,  # invalid page
    "XX002": Reason.CORRUPTION,  # an index that contradicts its table
    "XX000": Reason.DATA,  # an internal error alone says nothing of damage
}


@pytest.mark.parametrize(("sqlstate", "reason"), EXAMPLES.items())
def test_a_code_of_the_server_has_its_reason(sqlstate: str, reason: Reason) -> None:
    error = psycopg.errors.lookup(sqlstate)("first line\nsecond line")

    failure = classify(error)

    assert (failure.reason, failure.text) == (reason, "first line")


def test_every_line_of_the_table_has_an_example() -> None:
    for line in REASON_BY_SQLSTATE:
        assert any(example.startswith(line) for example in EXAMPLES), line


def test_an_error_without_a_code_is_a_lost_connection() -> None:
    lost = psycopg.OperationalError("the connection is lost")

    assert classify(lost).reason is Reason.CONNECTION
    assert classify(psycopg.InterfaceError("the connection is closed")).reason is Reason.CONNECTION


def test_a_statement_that_gives_no_rows_is_a_fault_of_the_pack() -> None:
    error = psycopg.ProgrammingError("the operation in stream() didn't produce a result")

    assert classify(error).reason is Reason.SCHEMA


def test_an_error_without_words_still_has_some() -> None:
    assert classify(psycopg.OperationalError()).text == "OperationalError"


def test_the_metrics_help_names_exactly_these_reasons() -> None:
    listed = QUERY_ERRORS.help.partition(":")[2].strip(" .").split(", ")

    assert set(listed) == {reason.value for reason in Reason}
