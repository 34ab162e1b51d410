"""What dashboards ask is emitted, what is emitted is shown, and alerts lead to where it is."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import yaml

from alerts.catalogue import GROUPS
from alerts.expressions import read_expression
from alerts.generator import render_rules
from alerts.rule import Alert
from alerts.timing import Timing
from dashboards.lines import CONTINUOUS, find_alerts, step_lines
from dashboards.promql import measure_line
from outbound_slo.vocabulary import metrics as vocabulary
from outbound_slo.vocabulary import thresholds
from outbound_slo.vocabulary.alerts import PRIORITIES, AlertName, Dashboard
from outbound_slo.vocabulary.metrics import METRICS, MetricKind, Origin
from outbound_slo.vocabulary.panels import PANELS, Panel
from outbound_slo.vocabulary.thresholds import Subject, Threshold, Unit
from sender.metrics import SenderMetrics
from tests.dashboard_parts import DASHBOARDS, Target, fill, list_targets

ROOT = Path(__file__).parents[2]
TARGETS = list(list_targets())


RULES = [
    (rule, read_expression(rule["expr"]).metrics)
    for text in render_rules(Timing()).values()
    for rule in yaml.safe_load(text)["groups"][0]["rules"]
]
"""Every rule with the metrics that it reads."""


def _recorded() -> Mapping[str, frozenset[str]]:
    """Collect what each recording reads, by its name."""
    found: dict[str, frozenset[str]] = {}
    for rule, read in RULES:
        if name := rule.get("record"):
            found[name] = found.get(name, frozenset()) | read
    return found


RECORDED = _recorded()


def _strip(name: str) -> str:
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and base in METRICS and METRICS[base].kind is MetricKind.HISTOGRAM:
            return base
    return name


def _asked(expression: str) -> set[str]:
    return {_strip(name) for name in read_expression(fill(expression)).metrics}


@cache
def _emitted() -> set[str]:
    pack = yaml.safe_load((ROOT / "exporter/packs/outbound/pack.yml").read_text("utf-8"))
    own = (ROOT / "exporter/own_metrics.py").read_text("utf-8")
    constants = set(re.findall(r"vocabulary\.([A-Z_]+)", own))
    exporter = {each["name"] for each in [*pack["metrics"], *pack.get("compat", ())]}
    exporter |= {
        metric.name for constant, metric in vars(vocabulary).items() if constant in constants
    }
    sender = set(re.findall(r"# TYPE (\w+)", SenderMetrics().render().decode()))
    # Shown only where somebody says when the token ends, and which version is called.
    sender |= {"whatsapp_access_token_expires_days"}
    others = {name for name, metric in METRICS.items() if metric.origin is Origin.MONITORING}
    return exporter | sender | set(RECORDED) | others


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_metric_is_in_the_vocabulary_and_emitted_by_somebody(target: Target) -> None:
    asked = _asked(target.expression)
    assert asked
    assert asked <= METRICS.keys()
    assert asked <= _emitted()


_NOT_SHOWN = {
    # Names of the runbooks for numbers that are shown under their own (D2).
    *(
        name
        for name, metric in METRICS.items()
        if metric.origin is Origin.EXPORTER and metric.alias_of
    ),
    # Parts of what is shown: judged by objectives, or by counters of the same events.
    "outbound_judged_delivery_latency_seconds",
    "outbound_judged_messages_sent_total",
    "outbound_judged_messages_reached_total",
    "outbound_oldest_blocked_age_seconds",
    "outbound_webhooks_open",
    "outbound_oldest_webhook_age_seconds",
    "outbound_webhook_last_accepted_timestamp_seconds",
    "outbound_webhook_last_rejected_timestamp_seconds",
    "outbound_rollup_ready",
    "outbound_rollup_verified_timestamp_seconds",
    "outbound_rollup_epoch",
    "outbound_exporter_query_rows",
    "outbound_exporter_query_last_success_timestamp_seconds",
    "outbound_exporter_database_in_recovery",
    "resilience4j_circuitbreaker_buffered_calls",
    "whatsapp_webhook_signature_failures_total",
    "whatsapp_rate_limit_hits_total",
    "outbound_provider_notices_total",
    "outbound_recipient_wishes_total",
}


def test_what_exporters_and_senders_emit_is_shown_or_left_out_on_purpose() -> None:
    ours = {
        name
        for name, metric in METRICS.items()
        if metric.origin in {Origin.EXPORTER, Origin.SENDER}
    }
    annotations = (
        each["expr"] for document in DASHBOARDS.values() for each in document["annotations"]["list"]
    )
    shown = set[str]().union(
        *(_asked(target.expression) for target in TARGETS), *(map(_asked, annotations))
    )
    assert ours - shown == _NOT_SHOWN


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_rates_are_of_counters_and_follow_the_zoom_or_a_window_that_is_named(
    target: Target,
) -> None:
    expression = target.expression
    for name in re.findall(r"(?:rate|increase)\(([\w:]+)", expression):
        metric = METRICS[_strip(name)]
        # What is recorded from a counter is a gauge to Prometheus, and still only grows.
        assert metric.kind is not MetricKind.GAUGE or metric.origin is Origin.RECORDING
    for kind, window in re.findall(r"(rate|increase)\([^[]*\[([^\]]+)\]", expression):
        fixed = {"5m", "10m", "1h"}
        assert window == "$__rate_interval" or window in fixed
        if window != "$__rate_interval" and kind == "rate":
            # 000 names its own windows: 5 minutes, and the last hour.
            assert (target.dashboard, target.panel["id"]) in {
                (Dashboard.SLA, 8), (Dashboard.SLA, 9),
            }  # fmt: skip


# --- alerts and panels ----------------------------------------------------------------------------


def _sources(names: set[str]) -> set[str]:
    found = {_strip(name) for name in names}
    for name in names:
        found |= _sources(set(RECORDED.get(name, frozenset())) - {name})
    return found


def test_every_alert_leads_to_a_panel_that_exists() -> None:
    assert set(PANELS) == set(AlertName)
    for panel in Panel:
        assert panel.id in {each["id"] for each in DASHBOARDS[panel.dashboard]["panels"]}, panel


@pytest.mark.parametrize(
    "alert",
    [each for group in GROUPS for each in group.alerts],
    ids=lambda alert: f"{alert.name}-{alert.tier}-{alert.slo}",
)
def test_the_panel_shows_what_the_alert_judges_and_links_to_its_page(alert: Alert) -> None:
    panel = PANELS[alert.name]
    [shown] = [each for each in DASHBOARDS[panel.dashboard]["panels"] if each["id"] == panel.id]
    assert f"${{runbooks}}/{alert.name}.md" in json.dumps(shown["links"])
    # These judge what is not there, or pages; their panels show why.
    if alert.name in {AlertName.WATCHDOG, AlertName.PAGE_UNRESOLVED, AlertName.NO_DATA}:
        return
    read = frozenset[str]().union(
        *(
            metrics
            for rule, metrics in RULES
            if rule.get("alert") == alert.name and rule["labels"]["tier"] == str(alert.tier)
        )
    )
    judged = _sources(set(read))
    seen = _sources(set[str]().union(*(_asked(each["expr"]) for each in shown["targets"])))
    assert judged & seen


ALERT_LINES = [
    line
    for line in thresholds.THRESHOLDS.values()
    if find_alerts(line.key) and line.subject is not Subject.BUDGET_BURN
]


@pytest.mark.parametrize("line", ALERT_LINES, ids=lambda line: line.key)
def test_a_panel_changes_colour_exactly_where_its_alert_begins_to_wait(line: Threshold) -> None:
    steps = step_lines([line])
    pages = any(PRIORITIES[each.priority].pages for each in find_alerts(line.key))
    scale = measure_line(line) / line.value if line.value else 1
    apart = 1.0 if line.unit not in {Unit.SECONDS, Unit.PERCENT} else 0.5

    for measured in (line.value - apart, line.value, line.value + apart):
        if measured == line.value and line.unit in CONTINUOUS:
            continue  # such a number lies on its line once in a blue moon
        value = measured * scale
        colour = [shown for edge, shown in steps if edge is None or value >= edge][-1]
        expected = ("red" if pages else "yellow") if line.holds(measured) else "green"
        if measured >= 0:
            assert colour == expected, (measured, steps)
