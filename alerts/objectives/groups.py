"""Rule groups of a set of objectives."""

from collections.abc import Sequence
from typing import Final

from alerts.objectives.alarms import build_alerts
from alerts.objectives.recordings import (
    EPOCH_INFO,
    keep_events,
    record_budget,
    record_events,
    record_ratios,
    record_samples,
    record_windows,
)
from alerts.objectives.spec import Objective
from alerts.rule import RuleGroup
from alerts.timing import MINUTE

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
