"""The import against a server that answers as Grafana's documentation says Grafana does."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from dashboards.artefacts import SLA_PATH, build_artefacts
from dashboards.commands import TOKEN_VARIABLE, app
from dashboards.grafana import import_dashboard
from outbound_slo.vocabulary.mistakes import UserMistake

SAVED = {
    "id": 1,
    "uid": "whatsapp-sla",
    "url": "/d/whatsapp-sla/x",
    "status": "success",
    "version": 2,
}


@dataclass
class StandIn:
    """Keeps what was posted; answers with `status` and `body`."""

    url: str
    status: HTTPStatus = HTTPStatus.OK
    body: str = json.dumps(SAVED)
    received: list[tuple[str, str | None, Any]] = field(default_factory=list)


@pytest.fixture
def grafana() -> Iterator[StandIn]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stand_in.received.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(stand_in.status)
            self.end_headers()
            self.wfile.write(stand_in.body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in = StandIn(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield stand_in
        server.shutdown()
        thread.join()


def test_the_command_posts_the_committed_dashboard_with_the_token(
    grafana: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "a-token")
    result = CliRunner().invoke(app, ["import", "--grafana", f"{grafana.url}/"])
    assert result.exit_code == 0
    [(path, authorization, body)] = grafana.received
    assert path == "/api/dashboards/db"
    assert authorization == "Bearer a-token"
    assert body == {"dashboard": json.loads(build_artefacts()[SLA_PATH]), "overwrite": True}
    assert result.stdout == (f"Imported whatsapp-sla, version 2: {grafana.url}/d/whatsapp-sla/x\n")


def test_without_a_token_nothing_is_sent(grafana: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    result = CliRunner().invoke(app, ["import", "--grafana", grafana.url])
    assert isinstance(result.exception, UserMistake)
    assert str(result.exception).startswith("GRAFANA_API_KEY is not set. ")
    assert grafana.received == []


@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (
            HTTPStatus.UNAUTHORIZED,
            '{"message": "Invalid API key"}',
            "refused the dashboard with 401: Invalid API key. Check the token in GRAFANA_API_KEY",
        ),
        (
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "<html>",
            "Grafana refused the dashboard with 500: Internal Server Error. Check Grafana's log",
        ),
        (HTTPStatus.OK, "<html>", "is not Grafana. Check the address"),
        (HTTPStatus.OK, "[]", "is not Grafana. Check the address"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_mend(
    grafana: StandIn, status: HTTPStatus, body: str, line: str
) -> None:
    grafana.status, grafana.body = status, body
    with pytest.raises(UserMistake) as caught:
        import_dashboard(grafana.url, "a-token", {"title": "T"})
    assert str(caught.value).endswith(line)
    assert "a-token" not in str(caught.value)


def test_a_grafana_that_is_not_there_is_one_clear_line() -> None:
    with pytest.raises(UserMistake, match=r"Grafana does not answer at http://127\.0\.0\.1:9 "):
        import_dashboard("http://127.0.0.1:9", "a-token", {})


@pytest.mark.parametrize("token", ["two\nlines", "euro€"])
def test_a_token_that_no_header_can_carry_is_one_clear_line(token: str) -> None:
    with pytest.raises(UserMistake, match="GRAFANA_API_KEY holds characters") as caught:
        import_dashboard("http://127.0.0.1:9", token, {})
    assert token not in str(caught.value)
