"""What an objective is, once its document has been read: which events, and how many may be bad."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from outbound_slo.vocabulary.metrics import Metric

BUDGET_SLI: Final = "budget"
"""Value of the label `sli` for the events that the error budget weighs."""

FAST_SLI: Final = "fast"
"""Value of the label `sli` for events that show trouble sooner, where an objective has such."""

Selection = Mapping[str, tuple[str, ...]]
"""Values by label; any of a label's values will do."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Events are counted by a counter; its labels say which are good.

    Attributes:
        counter: The counter.
        of: Which of its series count at all.
        good: Which of those are good.

    """

    counter: Metric
    good: Selection
    of: Selection = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timed:
    """Events are timed by a histogram; those within an edge of it are good.

    Attributes:
        histogram: The histogram.
        within_s: Upper edge in seconds.

    """

    histogram: Metric
    within_s: float


@dataclass(frozen=True, slots=True)
class Fresh:
    """Each evaluation is an event; it is good when the newest timestamp is young enough.

    Attributes:
        timestamp: A gauge with a Unix time in seconds.
        younger_than_s: Oldest age in seconds that is good.

    """

    timestamp: Metric
    younger_than_s: float


Indicator = Counted | Timed | Fresh


def metric_of(indicator: Indicator) -> Metric:
    """Give the metric that an indicator reads."""
    match indicator:
        case Counted():
            return indicator.counter
        case Timed():
            return indicator.histogram
        case Fresh():
            return indicator.timestamp


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective.

    Attributes:
        name: Value of the label `slo`.
        title: What is promised, as the second half of "x % of …".
        percent: Percent of the events that have to be good.
        period_s: Seconds over which the budget is weighed.
        group_by: Labels of which every combination has a budget of its own.
        budget: The events that the budget weighs.
        fast: The events by which the two paging tiers judge; None: the same.
        pages: Whether the two fast tiers wake somebody; otherwise they are tickets.
        place: The file that it is from, for errors.

    """

    name: str
    title: str
    percent: float
    period_s: float
    group_by: tuple[str, ...]
    budget: Indicator
    fast: Indicator | None = None
    pages: bool = True
    place: str = ""

    @property
    def allowed(self) -> float:
        """Share (0 to 1) of the events that may be bad."""
        return round(1 - self.percent / 100, 10)

    @property
    def indicators(self) -> Mapping[str, Indicator]:
        """Indicators by the value of the label `sli`."""
        return {BUDGET_SLI: self.budget} | ({FAST_SLI: self.fast} if self.fast else {})

    @property
    def is_sampled(self) -> bool:
        """Whether its events are evaluations, not counted by anybody else."""
        return isinstance(self.budget, Fresh)
