"""The embedded store over real HTTP: the SDK's own exporter in, both of Jaeger's APIs out."""

import copy
import gzip
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # ships no type marker
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import SpanName, Tag
from tests.tracing_parts import ToldMessage, open_store, run_store, tell_delivered_message
from tracing.propagation import context_from
from tracing.setup import start_tracing
from tracing.store.archive import TraceArchive
from tracing.store.otlp import read_export
from tracing.store.search import TraceSearch

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
TRACE_ID = "5b8efff798038103d269b633813fc60c"
# The form of the example in the OTLP specification: ids in hexadecimal, 64-bit numbers as text.
JSON_EXPORT: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {
                "attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]
            },
            "scopeSpans": [
                {
                    "scope": {"name": "my.library", "version": "1.0.0"},
                    "spans": [
                        {
                            "traceId": TRACE_ID.upper(),
                            "spanId": "eee19b7ec3c1b174",
                            "parentSpanId": "eee19b7ec3c1b173",
                            "name": "I'm a server span",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661500000000",
                            "kind": 2,
                            "attributes": [
                                {"key": "my.span.attr", "value": {"stringValue": "some value"}},
                                {"key": "count", "value": {"intValue": "3"}},
                                {"key": "ratio", "value": {"doubleValue": 0.5}},
                                {
                                    "key": "list",
                                    "value": {"arrayValue": {"values": [{"intValue": "1"}]}},
                                },
                            ],
                            "events": [{"timeUnixNano": "1544712660500000000", "name": "retry"}],
                            "status": {"code": 2, "message": "gone"},
                            "someLaterField": True,
                        }
                    ],
                }
            ],
        }
    ]
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    with open_store(tmp_path / "traces.db") as url:
        yield url


@pytest.fixture
def told(store: str) -> ToldMessage:
    """Tell of a delivered message through the SDK's own exporter."""
    tracing = start_tracing(endpoint=store, strict=True)
    message = tell_delivered_message(tracing, 12345, time.time_ns() - 600 * 10**9)
    tracing.shutdown(30)
    assert (tracing.counts().exported, tracing.dropped()) == (11, 0)
    return message


def search(store: str, tags: dict[str, str], **more: str) -> list[dict[str, Any]]:
    parameters = {"service": "backend", "tags": json.dumps(tags), **more}
    answer = requests.get(f"{store}/api/traces", params=parameters, timeout=10)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def first(span: dict[str, Any], key: str) -> object:
    """Give what `.tags[] | select(.key==…) | .value` gives first."""
    return next(tag["value"] for tag in span["tags"] if tag["key"] == key)


def test_a_message_is_found_by_its_id_with_all_its_attempts(store: str, told: ToldMessage) -> None:
    found = search(store, {"message.id": "12345"})

    assert [trace["traceID"] for trace in found] == [
        told.attempt_trace_ids[1],
        told.attempt_trace_ids[0],
        told.request_trace_id,
    ]


def test_the_first_span_answers_what_the_runbooks_queries_read_from_it(
    store: str, told: ToldMessage
) -> None:
    sent, refused = search(store, {"message.to": "+33612345678"})

    assert sent["spans"][0]["operationName"] == "outbound-message-process"
    assert first(sent["spans"][0], "message.id") == 12345
    assert first(sent["spans"][0], "message.attempt") == 2
    assert first(sent["spans"][0], "status") == "SENT"
    assert first(refused["spans"][0], "error.code") == "130"
    assert first(refused["spans"][0], "message.attempt") == 1
    assert refused["traceID"] == told.attempt_trace_ids[0]


@pytest.mark.parametrize(
    ("tags", "operation", "attempts"),
    [
        ({"error.code": "130"}, "whatsapp-cloud-api-send", [0]),
        ({"status": "SENT"}, "outbound-message-process", [1]),
        ({"circuit.breaker.state": "CLOSED"}, "", [1, 0]),
        ({"circuit.breaker.failure.rate": "12.5"}, "", [1, 0]),
        ({"provider.message.id": "wamid.ABC123"}, "webhook.process", [1]),
        ({"within.session.window": "false"}, "whatsapp-cloud-api-send", [1]),
        ({"error": "rate_limited"}, "", [0]),
        ({"error": "true"}, "", [0]),
        ({"error.code": "131016"}, "", []),
        ({"within.session.window": "false"}, "outbound-message-process", []),
        ({"status": "SENT", "within.session.window": "true"}, "", []),
    ],
)
def test_a_search_finds_the_traces_with_a_span_that_has_every_tag(
    store: str, told: ToldMessage, tags: dict[str, str], operation: str, attempts: list[int]
) -> None:
    found = search(store, tags, operation=operation)

    ids = [told.attempt_trace_ids[attempt] for attempt in attempts]
    assert [trace["traceID"] for trace in found] == ids


def test_a_failed_span_has_both_error_tags_in_the_first_api(store: str, told: ToldMessage) -> None:
    refused = search(store, {"error.code": "130"})[0]

    send = next(
        span for span in refused["spans"] if span["operationName"] == "whatsapp-cloud-api-send"
    )
    errors = [tag for tag in send["tags"] if tag["key"] == "error"]
    assert errors == [
        {"key": "error", "type": "string", "value": "rate_limited"},
        {"key": "error", "type": "bool", "value": True},
    ]
    assert first(send, "otel.status_description") == "Rate limit hit"
    assert told.attempt_trace_ids[0] == refused["traceID"]


def test_a_link_to_the_request_comes_out_as_a_reference(store: str, told: ToldMessage) -> None:
    refused = search(store, {"error.code": "130"})[0]

    references = refused["spans"][0]["references"]
    assert [(ref["refType"], ref["traceID"]) for ref in references] == [
        ("FOLLOWS_FROM", told.request_trace_id)
    ]


def test_delivery_latency_can_be_computed_as_the_runbook_does(
    store: str, told: ToldMessage
) -> None:
    trace_id = told.attempt_trace_ids[1]
    answer = requests.get(f"{store}/api/trace/{trace_id}", timeout=10).json()

    spans = answer["data"][0]["spans"]
    webhook = next(span for span in spans if span["operationName"] == "webhook.in")
    assert (webhook["startTime"] - spans[0]["startTime"]) / 1_000_000 == 125.0


@pytest.mark.parametrize(
    ("more", "attempts"),
    [
        ({"limit": "1"}, [1]),
        ({"minDuration": "200ms"}, [0]),
        ({"maxDuration": "200ms"}, [1]),
        ({"end": "1000000"}, []),
        ({"operation": "whatsapp-cloud-api-send"}, [1, 0]),
        ({"operation": "nonsense"}, []),
        ({"service": "other"}, []),
    ],
)
def test_limits_of_number_duration_and_time_are_kept(
    store: str, told: ToldMessage, more: dict[str, str], attempts: list[int]
) -> None:
    parameters = {"service": "backend", "operation": "outbound-message-process", **more}
    answer = requests.get(f"{store}/api/traces", params=parameters, timeout=10).json()

    ids = [told.attempt_trace_ids[attempt] for attempt in attempts]
    assert [trace["traceID"] for trace in answer["data"]] == ids


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("", "parameter 'service' is required"),
        ("service=a&limit=none", "parameter 'limit' takes a whole number above 0, not 'none'"),
        ("service=a&limit=0", "parameter 'limit' takes a whole number above 0, not '0'"),
        ("service=a&tags=broken", "parameter 'tags' is not JSON: 'broken'"),
        ("service=a&tags=%7B%22a%22:1%7D", "parameter 'tags' takes a JSON object of strings"),
        ("service=a&tag=broken", "parameter 'tag' takes key:value, not 'broken'"),
        ("service=a&start=yesterday", "parameter 'start' takes microseconds since the epoch"),
        ("service=a&minDuration=5", "parameter 'minDuration': '5' is not a duration"),
        ("service=a&minDuration=2s&maxDuration=1s", "the maximum duration must exceed"),
        ("traceID=xyz", "trace id 'xyz' is not hexadecimal"),
    ],
)
def test_a_bad_parameter_is_answered_as_jaeger_does(store: str, query: str, complaint: str) -> None:
    answer = requests.get(f"{store}/api/traces?{query}", timeout=10)

    assert answer.status_code == 400
    body = answer.json()
    assert body["data"] is None
    assert body["errors"][0]["code"] == 400
    assert body["errors"][0]["msg"].startswith(complaint)


def test_an_unknown_trace_is_not_found_in_either_api(store: str) -> None:
    first_api = requests.get(f"{store}/api/traces/{TRACE_ID}", timeout=10)
    third_api = requests.get(f"{store}/api/v3/traces/{TRACE_ID}", timeout=10)

    assert first_api.status_code == third_api.status_code == 404
    assert first_api.json()["errors"] == [{"code": 404, "msg": "trace not found"}]
    assert third_api.json() == {"error": {"httpCode": 404, "message": "No traces found"}}


def test_services_and_operations_are_listed_in_both_apis(store: str, told: ToldMessage) -> None:
    def get(path: str) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(store + path, timeout=10).json()
        return answer

    assert told.request_trace_id
    assert get("/api/services")["data"] == ["backend"]
    assert get("/api/v3/services") == {"services": ["backend"]}
    assert "status.update" in get("/api/services/backend/operations")["data"]
    servers = get("/api/operations?service=backend&spanKind=server")["data"]
    assert servers == [
        {"name": "http.in", "spanKind": "server"},
        {"name": "webhook.in", "spanKind": "server"},
    ]
    operations = get("/api/v3/operations?service=backend")["operations"]
    assert {"name": "outbound-message-process", "spanKind": "consumer"} in operations


def test_the_third_api_requires_its_times_and_finds_by_attributes(
    store: str, told: ToldMessage
) -> None:
    parameters = {
        "query.serviceName": "backend",
        "query.attributes": json.dumps({"status": "SENT"}),
        "query.startTimeMin": "2020-01-01T00:00:00.000000001Z",
        "query.startTimeMax": "2099-01-01T00:00:00+02:00",
    }

    def get(**more: str | None) -> requests.Response:
        return requests.get(f"{store}/api/v3/traces", params={**parameters, **more}, timeout=10)

    found = get()
    assert found.status_code == 200
    groups = found.json()["result"]["resourceSpans"]
    ids = {
        span["traceId"] for group in groups for one in group["scopeSpans"] for span in one["spans"]
    }
    assert ids == {told.attempt_trace_ids[1]}
    assert groups[0]["scopeSpans"][0]["spans"][0]["name"] == "outbound-message-process"
    assert get(**{"query.attributes": '{"status":"LOST"}'}).status_code == 404
    missing = get(**{"query.startTimeMin": None})
    assert missing.status_code == 400
    assert missing.json()["error"] == {
        "httpCode": 400,
        "message": "parameter 'query.startTimeMin' is required",
    }
    older = {
        "query.service_name": "backend",
        "query.start_time_min": parameters["query.startTimeMin"],
        "query.start_time_max": parameters["query.startTimeMax"],
        "query.num_traces": "1",
        "query.operation_name": "outbound-message-process",
    }
    named_the_older_way = requests.get(f"{store}/api/v3/traces", params=older, timeout=10).json()
    assert len(named_the_older_way["result"]["resourceSpans"]) == 1


def test_an_export_in_json_is_stored_like_one_in_protobuf(store: str) -> None:
    body = gzip.compress(json.dumps(JSON_EXPORT).encode())
    headers = {**JSON, "Content-Encoding": "gzip"}
    accepted = requests.post(f"{store}/v1/traces", data=body, headers=headers, timeout=10)

    assert (accepted.status_code, accepted.json()) == (200, {})
    trace = requests.get(f"{store}/api/traces/{TRACE_ID}", timeout=10).json()["data"][0]
    span = trace["spans"][0]
    assert span["startTime"] == 1544712660000000
    assert span["duration"] == 1500000
    assert span["references"] == [
        {"refType": "CHILD_OF", "traceID": TRACE_ID, "spanID": "eee19b7ec3c1b173"}
    ]
    assert [(tag["key"], tag["type"], tag["value"]) for tag in span["tags"]] == [
        ("otel.scope.name", "string", "my.library"),
        ("otel.scope.version", "string", "1.0.0"),
        ("my.span.attr", "string", "some value"),
        ("count", "int64", 3),
        ("ratio", "float64", 0.5),
        ("list", "string", "[1]"),
        ("span.kind", "string", "server"),
        ("otel.status_code", "string", "ERROR"),
        ("error", "bool", True),
        ("otel.status_description", "string", "gone"),
    ]
    assert span["logs"] == [
        {
            "timestamp": 1544712660500000,
            "fields": [{"key": "event", "type": "string", "value": "retry"}],
        }
    ]
    assert trace["processes"]["p1"]["serviceName"] == "my.service"


BROKEN = [
    (b"nonsense", PROTOBUF, "the body is not an OTLP protobuf trace export"),
    (b"{", JSON, "the body is not JSON: "),
    (b"[1]", JSON, "the body is not a JSON object with resourceSpans"),
    (b'{"resourceSpans": 5}', JSON, "the body is not an OTLP JSON trace export: "),
    (b"[" * 100_000, JSON, "the JSON body is nested too deeply"),
    (
        json.dumps(JSON_EXPORT).replace(TRACE_ID.upper(), "xyz").encode(),
        JSON,
        "traceId 'xyz' is not hexadecimal",
    ),
    (b"{}", {"Content-Type": "text/plain"}, "Content-Type text/plain is not OTLP; send "),
    (b"{}", {}, "Content-Type (none) is not OTLP; send "),
    (b"{}", {**JSON, "Content-Encoding": "gzip"}, "the body is not gzip, as Content-Encoding says"),
    (
        gzip.compress(b"{}" * 500, mtime=0)[:-9],
        {**JSON, "Content-Encoding": "gzip"},
        "the gzip body is cut short",
    ),
    (b"{}", {**JSON, "Content-Encoding": "br"}, "Content-Encoding br is not known; send gzip"),
]


@pytest.mark.parametrize(("body", "headers", "complaint"), BROKEN)
def test_a_malformed_export_is_refused_with_one_clear_line(
    store: str, body: bytes, headers: dict[str, str], complaint: str
) -> None:
    answer = requests.post(f"{store}/v1/traces", data=body, headers=headers, timeout=10)

    assert answer.status_code == 400
    if headers == PROTOBUF:
        line = Status.FromString(answer.content).message
    else:
        line = answer.json()["message"]
    assert line.startswith(complaint)
    assert "\n" not in line
    assert requests.get(f"{store}/healthz", timeout=10).json()["spans"] == 0


def test_a_gzip_bomb_is_refused(store: str) -> None:
    bomb = gzip.compress(bytes(65 * 1024 * 1024))
    headers = {**PROTOBUF, "Content-Encoding": "gzip"}

    answer = requests.post(f"{store}/v1/traces", data=bomb, headers=headers, timeout=30)

    assert answer.status_code == 400
    assert Status.FromString(answer.content).message == "the body is larger than 67108864 bytes"


def test_a_span_without_a_valid_id_is_refused_and_its_neighbours_are_kept(store: str) -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(trace_id=bytes(range(16)), span_id=b"12345678", name="good")
    spans.add(trace_id=b"short", span_id=b"12345678", name="bad")
    spans.add(trace_id=bytes(16), span_id=b"12345678", name="zero")
    spans.add(
        trace_id=bytes(range(16)), span_id=b"87654321", name="far", end_time_unix_nano=2**64 - 1
    )

    answer = requests.post(
        f"{store}/v1/traces", data=request.SerializeToString(), headers=PROTOBUF, timeout=10
    )

    assert answer.status_code == 200
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (partial.rejected_spans, partial.error_message) == (
        3,
        "spans without a valid id or time",
    )
    assert requests.get(f"{store}/healthz", timeout=10).json()["spans"] == 1


def test_a_late_webhook_of_another_process_joins_its_trace(store: str) -> None:
    sender = start_tracing(endpoint=store, strict=True)
    with sender.span(SpanName.OUTBOUND_MESSAGE_PROCESS, {Tag.MESSAGE_ID: 7}) as attempt:
        stored = attempt.traceparent
    sender.shutdown(30)
    inbox = start_tracing(endpoint=store, resource={"service.instance.id": "other"}, strict=True)
    with inbox.span(SpanName.WEBHOOK_IN, parent=context_from(stored)):
        pass
    inbox.shutdown(30)

    trace = search(store, {"message.id": "7"})[0]

    assert [span["operationName"] for span in trace["spans"]] == [
        "outbound-message-process",
        "webhook.in",
    ]
    processes = {span["processID"] for span in trace["spans"]}
    assert processes == {"p1", "p2"}


def test_a_span_sent_again_replaces_the_first_and_its_tags(store: str) -> None:
    export = copy.deepcopy(JSON_EXPORT)
    for value in ("first", "second"):
        spans = export["resourceSpans"][0]["scopeSpans"][0]["spans"]
        spans[0]["attributes"][0]["value"]["stringValue"] = value
        requests.post(f"{store}/v1/traces", json=export, timeout=10).raise_for_status()

    more = {"service": "my.service", "start": "0"}
    assert search(store, {"my.span.attr": "first"}, **more) == []
    assert len(search(store, {"my.span.attr": "second"}, **more)[0]["spans"]) == 1


def test_traces_survive_a_restart_of_the_store(tmp_path: Path) -> None:
    with open_store(tmp_path / "traces.db") as url:
        requests.post(f"{url}/v1/traces", json=JSON_EXPORT, timeout=10).raise_for_status()

    with open_store(tmp_path / "traces.db") as url:
        answer = requests.get(f"{url}/api/traces/{TRACE_ID}", timeout=10)
        assert len(answer.json()["data"][0]["spans"]) == 1
        requests.post(f"{url}/v1/traces", json=JSON_EXPORT, timeout=10).raise_for_status()
        assert requests.get(f"{url}/healthz", timeout=10).json()["spans"] == 1


def export_of(traces: range, padding: int) -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in traces:
        span = spans.add(
            trace_id=number.to_bytes(16, "big"),
            span_id=b"12345678",
            name="filler",
            start_time_unix_nano=number,
            end_time_unix_nano=number,
        )
        span.attributes.add(key="number").value.int_value = number
        span.attributes.add(key="padding").value.string_value = "x" * padding
    body: bytes = request.SerializeToString()
    return body


def test_the_file_stays_within_its_size_and_the_oldest_traces_go(tmp_path: Path) -> None:
    bound = 1024 * 1024
    path = tmp_path / "traces.db"
    archive = TraceArchive(path, max_bytes=bound)
    for batch in range(20):
        numbers = range(1 + batch * 200, 201 + batch * 200)
        archive.save(read_export(export_of(numbers, 1000), PROTOBUF["Content-Type"], "").spans)
        assert archive.size_bytes() <= bound
    newest, oldest = (4000).to_bytes(16, "big"), (1).to_bytes(16, "big")

    assert archive.trace(oldest) is None
    assert archive.trace(newest) is not None
    assert archive.find(TraceSearch(tags={"number": "1"})) == []
    assert len(archive.find(TraceSearch(tags={"number": "4000"}))) == 1
    kept, spans = archive.totals()
    assert kept == spans > 200
    archive.close()
    with sqlite3.connect(path) as file:
        # Only tags of spans still there: one number each, the padding is too long to index.
        assert file.execute("SELECT count(*) FROM span_tag").fetchone() == (spans,)
    file.close()
    assert path.stat().st_size <= bound


def test_traces_older_than_the_retention_go(tmp_path: Path) -> None:
    now = [1000.0]
    archive = TraceArchive(tmp_path / "t.db", retention_s=60, clock=lambda: now[0])
    archive.save(read_export(export_of(range(1, 2), 1), PROTOBUF["Content-Type"], "").spans)
    now[0] = 1060.0
    archive.save(read_export(export_of(range(2, 3), 1), PROTOBUF["Content-Type"], "").spans)
    assert archive.totals() == (2, 2)

    now[0] = 1061.0
    archive.save(read_export(export_of(range(3, 4), 1), PROTOBUF["Content-Type"], "").spans)

    assert archive.totals() == (2, 2)
    assert archive.trace((1).to_bytes(16, "big")) is None
    archive.close()


def test_a_file_that_is_something_else_is_the_users_mistake(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be looked at " * 40)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as file:
        file.execute("CREATE TABLE mine (id INTEGER)")
    file.close()

    with pytest.raises(UserMistake, match=r"cannot keep traces in .*: file is not a database"):
        TraceArchive(text)
    with pytest.raises(UserMistake, match="is an SQLite file, but not a trace store"):
        TraceArchive(other)
    with pytest.raises(UserMistake, match="unable to open database file"):
        TraceArchive(tmp_path / "missing" / "t.db")


def test_a_port_in_use_is_the_users_mistake(tmp_path: Path, store: str) -> None:
    import asyncio

    from tracing.store.server import serve

    archive = TraceArchive(tmp_path / "second.db")
    port = int(store.rpartition(":")[2])
    with pytest.raises(UserMistake, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
        asyncio.run(serve(archive, "127.0.0.1", port, announce=lambda _: None))
    archive.close()


def test_exports_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    archive = TraceArchive(tmp_path / "traces.db")

    def post(batch: int) -> int:
        body = export_of(range(1 + batch * 50, 51 + batch * 50), 10)
        answer = requests.post(f"{url}/v1/traces", data=body, headers=PROTOBUF, timeout=30)
        return answer.status_code

    with run_store(archive) as url, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post, range(24))) == {200}
    assert archive.totals() == (1200, 1200)
    archive.close()


def test_a_full_disk_refuses_the_export_whole_and_the_next_one_is_stored(tmp_path: Path) -> None:
    archive = TraceArchive(tmp_path / "traces.db")
    body = export_of(range(1, 101), 1000)

    def post() -> requests.Response:
        return requests.post(f"{url}/v1/traces", data=body, headers=PROTOBUF, timeout=30)

    with run_store(archive) as url:
        # SQLite's own limit of pages fails as a full disk does.
        archive._writer.execute("PRAGMA max_page_count = 16")
        refused = post()
        assert archive.totals() == (0, 0)
        archive._writer.execute("PRAGMA max_page_count = 1000000")
        accepted = post()

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    line = Status.FromString(refused.content).message
    assert line == "the trace store cannot write: database or disk is full"
    assert accepted.status_code == 200
    assert archive.totals() == (100, 100)
    assert len(archive.find(TraceSearch(service="unknown_service", operation="filler"))) == 100
    archive.close()
