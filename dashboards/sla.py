"""Runbook 000's "WhatsApp Messaging SLA Dashboard": its twelve panels, with what was wrong mended.

Titles, order, places, units and lines are the runbook's. Different are the expressions (see
`dashboards.expressions`), the kind of panel (its graph panel is gone from Grafana), the channel,
which can be chosen, the alert inside the first panel, which is a rule in alerts/ now, and the row
above them that says where to look (decision 31).
"""

from grafanalib import core

from dashboards import expressions
from dashboards.boards import FAILED_TRACES, build_board
from dashboards.frames import Frame, Query
from dashboards.links import TraceSearch, link_traces
from dashboards.panels import draw_lines, list_rows, override, show_dial, show_value
from dashboards.sections import Section
from dashboards.triage import build_triage
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.metrics import Metric
from outbound_slo.vocabulary.panels import Panel
from outbound_slo.vocabulary.spans import Tag
from outbound_slo.vocabulary.statuses import AttemptOutcome
from outbound_slo.vocabulary.thresholds import Subject

_QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def build_dashboard() -> core.Dashboard:
    """Build the dashboard; the runbook's twelve panels keep their places below the first row."""
    panels = [*_latency_row(), *_value_row(), *_pattern_row(), _volume(), *_backlog_row()]
    return build_board(
        Dashboard.SLA,
        "The service levels of runbook 000 for outbound messages, by channel.",
        ["whatsapp", "sla", "messaging"],
        [build_triage(), Section("Service levels", panels)],
    )


def _latency_queries(recorded: Metric, kind: str) -> list[Query]:
    return [
        Query(expressions.latency_quantile(recorded, quantile), f"{name} {kind}", exemplars=True)
        for quantile, name in _QUANTILES
    ]


def _latency_row() -> list[core.TimeSeries]:
    send = Frame(
        Panel.SEND_LATENCY.id,
        "Message Send Latency (p50/p95/p99)",
        (0, 0, 12, 8),
        "s",
        "From when a message was due until the provider accepted it; planned waits left out.",
        (link_traces("Slow traces", TraceSearch(minimum_duration="10s")),),
        told=(t.ALERT_SEND_LATENCY,),
        promise=t.SLA_SEND_LATENCY,
    )
    delivery = Frame(
        Panel.DELIVERY_LATENCY.id,
        "Message Delivery Latency (p50/p95/p99)",
        (12, 0, 12, 8),
        "s",
        "From the provider's acceptance until the message was on the recipient's device.",
        told=(t.ALERT_DELIVERY_SLA,),
        promise=t.SLA_DELIVERY_LATENCY,
    )
    axis, nothing = "Latency (seconds)", "No traffic"
    return [
        draw_lines(
            send,
            _latency_queries(metrics.SEND_LATENCY_QUANTILE, "Send Latency"),
            axis=axis,
            subject=Subject.SEND_LATENCY,
            nothing=nothing,
        ),
        draw_lines(
            delivery,
            _latency_queries(metrics.DELIVERY_LATENCY_QUANTILE, "Delivery Latency"),
            axis=axis,
            subject=Subject.DELIVERY_LATENCY,
            nothing=nothing,
        ),
    ]


def _value_row() -> list[core.Panel]:
    success = Frame(
        Panel.SUCCESS_RATE.id,
        "Message Success Rate",
        (0, 8, 6, 4),
        "percent",
        "Of the messages that ended in the last 5 minutes, those that were sent.",
        (link_traces("Failed traces", FAILED_TRACES),),
        told=(t.ALERT_SUCCESS_LOW,),
        promise=t.SLA_SUCCESS_RATE,
    )
    queue = Frame(
        4,
        "Queue Depth",
        (6, 8, 6, 4),
        "short",
        "Messages that wait to be sent, retries among them.",
        told=(t.ALERT_QUEUE_500,),
        promise=t.SLA_QUEUE_DEPTH,
    )
    stuck = Frame(
        Panel.STUCK.id,
        "Stuck Messages",
        (12, 8, 6, 4),
        "short",
        "Messages in SENDING for longer than any provider takes.",
        told=(t.ALERT_STUCK_SENDING,),
        promise=t.SLA_STUCK,
    )
    quota = Frame(
        6,
        "Quota Usage",
        (18, 8, 6, 4),
        "percent",
        "The organisation that has used most of its configured quota. WhatsApp only.",
        told=(t.ALERT_QUOTA_95,),
        promise=t.SLA_QUOTA,
    )
    return [
        show_value(
            success,
            [Query(expressions.success_rate(), "Success Rate")],
            subject=Subject.SUCCESS_RATE,
            curve=True,
            nothing="No traffic",
            extra={"options": {"text": {"titleSize": 18, "valueSize": 52}}},
        ),
        show_value(
            queue,
            [Query(expressions.queue_depth(), "Queued Messages")],
            subject=Subject.QUEUE_DEPTH,
            curve=True,
        ),
        show_value(
            stuck,
            [Query(expressions.stuck_sending(), "Stuck Messages")],
            subject=Subject.STUCK,
            curve=True,
        ),
        show_dial(
            quota,
            [Query(expressions.quota_usage(), "Quota Usage % {{org_id}}", instant=True)],
            subject=Subject.QUOTA,
            nothing="No quota",
        ),
    ]


def _pattern_row() -> list[core.Panel]:
    session = Frame(
        Panel.SESSION_WINDOW.id,
        "Session Window Expiration",
        (0, 12, 12, 8),
        "s",
        "Until the next open 24-hour window closes; after that only templates may be sent to its "
        "customer. Nothing is drawn while no window is open.",
        alerts=(AlertName.SESSION_WINDOW_CLOSED,),
    )
    patterns = Frame(
        8,
        "Error Patterns (Last Hour)",
        (12, 12, 12, 8),
        "short",
        "Failed attempts by the provider's error code. A code leads to the traces that carry it.",
        alerts=(AlertName.HIGH_FAILURE_RATE, AlertName.ELEVATED_FAILURE_RATE),
    )
    same_code = TraceSearch(((Tag.ERROR_CODE, "${__value.raw}"),))
    return [
        draw_lines(
            session,
            [Query(expressions.session_expiration(), "Seconds Until Session Expires")],
            axis="Seconds Remaining",
            subject=Subject.SESSION_WINDOW,
            nothing="No open window",
        ),
        list_rows(
            patterns,
            [Query(expressions.error_patterns(), instant=True, table=True)],
            columns={"error_code": "Error Code", "Value": "Failure Rate/sec"},
            sort_by="Failure Rate/sec",
            nothing="No failures",
            overrides=[
                override(
                    "Error Code",
                    {
                        "links": [
                            {
                                "title": "Traces with this code",
                                "url": same_code.url,
                                "targetBlank": True,
                            }
                        ]
                    },
                )
            ],
        ),
    ]


def _volume() -> core.TimeSeries:
    frame = Frame(
        Panel.VOLUME.id,
        "Message Volume (sent/failed/queued)",
        (0, 20, 24, 8),
        "short",
        "Messages per second that ended as sent or failed; on the right axis the messages queued.",
        alerts=(AlertName.NO_TRAFFIC, AlertName.OUTAGE),
    )
    queries = [
        Query(expressions.finished_rate(AttemptOutcome.SENT), "Sent Rate"),
        Query(expressions.finished_rate(AttemptOutcome.FAILED), "Failed Rate"),
        Query(expressions.queue_depth(), "Queued Count"),
    ]
    # A count of hundreds would press two rates flat on one axis.
    right = override(
        "Queued Count", {"custom.axisPlacement": "right", "custom.axisLabel": "Messages queued"}
    )
    return draw_lines(frame, queries, axis="Messages", overrides=[right])


def _backlog_row() -> list[core.Stat]:
    retries = Frame(
        Panel.RETRIES.id,
        "Retry Count",
        (0, 28, 8, 4),
        "short",
        "Messages that wait for another attempt.",
        told=(t.ALERT_RETRIES_100,),
    )
    dead = Frame(
        11,
        "Dead Letter Queue Size",
        (8, 28, 8, 4),
        "short",
        "Failed messages of this channel whose attempts are used up. Alerts leave out recipients "
        "who opted out or never consented.",
        told=(t.ALERT_DEAD_100,),
    )
    breaker = Frame(
        12,
        "Circuit Breaker State",
        (16, 28, 8, 4),
        "none",
        "One tile per sender process. While open, the provider is not called.",
        alerts=(AlertName.PROVIDER_DOWN, AlertName.BREAKER_OPEN, AlertName.BREAKER_FLAPPING),
    )
    states = core.StatValueMappings(
        core.StatValueMappingItem("CLOSED", "0", "green"),
        core.StatValueMappingItem("OPEN", "1", "red"),
        core.StatValueMappingItem("HALF_OPEN", "2", "yellow"),
    )
    return [
        show_value(
            retries,
            [Query(expressions.retry_count(), "Messages Requiring Retries")],
            subject=Subject.RETRY_COUNT,
            curve=True,
        ),
        show_value(
            dead,
            [Query(expressions.dead_letters(), "DLQ Messages")],
            subject=Subject.DEAD_LETTERS,
            curve=True,
        ),
        show_value(
            breaker,
            [Query(expressions.breaker_state(), "Circuit Breaker State {{instance}}")],
            mappings=[states],
            background=True,
            curve=True,
        ),
    ]
