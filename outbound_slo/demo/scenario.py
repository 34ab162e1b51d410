"""What goes wrong in a demo, and which alerts have to notice."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from outbound_slo.demo.content import UNREACHABLE_PREFIX
from outbound_slo.simulator.faults import ErrorFault, Fault
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.mistakes import UserMistake

OUTAGE_CODE = "131016"
"""WhatsApp's "service briefly down" (000's error matrix: temporary, retried)."""

OUTAGE_ALERTS = frozenset({AlertName.PROVIDER_DOWN, AlertName.HIGH_FAILURE_RATE})
"""Alerts that answer an outage of WhatsApp (000, 001); one of them has to page."""

STANDING_FAULTS: tuple[Fault, ...] = (
    ErrorFault(
        kind="error",
        name="no WhatsApp at this number",
        provider="meta",
        http_status=400,
        code=131021,
        recipient_prefix=UNREACHABLE_PREFIX,
    ),
)
"""What is always so, incident or not: some recipients can't be reached (000: never retried)."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One script for the incident.

    Attributes:
        story: One line for the screen.
        faults: What the provider does in the incident, on top of the standing faults.

    """

    name: str
    story: str
    faults: tuple[Fault, ...]


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Scenario(
                "outage",
                f"WhatsApp answers every send with HTTP 500, code {OUTAGE_CODE}",
                (
                    ErrorFault(
                        kind="error",
                        name="outage",
                        provider="meta",
                        http_status=500,
                        code=int(OUTAGE_CODE),
                        rate=1.0,
                    ),
                ),
            ),
            # The judge's own test: without an incident there is nothing to catch, so it must fail.
            Scenario("none", "Nothing goes wrong, so there is nothing to catch", ()),
        )
    }
)


def find_scenario(name: str) -> Scenario:
    """Give a scenario by its name.

    Raises:
        UserMistake: There is none of that name.

    """
    if name not in SCENARIOS:
        raise UserMistake(
            f"--scenario {name} is not known", f"Choose one of {', '.join(sorted(SCENARIOS))}"
        )
    return SCENARIOS[name]
