"""The exporter's HTTP face: /metrics, /healthz and /-/reload."""

import errno
import logging
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

from exporter.exposition import OPENMETRICS_TYPE, TEXT_TYPE
from exporter.gate import Gate
from exporter.publication import Publication
from outbound_slo.vocabulary.mistakes import UserMistake

_LOG = logging.getLogger(__name__)
_REQUEST_TIMEOUT_S = 10.0
_INDEX = b'<html><body><a href="/metrics">metrics</a> <a href="/healthz">health</a></body></html>\n'


class MetricsServer(ThreadingHTTPServer):
    """Serves a publication; one thread per request, none of which the process waits for.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one, see `url`.
        publication: What to serve.
        alive: Whether refreshes still come.
        reload: Reads the packs again; raises UserMistake when they are malformed.
        gate: Who may see the page; None for everybody.

    Raises:
        UserMistake: The address or port can't be had.

    """

    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        publication: Publication,
        alive: Callable[[], bool],
        reload: Callable[[], None],
        gate: Gate | None = None,
    ) -> None:
        self.gate = gate or Gate(None)
        self.publication = publication
        self.alive = alive
        self.reload = reload
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UserMistake(
                f"The exporter cannot listen on {host}:{port}: {(error.strerror or '').lower()}",
                _mend_of(error),
            ) from error

    @property
    def url(self) -> str:
        """Where it listens, as a base URL."""
        host, port = self.server_address[:2]
        scheme = "http" if self.gate.config().tls is None else "https"
        return f"{scheme}://{host!s}:{port}"

    def finish_request(
        self,
        request: socket.socket | tuple[bytes, socket.socket],
        client_address: Any,  # noqa: ANN401 - its form depends on the socket's family
    ) -> None:
        """Answer in the request's own thread, where a handshake that dawdles hurts nobody else."""
        tls = self.gate.config().tls
        if tls is None or not isinstance(request, socket.socket):
            _Handler(request, client_address, self)
            return
        request.settimeout(_REQUEST_TIMEOUT_S)
        with tls.wrap_socket(request, server_side=True) as line:
            _Handler(line, client_address, self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about a client that went away: the base class prints a traceback."""
        del request
        _LOG.debug("Request from %s ended early", client_address, exc_info=True)


def _mend_of(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "Set OUTBOUND_EXPORTER_HOST to an address of this machine, or to 0.0.0.0 for all"
    return "Set OUTBOUND_EXPORTER_PORT to a free port (0 picks one), or stop what uses it"


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = _REQUEST_TIMEOUT_S
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: on a line that is kept open, as Prometheus does, the second
    # would wait 40 ms for the client's delayed acknowledgement of the first.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        # Health says nothing that is worth a password, and probes have none.
        if path != "/healthz" and not self._is_admitted():
            return
        if path == "/metrics":
            self._serve_page()
        elif path == "/healthz":
            alive = self.server.alive()
            status = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "text/plain", b"ok\n" if alive else b"no refresh for too long\n")
        elif path == "/":
            self._answer(HTTPStatus.OK, "text/html", _INDEX)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found; try /metrics\n")

    def do_POST(self) -> None:
        # What was sent along means nothing, and unread it would be taken for the next request.
        self.close_connection = True
        if not self._is_admitted():
            return
        if self.path.partition("?")[0] != "/-/reload":
            text = b"only /-/reload takes a POST\n"
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", text, {"Allow": "GET, HEAD"})
            return
        try:
            self.server.reload()
        except UserMistake as mistake:
            text = f"nothing was reloaded: {mistake}\n".encode()
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", text)
        else:
            self._answer(HTTPStatus.OK, "text/plain", b"reloaded\n")

    do_HEAD = do_GET  # noqa: N815 - the base class's spelling

    def _is_admitted(self) -> bool:
        gate = self.server.gate
        if not gate.welcomes(self.connection):
            text = b"this client's certificate has no name that is allowed\n"
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", text)
            return False
        if not gate.admits(self.headers.get("Authorization", "")):
            ask = {"WWW-Authenticate": 'Basic realm="outbound-slo exporter", charset="UTF-8"'}
            self._answer(HTTPStatus.UNAUTHORIZED, "text/plain", b"unauthorized\n", ask)
            return False
        return True

    def _serve_page(self) -> None:
        page = self.server.publication.page()
        modern = "application/openmetrics-text" in self.headers.get("Accept", "")
        body = page.openmetrics if modern else page.text
        gzips = _takes_gzip(self.headers.get("Accept-Encoding", ""))
        self._answer(
            HTTPStatus.OK,
            OPENMETRICS_TYPE if modern else TEXT_TYPE,
            body.gzipped if gzips else body.plain,
            {"Vary": "Accept, Accept-Encoding"} | ({"Content-Encoding": "gzip"} if gzips else {}),
        )

    def _answer(
        self,
        status: HTTPStatus,
        content_type: str,
        body: bytes,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in {**self.server.gate.config().headers, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        _LOG.debug(format, *args)


def _takes_gzip(accepted: str) -> bool:
    """Tell whether an Accept-Encoding names gzip without refusing it by `q=0`."""
    for offer in accepted.split(","):
        name, _, rest = offer.strip().partition(";")
        weight = rest.strip().removeprefix("q=")
        if name.strip().lower() == "gzip":
            return weight.strip("0.") != "" if weight else True
    return False
