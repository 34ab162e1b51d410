"""What a scenario does, drawn from a seed: a pure list of blows and the load they fall upon.

A plan says in which order things happen and how long is waited between them. How fast the machine
is changes what each blow meets, so a seed repeats the blows, not the result.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage

ORG = "org-abc-123"
NO_FAULTS: tuple[Mapping[str, object], ...] = ()


class Scale(StrEnum):
    """How much of a scenario is run: a part that fits every test run, or all of it."""

    SMALL = "small"
    WHOLE = "whole"


class Halt(StrEnum):
    """How PostgreSQL ends: sessions cut off, as in a power cut, or by one backend's crash.

    After a BACKEND_CRASH the server recovers by itself, without being started again.
    """

    FAST = "fast"
    IMMEDIATE = "immediate"
    BACKEND_CRASH = "backend crash"


class Reset(StrEnum):
    """What an operator does by hand: runbook 000's stuck recovery, 001's retry of failures."""

    SENDING = "sending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StartSender:
    """Start a sender, or the next process of one that has ended, and wait until it is ready."""

    sender: int


@dataclass(frozen=True, slots=True)
class KillSender:
    """SIGKILL."""

    sender: int


@dataclass(frozen=True, slots=True)
class FreezeSender:
    """SIGSTOP, and SIGCONT after so many seconds."""

    sender: int
    seconds: float


@dataclass(frozen=True, slots=True)
class EndSender:
    """SIGTERM; the process has to end by itself."""

    sender: int


@dataclass(frozen=True, slots=True)
class HaltDatabase:
    """End PostgreSQL, and start it again after so many seconds."""

    halt: Halt
    seconds: float


@dataclass(frozen=True, slots=True)
class EndSenderInOutage:
    """Halt PostgreSQL, SIGTERM the sender, wait for its end, start PostgreSQL again."""

    sender: int
    halt: Halt


@dataclass(frozen=True, slots=True)
class CutBackends:
    """Let PostgreSQL terminate every connection of the senders."""


@dataclass(frozen=True, slots=True)
class SetFaults:
    """Put these faults of the provider in the place of all others."""

    faults: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True)
class SetBehaviour:
    """Change how webhooks behave."""

    changes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ForgeWebhooks:
    """Post failures of messages in flight, signed with a wrong secret."""

    count: int


@dataclass(frozen=True, slots=True)
class ResetByHand:
    """Reset messages to QUEUED in SQL, as a tired person does at night."""

    reset: Reset


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run `outbound-slo ops` with these arguments, without being asked.

    LAST stands for the last operation that changed something and was not undone.
    """

    arguments: tuple[str, ...]


LAST = "LAST"

ProcessBlow = StartSender | KillSender | FreezeSender | EndSender | EndSenderInOutage
Blow = (
    ProcessBlow
    | HaltDatabase
    | CutBackends
    | SetFaults
    | SetBehaviour
    | ForgeWebhooks
    | ResetByHand
    | RunCommand
)


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do, `after_s` seconds after the step before is done."""

    after_s: float
    blow: Blow


@dataclass(frozen=True, slots=True)
class Load:
    """What is put on the queue while the blows fall.

    Attributes:
        at_least: Messages, however soon the last blow has fallen.
        at_most: Messages, however long the blows take on a slow machine.
        per_second: Rate; kept as far as the machine keeps up.
        recipients: Phone numbers that share the messages: few of them make many followers.
        sms_share: Share that goes by SMS.
        email_share: Share that goes by e-mail, whose provider tells nothing after its answer.
        max_attempts: Budget of each message; far beyond what faults can use up.

    """

    at_least: int = 200
    at_most: int = 100_000
    per_second: float = 60.0
    recipients: int = 120
    sms_share: float = 0.2
    email_share: float = 0.1
    max_attempts: int = 500


class Service(StrEnum):
    """What stands where a sender was told to find a service.

    NONE: it was told of none. GONE: nothing listens there. SILENT: something takes the connection
    and never answers.
    """

    NONE = "none"
    GONE = "gone"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class SenderSpec:
    """One sender of a scenario.

    Attributes:
        collector: What takes its spans.
        redis: What takes its Redis commands.
        clock_offset_s: Seconds by which its wall clock is wrong.

    """

    collector: Service = Service.NONE
    redis: Service = Service.NONE
    clock_offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the judge lets pass, because the blows themselves cause it.

    Attributes:
        overlaps: Two requests to one recipient at once: a frozen process may hold a request that
            it sends when it wakes, and an operator may take from flight what is still in it.
        failed_codes: Error codes with which a message may end in FAILED.
        repetitions: A message accepted twice, the first time with an answer that was lost. Not
            where every receipt comes in the end, and the senders have only to wait for it.

    """

    overlaps: bool = False
    failed_codes: frozenset[str] = frozenset()
    repetitions: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario, ready to be run.

    Attributes:
        done: What is done and how often, for the table.
        seed: What it was drawn from; the simulator's seed too.
        steps: The blows, in order. Senders are started by the runner before the first.
        behaviour: How webhooks behave from the start.
        simulator_latency_ms: What an answer takes; up to as much again is added by chance.
        silence_s: Seconds without a webhook after which the senders' re-sends hold.
        resends: Some outcome has to stay unknown, so that a message is sent again.

    """

    done: str
    seed: int
    steps: tuple[Step, ...]
    load: Load = Load()
    senders: tuple[SenderSpec, ...] = (SenderSpec(),)
    behaviour: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    simulator_latency_ms: float = 60.0
    allowance: Allowance = Allowance()
    silence_s: float = 60.0
    resends: bool = False


def draw_message(load: Load, seed: int, number: int) -> NewMessage:
    """Give the message with this number; the same one whenever it is asked for."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311 - a plan, not a secret
    lot = rng.random()
    recipient = rng.randrange(load.recipients)
    key = message_key(seed, number)
    if lot < load.email_share:
        return NewMessage(
            ORG,
            Channel.EMAIL,
            f"reader{recipient}@example.org",
            subject="Your order",
            payload={"text": "It is on its way."},
            idempotency_key=key,
            max_attempts=load.max_attempts,
        )
    channel = Channel.SMS if lot < load.email_share + load.sms_share else Channel.WHATSAPP
    return NewMessage(
        ORG,
        channel,
        phone_number(recipient),
        template_code="appointment_reminder" if channel is Channel.WHATSAPP else None,
        payload={} if channel is Channel.WHATSAPP else {"text": "Your appointment is tomorrow."},
        idempotency_key=key,
        max_attempts=load.max_attempts,
    )


def message_key(seed: int, number: int) -> str:
    """Name a message so that putting it on the queue twice puts it there once."""
    return f"fault-{seed}-{number}"


def phone_number(recipient: int) -> str:
    """Give the phone number of a recipient, 0 to 99,999."""
    return f"+336123{recipient:05d}"
