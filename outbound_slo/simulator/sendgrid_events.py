"""SendGrid's event webhook: what befalls an e-mail, and the event that tells of it.

Source: SendGrid's event webhook reference, September 2026. Custom arguments stand in the event
itself, beside its own fields.
"""

import base64
import hashlib
import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from outbound_slo.simulator.lifecycle import Behaviour, Step, plan_life


class MailEventKind(StrEnum):
    """The kinds of event that are posted."""

    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCE = "bounce"
    DROPPED = "dropped"
    UNSUBSCRIBE = "unsubscribe"
    SPAM_REPORT = "spamreport"


_DETAILS: Mapping[MailEventKind, Mapping[str, object]] = {
    MailEventKind.PROCESSED: {},
    MailEventKind.DEFERRED: {"response": "450 4.2.1 try again later", "attempt": "1"},
    MailEventKind.DELIVERED: {"response": "250 2.0.0 OK", "ip": "203.0.113.9", "tls": 1},
    MailEventKind.BOUNCE: {
        "reason": "550 5.1.1 The email account that you tried to reach does not exist.",
        "status": "5.1.1",
        "type": "bounce",
        "bounce_classification": "Invalid Address",
        "ip": "203.0.113.9",
        "tls": 1,
    },
    MailEventKind.DROPPED: {"reason": "Bounced Address", "status": "5.0.0"},
    MailEventKind.UNSUBSCRIBE: {},
    MailEventKind.SPAM_REPORT: {},
}
_ENGAGEMENT = frozenset({MailEventKind.UNSUBSCRIBE, MailEventKind.SPAM_REPORT})


class MailEvent(NamedTuple):
    """One event of one e-mail.

    Attributes:
        message_id: The answer's `X-Message-Id`; empty where the event belongs to no message.
        occurred_at: Epoch seconds.

    """

    event: MailEventKind
    email: str
    message_id: str
    occurred_at: float
    custom_args: Mapping[str, str]


def plan_mail(behaviour: Behaviour, rng: random.Random) -> Sequence[Step]:
    """Draw the events of one e-mail, in the order in which they are due.

    A failure is a bounce, or for `dropped_rate` of them a drop, for which nothing was sent at all.
    """
    steps = plan_life(behaviour, rng, is_readable=False)
    if any(step.status == "failed" for step in steps):
        if rng.random() < behaviour.dropped_rate:
            return [step._replace(status="dropped") for step in steps]
        first = steps[0]
        begin = first._replace(status="processed", occurred=0.0, due=0.0)
        return [begin, *(step._replace(status="bounce") for step in steps)]
    told = [step._replace(status="processed") if step.status == "sent" else step for step in steps]
    if told and rng.random() < behaviour.deferred_rate:
        told.insert(1, told[0]._replace(status="deferred"))
    return told


def build_event(event: MailEvent) -> dict[str, object]:
    """Build one element of the array that is posted.

    The same event told again has the same `sg_event_id`, by which a receiver knows duplicates.
    """
    known = f"{event.message_id}.{event.event.value}.{event.email}.{event.occurred_at}"
    digest = hashlib.sha256(known.encode()).digest()[:18]
    body: dict[str, object] = {
        **event.custom_args,
        "email": event.email,
        "timestamp": int(event.occurred_at),
        "event": event.event.value,
        "sg_event_id": base64.urlsafe_b64encode(digest).decode(),
        **_DETAILS[event.event],
    }
    if event.message_id:
        body["sg_message_id"] = f"{event.message_id}.recvd-5f54b5c4f-x8v2l-1-66A0.0"
        if event.event not in _ENGAGEMENT:
            body["smtp-id"] = f"<{event.message_id}@geopod-ismtpd-1>"
    return body
