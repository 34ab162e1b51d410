"""SendGrid's `POST /v3/mail/send` and `GET /v3/scopes`: checks and answers.

Sources: SendGrid's mail send and API key permissions references and its error pages, September
2026.
"""

import base64
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outbound_slo.simulator.faults import ErrorFault
from outbound_slo.simulator.wire import (
    Answer,
    Inquiry,
    Mail,
    Provider,
    Reference,
    RefusedError,
    Submission,
    decode_object,
)

_HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class SendGridWire:
    """The sending side of SendGrid; an empty `api_key` accepts any key, but wants one."""

    api_key: str = ""

    @property
    def provider(self) -> Provider:
        """Return whose format this is."""
        return Provider.SENDGRID

    def check_send(self, inquiry: Inquiry, now: float) -> Submission:
        """Judge a `POST /v3/mail/send`.

        Raises:
            RefusedError: SendGrid would refuse it.

        """
        del now
        self.check_access(inquiry)
        body = decode_object(inquiry.body)
        if body is None:
            raise refuse(400, "Bad Request", None)
        people = _read_personalizations(body.get("personalizations"))
        sender = _read_email(body.get("from"))
        if sender is None:
            raise refuse(
                400,
                "The from object must be provided for every email send. It is an object that"
                " requires the email parameter.",
                "from.email",
            )
        _check_content(body, people)
        common = _read_custom_args(body.get("custom_args"), "custom_args")
        mails = tuple(Mail(each.recipient, {**common, **each.custom_args}) for each in people)
        return Submission(
            recipient=mails[0].recipient,
            sender=sender,
            references=tuple(read_reference(mail.custom_args) for mail in mails),
            mails=mails,
            text=str(body.get("subject", "")),
        )

    def check_access(self, inquiry: Inquiry) -> None:
        """Check the key.

        Raises:
            RefusedError: SendGrid would refuse the request whatever it asks for.

        """
        scheme, _, key = inquiry.authorization.partition(" ")
        if scheme != "Bearer" or not key or (self.api_key and key != self.api_key):
            raise refuse(
                401, "The provided authorization grant is invalid, expired, or revoked", None
            )

    def answer_scopes(self) -> Answer:
        """Build the 200 with what the key may do: `GET /v3/scopes`."""
        return Answer(200, {"scopes": ["mail.send", "mail.batch.create", "stats.read"]})

    def create_id(self, rng: random.Random) -> str:
        """Make an `X-Message-Id`."""
        return base64.urlsafe_b64encode(rng.randbytes(16)).decode().rstrip("=")

    def answer_accepted(self, submission: Submission, message_id: str, now: float) -> Answer:
        """Build the empty 202 whose header names the message."""
        del submission, now
        return Answer(202, text="", headers={"X-Message-Id": message_id})

    def answer_fault(self, fault: ErrorFault) -> Answer:
        """Build the error a fault asks for."""
        limited = fault.http_status == _TOO_MANY
        answer = refuse(
            fault.http_status,
            fault.message or ("too many requests" if limited else "Internal Server Error"),
            None,
        ).answer
        headers = {}
        if limited:
            headers = {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0"}
        if fault.retry_after_seconds is not None:
            headers["Retry-After"] = str(fault.retry_after_seconds)
        return Answer(answer.status, answer.body, headers=headers)


def refuse(status: int, message: str, field: str | None) -> RefusedError:
    """Build an error in SendGrid's shape, ready to be raised."""
    error: dict[str, object] = {"message": message, "field": field, "help": None}
    if field is not None:
        error["help"] = f"{_HELP}#message.{field}"
    return RefusedError(Answer(status, {"errors": [error]}))


def read_reference(custom_args: Mapping[str, str]) -> Reference:
    """Read the message id and attempt from `m` and `a` of the custom arguments."""
    return Reference(custom_args.get("m"), custom_args.get("a"))


@dataclass(frozen=True, slots=True)
class _Personalization:
    """One message of a request: its first recipient, and what comes back with its events."""

    recipient: str
    custom_args: Mapping[str, str]
    has_subject: bool


def _read_personalizations(value: object) -> list[_Personalization]:
    """Read who each message goes to."""
    if not isinstance(value, list) or not value:
        raise refuse(
            400,
            "The personalizations field is required and must have at least one personalization.",
            "personalizations",
        )
    return [_read_personalization(each, number) for number, each in enumerate(value)]


def _read_personalization(value: object, number: int) -> _Personalization:
    place = f"personalizations.{number}"
    fields = value if isinstance(value, dict) else {}
    recipients = fields.get("to")
    if not isinstance(recipients, list) or not recipients:
        raise refuse(
            400,
            "The to array is required for all personalization objects, and must have at"
            " least one email object with a valid email address.",
            f"{place}.to",
        )
    addresses = [_read_email(recipient) for recipient in recipients]
    if None in addresses:
        message = "Does not contain a valid address."
        raise refuse(400, message, f"{place}.to.{addresses.index(None)}.email")
    return _Personalization(
        addresses[0] or "",
        _read_custom_args(fields.get("custom_args"), f"{place}.custom_args"),
        bool(fields.get("subject")),
    )


def _check_content(body: Mapping[str, object], people: Sequence[_Personalization]) -> None:
    """Check that there is a subject and content, or a template that brings both."""
    if body.get("template_id"):
        return
    if not body.get("subject") and not all(each.has_subject for each in people):
        raise refuse(
            400,
            "The subject is required. You can get around this requirement if you use a"
            " template with a subject defined.",
            "subject",
        )
    content = body.get("content")
    if not isinstance(content, list) or not content:
        raise refuse(
            400,
            "Unless a valid template_id is provided, the content parameter is required."
            " There must be at least one defined content block.",
            "content",
        )
    for number, block in enumerate(content):
        if not isinstance(block, dict) or not block.get("type") or not block.get("value"):
            message = "The content value must be a string at least one character in length."
            raise refuse(400, message, f"content.{number}.value")


def _read_custom_args(value: object, field: str) -> dict[str, str]:
    """Read custom arguments: none, or an object of strings."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse(400, "Invalid type. Expected: object.", field)
    if not all(isinstance(each, str) for each in value.values()):
        raise refuse(400, "Invalid type. Expected: string.", field)
    return value


def _read_email(value: object) -> str | None:
    """Return the e-mail address of an address object, or None if it cannot be one."""
    address = value.get("email") if isinstance(value, dict) else None
    if not isinstance(address, str):
        return None
    local, _, domain = address.rpartition("@")
    return address if local and "." in domain and " " not in address else None
