"""A person at psql, who does not wait for the senders."""

from tests.faults.plan import (
    NO_FAULTS,
    Allowance,
    Plan,
    Reset,
    ResetByHand,
    Scale,
    SenderSpec,
    SetFaults,
    Step,
)
from tests.faults.scenarios.scenario import Scenario, draw, pick


def operator(seed: int, scale: Scale) -> Plan:
    """Reset messages in SQL while they are in flight, and after their failure."""
    rounds = int(pick(scale, small=2, whole=10))
    rng = draw(seed)
    refusal = {"kind": "error", "provider": "meta", "http_status": 400, "code": 131021}
    steps = [Step(0, SetFaults(({**refusal, "rate": 0.2},)))]
    for _ in range(rounds):
        steps += [
            Step(rng.uniform(0.2, 0.8), ResetByHand(Reset.SENDING)),
            Step(rng.uniform(0.2, 0.8), ResetByHand(Reset.FAILED)),
        ]
    steps += [Step(1.5, SetFaults(NO_FAULTS)), Step(1.0, ResetByHand(Reset.FAILED))]
    return Plan(
        f"SENDING, then FAILED reset in SQL, {rounds} times; a fifth refused for good",
        seed,
        tuple(steps),
        senders=(SenderSpec(), SenderSpec()),
        # Long enough that a message which is reset in flight is claimed again before its answer.
        simulator_latency_ms=400,
        # Who takes a message out of flight by hand lets the next one to its recipient go; and a
        # refusal may come after the last reset of failures.
        allowance=Allowance(overlaps=True, failed_codes=frozenset({str(refusal["code"])})),
    )


SCENARIOS = [Scenario("operator", operator, mixture=True)]
