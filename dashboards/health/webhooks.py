"""What comes back from the providers: webhooks, notices, and what is about to expire."""

from grafanalib import core

from dashboards.frames import Frame, Query
from dashboards.lines import step_lines
from dashboards.panels import draw_lines, override, show_value
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.panels import Panel

_GIVEN_UP = "Given up"
_API = "Graph API version {{version}}"
_SECONDS_A_DAY = 86_400


def build_section() -> Section:
    """Build the section."""
    return Section("Webhooks and account", (_webhooks(), _ages(), _notices(), _expiries()))


def _webhooks() -> core.TimeSeries:
    frame = Frame(
        Panel.WEBHOOKS.id,
        "Webhooks",
        (0, 0, 12, 7),
        "cps",
        "Requests of the providers per second by what became of them; rejected: the signature did "
        "not match.",
        told=(t.ALERT_SIGNATURES, t.ALERT_SIGNATURE_SHARE),
    )
    rate = write_promql("sum by (provider, result) (rate($WEBHOOKS[$__rate_interval]))")
    return draw_lines(frame, [Query(rate, "{{provider}} {{result}}")], axis="Webhooks per second")


def _ages() -> core.TimeSeries:
    frame = Frame(
        Panel.WEBHOOK_AGES.id,
        "Webhooks: silence and waiting",
        (12, 0, 12, 7),
        "s",
        "Since when each channel's provider has told nothing, which counts only while messages are "
        "accepted, and for how long the oldest webhook waits to be applied. On the right axis "
        "webhooks that were given up.",
        lines=(t.ALERT_UNPROCESSED, t.ALERT_RECEIPTS_SILENT, t.ALERT_RECEIPTS_GONE),
        told=(t.ALERT_GIVEN_UP,),
    )
    right = override(
        _GIVEN_UP,
        {"unit": "short", "custom.axisPlacement": "right", "custom.axisLabel": "Webhooks"},
    )
    return draw_lines(
        frame,
        [
            Query(write_promql("max by (channel) ($RECEIPT_SILENCE)"), "{{channel}} silent"),
            Query(write_promql("max by (channel) ($WEBHOOKS_WAITING)"), "{{channel}} waiting"),
            Query(write_promql("sum($WEBHOOKS_GIVEN_UP)"), _GIVEN_UP),
        ],
        axis="Time",
        overrides=[right],
    )


def _notices() -> core.TimeSeries:
    frame = Frame(
        Panel.NOTICES.id,
        "Notices of the provider",
        (0, 7, 16, 7),
        "short",
        "Notices of the last 24 hours about account, numbers and templates, and templates that are "
        "paused or disabled.",
        told=(
            t.ALERT_TEMPLATE_QUALITY,
            t.ALERT_TEMPLATE_STOPPED,
            t.ALERT_ACCOUNT_WARNED,
            t.ALERT_ACCOUNT_RESTRICTED,
        ),
    )
    notices = write_promql("max by (provider, kind, severity) ($RECENT_NOTICES) > 0")
    stopped = write_promql('sum(max by (status, quality) ($TEMPLATES{status=~"paused|disabled"}))')
    return draw_lines(
        frame,
        [
            Query(notices, "{{provider}} {{kind}} ({{severity}})"),
            Query(stopped, "Templates stopped"),
        ],
        axis="Notices",
        nothing="No notices",
    )


def _expiries() -> core.Stat:
    frame = Frame(
        Panel.EXPIRIES.id,
        "Expires in",
        (16, 7, 8, 7),
        "s",
        "Time until WhatsApp's access token and the version of the Graph API end.",
        lines=(t.ALERT_TOKEN_14, t.ALERT_TOKEN_3, t.ALERT_TOKEN_1),
        told=(t.ALERT_API_VERSION_60, t.ALERT_API_VERSION_14),
    )
    steps = [
        {"color": colour, "value": value}
        for value, colour in step_lines([t.ALERT_API_VERSION_60, t.ALERT_API_VERSION_14])
    ]
    versions = {
        "matcher": {"id": "byRegexp", "options": "/Graph API.*/"},
        "properties": [{"id": "thresholds", "value": {"mode": "absolute", "steps": steps}}],
    }
    return show_value(
        frame,
        [
            Query(write_promql(f"{_SECONDS_A_DAY} * min($TOKEN_DAYS)"), "Access token"),
            Query(write_promql(f"{_SECONDS_A_DAY} * min by (version) ($API_VERSION_DAYS)"), _API),
        ],
        names=True,
        overrides=[versions],
        nothing="Not known",
    )
