"""One organisation: its quota, its failures, what was told of it, its traces.

Quota and throttling come for every organisation. Ends of sending, what waits and service windows
are counted for those that are watched (`outbound-slo exporter watch`, decision 29); for others
these panels say so.
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
            Section("Around it", (_waits(), _windows(), _next_to_close(), _firing(), _others())),
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


def _waits() -> core.TimeSeries:
    frame = Frame(
        9,
        "What waits",
        (0, 0, 12, 8),
        "short",
        "Its messages on the channel that are queued, being sent or stuck; on the right axis what "
        "is queued of all organisations together. Its own numbers are read each half minute. "
        "`outbound-slo ops explain` says it of one message.",
        (link_traces("Its traces", TraceSearch(ITS_TAGS)),),
        alerts=(AlertName.QUEUE_BACKUP, AlertName.STUCK_IN_QUEUE),
    )
    its = 'org_id="$org_id",channel="$channel"'
    everybody = "queued, all organisations"
    right = override(
        everybody, {"custom.axisPlacement": "right", "custom.axisLabel": "Of all organisations"}
    )
    return draw_lines(
        frame,
        [
            Query(
                write_promql(f"max by (status) ($ORGANISATION_QUEUE_DEPTH{{{its}}})"), "{{status}}"
            ),
            Query(write_promql(f"max($ORGANISATION_STUCK{{{its}}})"), "stuck"),
            Query(
                write_promql('max($QUEUE_DEPTH{channel="$channel",status="$queued"})'), everybody
            ),
        ],
        axis="Its messages",
        overrides=[right],
        nothing=_NOT_WATCHED,
    )


def _windows() -> core.TimeSeries:
    frame = Frame(
        Panel.SESSION_WINDOWS.id,
        "Session windows",
        (12, 0, 7, 8),
        "short",
        "Its open 24-hour windows of WhatsApp; on the right axis, of all organisations, those that "
        "are open on the channel and the attempts of an hour that a closed one forbade.",
        told=(t.ALERT_WINDOW_10, t.ALERT_WINDOW_100),
    )
    everybody, refused = "Open, all organisations", "Forbidden in 1 h, all"
    right = {"custom.axisPlacement": "right", "custom.axisLabel": "Of all organisations"}
    return draw_lines(
        frame,
        [
            Query(write_promql('max($ORGANISATION_WINDOWS{org_id="$org_id"})'), "Open windows"),
            Query(write_promql('max($SESSION_ACTIVE{channel="$channel"})'), everybody),
            Query(write_promql('max(increase($WINDOW_REFUSALS{channel="$channel"}[1h]))'), refused),
        ],
        axis="Its windows",
        overrides=[override(everybody, right), override(refused, right | {"decimals": 0})],
        nothing=_NOT_WATCHED,
    )


def _next_to_close() -> core.Stat:
    frame = Frame(
        13,
        "Next closes in",
        (19, 0, 5, 8),
        "s",
        "Until the first of its open windows closes; then that recipient gets templates alone.",
        alerts=(AlertName.SESSION_WINDOW_CLOSED,),
    )
    left = write_promql('max($ORGANISATION_WINDOW_EXPIRATION{org_id="$org_id"})')
    return show_value(frame, [Query(left, "Closes in")], nothing="None is open")


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
    failures = "Failed in 1 h, all channels"
    return list_rows(
        frame,
        [Query(each, instant=True, table=True) for each in (used, failed)],
        columns={"org_id": "Organisation", "Value #A": "Quota used", "Value #B": failures},
        sort_by="Quota used",
        nothing="No organisation has a quota",
        overrides=[
            override("Organisation", {"links": [open_organisation().to_json_data()]}),
            override("Quota used", {"unit": "percentunit"}),
            override(failures, {"decimals": 0}),
        ],
    )
