"""The store's entrance: `POST /v1/traces`, OTLP over HTTP."""

import asyncio
import json
import sqlite3
from http import HTTPStatus
from typing import Final

from aiohttp import web
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # ships no type marker
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tracing.store.archive import TraceArchive
from tracing.store.otlp import (
    JSON,
    PROTOBUF,
    Export,
    MalformedExportError,
    read_export,
)

PENDING_EXPORTS: Final = 64
"""Exports being stored at one time; further ones get 503, which OTLP senders try again."""

_RPC_INVALID_ARGUMENT = 3
_RPC_UNAVAILABLE = 14


class Receiver:
    """Takes exports and answers as OTLP/HTTP demands, in the encoding of the request."""

    def __init__(self, archive: TraceArchive) -> None:
        """Store into `archive`."""
        self._archive = archive
        self._pending = 0

    async def receive(self, request: web.Request) -> web.Response:
        """Store one export: 200 once it is kept, 400 for a malformed one, 503 to be tried again."""
        content_type = request.content_type if "Content-Type" in request.headers else ""
        if self._pending >= PENDING_EXPORTS:
            return _refuse(
                content_type, HTTPStatus.SERVICE_UNAVAILABLE, "too many exports at once; try again"
            )
        self._pending += 1
        try:
            body = await request.read()
            encoding = request.headers.get("Content-Encoding", "").lower()
            export = await asyncio.to_thread(self._keep, body, content_type, encoding)
        except MalformedExportError as error:
            return _refuse(content_type, HTTPStatus.BAD_REQUEST, str(error))
        except sqlite3.Error as error:
            return _refuse(
                content_type,
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the trace store cannot write: {error}",
            )
        finally:
            self._pending -= 1
        return _accept(content_type, export)

    def _keep(self, body: bytes, content_type: str, encoding: str) -> Export:
        export = read_export(body, content_type, encoding)
        self._archive.save(export.spans)
        return export


def _accept(content_type: str, export: Export) -> web.Response:
    answer = ExportTraceServiceResponse()
    reason = "spans without a valid id or time"
    if export.refused:
        answer.partial_success.rejected_spans = export.refused
        answer.partial_success.error_message = reason
    if content_type == PROTOBUF:
        return web.Response(body=answer.SerializeToString(), content_type=PROTOBUF)
    partial = {"rejectedSpans": str(export.refused), "errorMessage": reason}
    return web.json_response({"partialSuccess": partial} if export.refused else {})


def _refuse(content_type: str, status: HTTPStatus, line: str) -> web.Response:
    later = status is HTTPStatus.SERVICE_UNAVAILABLE
    code = _RPC_UNAVAILABLE if later else _RPC_INVALID_ARGUMENT
    headers = {"Retry-After": "1"} if later else None
    if content_type == PROTOBUF:
        body = Status(code=code, message=line).SerializeToString()
        return web.Response(body=body, status=status, content_type=PROTOBUF, headers=headers)
    text = json.dumps({"code": code, "message": line})
    return web.Response(text=text, status=status, content_type=JSON, headers=headers)
