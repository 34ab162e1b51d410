"""Exported files: the same by both APIs, whole or not there, and read back, Jaeger's own too."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from outbound_slo.vocabulary.mistakes import UserMistake
from tests.jaeger_parts import JaegerWithoutThirdApi, plain_answer
from tests.pattern_parts import tell_runbook_world
from tests.tracing_parts import open_store
from tracing.analysis import measure
from tracing.interchange import load_document, save_document, write_document
from tracing.jaeger import Answer, JaegerClient, QueryApi, TraceQuery
from tracing.setup import start_tracing

QUERY = TraceQuery(operation="whatsapp-cloud-api-send", lookback=timedelta(hours=1), limit=1000)
DOCUMENT = {"data": [], "total": 0, "limit": 0, "offset": 0, "errors": None}


class JaegerAsItIs(JaegerWithoutThirdApi):
    """As Jaeger's own first API: no times of a trace, and the root not first."""

    def answer(self, path: str, url: str, options: dict[str, Any]) -> requests.Response:
        response = super().answer(path, url, options)
        if path != "/api/traces":
            return response
        body = response.json()
        for trace in body["data"]:
            del trace["startTime"], trace["duration"]
            trace["spans"].reverse()
        return plain_answer(200, json.dumps(body), url)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_store(tmp_path_factory.mktemp("store") / "traces.db") as url:
        tracing = start_tracing(endpoint=url, strict=True)
        tell_runbook_world(tracing, time.time_ns())
        tracing.shutdown(60)
        yield url


def export(store: str, session: requests.Session | None = None) -> dict[str, Any]:
    return write_document(JaegerClient(store, session=session).ask(QUERY))


def test_an_export_is_what_the_first_api_answers_whichever_api_was_asked(store: str) -> None:
    asked = {"service": "backend", "operation": "whatsapp-cloud-api-send", "limit": "1000"}
    answered = requests.get(f"{store}/api/traces", params=asked, timeout=10).json()

    assert len(answered["data"]) == 7
    assert export(store) == answered
    assert export(store, JaegerWithoutThirdApi()) == answered


def test_a_trace_of_jaegers_gets_the_times_of_its_root_wherever_that_stands(store: str) -> None:
    whole = {trace["traceID"]: trace for trace in export(store)["data"]}

    document = export(store, JaegerAsItIs())

    assert len(document["data"]) == 7
    for trace in document["data"]:
        known = whole[trace["traceID"]]
        assert trace["duration"] == known["duration"]
        assert trace["startTime"] == known["startTime"]


def test_a_file_is_read_back_with_or_without_what_jaeger_leaves_out(
    store: str, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    save_document(export(store), ours)
    answer = JaegerClient(store, session=JaegerAsItIs()).ask(QUERY)
    theirs.write_text(json.dumps(answer.body), "utf-8")

    assert sorted(measure(load_document(ours))) == sorted(measure(load_document(theirs)))
    assert sorted(measure(load_document(ours))) == [0.002, 0.045, 0.1, 0.124, 0.285, 5.2, 12.0]


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("before", "utf-8")

    save_document(DOCUMENT, path)

    assert json.loads(path.read_text("utf-8")) == DOCUMENT
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]
    mask = os.umask(0o022)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_write_that_fails_midway_leaves_the_file_before_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("before", "utf-8")

    with pytest.raises(TypeError):
        save_document({"data": [object()]}, path)

    assert path.read_text("utf-8") == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match=r"cannot write .*/absent/out\.json: No such file"):
        save_document(DOCUMENT, tmp_path / "absent" / "out.json")
    with pytest.raises(UserMistake, match=r"cannot write .*: Is a directory"):
        save_document(DOCUMENT, tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds no traces in the form of /api/traces"),
        ('{"data": [{"spans": 5}]}', "holds no traces in the form of /api/traces"),
        ('{"data": [{"spans": [{}], "processes": {}}]}', "holds no traces"),
    ],
)
def test_a_file_that_is_no_export_is_one_clear_line(
    tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "in.json"
    path.write_text(content, "utf-8")

    with pytest.raises(UserMistake, match=complaint) as caught:
        load_document(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_absent_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match=r"cannot read .*/in\.json: No such file"):
        load_document(tmp_path / "in.json")


def test_a_server_with_ids_that_are_none_is_one_clear_line() -> None:
    span = {"traceId": "xyz", "spanId": "1", "name": "a"}
    body = {"result": {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}}

    with pytest.raises(UserMistake, match="traceId 'xyz' is not hexadecimal"):
        write_document(Answer(QueryApi.V3, body, []))


def test_what_is_no_plain_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "real.json", tmp_path / "link.json", tmp_path / "pipe"
    link.symlink_to(target)
    save_document(DOCUMENT, link)
    assert link.is_symlink()
    assert json.loads(target.read_bytes()) == DOCUMENT

    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        save_document(DOCUMENT, pipe)
        assert json.loads(read.result(30)) == DOCUMENT
    assert pipe.is_fifo()
