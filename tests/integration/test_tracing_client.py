"""The client on a real store that is made to behave like Jaegers of different ages."""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import Tag
from tests.jaeger_parts import JaegerWithoutThirdApi, Recorder, plain_answer
from tests.tracing_parts import ToldMessage, open_store, tell_delivered_message
from tracing.jaeger import JaegerClient, TraceQuery
from tracing.setup import start_tracing
from tracing.traces import Trace


class JaegerWithoutFirstSearch(Recorder):
    """As Jaeger's main branch since August 2026."""

    def answer(self, path: str, url: str, options: dict[str, Any]) -> requests.Response:
        if path in {"/api/traces", "/api/services"}:
            return plain_answer(404, "404 page not found\n", url)
        return super().answer(path, url, options)


class JaegerThatIgnoresAttributes(Recorder):
    """As Jaeger's third API before June 2026."""

    def answer(self, path: str, url: str, options: dict[str, Any]) -> requests.Response:
        if path == "/api/v3/traces":
            kept = {key: value for key, value in options["params"].items() if "attr" not in key}
            options = {**options, "params": kept}
        return super().answer(path, url, options)


class JaegerThatWantsSnakeCase(Recorder):
    def answer(self, path: str, url: str, options: dict[str, Any]) -> requests.Response:
        if path == "/api/v3/traces":
            return plain_answer(400, '{"error": {"httpCode": 400, "message": "…"}}', url)
        return super().answer(path, url, options)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ToldMessage]]:
    """Give a store with one delivered message, and another that must not be found."""
    path: Path = tmp_path_factory.mktemp("store") / "traces.db"
    with open_store(path) as url:
        tracing = start_tracing(endpoint=url, strict=True)
        now = time.time_ns()
        told = tell_delivered_message(tracing, 12345, now - 3600 * 10**9)
        tell_delivered_message(tracing, 99999, now - 1800 * 10**9)
        tracing.shutdown(60)
        yield url, told


def ids(traces: list[Trace]) -> list[str]:
    return [trace.trace_id for trace in traces]


JAEGERS: Mapping[type[Recorder], list[str]] = {
    Recorder: ["/api/v3/services", "/api/v3/traces", "/api/v3/traces"],
    JaegerWithoutFirstSearch: ["/api/v3/services", "/api/v3/traces", "/api/v3/traces"],
    JaegerWithoutThirdApi: ["/api/v3/services", "/api/services", "/api/traces", "/api/traces"],
    JaegerThatIgnoresAttributes: [
        "/api/v3/services",
        "/api/v3/traces",
        "/api/traces",
        "/api/traces",
    ],
    JaegerThatWantsSnakeCase: ["/api/v3/services", "/api/v3/traces", "/api/traces", "/api/traces"],
}


@pytest.mark.parametrize(("jaeger", "paths"), JAEGERS.items(), ids=lambda one: str(one)[-40:])
def test_a_message_is_found_on_jaegers_of_every_age(
    store: tuple[str, ToldMessage], jaeger: type[Recorder], paths: list[str]
) -> None:
    url, told = store
    session = jaeger()
    client = JaegerClient(url, session=session)

    for _ in range(2):
        found = client.traces_of_message(12345)
        assert ids(found) == [told.request_trace_id, *told.attempt_trace_ids]
    assert session.paths == paths


def test_both_apis_give_equal_traces(store: tuple[str, ToldMessage]) -> None:
    url, _ = store

    by_third = JaegerClient(url).traces_of_message(12345)
    by_first = JaegerClient(url, session=JaegerWithoutThirdApi()).traces_of_message(12345)

    assert by_third == by_first
    refused = by_third[1]
    assert refused.root.tags["message.id"] == 12345
    assert refused.root.tags["circuit.breaker.failure.rate"] == 12.5
    send = refused.spans[1]
    assert (send.failed, send.status_message, send.tags["error"]) == (
        True,
        "Rate limit hit",
        "rate_limited",
    )
    assert refused.root.links[0].trace_id == by_third[0].trace_id
    assert by_third[2].duration_us == 125_006_000


def test_traces_are_found_by_error_code_recipient_and_operation(
    store: tuple[str, ToldMessage],
) -> None:
    url, told = store
    client = JaegerClient(url)

    errors = client.find(TraceQuery({Tag.ERROR_CODE: "130"}))
    assert told.attempt_trace_ids[0] in ids(errors)
    assert len(errors) == 2
    assert client.find(TraceQuery({Tag.ERROR_CODE: "131016"})) == []
    to_one = {Tag.MESSAGE_TO: "+33612345678"}
    assert len(client.find(TraceQuery(to_one))) == 4
    assert len(client.find(TraceQuery(to_one, limit=3))) == 3
    webhooks = TraceQuery({Tag.PROVIDER_MESSAGE_ID: "wamid.ABC123"}, operation="webhook.process")
    assert told.attempt_trace_ids[1] in ids(client.find(webhooks))
    assert client.find(TraceQuery(to_one, lookback=timedelta(minutes=5))) == []


@pytest.mark.parametrize("jaeger", [Recorder, JaegerWithoutThirdApi])
def test_one_trace_is_found_by_its_id(
    store: tuple[str, ToldMessage], jaeger: type[Recorder]
) -> None:
    url, told = store
    client = JaegerClient(url, session=jaeger())

    trace = client.trace(told.attempt_trace_ids[1])

    assert trace is not None
    assert [span.name for span in trace.spans][:2] == [
        "outbound-message-process",
        "whatsapp-cloud-api-send",
    ]
    assert client.trace("1234") is None
    with pytest.raises(UserMistake, match="'xyz' is not a trace id"):
        client.trace("xyz")


def test_a_client_of_another_service_finds_nothing(store: tuple[str, ToldMessage]) -> None:
    url, _ = store

    assert JaegerClient(url, service="other").traces_of_message(12345) == []


def test_an_unreachable_server_is_one_clear_line() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    client = JaegerClient(f"http://127.0.0.1:{port}")

    with pytest.raises(
        UserMistake, match=rf"^no trace server answers at http://127\.0\.0\.1:{port}"
    ):
        client.traces_of_message(1)


class SomethingElse(Recorder):
    def answer(self, path: str, url: str, options: dict[str, Any]) -> requests.Response:
        del path, options
        return plain_answer(200, "<html>Welcome</html>", url)


class BrokenJaeger(Recorder):
    body = "{}"
    status = 200

    def answer(self, path: str, url: str, options: dict[str, Any]) -> requests.Response:
        del options
        if path == "/api/v3/services":
            return plain_answer(200, '{"services": []}', url)
        return plain_answer(self.status, self.body, url)


def test_a_server_that_is_no_jaeger_is_one_clear_line() -> None:
    client = JaegerClient("http://127.0.0.1:1", session=SomethingElse())

    with pytest.raises(UserMistake, match="answers, but not as Jaeger does"):
        client.traces_of_message(1)


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (200, "{}", "not an answer of Jaeger's /api/v3"),
        (200, '{"result": 5}', "not an answer of Jaeger's /api/v3"),
        (200, json.dumps({"result": {"resourceSpans": [1]}}), "not an answer of Jaeger's /api/v3"),
        (200, "not JSON", "not an answer of Jaeger's /api/v3"),
        (502, "", "answered HTTP 502 to /api/v3/traces"),
    ],
)
def test_a_broken_answer_is_one_clear_line(status: int, body: str, complaint: str) -> None:
    session = BrokenJaeger()
    session.status, session.body = status, body
    client = JaegerClient("http://127.0.0.1:1", session=session)

    with pytest.raises(UserMistake) as caught:
        client.traces_of_message(1)

    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
