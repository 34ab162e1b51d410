"""Objectives and error budgets, from the same documents and tiers as the rules (alerts/slos).

First what fires, how much budget is left and how near each tier is; then each objective by itself.
"""

from collections.abc import Sequence

from grafanalib import core

from alerts.catalogue.objectives import OBJECTIVES
from alerts.objectives.burn import BURN_TIERS
from alerts.objectives.spec import BUDGET_SLI
from dashboards.boards import FAILED_TRACES, build_board
from dashboards.frames import Frame, Query
from dashboards.lines import BAD, GOOD, WARNING, Step
from dashboards.links import RUNBOOKS, link_traces
from dashboards.objective_section import CHOSEN, build_section, smaller_share
from dashboards.panels import draw_lines, list_rows, override
from dashboards.promql import write_promql
from dashboards.sections import Section
from dashboards.triage import build_triage
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.panels import Panel

_FIRST_ID = 10


def build_dashboard() -> core.Dashboard:
    """Build the dashboard; each objective of the rules has a section."""
    return build_board(
        Dashboard.SLO,
        "What is promised, how much of it may still go wrong, and how fast that is being spent.",
        ["outbound", "slo"],
        [
            build_triage(),
            Section("All objectives", (_firing(), _budgets(), _nearness(), _failures())),
            *(build_section(each, _FIRST_ID * at) for at, each in enumerate(OBJECTIVES, start=1)),
        ],
        since="now-24h",
    )


def _firing() -> core.Table:
    frame = Frame(
        Panel.FIRING.id,
        "What fires now",
        (0, 0, 12, 8),
        "short",
        "Alerts of the chosen channel and of all channels together. A name leads to its page.",
        alerts=(AlertName.PAGE_UNRESOLVED,),
    )
    expression = write_promql(
        """
max by (alertname, severity, level, channel, slo) (
  $ALERTS{alertstate="firing",severity=~"critical|warning",channel=~"$channel|all"}
)"""
    )
    page = {"title": "Runbook", "url": f"{RUNBOOKS}/${{__value.raw}}.md", "targetBlank": True}
    words = say_words({"critical": ("pages", BAD), "warning": ("ticket", WARNING)})
    return list_rows(
        frame,
        [Query(expression, instant=True, table=True)],
        columns={
            "alertname": "Alert",
            "severity": "Kind",
            "level": "Level",
            "channel": "Channel",
            "slo": "Objective",
        },
        sort_by="Level",
        hidden=("Value",),
        overrides=[
            override("Alert", {"links": [page], "custom.width": 260}),
            override("Kind", {"mappings": [words], "custom.cellOptions": {"type": "color-text"}}),
        ],
        nothing="Nothing fires",
    )


def say_words(words: dict[str, tuple[str, str]]) -> dict[str, object]:
    """Put words and their colours in the place of texts."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return {"type": "value", "options": options}


def _budgets() -> core.TimeSeries:
    frame = Frame(
        Panel.BUDGETS.id,
        "Error budget left",
        (12, 0, 12, 8),
        "percentunit",
        "Share of the period's budget that is left; below 0 the promise is broken.",
        lines=(t.ALERT_BUDGET_SPENT,),
    )
    left = write_promql(f"max by (slo) ($SLO_REMAINING{{{CHOSEN}}})")
    return draw_lines(frame, [Query(left, "{{slo}}")], axis="Share of the budget", minimum=None)


def _nearness() -> core.TimeSeries:
    frame = Frame(
        Panel.BURN_RATES.id,
        "How near each tier is to its line",
        (0, 8, 12, 8),
        "percentunit",
        "Pace of spending as a share of the tier's line: at 100 % the tier speaks, once it has "
        "events enough.",
        alerts=(AlertName.ERROR_BUDGET_BURN,),
    )
    queries = [
        Query(
            "\nor ".join(
                f"max by (slo) ({smaller_share(each, tier)}) / {tier.bad_share(each):.10g}"
                for each in OBJECTIVES
            ),
            f"{{{{slo}}}}, {tier.name}",
        )
        for tier in reversed(BURN_TIERS)
    ]
    at_the_line: Sequence[Step] = ((None, GOOD), (1.0, BAD))
    return draw_lines(frame, queries, axis="Share of the line", steps=at_the_line)


def _failures() -> core.TimeSeries:
    frame = Frame(
        Panel.BAD_EVENTS.id,
        "Bad events within 3 days",
        (12, 8, 12, 8),
        "short",
        "Events that did not keep the promise. Where there are too few events for a share, so "
        "many are a ticket.",
        (link_traces("Failed traces", FAILED_TRACES),),
        lines=(t.ALERT_FEW_FAIL,),
    )
    bad = write_promql(f'max by (slo) ($SLO_BAD_3D{{sli="{BUDGET_SLI}",{CHOSEN}}})')
    return draw_lines(frame, [Query(bad, "{{slo}}")], axis="Events")
