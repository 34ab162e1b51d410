"""The searches of `outbound-slo trace`: what they print to the letter, and their plain data."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command_parts import Printed, run
from tests.pattern_parts import RunbookWorld, tell_runbook_world
from tests.tracing_parts import open_store
from tracing.setup import start_tracing
from tracing.tree import show_moment


@dataclass(frozen=True)
class Told:
    """A store, what was told to it, and when."""

    url: str
    world: RunbookWorld
    now_ns: int

    def at(self, seconds: int) -> str:
        """Write a moment so many seconds before the telling."""
        return show_moment((self.now_ns - seconds * 10**9) // 1000).removesuffix("Z")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with open_store(tmp_path_factory.mktemp("store") / "traces.db") as url:
        tracing = start_tracing(endpoint=url, strict=True)
        now_ns = time.time_ns()
        world = tell_runbook_world(tracing, now_ns)
        tracing.shutdown(60)
        yield Told(url, world, now_ns)


def lines_of(done: Printed) -> list[str]:
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_errors_are_listed_with_the_pages_bounds(told: Told) -> None:
    done = run(
        told.url,
        *("errors", "--code", "132016", "--operation", "whatsapp-cloud-api-send"),
        *("--min-duration", "0ms", "--max-duration", "10s"),
    )

    assert lines_of(done) == [
        "error code 132016, last 6h",
        "started (UTC)       message  status took  trace",
        f"{told.at(600)} 12346 #1 FAILED 45 ms {told.world.expired}",
    ]


def test_a_recipients_attempts_are_listed(told: Told) -> None:
    lines = lines_of(run(told.url, "recipient", "+33 6 12 34 56 78"))

    first, second = told.world.delivered.attempt_trace_ids
    assert lines[1:] == [
        "started (UTC)       message  status took   trace",
        f"{told.at(1739)} 12345 #2 SENT   124 ms {second}",
        f"{told.at(1799)} 12345 #1 QUEUED 285 ms {first}",
    ]


def test_latency_is_in_seconds(told: Told) -> None:
    assert lines_of(run(told.url, "latency")) == [
        "outbound-message-process with status SENT, last 1h, 500 traces at most",
        "count            3",
        "over 10 s        1",
        "mean             4.075 s",
        "std deviation    5.604 s",
        "p50              0.124 s",
        "p95              12.000 s",
        "p99              12.000 s",
    ]
    assert json.loads(run(told.url, "latency", "--max-duration", "60s", "--json").out) == {
        "count": 3,
        "slow": 1,
        "meanS": pytest.approx(4.0747, abs=1e-4),
        "stddevS": pytest.approx(5.604, abs=1e-3),
        "p50S": 0.124,
        "p95S": 12.0,
        "p99S": 12.0,
    }


def test_attempts_at_an_open_breaker_are_listed(told: Told) -> None:
    assert lines_of(run(told.url, "breaker")) == [
        "circuit breaker open, last 6h",
        "started (UTC)       channel  failure rate trace",
        f"{told.at(500)} WHATSAPP 87 %         {told.world.held_back}",
    ]


def test_a_delivery_is_told_with_its_latency_in_seconds(told: Told) -> None:
    lines = lines_of(run(told.url, "delivery", "12345"))

    assert lines[0] == (
        f"message 12345, attempt 2, trace {told.world.delivered.attempt_trace_ids[1]}"
    )
    assert lines[1] == "  provider message id  wamid.ABC123"
    assert re.fullmatch(rf"  sent at              {told.at(1739)}\.\d{{3}}Z", lines[2])
    assert re.fullmatch(
        rf"  webhook received at  {told.at(1614)}\.\d{{3}}Z  DELIVERED after 125\.000 s", lines[3]
    )
    assert lines[4:] == ["  delivery latency     125.000 s"]
    [delivery] = json.loads(run(told.url, "delivery", "12345", "--json").out)
    assert delivery["latencyS"] == 125.0
    assert delivery["receipts"][0]["status"] == "DELIVERED"


def test_all_attempts_are_listed_by_start(told: Told) -> None:
    first, second = told.world.delivered.attempt_trace_ids
    assert lines_of(run(told.url, "attempts", "12345"))[1:] == [
        "no started (UTC)       status error trace",
        f"1  {told.at(1799)} QUEUED 130   {first}",
        f"2  {told.at(1739)} SENT   -     {second}",
    ]


def test_attempts_outside_the_session_window_are_listed(told: Told) -> None:
    assert lines_of(run(told.url, "sessions")) == [
        "outside the 24-hour session window, last 6h",
        "message template number       trace",
        f"12346   no       +33600012346 {told.world.expired}",
        f"12345   yes      +33612345678 {told.world.delivered.attempt_trace_ids[1]}",
    ]


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (
            ["errors", "--code", "1"],
            "traceId startUs durationUs messageId attempt status errorCode spans",
        ),
        (
            ["recipient", "+33612345678"],
            "traceId startUs durationUs messageId attempt status errorCode spans",
        ),
        (["breaker"], "traceId startUs channel failureRate"),
        (
            ["delivery", "12345"],
            "traceId attempt providerMessageId sentUs receipts latencyS",
        ),
        (
            ["attempts", "12345"],
            "traceId startUs durationUs messageId attempt status errorCode spans",
        ),
        (["sessions"], "traceId startUs messageId hasTemplate recipient"),
    ],
)
def test_each_list_is_given_as_plain_data(told: Told, command: list[str], fields: str) -> None:
    done = run(told.url, *command, "--json")

    rows = json.loads(done.out)
    assert done.code == 0
    assert rows
    assert [" ".join(row) for row in rows] == [fields] * len(rows)


NOTHING: Sequence[tuple[list[str], str]] = (
    (["errors", "--code", "4711"], "no trace found at {url}: error code 4711, last 6h\n"),
    (
        ["latency", "--lookback", "1s"],
        "no trace found at {url}: outbound-message-process with status SENT, last 1s\n",
    ),
    (["breaker", "--lookback", "1m"], "no trace found at {url}: circuit breaker open, last 1m\n"),
    (
        ["delivery", "12346"],
        "no trace at {url} tells that a provider accepted message 12346 in the last 7d\n",
    ),
    (["attempts", "4711"], "no trace found at {url}: attempts at message 4711, last 7d\n"),
    (
        ["sessions", "--service", "other"],
        "no trace found at {url}: outside the 24-hour session window, last 6h\n",
    ),
    (
        ["export", "--out", "-", "--operation", "nonsense"],
        "no trace found at {url}: nonsense, last 24h\n",
    ),
    (["message", "4711", "--explain"], "no trace names message 4711 in the last 7d at {url}\n"),
)


@pytest.mark.parametrize(("command", "line"), NOTHING, ids=lambda value: str(value)[:30])
def test_nothing_found_is_one_line_and_exit_code_1(
    told: Told, command: list[str], line: str
) -> None:
    done = run(told.url, *command)

    assert (done.code, done.out) == (1, "")
    assert done.err == line.format(url=told.url)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["latency", "--max-duration", "soon"], "--max-duration 'soon' is not a duration. Write"),
        (
            ["errors", "--code", "1", "--min-duration", "2s", "--max-duration", "1s"],
            "--max-duration 1s leaves no duration above 2s. Give a larger one",
        ),
        (["latency", "--max-duration", "0ms"], "--max-duration 0ms leaves no duration above 0."),
        (["analyze", "/nonexistent/x.json"], "cannot read /nonexistent/x.json: No such file"),
        (["export", "--out", "/nonexistent/x.json"], "cannot write /nonexistent/x.json: No such"),
    ],
)
def test_a_mistake_is_one_line_and_never_a_traceback(
    told: Told, command: list[str], line: str
) -> None:
    done = run(told.url, *command)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(line)
    assert done.err.count("\n") == 1


def test_an_export_is_analyzed_without_the_server(told: Told, tmp_path: Path) -> None:
    path = tmp_path / "traces.json"
    exported = run(told.url, "export", "--out", str(path))
    analyzed = run("http://127.0.0.1:1", "analyze", str(path))
    calls = run("", "analyze", str(path), "--operation", "whatsapp-cloud-api-send", "--json")

    assert (exported.code, exported.out) == (0, f"7 traces written to {path}\n")
    assert analyzed.out.splitlines()[1:3] == ["count            7", "over 10 s        1"]
    assert "mean             2.537 s" in analyzed.out
    assert json.loads(calls.out)["count"] == 7
    nothing = run("", "analyze", str(path), "--operation", "http.in")
    assert (nothing.code, nothing.err) == (1, f"no trace in {path} has a span http.in\n")


def test_an_export_goes_to_standard_output_and_takes_every_operation(told: Told) -> None:
    sends = json.loads(run(told.url, "export", "--out", "-").out)
    everything = json.loads(run(told.url, "export", "--out", "-", "--operation", "").out)
    two = json.loads(run(told.url, "export", "--out", "-", "--limit", "2").out)

    assert [len(each["data"]) for each in (sends, everything, two)] == [7, 8, 2]


def test_a_message_is_explained_in_words(told: Told) -> None:
    lines = lines_of(run(told.url, "message", "12348", "--explain"))

    assert lines[0].startswith("message 12348. Waiting to be tried again: attempt 1")
    assert "  The provider had trouble (HTTP 500, error 1)." in lines
    assert "  Runbook 000: 3. Provider API Error (Meta Platform Issue)" in lines
    assert "  - outbound-slo trace errors --code 1 --lookback 6h" in lines
    plain = json.loads(run(told.url, "message", "12348", "--explain", "--json").out)
    assert plain["patterns"] == ["provider API error", "retry gap"]
    assert plain["attempts"][0]["traceId"] == told.world.provider_error


def test_lists_into_a_pipe_are_the_same_at_any_width(told: Told) -> None:
    command = [sys.executable, "-m", "outbound_slo", "trace", "breaker", "--url", told.url]

    narrow, wide = (
        subprocess.run(
            command, capture_output=True, text=True, check=True, env={"COLUMNS": columns}
        ).stdout
        for columns in ("40", "200")
    )

    assert narrow == wide
    assert told.world.held_back in narrow
