"""The on-call pager of the demo: a webhook that takes what a real Alertmanager sends.

It listens on loopback in the demo's own process and keeps every notification's alerts as pages,
in memory and as lines of JSON in a file.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

LOOPBACK = "127.0.0.1"
PATH = "/page"
# Alertmanager groups what belongs together; a megabyte is hundreds of alerts.
_LARGEST_BODY = 1_000_000

_T = TypeVar("_T")

Clock = Callable[[], datetime]


class PageState(StrEnum):
    """What a page says about its alert, in Alertmanager's words."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Page:
    """One alert of one notification.

    Attributes:
        received_at: When the notification came in, by this machine's clock.
        alert: The alert's name.
        fingerprint: Alertmanager's id of the alert's label set.
        started_at: When Prometheus says that it started firing.
        ended_at: When it stopped; None while it fires.

    """

    received_at: datetime
    alert: str
    state: PageState
    severity: str
    priority: str
    summary: str
    runbook_url: str
    fingerprint: str
    started_at: datetime
    ended_at: datetime | None
    labels: Mapping[str, str]


class MalformedNotification(ValueError):  # noqa: N818 - says what the body is
    """A body that no Alertmanager sends; the text names the key."""


def read_notification(body: bytes, received_at: datetime) -> list[Page]:
    """Read the body of Alertmanager's webhook, version 4.

    Raises:
        MalformedNotification: It is not JSON, or a key is missing or has another type.

    """
    try:
        document = json.loads(body)
    except ValueError as error:
        raise MalformedNotification(f"the body is not JSON: {error}") from error
    alerts = _demand(document, "alerts", list, "the body")
    return [_read_alert(alert, f"alerts[{n}]", received_at) for n, alert in enumerate(alerts)]


def _read_alert(alert: object, place: str, received_at: datetime) -> Page:
    labels = _texts(_demand(alert, "labels", dict, place))
    annotations = _texts(_demand(alert, "annotations", dict, place))
    state = _demand(alert, "status", str, place)
    if state not in set(PageState):
        raise MalformedNotification(f"{place}.status is {state!r}, not firing or resolved")
    if "alertname" not in labels:
        raise MalformedNotification(f"{place}.labels has no alertname")
    ended = _read_time(_demand(alert, "endsAt", str, place), f"{place}.endsAt")
    return Page(
        received_at=received_at,
        alert=labels["alertname"],
        state=PageState(state),
        severity=labels.get("severity", ""),
        priority=labels.get("priority", ""),
        summary=annotations.get("summary", ""),
        runbook_url=annotations.get("runbook_url", ""),
        fingerprint=_demand(alert, "fingerprint", str, place),
        started_at=_read_time(_demand(alert, "startsAt", str, place), f"{place}.startsAt"),
        ended_at=ended if state == PageState.RESOLVED else None,
        labels=labels,
    )


def _demand(holder: object, key: str, kind: type[_T], place: str) -> _T:
    value: Any = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise MalformedNotification(f"{place} has no {kind.__name__} {key}")
    return value


def _texts(mapping: dict[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in mapping.items()}


def _read_time(text: str, place: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedNotification(f"{place} is no time: {text!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Pager:
    """Listens while its context is open; keeps what came in afterwards too.

    Args:
        port: Loopback port; 0 for one that the system picks.
        journal: File that takes each page as a line of JSON; none if None.
        clock: Tells when a notification comes in.

    """

    def __init__(
        self, port: int = 0, journal: Path | None = None, clock: Clock | None = None
    ) -> None:
        self._port = port
        self._journal = journal
        self._clock = clock or (lambda: datetime.now(UTC))
        self._lock = threading.Lock()
        self._pages: list[Page] = []
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        pager = self

        class Handler(_Handler):
            receive = staticmethod(pager.receive)

        self._server = ThreadingHTTPServer((LOOPBACK, self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="pager"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    @property
    def url(self) -> str:
        """Where Alertmanager sends its notifications."""
        return f"http://{LOOPBACK}:{self._port}{PATH}"

    @property
    def pages(self) -> tuple[Page, ...]:
        """All pages so far, oldest first; repeated ones too."""
        with self._lock:
            return tuple(self._pages)

    def forget(self) -> None:
        """Drop the pages so far; the journal keeps them."""
        with self._lock:
            self._pages.clear()

    def receive(self, body: bytes) -> None:
        """Take one notification.

        Raises:
            MalformedNotification: Nothing of it is kept then.

        """
        pages = read_notification(body, self._clock())
        with self._lock:
            self._pages.extend(pages)
            if self._journal is not None:
                with self._journal.open("a", encoding="utf-8") as journal:
                    for page in pages:
                        journal.write(json.dumps(asdict(page), default=_write_time) + "\n")


def _write_time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


class _Handler(BaseHTTPRequestHandler):
    receive: Callable[[bytes], None]

    def do_POST(self) -> None:
        if self.path != PATH:
            self._answer(HTTPStatus.NOT_FOUND, f"The pager is at {PATH}")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LARGEST_BODY:
            self._answer(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Send a length of at most {_LARGEST_BODY}"
            )
            return
        try:
            type(self).receive(self.rfile.read(int(length)))
        except MalformedNotification as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._answer(HTTPStatus.OK, "paged")

    def do_GET(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, f"POST Alertmanager's notifications to {PATH}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent: the demo's screen is no access log."""

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
