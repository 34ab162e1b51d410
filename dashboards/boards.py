"""What all dashboards have: variables, links to each other, what is written across their graphs."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from grafanalib import core

from alerts.links import RUNBOOK_BASE_URL, TRACED_SERVICE
from alerts.timing import Timing, format_duration
from dashboards.frames import DATA_SOURCE, Json
from dashboards.links import TraceSearch
from dashboards.promql import write_promql
from dashboards.sections import Section, stack
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.spans import Tag
from outbound_slo.vocabulary.statuses import Channel, MessageStatus

TITLES: Final[Mapping[Dashboard, str]] = MappingProxyType(
    {
        Dashboard.SLA: "WhatsApp Messaging SLA Dashboard",
        Dashboard.MESSAGING: "Outbound Messaging",
        Dashboard.SLO: "Objectives and Error Budgets",
        Dashboard.HEALTH: "Senders, Exporters and Database",
        Dashboard.ORGANISATION: "One Organisation",
    }
)
"""Titles by uid; the first is runbook 000's."""

FAILED_TRACES: Final = TraceSearch(((Tag.STATUS, MessageStatus.FAILED),))
"""Attempts that failed."""

_CHANNEL: Final = core.Template(
    "channel",
    f"label_values({metrics.QUEUE_DEPTH.name}, channel)",
    label="Channel",
    dataSource=dict(DATA_SOURCE),
    default=Channel.WHATSAPP.label,
    refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
)

ORGANISATION: Final = core.Template(
    "org_id",
    f"label_values({metrics.QUOTA_LIMIT.name}, org_id)",
    label="Organisation",
    dataSource=dict(DATA_SOURCE),
    refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
)
"""Chooses an organisation among those that have a quota."""


def build_board(
    uid: Dashboard,
    description: str,
    tags: Sequence[str],
    sections: Sequence[Section],
    *,
    variables: Sequence[core.Template] = (),
    since: str = "now-6h",
    refresh: str = "30s",
) -> core.Dashboard:
    """Build a dashboard as a grafanalib object; `dashboards.catalogue` encodes it.

    Args:
        uid: Its stable name in addresses.
        description: One sentence: what it answers.
        tags: By which Grafana finds it.
        sections: Its panels.
        variables: Choices beside data sources and channel.
        since: Begin of its time range.
        refresh: How often it asks again.

    """
    return core.Dashboard(
        title=TITLES[uid],
        uid=uid.value,
        description=description,
        tags=list(tags),
        timezone="browser",
        editable=True,
        refresh=refresh,
        time=core.Time(since, "now"),
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        templating=core.Templating(_list_variables(variables)),
        annotations=core.Annotations(_list_annotations()),
        links=_list_links(uid),
        panels=stack(sections),
    )


def _list_variables(further: Sequence[core.Template]) -> list[core.Template]:
    return [
        core.Template("datasource", "prometheus", label="Prometheus", type="datasource"),
        core.Template("jaeger", "jaeger", label="Jaeger", type="datasource"),
        _CHANNEL,
        *further,
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


def _list_links(own: Dashboard) -> list[core.DashboardLink]:
    return [
        *(
            core.DashboardLink(
                title=title, uri=f"/d/{uid}", type="link", icon="dashboard", keepTime=True,
                includeVars=True, tooltip="With the time range and the choices of this one",
            )
            for uid, title in TITLES.items()
            if uid is not own
        ),
        core.DashboardLink(
            title="Runbooks", uri="${runbooks}", type="link", targetBlank=True, keepTime=False,
            tooltip="What to do about each alert",
        ),
        core.DashboardLink(
            title="Failed traces", uri=FAILED_TRACES.url, type="link", targetBlank=True,
            keepTime=False, tooltip="Attempts that failed in the range shown",
        ),
    ]  # fmt: skip


def _list_annotations() -> list[Json]:
    """Mark what fired on the channel, and when a process started: a deployment or a crash."""
    return [
        _annotate(
            "Alerts",
            "red",
            """
max by (alertname, severity, channel) (
  $ALERTS{alertstate="firing",severity=~"critical|warning",channel=~"$channel|all"}
)""",
            "{{alertname}}",
            "{{severity}}, channel {{channel}}",
            "alertname,severity,channel",
        ),
        _annotate(
            "Senders started",
            "blue",
            "max by (instance, version) (time() - $SENDER_STARTED) < 60",
            "Sender started",
            "{{instance}}, version {{version}}",
            "instance,version",
        ),
        _annotate(
            "Exporters started or reloaded",
            "purple",
            """
max by (instance, version) ($EXPORTER_INFO)
  and on (instance) max by (instance) (time() - $CONFIG_RELOAD_TIME) < 60""",
            "Exporter started or reloaded",
            "{{instance}}, version {{version}}",
            "instance,version",
        ),
    ]


def _annotate(name: str, colour: str, expression: str, title: str, text: str, tags: str) -> Json:
    return {
        "name": name,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "datasource": dict(DATA_SOURCE),
        "expr": write_promql(expression),
        # As often as rules are evaluated: an alert that fires for less has no sample.
        "step": format_duration(Timing().scrape_interval_s),
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": tags,
    }
