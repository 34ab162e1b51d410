"""The trace queries of runbook 000 as they stand, by real curl and jq, on the embedded store.

Read from the runbook itself, like tests/integration/test_runbook_sql.py, and skipped with it where
a clone stands alone; test_tracing_queries.py has the same questions written down.
"""

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from outbound_slo.embedded.binaries import CURL, JQ, find_tools
from tests.pattern_parts import SENT_S, RunbookWorld, tell_runbook_world
from tests.runbooks.faults import TRACE_EDGES, TRACE_FAULTS
from tests.runbooks.source import DIRECTORY_VARIABLE, read_runbooks, runbook_directory
from tests.runbooks.traces import HOST, Shell, extract_trace_blocks, name_blocks, read_stream
from tests.tracing_parts import open_store
from tracing.interchange import load_document
from tracing.remedies import REMEDIES
from tracing.setup import start_tracing

if not runbook_directory().is_dir():
    pytest.skip(
        f"No runbooks in {runbook_directory()}; set {DIRECTORY_VARIABLE} to test their traces",
        allow_module_level=True,
    )

RUNBOOK = read_runbooks(runbook_directory())["000"]
BLOCKS = name_blocks(extract_trace_blocks(RUNBOOK))


@dataclass(frozen=True)
class Asked:
    """A store with messages in it, and a shell that asks it."""

    shell: Shell
    world: RunbookWorld

    def run(self, *places: str, corrected: bool = False) -> str:
        """Run blocks one after the other in one shell; gives what they print."""
        texts = []
        for place in places:
            text = BLOCKS[place].text
            fault = TRACE_FAULTS.get(place) if corrected else None
            texts.append(text if fault is None else fault.correct(text))
        done = self.shell.run("set -e -o pipefail\n" + "\n".join(texts))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stream(self, *places: str) -> list[Any]:
        """Run blocks whose output is jq's."""
        return read_stream(self.run(*places))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    directory: Path = tmp_path_factory.mktemp("traces")
    with open_store(directory / "traces.db") as url:
        tracing = start_tracing(endpoint=url, strict=True)
        world = tell_runbook_world(tracing, time.time_ns())
        tracing.shutdown(60)
        assert tracing.dropped() == 0
        shell = Shell(url, find_tools(CURL), find_tools(JQ), directory)
        yield Asked(shell, world)


def test_every_block_that_asks_jaeger_is_found() -> None:
    assert list(BLOCKS) == [
        *("000:1406", "000:1429", "000:1445", "000:1470", "000:1491", "000:1506", "000:1515"),
        *("000:1532", "000:1553", "000:1576", "000:1635", "000:1707"),
    ]
    assert sum(block.text.count(HOST) for block in BLOCKS.values()) == RUNBOOK.count(HOST + "/")
    assert [block.heading.partition(":")[0] for block in BLOCKS.values()] == [
        *(f"Query {number}" for number in (1, 2, 3, 4, 5, 6, 6, 6, 7, 8)),
        "Exporting Traces for Analysis",
        "Step 3",
    ]
    assert TRACE_FAULTS.keys() <= BLOCKS.keys()
    assert {place for edge in TRACE_EDGES for place in edge.places} <= BLOCKS.keys()


def test_query_1_gives_all_traces_of_a_message_whole(asked: Asked) -> None:
    [answer] = asked.stream("000:1406")

    told = asked.world.delivered
    ids = [trace["traceID"] for trace in answer["data"]]
    assert ids == [*told.attempt_trace_ids[::-1], told.request_trace_id]
    assert {"duration", "tags", "logs"} <= answer["data"][0]["spans"][0].keys()


def test_query_2_finds_failed_sends_by_error_code(asked: Asked) -> None:
    assert asked.stream("000:1429") == [
        {"traceID": asked.world.expired, "spans": 2, "duration": 45_000}
    ]


def test_query_3_traces_the_attempts_to_a_number(asked: Asked) -> None:
    sent, refused = asked.stream("000:1445")

    assert (sent["messageId"], sent["status"], sent["duration"]) == (12345, "SENT", 124_000)
    assert (refused["messageId"], refused["status"]) == (12345, "QUEUED")
    assert sent["startTime"] - refused["startTime"] == 60_000_000


def test_query_4_gives_the_latency_of_sent_messages_in_seconds_whatever_it_calls_them(
    asked: Asked,
) -> None:
    found = re.findall(r"^(\w+): ([\d.]+)", asked.run("000:1470"), re.MULTILINE)

    mean = sum(SENT_S) / 3
    assert {name: float(value) for name, value in found} == {
        "Count": 3,
        "Mean": pytest.approx(mean, rel=1e-4),
        "StdDev": pytest.approx(math.sqrt(sum((s - mean) ** 2 for s in SENT_S) / 3), rel=1e-4),
    }


def test_query_5_finds_attempts_with_the_breaker_open(asked: Asked) -> None:
    [held] = asked.stream("000:1491")

    assert held.pop("startTime") > 0
    assert held == {
        "traceID": asked.world.held_back,
        "channel": "WHATSAPP",
        "failureRate": 87,
    }


def test_query_6_correlates_request_and_webhook_step_by_step(asked: Asked) -> None:
    printed = asked.run("000:1506", "000:1515")

    trace_id = asked.world.delivered.attempt_trace_ids[1]
    lines = printed.splitlines()
    assert lines[:2] == [f"Outbound Trace ID: {trace_id}", "Provider Message ID: wamid.ABC123"]
    assert read_stream("\n".join(lines[2:])) == [
        {
            "traceID": trace_id,
            "webhookSpans": 6,
            "statusUpdate": {"duration": 2000, "status": "DELIVERED"},
        }
    ]


def test_query_6_computes_the_delivery_latency_in_seconds_once_jq_takes_it(asked: Asked) -> None:
    printed = asked.run("000:1506", "000:1532", corrected=True)

    [times] = read_stream(printed.partition("\n")[2])
    assert times["deliveryLatency"] == 125
    assert times["webhookReceivedAt"] - times["messageSentAt"] == 125_000_000
    # As written, a jq that takes it says the same, and an older one refuses the whole line.
    script = BLOCKS["000:1506"].text + BLOCKS["000:1532"].text
    written = asked.shell.run(script)
    if TRACE_FAULTS["000:1532"].symptom not in written.stderr:
        assert read_stream(written.stdout.partition("\n")[2]) == [times]


def test_query_7_lists_the_attempts_that_failed(asked: Asked) -> None:
    [refused] = asked.stream("000:1553")

    assert refused.pop("startTime") > 0
    assert refused == {
        "traceID": asked.world.delivered.attempt_trace_ids[0],
        "attemptNo": 1,
        "status": "QUEUED",
        "errorCode": "130",
    }


def test_query_8_finds_messages_outside_their_session_window(asked: Asked) -> None:
    assert asked.stream("000:1576") == [
        {
            "traceID": asked.world.expired,
            "messageId": 12346,
            "hasTemplate": False,
            "phoneNumber": "+33600012346",
        },
        {
            "traceID": asked.world.delivered.attempt_trace_ids[1],
            "messageId": 12345,
            "hasTemplate": True,
            "phoneNumber": "+33612345678",
        },
    ]


def test_the_export_script_writes_a_file_and_counts_what_is_in_it(asked: Asked) -> None:
    printed = asked.run("000:1635")

    check, total, slow, mean = printed.splitlines()
    assert check.startswith("✓ Traces exported to jaeger-traces-")
    assert (int(total), int(slow)) == (7, 1)
    durations = [0.285, 0.124, 0.045, 0.002, 5.2, 0.1, 12.0]
    assert float(mean) == pytest.approx(sum(durations) / 7)
    [file] = asked.shell.directory.glob("jaeger-traces-*.json")
    assert len(load_document(file)) == 7
    assert len(json.loads(file.read_text("utf-8"))["data"]) == 7


def test_the_outage_procedure_counts_provider_errors(asked: Asked) -> None:
    assert asked.stream("000:1707") == [1]


def test_every_section_that_an_explanation_names_is_a_heading_of_the_runbook() -> None:
    headings = set(re.findall(r"^#+ (.*)$", RUNBOOK, re.MULTILINE))

    assert {remedy.section for remedy in REMEDIES.values()} <= headings
