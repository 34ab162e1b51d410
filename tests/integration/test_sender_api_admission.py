"""Who gets in, how much, and what is answered when the database is away, on a real process."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from outbound_slo.database import migrate
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.schema import all_migrations
from sender.admission import BODY_LIMIT
from sender.desk import CONNECTIONS
from tests.integration.api_stand import DIAGNOSTICS, HEALTH, MESSAGES, Stand, open_stand
from tests.integration.sending import NUMBER
from tests.patience import wait_for

GUARDED = [
    ("POST", MESSAGES),
    ("GET", f"{MESSAGES}/1"),
    ("POST", f"{MESSAGES}/1/retry"),
    ("GET", f"{DIAGNOSTICS}/sessions"),
    ("GET", f"{DIAGNOSTICS}/retry-queue"),
    ("POST", f"{DIAGNOSTICS}/dry-run-send"),
    ("GET", f"{DIAGNOSTICS}/error-patterns"),
    ("GET", HEALTH),
    ("GET", "/api/v9/whatever"),
]
OPEN = ["/healthz", "/readyz", "/metrics", "/actuator/health", "/actuator/prometheus"]


@pytest.fixture(scope="module")
def stand(
    postgres_server: EmbeddedPostgres,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stand]:
    """Run one process for the module, in the middle of a change of its token."""
    url = postgres_server.create_database("api_admission", template=template_database)
    directory: Path = tmp_path_factory.mktemp("api")
    with open_stand(url, directory, OUTBOUND_PREVIOUS_ADMIN_TOKEN="the-old-token") as stand:
        yield stand
    postgres_server.drop_database("api_admission")


@pytest.mark.parametrize(("verb", "path"), GUARDED)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic dGhlOmFkbWlu", "Bearer "])
def test_without_the_token_nothing_below_api_is_answered(
    stand: Stand, verb: str, path: str, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else None
    answer = stand.ask(verb, path, token=None, headers=headers, raw=b"no json")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="outbound-slo"')
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_both_tokens_are_accepted_while_the_token_is_changed(stand: Stand) -> None:
    for token in ("the-admin-token", "the-old-token"):
        assert stand.ask("GET", HEALTH, token=token).status_code == 200


@pytest.mark.parametrize("path", OPEN)
def test_machines_need_no_token(stand: Stand, path: str) -> None:
    assert stand.ask("GET", path, token=None, org=None).status_code == 200


def test_without_a_token_in_the_settings_api_is_closed(database: str, tmp_path: Path) -> None:
    with open_stand(database, tmp_path, OUTBOUND_ADMIN_TOKEN="") as stand:
        for token in ("", "the-admin-token", None):
            answer = stand.ask("GET", HEALTH, token=token)
            assert answer.status_code == 503
            assert "OUTBOUND_ADMIN_TOKEN is not set" in answer.json()["detail"]


@pytest.mark.parametrize("path", [MESSAGES, f"{MESSAGES}/1", f"{MESSAGES}/1/retry", HEALTH])
def test_the_organisation_has_to_be_named(stand: Stand, path: str) -> None:
    verb = "GET" if path in {f"{MESSAGES}/1", HEALTH} else "POST"
    for org in (None, "", "a b"):
        answer = stand.ask(verb, path, org=org, body={} if verb == "POST" else None)
        assert answer.status_code == 422
        assert "X-Org-Id" in {error["field"] for error in answer.json()["errors"]}


@pytest.mark.parametrize(
    "path",
    [
        f"{DIAGNOSTICS}/sessions?limit=1001",
        f"{DIAGNOSTICS}/sessions?limit=0",
        f"{DIAGNOSTICS}/sessions?active=perhaps",
        f"{DIAGNOSTICS}/retry-queue?limit=ten",
        f"{DIAGNOSTICS}/error-patterns?hours=0",
        f"{DIAGNOSTICS}/error-patterns?hours=169",
        f"{MESSAGES}/0",
        f"{MESSAGES}/one",
        f"{HEALTH}?hours=-1",
    ],
)
def test_a_parameter_out_of_bounds_is_named(stand: Stand, path: str) -> None:
    answer = stand.ask("GET", path)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in {"limit", "active", "hours", "message_id"}


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"x"', b"1e999"])
def test_a_body_that_is_no_request_is_refused(stand: Stand, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = stand.ask("POST", MESSAGES, raw=raw, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Traceback" not in answer.text


def test_a_body_that_is_too_large_is_refused_whether_announced_or_not(stand: Stand) -> None:
    raw = b'{"payload": "' + b"x" * BODY_LIMIT + b'"}'
    answer = stand.ask("POST", MESSAGES, raw=raw)
    assert (answer.status_code, answer.json()["title"]) == (413, "Request Entity Too Large")
    parts = urlsplit(stand.url)
    head = (
        f"POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "Authorization: Bearer the-admin-token\r\n\r\n"
    )
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as client:
        client.sendall(head.encode())
        for _ in range(BODY_LIMIT // 0x10000 + 1):
            client.sendall(chunk)
        assert client.recv(64).startswith(b"HTTP/1.1 413")


def test_a_body_as_large_as_allowed_is_read(stand: Stand) -> None:
    raw = b'{"x": "' + b"x" * (BODY_LIMIT - 9) + b'"}'
    assert len(raw) == BODY_LIMIT
    headers = {"Content-Type": "application/json"}
    assert stand.ask("POST", MESSAGES, raw=raw, headers=headers).status_code == 422


def test_unknown_paths_and_methods_are_problems_too(stand: Stand) -> None:
    absent = stand.ask("GET", "/nowhere")
    wrong = stand.ask("PUT", "/webhooks/whatsapp")
    assert (absent.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["Allow"] == "GET, POST"
    for answer in (absent, wrong):
        assert answer.json()["status"] == answer.status_code


def test_questions_wait_their_turn_and_leave_the_senders_connections_alone(stand: Stand) -> None:
    with psycopg.connect(stand.sending.database) as blocker:
        blocker.execute("LOCK TABLE whatsapp_session_window")
        with ThreadPoolExecutor(12) as threads:
            answers = list(
                threads.map(lambda _: stand.ask("GET", f"{DIAGNOSTICS}/sessions"), range(12))
            )
            [(busy,)] = stand.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'outbound-slo sender http'"
            )
    assert {answer.status_code for answer in answers} == {503}
    assert all(answer.headers["Retry-After"] for answer in answers)
    assert 0 < busy <= CONNECTIONS
    assert stand.ask("GET", f"{DIAGNOSTICS}/sessions").status_code == 200


def test_a_question_that_takes_too_long_is_ended_with_advice(stand: Stand) -> None:
    stand.execute("ALTER TABLE outbound_message RENAME TO hidden")
    stand.execute(
        "CREATE VIEW outbound_message AS SELECT hidden.*"
        " FROM hidden, LATERAL (SELECT pg_sleep(60)) AS nap"
    )
    try:
        stand.execute(
            "INSERT INTO hidden (org_id, channel, to_recipient, status, error_code)"
            " VALUES ('o', 'WHATSAPP', %s, 'FAILED', '1')",
            NUMBER,
        )
        answer = stand.ask("GET", f"{DIAGNOSTICS}/error-patterns?hours=24", org=None)
    finally:
        stand.execute("DROP VIEW outbound_message")
        stand.execute("ALTER TABLE hidden RENAME TO outbound_message")
    assert answer.status_code == 503
    assert "fewer hours" in answer.json()["detail"]


def test_an_outage_of_the_database_is_503_and_passes_without_a_restart(tmp_path: Path) -> None:
    with EmbeddedPostgres(fsync=False) as server:
        url = server.create_database("outage")
        migrate(url, all_migrations())
        with open_stand(url, tmp_path) as stand:
            assert stand.ask("GET", HEALTH).status_code == 200
            server.stop()
            for verb, path in (("GET", HEALTH), ("POST", MESSAGES)):
                body = {"toRecipient": NUMBER, "templateCode": "t"} if verb == "POST" else None
                answer = stand.ask(verb, path, body=body)
                assert answer.status_code == 503, answer.text
                assert answer.headers["Retry-After"]
            ready = stand.ask("GET", "/actuator/health")
            assert (ready.status_code, ready.json()["status"]) == (503, "DOWN")
            assert stand.ask("GET", "/healthz").status_code == 200
            server.start()
            wait_for(lambda: stand.ask("GET", HEALTH).status_code == 200, "the database's return")


def test_the_actuator_tells_the_breakers_state_as_the_runbook_asks(stand: Stand) -> None:
    path = "/actuator/metrics/resilience4j.circuitbreaker.state"
    every = stand.get(path)
    assert every["name"] == "resilience4j.circuitbreaker.state"
    assert every["measurements"] == [{"statistic": "VALUE", "value": 0.0}]
    assert every["availableTags"] == [{"tag": "name", "values": ["email", "sms", "whatsapp"]}]
    one = stand.get(f"{path}?tag=name:whatsapp")
    assert (one["measurements"], one["availableTags"]) == (every["measurements"], [])
    assert "resilience4j.circuitbreaker.state" in stand.get("/actuator/metrics")["names"]
    assert stand.ask("GET", f"{path}?tag=name:fax").status_code == 404
    assert stand.ask("GET", "/actuator/metrics/jvm.memory.used").status_code == 404
    assert stand.ask("GET", f"{path}?tag=whatsapp").status_code == 422


def test_no_answer_and_no_log_shows_a_token(stand: Stand) -> None:
    answer = stand.ask("POST", MESSAGES, body={"toRecipient": "the-admin-token"})
    assert answer.status_code == 422
    log = stand.sending.supervisor.directory / "sender-1.log"
    for token in ("the-admin-token", "the-old-token"):
        assert token not in log.read_text("utf-8")
