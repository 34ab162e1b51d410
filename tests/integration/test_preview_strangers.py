"""What stands in the place of Prometheus may answer anything: one line, and never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from typer.testing import CliRunner

from dashboards.commands import app
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.mistakes import UserMistake


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """Serve one answer to everything; gives the address."""

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            """Keep silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def success(data: str) -> str:
    return f'{{"status": "success", "data": {data}}}'


STRANGE = [
    (200, "<html>Sign in</html>", "sends no JSON"),
    (500, "<html>\nsorry\n</html>", "500 <html> sorry </html>"),
    (502, "[]", "502"),
    (200, "[" * 100_000, "sends no JSON"),
    (500, "[" * 100_000, "500"),
    (200, "[]", "not one of Prometheus's"),
    (200, success("{}"), "not one of Prometheus's"),
    (200, success('{"resultType": "vector", "result": null}'), "not one of Prometheus's"),
    (200, success('{"resultType": "vector", "result": [{}]}'), "not one of Prometheus's"),
    (200, success('{"resultType": "scalar", "result": [1, "x"]}'), "not one of Prometheus's"),
]


@pytest.mark.parametrize(("status", "body", "told"), STRANGE, ids=range(len(STRANGE)))
def test_a_strange_answer_is_one_line(status: int, body: str, told: str) -> None:
    with answering(status, body) as url:
        result = CliRunner().invoke(app, ["preview", "--prometheus", url])
    assert isinstance(result.exception, UserMistake)
    assert told in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize("result", ["null", "[{}]", '[{"metric": {}, "values": [1]}]'])
def test_a_strange_range_is_one_line(result: str) -> None:
    body = success(f'{{"resultType": "matrix", "result": {result}}}')
    with (
        answering(200, body) as url,
        pytest.raises(UserMistake, match="not one of Prometheus's"),
    ):
        PrometheusApi(url).query_range("up", 0, 60, 15)


def test_strange_values_of_a_label_are_one_line() -> None:
    with (
        answering(200, success('{"a": 1}')) as url,
        pytest.raises(UserMistake, match="not one of Prometheus's"),
    ):
        PrometheusApi(url).label_values("up", "job", 0, 60)


def test_a_server_that_hangs_is_not_waited_for() -> None:
    """The connection is taken, by the system, and nobody answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        api = PrometheusApi(f"http://127.0.0.1:{server.server_port}", timeout=0.2)
        with pytest.raises(UserMistake, match="no answer in time"):
            api.query("up")


def test_a_password_in_the_address_is_sent_and_never_shown() -> None:
    with answering(200, success("{}")) as url:
        api = PrometheusApi(url.replace("//", "//me:secret@"))
        with pytest.raises(UserMistake) as caught:
            api.query("up")
        assert url in str(caught.value)
        assert api.url == url
    assert "secret" not in str(caught.value)
