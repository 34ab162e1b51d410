"""Are the promises kept? Error budgets over 30 days, and how fast they are being spent.

The objectives are in alerts/slos; `alerts.objectives` makes rules of them.
"""

from collections.abc import Mapping
from typing import Final

from alerts.objectives.alarms import compared_numbers
from alerts.objectives.documents import default_files, read_objectives
from alerts.objectives.groups import build_groups
from alerts.objectives.spec import Objective

OBJECTIVES: Final[tuple[Objective, ...]] = read_objectives(default_files())
"""The objectives that are there by default, by name of their files."""

GROUPS: Final = build_groups(OBJECTIVES)

NUMBERS: Final[Mapping[str, frozenset[float]]] = {
    objective.name: compared_numbers(objective) for objective in OBJECTIVES
}
"""By objective: the numbers that its alerts compare with and that are made from its document."""
