"""`outbound-slo trace`: what is printed, exit codes, and the store as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_parts import run
from tests.tracing_parts import ToldMessage, open_store, tell_delivered_message
from tracing.setup import start_tracing

OUTBOUND_SLO = [sys.executable, "-m", "outbound_slo", "trace"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ToldMessage]]:
    with open_store(tmp_path_factory.mktemp("store") / "traces.db") as url:
        tracing = start_tracing(endpoint=url, strict=True)
        message = tell_delivered_message(tracing, 12345, time.time_ns() - 3600 * 10**9)
        tracing.shutdown(60)
        yield url, message


def test_a_message_is_drawn_by_its_id(told: tuple[str, ToldMessage]) -> None:
    url, message = told
    done = run(url, "message", "12345")

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].rstrip() == "message 12345  WHATSAPP  +33612345678  org-abc-123"
    first = next(line for line in lines if "attempt 1" in line)
    assert message.attempt_trace_ids[0] in first
    assert "QUEUED" in first
    assert "✗ whatsapp-cloud-api-send  280 ms  error=rate_limited" in done.out
    assert "attempt 2  SENT → DELIVERED" in done.out
    assert "webhook.in  6 ms  after 2 min 05 s" in done.out


def test_a_message_is_given_as_json(told: tuple[str, ToldMessage]) -> None:
    url, message = told
    done = run("http://127.0.0.1:1", "message", "12345", "--json", "--url", url)

    traces = json.loads(done.out)
    assert [trace["traceId"] for trace in traces] == [
        message.request_trace_id,
        *message.attempt_trace_ids,
    ]
    assert traces[1]["spans"][0]["tags"]["message.id"] == 12345
    assert traces[1]["spans"][1]["failed"] is True


def test_one_trace_is_drawn_by_its_id(told: tuple[str, ToldMessage]) -> None:
    url, message = told
    done = run(url, "show", message.attempt_trace_ids[1])

    assert done.code == 0
    assert done.out.startswith("attempt 2  SENT → DELIVERED")


def test_errors_and_recipients_are_listed(told: tuple[str, ToldMessage]) -> None:
    url, message = told
    by_error = run(url, "errors", "--code", "130")
    by_recipient = run(url, "recipient", "+33 6 12 34 56 78")

    assert by_error.code == by_recipient.code == 0
    assert message.attempt_trace_ids[0] in by_error.out
    assert message.attempt_trace_ids[1] not in by_error.out
    assert message.attempt_trace_ids[1] in by_recipient.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["message", "4711"], "no trace names message 4711 in the last 7d at {url}\n"),
        (["show", "abc"], "no trace abc at {url}\n"),
        (["errors", "--code", "1"], "no trace found at {url}: error code 1, last 6h\n"),
        (
            ["recipient", "+491700000000"],
            "no trace found at {url}: recipient +491700000000, last 24h\n",
        ),
    ],
)
def test_what_is_unknown_is_one_line_and_exit_code_1(
    told: tuple[str, ToldMessage], arguments: list[str], line: str
) -> None:
    url, _ = told
    done = run(url, *arguments)

    assert (done.code, done.out) == (1, "")
    assert done.err == line.format(url=url)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["message", "1", "--lookback", "soon"], "--lookback 'soon' is not a span of time. Write"),
        (["recipient", "Anne"], "'Anne' is neither a telephone number nor an address. Write"),
        (["message", "1", "--url", "http://127.0.0.1:1"], "no trace server answers at http://12"),
        (["message", "1", "--url", "nonsense"], "no trace server answers at nonsense (Missing"),
        (["serve", "--path", "/nonexistent/t.db"], "cannot keep traces in /nonexistent/t.db: un"),
    ],
)
def test_a_mistake_is_one_line_and_never_a_traceback(
    told: tuple[str, ToldMessage], arguments: list[str], line: str
) -> None:
    done = run(told[0], *arguments)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(line)
    assert done.err.count("\n") == 1


def test_the_front_door_offers_the_command_and_ends_a_mistake_with_exit_code_2(
    told: tuple[str, ToldMessage],
) -> None:
    drawn, mistaken = (
        subprocess.run(
            [*OUTBOUND_SLO, "message", "12345", "--url", url],
            capture_output=True,
            text=True,
            check=False,
        )
        for url in (told[0], "http://127.0.0.1:1")
    )

    assert drawn.returncode == 0
    assert drawn.stdout.startswith("message 12345")
    assert (mistaken.returncode, mistaken.stdout) == (2, "")
    assert mistaken.stderr.startswith("outbound-slo: no trace server answers at http://127.0.0.1:1")
    assert mistaken.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_store_is_served_until_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    command = ["serve", "--port", "0", "--path", str(tmp_path / "traces.db")]
    store = subprocess.Popen(
        [*OUTBOUND_SLO, *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with store:
        assert store.stdout is not None
        line = store.stdout.readline()
        url = line.split()[4].rstrip(",")
        tracing = start_tracing(endpoint=url, strict=True)
        tell_delivered_message(tracing, 7, time.time_ns() - 600 * 10**9)
        tracing.shutdown(60)
        drawn = run(url, "message", "7")
        store.send_signal(number)
        assert store.wait(60) == 0

    assert line.startswith("trace store listening on http://127.0.0.1:")
    assert tracing.counts().exported == 11
    assert drawn.code == 0
