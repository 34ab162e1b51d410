"""A client of Jaeger's that others wrote, jaeger-mcp, reads the embedded store.

In a process of its own, as its users run it: it leaves sockets for the interpreter to close, which
a test here is not allowed to.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tracing_parts import ToldMessage, open_store, tell_delivered_message
from tracing.setup import start_tracing

# Asks one method of its client, named first, with the arguments that follow as JSON.
SCRIPT = """
import dataclasses, json, os, sys
from jaeger_mcp import JaegerClient
client = JaegerClient.from_env()
answer = getattr(client, sys.argv[1])(*json.loads(sys.argv[2]), **json.loads(sys.argv[3]))
json.dump(answer, sys.stdout, default=lambda value:
    dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ToldMessage]]:
    """Give a store with message 12345, and another that must not be found."""
    path: Path = tmp_path_factory.mktemp("store") / "traces.db"
    with open_store(path) as url:
        tracing = start_tracing(endpoint=url, strict=True)
        now = time.time_ns()
        message = tell_delivered_message(tracing, 12345, now - 3600 * 10**9)
        tell_delivered_message(tracing, 99999, now - 1800 * 10**9)
        tracing.shutdown(60)
        yield url, message


def ask(url: str, method: str, *positional: str, **named: object) -> Any:  # noqa: ANN401 - parsed JSON
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, method, json.dumps(positional), json.dumps(named)],
        capture_output=True,
        text=True,
        check=False,
        env={"JAEGER_URL": url, "JAEGER_RETRY_ATTEMPTS": "0"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_lists_the_services(told: tuple[str, ToldMessage]) -> None:
    assert ask(told[0], "list_services") == ["backend"]


def test_it_finds_a_message_by_its_tag(told: tuple[str, ToldMessage]) -> None:
    url, message = told

    found = ask(url, "search_traces", "backend", tags={"message.id": "12345"})

    assert [(each["trace_id"], each["root_operation"], each["span_count"]) for each in found] == [
        (message.attempt_trace_ids[1], "outbound-message-process", 6),
        (message.attempt_trace_ids[0], "outbound-message-process", 4),
        (message.request_trace_id, "http.in", 1),
    ]
    # It reckons a trace from its first start to its last end, as Jaeger's page does.
    assert found[0]["duration_us"] == 125_006_000


def test_it_finds_by_operation_and_duration(told: tuple[str, ToldMessage]) -> None:
    url, message = told

    found = ask(
        url,
        "search_traces",
        "backend",
        operation="outbound-message-process",
        min_duration="200ms",
        max_duration="1s",
    )

    assert message.attempt_trace_ids[0] in {each["trace_id"] for each in found}
    assert len(found) == 2


def test_it_reads_a_whole_trace(told: tuple[str, ToldMessage]) -> None:
    url, message = told

    trace = ask(url, "get_trace", message.attempt_trace_ids[1])

    assert [span["operation"] for span in trace["spans"]] == [
        *("outbound-message-process", "whatsapp-cloud-api-send", "database.save"),
        *("webhook.in", "webhook.process", "status.update"),
    ]
    root = trace["spans"][0]
    assert (root["service_name"], root["parent_span_id"]) == ("backend", None)
    assert (root["tags"]["message.id"], root["tags"]["status"]) == ("12345", "SENT")
    assert trace["spans"][-1]["tags"]["new.status"] == "DELIVERED"
