"""How much of its quota the chosen organisation has used."""

from grafanalib import core

from dashboards.frames import Frame, Query
from dashboards.lines import GOOD
from dashboards.links import ORGANISATION_ID, TraceSearch, link_traces
from dashboards.panels import draw_lines, say, show_dial, show_value
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.panels import Panel
from outbound_slo.vocabulary.spans import Tag
from outbound_slo.vocabulary.statuses import MessageStatus
from outbound_slo.vocabulary.thresholds import Subject

ITS_TAGS = ((Tag.ORG_ID, ORGANISATION_ID),)
"""Tags of the organisation's traces."""

TRACES = (
    link_traces("Its failed traces", TraceSearch((*ITS_TAGS, (Tag.STATUS, MessageStatus.FAILED)))),
    link_traces("Its traces", TraceSearch(ITS_TAGS)),
)
"""Links to the organisation's traces."""


def build_section() -> Section:
    """Build the section."""
    return Section("Quota", (_quota_now(), _left(), _unique(), _throttled(), _quota(), _messages()))


def _quota_now() -> core.GaugePanel:
    frame = Frame(
        3,
        "Quota used now",
        (0, 0, 6, 5),
        "percent",
        "Of the quota that is configured for the organisation.",
        TRACES,
        told=(t.ALERT_QUOTA_70, t.ALERT_QUOTA_85, t.ALERT_QUOTA_95),
        promise=t.SLA_QUOTA,
    )
    used = write_promql(
        '100 * max($QUOTA_USED{org_id="$org_id"}) / (max($QUOTA_LIMIT{org_id="$org_id"}) > 0)'
    )
    return show_dial(
        frame, [Query(used, "Quota used", instant=True)], subject=Subject.QUOTA, nothing="No quota"
    )


def _left() -> core.Stat:
    frame = Frame(
        4,
        "Messages left",
        (6, 0, 6, 5),
        "short",
        "Until the quota is used up; the next window starts with the whole of it.",
        alerts=(AlertName.QUOTA_HIGH, AlertName.ORGANISATION_THROTTLED),
    )
    left = write_promql('max($QUOTA_REMAINING{org_id="$org_id"})')
    return show_value(frame, [Query(left, "Left")], curve=True, nothing="No quota")


def _unique() -> core.Stat:
    frame = Frame(
        5,
        "Recipients in 24 h",
        (12, 0, 6, 5),
        "short",
        "Unique recipients of messages outside their service window, which is what Meta limits.",
        alerts=(AlertName.QUOTA_HIGH, AlertName.ACCOUNT_RESTRICTED),
    )
    unique = write_promql('max($UNIQUE_RECIPIENTS{org_id="$org_id"})')
    return show_value(frame, [Query(unique, "Recipients")], curve=True, nothing="Not counted yet")


def _throttled() -> core.Stat:
    frame = Frame(
        14,
        "Throttled for",
        (18, 0, 6, 5),
        "s",
        "Until it may send again after the provider told it to wait.",
        alerts=(AlertName.ORGANISATION_THROTTLED,),
    )
    left = write_promql('max($THROTTLE_REMAINING{org_id="$org_id"})')
    return show_value(
        frame, [Query(left, "Throttled")], mappings=[say({0: ("No", GOOD)})], nothing="No quota"
    )


def _quota() -> core.TimeSeries:
    frame = Frame(
        Panel.QUOTA.id,
        "Quota used",
        (0, 5, 12, 8),
        "percentunit",
        "Share of its configured quota that the organisation has used.",
        TRACES,
        lines=(t.ALERT_QUOTA_70, t.ALERT_QUOTA_85, t.ALERT_QUOTA_95),
        promise=t.SLA_QUOTA,
    )
    used = write_promql(
        'max($QUOTA_USED{org_id="$org_id"}) / (max($QUOTA_LIMIT{org_id="$org_id"}) > 0)'
    )
    return draw_lines(
        frame, [Query(used, "Quota used")], axis="Share of the quota", nothing="No quota"
    )


def _messages() -> core.TimeSeries:
    frame = Frame(
        Panel.QUOTA_MESSAGES.id,
        "Quota in messages",
        (12, 5, 12, 8),
        "short",
        "What is used, and what may be.",
        alerts=(AlertName.QUOTA_HIGH,),
    )
    return draw_lines(
        frame,
        [
            Query(write_promql('max($QUOTA_USED{org_id="$org_id"})'), "Used"),
            Query(write_promql('max($QUOTA_LIMIT{org_id="$org_id"})'), "Quota"),
        ],
        axis="Messages",
        nothing="No quota",
    )
