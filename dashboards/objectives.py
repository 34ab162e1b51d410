"""Objectives and error budgets, from the same documents and tiers as the rules (alerts/slos).

First what fires, how much budget is left and how near each tier is; then each objective by itself.
"""

from collections.abc import Iterator, Sequence

from grafanalib import core

from alerts.catalogue.objectives import OBJECTIVES
from alerts.objectives.burn import BURN_TIERS, BurnTier
from alerts.objectives.recordings import recorded
from alerts.objectives.spec import BUDGET_SLI, Objective
from alerts.timing import DAY
from dashboards.boards import FAILED_TRACES, build_board
from dashboards.frames import Frame, Query
from dashboards.lines import BAD, GOOD, WARNING, Step
from dashboards.links import RUNBOOKS, link_dashboard, link_traces
from dashboards.panels import draw_lines, list_rows, override, say, show_dial, show_value
from dashboards.promql import write_promql
from dashboards.sections import Section
from dashboards.triage import build_triage
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.panels import Panel

_CHOSEN = 'channel=~"$channel|all"'
_FIRST_ID = 10
_UNENDING = -1


def build_dashboard() -> core.Dashboard:
    """Build the dashboard; each objective of the rules has a section."""
    return build_board(
        Dashboard.SLO,
        "What is promised, how much of it may still go wrong, and how fast that is being spent.",
        ["outbound", "slo"],
        [
            build_triage(),
            Section("All objectives", (_firing(), _budgets(), _nearness(), _failures())),
            *(_section(each, _FIRST_ID * at) for at, each in enumerate(OBJECTIVES, start=1)),
        ],
        since="now-24h",
    )


def burn_rate(objective: Objective, tier: BurnTier) -> str:
    """How many times faster than allowed the budget is spent, by a tier's two windows.

    A tier speaks when both windows exceed its factor, so the smaller of them decides.
    """
    return f"{_smaller(objective, tier)} / {objective.allowed:.10g}"


def _smaller(objective: Objective, tier: BurnTier) -> str:
    chosen = f'{{slo="{objective.name}",sli="{tier.sli(objective)}",{_CHOSEN}}}'
    long, short = (f"{recorded('RATIO', each).name}{chosen}" for each in (tier.long, tier.short))
    return f"({long} <= {short} or {short})"


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
    left = write_promql(f"max by (slo) ($SLO_REMAINING{{{_CHOSEN}}})")
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
                f"max by (slo) ({_smaller(each, tier)}) / {tier.bad_share(each):.10g}"
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
    bad = write_promql(f'max by (slo) ($SLO_BAD_3D{{sli="{BUDGET_SLI}",{_CHOSEN}}})')
    return draw_lines(frame, [Query(bad, "{{slo}}")], axis="Events")


def _section(objective: Objective, first: int) -> Section:
    days = f"{objective.period_s / DAY:g} days"
    title = f"{objective.name}: {objective.percent:g} % of {objective.title}"
    return Section(
        title,
        [
            *_values(objective, first, days),
            _course(objective, first + 5),
            _burn(objective, first + 6, "Pages", (2, 3), (8, 4, 8, 7)),
            _burn(objective, first + 7, "Tickets", (0, 1), (16, 4, 8, 7)),
        ],
    )


def _values(objective: Objective, first: int, days: str) -> Iterator[core.Panel]:
    chosen = f'{{slo="{objective.name}",sli="{BUDGET_SLI}",{_CHOSEN}}}'
    plain = f'{{slo="{objective.name}",{_CHOSEN}}}'
    promised = f"Promised: {objective.percent:g} % of {objective.title}."
    burn, spent = (AlertName.ERROR_BUDGET_BURN,), (AlertName.ERROR_BUDGET_SPENT,)
    yield show_value(
        Frame(first, f"Kept in {days}", (0, 0, 5, 4), "percentunit", promised, alerts=burn),
        [
            Query(
                write_promql(
                    f"1 - max($SLO_RATIO_PERIOD{chosen} and $SLO_EVENTS_PERIOD{chosen} > 0)"
                ),
                "Kept",
            )
        ],
        steps=((None, BAD), (objective.percent / 100, GOOD)),
        nothing="No events",
        decimals=2,
    )
    yield show_dial(
        Frame(
            first + 1,
            "Budget left",
            (5, 0, 5, 4),
            "percent",
            f"Of the {100 - objective.percent:g} % that may go wrong in {days}.",
            lines=(t.ALERT_BUDGET_SPENT,),
        ),
        [Query(write_promql(f"100 * max($SLO_REMAINING{plain})"), "Budget left")],
    )
    yield show_value(
        Frame(
            first + 2,
            "Spent in",
            (10, 0, 5, 4),
            "s",
            "Time until the budget is gone at the pace of the last 6 hours.",
            alerts=spent,
        ),
        [
            Query(
                write_promql(
                    f"min($SLO_EXHAUSTION{plain})\n"
                    f"or {_UNENDING} + 0 * max($SLO_REMAINING{plain})"
                ),
                "Spent in",
            )
        ],
        mappings=[say({float(_UNENDING): ("Nothing fails", GOOD)})],
    )
    for at, (name, kind) in enumerate((("Events", "EVENTS"), ("Bad events", "BAD"))):
        total = f"max({recorded(kind, 'period').name}{chosen})"
        yield show_value(
            Frame(
                first + 3 + at,
                f"{name} in {days}",
                (15 + 5 * at, 0, 5 - at, 4),
                "short",
                f"What the budget weighs. {promised}",
                alerts=(AlertName.FEW_MESSAGES_FAIL,),
            ),
            [Query(total, name)],
        )


def _course(objective: Objective, number: int) -> core.TimeSeries:
    frame = Frame(
        number,
        "Kept, over 1 h and 1 d",
        (0, 4, 8, 7),
        "percentunit",
        f"Share of good events. Promised: {objective.percent:g} %. Without events nothing is "
        "drawn.",
        (link_dashboard("Service levels", Dashboard.SLA),),
        alerts=(AlertName.ERROR_BUDGET_BURN,),
    )
    chosen = f'{{slo="{objective.name}",sli="{BUDGET_SLI}",{_CHOSEN}}}'
    queries = [
        Query(
            f"1 - max({recorded('RATIO', window).name}{chosen}"
            f" and {recorded('EVENTS', window).name}{chosen} > 0)",
            f"over {window}",
        )
        for window in ("1h", "1d")
    ]
    return draw_lines(
        frame,
        queries,
        axis="Share of good events",
        steps=((None, BAD), (objective.percent / 100, GOOD)),
        minimum=None,
        nothing="No events",
    )


def _burn(
    objective: Objective,
    number: int,
    name: str,
    chosen: tuple[int, int],
    place: tuple[int, int, int, int],
) -> core.TimeSeries:
    tiers = [BURN_TIERS[at] for at in chosen]
    told = ", ".join(
        f"{tier.name} above {tier.factor(objective):g} over {tier.long} and {tier.short}, from "
        f"{tier.minimum(objective)} events on"
        for tier in tiers
    )
    pages = tiers[0].pages and objective.pages
    frame = Frame(
        number,
        f"{name}: pace of spending",
        place,
        "short",
        f"Times as fast as the budget allows, by the smaller of two windows. Alert: {told}."
        + ("" if pages or not tiers[0].pages else " Here it is a ticket."),
        alerts=(AlertName.ERROR_BUDGET_BURN,),
    )
    colour = BAD if pages else WARNING
    steps = ((None, GOOD), *((tier.factor(objective), colour) for tier in tiers))
    queries = [
        Query(f"max({burn_rate(objective, tier)})", f"{tier.name} ({tier.long} and {tier.short})")
        for tier in tiers
    ]
    return draw_lines(frame, queries, axis="Times the allowed pace", steps=steps)
