"""The store's exit: the parts of Jaeger's two query APIs that runbook 000 and our client use."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from tracing.store import jaeger_v1, jaeger_v3
from tracing.store.archive import StoredTrace, TraceArchive
from tracing.store.search import (
    MalformedSearchError,
    Parameters,
    read_v1_search,
    read_v3_search,
)

_TRACE_ID = re.compile(r"[0-9a-fA-F]{1,32}")
_ID_DIGITS = 32


class QueryFace:
    """Answers searches and look-ups from an archive."""

    def __init__(self, archive: TraceArchive, clock_ns: Callable[[], int]) -> None:
        """Answer from `archive`; `clock_ns` gives the time for searches that name no end."""
        self._archive = archive
        self._clock_ns = clock_ns

    def routes(self) -> list[web.RouteDef]:
        """Give the routes, both APIs'."""
        return [
            web.get("/api/services", _v1(self._v1_services)),
            web.get("/api/services/{service}/operations", _v1(self._v1_operation_names)),
            web.get("/api/operations", _v1(self._v1_operations)),
            web.get("/api/traces", _v1(self._v1_search)),
            web.get("/api/traces/{trace_id}", _v1(self._v1_trace)),
            # Runbook 000 asks here; Jaeger's own address is the plural.
            web.get("/api/trace/{trace_id}", _v1(self._v1_trace)),
            web.get("/api/v3/services", _v3(self._v3_services)),
            web.get("/api/v3/operations", _v3(self._v3_operations)),
            web.get("/api/v3/traces", _v3(self._v3_search)),
            web.get("/api/v3/traces/{trace_id}", _v3(self._v3_trace)),
        ]

    async def _v1_services(self, _: web.Request) -> jaeger_v1.Json:
        return jaeger_v1.wrap_data(await asyncio.to_thread(self._archive.services))

    async def _v1_operation_names(self, request: web.Request) -> jaeger_v1.Json:
        service = request.match_info["service"]
        operations = await asyncio.to_thread(self._archive.operations, service)
        return jaeger_v1.wrap_data(sorted({operation.name for operation in operations}))

    async def _v1_operations(self, request: web.Request) -> jaeger_v1.Json:
        service = request.query.get("service")
        if not service:
            raise MalformedSearchError("parameter 'service' is required")
        operations = await asyncio.to_thread(self._archive.operations, service)
        kind = request.query.get("spanKind")
        shown = jaeger_v1.show_operations(operations)
        return jaeger_v1.wrap_data([row for row in shown if kind in {None, "", row["spanKind"]}])

    async def _v1_search(self, request: web.Request) -> jaeger_v1.Json:
        parameters = _parameters(request)
        ids = parameters.get("traceID")
        if ids:
            named = [await self._look_up(text) for text in ids]
            found = [trace for trace in named if trace is not None]
        else:
            search = read_v1_search(parameters, self._clock_ns())
            found = await asyncio.to_thread(self._archive.find, search)
        return jaeger_v1.wrap_data([jaeger_v1.show_trace(trace) for trace in found])

    async def _v1_trace(self, request: web.Request) -> jaeger_v1.Json:
        trace = await self._look_up(request.match_info["trace_id"])
        if trace is None:
            raise _UnknownTraceError
        return jaeger_v1.wrap_data([jaeger_v1.show_trace(trace)])

    async def _v3_services(self, _: web.Request) -> jaeger_v3.Json:
        return {"services": await asyncio.to_thread(self._archive.services)}

    async def _v3_operations(self, request: web.Request) -> jaeger_v3.Json:
        service = request.query.get("service")
        operations = await asyncio.to_thread(self._archive.operations, service or None)
        return jaeger_v3.show_operations(operations)

    async def _v3_search(self, request: web.Request) -> jaeger_v3.Json:
        search = read_v3_search(_parameters(request))
        found = await asyncio.to_thread(self._archive.find, search)
        if not found:
            raise _UnknownTraceError
        return jaeger_v3.show_traces(found)

    async def _v3_trace(self, request: web.Request) -> jaeger_v3.Json:
        trace = await self._look_up(request.match_info["trace_id"])
        if trace is None:
            raise _UnknownTraceError
        return jaeger_v3.show_traces([trace])

    async def _look_up(self, text: str) -> StoredTrace | None:
        if _TRACE_ID.fullmatch(text) is None:
            raise MalformedSearchError(f"trace id {text!r} is not hexadecimal of up to 32 digits")
        trace_id = bytes.fromhex(text.rjust(_ID_DIGITS, "0"))
        return await asyncio.to_thread(self._archive.trace, trace_id)


class _UnknownTraceError(Exception):
    """Nothing is there: a 404, in the API's own words."""


_Answer = Callable[[web.Request], Awaitable[dict[str, object]]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _v1(answer: _Answer) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await answer(request))
        except MalformedSearchError as error:
            body = jaeger_v1.wrap_error(HTTPStatus.BAD_REQUEST, str(error))
            return web.json_response(body, status=HTTPStatus.BAD_REQUEST)
        except _UnknownTraceError:
            body = jaeger_v1.wrap_error(HTTPStatus.NOT_FOUND, "trace not found")
            return web.json_response(body, status=HTTPStatus.NOT_FOUND)

    return handle


def _v3(answer: _Answer) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await answer(request))
        except MalformedSearchError as error:
            body = jaeger_v3.wrap_error(HTTPStatus.BAD_REQUEST, str(error))
            return web.json_response(body, status=HTTPStatus.BAD_REQUEST)
        except _UnknownTraceError:
            body = jaeger_v3.nothing_found()
            return web.json_response(body, status=HTTPStatus.NOT_FOUND)

    return handle


def _parameters(request: web.Request) -> Parameters:
    return {name: request.query.getall(name) for name in request.query}
