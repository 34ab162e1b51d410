"""Asking a provider one question over HTTP, whatever comes back: never an exception, never late.

A name server may keep silent for half a minute and a server may drip: each question has a thread of
its own, which is left behind when its time is up.
"""

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import NameResolutionError

TIMEOUT_S = 5.0
"""Seconds that an answer may take, from the look-up of the name to the last byte."""

LARGEST_BODY = 4 * 1024 * 1024
"""Bytes of an answer that are read."""

_AGENT = "outbound-slo ops"
_CHUNK = 65536
_REDIRECTS = range(300, 400)


class Trouble(StrEnum):
    """Why there is no answer that can be read."""

    NAME_UNKNOWN = "name_unknown"
    NOT_REACHED = "not_reached"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    BROKEN_OFF = "broken_off"
    REDIRECTED = "redirected"
    WEB_PAGE = "web_page"
    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    NOT_ASKED = "not_asked"

    @property
    def reached(self) -> bool:
        """Whether a server answered at all."""
        return self in {
            Trouble.REDIRECTED,
            Trouble.WEB_PAGE,
            Trouble.NOT_JSON,
            Trouble.TOO_LARGE,
        }


@dataclass(frozen=True, slots=True)
class Question:
    """One GET.

    Attributes:
        url: Whole address without credentials.
        query: Parameters.
        bearer: Token of an Authorization header; empty for none.
        basic: User and password of basic authentication; None for none.

    """

    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    bearer: str = field(default="", repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a question.

    Attributes:
        status: HTTP status; None without an answer.
        body: The decoded JSON; None with a trouble.
        headers: The answer's, names in lower case.
        trouble: Why there is no body; None where there is one.
        took_s: Seconds.

    """

    status: int | None
    body: Any
    headers: Mapping[str, str]
    trouble: Trouble | None
    took_s: float


Ask = Callable[[Sequence[Question]], list[Reply]]
"""Asks questions at the same time and gives their replies in the same order."""


def ask_all(questions: Sequence[Question], timeout_s: float = TIMEOUT_S) -> list[Reply]:
    """Ask at the same time; a reply that is not there in time is one that timed out."""
    replies: list[Reply | None] = [None] * len(questions)
    began = time.monotonic()

    def ask(place: int) -> None:
        replies[place] = _ask(questions[place], timeout_s)

    threads = [
        threading.Thread(target=ask, args=(place,), daemon=True) for place in range(len(questions))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + timeout_s - time.monotonic()))
    late = Reply(None, None, {}, Trouble.TIMED_OUT, timeout_s)
    return [reply or late for reply in list(replies)]


def _ask(question: Question, timeout_s: float) -> Reply:
    began = time.monotonic()

    def give(
        trouble: Trouble | None, answer: requests.Response | None = None, body: object = None
    ) -> Reply:
        status = None if answer is None else answer.status_code
        headers = {} if answer is None else {k.lower(): v for k, v in answer.headers.items()}
        return Reply(status, body, headers, trouble, time.monotonic() - began)

    try:
        with _open_session(question) as session:
            began = time.monotonic()
            with _get(session, question, timeout_s) as answer:
                if answer.status_code in _REDIRECTS:
                    return give(Trouble.REDIRECTED, answer)
                trouble, body = _decode(_read(answer, began + timeout_s))
                return give(trouble, answer, body)
    except Exception as error:  # noqa: BLE001 - urllib3's own and codecs', from addresses and tokens that are none
        return give(_judge(error))


def _open_session(question: Question) -> requests.Session:
    """Give a session that sees what the sender sees: no proxy, no netrc, the system's trust."""
    session = requests.Session()
    session.trust_env = False
    session.headers["User-Agent"] = _AGENT
    if question.url.startswith("https:"):
        session.mount("https://", _SystemTrust())
    return session


class _SystemTrust(HTTPAdapter):
    """Trusts what the machine trusts, as aiohttp does, besides requests' own list."""

    def init_poolmanager(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - requests' own signature
        super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **more)


class _Bearer(AuthBase):
    """Puts a token into the header, where netrc would put something else."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _get(session: requests.Session, question: Question, timeout_s: float) -> requests.Response:
    auth = _Bearer(question.bearer) if question.bearer else question.basic
    return session.get(
        question.url,
        params=dict(question.query),
        auth=auth,
        timeout=timeout_s,
        allow_redirects=False,
        stream=True,
    )


def _read(answer: requests.Response, deadline: float) -> bytes | None:
    """Read a body; None if it is too large.

    Raises:
        TimeoutError: It drips.

    """
    raw = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        raw += chunk
        if len(raw) > LARGEST_BODY:
            return None
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(raw)


def _decode(raw: bytes | None) -> tuple[Trouble | None, object]:
    if raw is None:
        return Trouble.TOO_LARGE, None
    try:
        return None, orjson.loads(raw)
    except ValueError:
        looks_like_a_page = raw.lstrip()[:1] == b"<"
        return (Trouble.WEB_PAGE if looks_like_a_page else Trouble.NOT_JSON), None


_TROUBLES: tuple[tuple[tuple[type[Exception], ...], Trouble], ...] = (
    ((requests.exceptions.SSLError,), Trouble.TLS_FAILED),
    ((requests.exceptions.Timeout, TimeoutError), Trouble.TIMED_OUT),
    ((requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL), Trouble.NOT_ASKED),
)
"""The first that fits; an error's own text may quote a token, so it is never shown."""


def _judge(error: Exception) -> Trouble:
    for kinds, trouble in _TROUBLES:
        if isinstance(error, kinds):
            return trouble
    if isinstance(error, requests.exceptions.ConnectionError):
        return _judge_connection(error)
    if isinstance(error, requests.exceptions.RequestException):
        return Trouble.BROKEN_OFF
    return Trouble.NOT_ASKED


def _judge_connection(error: requests.exceptions.ConnectionError) -> Trouble:
    """Look below requests' wrapping: one that never stood has a reason, one that broke has none."""
    cause = error.args[0] if error.args else None
    if isinstance(getattr(cause, "reason", cause), NameResolutionError):
        return Trouble.NAME_UNKNOWN
    if hasattr(cause, "reason"):
        return Trouble.NOT_REACHED
    return Trouble.BROKEN_OFF
