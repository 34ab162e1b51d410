"""Every PromQL expression of runbooks 000 to 002 gives data on a real Prometheus.

The data is what the exporter serves of a database with traffic, and what the sender's metrics look
like; the rules are those of production.
"""

import math
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from alerts.generator import render_rules
from alerts.replay.evaluation import store_samples
from alerts.timing import Timing
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import PrometheusApi, Sample
from outbound_slo.vocabulary import metrics as m
from tests.exporter_parts import Numbers, open_service, refresh_and_read
from tests.patience import wait_for
from tests.runbooks.expressions import EXPRESSIONS, Expression, is_comparison
from tests.runbooks.page import RUNBOOK_METRICS
from tests.runbooks.source import read_runbooks, runbook_directory

STEP_S = 15
STEPS = 300
# What the sender serves, and sums that the rules of production would have recorded all along.
BESIDE: tuple[tuple[m.Metric, dict[str, str], float], ...] = (
    (m.BREAKER_STATE, {"name": "whatsapp"}, 0.0),
    (m.SIGNATURE_FAILURES, {}, 5000.0),
    (m.ATTEMPTS_SUM, {"channel": "whatsapp"}, 900.0),
    (m.ACCEPTED_SUM, {"channel": "whatsapp"}, 300.0),
    (m.FINISHED_SUM, {"channel": "whatsapp"}, 900.0),
    (m.SENT_SUM, {"channel": "whatsapp"}, 300.0),
)
TRAFFIC = """
INSERT INTO outbound_message (org_id, channel, to_recipient, status, due_since)
SELECT 'org', 'WHATSAPP', '+' || n, 'SENDING', now() FROM generate_series(1, 900) AS n;
INSERT INTO outbound_attempt (outbound_message_id, attempt_no)
SELECT id, 1 FROM outbound_message;
UPDATE outbound_attempt SET outcome = CASE WHEN mod(id, 3) = 0 THEN 'SENT' ELSE 'FAILED' END,
       error_code = CASE WHEN mod(id, 3) > 0 THEN '130429' END, finished_at = now();
UPDATE outbound_message AS m
   SET status = CASE WHEN a.outcome = 'SENT' THEN 'SENT' ELSE 'FAILED' END, sent_at = now(),
       attempt_count = max_attempts, error_code = a.error_code
  FROM outbound_attempt AS a WHERE a.outbound_message_id = m.id;
UPDATE outbound_message SET status = 'DELIVERED', delivered_at = sent_at + interval '70 seconds'
 WHERE status = 'SENT';
INSERT INTO outbound_message (org_id, channel, to_recipient, status, updated_at)
SELECT 'org', 'WHATSAPP', '+9' || n, 'SENDING', now() - interval '1 hour'
  FROM generate_series(1, 3) AS n;
INSERT INTO outbound_message (org_id, channel, to_recipient, attempt_count)
SELECT 'org', 'WHATSAPP', '+8' || n, 1 FROM generate_series(1, 2500) AS n;
INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count) VALUES ('org', 950);
INSERT INTO whatsapp_session_window (org_id, phone_number) VALUES ('org', '+1')
"""
WORKING = [
    pytest.param(each.corrected or each.translated, id=each.places[0]) for each in EXPRESSIONS
]
WRONG = [pytest.param(each.translated, id=each.places[0]) for each in EXPRESSIONS if each.corrected]
RUNBOOKS = read_runbooks(runbook_directory()) if runbook_directory().is_dir() else {}


@pytest.fixture(scope="module")
def pages(postgres_server: EmbeddedPostgres, template_database: str) -> tuple[Numbers, Numbers]:
    """Give the exporter's page before and after traffic."""
    url = postgres_server.create_database("expressions", template=template_database)
    try:
        with open_service(url) as service, psycopg.connect(url, autocommit=True) as connection:
            before = refresh_and_read(service)
            connection.execute(TRAFFIC.encode())
            return before, refresh_and_read(service)
    finally:
        postgres_server.drop_database("expressions")


def _write_history(pages: tuple[Numbers, Numbers], end: float) -> str:
    """Write an hour of OpenMetrics: counters grow steadily from the first page to the second."""
    before, after = pages
    lines: list[str] = []
    series = {
        **{(name, labels): (before.get((name, labels)), value)
           for (name, labels), value in after.items()},
        **{(metric.name, frozenset(labels.items())): (0.0, value)
           for metric, labels, value in BESIDE},
    }  # fmt: skip
    # What belongs to one name stands together, or the file is refused.
    for (name, labels), (first, last) in sorted(
        series.items(), key=lambda entry: (entry[0][0], sorted(entry[0][1]))
    ):
        pairs = ",".join(f'{key}="{value}"' for key, value in sorted(labels))
        grows = name.endswith(("_total", "_bucket", "_count", "_sum", ":sum"))
        for step in range(STEPS + 1):
            value = first + (last - first) * step / STEPS if grows and first is not None else last
            moment = end - (STEPS - step) * STEP_S
            lines.append(f"{name}{{{pairs}}} {value} {moment:.3f}")
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus(
    pages: tuple[Numbers, Numbers],
    tmp_path_factory: pytest.TempPathFactory,
    prometheus_tools: Tools,
) -> Iterator[tuple[PrometheusApi, float]]:
    directory = tmp_path_factory.mktemp("expressions")
    for name, text in render_rules(Timing()).items():
        (directory / name).write_text(text, encoding="utf-8")
    history = directory / "history.om"
    history.write_text(_write_history(pages, time.time()), encoding="utf-8")
    store_samples(prometheus_tools, history, directory / "data")
    recorded = (
        m.SEND_LATENCY_QUANTILE.name, m.DELIVERY_LATENCY_QUANTILE.name, m.SUCCESS_RATIO.name,
        m.FAILURE_RATIO.name,
    )  # fmt: skip
    configuration = compose_configuration([], rule_files=[Path("outbound-*.yml")])
    with Supervisor(directory) as supervisor:
        api = start_prometheus(supervisor, directory, configuration, tools=prometheus_tools)
        wait_for(lambda: all(api.query(name) for name in recorded), "the rules to record")
        yield api, time.time()


def _ask(prometheus: tuple[PrometheusApi, float], expression: str) -> list[Sample]:
    api, instant = prometheus
    return api.query(expression, at=instant)


@pytest.mark.parametrize("expression", WORKING)
def test_the_expression_gives_finite_numbers(
    prometheus: tuple[PrometheusApi, float], expression: str
) -> None:
    told = _ask(prometheus, expression)
    busy = [sample for sample in told if sample.labels.get("channel") in (None, "whatsapp")]
    assert busy
    assert all(math.isfinite(sample.value) for sample in busy)


@pytest.mark.parametrize("expression", WRONG)
def test_an_expression_that_means_something_else_is_answered_all_the_same(
    prometheus: tuple[PrometheusApi, float], expression: str
) -> None:
    """Whoever types it gets no error, only what it says: these panels are wrong, not broken."""
    names = re.findall(r"[a-z_]{12,}", expression)
    assert names
    assert all(_ask(prometheus, name) for name in names)
    _ask(prometheus, expression)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('outbound_message_queue_depth{status="queued",channel="whatsapp"}', 2500),
        ("outbound_message_dlq_size", 600),
        ("outbound_message_dead_letter_queue_size", 600),
        ('sum(outbound_message_stuck_total{status="sending"})', 3),
        ("whatsapp_message_stuck_alert", 3),
        ('outbound_message_retry_count{channel="whatsapp"}', 2500),
        ("(whatsapp_quota_used / whatsapp_quota_limit) * 100", 95),
        ("whatsapp_rate_limit_hits_total", 600),
        (
            "sum(rate(outbound_message_sent_total[5m])) / sum(rate(outbound_message_total[5m]))",
            1 / 3,
        ),
        ('channel:outbound_messages_success:ratio5m{channel="whatsapp"} * 100', 100 / 3),
    ],
)
def test_the_number_is_the_one_that_the_rows_have(
    prometheus: tuple[PrometheusApi, float], expression: str, value: float
) -> None:
    [sample] = _ask(prometheus, expression)
    assert sample.value == pytest.approx(value, rel=0.05)


def test_every_name_that_an_expression_uses_is_served_or_recorded() -> None:
    for expression in EXPRESSIONS:
        assert list(expression.metrics()), expression.written


def test_a_condition_that_is_corrected_stays_a_condition() -> None:
    for expression in EXPRESSIONS:
        if expression.corrected:
            assert is_comparison(expression.corrected) is is_comparison(expression.written)
            assert expression.why


@pytest.mark.skipif(not RUNBOOKS, reason="no runbooks beside this clone to compare with")
def test_no_line_that_names_a_metric_lies_outside_the_expressions() -> None:
    covered = {
        f"{number}:{int(line) + offset}"
        for expression in EXPRESSIONS
        for number, _, line in (place.partition(":") for place in expression.places)
        for offset in range(
            expression.written.count("_bucket") + expression.written.count(" / ") + 1
        )
    }
    names = re.compile(rf"\b({'|'.join(RUNBOOK_METRICS)})(_bucket)?\b")
    named = {
        f"{number}:{count}"
        for number, text in RUNBOOKS.items()
        for count, line in enumerate(text.splitlines(), 1)
        if names.search(line)
    }
    assert len(named) > 60
    assert named - covered == set()


@pytest.mark.skipif(not RUNBOOKS, reason="no runbooks beside this clone to compare with")
@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda each: each.places[0])
def test_the_expression_stands_where_it_is_said_to_stand(expression: Expression) -> None:
    for place in expression.places:
        number, _, line = place.partition(":")
        text = "\n".join(RUNBOOKS[number].splitlines()[int(line) - 1 : int(line) + 4])
        plain = re.sub(r"\s+", "", text.replace("\\", "").replace("`", ""))
        assert re.sub(r"\s+", "", expression.written) in plain, place
