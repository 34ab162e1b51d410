"""Who sends, how much, and how long it takes."""

from grafanalib import core

from dashboards.expressions import quantile_of
from dashboards.frames import Frame, Query
from dashboards.links import TraceSearch, link_traces
from dashboards.panels import draw_lines, override
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.panels import Panel

_SILENCE = "Since the last sign of life"
_LOST = "Spans lost in 10 min"


def build_section() -> Section:
    """Build the section."""
    return Section(
        "Senders",
        (
            *(_processes(), _due_age(), _claims()),
            *(_in_flight(), _attempts(), _retries()),
            *(_refusals(), _receipts(), _settling()),
        ),
    )


def _processes() -> core.TimeSeries:
    frame = Frame(
        Panel.SENDERS.id,
        "Sender processes",
        (0, 0, 8, 7),
        "short",
        "Processes that gave a sign of life within 20 s: those that claim messages, and those told "
        "not to. On the right axis the time since the newest sign of any.",
        told=(t.ALERT_UNSERVED, t.ALERT_WORKER_SILENT),
    )
    right = override(
        _SILENCE,
        {"unit": "s", "custom.axisPlacement": "right", "custom.axisLabel": "Silence"},
    )
    return draw_lines(
        frame,
        [
            Query(write_promql("max by (state) ($SENDERS)"), "{{state}}"),
            Query(write_promql("time() - max($SENDER_SEEN_AT)"), _SILENCE),
        ],
        axis="Processes",
        overrides=[right],
    )


def _due_age() -> core.TimeSeries:
    frame = Frame(
        Panel.DUE_AGE.id,
        "Oldest due message",
        (8, 0, 8, 7),
        "s",
        "How long the oldest message of each channel has been due without being taken. Channels "
        "that are paused wait on purpose.",
        lines=(t.ALERT_UNSERVED, t.ALERT_DUE_AGE),
    )
    due = write_promql('max by (channel) ($OLDEST_AGE{state="due"})')
    return draw_lines(frame, [Query(due, "{{channel}}")], axis="Age")


def _claims() -> core.TimeSeries:
    frame = Frame(
        Panel.CLAIMS.id,
        "Messages claimed",
        (16, 0, 8, 7),
        "cps",
        "Messages that each process takes from the queue per second; below, claims that left the "
        "channel out since its limit per second was reached.",
        told=(t.ALERT_UNSERVED,),
    )
    limited = 'sum(rate($LIMITED_CLAIMS{channel="$channel"}[$__rate_interval]))'
    return draw_lines(
        frame,
        [
            Query(
                write_promql("sum by (instance) (rate($CLAIMED[$__rate_interval]))"), "{{instance}}"
            ),
            Query(write_promql(limited), "Left out by the limit"),
        ],
        axis="Messages per second",
    )


def _in_flight() -> core.TimeSeries:
    frame = Frame(
        Panel.IN_FLIGHT.id,
        "In flight, held and lost",
        (0, 7, 8, 7),
        "short",
        "Messages that a process has claimed and not settled; messages of unknown outcome that are "
        "held while webhooks are silent; spans that no collector took.",
        told=(t.ALERT_DROPPED_SPANS,),
    )
    return draw_lines(
        frame,
        [
            Query(write_promql("max by (instance) ($IN_FLIGHT)"), "{{instance}}"),
            Query(write_promql('sum($RESENDS_HELD{channel="$channel"})'), "Held"),
            Query(write_promql("sum(increase($DROPPED_SPANS[10m]))"), _LOST),
        ],
        axis="Messages",
    )


def _attempts() -> core.TimeSeries:
    frame = Frame(
        Panel.ATTEMPTS.id,
        "Attempt latency (p50/p95/p99)",
        (8, 7, 8, 7),
        "s",
        "From the claim of an attempt until its outcome, of those that asked the provider. A dot "
        "is an attempt whose trace was kept.",
        (link_traces("Slow traces", TraceSearch(minimum_duration="1s")),),
        told=(t.ALERT_CALL_SLOW,),
    )
    queries = [
        Query(quantile_of(metrics.ATTEMPT_DURATION, quantile, merge="max"), name, exemplars=True)
        for quantile, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]
    return draw_lines(frame, queries, axis="Latency (seconds)", nothing="No traffic")


def _retries() -> core.TimeSeries:
    frame = Frame(
        Panel.RETRIES_AND_HOLDS.id,
        "Retries and turns",
        (16, 7, 8, 7),
        "short",
        "Messages of the channel that wait for another attempt, messages that wait for another one "
        "to the same recipient, and those taken back from a lost sender within an hour.",
        lines=(t.ALERT_RETRIES_100, t.ALERT_RETRIES_1000),
    )
    return draw_lines(
        frame,
        [
            Query(write_promql('max($RETRY_COUNT{channel="$channel"})'), "Wait for a retry"),
            Query(write_promql('max($BLOCKED{channel="$channel"})'), "Wait for their turn"),
            Query(write_promql("sum(increase($RECOVERED[1h]))"), "Taken back in 1 h"),
        ],
        axis="Messages",
    )


def _refusals() -> core.TimeSeries:
    frame = Frame(
        31,
        "Refused and put off by our rules",
        (0, 14, 8, 7),
        "cps",
        "Messages of the channel per second that consent, a closed window or a limit forbade, and "
        "those put off to quiet hours' end or the next quota window, by code.",
        alerts=(AlertName.SESSION_WINDOW_CLOSED, AlertName.ORGANISATION_THROTTLED),
    )
    refused, put_off = (
        write_promql(
            f'sum by (error_code) (rate({metric}{{channel="$channel"}}[$__rate_interval])) > 0'
        )
        for metric in ("$REFUSALS", "$DEFERRALS")
    )
    together = write_promql('sum(rate($REFUSALS{channel="$channel"}[$__rate_interval]))')
    return draw_lines(
        frame,
        [
            Query(together, "Refused, together"),
            Query(refused, "{{error_code}} refused"),
            Query(put_off, "{{error_code}} put off"),
        ],
        axis="Messages per second",
    )


def _receipts() -> core.TimeSeries:
    frame = Frame(
        32,
        "Receipts by effect",
        (8, 14, 8, 7),
        "cps",
        "Receipts of the providers per second: those that moved a message, confirmed or repeated "
        "what was known, came late, or belong to no message.",
        alerts=(AlertName.WEBHOOK_SILENCE,),
    )
    effects = write_promql("sum by (provider, effect) (rate($RECEIPTS[$__rate_interval]))")
    return draw_lines(
        frame, [Query(effects, "{{provider}} {{effect}}")], axis="Receipts per second"
    )


def _settling() -> core.TimeSeries:
    frame = Frame(
        33,
        "Last message settled",
        (16, 14, 8, 7),
        "s",
        "Since each process last finished a message. On the right axis whether limits per second "
        "are shared with the others (1) or each process keeps to its part (0).",
        alerts=(AlertName.WORKER_INACTIVE,),
    )
    shared = "Limits shared by {{store}}"
    right = {
        "matcher": {"id": "byRegexp", "options": "/Limits shared.*/"},
        "properties": [
            {"id": "unit", "value": "none"},
            {"id": "custom.axisPlacement", "value": "right"},
            {"id": "custom.axisLabel", "value": "Shared"},
        ],
    }
    return draw_lines(
        frame,
        [
            Query(
                write_promql("min by (instance) (time() - ($LAST_PROCESSED > 0))"), "{{instance}}"
            ),
            Query(write_promql("min by (store) ($SHARED_LIMIT_UP)"), shared),
        ],
        axis="Time",
        overrides=[right],
        nothing="Nothing settled yet",
    )
