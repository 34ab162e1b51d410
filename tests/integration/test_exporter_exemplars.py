"""Exemplars from SQL, all the way into a real Prometheus; a gauge never has one (T15)."""

import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import ScrapeJob, compose_configuration, start_prometheus
from tests.exporter_parts import open_service, parse_openmetrics, serving, write_pack
from tests.patience import wait_for

METRICS = """
  - name: sends_total
    type: counter
    help: Sends.
    labels: [channel]
    query: sends
    value: n
    exemplars: {query: slow, labels: {trace_id: trace_id}, value: seconds, at: at}
  - name: send_seconds
    type: histogram
    unit: seconds
    help: How long a send took.
    labels: [channel]
    query: times
    value: n
    bucket: edge
    total: seconds
    buckets: [1, 5]
    exemplars: {query: slow, labels: {trace_id: trace_id}, value: seconds, at: at}
  - name: failures_total
    type: counter
    help: The same again.
    of: sends_total
"""
QUERIES = {
    "sends": "SELECT 'sms' AS channel, count(*) AS n FROM send",
    "times": (
        "SELECT 'sms' AS channel, CASE WHEN seconds <= 1 THEN 1 ELSE 5 END AS edge,"
        " count(*) AS n, sum(seconds) AS seconds FROM send GROUP BY 1, 2"
    ),
    "slow": (
        "SELECT 'sms' AS channel, trace_id, seconds, at FROM send"
        " WHERE trace_id IS NOT NULL ORDER BY at"
    ),
}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    url = postgres_server.create_database("exemplars")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE send (trace_id text, seconds float8, at timestamptz DEFAULT now())"
        )
        connection.execute(
            "INSERT INTO send (trace_id, seconds) VALUES (NULL, 0.5), (%s, 3.5)", (TRACE,)
        )
    yield url
    postgres_server.drop_database("exemplars")


@pytest.fixture
def pack(tmp_path: Path) -> str:
    return write_pack(tmp_path / "post", METRICS, QUERIES)


def test_an_example_stands_at_its_bucket_and_its_counters_and_nowhere_else(
    database: str, pack: str
) -> None:
    with open_service(database, pack) as service:
        service.refresh()
        page = service.publication.page()

    at = {
        (sample.name, sample.labels.get("le")): sample.exemplar
        for family in parse_openmetrics(page.openmetrics.plain.decode())
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert set(at) == {
        ("sends_total", None),
        ("failures_total", None),
        ("send_seconds_bucket", "5.0"),
    }
    for exemplar in at.values():
        assert exemplar.labels == {"trace_id": TRACE}
        assert exemplar.value == 3.5
    assert TRACE not in page.text.plain.decode()
    assert "# UNIT send_seconds seconds" in page.openmetrics.plain.decode()


def test_a_failing_query_of_examples_costs_only_the_examples(database: str, tmp_path: Path) -> None:
    queries = QUERIES | {"slow": "SELECT 'sms' AS channel, span_id, 1 AS seconds, now() AS at"}
    with open_service(database, write_pack(tmp_path / "post", METRICS, queries)) as service:
        service.refresh()
        page = service.publication.page()

    assert b'sends_total{channel="sms"} 2.0' in page.text.plain
    assert b"trace_id" not in page.openmetrics.plain


def test_a_real_prometheus_keeps_them(
    database: str, pack: str, tmp_path: Path, prometheus_tools: Tools
) -> None:
    with (
        serving(database, "--pack", pack) as (url, _),
        Supervisor(tmp_path / "logs") as supervisor,
    ):
        jobs = [ScrapeJob("exporter", [url.removeprefix("http://")])]
        configuration = compose_configuration(jobs)
        prometheus = start_prometheus(
            supervisor, tmp_path / "prometheus", configuration, tools=prometheus_tools
        )
        now = time.time()
        kept = wait_for(
            lambda: prometheus.exemplars("send_seconds_bucket", now - 3600, now + 3600),
            "the exemplar to be scraped",
        )
        up = prometheus.query('up{job="exporter"}')

    assert {sample.labels["trace_id"] for sample in kept} == {TRACE}
    assert [sample.value for sample in up] == [1.0]


def test_the_page_comes_compressed_to_those_who_can_read_it(database: str, pack: str) -> None:
    with serving(database, "--pack", pack) as (url, _):
        answers = {
            offer: requests.get(
                f"{url}/metrics", headers={"Accept-Encoding": offer}, timeout=30, stream=True
            )
            for offer in ("gzip, deflate", "GZIP;q=0.5", "gzip;q=0", "identity", "gzip;q=0.0, br")
        }
        raw = {offer: answer.raw.read() for offer, answer in answers.items()}

    zipped = {offer for offer, a in answers.items() if a.headers.get("Content-Encoding") == "gzip"}
    assert zipped == {"gzip, deflate", "GZIP;q=0.5"}
    assert gzip.decompress(raw["gzip, deflate"]).startswith(b"# HELP sends_total Sends.")
    assert raw["identity"].startswith(b"# HELP sends_total Sends.")
    assert len(raw["gzip, deflate"]) < len(raw["identity"]) / 3
    assert {answer.headers["Vary"] for answer in answers.values()} == {"Accept, Accept-Encoding"}
