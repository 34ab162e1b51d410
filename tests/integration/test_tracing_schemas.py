"""Every answer of the store has the form of Jaeger's, in both query APIs."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import requests

from outbound_slo.vocabulary.spans import SpanName
from tests.jaeger_schemas import HERE, check_answer
from tests.pattern_parts import RunbookWorld, tell_runbook_world
from tests.tracing_parts import open_store
from tracing.setup import start_tracing
from tracing.traces import read_v1_answer, read_v3_answer

NONE: Mapping[str, str] = MappingProxyType({})
UNKNOWN = "5b8efff798038103d269b633813fc60c"
# Another sender's span, with every kind of value that OTLP has.
RICH: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": "other"}},
                    {"key": "host.name", "value": {"stringValue": "h1"}},
                ]
            },
            "scopeSpans": [
                {
                    "scope": {"name": "library", "version": "1.2.3"},
                    "spans": [
                        {
                            "traceId": "0" * 31 + "a",
                            "spanId": "0" * 15 + "1",
                            "parentSpanId": "0" * 15 + "2",
                            "name": "rich",
                            "kind": 2,
                            "startTimeUnixNano": "1544712660000000001",
                            "endTimeUnixNano": "1544712661000000002",
                            "attributes": [
                                {"key": "text", "value": {"stringValue": "ä"}},
                                {"key": "empty", "value": {"stringValue": ""}},
                                {"key": "yes", "value": {"boolValue": True}},
                                {"key": "whole", "value": {"intValue": "-9007199254740993"}},
                                {"key": "broken", "value": {"doubleValue": 0.5}},
                                {"key": "bytes", "value": {"bytesValue": "AAEC"}},
                                {
                                    "key": "list",
                                    "value": {"arrayValue": {"values": [{"intValue": "1"}]}},
                                },
                                {
                                    "key": "map",
                                    "value": {
                                        "kvlistValue": {
                                            "values": [{"key": "a", "value": {"stringValue": "b"}}]
                                        }
                                    },
                                },
                            ],
                            "events": [
                                {
                                    "timeUnixNano": "1544712660500000000",
                                    "name": "retry",
                                    "attributes": [{"key": "n", "value": {"intValue": "1"}}],
                                }
                            ],
                            "links": [{"traceId": "0" * 31 + "b", "spanId": "0" * 15 + "3"}],
                            "status": {"code": 2, "message": "gone"},
                        }
                    ],
                }
            ],
        }
    ]
}
# What 000 asks for, by tags and operation.
SEARCHES: tuple[tuple[dict[str, str], str], ...] = (
    ({"message.id": "12345"}, ""),
    ({"error.code": "132016"}, SpanName.WHATSAPP_SEND),
    ({"message.to": "+33612345678"}, ""),
    ({"status": "SENT"}, SpanName.OUTBOUND_MESSAGE_PROCESS),
    ({"circuit.breaker.state": "OPEN"}, ""),
    ({"provider.message.id": "wamid.ABC123"}, SpanName.WEBHOOK_PROCESS),
    ({"within.session.window": "false"}, SpanName.WHATSAPP_SEND),
    ({}, SpanName.WHATSAPP_SEND),
    ({"error": "true"}, ""),
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, RunbookWorld]]:
    path: Path = tmp_path_factory.mktemp("store") / "traces.db"
    with open_store(path) as url:
        tracing = start_tracing(endpoint=url, strict=True)
        world = tell_runbook_world(tracing, time.time_ns())
        tracing.shutdown(60)
        requests.post(f"{url}/v1/traces", json=RICH, timeout=10).raise_for_status()
        yield url, world


@pytest.fixture
def store(told: tuple[str, RunbookWorld]) -> str:
    return told[0]


def get(url: str, parameters: Mapping[str, str] = NONE, status: int = 200) -> Any:  # noqa: ANN401 - parsed JSON
    answer = requests.get(url, params=parameters, timeout=10)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    return answer.json()


def search_v1(store: str, tags: dict[str, str], operation: str, service: str = "backend") -> Any:  # noqa: ANN401 - parsed JSON
    named = {"service": service, "operation": operation, "tags": json.dumps(tags), "start": "0"}
    return get(f"{store}/api/traces", named)


def search_v3(store: str, tags: dict[str, str], operation: str, service: str = "backend") -> Any:  # noqa: ANN401 - parsed JSON
    return get(
        f"{store}/api/v3/traces",
        {
            "query.serviceName": service,
            "query.operationName": operation,
            "query.attributes": json.dumps(tags),
            "query.startTimeMin": "2000-01-01T00:00:00Z",
            "query.startTimeMax": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    )


@pytest.mark.parametrize(("tags", "operation"), SEARCHES)
def test_a_search_is_answered_in_jaegers_form_and_alike_by_both_apis(
    store: str, tags: dict[str, str], operation: str
) -> None:
    first, third = search_v1(store, tags, operation), search_v3(store, tags, operation)

    check_answer("v1_traces", first)
    check_answer("v3_traces", third)
    assert first["data"]
    assert read_v1_answer(first) == read_v3_answer(third)


def test_spans_of_another_sender_come_out_in_jaegers_form(store: str) -> None:
    first = search_v1(store, {"yes": "true"}, "rich", "other")
    third = search_v3(store, {"whole": "-9007199254740993"}, "rich", "other")

    check_answer("v1_traces", first)
    check_answer("v3_traces", third)
    [trace] = first["data"]
    kinds = {tag["key"]: tag["type"] for tag in trace["spans"][0]["tags"]}
    assert (kinds["bytes"], kinds["whole"], kinds["broken"]) == ("binary", "int64", "float64")
    assert trace["processes"]["p1"]["tags"] == [
        {"key": "host.name", "type": "string", "value": "h1"}
    ]


def test_one_trace_is_answered_in_jaegers_form(told: tuple[str, RunbookWorld]) -> None:
    store, world = told
    trace_id = world.delivered.attempt_trace_ids[1]

    first = get(f"{store}/api/traces/{trace_id}")
    third = get(f"{store}/api/v3/traces/{trace_id}")

    check_answer("v1_traces", first)
    check_answer("v3_traces", third)
    assert get(f"{store}/api/trace/{trace_id}") == first
    assert read_v1_answer(first) == read_v3_answer(third)


def test_services_and_operations_are_answered_in_jaegers_form(store: str) -> None:
    services, services_v3 = get(f"{store}/api/services"), get(f"{store}/api/v3/services")
    names = get(f"{store}/api/services/backend/operations")
    operations = get(f"{store}/api/operations", {"service": "backend"})
    operations_v3 = get(f"{store}/api/v3/operations", {"service": "backend"})

    check_answer("v1_services", services)
    check_answer("v1_services", names)
    check_answer("v3_services", services_v3)
    check_answer("v1_operations", operations)
    check_answer("v3_operations", operations_v3)
    assert services["data"] == services_v3["services"] == ["backend", "other"]
    assert operations["data"] == operations_v3["operations"]
    assert names["data"] == sorted({each["name"] for each in operations["data"]})


def test_nothing_found_is_an_empty_answer_in_one_api_and_a_404_in_the_other(store: str) -> None:
    nothing = search_v1(store, {"message.id": "4711"}, "")
    check_answer("v1_traces", nothing)
    assert nothing["data"] == []
    missing = get(
        f"{store}/api/v3/traces",
        {
            "query.startTimeMin": "2000-01-01T00:00:00Z",
            "query.startTimeMax": "2000-01-02T00:00:00Z",
        },
        404,
    )
    check_answer("v3_error", missing)


@pytest.mark.parametrize(
    ("path", "schema", "status"),
    [
        (f"/api/traces/{UNKNOWN}", "v1_error", 404),
        ("/api/traces/xyz", "v1_error", 400),
        ("/api/traces?limit=1", "v1_error", 400),
        ("/api/traces?service=backend&maxDuration=x", "v1_error", 400),
        ("/api/operations", "v1_error", 400),
        (f"/api/v3/traces/{UNKNOWN}", "v3_error", 404),
        ("/api/v3/traces/xyz", "v3_error", 400),
        ("/api/v3/traces?query.serviceName=backend", "v3_error", 400),
    ],
)
def test_an_error_is_answered_in_jaegers_form(
    store: str, path: str, schema: str, status: int
) -> None:
    answer = get(store + path, status=status)

    check_answer(schema, answer)
    code = answer["errors"][0]["code"] if schema == "v1_error" else answer["error"]["httpCode"]
    assert code == status


def drop_process(answer: Any) -> None:  # noqa: ANN401 - parsed JSON
    del answer["data"][0]["processes"]


def write_number_as_text(answer: Any) -> None:  # noqa: ANN401 - parsed JSON
    tags = answer["data"][0]["spans"][0]["tags"]
    next(tag for tag in tags if tag["key"] == "message.id")["value"] = "12345"


def add_field(answer: Any) -> None:  # noqa: ANN401 - parsed JSON
    answer["data"][0]["spans"][0]["parentSpanID"] = "0" * 16


@pytest.mark.parametrize("spoil", [drop_process, write_number_as_text, add_field])
def test_the_schemas_find_what_is_not_jaegers_form(
    store: str, spoil: Callable[[Any], None]
) -> None:
    answer = copy.deepcopy(search_v1(store, {"message.id": "12345"}, ""))
    spoil(answer)

    with pytest.raises(AssertionError, match="v1_traces: "):
        check_answer("v1_traces", answer)


def test_every_schema_is_used() -> None:
    source = Path(__file__).read_text("utf-8")

    assert [path.stem for path in HERE.glob("*.json") if f'"{path.stem}"' not in source] == []
