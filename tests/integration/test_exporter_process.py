"""The exporter as users meet it: a command, a port, a page, a signal."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import requests

from exporter.collector import Clock
from exporter.exposition import OPENMETRICS_TYPE, TEXT_TYPE
from exporter.loader import load_pack
from exporter.server import MetricsServer
from exporter.service import Service
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.exporter_parts import (
    open_service,
    parse_openmetrics,
    read_openmetrics,
    read_text,
    refresh_and_read,
    run_exporter,
    serving,
    total,
    write_pack,
)
from tests.patience import wait_for

PACK = load_pack("outbound", ErrorPolicy.RUNBOOK)
NOWHERE = "postgresql://postgres@127.0.0.1:1/none"


@contextmanager
def listening(service: Service) -> Iterator[str]:
    """Serve what a service has published; the test decides when it refreshes."""
    with MetricsServer(
        "127.0.0.1", 0, service.publication, service.alive, service.reload
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=30)


def test_once_prints_the_page_and_ends(database: str) -> None:
    told = run_exporter(database, "--once")

    assert (told.returncode, told.stderr) == (0, "")
    numbers = read_text(told.stdout)
    assert total(numbers, "outbound_message_queue_depth", channel="whatsapp") == 0
    assert total(numbers, "outbound_exporter_query_success") == len(PACK.queries)
    assert "outbound_message_dlq_size" in told.stdout


def test_once_without_compat_leaves_the_runbooks_names_out(database: str) -> None:
    told = run_exporter(database, "--once", "--no-compat")

    assert told.returncode == 0
    assert "outbound_message_dlq_size" not in told.stdout
    assert "outbound_dead_letters" in told.stdout


def test_once_fails_where_a_query_fails_and_still_prints_the_rest(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE whatsapp_rate_limit CASCADE")
    told = run_exporter(database, "--once")

    assert told.returncode == 1
    assert "outbound/quotas fails (schema)" in told.stderr
    assert total(read_text(told.stdout), "outbound_message_queue_depth") == 0


def test_a_pack_of_the_users_own_is_served_beside_the_built_in(
    database: str, tmp_path: Path
) -> None:
    metrics = "  - {name: answer, type: gauge, help: The answer., query: a, value: n}\n"
    pack = write_pack(tmp_path / "mine", metrics, {"a": "SELECT 42 AS n"})
    numbers = read_text(
        run_exporter(database, "--once", "--pack", "outbound", "--pack", pack).stdout
    )

    assert total(numbers, "answer") == 42
    assert total(numbers, "outbound_message_queue_depth") == 0


@pytest.mark.parametrize("arguments", [(), ("--once",), ("check", "--live")])
def test_an_unreachable_database_is_one_line_and_exit_code_two(arguments: tuple[str, ...]) -> None:
    told = run_exporter(NOWHERE, *arguments)

    assert (told.returncode, told.stdout.count("outbound_")) == (2, 0)
    assert len(told.stderr.splitlines()) == 1
    assert "Cannot connect to the database 127.0.0.1:1/none" in told.stderr
    assert "Check DATABASE_URL" in told.stderr


def test_a_malformed_pack_is_one_line_and_exit_code_two(database: str, tmp_path: Path) -> None:
    pack = write_pack(
        tmp_path / "bad", "  - {name: x, type: guage, help: X., query: a}\n", {"a": ""}
    )
    told = run_exporter(database, "check", "--pack", pack)

    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 1
    assert 'bad/pack.yml: metrics[0].type is "guage"' in told.stderr


def test_a_port_in_use_is_one_line_and_exit_code_two(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = run_exporter(database, OUTBOUND_EXPORTER_PORT=str(port))

    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 1
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in told.stderr


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_ours_is_not_blamed_on_the_port(host: str, database: str) -> None:
    told = run_exporter(database, OUTBOUND_EXPORTER_HOST=host)

    assert told.returncode == 2
    assert f"cannot listen on {host}:" in told.stderr
    assert "Set OUTBOUND_EXPORTER_HOST to an address of this machine" in told.stderr


def test_check_validates_packs_without_a_database() -> None:
    told = run_exporter(NOWHERE, "check")

    assert told.returncode == 0
    counts = f"{len(PACK.metrics)} metrics from {len(PACK.queries)} queries"
    assert f"outbound: {counts}, well formed" in told.stdout


def test_a_live_check_finds_nothing_on_a_migrated_database(database: str) -> None:
    told = run_exporter(database, "check", "--live", COLUMNS="200")

    assert told.returncode == 0
    assert told.stdout.count("none") == len(PACK.queries)


def test_a_live_check_names_what_is_missing_and_how_to_mend_it(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE whatsapp_session_window")
        connection.execute("DROP TABLE outbound_event_delta CASCADE")
        connection.execute("ALTER TABLE whatsapp_rate_limit RENAME COLUMN throttle_until TO until")
    told = run_exporter(database, "check", "--live", COLUMNS="250")

    assert told.returncode == 1
    lines = {line.split()[1]: line for line in told.stdout.splitlines() if "outbound/" in line}
    assert "no table whatsapp_session_window" in lines["outbound/session_windows"]
    assert "no table outbound_event_delta" in lines["outbound/rollup"]
    assert "outbound-slo exporter rollup install" in lines["outbound/rollup"]
    assert 'schema: column "throttle_until"' in lines["outbound/throttled_organisations"]
    assert "none" in lines["outbound/stuck"]


def test_a_live_check_writes_every_query_out_on_a_narrow_terminal(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE outbound_message RENAME COLUMN due_at TO due")
    told = run_exporter(database, "check", "--live", COLUMNS="80")

    assert told.returncode == 1
    assert "…" not in told.stdout
    assert max(len(line) for line in told.stdout.splitlines()) <= 80


def test_a_live_check_names_a_right_that_is_missing(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE poor_reader LOGIN")
        try:
            connection.execute("GRANT SELECT ON outbound_message TO poor_reader")
            url = database.replace("postgres@", "poor_reader@")
            told = run_exporter(url, "check", "--live", COLUMNS="250")
        finally:
            connection.execute("DROP OWNED BY poor_reader")
            connection.execute("DROP ROLE poor_reader")

    assert told.returncode == 1
    assert "no right to read whatsapp_rate_limit" in told.stdout
    assert "GRANT SELECT ON whatsapp_rate_limit" in told.stdout
    lines = {line.split()[1]: line for line in told.stdout.splitlines() if "outbound/" in line}
    for query in ("snapshots", "replicas"):
        assert "no rights of pg_monitor" in lines[f"outbound/{query}"]
        assert "GRANT pg_monitor TO" in lines[f"outbound/{query}"]
    assert "pg_monitor" not in lines["outbound/slots"]


def test_the_process_serves_refreshes_and_ends_on_sigterm(database: str) -> None:
    with serving(database, OUTBOUND_METRICS_UPDATE_INTERVAL_MS="100") as (url, _):
        assert get(f"{url}/healthz").text == "ok\n"
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO outbound_message (org_id, channel, to_recipient)"
                " VALUES ('org', 'SMS', '+1')"
            )

        def depth() -> float:
            numbers = read_text(get(f"{url}/metrics").text)
            return total(numbers, "outbound_message_queue_depth", channel="sms", status="queued")

        wait_for(lambda: depth() == 1, "the message to be counted")
    with pytest.raises(requests.ConnectionError):
        get(f"{url}/healthz")


def test_the_process_compacts_deltas_by_itself(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO outbound_event_delta (kind, channel, outcome, events)"
            " VALUES ('attempt', 'SMS', 'SENT', 5)"
        )

        def moved() -> bool:
            found = connection.execute("SELECT sum(events) FROM outbound_event_total").fetchone()
            return found == (5,)

        with serving(database, OUTBOUND_METRICS_UPDATE_INTERVAL_MS="100") as (url, _):
            wait_for(moved, "the deltas to be moved")
            numbers = read_text(get(f"{url}/metrics").text)
        assert total(numbers, "outbound_attempts_total", channel="sms", outcome="sent") == 5


def test_a_reader_without_the_right_to_compact_still_counts(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO outbound_event_delta (kind, channel, outcome, events)"
            " VALUES ('attempt', 'SMS', 'SENT', 5)"
        )
        connection.execute("CREATE ROLE mere_reader LOGIN")
        try:
            connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO mere_reader")
            with open_service(database.replace("postgres@", "mere_reader@")) as service:
                for _ in range(14):
                    numbers = refresh_and_read(service)
        finally:
            connection.execute("DROP OWNED BY mere_reader")
            connection.execute("DROP ROLE mere_reader")

    assert total(numbers, "outbound_attempts_total", channel="sms", outcome="sent") == 5
    assert total(numbers, "outbound_exporter_query_success") == len(PACK.queries)
    complaints = [line for line in caplog.messages if "not compacted" in line]
    assert len(complaints) == 1
    assert "permission" in complaints[0]


def test_a_scrape_does_not_wait_for_a_refresh(database: str) -> None:
    with open_service(database) as service, listening(service) as url:
        refresh_and_read(service)
        with psycopg.connect(database) as blocker:
            blocker.execute("LOCK TABLE outbound_message IN ACCESS EXCLUSIVE MODE")
            refreshing = threading.Thread(target=service.refresh)
            refreshing.start()
            wait_for(lambda: _waits_for_the_table(database), "the refresh to wait")
            answer = get(f"{url}/metrics")
            waited_through = _waits_for_the_table(database)
            blocker.rollback()
        refreshing.join()

    assert waited_through
    assert answer.status_code == 200
    assert total(read_text(answer.text), "outbound_message_queue_depth") == 0


def _waits_for_the_table(database: str) -> bool:
    with psycopg.connect(database) as looking:
        row = looking.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
    return row is not None and row[0] > 0


def test_the_accept_header_decides_the_format(database: str) -> None:
    with open_service(database) as service, listening(service) as url:
        service.refresh()
        plain = get(f"{url}/metrics", Accept="text/plain;version=0.0.4")
        any_format = get(f"{url}/metrics?from=curl")
        modern = get(
            f"{url}/metrics",
            Accept="application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
        )

    assert plain.headers["Content-Type"] == any_format.headers["Content-Type"] == TEXT_TYPE
    assert modern.headers["Content-Type"] == OPENMETRICS_TYPE
    assert modern.text.endswith("# EOF\n")
    assert parse_openmetrics(modern.text)
    assert read_text(plain.text) == read_openmetrics(modern.text)


def test_other_paths_and_methods_are_answered_in_kind(database: str) -> None:
    with open_service(database) as service, listening(service) as url:
        service.refresh()
        assert get(f"{url}/").status_code == 200
        assert get(f"{url}/metric").status_code == 404
        head = requests.head(f"{url}/metrics", timeout=30)
        assert (head.status_code, head.text) == (200, "")
        assert int(head.headers["Content-Length"]) > 1000
        assert requests.post(f"{url}/metrics", timeout=30).status_code == 405


def test_health_is_lost_when_refreshes_stop(database: str) -> None:
    now = [0.0]
    clock = Clock(wall=lambda: 0.0, steady=lambda: now[0])
    with open_service(database, clock=clock) as service, listening(service) as url:
        service.refresh()
        healthy = get(f"{url}/healthz").status_code
        now[0] = 3600.0
        sick = get(f"{url}/healthz").status_code

    assert (healthy, sick) == (200, 503)


def test_a_taken_port_is_a_users_mistake_before_anything_is_asked(database: str) -> None:
    with open_service(database) as service, listening(service) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(UserMistake, match=f"cannot listen on 127.0.0.1:{port}"):
            MetricsServer("127.0.0.1", port, service.publication, service.alive, service.reload)
