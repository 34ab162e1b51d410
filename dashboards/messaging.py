"""Runbook 002's dashboard, `/d/outbound-messaging`: its five key panels.

The runbook names the panels and no more; their lines are the alerts' (D10), but that dead letters
are red from 100 on, as 002 tells of its panel.
"""

from dataclasses import replace

from grafanalib import core

from dashboards import expressions
from dashboards.boards import FAILED_TRACES, build_board
from dashboards.frames import Frame, Query
from dashboards.lines import BAD, step_lines
from dashboards.links import TraceSearch, link_dashboard, link_traces
from dashboards.panels import draw_lines, override
from dashboards.promql import write_promql
from dashboards.sections import Section
from dashboards.triage import build_triage
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.panels import Panel

_QUEUE_LADDER = (
    t.ALERT_QUEUE_500,
    t.ALERT_QUEUE_1000,
    t.ALERT_QUEUE_2000,
    t.ALERT_QUEUE_5000,
    t.ALERT_QUEUE_10000,
)
_DEAD_LADDER = (
    # 002, "Dead Letter Queue Growth": above 100 the panel is red, though the alert is a ticket.
    replace(t.ALERT_DEAD_100, colour=BAD),
    t.ALERT_DEAD_500,
    t.ALERT_DEAD_1000,
    t.ALERT_DEAD_2000,
)
_SHARE = "All codes, share of attempts"


def build_dashboard() -> core.Dashboard:
    """Build the dashboard."""
    panels = [_queue(), _latency(), _failures(), _dead_letters(), _quota()]
    return build_board(
        Dashboard.MESSAGING,
        "Runbook 002's key panels: queue, latency, failures, dead letters and quota.",
        ["outbound", "messaging"],
        [build_triage(), Section("Key panels", panels)],
        refresh="10s",
    )


def _queue() -> core.TimeSeries:
    frame = Frame(
        Panel.QUEUE_BY_STATUS.id,
        "Queue Depth by Status (real-time)",
        (0, 0, 12, 8),
        "short",
        "Messages of the channel by status; what is over (sent, delivered, failed) on the right "
        "axis, until it is archived.",
        lines=_QUEUE_LADDER,
        told=(t.ALERT_QUEUE_GROWTH, t.ALERT_QUEUE_SURGE),
        promise=t.SLA_QUEUE_DEPTH,
    )
    depth = write_promql('max by (status) ($QUEUE_DEPTH{channel="$channel"})')
    over = {
        "matcher": {"id": "byRegexp", "options": "/sent|delivered|failed/"},
        "properties": [
            {"id": "custom.axisPlacement", "value": "right"},
            {"id": "custom.axisLabel", "value": "Messages that are over"},
        ],
    }
    return draw_lines(
        frame, [Query(depth, "{{status}}")], axis="Messages on the way", overrides=[over]
    )


def _latency() -> core.TimeSeries:
    frame = Frame(
        Panel.DELIVERY_PERCENTILES.id,
        "Delivery Latency Percentiles",
        (12, 0, 12, 8),
        "s",
        "From the provider's acceptance until the message was on the recipient's device.",
        (link_traces("Slow traces", TraceSearch(minimum_duration="30s")),),
        lines=(t.ALERT_DELIVERY_P95, t.ALERT_DELIVERY_P99, t.ALERT_DELIVERY_SLA),
        promise=t.SLA_DELIVERY_LATENCY,
    )
    queries = [
        Query(
            expressions.latency_quantile(metrics.DELIVERY_LATENCY_QUANTILE, quantile),
            name,
            exemplars=True,
        )
        for quantile, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]
    return draw_lines(frame, queries, axis="Latency (seconds)", nothing="No traffic")


def _failures() -> core.TimeSeries:
    frame = Frame(
        Panel.FAILURE_TRENDS.id,
        "Failure Rate Trends by Error Code",
        (0, 8, 12, 8),
        "cps",
        "Failed attempts per second by the provider's error code; on the right axis the share of "
        "the attempts of 5 minutes that were not accepted, whatever the code.",
        (
            link_traces("Failed traces", FAILED_TRACES),
            link_dashboard("One organisation's?", Dashboard.ORGANISATION),
        ),
        told=(t.ALERT_FAILURE_ELEVATED, t.ALERT_FAILURE_HIGH),
        alerts=(AlertName.PROVIDER_DOWN, AlertName.OUTAGE),
    )
    by_code = write_promql(
        """
max by (error_code) (rate($ATTEMPTS{channel="$channel",outcome="$failed"}[$__rate_interval])) > 0"""
    )
    share = write_promql('max($FAILURE_RATIO{channel="$channel"})')
    right = override(
        _SHARE,
        {
            "unit": "percentunit",
            "max": 1,
            "custom.axisPlacement": "right",
            "custom.axisLabel": "Share of attempts",
        },
    )
    return draw_lines(
        frame,
        # Attempts carry exemplars of their own: the traces behind each code.
        [Query(by_code, "{{error_code}}", exemplars=True), Query(share, _SHARE)],
        axis="Failed attempts per second",
        overrides=[right],
    )


def _dead_letters() -> core.TimeSeries:
    frame = Frame(
        Panel.DEAD_LETTERS.id,
        "DLQ Size with Alerting Thresholds",
        (12, 8, 12, 8),
        "short",
        "Failed messages of the channel whose attempts are used up: those that the alerts count, "
        "which leave out recipients who opted out or never consented, and all by kind of error.",
        (link_traces("Failed traces", FAILED_TRACES),),
        lines=_DEAD_LADDER,
        told=(t.ALERT_DEAD_GROWTH, t.ALERT_DEAD_SURGE),
    )
    by_kind = write_promql(
        """
sum by (category) (max by (error_code, category) ($DEAD_LETTERS{channel="$channel"})) > 0"""
    )
    counted = write_promql('max($DEAD_UNWANTED{channel="$channel"})')
    return draw_lines(
        frame,
        [Query(counted, "Counted by alerts"), Query(by_kind, "{{category}}")],
        axis="Messages",
        reaches=max(value for value, _ in step_lines(_DEAD_LADDER[:1]) if value is not None),
    )


def _quota() -> core.TimeSeries:
    frame = Frame(
        Panel.QUOTA_CONSUMPTION.id,
        "WhatsApp Quota Consumption",
        (0, 16, 24, 8),
        "percentunit",
        "The ten organisations that have used most of their configured quota; on the right axis "
        "the organisations that are told to wait.",
        (link_dashboard("One organisation", Dashboard.ORGANISATION, Panel.QUOTA),),
        lines=(t.ALERT_QUOTA_70, t.ALERT_QUOTA_85, t.ALERT_QUOTA_95),
        told=(t.ALERT_THROTTLED, t.ALERT_THROTTLED_MANY),
        promise=t.SLA_QUOTA,
    )
    used = write_promql(
        "topk(10, max by (org_id) ($QUOTA_USED) / (max by (org_id) ($QUOTA_LIMIT) > 0))"
    )
    throttled = "Organisations throttled"
    right = override(
        throttled,
        {"unit": "short", "custom.axisPlacement": "right", "custom.axisLabel": "Organisations"},
    )
    return draw_lines(
        frame,
        [
            Query(used, "{{org_id}}"),
            Query(write_promql("max($THROTTLED_ORGS)"), throttled),
        ],
        axis="Share of the quota",
        overrides=[right],
        nothing="No quota",
    )
