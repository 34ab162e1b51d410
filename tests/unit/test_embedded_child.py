"""Which line of a log is shown when a child process fails."""

from pathlib import Path

import pytest

from outbound_slo.embedded.child import ProcessFailed, find_reason, identity_of
from outbound_slo.vocabulary.mistakes import UserMistake

PROMETHEUS_LOG = r"""
ts=10:00:00 caller=main.go:512 level=info msg="Starting Prometheus Server"
ts=10:00:01 level=error msg="loading groups failed" err="rules.yml: group \"g\"\nrule 1"
ts=10:00:02 level=error err="one or more errors occurred"
"""
POSTGRES_LOG = """
2026-11-22 03:00:00 UTC [7] LOG:  starting PostgreSQL 15
2026-11-22 03:00:00 UTC [7] LOG:  could not bind IPv4 address "127.0.0.1": Address already in use
2026-11-22 03:00:00 UTC [7] HINT:  Is another postmaster already running on port 5432?
2026-11-22 03:00:00 UTC [7] FATAL:  could not create any TCP/IP sockets
"""
PYTHON_LOG = """
Traceback (most recent call last):
  File "app.py", line 3, in <module>
    raise ValueError("an error in here")
ValueError: an error in here
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        pytest.param(
            PROMETHEUS_LOG,
            'loading groups failed: rules.yml: group "g" rule 1',
            id="logfmt is reduced to message and error of the first failure",
        ),
        pytest.param(
            POSTGRES_LOG,
            '2026-11-22 03:00:00 UTC [7] LOG:  could not bind IPv4 address "127.0.0.1": '
            "Address already in use",
            id="a server's first complaint is the cause",
        ),
        pytest.param(PYTHON_LOG, "ValueError: an error in here", id="a traceback ends with it"),
        pytest.param("one\ntwo\n\n", "two", id="without any complaint the last line is shown"),
        pytest.param("", "", id="a silent process gives no reason"),
    ],
)
def test_the_reason_is_picked_from_the_log(log: str, reason: str) -> None:
    assert find_reason(log) == reason


def test_a_failure_is_one_line_that_names_process_reason_and_log() -> None:
    failure = ProcessFailed("postgres", "ended by itself (exit code 1)", Path("x.log"), "why\n")
    assert str(failure) == "postgres ended by itself (exit code 1): why. Log: x.log"


def test_a_failure_without_a_log_line_still_reads_as_a_sentence() -> None:
    failure = ProcessFailed("postgres", "was not ready within 2 s", Path("x.log"), "")
    assert str(failure) == "postgres was not ready within 2 s. Log: x.log"


def test_no_user_means_our_own_identity() -> None:
    assert identity_of(None) == {}


def test_a_user_whom_the_system_lacks_is_a_mistake() -> None:
    with pytest.raises(UserMistake, match="no user nobody-of-this-name"):
        identity_of("nobody-of-this-name")
