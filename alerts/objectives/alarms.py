"""The alerts of an objective: burn tiers, a spent budget, and failures too few to be a share."""

from dataclasses import replace
from typing import Final

from alerts.objectives.burn import BURN_TIERS, SLOWEST, BurnTier
from alerts.objectives.recordings import fixed_labels, recorded_constant
from alerts.objectives.spec import BUDGET_SLI, Objective
from alerts.rule import Alert
from alerts.timing import DAY
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Family, Level, Priority

_SHARE: Final = "{{ $value | humanizePercentage }}"
_COUNT: Final = '{{ $value | printf "%.0f" }}'

_NEXT: Final = {
    Priority.P1: "Somebody has to stop it now.",
    Priority.P2: "At this pace it is gone long before the period is over.",
    Priority.P3: "It is small, but it has gone on for days.",
}


def build_alerts(objective: Objective) -> tuple[Alert, ...]:
    """Build all alerts of an objective."""
    return (
        *(_burn(objective, tier) for tier in BURN_TIERS),
        _spent(objective),
        _few(objective),
    )


def compared_numbers(objective: Objective) -> frozenset[float]:
    """Give the numbers that its alerts compare with and that no table holds: shares, minimums."""
    minimums = {float(tier.minimum(objective)) for tier in BURN_TIERS}
    return frozenset(minimums | {tier.bad_share(objective) for tier in BURN_TIERS})


def _burn(objective: Objective, tier: BurnTier) -> Alert:
    chosen = f'{{slo="{objective.name}",sli="{tier.sli(objective)}"}}'
    # `and` compares all labels, so that what is chosen first is chosen for all.
    long, short, events = (
        f"${recorded_constant(kind, window)}"
        for kind, window in (("RATIO", tier.long), ("RATIO", tier.short), ("EVENTS", tier.long))
    )
    line = f"{tier.bad_share(objective):.10g}"
    return Alert(
        name=AlertName.ERROR_BUDGET_BURN,
        family=Family.BUDGET,
        priority=Priority.P2 if tier.pages and not objective.pages else tier.priority,
        level=Level.L1,
        channel=fixed_labels(objective).get("channel"),
        tier=tier.tier,
        lines={"line": replace(tier.line, value=tier.factor(objective))},
        expression=f"""\
{long}{chosen} > {line}
  and {short} > {line}
  and {events} >= {tier.minimum(objective)}""",
        summary=f"{_name(objective)}: {_SHARE} of events within {tier.long} were bad",
        description=(
            f"Promised: {objective.percent:g} % of {objective.title}. In the last {tier.long}, and "
            f"still in the last {tier.short}, the error budget went more than "
            f"{tier.factor(objective):g} times as fast as it may. {_NEXT[tier.priority]}"
        ),
        slo=objective.name,
        # The counters behind it look back a whole period, to drop what nobody shows any more.
        window_s=tier.long_s,
        labels={"burn_tier": tier.name},
    )


def _spent(objective: Objective) -> Alert:
    # A budget of less than one failure is no budget: the same minimum as for the slowest tier.
    events = f'$SLO_EVENTS_PERIOD{{sli="{BUDGET_SLI}"}}'
    return Alert(
        name=AlertName.ERROR_BUDGET_SPENT,
        family=Family.BUDGET,
        priority=Priority.P2,
        level=Level.L1,
        channel=fixed_labels(objective).get("channel"),
        lines={"line": t.ALERT_BUDGET_SPENT},
        expression=f"""\
$SLO_REMAINING{{slo="{objective.name}"}} <= $line
  and ignoring (sli) {events} >= {SLOWEST.minimum(objective)}""",
        summary=f"{_name(objective)}: {_SHARE} of the error budget is left",
        description=(
            f"Promised: {objective.percent:g} % of {objective.title}. Over "
            f"{objective.period_s / DAY:g} days it is not kept, until old failures leave them. "
            "Changes that can wait should."
        ),
        window_s=objective.period_s,
        slo=objective.name,
    )


def _few(objective: Objective) -> Alert:
    chosen = f'{{slo="{objective.name}",sli="{BUDGET_SLI}"}}'
    bad, lately, events = (
        f"${recorded_constant(kind, window)}"
        for kind, window in (
            ("BAD", SLOWEST.long), ("BAD", SLOWEST.short), ("EVENTS", SLOWEST.long),
        )
    )  # fmt: skip
    return Alert(
        name=AlertName.FEW_MESSAGES_FAIL,
        family=Family.BUDGET,
        priority=Priority.P3,
        level=Level.L1,
        channel=fixed_labels(objective).get("channel"),
        lines={"line": t.ALERT_FEW_FAIL},
        expression=f"""\
{bad}{chosen} >= $line
  and {lately} > 0
  and {events} < {SLOWEST.minimum(objective)}""",
        summary=f"{_name(objective)}: {_COUNT} bad events within {SLOWEST.long}, of few",
        description=(
            f"Promised: {objective.percent:g} % of {objective.title}. There is too little traffic "
            "for a share to say anything, but so many failures are worth a look at each."
        ),
        window_s=SLOWEST.long_s,
        slo=objective.name,
    )


def _name(objective: Objective) -> str:
    channel = fixed_labels(objective).get("channel", "{{ $labels.channel }}")
    organisation = ", {{ $labels.org_id }}" if "org_id" in objective.group_by else ""
    return f"{objective.name} on {channel}{organisation}"
