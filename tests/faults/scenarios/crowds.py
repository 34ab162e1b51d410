"""Several senders at once, one with a wrong clock or without the services beside it."""

from dataclasses import replace

from tests.faults.plan import (
    NO_FAULTS,
    CutBackends,
    EndSender,
    Load,
    Plan,
    Scale,
    SenderSpec,
    Service,
    SetFaults,
    StartSender,
    Step,
)
from tests.faults.scenarios.scenario import Builder, Scenario, everywhere, pick


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


SCENARIOS = [
    Scenario("race", race),
    Scenario("clock-ahead", clock_ahead),
    Scenario("clock-behind", clock_behind),
    *(
        Scenario(f"{name}-{service.value}", without(name, spec, what))
        for service, what in ((Service.GONE, "gone"), (Service.SILENT, "hanging"))
        for name, spec in (
            ("collector", SenderSpec(collector=service)),
            ("redis", SenderSpec(redis=service)),
        )
    ),
    Scenario("crowd", crowd, mixture=True),
]
