"""What a scenario is, and the pieces that several share."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.faults.plan import Plan, Scale

Builder = Callable[[int, Scale], Plan]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line of the table.

    Attributes:
        name: How it is called on the command line and in the table.
        build: Draws its plan from a seed.
        mixture: It puts several others together. Mixtures are in every test run, their parts only
            in the whole campaign, which tells them apart.

    """

    name: str
    build: Builder
    mixture: bool = False

    def plan(self, seed: int, scale: Scale) -> Plan:
        """Draw a plan; a small one has a small load too, since other tests run beside it."""
        plan = self.build(seed, scale)
        if scale is Scale.WHOLE:
            return plan
        load = replace(plan.load, at_least=150, at_most=350, per_second=25.0)
        return replace(plan, load=load)


def draw(seed: int) -> random.Random:
    """Make the source of a plan's decisions."""
    return random.Random(seed)  # noqa: S311 - a plan, not a secret


def pick(scale: Scale, *, small: float, whole: float) -> float:
    """Give a measure of the wanted scale."""
    return whole if scale is Scale.WHOLE else small


def everywhere(kind: str, **keys: object) -> tuple[Mapping[str, object], ...]:
    """Give a fault of all three providers."""
    return ({"kind": kind, "provider": "any", **keys},)
