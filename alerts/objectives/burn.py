"""How fast is too fast: the burn tiers, their factors, and how many events each needs to judge.

A factor says how many times faster than the budget allows it is being spent; at 1 it lasts the
period exactly. A tier compares two windows: the long one says that it matters, the short one that
it still goes on.

The windows are the same for every period. The factors are those of 30 days times period / 30 days,
so that a tier speaks at the same share of the budget whatever the period (2, 5, 10 and 10 %); but
never below 1, at which no budget is overspent.

A share of few events says nothing: with 2 attempts, one failure is 50 %. A tier judges from
`ceil(few / line)` events in its long window, where `line` is factor times allowed share and `few`
the number of failures that are never a page (`ALERT_FEW_FAIL`). So many failures among so many
events just reach the line and do not cross it. Below that minimum they are a ticket. A page needs
20 events at least, as every share of attempts does (`MINIMUM_ATTEMPTS`).
"""

import math
from dataclasses import dataclass
from typing import Final

from alerts.objectives.spec import BUDGET_SLI, FAST_SLI, Objective
from alerts.timing import DAY, HOUR, MINUTE
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import PRIORITIES, Priority
from outbound_slo.vocabulary.thresholds import Threshold

REFERENCE_PERIOD_S: Final = 30 * DAY
"""The period for which the table's factors are written."""


@dataclass(frozen=True, slots=True)
class BurnTier:
    """One tier.

    Attributes:
        name: Value of the label `burn_tier`.
        tier: Counts from 1, the slowest.
        short: The short window, as in the names of recordings.
        long: The long window.
        long_s: Its seconds.
        line: The factor over 30 days, and for how long it must be exceeded.
        priority: How soon somebody must act.
        is_fast: Whether it judges by the objective's fast indicator.

    """

    name: str
    tier: int
    short: str
    long: str
    long_s: float
    line: Threshold
    priority: Priority
    is_fast: bool

    @property
    def pages(self) -> bool:
        """Whether somebody is woken by it."""
        return PRIORITIES[self.priority].pages

    def factor(self, objective: Objective) -> float:
        """Give the times by which the pace must exceed the budget's."""
        return max(1.0, self.line.value * objective.period_s / REFERENCE_PERIOD_S)

    def bad_share(self, objective: Objective) -> float:
        """Share (0 to 1) of bad events above which it speaks."""
        # Rounded, so that a share that lies on the line is no last bit below it.
        return round(self.factor(objective) * objective.allowed, 10)

    def minimum(self, objective: Objective) -> int:
        """Events in the long window from which on it judges."""
        least = t.MINIMUM_ATTEMPTS.value if self.pages else 0
        return max(int(least), count_minimum(self.bad_share(objective)))

    def sli(self, objective: Objective) -> str:
        """Value of the label `sli` whose events it judges."""
        return FAST_SLI if self.is_fast and objective.fast else BUDGET_SLI


def count_minimum(bad_share: float) -> int:
    """Give the fewest events of which `ALERT_FEW_FAIL` bad ones are no larger share than this."""
    # Rounded first: 5 / 0.05 must not become 101 for the last bit of a float.
    return math.ceil(round(t.ALERT_FEW_FAIL.value / bad_share, 6))


SLOWEST: Final = BurnTier(
    "ticket-slow", 1, "6h", "3d", 3 * DAY, t.ALERT_BURN_1, Priority.P3, is_fast=False
)
BURN_TIERS: Final = (
    SLOWEST,
    BurnTier("ticket-fast", 2, "2h", "1d", DAY, t.ALERT_BURN_3, Priority.P2, is_fast=False),
    BurnTier("page-slow", 3, "30m", "6h", 6 * HOUR, t.ALERT_BURN_6, Priority.P1, is_fast=True),
    BurnTier("page-fast", 4, "5m", "1h", HOUR, t.ALERT_BURN_14, Priority.P1, is_fast=True),
)
"""All tiers, slowest first; priorities by 002: a fire is P1, what lasts a day P2, three P3."""

WINDOWS: Final = (
    ("5m", 5 * MINUTE),
    ("30m", 30 * MINUTE),
    ("1h", HOUR),
    ("2h", 2 * HOUR),
    ("6h", 6 * HOUR),
    ("1d", DAY),
    ("3d", 3 * DAY),
)
"""Every window of the tiers by its name, with its seconds."""

BRIDGE_S: Final = HOUR
"""Longest gap in a series across which a window's far end is still found."""
