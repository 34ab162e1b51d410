"""Providers that refuse, break, hang, crawl or lose their answers, and webhooks that lie."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from tests.faults.plan import (
    NO_FAULTS,
    Allowance,
    ForgeWebhooks,
    Load,
    Plan,
    Scale,
    SenderSpec,
    SetBehaviour,
    SetFaults,
    Step,
)
from tests.faults.scenarios.scenario import Builder, Scenario, draw, everywhere, pick

Faults = tuple[Mapping[str, object], ...]

RATE_LIMITS: Faults = tuple(
    {
        "kind": "error",
        "provider": provider,
        "http_status": 429,
        "retry_after_seconds": 1,
        "rate": 0.2,
        **({} if code is None else {"code": code}),
    }
    for provider, code in (("meta", 130429), ("twilio", 20429), ("sendgrid", None))
)

FAULTS: Mapping[str, tuple[str, Faults]] = MappingProxyType(
    {
        "429": ("a fifth answered with 429 and Retry-After", RATE_LIMITS),
        "500": ("all answered with 500", everywhere("error", http_status=500)),
        "html": ("half answered with a proxy's page, 502", everywhere("html", rate=0.5)),
        "hangs": ("a fifth hang, not accepted", everywhere("timeout", rate=0.2)),
        "slow": (
            "answers take 0.4 to 0.7 s",
            everywhere("latency", latency_ms=400, latency_spread_ms=300),
        ),
        "accepts-late": (
            "a fifth accepted, answered after our time-out",
            everywhere("timeout", accepts=True, timeout_seconds=2.5, rate=0.2),
        ),
        "drops": ("a fifth accepted, then the connection dropped", everywhere("drop", rate=0.2)),
    }
)
"""What a provider does, and how it is told to the simulator."""


def misbehave(phases: Sequence[tuple[str, Faults]]) -> Builder:
    """Build a scenario in which the provider misbehaves in one way after the other."""

    def build(seed: int, scale: Scale) -> Plan:
        seconds = pick(scale, small=0.6, whole=15)
        steps: list[Step] = []
        for _, faults in phases:
            steps += [Step(0.2, SetFaults(faults)), Step(seconds, SetFaults(NO_FAULTS))]
        what = "; ".join(what for what, _ in phases)
        return Plan(
            f"provider for {seconds:g} s each: {what}; a fifth of receipts withheld",
            seed,
            tuple(steps),
            senders=(SenderSpec(), SenderSpec()),
            behaviour={"silent_rate": 0.2},
            # The receipt of what is answered late comes before the answer, and lets the next
            # message to that recipient go.
            allowance=Allowance(
                overlaps=any("accepts" in one for _, set_ in phases for one in set_)
            ),
        )

    return build


def webhooks(seed: int, scale: Scale) -> Plan:
    """Repeat, delay, reorder, forge and withhold webhooks while answers are lost."""
    rounds = int(pick(scale, small=2, whole=10))
    rng = draw(seed)
    steps = [Step(0, SetFaults(everywhere("drop", rate=0.2)))]
    steps += [Step(rng.uniform(0.4, 1.2), ForgeWebhooks(5)) for _ in range(rounds)]
    steps.append(Step(0.2, SetFaults(NO_FAULTS)))
    return Plan(
        "receipts: half twice, 30 % late, 30 % reordered, 10 % badly signed, 10 % withheld; "
        f"{5 * rounds} forged; a fifth of answers lost",
        seed,
        tuple(steps),
        behaviour={
            "duplicate_rate": 0.5,
            "late_rate": 0.3,
            "late_ms": 2000.0,
            "out_of_order_rate": 0.3,
            "bad_signature_rate": 0.1,
            "silent_rate": 0.1,
        },
    )


def webhooks_silent(seed: int, scale: Scale) -> Plan:
    """Let no receipt through for longer than the recovery window, and show that nobody guesses.

    Of the lost answers a part had been accepted: their receipts come in the end, so nothing may go
    twice. The others were not, and have to go again once webhooks are back.
    """
    seconds = pick(scale, small=14, whole=30)
    # E-mail has no receipts here, so there is nothing to wait for.
    lost: Faults = tuple(
        {"kind": kind, "provider": provider, "rate": rate}
        for kind, rate in (("drop", 0.2), ("timeout", 0.1))
        for provider in ("meta", "twilio")
    )
    return Plan(
        f"no receipt for {seconds:g} s, then all at once; a fifth of answers lost, a tenth of "
        "requests hanging; nothing may go twice",
        seed,
        (
            # The first receipts tell the senders that there are any.
            Step(2.0, SetBehaviour({"paused": True})),
            Step(0, SetFaults(lost)),
            Step(seconds - 2, SetFaults(NO_FAULTS)),
            # Answers and time-outs of the last faulty requests.
            Step(2.0, SetBehaviour({"paused": False})),
        ),
        load=Load(per_second=30.0),
        silence_s=4.0,
        resends=True,
        allowance=Allowance(repetitions=False),
    )


def mixture(seed: int, scale: Scale) -> Plan:
    """Mix all that providers and webhooks do, for every test run."""
    answers = misbehave(list(FAULTS.values()))(seed, scale)
    receipts = webhooks(seed, scale)
    forged = [step for step in receipts.steps if isinstance(step.blow, ForgeWebhooks)]
    return replace(
        answers,
        done=f"{answers.done}; {receipts.done}",
        steps=(*answers.steps, *forged),
        behaviour=receipts.behaviour,
    )


SCENARIOS = [
    *(Scenario(f"provider-{name}", misbehave([phase])) for name, phase in FAULTS.items()),
    Scenario("webhooks", webhooks),
    Scenario("webhooks-silent", webhooks_silent),
    Scenario("providers", mixture, mixture=True),
]
