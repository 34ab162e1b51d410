"""PostgreSQL restarted, crashed, stopped, throwing its clients out."""

from dataclasses import replace

from tests.faults.plan import (
    CutBackends,
    EndSenderInOutage,
    Halt,
    HaltDatabase,
    Plan,
    Scale,
    SenderSpec,
    StartSender,
    Step,
)
from tests.faults.scenarios.scenario import Scenario, draw, pick


def restarts(seed: int, scale: Scale) -> Plan:
    """Restart PostgreSQL in each of the ways in which it ends."""
    rounds = int(pick(scale, small=1, whole=5))
    rng = draw(seed)
    halts = list(Halt) * rounds
    rng.shuffle(halts)
    return Plan(
        f"PostgreSQL restarted fast, after a crash, after a backend's crash: {rounds} times each",
        seed,
        tuple(Step(rng.uniform(0.4, 1.5), HaltDatabase(halt, 0.2)) for halt in halts),
    )


def stopped(seed: int, scale: Scale) -> Plan:
    """Stop PostgreSQL for longer than the recovery window."""
    seconds = pick(scale, small=8, whole=30)
    halts = [Halt.FAST, Halt.IMMEDIATE] if scale is Scale.WHOLE else [Halt.FAST]
    return Plan(
        f"PostgreSQL stopped for {seconds:g} s under two senders, {len(halts)} times",
        seed,
        tuple(Step(1.0, HaltDatabase(halt, seconds)) for halt in halts),
        senders=(SenderSpec(), SenderSpec()),
    )


def backends_cut(seed: int, scale: Scale) -> Plan:
    """Let PostgreSQL end all connections of the senders, again and again."""
    rounds = int(pick(scale, small=4, whole=30))
    rng = draw(seed)
    return Plan(
        f"pg_terminate_backend of all connections of two senders, {rounds} times",
        seed,
        tuple(Step(rng.uniform(0.1, 0.8), CutBackends()) for _ in range(rounds)),
        senders=(SenderSpec(), SenderSpec()),
    )


def end_in_outage(seed: int, scale: Scale) -> Plan:
    """Ask a sender to end that can't tell the database what it did."""
    rounds = int(pick(scale, small=1, whole=3))
    steps = (Step(1.0, EndSenderInOutage(0, Halt.FAST)), Step(0, StartSender(0)))
    return Plan(
        f"SIGTERM while PostgreSQL is stopped, {rounds} times",
        seed,
        steps * rounds,
    )


def outages(seed: int, scale: Scale) -> Plan:
    """Mix cuts, restarts, an outage and an end in an outage, for every test run."""
    parts = [part(seed, scale) for part in (backends_cut, restarts, stopped, end_in_outage)]
    return replace(
        parts[2],
        done="; ".join(part.done for part in parts),
        steps=sum((part.steps for part in parts), ()),
    )


SCENARIOS = [
    Scenario("database-restarts", restarts),
    Scenario("database-stopped", stopped),
    Scenario("backends-cut", backends_cut),
    Scenario("end-in-outage", end_in_outage),
    Scenario("outages", outages, mixture=True),
]
