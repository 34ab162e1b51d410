"""Asking Jaeger, or the embedded store, for the traces of a message.

The third query API is spoken first, the first one where a server has no other, or where its third
API does not search by tag yet (Jaeger before June 2026): runbook 000's search is gone from the next
Jaeger.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import requests

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import Tag
from tracing.traces import MalformedAnswerError, Trace, read_v1_answer, read_v3_answer

DEFAULT_URL = "http://127.0.0.1:16686"
DEFAULT_SERVICE = "backend"
DEFAULT_LOOKBACK = timedelta(days=7)
DEFAULT_LIMIT = 50
"""Traces asked for, as in most queries of runbook 000."""
DEFAULT_TIMEOUT_S = 10.0
# A collector's clock may run ahead of ours.
_AHEAD = timedelta(minutes=5)


class QueryApi(StrEnum):
    """Which of Jaeger's query APIs a server is asked by."""

    V3 = "v3"
    V1 = "v1"


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """A search: traces with a span that has all these tags.

    Attributes:
        tags: Tags and their values as text.
        operation: Name of that span; None for any.
        lookback: How far back its start may lie.
        limit: Traces at most.
        min_duration: That span took as long at least; None for no bound.
        max_duration: That span took as long at most; None for no bound.

    """

    tags: Mapping[Tag, str] = field(default_factory=dict)
    operation: str | None = None
    lookback: timedelta = DEFAULT_LOOKBACK
    limit: int = DEFAULT_LIMIT
    min_duration: timedelta | None = None
    max_duration: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to a search.

    Attributes:
        api: The API that it was asked by.
        body: Its JSON in that API's form.
        traces: The same as read, the latest trace first.

    """

    api: QueryApi
    body: dict[str, Any]
    traces: list[Trace]


class JaegerClient:
    """Queries one server about one service."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        service: str = DEFAULT_SERVICE,
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.time,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            url: Address of Jaeger's query service.
            service: `service.name` of the sender.
            session: HTTP session to use, for credentials or certificates.
            clock: Now, seconds since the epoch.
            timeout_s: Seconds that an answer may keep silent.

        """
        self._url = url.rstrip("/")
        self._service = service
        self._session = session or requests.Session()
        self._clock = clock
        self._timeout_s = timeout_s
        self._api: QueryApi | None = None

    def traces_of_message(
        self, message_id: int, *, lookback: timedelta = DEFAULT_LOOKBACK
    ) -> list[Trace]:
        """Give every trace of a message, the earliest first: its request, and one per attempt."""
        query = TraceQuery({Tag.MESSAGE_ID: str(message_id)}, lookback=lookback)
        return self.find(query)[::-1]

    def find(self, query: TraceQuery) -> list[Trace]:
        """Search, the latest trace first.

        Raises:
            UserMistake: The server can't be reached, or answers something else.

        """
        return self.ask(query).traces

    def ask(self, query: TraceQuery) -> Answer:
        """Search, and give the server's own JSON besides.

        Raises:
            UserMistake: As for `find`.

        """
        if self._ask_api() is QueryApi.V3:
            found = self._ask_v3(query)
            if found is not None:
                return found
            # This server's third API does not search by tag, so its first one is still there.
            self._api = QueryApi.V1
        return self._ask_v1(query)

    def trace(self, trace_id: str) -> Trace | None:
        """Give one trace by its id, or None when the server has no such.

        Raises:
            UserMistake: As for `find`; or the id is refused.

        """
        modern = self._ask_api() is QueryApi.V3
        path = f"/api/v3/traces/{trace_id}" if modern else f"/api/traces/{trace_id}"
        response = self._get(path)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code == HTTPStatus.BAD_REQUEST:
            raise UserMistake(f"{trace_id!r} is not a trace id", "Give up to 32 hexadecimal digits")
        api = QueryApi.V3 if modern else QueryApi.V1
        traces = self._read(response, api).traces
        return traces[0] if traces else None

    def _ask_api(self) -> QueryApi:
        if self._api is None:
            if "services" in self._object(self._get("/api/v3/services")):
                self._api = QueryApi.V3
            elif "data" in self._object(self._get("/api/services")):
                self._api = QueryApi.V1
            else:
                raise UserMistake(
                    f"{self._url} answers, but not as Jaeger does",
                    "Give the address of its query service, as http://127.0.0.1:16686",
                )
        return self._api

    def _ask_v3(self, query: TraceQuery) -> Answer | None:
        """Search by the third API; None when it turns out not to search by tag."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        parameters = {
            "query.serviceName": self._service,
            "query.startTimeMin": _rfc3339(now - query.lookback),
            "query.startTimeMax": _rfc3339(now + _AHEAD),
            "query.searchDepth": str(query.limit),
        }
        tags = _texts(query)
        if tags:
            parameters["query.attributes"] = json.dumps(tags)
        if query.operation:
            parameters["query.operationName"] = query.operation
        if query.min_duration is not None:
            parameters["query.durationMin"] = _go_duration(query.min_duration)
        if query.max_duration is not None:
            parameters["query.durationMax"] = _go_duration(query.max_duration)
        response = self._get("/api/v3/traces", parameters)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return Answer(QueryApi.V3, {"result": {"resourceSpans": []}}, [])
        if response.status_code == HTTPStatus.BAD_REQUEST:
            return None
        answer = self._read(response, QueryApi.V3)
        return answer if all(_matches(trace, tags) for trace in answer.traces) else None

    def _ask_v1(self, query: TraceQuery) -> Answer:
        now_us = int(self._clock() * 1_000_000)
        parameters = {
            "service": self._service,
            "tags": json.dumps(_texts(query)),
            "start": str(now_us - query.lookback // timedelta(microseconds=1)),
            "end": str(now_us + _AHEAD // timedelta(microseconds=1)),
            "limit": str(query.limit),
        }
        if query.operation:
            parameters["operation"] = query.operation
        if query.min_duration is not None:
            parameters["minDuration"] = _go_duration(query.min_duration)
        if query.max_duration is not None:
            parameters["maxDuration"] = _go_duration(query.max_duration)
        return self._read(self._get("/api/traces", parameters), QueryApi.V1)

    def _get(self, path: str, parameters: Mapping[str, str] | None = None) -> requests.Response:
        try:
            return self._session.get(self._url + path, params=parameters, timeout=self._timeout_s)
        except requests.RequestException as error:
            raise UserMistake(
                f"no trace server answers at {self._url} ({type(error).__name__})",
                "Start one (outbound-slo trace serve), or name another with --url "
                "or OUTBOUND_JAEGER_URL",
            ) from error

    def _read(self, response: requests.Response, api: QueryApi) -> Answer:
        if response.status_code != HTTPStatus.OK:
            raise UserMistake(
                f"{self._url} answered HTTP {response.status_code} to {response.request.path_url}",
                "Check the address and the server's log",
            )
        body = self._object(response)
        read = read_v3_answer if api is QueryApi.V3 else read_v1_answer
        try:
            return Answer(api, body, read(body))
        except MalformedAnswerError as error:
            raise UserMistake(
                f"{self._url} sent {error}", "Check that the address is Jaeger's query service"
            ) from error

    @staticmethod
    def _object(response: requests.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}


def _texts(query: TraceQuery) -> dict[str, str]:
    return {tag.value: text for tag, text in query.tags.items()}


def _matches(trace: Trace, tags: Mapping[str, str]) -> bool:
    return any(span.has(tags) for span in trace.spans)


def _go_duration(span: timedelta) -> str:
    return f"{span // timedelta(microseconds=1)}us"


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
