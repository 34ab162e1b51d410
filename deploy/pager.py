# ruff: noqa: INP001 - a script, in no package
"""Stands for the on-call pager in docker-compose.yml: prints what Alertmanager sends, a line each.

Usage: pager.py ADDRESS PORT. Prints a line when it listens, and keeps nothing.
"""

import sys
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from outbound_slo.demo.pager import MalformedNotification, read_notification

LARGEST_BODY = 1_000_000
"""Bytes; hundreds of alerts fit."""


class Handler(BaseHTTPRequestHandler):
    """Takes Alertmanager's webhook on any path; the path names the receiver."""

    def do_POST(self) -> None:
        """Print the alerts of one notification."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        try:
            pages = read_notification(self.rfile.read(int(length)), datetime.now(UTC))
        except MalformedNotification as mistake:
            self.send_error(HTTPStatus.BAD_REQUEST, str(mistake))
            return
        for page in pages:
            where = self.path.strip("/") or "page"
            line = f"{where} {page.state} {page.priority} {page.alert}: {page.summary}"
            print(line, page.runbook_url, flush=True)  # noqa: T201 - the log is what it is for
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Leave the log to the pages."""


def main() -> None:
    """Serve until the container stops."""
    address, port = sys.argv[1], int(sys.argv[2])
    with ThreadingHTTPServer((address, port), Handler) as server:
        print(f"pager listens on {address}:{server.server_port}", flush=True)  # noqa: T201 - as above
        server.serve_forever()


if __name__ == "__main__":
    main()
