"""What came of one call to a provider, and the one place where HTTP faults become answers."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit

import aiohttp
import orjson

from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.spans import SpanName, Tag
from sender.retry import read_wait
from tracing.privacy import scrub_error_body
from tracing.setup import Tracing

_HTML = "text/html"
_LONGEST_BODY = 65536
_SERVER_ERROR = 500
_SERVER_ERROR_CLASS = "HttpServerErrorException"  # 000's third pattern: what is searched for
_BAD_REQUEST = 400
_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A provider's answer, or the reason why there is none.

    Attributes:
        status: HTTP status; None without an answer.
        body: Decoded JSON; None where there was none.
        headers: By name, in whatever case.
        error_body: The provider's error object as scrubbed JSON, for the span (D37).
        fault: Our own code for a missing or unusable answer.
        reached: The provider may have read the request: without an answer its fate is unknown.
        exception: Class name of what went wrong, without its text.
        duration_s: Seconds of the call.
        answered_at: When it was over, by our clock.

    """

    status: int | None
    body: object
    headers: Mapping[str, str]
    error_body: str | None
    fault: HouseCode | None
    reached: bool
    exception: str | None
    duration_s: float
    answered_at: datetime

    @property
    def succeeded(self) -> bool:
        """Whether the provider answered with a 2xx status."""
        return self.status is not None and self.status in _SUCCESS


@dataclass(frozen=True, slots=True)
class SendResult:
    """What a provider made of a message.

    Attributes:
        provider_message_id: Set when, and only when, the message was accepted.
        http_status: Status of the answer; None without one.
        error_code: The provider's code or a HouseCode; None when accepted.
        error_message: The provider's words, cut to what a row should hold.
        retry_after_s: Seconds that the provider asked us to wait.
        unknown: No answer came, yet the provider may have accepted the message (D12).
        duration_s: Seconds of the call, for the breaker and the histogram.

    """

    provider_message_id: str | None
    http_status: int | None
    error_code: str | None
    error_message: str | None
    retry_after_s: float | None
    unknown: bool
    duration_s: float

    @property
    def accepted(self) -> bool:
        """Whether the provider has taken the message."""
        return self.provider_message_id is not None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One POST: `json` or `form` is the body."""

    url: str
    headers: Mapping[str, str]
    json: object = None
    form: Mapping[str, str] | None = None
    basic_auth: tuple[str, str] | None = None


class HttpCaller:
    """POSTs under an `http.client.request` span and never raises for what a network can do."""

    def __init__(self, session: aiohttp.ClientSession, tracing: Tracing, timeout_s: float) -> None:
        """Use one session for all providers; `timeout_s` bounds a call from start to end."""
        self._session = session
        self._tracing = tracing
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 5.0))

    async def post(self, request: HttpRequest) -> HttpAnswer:
        """Make the call."""
        tags: dict[Tag, object] = {
            Tag.HTTP_METHOD: "POST",
            Tag.HTTP_URL: request.url,
            Tag.SERVER_ADDRESS: _read_host(request.url),
        }
        with self._tracing.span(SpanName.HTTP_CLIENT_REQUEST, tags) as span:
            started = time.monotonic()
            answer = await self._call(request, started)
            span.tags(
                {
                    Tag.HTTP_STATUS_CODE: answer.status,
                    Tag.HTTP_RESPONSE_STATUS_CODE: answer.status,
                    Tag.HTTP_RESPONSE_HEADER_RETRY_AFTER: answer.headers.get("retry-after"),
                }
            )
            if answer.exception is not None:
                span.note_exception(answer.exception)
            if answer.status is None:
                span.tag(Tag.TIMEOUT, answer.fault is HouseCode.TIMEOUT)
                span.fail(answer.exception or "no_answer")
            elif answer.status >= _BAD_REQUEST:
                span.tag(Tag.HTTP_RESPONSE_BODY, answer.error_body)
                if answer.status >= _SERVER_ERROR:
                    span.tags({Tag.TIMEOUT: False, Tag.EXCEPTION: _SERVER_ERROR_CLASS})
                span.fail(f"http_{answer.status}")
            return answer

    async def _call(self, request: HttpRequest, started: float) -> HttpAnswer:
        auth = aiohttp.BasicAuth(*request.basic_auth) if request.basic_auth else None
        try:
            async with self._session.post(
                request.url,
                data=request.form if request.json is None else _write_json(request.json),
                headers=request.headers,
                auth=auth,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                raw = await response.content.read(_LONGEST_BODY)
                headers = response.headers
                body: object = None
                with contextlib.suppress(ValueError):
                    body = orjson.loads(raw) if raw else None
                html = _HTML in headers.get("content-type", "")
                fault = HouseCode.BAD_GATEWAY_HTML if html else None
                failed = response.status >= _BAD_REQUEST
                return HttpAnswer(
                    status=response.status,
                    body=body,
                    headers=headers,
                    error_body=scrub_error_body(raw) if failed else None,
                    fault=fault,
                    reached=True,
                    exception=None,
                    duration_s=time.monotonic() - started,
                    answered_at=datetime.now(UTC),
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # The request never left: safe to send again.
            return _silence(HouseCode.CONNECTION_FAILED, error, started, reached=False)
        except TimeoutError as error:
            return _silence(HouseCode.TIMEOUT, error, started, reached=True)
        except aiohttp.InvalidURL as error:
            return _silence(HouseCode.CONNECTION_FAILED, error, started, reached=False)
        except (aiohttp.ClientError, OSError) as error:
            return _silence(HouseCode.CONNECTION_FAILED, error, started, reached=True)


@lru_cache(maxsize=256)
def _read_host(url: str) -> str | None:
    return urlsplit(url).hostname


def _write_json(body: object) -> aiohttp.BytesPayload:
    return aiohttp.BytesPayload(orjson.dumps(body), content_type="application/json")


def _silence(
    fault: HouseCode, error: BaseException, started: float, *, reached: bool
) -> HttpAnswer:
    elapsed = time.monotonic() - started
    name = type(error).__name__
    return HttpAnswer(None, None, {}, None, fault, reached, name, elapsed, datetime.now(UTC))


def accept(answer: HttpAnswer, provider_message_id: str) -> SendResult:
    """Build the result of an accepted message."""
    return SendResult(
        provider_message_id, answer.status, None, None, None, False, answer.duration_s
    )


def refuse(answer: HttpAnswer, code: str | None, message: str | None) -> SendResult:
    """Build the result of a message that was refused, or whose answer is missing or unusable.

    A 2xx that can't be read leaves the outcome unknown: the provider did take something.
    """
    unreadable = answer.status is not None and answer.status < _BAD_REQUEST
    unknown = (answer.status is None and answer.reached) or unreadable
    fallback = HouseCode.OUTCOME_UNKNOWN.value if unreadable else None
    code = code or (answer.fault.value if answer.fault else fallback)
    if code is None and answer.status is not None:
        code = f"http_{answer.status}"
    return SendResult(
        None,
        answer.status,
        code,
        # A NUL is valid JSON and no valid text for PostgreSQL.
        (message or answer.exception or "").replace("\x00", "")[:500] or None,
        read_wait(answer.status, answer.headers, answer.answered_at),
        unknown,
        answer.duration_s,
    )
