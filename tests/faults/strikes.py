"""Carries out the blows of a plan."""

import hashlib
import hmac
import json
import time

from tests.faults.arena import Arena
from tests.faults.plan import (
    Blow,
    CutBackends,
    EndSender,
    EndSenderInOutage,
    ForgeWebhooks,
    FreezeSender,
    HaltDatabase,
    KillSender,
    ProcessBlow,
    ResetByHand,
    RunCommand,
    SetBehaviour,
    SetFaults,
    StartSender,
)

_UNAUTHORIZED = 401


def strike(arena: Arena, blow: Blow) -> None:
    """Do what one step of a plan says."""
    match blow:
        case HaltDatabase(halt, seconds):
            with arena.halted_database(halt):
                time.sleep(seconds)
        case CutBackends():
            arena.operate("cut_backends")
        case SetFaults(faults):
            arena.set_faults(faults)
        case SetBehaviour(changes):
            arena.set_behaviour(changes)
        case ForgeWebhooks(count):
            forge(arena, count)
        case ResetByHand(reset):
            arena.operate(f"reset_{reset.value}")
        case RunCommand(arguments):
            arena.run_command(arguments)
        case _:
            strike_process(arena, blow)


def strike_process(arena: Arena, blow: ProcessBlow) -> None:
    """Start, end or hinder a sender."""
    match blow:
        case StartSender(sender):
            arena.start_sender(sender)
        case KillSender(sender):
            arena.kill_sender(sender)
        case EndSender(sender):
            arena.end_sender(sender)
        case FreezeSender(sender, seconds):
            with arena.frozen_sender(sender):
                time.sleep(seconds)
        case EndSenderInOutage(sender, halt):
            with arena.halted_database(halt):
                arena.end_unheard_sender(sender)


def forge(arena: Arena, count: int) -> None:
    """Claim that messages in flight failed, in the provider's name but not with its key.

    Raises:
        AssertionError: Such a webhook was not refused with 401.

    """
    for message, attempt in arena.operate("in_flight", limit=count) or [(1, 1)]:
        status = {
            "id": f"wamid.forged-{message}-{attempt}",
            "status": "failed",
            "timestamp": "1700000000",
            "recipient_id": "33612300000",
            "biz_opaque_callback_data": json.dumps({"m": message, "a": attempt}),
            "errors": [{"code": 131026, "title": "Message undeliverable"}],
        }
        value = {"messaging_product": "whatsapp", "statuses": [status]}
        entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        signature = hmac.new(b"not-the-secret", body, hashlib.sha256).hexdigest()
        answer = arena.post_webhook(body, f"sha256={signature}")
        if answer != _UNAUTHORIZED:
            raise AssertionError(f"A forged webhook was answered with {answer}")
