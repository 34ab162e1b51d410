"""How the chosen channel's provider is called, and whether the breaker lets calls through."""

from grafanalib import core

from dashboards.expressions import breaker_state, quantile_of
from dashboards.frames import Frame, Query
from dashboards.lines import BAD, GOOD, WARNING
from dashboards.panels import draw_lines, override, say
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.panels import Panel

_HELD_BACK = "Held back"


def build_section() -> Section:
    """Build the section."""
    return Section("Provider", (_breaker(), _rates(), _calls()))


def _breaker() -> core.TimeSeries:
    frame = Frame(
        Panel.BREAKER.id,
        "Circuit breakers",
        (0, 0, 8, 7),
        "none",
        "State of each process's breaker. While it is open the provider is not called.",
        told=(t.ALERT_BREAKER_OPEN, t.ALERT_BREAKER_FLAPS),
    )
    states = {0.0: ("CLOSED", GOOD), 1.0: ("OPEN", BAD), 2.0: ("HALF_OPEN", WARNING)}
    return draw_lines(
        frame, [Query(breaker_state(), "{{instance}}")], axis="State", mappings=[say(states)]
    )


def _rates() -> core.TimeSeries:
    frame = Frame(
        Panel.BREAKER_RATES.id,
        "What the breakers judge by",
        (8, 0, 8, 7),
        "percent",
        "Failed and slow calls in each breaker's window; nothing while it has too few. On the "
        "right axis attempts that were put back without a call.",
        told=(t.ALERT_BREAKER_BY_HAND,),
    )
    held = 'sum(rate($BREAKER_NOT_PERMITTED{name="$channel"}[$__rate_interval]))'
    right = override(
        _HELD_BACK,
        {"unit": "cps", "custom.axisPlacement": "right", "custom.axisLabel": "Attempts per second"},
    )
    return draw_lines(
        frame,
        [
            Query(
                write_promql('max by (instance) ($BREAKER_FAILURE_RATE{name="$channel"}) >= 0'),
                "{{instance}} failed",
            ),
            Query(
                write_promql('max by (instance) ($BREAKER_SLOW_CALL_RATE{name="$channel"}) >= 0'),
                "{{instance}} slow",
            ),
            Query(write_promql(held), _HELD_BACK),
        ],
        axis="Share of calls",
        overrides=[right],
    )


def _calls() -> core.TimeSeries:
    frame = Frame(
        Panel.PROVIDER_CALLS.id,
        "Provider calls (p50/p95/p99)",
        (16, 0, 8, 7),
        "s",
        "One HTTP call to the provider, as the senders time it.",
        lines=(t.ALERT_CALL_SLOW, t.ALERT_CALL_CRAWLS),
    )
    queries = [
        Query(quantile_of(metrics.PROVIDER_CALL, quantile, merge="sum"), name)
        for quantile, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]
    return draw_lines(frame, queries, axis="Latency (seconds)", nothing="No calls")
