"""Senders killed, frozen, racing, with a wrong clock, or without the services beside them."""

from dataclasses import replace

from tests.faults.plan import (
    NO_FAULTS,
    Allowance,
    CutBackends,
    EndSender,
    FreezeSender,
    KillSender,
    Load,
    Plan,
    Scale,
    SenderSpec,
    Service,
    SetFaults,
    StartSender,
    Step,
)
from tests.faults.scenarios.scenario import Builder, Scenario, draw, everywhere, pick


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


def race(seed: int, scale: Scale) -> Plan:
    """Let three senders race for the messages of few recipients."""
    seconds = pick(scale, small=2, whole=30)
    half = seconds / 2
    return Plan(
        f"three senders race for 15 recipients, {seconds:g} s; one ends and comes back",
        seed,
        (Step(half, EndSender(2)), Step(0, StartSender(2)), Step(half, CutBackends())),
        senders=(SenderSpec(),) * 3,
        load=Load(recipients=15, at_least=300, per_second=120),
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


def clock_ahead(seed: int, scale: Scale) -> Plan:
    """Let the clock of one of two senders be a minute ahead."""
    seconds = pick(scale, small=2, whole=20)
    return Plan(
        f"two senders, one's clock a minute ahead, {seconds:g} s; a tenth of answers lost",
        seed,
        (
            Step(0, SetFaults(everywhere("drop", rate=0.1))),
            Step(seconds, SetFaults(NO_FAULTS)),
        ),
        senders=(SenderSpec(), SenderSpec(clock_offset_s=60.0)),
    )


def clock_behind(seed: int, scale: Scale) -> Plan:
    """Let the clock of one be a minute behind, and be that of the one that hears the webhooks."""
    plan = clock_ahead(seed, scale)
    return replace(
        plan,
        done=plan.done.replace("ahead", "behind"),
        senders=(SenderSpec(clock_offset_s=-60.0), SenderSpec()),
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


def crowd(seed: int, scale: Scale) -> Plan:
    """Mix the race, a wrong clock and services that hang, for every test run."""
    plan = race(seed, scale)
    senders = (
        SenderSpec(),
        SenderSpec(clock_offset_s=60.0),
        SenderSpec(collector=Service.SILENT, redis=Service.SILENT),
    )
    return replace(
        plan,
        done=f"{plan.done}; one's clock a minute ahead; one's trace collector and Redis hang",
        senders=senders,
    )


def without(service: str, spec: SenderSpec, what: str) -> Builder:
    """Build a scenario in which a service is not there; a sender has to end well without it too."""

    def build(seed: int, scale: Scale) -> Plan:
        seconds = pick(scale, small=1, whole=15)
        return Plan(
            f"{service} {what} for {seconds:g} s; one sender ends meanwhile",
            seed,
            (Step(seconds, EndSender(0)), Step(0, StartSender(0))),
            senders=(spec,),
        )

    return build


SCENARIOS = [
    Scenario("kill", kill),
    Scenario("kill-among-three", kill_among_three),
    Scenario("freeze", freeze),
    Scenario("kill-and-freeze", kill_and_freeze, mixture=True),
    Scenario("race", race),
    Scenario("clock-ahead", clock_ahead),
    Scenario("clock-behind", clock_behind),
    Scenario(
        "collector-gone",
        without("trace collector", SenderSpec(collector=Service.GONE), "gone"),
    ),
    Scenario(
        "collector-silent",
        without("trace collector", SenderSpec(collector=Service.SILENT), "hanging"),
    ),
    Scenario("redis-gone", without("Redis", SenderSpec(redis=Service.GONE), "gone")),
    Scenario("redis-silent", without("Redis", SenderSpec(redis=Service.SILENT), "hanging")),
    Scenario("crowd", crowd, mixture=True),
]
