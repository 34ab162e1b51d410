"""Live pages of dashboards over HTTP: small, bounded, on loopback unless told otherwise."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, socket
from typing import Any
from urllib.parse import urlsplit

from alerts.links import RUNBOOK_BASE_URL
from dashboards.preview.addresses import (
    GRAFANAS,
    LOOPBACK,
    RefusedError,
    read_parameters,
    translate,
)
from dashboards.preview.fields import SERVED_RUNBOOKS
from dashboards.preview.frames import DashboardFrame, Source, View, collect_dashboard
from dashboards.preview.moments import parse_range
from dashboards.preview.page import Board, Theme, encode_frame, render_index, render_page
from dashboards.preview.runbooks import render_runbook
from outbound_slo.vocabulary.mistakes import UserMistake

_MOST_CONNECTIONS = 32
_MOST_COLLECTIONS = 2
_COLLECTION_PATIENCE_S = 20.0
_IDLE_S = 15.0
_FRESH_S = 2.0
_MOST_KEPT = 16

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server shows.

    Attributes:
        documents: The dashboards, as Grafana's JSON with a uid each.
        source: The Prometheus.
        given: Values of variables unless a request names others.
        since: Beginning of the range unless a request names another.
        scrape_s: Seconds between scrapes.
        theme: Colours to begin with.

    """

    documents: tuple[Json, ...]
    source: Source
    given: Mapping[str, str]
    since: str
    scrape_s: float
    theme: Theme = Theme.AUTO

    @property
    def boards(self) -> tuple[Board, ...]:
        """Every dashboard that can be gone to."""
        return tuple(
            Board(each["uid"], each.get("title", each["uid"]), tuple(sorted(_names(each))))
            for each in self.documents
        )


def serve(offer: Offer, place: tuple[str, int], announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Raises:
        UserMistake: The port is in use or the host is not this machine's.

    """
    with open_server(offer, place) as server:
        announce(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


@contextmanager
def served(offer: Offer, port: int = 0) -> Iterator[str]:
    """Serve on loopback from a thread of its own while the context lasts; gives the address."""
    with open_server(offer, (LOOPBACK, port)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def open_server(offer: Offer, place: tuple[str, int]) -> "PreviewServer":
    """Listen.

    Raises:
        UserMistake: The port is in use or the host is not this machine's.

    """
    try:
        return PreviewServer(offer, place)
    except (OSError, TypeError, UnicodeError) as failure:
        # A name that can't be sent to a name server is none of OSError's.
        told = failure.strerror if isinstance(failure, OSError) else "no such host"
        raise UserMistake(
            f"Can't listen on {place[0]}:{place[1]}: {told}", "Choose another"
        ) from None


class PreviewServer(ThreadingHTTPServer):
    """Answers with pages; what it holds and does at once is bounded."""

    daemon_threads = True

    def __init__(self, offer: Offer, place: tuple[str, int]) -> None:
        self.offer = offer
        self.documents = {each["uid"]: each for each in offer.documents}
        self.is_private = _is_loopback(place[0])
        self.address_family = AF_INET6 if ":" in place[0] else AF_INET
        self._connections = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._collections = threading.BoundedSemaphore(_MOST_COLLECTIONS)
        self._kept: OrderedDict[object, tuple[float, DashboardFrame]] = OrderedDict()
        self._lock = threading.Lock()
        super().__init__(place, _Handler)

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if self.address_family == AF_INET6 else str(host)
        return f"http://{shown}:{port}/"

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Take a connection, unless there are too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Handle a connection and give its place free."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        """Say nothing: clients go away in the middle, and that is theirs to do."""

    def collect(self, uid: str, parameters: Mapping[str, str]) -> DashboardFrame:
        """Collect a dashboard's data, or take what was collected a moment ago.

        Raises:
            RefusedError: The parameters are wrong, or too many are asking.
            UserMistake: Prometheus does not answer.

        """
        view = self._read_view(uid, parameters)
        key = (uid, view.since, view.until, tuple(sorted((view.given or {}).items())))
        with self._lock:
            at, frame = self._kept.get(key, (float("-inf"), None))
        if frame is not None and time.monotonic() - at < _FRESH_S:
            return frame
        if not self._collections.acquire(timeout=_COLLECTION_PATIENCE_S):
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "Too many are asking; try again")
        try:
            self.offer.source.query("vector(1)")
            frame = collect_dashboard(self.documents[uid], self.offer.source, view)
        finally:
            self._collections.release()
        with self._lock:
            self._kept[key] = (time.monotonic(), frame)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return frame

    def _read_view(self, uid: str, parameters: Mapping[str, str]) -> View:
        since, until = parameters.get("from", self.offer.since), parameters.get("to", "now")
        try:
            chosen = parse_range(since, until, time.time())
        except UserMistake as mistake:
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(mistake)) from None
        names = _names(self.documents[uid])
        given = _choose_for(self.documents[uid], self.offer.given)
        for key, value in parameters.items():
            if key in {"from", "to"}:
                continue
            name = key.removeprefix("var-")
            if name not in names:
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"{uid} has no parameter {key[:40]!r}")
            given[name] = value
        return View(chosen, since, until, given, self.offer.scrape_s)


class _Handler(BaseHTTPRequestHandler):
    server: PreviewServer
    protocol_version = "HTTP/1.1"
    server_version = "outbound-slo"
    sys_version = ""
    timeout = _IDLE_S

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what the library does not know; a method is the client's fault, not ours."""
        unknown = code == HTTPStatus.NOT_IMPLEMENTED
        super().send_error(HTTPStatus.METHOD_NOT_ALLOWED if unknown else code, message, explain)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Keep silent: the terminal is the demo's."""

    def _answer(self) -> None:
        wants_data = self.path.partition("?")[0].endswith("/data")
        try:
            self._check_host()
            if self.path.startswith(GRAFANAS):
                known = {board.uid: board.variables for board in self.server.offer.boards}
                self._redirect(translate(self.path, known))
                return
            kind, body = self._respond()
        except (RefusedError, UserMistake) as failure:
            gateway = HTTPStatus.BAD_GATEWAY
            status = failure.status if isinstance(failure, RefusedError) else gateway
            text = json.dumps({"error": str(failure)}) if wants_data else f"{failure}\n"
            self._send(status, _JSON if wants_data else "text/plain", text.encode())
        else:
            self._send(HTTPStatus.OK, kind, body)

    def _respond(self) -> tuple[str, bytes]:
        # Splitting may fail on brackets of an address that is none.
        path, _, query = self.path.partition("?")
        uid, _, rest = path.removeprefix("/").partition("/")
        parameters = read_parameters(query)
        offer = self.server.offer
        if not uid and not rest:
            return "text/html", render_index(offer.boards).encode()
        if f"/{uid}" == SERVED_RUNBOOKS and uid not in self.server.documents:
            return "text/html", _find_runbook(rest).encode()
        if uid not in self.server.documents or rest not in {"", "data"}:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such dashboard")
        frame = self.server.collect(uid, parameters)
        if rest:
            return _JSON, encode_frame(frame)
        return "text/html", render_page([frame], offer.theme, offer.boards).encode()

    def _check_host(self) -> None:
        """On loopback, be nobody else: a foreign page must not read ours by a name of its own."""
        try:
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        except ValueError:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "The host can't be read") from None
        if self.server.is_private and host and not _is_loopback(host):
            raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, f"This is not {host}")

    def _redirect(self, place: str) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


_JSON = "application/json"


def _find_runbook(file: str) -> str:
    page = render_runbook(file)
    if page is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such runbook")
    return page


def _names(document: Json) -> set[str]:
    """Name the variables that may be chosen."""
    return {each["name"] for each in _list_variables(document) if each["type"] != "constant"}


def _choose_for(document: Json, given: Mapping[str, str]) -> dict[str, str]:
    """Take what is for this dashboard; constants are for who serves it, not for a request.

    Runbooks that nobody has published are here.
    """
    variables = {each["name"]: each.get("query") for each in _list_variables(document)}
    here = {name: SERVED_RUNBOOKS for name, is_at in variables.items() if is_at == RUNBOOK_BASE_URL}
    return here | {name: value for name, value in given.items() if name in variables}


def _list_variables(document: Json) -> Sequence[Json]:
    found: Sequence[Json] = document.get("templating", {}).get("list", [])
    return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
