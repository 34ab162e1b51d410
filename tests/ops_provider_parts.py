"""`outbound-slo ops` in the tests' own process, beside a simulator and servers that misbehave."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import psycopg
from typer.testing import CliRunner

from operations.commands import app
from outbound_slo.settings import known_variables
from outbound_slo.simulator.accounts import Template, TemplateStatus
from outbound_slo.simulator.options import Options
from outbound_slo.simulator.server import serve_simulator
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.integration.simulator_stand import ACCOUNT, CREDENTIALS, NUMBER
from tests.ops_parts import Printed
from tests.ops_schemas import check_printed

WABA = "102290129340398"
KEY = "database-key"
TEMPLATES = (
    Template("appointment_reminder"),
    Template("visit_reminder", language="fr"),
    Template("urgent_alert", TemplateStatus.PAUSED),
    Template("old_offer", TemplateStatus.REJECTED),
    Template("Welcome"),
)
SECRETS = ("access-token", "twilio-token", "sendgrid-key")


def run(*arguments: str, **environment: str) -> Printed:
    """Run a command in this process with these settings alone."""
    cleared: dict[str, str | None] = dict.fromkeys(known_variables())
    cleared |= {"COLUMNS": "100", **environment}
    result = CliRunner().invoke(app, arguments, env=cleared)
    if isinstance(result.exception, UserMistake):
        return Printed(2, result.stdout, f"{result.exception}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Printed(result.exit_code, result.stdout, result.stderr)


def read_json(done: Printed, schema: str) -> Any:  # noqa: ANN401 - any JSON
    """Decode what a command printed, once it fits its schema."""
    body = done.json()
    check_printed(schema, body)
    return body


def use_providers(url: str) -> dict[str, str]:
    """Give the settings of all three providers at one address."""
    return {
        "WHATSAPP_API_URL": url,
        "WHATSAPP_PHONE_NUMBER_ID": NUMBER,
        "WHATSAPP_ACCESS_TOKEN": CREDENTIALS.access_token,
        "WHATSAPP_BUSINESS_ACCOUNT_ID": WABA,
        "TWILIO_API_URL": url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": CREDENTIALS.twilio_auth_token,
        "SENDGRID_API_URL": url,
        "SENDGRID_API_KEY": CREDENTIALS.sendgrid_api_key,
    }


def execute(database: str, statement: str, *values: object) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(statement.encode(), values)


def add_organisation(
    database: str, org_id: str, number: str, token: str | None = None, key: str = KEY
) -> None:
    execute(
        database,
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id, access_token_encrypted)"
        " VALUES (%s, %s, CASE WHEN %s::text IS NOT NULL THEN pgp_sym_encrypt(%s, %s) END)",
        org_id,
        number,
        token,
        token,
        key,
    )


@contextmanager
def open_simulator(**options: Any) -> Iterator[str]:  # noqa: ANN401 - Options' fields
    """Run the simulator in a thread of its own; gives its address."""
    ready, stop = threading.Event(), asyncio.Event()
    found: list[tuple[str, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with serve_simulator(Options(credentials=CREDENTIALS, latency_ms=0, **options)) as it:
            found.append((it.url, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    url, loop = found[0]
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


Canned = tuple[int, Mapping[str, str], bytes]


class StubServer(ThreadingHTTPServer):
    """Answers each path with what is laid down for it, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, list[Canned]] = {}
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _StubHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def lay(self, path: str, body: object, status: int = 200, **headers: str) -> None:
        """Lay down the next answer of a path; bytes as they are, other bodies as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.setdefault(path, []).append((status, named, raw))


class _StubHandler(BaseHTTPRequestHandler):
    server: StubServer

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        left = self.server.answers.get(path, [(404, {}, b"{}")])
        status, headers, raw = left.pop(0) if len(left) > 1 else left[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def open_stub() -> Iterator[StubServer]:
    with StubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
