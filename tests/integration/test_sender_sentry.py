"""Errors of a real sender at a server that speaks Sentry's envelope endpoint."""

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from outbound_slo.embedded.child import Child
from outbound_slo.embedded.processes import Supervisor
from sender.redaction import Redactor
from sender.sentry import open_report
from tests.integration.sending import NUMBER, Sending, template_message, wait_until

OUTAGE = {"kind": "error", "provider": "meta", "http_status": 500, "code": 131016}


class SentryServer(ThreadingHTTPServer):
    """Keeps the events that were posted; may answer nothing until it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Envelopes)
        self.paths: list[str] = []
        self.bodies: list[str] = []
        self.answering = threading.Event()
        self.answering.set()

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server_port}/42"

    def events(self) -> list[dict[str, Any]]:
        return [event for body in list(self.bodies) for event in _read_events(body)]


def _read_events(body: str) -> Iterator[dict[str, Any]]:
    """Read an envelope: a header line, then per item its header and its payload."""
    lines = iter(body.splitlines()[1:])
    for header in lines:
        payload = next(lines, "")
        if header and json.loads(header).get("type") == "event":
            yield json.loads(payload)


class _Envelopes(BaseHTTPRequestHandler):
    server: SentryServer

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        self.server.paths.append(self.path)
        self.server.bodies.append(raw.decode("utf-8"))
        self.server.answering.wait(30)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own
        """Say nothing."""


@pytest.fixture
def sentry() -> Iterator[SentryServer]:
    with SentryServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.answering.set()
        server.shutdown()


@pytest.fixture
def sending(database: str, tmp_path: Path) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        yield Sending(supervisor, database)


def _fail_ten(sending: Sending, dsn: str) -> tuple[Child, list[int]]:
    sending.allow(NUMBER)
    sending.start_simulator()
    sending.set_faults(OUTAGE)
    sender = sending.start_sender(SENTRY_DSN=dsn, SENTRY_ENVIRONMENT="test")
    message = replace(template_message(max_attempts=1), session_id="abc-123-def")
    numbers = sending.queue(*[message] * 10)
    wait_until(
        lambda: {status for status, _ in sending.statuses(numbers)} == {"FAILED"}, "the failures"
    )
    return sender, numbers


def test_a_providers_failure_is_one_event_with_the_runbooks_tags_and_nobody_in_it(
    sending: Sending, sentry: SentryServer
) -> None:
    _, numbers = _fail_ten(sending, sentry.dsn)
    wait_until(lambda: bool(sentry.events()), "the event")
    [event] = sentry.events()
    assert sentry.paths == ["/api/42/envelope/"]
    assert event["tags"] == {
        "correlation_id": "abc-123-def",
        "channel": "WHATSAPP",
        "error_code": "131016",
        "worker_type": "OutboundJobWorker",
    }
    assert (event["level"], event["environment"]) == ("error", "test")
    assert event["message"] == "handleFailure: 131016"
    assert event["contexts"]["line"]["messageId"] in numbers
    [body] = sentry.bodies
    assert NUMBER.lstrip("+") not in body
    assert "user" not in event


def _crash(recipient: str, secret: str) -> None:
    raise ValueError(f"no such recipient: {recipient}, said {secret}")


def test_a_crash_comes_with_its_traceback_but_no_local_variable_person_or_secret(
    sentry: SentryServer,
) -> None:
    secret = "hunter2-hunter2"
    with open_report(sentry.dsn, "test", Redactor([secret])) as report:
        assert report is not None
        try:
            _crash(NUMBER, secret)
        except ValueError:
            line = {"event": "attempt crashed", "level": "error", "exc_info": True, "messageId": 7}
            assert report(None, "error", dict(line)) == line
    [event] = sentry.events()
    [error] = event["exception"]["values"]
    frames = error["stacktrace"]["frames"]
    assert error["value"] == "no such recipient: [number], said [hidden]"
    assert [frame["function"] for frame in frames][-1] == "_crash"
    assert not any("vars" in frame for frame in frames)
    assert event["contexts"]["line"]["messageId"] == 7
    [body] = sentry.bodies
    assert secret not in body
    assert NUMBER.lstrip("+") not in body


def test_lines_below_an_error_are_not_reported(sentry: SentryServer) -> None:
    with open_report(sentry.dsn, "test", Redactor()) as report:
        assert report is not None
        report(None, "warning", {"event": "handleFailure", "level": "warning"})
        report(None, "error", {"event": "handleFailure", "level": "error"})
    assert len(sentry.events()) == 1


def test_a_sentry_that_does_not_answer_delays_no_message_and_no_end(
    sending: Sending, sentry: SentryServer
) -> None:
    sentry.answering.clear()
    sender, _ = _fail_ten(sending, sentry.dsn)
    wait_until(lambda: bool(sentry.bodies), "the request that hangs")
    sending.set_faults()
    [number] = sending.queue(template_message())
    wait_until(lambda: sending.statuses([number]) == [("DELIVERED", None)], "the good message")
    # It is asked to end by SIGTERM, and killed if it has not ended ten seconds later.
    assert sending.supervisor.stop_child(sender) == 0
