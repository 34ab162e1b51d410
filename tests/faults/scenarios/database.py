"""PostgreSQL restarted, crashed, stopped, throwing its clients out; and a person at psql."""

from dataclasses import replace

from tests.faults.plan import (
    NO_FAULTS,
    Allowance,
    CutBackends,
    EndSenderInOutage,
    Halt,
    HaltDatabase,
    Plan,
    Reset,
    ResetByHand,
    Scale,
    SenderSpec,
    SetFaults,
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
    return Plan(f"SIGTERM while PostgreSQL is stopped, {rounds} times", seed, steps * rounds)


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
    Scenario("operator", operator, mixture=True),
]
