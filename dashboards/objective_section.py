"""One objective by itself: kept or not, what is left of its budget, and how fast that goes."""

from collections.abc import Iterator
from typing import Final

from grafanalib import core

from alerts.objectives.burn import BURN_TIERS, BurnTier
from alerts.objectives.recordings import recorded
from alerts.objectives.spec import BUDGET_SLI, Objective
from alerts.timing import DAY
from dashboards.frames import Frame, Query
from dashboards.lines import BAD, GOOD, WARNING
from dashboards.links import link_dashboard
from dashboards.panels import draw_lines, say, show_dial, show_value
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Dashboard

CHOSEN: Final = 'channel=~"$channel|all"'
"""Series of the chosen channel, and of objectives that do not tell channels apart."""

_UNENDING: Final = -1


def burn_rate(objective: Objective, tier: BurnTier) -> str:
    """How many times faster than allowed the budget is spent, by a tier's two windows.

    A tier speaks when both windows exceed its factor, so the smaller of them decides.
    """
    return f"{smaller_share(objective, tier)} / {objective.allowed:.10g}"


def smaller_share(objective: Objective, tier: BurnTier) -> str:
    """Share of bad events in the better of a tier's two windows, which decides."""
    chosen = f'{{slo="{objective.name}",sli="{tier.sli(objective)}",{CHOSEN}}}'
    long, short = (f"{recorded('RATIO', each).name}{chosen}" for each in (tier.long, tier.short))
    return f"({long} <= {short} or {short})"


def build_section(objective: Objective, first: int) -> Section:
    """Build an objective's section; `first` is the number of its first panel."""
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
    chosen = f'{{slo="{objective.name}",sli="{BUDGET_SLI}",{CHOSEN}}}'
    plain = f'{{slo="{objective.name}",{CHOSEN}}}'
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
            (10, 0, 4, 4),
            "s",
            "Time until the budget is gone at the pace of the last 6 hours.",
            alerts=spent,
        ),
        [
            Query(
                write_promql(
                    f"min($SLO_EXHAUSTION{plain})\nor {_UNENDING} + 0 * max($SLO_REMAINING{plain})"
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
                name,
                (14 + 5 * at, 0, 5, 4),
                "short",
                f"What the budget of {days} weighs. {promised}",
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
    chosen = f'{{slo="{objective.name}",sli="{BUDGET_SLI}",{CHOSEN}}}'
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
