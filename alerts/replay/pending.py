"""From an alert's condition at each instant to the alert: waits, fires, keeps firing, ends.

The same steps as Prometheus's own evaluation of an alerting rule (rules/alerting.go, 2.42).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from alerts.replay.tape import Labels, Values


class Stage(Enum):
    """Where an alert stands at an instant."""

    INACTIVE = 0
    PENDING = 1
    FIRING = 2


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert from when it fires until it is resolved.

    Attributes:
        alert: The alert's name.
        labels: All its labels, `alertname` left out.
        start_s: Instant of the evaluation at which it fires, in Unix seconds.
        end_s: Instant at which it is resolved; None where it still fires when the tape ends.
        value: The expression's value when it began to fire.
        summary: Its summary with labels and value filled in.

    """

    alert: str
    labels: Labels
    start_s: int
    end_s: int | None
    value: float
    summary: str = ""

    def label(self, name: str) -> str:
        """Value of a label; empty where it has none."""
        return dict(self.labels).get(name, "")


def stage_alert(values: Values, step_s: int, hold_s: float, keep_s: float) -> Sequence[Stage]:
    """Walk through an alert's stages.

    Args:
        values: The expression's value per instant; None where its condition does not hold.
        step_s: Seconds between instants.
        hold_s: The rule's `for`.
        keep_s: The rule's `keep_firing_for`.

    Returns:
        The stage after each instant's evaluation.

    """
    stages: list[Stage] = []
    stage = Stage.INACTIVE
    active_since, kept_since = 0, -1
    for index, value in enumerate(values):
        now = index * step_s
        if value is None:
            if stage is Stage.FIRING and keep_s > 0:
                kept_since = now if kept_since < 0 else kept_since
                if now - kept_since >= keep_s:
                    stage = Stage.INACTIVE
            else:
                stage = Stage.INACTIVE
        else:
            kept_since = -1
            if stage is Stage.INACTIVE:
                stage, active_since = Stage.PENDING, now
            if stage is Stage.PENDING and now - active_since >= hold_s:
                stage = Stage.FIRING
        stages.append(stage)
    return stages


def find_spans(stages: Sequence[Stage], wanted: Stage) -> Sequence[tuple[int, int | None]]:
    """Find where a stage begins and ends, as numbers of instants; None: it lasts to the end."""
    spans: list[tuple[int, int | None]] = []
    began: int | None = None
    for index, stage in enumerate(stages):
        if stage is wanted and began is None:
            began = index
        elif stage is not wanted and began is not None:
            spans.append((began, index))
            began = None
    return spans if began is None else [*spans, (began, None)]
