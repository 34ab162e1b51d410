"""People: one at psql, who does not wait for the senders, and one who uses the commands."""

from tests.faults.plan import (
    LAST,
    NO_FAULTS,
    Allowance,
    Plan,
    Reset,
    ResetByHand,
    RunCommand,
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


def commands(seed: int, scale: Scale) -> Plan:
    """Release, retry, pause and undo with the commands, in any order, while senders work."""
    rounds = int(pick(scale, small=6, whole=40))
    rng = draw(seed)
    refusal = {"kind": "error", "provider": "meta", "http_status": 400, "code": 131021}
    dropped = {"kind": "drop", "provider": "meta", "rate": 0.1}
    retry = RunCommand(("retry", "--codes", "131021", "--limit", "30", "--per-second", "0"))
    choices = [
        RunCommand(("stuck", "release", "--minutes", "0")),
        RunCommand(("stuck", "release", "--what", "waiting", "--minutes", "0")),
        retry,
        RunCommand(("channel", "pause", "whatsapp", "--no-wait")),
        RunCommand(("channel", "resume", "whatsapp")),
        RunCommand(("undo", LAST)),
    ]
    steps = [Step(0, SetFaults(({**refusal, "rate": 0.2}, dropped)))]
    steps += [Step(rng.uniform(0.0, 0.4), rng.choice(choices)) for _ in range(rounds)]
    resume = RunCommand(("channel", "resume", "whatsapp"))
    rest = RunCommand(("retry", "--codes", "131021", "--limit", "100000", "--per-second", "0"))
    # What was refused while the first one ran is there for the second.
    steps += [Step(0, resume), Step(0.5, SetFaults(NO_FAULTS)), Step(2.0, rest), Step(5.0, rest)]
    return Plan(
        f"ops stuck release, retry, channel pause and resume, undo: {rounds} at random; "
        "a fifth refused for good, a tenth of answers lost",
        seed,
        tuple(steps),
        senders=(SenderSpec(), SenderSpec()),
        simulator_latency_ms=200,
        allowance=Allowance(failed_codes=frozenset({str(refusal["code"])})),
    )


SCENARIOS = [
    Scenario("operator", operator, mixture=True),
    Scenario("commands", commands),
]
