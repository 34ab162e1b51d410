"""The catalogue: every scenario by its name."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.faults.scenarios import database, processes, providers
from tests.faults.scenarios.scenario import Scenario

CATALOGUE: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (*processes.SCENARIOS, *database.SCENARIOS, *providers.SCENARIOS)
    }
)
