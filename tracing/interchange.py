"""Traces in a file, in the form of Jaeger's first API: its UI opens it, 000's jq lines read it.

The same form whichever API the server speaks, with the two fields that 000's jq lines read from a
trace and Jaeger leaves out (see `tracing.store.jaeger_v1`).
"""

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.jaeger import Answer, QueryApi
from tracing.store import jaeger_v1
from tracing.store.archive import StoredSpan, StoredTrace
from tracing.store.otlp import JSON, MalformedExportError, read_export
from tracing.traces import MalformedAnswerError, Trace, read_v1_answer

_MEND = "Name a file that `outbound-slo trace export` or Jaeger's /api/traces wrote"


def write_document(answer: Answer) -> dict[str, Any]:
    """Give the document of a search's answer: `{"data": [trace, …], …}`.

    Raises:
        UserMistake: The server's spans have ids or values that OTLP does not allow.

    """
    if answer.api is QueryApi.V1:
        return jaeger_v1.wrap_data([_add_times(trace) for trace in answer.body["data"] or ()])
    try:
        members = _read_groups(answer.body["result"].get("resourceSpans", ()))
    except MalformedExportError as error:
        raise UserMistake(
            f"the server's answer cannot be kept: {error}", "Check the server's version"
        ) from error
    # The order of the search's answer, the latest trace first.
    ordered = [bytes.fromhex(trace.trace_id.rjust(32, "0")) for trace in answer.traces]
    stored = (
        StoredTrace(key, tuple(sorted(members[key], key=_place)))
        for key in ordered
        if key in members
    )
    return jaeger_v1.wrap_data([jaeger_v1.show_trace(trace) for trace in stored])


def save_document(document: dict[str, Any], path: Path) -> None:
    """Write a document to a file, whole or not at all: a file of that name is replaced at the end.

    Raises:
        UserMistake: The file cannot be written.

    """
    draft: str | None = None
    try:
        if path.exists() and not path.is_file():
            # A device or a pipe, which a file must not take the place of.
            path.write_text(json.dumps(document, ensure_ascii=False) + "\n", "utf-8")
            return
        path = path.resolve()
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            draft = file.name
            json.dump(document, file, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is for its owner alone; an export is as readable as any other file.
        Path(draft).chmod(0o666 & ~_read_umask())
        Path(draft).replace(path)
    except OSError as error:
        raise UserMistake(
            f"cannot write {path}: {error.strerror or error}", "Name a file that can be written"
        ) from error
    finally:
        if draft is not None:
            with suppress(FileNotFoundError):
                Path(draft).unlink()


def load_document(path: Path) -> list[Trace]:
    """Read the traces of such a file, the latest first; `curl … /api/traces` writes them too.

    Raises:
        UserMistake: It cannot be read, or holds something else.

    """
    try:
        answer = json.loads(path.read_bytes())
    except OSError as error:
        raise UserMistake(f"cannot read {path}: {error.strerror or error}", _MEND) from error
    except (ValueError, RecursionError) as error:
        raise UserMistake(f"{path} is not JSON", _MEND) from error
    try:
        return read_v1_answer(answer)
    except MalformedAnswerError as error:
        raise UserMistake(f"{path} holds no traces in the form of /api/traces", _MEND) from error


def _read_groups(groups: list[Any]) -> dict[bytes, list[StoredSpan]]:
    members: dict[bytes, dict[bytes, StoredSpan]] = {}
    for group in groups:
        # One at a time: the reader takes no more at once than a collector would.
        body = json.dumps({"resourceSpans": [group]}).encode()
        for span in read_export(body, JSON, "").spans:
            stored = StoredSpan(Span.FromString(span.body), ResourceSpans.FromString(span.origin))
            members.setdefault(span.trace_id, {})[span.span_id] = stored
    return {trace_id: list(spans.values()) for trace_id, spans in members.items()}


def _place(stored: StoredSpan) -> tuple[bool, int]:
    return bool(stored.span.parent_span_id), stored.span.start_time_unix_nano


def _add_times(trace: dict[str, Any]) -> dict[str, Any]:
    root = min(trace["spans"], key=_place_first, default=None)
    if root is None:
        return trace
    return {"startTime": root["startTime"], "duration": root["duration"], **trace}


def _place_first(span: dict[str, Any]) -> tuple[bool, int]:
    parents = [ref for ref in span["references"] if ref["refType"] == "CHILD_OF"]
    return bool(parents), span["startTime"]


def _read_umask() -> int:
    # There is no way to read it but to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
