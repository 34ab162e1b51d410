"""Runbook 000's "WhatsApp Messaging SLA Dashboard": its twelve panels, with what was wrong mended.

Titles, places, units and lines are the runbook's. Different are the expressions (see
`dashboards.expressions`), the kind of panel (its graph panel is gone from Grafana), the channel,
which can be chosen, and the alert inside the first panel, which is a rule in alerts/ now.
"""

from grafanalib import core

from alerts.links import RUNBOOK_BASE_URL, TRACED_SERVICE
from dashboards import expressions
from dashboards.links import TraceSearch, link_runbook, link_traces
from dashboards.panels import Frame, Json, Query, draw_lines, list_rows, show_dial, show_value
from outbound_slo.vocabulary import metrics, thresholds
from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.metrics import Metric
from outbound_slo.vocabulary.spans import Tag
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus
from outbound_slo.vocabulary.thresholds import Subject, Threshold

TITLE = "WhatsApp Messaging SLA Dashboard"

_QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
_FAILED_TRACES = TraceSearch(((Tag.STATUS, MessageStatus.FAILED),))


def build_dashboard() -> core.Dashboard:
    """Build the dashboard as a grafanalib object; `dashboards.catalogue` encodes it."""
    return core.Dashboard(
        title=TITLE,
        uid=Dashboard.SLA.value,
        description="The service levels of runbook 000 for outbound messages, by channel.",
        tags=["whatsapp", "sla", "messaging"],
        timezone="browser",
        editable=True,
        refresh="30s",
        time=core.Time("now-6h", "now"),
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        templating=core.Templating(_list_variables()),
        links=_list_links(),
        panels=[*_latency_row(), *_value_row(), *_pattern_row(), _volume(), *_backlog_row()],
    )


def _list_variables() -> list[core.Template]:
    return [
        core.Template("datasource", "prometheus", label="Prometheus", type="datasource"),
        core.Template("jaeger", "jaeger", label="Jaeger", type="datasource"),
        core.Template(
            "channel",
            f"label_values({metrics.QUEUE_DEPTH.name}, channel)",
            label="Channel",
            dataSource={"type": "prometheus", "uid": "${datasource}"},
            default=Channel.WHATSAPP.label,
        ),
        _fix_variable("runbooks", RUNBOOK_BASE_URL),
        _fix_variable("service", TRACED_SERVICE),
    ]


def _fix_variable(name: str, value: str) -> core.Template:
    """Make a hidden variable: one place to change what differs between installations."""
    return core.Template(
        name,
        value,
        default=value,
        type="constant",
        hide=core.HIDE_VARIABLE,
        refresh=core.REFRESH_NEVER,
    )


def _list_links() -> list[core.DashboardLink]:
    return [
        core.DashboardLink(
            title="Runbooks", uri="${runbooks}", type="link", targetBlank=True, keepTime=False,
            tooltip="What to do about each alert",
        ),
        core.DashboardLink(
            title="Failed traces", uri=_FAILED_TRACES.url, type="link", targetBlank=True,
            keepTime=False, tooltip="Attempts that failed in the range shown",
        ),
    ]  # fmt: skip


def _describe(what: str, promise: Threshold | None = None, *alerts: Threshold) -> str:
    """Write a panel's description: what it counts, what is promised, when an alert fires."""
    sentences = [what]
    if promise:
        sentences.append(f"Promised: {promise.text}.")
    sentences.extend(f"Alert: {line.text} for {line.hold_s / 60:g} min." for line in alerts)
    return " ".join(sentences)


def _latency_queries(recorded: Metric, kind: str) -> list[Query]:
    return [
        Query(expressions.latency_quantile(recorded, quantile), f"{name} {kind}", exemplars=True)
        for quantile, name in _QUANTILES
    ]


def _latency_row() -> list[core.TimeSeries]:
    send = Frame(
        1,
        "Message Send Latency (p50/p95/p99)",
        (0, 0, 12, 8),
        "s",
        _describe(
            "From when a message was due until the provider accepted it; planned waits left out.",
            thresholds.SLA_SEND_LATENCY,
            thresholds.ALERT_SEND_LATENCY,
        ),
        (
            link_runbook(AlertName.SEND_LATENCY_HIGH),
            link_traces("Slow traces", TraceSearch(minimum_duration="10s")),
        ),
    )
    delivery = Frame(
        2,
        "Message Delivery Latency (p50/p95/p99)",
        (12, 0, 12, 8),
        "s",
        _describe(
            "From the provider's acceptance until the message was on the recipient's device.",
            thresholds.SLA_DELIVERY_LATENCY,
            thresholds.ALERT_DELIVERY_SLA,
        ),
        (link_runbook(AlertName.DELIVERY_LATENCY_HIGH),),
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
        3,
        "Message Success Rate",
        (0, 8, 6, 4),
        "percent",
        _describe(
            "Of the messages that ended in the last 5 minutes, those that were sent.",
            thresholds.SLA_SUCCESS_RATE,
            thresholds.ALERT_SUCCESS_LOW,
        ),
        (
            link_runbook(AlertName.SUCCESS_RATE_LOW),
            link_traces("Failed traces", _FAILED_TRACES),
        ),
    )
    queue = Frame(
        4,
        "Queue Depth",
        (6, 8, 6, 4),
        "short",
        _describe(
            "Messages that wait to be sent, retries among them.",
            thresholds.SLA_QUEUE_DEPTH,
            thresholds.ALERT_QUEUE_500,
        ),
        (link_runbook(AlertName.QUEUE_BACKUP),),
    )
    stuck = Frame(
        5,
        "Stuck Messages",
        (12, 8, 6, 4),
        "short",
        _describe(
            "Messages in SENDING for longer than any provider takes.",
            thresholds.SLA_STUCK,
            thresholds.ALERT_STUCK_SENDING,
        ),
        (link_runbook(AlertName.STUCK_IN_SENDING),),
    )
    quota = Frame(
        6,
        "Quota Usage",
        (18, 8, 6, 4),
        "percent",
        _describe(
            "The organisation that has used most of its configured quota. WhatsApp only.",
            thresholds.SLA_QUOTA,
            thresholds.ALERT_QUOTA_95,
        ),
        (link_runbook(AlertName.QUOTA_HIGH),),
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
            stuck, [Query(expressions.stuck_sending(), "Stuck Messages")], subject=Subject.STUCK
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
        7,
        "Session Window Expiration",
        (0, 12, 12, 8),
        "s",
        "Until the next open 24-hour window closes; after that only templates may be sent to its "
        "customer. Nothing is drawn while no window is open.",
    )
    patterns = Frame(
        8,
        "Error Patterns (Last Hour)",
        (12, 12, 12, 8),
        "short",
        "Failed attempts by the provider's error code. A code leads to the traces that carry it.",
        (link_runbook(AlertName.HIGH_FAILURE_RATE),),
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
            overrides=[
                _override(
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
        9,
        "Message Volume (sent/failed/queued)",
        (0, 20, 24, 8),
        "short",
        "Messages per second that ended as sent or failed; on the right axis the messages queued.",
        (link_runbook(AlertName.NO_TRAFFIC),),
    )
    queries = [
        Query(expressions.finished_rate(AttemptOutcome.SENT), "Sent Rate"),
        Query(expressions.finished_rate(AttemptOutcome.FAILED), "Failed Rate"),
        Query(expressions.queue_depth(), "Queued Count"),
    ]
    # A count of hundreds would press two rates flat on one axis.
    right = _override(
        "Queued Count", {"custom.axisPlacement": "right", "custom.axisLabel": "Messages queued"}
    )
    return draw_lines(frame, queries, axis="Messages", overrides=[right])


def _backlog_row() -> list[core.Stat]:
    retries = Frame(
        10, "Retry Count", (0, 28, 8, 4), "short", "Messages that wait for another attempt."
    )
    dead = Frame(
        11,
        "Dead Letter Queue Size",
        (8, 28, 8, 4),
        "short",
        _describe(
            "Failed messages of this channel whose attempts are used up.",
            None,
            thresholds.ALERT_DEAD_100,
        ),
        (link_runbook(AlertName.DLQ_OVERFLOW),),
    )
    breaker = Frame(
        12,
        "Circuit Breaker State",
        (16, 28, 8, 4),
        "none",
        "One tile per sender process. While open, the provider is not called.",
        (link_runbook(AlertName.PROVIDER_DOWN),),
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
        ),
        show_value(
            dead,
            [Query(expressions.dead_letters(), "DLQ Messages")],
            subject=Subject.DEAD_LETTERS,
        ),
        show_value(
            breaker,
            [Query(expressions.breaker_state(), "Circuit Breaker State {{instance}}")],
            mappings=[states],
            background=True,
        ),
    ]


def _override(field: str, properties: Json) -> Json:
    """Set properties of one named field."""
    return {
        "matcher": {"id": "byName", "options": field},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }
