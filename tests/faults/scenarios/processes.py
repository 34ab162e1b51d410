"""Senders killed and frozen."""

from dataclasses import replace

from tests.faults.plan import (
    Allowance,
    FreezeSender,
    KillSender,
    Load,
    Plan,
    Scale,
    SenderSpec,
    StartSender,
    Step,
)
from tests.faults.scenarios.scenario import Scenario, draw, pick


def kill(seed: int, scale: Scale) -> Plan:
    """Kill the only sender at random moments; some attempts never get a receipt either."""
    rounds = int(pick(scale, small=2, whole=50))
    rng = draw(seed)
    steps: list[Step] = []
    for _ in range(rounds):
        steps += [Step(rng.uniform(0.1, 1.2), KillSender(0)), Step(0, StartSender(0))]
    return Plan(
        f"kill -9 of the only sender at {rounds} random moments; a fifth of receipts withheld",
        seed,
        tuple(steps),
        behaviour={"silent_rate": 0.2},
        simulator_latency_ms=100,
    )


def kill_among_three(seed: int, scale: Scale) -> Plan:
    """Kill one of three, so that the others meet what it left."""
    rounds = int(pick(scale, small=2, whole=20))
    rng = draw(seed)
    steps: list[Step] = []
    for _ in range(rounds):
        victim = rng.randrange(3)
        steps += [Step(rng.uniform(0.1, 1.2), KillSender(victim)), Step(0, StartSender(victim))]
    return Plan(
        f"kill -9 of one of three senders, {rounds} times; a fifth of receipts withheld",
        seed,
        tuple(steps),
        senders=(SenderSpec(),) * 3,
        load=Load(recipients=30),
        behaviour={"silent_rate": 0.2},
    )


def freeze(seed: int, scale: Scale) -> Plan:
    """Freeze one of two senders until the other has taken its messages over."""
    rounds = int(pick(scale, small=1, whole=10))
    rng = draw(seed)
    steps = [
        Step(rng.uniform(0.3, 1.0), FreezeSender(1, rng.uniform(7.5, 9.0))) for _ in range(rounds)
    ]
    return Plan(
        f"SIGSTOP of one of two senders beyond the recovery window, {rounds} times",
        seed,
        tuple(steps),
        senders=(SenderSpec(), SenderSpec()),
        load=Load(per_second=60),
        behaviour={"silent_rate": 0.3},
        allowance=Allowance(overlaps=True),
    )


def kill_and_freeze(seed: int, scale: Scale) -> Plan:
    """Kill one sender and freeze the other, for every test run."""
    killed, frozen = kill(seed, scale), freeze(seed, scale)
    return replace(
        frozen,
        done=f"{killed.done}; {frozen.done}",
        steps=frozen.steps + killed.steps,
        simulator_latency_ms=killed.simulator_latency_ms,
    )


SCENARIOS = [
    Scenario("kill", kill),
    Scenario("kill-among-three", kill_among_three),
    Scenario("freeze", freeze),
    Scenario("kill-and-freeze", kill_and_freeze, mixture=True),
]
