"""The catalogue: every scenario by its name."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.faults.scenarios import crowds, database, operators, processes, providers
from tests.faults.scenarios.scenario import Scenario

CATALOGUE: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for room in (processes, crowds, database, operators, providers)
        for scenario in room.SCENARIOS
    }
)
