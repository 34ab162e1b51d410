"""SendGrid's `POST /v3/mail/send`: checks and answers. Its event webhook is not imitated yet.

Source: SendGrid's mail send reference and its error pages, September 2026.
"""

import base64
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass

from outbound_slo.simulator.faults import ErrorFault
from outbound_slo.simulator.wire import (
    Answer,
    Inquiry,
    Provider,
    Reference,
    RefusedError,
    Submission,
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
        scheme, _, key = inquiry.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key or (self.api_key and key != self.api_key):
            raise refuse(
                401, "The provided authorization grant is invalid, expired, or revoked", None
            )
        try:
            body = json.loads(inquiry.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise refuse(400, "Bad Request", None)
        _check_personalizations(body.get("personalizations"))
        _check_sender(body.get("from"))
        _check_content(body)
        _check_custom_args(body.get("custom_args"), "custom_args")
        personalizations = body["personalizations"]
        common = body.get("custom_args") or {}
        return Submission(
            recipient=personalizations[0]["to"][0]["email"],
            sender=body["from"]["email"],
            references=tuple(
                read_reference({**common, **(each.get("custom_args") or {})})
                for each in personalizations
            ),
            text=str(body.get("subject", "")),
        )

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


def read_reference(custom_args: Mapping[str, object]) -> Reference:
    """Read the message id and attempt from `m` and `a` of the custom arguments."""
    message, attempt = custom_args.get("m"), custom_args.get("a")
    return Reference(
        None if message is None else str(message), None if attempt is None else str(attempt)
    )


def _check_personalizations(value: object) -> None:
    """Check who each message goes to and what comes back with its events."""
    if not isinstance(value, list) or not value:
        raise refuse(
            400,
            "The personalizations field is required and must have at least one personalization.",
            "personalizations",
        )
    for number, each in enumerate(value):
        place = f"personalizations.{number}"
        recipients = each.get("to") if isinstance(each, dict) else None
        if not isinstance(recipients, list) or not recipients:
            raise refuse(
                400,
                "The to array is required for all personalization objects, and must have at"
                " least one email object with a valid email address.",
                f"{place}.to",
            )
        for order, recipient in enumerate(recipients):
            if not _has_email(recipient):
                message = "Does not contain a valid address."
                raise refuse(400, message, f"{place}.to.{order}.email")
        _check_custom_args(each.get("custom_args"), f"{place}.custom_args")


def _check_sender(value: object) -> None:
    """Check the from address."""
    if not _has_email(value):
        raise refuse(
            400,
            "The from object must be provided for every email send. It is an object that"
            " requires the email parameter.",
            "from.email",
        )


def _check_content(body: Mapping[str, object]) -> None:
    """Check that there is a subject and content, or a template that brings both."""
    if body.get("template_id"):
        return
    personalizations = body["personalizations"]
    each_has_subject = isinstance(personalizations, list) and all(
        each.get("subject") for each in personalizations
    )
    if not body.get("subject") and not each_has_subject:
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


def _check_custom_args(value: object, field: str) -> None:
    """Check that custom arguments, where given, are an object of strings."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise refuse(400, "Invalid type. Expected: object.", field)
    if not all(isinstance(each, str) for each in value.values()):
        raise refuse(400, "Invalid type. Expected: string.", field)


def _has_email(value: object) -> bool:
    """Tell whether an address object carries something that looks like an e-mail address."""
    address = value.get("email") if isinstance(value, dict) else None
    if not isinstance(address, str):
        return False
    local, _, domain = address.rpartition("@")
    return bool(local) and "." in domain and " " not in address
