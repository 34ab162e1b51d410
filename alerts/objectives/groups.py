"""Rule groups of a set of objectives."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from alerts.objectives.alarms import build_alerts
from alerts.objectives.recordings import (
    ALL_WINDOWS,
    EPOCH_INFO,
    PERIOD,
    keep_events,
    record_budget,
    record_events,
    record_ratios,
    record_samples,
    record_windows,
    recorded,
)
from alerts.objectives.spec import Objective
from alerts.rule import Alert, RuleGroup
from alerts.timing import MINUTE
from outbound_slo.vocabulary import metrics as m

SAMPLE_INTERVAL_S: Final = MINUTE
"""Seconds from one event to the next where an evaluation is the event."""

MAIN_GROUP: Final = "outbound-slo"
SAMPLES_GROUP: Final = "outbound-slo-samples"


def build_groups(objectives: Sequence[Objective]) -> tuple[RuleGroup, ...]:
    """Build the groups: one that samples by the minute, and one for all the rest."""
    counted = [objective for objective in objectives if not objective.is_sampled]
    sampled = [objective for objective in objectives if objective.is_sampled]
    longest = max((objective.period_s for objective in objectives), default=0.0)
    events = [recording for objective in counted for recording in record_events(objective)]
    main = RuleGroup(
        name=MAIN_GROUP,
        recordings=(
            *((EPOCH_INFO, *events, *keep_events(longest)) if counted else ()),
            *(record_windows(counted) if counted else ()),
            *record_ratios(),
            *record_budget(objectives),
        ),
        alerts=tuple(alert for objective in objectives for alert in build_alerts(objective)),
    )
    if not sampled:
        return (main,)
    samples = RuleGroup(SAMPLES_GROUP, tuple(record_samples(sampled)), (), SAMPLE_INTERVAL_S)
    return (samples, main)


def build_part(
    objective: Objective, name: str, windows: Collection[str], wanted: Callable[[Alert], bool]
) -> RuleGroup:
    """Build as much of the main group as one objective's windows need.

    Thirty days of everything take promtool minutes; of this, seconds.

    Args:
        objective: The objective; one whose events are counted.
        name: The group's name.
        windows: Windows to record, such as `6h` or `period`.
        wanted: Which of its alerts to keep.

    """
    (whole,) = (each for each in build_groups([objective]) if each.name == MAIN_GROUP)
    left_out = {
        recorded(kind, window).name
        for window in ALL_WINDOWS
        if window not in windows
        for kind in ("EVENTS", "BAD", "RATIO")
    } | {EPOCH_INFO.metric.name, m.SLO_EXHAUSTION.name, m.SLO_PERIOD.name, m.SLO_OBJECTIVE.name}
    if PERIOD not in windows:
        left_out |= {m.SLO_REMAINING.name, m.SLO_BUDGET.name}
    return RuleGroup(
        name=name,
        recordings=tuple(each for each in whole.recordings if each.metric.name not in left_out),
        alerts=tuple(each for each in whole.alerts if wanted(each)),
    )
