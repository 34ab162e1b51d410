"""From an attempt's row to the dot on a panel: all five links of the chain (T15)."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests
import yaml

from exporter.loader import load_pack
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import ScrapeJob, compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.alerts import EXPORTER_JOB, Dashboard
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.metrics import METRICS
from tests.dashboard_parts import Target, fill, list_targets
from tests.exporter_parts import serving
from tests.patience import wait_for

ROOT = Path(__file__).parents[2]
KEPT = "4bf92f3577b34da6a3ce929d0e0e4736"
OLDER = "1111111111111111111111111111aaaa"
NOT_KEPT = "2222222222222222222222222222bbbb"
ASKING = [target for target in list_targets() if target.query["exemplar"]]

ATTEMPTS = """
WITH message AS (
    INSERT INTO outbound_message (org_id, to_recipient, channel, status, attempt_count, due_since,
                                  sent_at, delivered_at)
    SELECT 'org', '+' || n, 'WHATSAPP', 'SENDING', 1, now() - interval '14 seconds', NULL, NULL
      FROM generate_series(1, 3) AS n
    RETURNING id
)
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, started_at)
SELECT id, 1, 'WHATSAPP', now() - interval '4 seconds' FROM message
"""
SETTLE = """
UPDATE outbound_attempt AS a
   SET outcome = t.outcome, error_code = t.code, finished_at = now(), trace_kept = t.kept,
       traceparent = '00-' || t.trace || '-' || repeat('c', 16) || '-01'
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM outbound_attempt) AS o
  JOIN (VALUES (1, 'SENT', NULL, %(kept)s, true),
               (2, 'FAILED', '131026', %(older)s, true),
               (3, 'SENT', NULL, %(not_kept)s, false)) AS t (n, outcome, code, trace, kept)
       USING (n)
 WHERE a.id = o.id
"""
ARRIVE = """
UPDATE outbound_message
   SET status = CASE WHEN id = (SELECT outbound_message_id FROM outbound_attempt
                                 WHERE outcome = 'FAILED') THEN 'FAILED' ELSE 'DELIVERED' END,
       sent_at = due_since + interval '14 seconds', delivered_at = due_since + interval '89 seconds'
"""


@pytest.fixture(scope="module")
def prometheus(
    postgres_server: EmbeddedPostgres,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    prometheus_tools: Tools,
) -> Iterator[PrometheusApi]:
    """Scrape a real exporter, over an outbox with three attempts, with a real Prometheus."""
    url = postgres_server.create_database("panel_exemplars", template=template_database)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ATTEMPTS)
        connection.execute(SETTLE, {"kept": KEPT, "older": OLDER, "not_kept": NOT_KEPT})
        connection.execute(ARRIVE)
    directory = tmp_path_factory.mktemp("exemplars")
    with serving(url) as (page, _), Supervisor(directory / "logs") as supervisor:
        jobs = [ScrapeJob(EXPORTER_JOB, [page.removeprefix("http://")])]
        yield start_prometheus(
            supervisor, directory, compose_configuration(jobs), tools=prometheus_tools
        )
    postgres_server.drop_database("panel_exemplars")


@pytest.mark.parametrize("target", ASKING, ids=lambda target: target.name)
def test_a_panels_own_expression_finds_the_trace_of_a_kept_attempt(
    prometheus: PrometheusApi, target: Target
) -> None:
    def find() -> set[str]:
        now = time.time()
        found = prometheus.exemplars(fill(target.expression), now - 3600, now + 3600)
        return {each.labels["trace_id"] for each in found}

    traces = wait_for(find, f"exemplars of {target.name}")

    failures = target.dashboard is Dashboard.MESSAGING and target.panel["id"] == 3
    wanted = OLDER if failures else KEPT
    assert wanted in traces
    assert NOT_KEPT not in traces


def test_an_exemplar_stands_at_the_value_of_its_message(prometheus: PrometheusApi) -> None:
    def values(name: str) -> dict[str, float]:
        now = time.time()
        found = prometheus.exemplars(f"{name}_bucket", now - 3600, now + 3600)
        return {each.labels["trace_id"]: each.value for each in found}

    delivery = wait_for(lambda: values("outbound_delivery_latency_seconds"), "a delivery")
    assert delivery[KEPT] == pytest.approx(75, abs=1)
    assert values("outbound_send_latency_seconds")[KEPT] == pytest.approx(14, abs=1)
    # Both attempts took as long, so the bucket keeps one of the two.
    [(trace, seconds)] = values("outbound_attempt_duration_seconds").items()
    assert trace in {KEPT, OLDER}
    assert seconds == pytest.approx(4, abs=2)


def test_the_page_is_scraped_as_openmetrics_which_alone_has_exemplars(
    prometheus: PrometheusApi,
) -> None:
    [target] = wait_for(prometheus.targets, "the target")
    types = {
        accept: requests.get(target.url, headers={"Accept": accept}, timeout=30)
        for accept in ("application/openmetrics-text;version=1.0.0", "text/plain")
    }
    assert [KEPT in page.text for page in types.values()] == [True, False]


def test_every_link_of_the_chain_is_there() -> None:
    panels = {(each.dashboard, each.panel["id"]) for each in ASKING}
    assert panels == {
        (Dashboard.SLA, 1), (Dashboard.SLA, 2), (Dashboard.MESSAGING, 2),
        (Dashboard.MESSAGING, 3), (Dashboard.HEALTH, 8),
    }  # fmt: skip
    assert {each.panel["type"] for each in ASKING} == {"timeseries"}
    sources = yaml.safe_load(
        (ROOT / "dashboards/provisioning/datasources/outbound-slo.yml").read_text("utf-8")
    )
    prometheus, jaeger = sources["datasources"]
    [link] = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert (link["name"], link["datasourceUid"]) == ("trace_id", jaeger["uid"])
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert "--enable-feature=exemplar-storage" in compose["services"]["prometheus"]["command"]
    scraped = yaml.safe_load((ROOT / "alerts/generated/prometheus.yml").read_text("utf-8"))
    jobs = {each["job_name"]: each for each in scraped["scrape_configs"]}
    # Prometheus asks for OpenMetrics first unless somebody forbids it.
    assert "scrape_protocols" not in jobs[EXPORTER_JOB]


def test_from_a_trace_the_way_back_leads_to_metrics_that_exist() -> None:
    text = (ROOT / "dashboards/provisioning/datasources/outbound-slo.yml").read_text("utf-8")
    back = yaml.safe_load(text)["datasources"][1]["jsonData"]["tracesToMetrics"]
    asked = json.dumps(back["queries"])
    assert back["datasourceUid"] == "prometheus"
    named = [name for name in METRICS if name in asked]
    assert {"outbound_attempts_total", "channel:outbound_attempts_failed:ratio5m"} <= set(named)


def test_examples_are_found_by_key_however_many_attempts_there_are(database: str) -> None:
    pack = load_pack("outbound", ErrorPolicy.RUNBOOK)
    queries = {query.name: query.sql for query in pack.queries}
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE outbound_message DISABLE TRIGGER USER")
        connection.execute("ALTER TABLE outbound_attempt DISABLE TRIGGER USER")
        connection.execute(
            "INSERT INTO outbound_message (id, org_id, to_recipient, channel, status, sent_at,"
            " due_since, delivered_at)"
            " SELECT n, 'org', '+' || n, 'WHATSAPP', 'SENT', now(), now(),"
            " CASE WHEN n < 280000 THEN now() END FROM generate_series(1, 300000) AS n"
        )
        connection.execute(
            "INSERT INTO outbound_attempt (id, outbound_message_id, attempt_no, channel, outcome,"
            " finished_at, trace_kept, traceparent)"
            " SELECT n, n, 1, 'WHATSAPP', 'SENT', now(), true,"
            " '00-' || lpad(to_hex(n), 32, '0') || '-' || repeat('c', 16) || '-01'"
            " FROM generate_series(1, 300000) AS n"
        )
        connection.execute("ANALYZE outbound_message, outbound_attempt")
        for name in ("latency_examples", "attempt_examples"):
            explained = connection.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {queries[name]}"
            ).fetchone()
            assert explained is not None
            [plan] = explained[0]
            assert "Seq Scan" not in json.dumps(plan), name
            blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
            # Two lookups of four blocks for each of at most 1,000 rows.
            assert blocks < 8_000, (name, blocks)
        rows = connection.execute(queries["latency_examples"]).fetchall()
    delivered = [row for row in rows if row[-1] is not None]
    assert len(rows) <= 600
    # At this pace the newest 20,000 have not arrived yet: they are no deliveries of 0 s.
    assert 200 < len(delivered) <= 280
