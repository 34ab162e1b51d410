"""The exporter's HTTP face: /metrics and /healthz."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from exporter.page import OPENMETRICS_TYPE, TEXT_TYPE
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

    Raises:
        UserMistake: The address or port can't be had.

    """

    daemon_threads = True

    def __init__(
        self, host: str, port: int, publication: Publication, alive: Callable[[], bool]
    ) -> None:
        self.publication = publication
        self.alive = alive
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UserMistake(
                f"The exporter cannot listen on {host}:{port}: {(error.strerror or '').lower()}",
                "Set OUTBOUND_EXPORTER_PORT to a free port (0 picks one), or stop what uses it",
            ) from error

    @property
    def url(self) -> str:
        """Where it listens, as a base URL."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about a client that went away: the base class prints a traceback."""
        del request
        _LOG.debug("Request from %s ended early", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = _REQUEST_TIMEOUT_S
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
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

    do_HEAD = do_GET  # noqa: N815 - the base class's spelling

    def _serve_page(self) -> None:
        page = self.server.publication.page()
        if "application/openmetrics-text" in self.headers.get("Accept", ""):
            self._answer(HTTPStatus.OK, OPENMETRICS_TYPE, page.openmetrics)
        else:
            self._answer(HTTPStatus.OK, TEXT_TYPE, page.text)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        _LOG.debug(format, *args)
