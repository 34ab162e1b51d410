"""What the three imitated providers have in common, free of any one wire format."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

import orjson

from outbound_slo.simulator.faults import ErrorFault


class Provider(StrEnum):
    """A provider that the simulator stands in for; each serves one channel."""

    META = "meta"
    TWILIO = "twilio"
    SENDGRID = "sendgrid"


class Inquiry(NamedTuple):
    """One HTTP request, as a wire format needs to see it; `authorization` is empty without one."""

    authorization: str
    path: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: `body` is sent as JSON, `text` as it stands; at most one of them is set."""

    status: int
    body: Mapping[str, object] | None = None
    text: str | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def encode_body(answer: Answer) -> bytes:
    """Return the bytes of an answer's body."""
    return orjson.dumps(answer.body) if answer.text is None else answer.text.encode()


class RefusedError(Exception):
    """The provider would refuse the request; `answer` says so in its own words."""

    def __init__(self, answer: Answer) -> None:
        """Keep the answer."""
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Reference:
    """The sender's own name for what it sends: its message id and the number of the attempt."""

    message: str | None
    attempt: str | None = None


class Mail(NamedTuple):
    """One e-mail of a request: its first recipient, and what comes back with its events."""

    recipient: str
    custom_args: Mapping[str, str]


class Submission(NamedTuple):
    """A send request that the provider would accept.

    Attributes:
        recipient: Phone number or e-mail address as the provider addresses it.
        sender: Meta's phone number id, Twilio's From, SendGrid's from address.
        references: One per message in the request (SendGrid takes several at once).
        callback_data: What the provider echoes in status updates, or None.
        callback_url: Where this message's updates go, when the request itself names the place.
        mails: SendGrid's messages, as many as there are references; empty elsewhere.
        account: Twilio's account SID; empty elsewhere.
        kind: text or template.
        category: What Meta bills the message as.

    """

    recipient: str
    sender: str
    references: tuple[Reference, ...]
    account: str = ""
    kind: str = "text"
    text: str = ""
    category: str = "service"
    callback_data: str | None = None
    callback_url: str | None = None
    mails: tuple[Mail, ...] = ()


def decode_object(raw: bytes) -> dict[str, object] | None:
    """Decode a JSON object; None for anything else, nesting without end included."""
    try:
        body = orjson.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


class Wire(Protocol):
    """One provider's wire format for sending."""

    @property
    def provider(self) -> Provider:
        """Whose format this is."""

    def check_send(self, inquiry: Inquiry, now: float) -> Submission:
        """Return what was submitted; `now` in epoch seconds.

        Raises:
            RefusedError: The provider would refuse it.

        """

    def create_id(self, rng: random.Random) -> str:
        """Make a message id of the provider's form."""

    def answer_accepted(self, submission: Submission, message_id: str, now: float) -> Answer:
        """Build the answer to an accepted message; `now` in epoch seconds."""

    def answer_fault(self, fault: ErrorFault) -> Answer:
        """Build the provider's error answer that a fault asks for."""
