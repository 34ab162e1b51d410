"""The row at the top of every dashboard, which tells us, the provider and one customer apart.

What the tiles answer, and by which numbers, is in `dashboards.verdicts`.
"""

from collections.abc import Sequence
from typing import Final

from grafanalib import core

from dashboards.frames import Frame, Query
from dashboards.lines import GOOD, WARNING, step_lines
from dashboards.links import click, link_dashboard, link_named_organisation, link_runbook
from dashboards.panels import override, say, show_value
from dashboards.promql import write_promql
from dashboards.sections import Section
from dashboards.verdicts import (
    CUSTOMER,
    FIRING,
    NO_ORGANISATION,
    NOBODY_WATCHED,
    PROVIDER,
    PROVIDER_NEEDS,
    QUIET,
    QUOTA_SPENT,
    US,
    US_NEEDS,
    Verdict,
    judge,
)
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.panels import Panel

FIRST_ID: Final = 101
"""Number of the first answer; they are the same on every dashboard."""


def build_triage() -> Section:
    """Build the row; the same on every dashboard."""
    return Section("Where to look first", (_ask_us(), _ask_provider(), _ask_customer(), _called()))


def _say(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    words = {float(each.code): (each.words, each.colour) for each in verdicts}
    return [say(words | {0.0: ("Fine", GOOD)})]


def _explain(question: str, verdicts: Sequence[Verdict]) -> str:
    return f"{question} Worst first: {', '.join(each.words for each in verdicts)}."


def _ask_us() -> core.Stat:
    frame = Frame(
        FIRST_ID,
        "Is it us?",
        (0, 0, 6, 4),
        "none",
        _explain("Our senders, our exporters, our database.", US),
        alerts=(
            AlertName.WORKER_INACTIVE,
            AlertName.EXPORTER_STALE,
            AlertName.QUERY_FAILING,
            AlertName.PAUSE_LASTING,
        ),
    )
    return show_value(
        frame,
        [Query(judge(US, US_NEEDS), "Us")],
        mappings=_say(US),
        background=True,
        extra=click(
            link_dashboard("Senders, exporters, database", Dashboard.HEALTH),
            link_runbook(AlertName.WORKER_INACTIVE),
        ),
    )


def _ask_provider() -> core.Stat:
    frame = Frame(
        FIRST_ID + 1,
        "Is it the provider?",
        (6, 0, 6, 4),
        "none",
        _explain("The chosen channel's provider, by attempts of 5 minutes.", PROVIDER),
        alerts=(AlertName.PROVIDER_DOWN, AlertName.ELEVATED_FAILURE_RATE, AlertName.BREAKER_OPEN),
    )
    return show_value(
        frame,
        [Query(judge(PROVIDER, PROVIDER_NEEDS), "Provider")],
        mappings=_say(PROVIDER),
        background=True,
        extra=click(
            link_dashboard("Failures by error code", Dashboard.MESSAGING, Panel.FAILURE_TRENDS),
            link_runbook(AlertName.PROVIDER_DOWN),
        ),
    )


def _ask_customer() -> core.Stat:
    frame = Frame(
        FIRST_ID + 2,
        "Is it one customer?",
        (12, 0, 6, 4),
        "percentunit",
        f"The organisation with {t.PANEL_SHARE_YELLOW.value:g} % or more of the channel's failures "
        f"of the last hour, once it has {t.ALERT_FEW_FAIL.value:g}; else one whose quota is used "
        "up. Counts organisations that `outbound-slo exporter watch` names.",
        lines=(t.PANEL_SHARE_YELLOW, t.PANEL_SHARE_RED),
        alerts=(AlertName.QUOTA_HIGH, AlertName.ORGANISATION_THROTTLED),
    )
    expression = write_promql(CUSTOMER, few=t.ALERT_FEW_FAIL, share=t.PANEL_SHARE_YELLOW)
    words = {
        0.0: ("No one stands out", GOOD),
        float(NOBODY_WATCHED): ("Nobody is watched", QUIET),
        float(QUOTA_SPENT): ("Quota used up", WARNING),
    }
    any_of_them = link_dashboard("One organisation", Dashboard.ORGANISATION)
    runbook = link_runbook(AlertName.QUOTA_HIGH)
    return show_value(
        frame,
        [Query(expression, "{{org_id}}, share of failures", instant=True)],
        mappings=[say(words)],
        background=True,
        names=True,
        decimals=0,
        # Where no one stands out, there is no organisation to name.
        overrides=[
            override(
                f"{NO_ORGANISATION}, share of failures",
                {"links": [any_of_them.to_json_data(), runbook.to_json_data()]},
            )
        ],
        extra=click(link_named_organisation(), runbook),
    )


def _called() -> core.Stat:
    frame = Frame(
        FIRST_ID + 3,
        "Who is called?",
        (18, 0, 6, 4),
        "none",
        "Alerts that fire now, on all channels: those that wake somebody, and tickets. Without the "
        "Watchdog, which always fires, Prometheus has not loaded the rules.",
        lines=(t.PANEL_PAGES_RED,),
        alerts=(AlertName.WATCHDOG, AlertName.PAGE_UNRESOLVED),
    )
    tickets = [
        {"color": colour, "value": value} for value, colour in step_lines([t.PANEL_TICKETS_YELLOW])
    ]
    return show_value(
        frame,
        [
            Query(write_promql(FIRING.format(severity="critical")), "Pages"),
            Query(write_promql(FIRING.format(severity="warning")), "Tickets"),
        ],
        background=True,
        overrides=[override("Tickets", {"thresholds": {"mode": "absolute", "steps": tickets}})],
        nothing="No data: rules not loaded",
        extra=click(
            link_dashboard("What fires now", Dashboard.SLO, Panel.FIRING),
            link_runbook(AlertName.WATCHDOG),
        ),
    )
