"""What a scenario is, and the pieces that several share."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.faults.plan import Plan, Scale

Builder = Callable[[int, Scale], Plan]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line of the table.

    Attributes:
        name: How it is called on the command line and in the table.
        build: Draws its plan from a seed.
        always: Whether a small part of it is in every test run; what is not there is covered by
            a mixture that is.

    """

    name: str
    build: Builder
    always: bool = True


def draw(seed: int) -> random.Random:
    """Make the source of a plan's decisions."""
    return random.Random(seed)  # noqa: S311 - a plan, not a secret


def pick(scale: Scale, *, small: float, whole: float) -> float:
    """Give a measure of the wanted scale."""
    return whole if scale is Scale.WHOLE else small


def everywhere(kind: str, **keys: object) -> tuple[Mapping[str, object], ...]:
    """Give a fault of all three providers."""
    return ({"kind": kind, "provider": "any", **keys},)
