"""One organisation: its quota, its failures, what was told of it, its traces.

Quota comes for every organisation. Ends of sending are counted for those that are watched
(`outbound-slo exporter watch`, decision 29); for others these panels say so.
"""

from grafanalib import core

from dashboards.boards import ORGANISATION, build_board
from dashboards.frames import Frame, Query
from dashboards.links import TraceSearch, link_traces, open_organisation
from dashboards.organisation_quota import ITS_TAGS, TRACES, build_section
from dashboards.panels import draw_lines, list_rows, override, show_value
from dashboards.promql import write_promql
from dashboards.sections import Section
from dashboards.triage import build_triage
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.panels import Panel

_NOT_WATCHED = "Not watched"
_MOST = 20
_ENDED = '$ORGANISATION_FINISHED{{org_id="$org_id",channel="$channel"{outcome}}}'


def build_dashboard() -> core.Dashboard:
    """Build the dashboard."""
    return build_board(
        Dashboard.ORGANISATION,
        "What one organisation sends, what fails, and how much of its quota is left.",
        ["outbound", "organisation"],
        [
            build_triage(),
            build_section(),
            Section("Messages", (_failed_share(), _ended(), _failures())),
            Section("Around it", (_channel_waits(), _windows(), _firing(), _others())),
        ],
        variables=[ORGANISATION],
    )


def _failed_share() -> core.Stat:
    frame = Frame(
        6,
        "Its share of the channel's failures",
        (0, 0, 6, 8),
        "percentunit",
        "Of the messages of the channel that failed for good within an hour, those of this "
        "organisation.",
        TRACES,
        lines=(t.PANEL_SHARE_YELLOW, t.PANEL_SHARE_RED),
        alerts=(AlertName.ELEVATED_FAILURE_RATE, AlertName.DLQ_GROWING),
    )
    its = _ENDED.format(outcome=',outcome="$failed"')
    everybody = '$FINISHED{channel="$channel",outcome="$failed"}'
    share = write_promql(
        f"""
max(increase({its}[1h])) / on () (sum(max by (error_code) (increase({everybody}[1h]))) > 0)
  or 0 * max({its})"""
    )
    return show_value(
        frame, [Query(share, "Share of failures")], curve=True, nothing=_NOT_WATCHED, decimals=0
    )


def _ended() -> core.TimeSeries:
    frame = Frame(
        7,
        "Messages that ended",
        (6, 0, 9, 8),
        "cps",
        "Its messages on the channel per second, sent, failed for good, or refused by a rule of "
        "ours.",
        TRACES,
        alerts=(AlertName.SUCCESS_RATE_LOW,),
    )
    rate = write_promql(f"max by (outcome) (rate({_ENDED.format(outcome='')}[$__rate_interval]))")
    return draw_lines(
        frame, [Query(rate, "{{outcome}}")], axis="Messages per second", nothing=_NOT_WATCHED
    )


def _failures() -> core.TimeSeries:
    frame = Frame(
        8,
        "Success rate, it and the channel",
        (15, 0, 9, 8),
        "percentunit",
        "Messages sent of those sent or failed within an hour: where the channel is well and this "
        "organisation is not, it is the organisation.",
        TRACES,
        told=(t.ALERT_SUCCESS_LOW,),
        promise=t.SLA_SUCCESS_RATE,
    )
    its = _success("sum(max by (outcome) (increase({series}[1h])))", _ENDED)
    every = '$FINISHED{{channel="$channel"{outcome}}}'
    channel = _success("sum(max by (outcome, error_code) (increase({series}[1h])))", every)
    return draw_lines(
        frame,
        [Query(its, "Organisation"), Query(channel, "Channel")],
        axis="Share of messages",
        nothing=_NOT_WATCHED,
    )


def _success(total: str, series: str) -> str:
    sent = total.format(series=series.format(outcome=',outcome="$accepted"'))
    both = total.format(series=series.format(outcome=',outcome=~"$accepted|$failed"'))
    return write_promql(f"{sent} / ({both} > 0)")


def _channel_waits() -> core.TimeSeries:
    frame = Frame(
        9,
        "What waits on its channel",
        (0, 0, 12, 8),
        "short",
        "Of all organisations together: messages that are queued, wait for a retry or are stuck. "
        "`outbound-slo ops explain` says it of one message.",
        (link_traces("Its traces", TraceSearch(ITS_TAGS)),),
        alerts=(AlertName.QUEUE_BACKUP, AlertName.STUCK_IN_QUEUE),
    )
    return draw_lines(
        frame,
        [
            Query(write_promql('max($QUEUE_DEPTH{channel="$channel",status="$queued"})'), "Queued"),
            Query(write_promql('max($RETRY_COUNT{channel="$channel"})'), "Wait for a retry"),
            Query(write_promql('max($STUCK{channel="$channel"})'), "Stuck"),
        ],
        axis="Messages",
    )


def _windows() -> core.TimeSeries:
    frame = Frame(
        Panel.SESSION_WINDOWS.id,
        "Session windows",
        (12, 0, 12, 8),
        "short",
        "Open 24-hour windows of all organisations; on the right axis attempts of an hour that a "
        "closed one forbade.",
        told=(t.ALERT_WINDOW_10, t.ALERT_WINDOW_100),
    )
    refused = "Forbidden in 1 h"
    right = override(
        refused, {"custom.axisPlacement": "right", "custom.axisLabel": "Attempts forbidden"}
    )
    return draw_lines(
        frame,
        [
            Query(write_promql('max($SESSION_ACTIVE{channel="$channel"})'), "Open windows"),
            Query(write_promql('max(increase($WINDOW_REFUSALS{channel="$channel"}[1h]))'), refused),
        ],
        axis="Windows",
        overrides=[right],
        nothing="No windows on this channel",
    )


def _firing() -> core.Table:
    frame = Frame(
        11,
        "What fires about it",
        (0, 8, 12, 8),
        "short",
        "Alerts that carry this organisation.",
        alerts=(AlertName.QUOTA_HIGH,),
    )
    firing = write_promql(
        """
max by (alertname, severity, level) ($ALERTS{alertstate="firing",org_id="$org_id"})"""
    )
    return list_rows(
        frame,
        [Query(firing, instant=True, table=True)],
        columns={"alertname": "Alert", "severity": "Severity", "level": "Level"},
        sort_by="Level",
        hidden=("Value",),
        nothing="Nothing fires",
    )


def _others() -> core.Table:
    frame = Frame(
        12,
        "Other organisations",
        (12, 8, 12, 8),
        "short",
        f"The {_MOST} that have used most of their quota, and the failures of an hour of those "
        "that are watched. A click opens one.",
        alerts=(AlertName.QUOTA_HIGH,),
    )
    used = write_promql(
        f"topk({_MOST}, max by (org_id) ($QUOTA_USED) / (max by (org_id) ($QUOTA_LIMIT) > 0))"
    )
    failed = write_promql(
        """
sum by (org_id) (
  max by (org_id, channel) (increase($ORGANISATION_FINISHED{outcome="$failed"}[1h]))
)"""
    )
    return list_rows(
        frame,
        [Query(each, instant=True, table=True) for each in (used, failed)],
        columns={"org_id": "Organisation", "Value #A": "Quota used", "Value #B": "Failed in 1 h"},
        sort_by="Quota used",
        nothing="No organisation has a quota",
        overrides=[
            override("Organisation", {"links": [open_organisation().to_json_data()]}),
            override("Quota used", {"unit": "percentunit"}),
        ],
    )
