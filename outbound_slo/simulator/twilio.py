"""Twilio's Messages and Account resources: checks, answers and status callbacks.

Sources: Twilio's Message and Account resources, error dictionary and request-security pages,
September 2026.
"""

import base64
import binascii
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qs, parse_qsl, urlsplit

from outbound_slo.simulator.faults import ErrorFault
from outbound_slo.simulator.wire import (
    Answer,
    Inquiry,
    Provider,
    Reference,
    RefusedError,
    Submission,
)

BODY_LIMIT = 1600
"""Characters of a message, by Twilio's error 21617."""

_SEGMENT = 153
_OPENED_AT = datetime(2015, 7, 30, 20, tzinfo=UTC)
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_SENDER = re.compile(r"\+?\d{3,15}|[A-Za-z0-9 ]{1,11}|MG[0-9a-f]{32}")
_KEYWORDS = {
    **dict.fromkeys(("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"), "STOP"),
    **dict.fromkeys(("START", "YES", "UNSTOP"), "START"),
    **dict.fromkeys(("HELP", "INFO"), "HELP"),
}
"""Twilio's standard keywords for long codes and the `OptOutType` that its webhook then carries."""

_FAULT_CODES = {429: 20429, 503: 20503}
_FAULT_MESSAGES = {
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    20503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class TwilioWire:
    """The sending side of Twilio.

    Attributes:
        auth_token: The password that is accepted; empty accepts any, but wants one.
        stopped: Who wrote STOP to which number of ours, as (their number, ours).

    """

    auth_token: str = ""
    stopped: set[tuple[str, str]] = field(default_factory=set)

    @property
    def provider(self) -> Provider:
        """Return whose format this is."""
        return Provider.TWILIO

    def check_send(self, inquiry: Inquiry, now: float) -> Submission:
        """Judge a `POST /2010-04-01/Accounts/{Sid}/Messages.json`.

        Raises:
            RefusedError: Twilio would refuse it.

        """
        del now
        account = inquiry.path["account_sid"]
        self.check_access(inquiry)
        form = dict(parse_qsl(inquiry.body.decode(errors="replace"), keep_blank_values=True))
        recipient = form.get("To", "")
        if not recipient:
            raise refuse(400, 21604, "A 'To' phone number is required.")
        if not _PHONE.fullmatch(recipient):
            raise refuse(400, 21211, f"Invalid 'To' Phone Number: {recipient}")
        sender = form.get("From") or form.get("MessagingServiceSid", "")
        if not sender:
            raise refuse(400, 21603, "A 'From' phone number is required.")
        if not _SENDER.fullmatch(sender):
            raise refuse(400, 21212, f"Invalid From Number (caller ID): {sender}")
        body = form.get("Body", "")
        if not (body or form.get("MediaUrl") or form.get("ContentSid")):
            raise refuse(400, 21602, "Message body is required.")
        if len(body) > BODY_LIMIT:
            raise refuse(
                400,
                21617,
                f"The concatenated message body exceeds the {BODY_LIMIT} character limit",
            )
        if (recipient, sender) in self.stopped:
            raise refuse(400, 21610, "Attempt to send to unsubscribed recipient")
        callback = form.get("StatusCallback") or None
        if callback and not _is_web_address(callback):
            raise refuse(400, 21609, f"The StatusCallback URL {callback} is not a valid URL.")
        return Submission(
            recipient=recipient,
            sender=sender,
            references=(read_reference(callback),),
            account=account,
            text=body,
            callback_url=callback,
        )

    def check_access(self, inquiry: Inquiry) -> None:
        """Check who calls.

        Raises:
            RefusedError: Twilio would refuse the request whatever it asks for.

        """
        if not self._is_allowed(inquiry.authorization, inquiry.path["account_sid"]):
            raise refuse(401, 20003, "Authenticate")

    def _is_allowed(self, authorization: str, account: str) -> bool:
        """Check basic authentication: the account or an API key, and the token."""
        scheme, _, encoded = authorization.partition(" ")
        if scheme != "Basic":
            return False
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        known = user == account or user.startswith("SK")
        return known and (password == self.auth_token if self.auth_token else bool(password))

    def note_inbound(self, sender: str, number: str, text: str) -> str | None:
        """Obey the keywords of a user's message; return what Twilio calls its kind, if any."""
        kind = _KEYWORDS.get(text.strip().upper())
        if kind == "STOP":
            self.stopped.add((sender, number))
        elif kind == "START":
            self.stopped.discard((sender, number))
        return kind

    def create_id(self, rng: random.Random) -> str:
        """Make a message SID."""
        return f"SM{rng.getrandbits(128):032x}"

    def answer_accepted(self, submission: Submission, message_id: str, now: float) -> Answer:
        """Build the 201 with the queued message."""
        created = format_datetime(datetime.fromtimestamp(now, UTC))
        uri = f"/2010-04-01/Accounts/{submission.account}/Messages/{message_id}"
        service = submission.sender if submission.sender.startswith("MG") else None
        return Answer(
            201,
            {
                "account_sid": submission.account,
                "api_version": "2010-04-01",
                "body": submission.text,
                "date_created": created,
                "date_sent": None,
                "date_updated": created,
                "direction": "outbound-api",
                "error_code": None,
                "error_message": None,
                "from": None if service else submission.sender,
                "messaging_service_sid": service,
                "num_media": "0",
                "num_segments": str(max(1, -(-len(submission.text) // _SEGMENT))),
                "price": None,
                "price_unit": "USD",
                "sid": message_id,
                "status": "queued",
                "subresource_uris": {"media": f"{uri}/Media.json"},
                "to": submission.recipient,
                "uri": f"{uri}.json",
            },
        )

    def answer_account(self, account: str) -> Answer:
        """Build the 200 with an account; it holds the auth token, as the real one does."""
        created = format_datetime(_OPENED_AT)
        uri = f"/2010-04-01/Accounts/{account}"
        return Answer(
            200,
            {
                "auth_token": self.auth_token,
                "date_created": created,
                "date_updated": created,
                "friendly_name": "Simulated Account",
                "owner_account_sid": account,
                "sid": account,
                "status": "active",
                "subresource_uris": {"messages": f"{uri}/Messages.json"},
                "type": "Full",
                "uri": f"{uri}.json",
            },
        )

    def answer_fault(self, fault: ErrorFault) -> Answer:
        """Build the error a fault asks for; 20500 if it says nothing else."""
        code = _FAULT_CODES.get(fault.http_status, 20500) if fault.code is None else fault.code
        message = fault.message or _FAULT_MESSAGES.get(code, "Simulated failure")
        answer = refuse(fault.http_status, code, message).answer
        if fault.retry_after_seconds is None:
            return answer
        return Answer(
            answer.status, answer.body, headers={"Retry-After": str(fault.retry_after_seconds)}
        )


def _is_web_address(url: str) -> bool:
    """Tell whether a callback could be called at all."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def refuse(status: int, code: int, message: str) -> RefusedError:
    """Build an error in Twilio's shape, ready to be raised."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return RefusedError(Answer(status, body))


def read_reference(callback_url: str | None) -> Reference:
    """Read the message id and attempt from the `m` and `a` of a status callback URL's query."""
    query = parse_qs(urlsplit(callback_url or "").query)
    message, attempt = query.get("m", [None])[0], query.get("a", [None])[0]
    return Reference(message, attempt)


@dataclass(frozen=True, slots=True)
class TwilioCall:
    """One request of Twilio's: where it goes and the form it carries."""

    url: str
    form: Mapping[str, str]


def build_callback(
    submission: Submission, message_id: str, status: str, error_code: int | None = None
) -> TwilioCall:
    """Build the callback of one status (sent, delivered, undelivered) of a message with a URL."""
    form = {
        "AccountSid": submission.account,
        "ApiVersion": "2010-04-01",
        "From": submission.sender,
        "MessageSid": message_id,
        "MessageStatus": status,
        "SmsSid": message_id,
        "SmsStatus": status,
        "To": submission.recipient,
    }
    if error_code is not None:
        form["ErrorCode"] = str(error_code)
    return TwilioCall(submission.callback_url or "", form)


def build_inbound(
    url: str, account: str, message_id: str, sender: str, number: str, text: str, kind: str | None
) -> TwilioCall:
    """Build the webhook of a user's message to one of our numbers.

    `kind` is the keyword's (STOP, START, HELP), or None for any other text.
    """
    form = {
        "AccountSid": account,
        "ApiVersion": "2010-04-01",
        "Body": text,
        "From": sender,
        "MessageSid": message_id,
        "NumMedia": "0",
        "NumSegments": str(max(1, -(-len(text) // _SEGMENT))),
        "SmsMessageSid": message_id,
        "SmsSid": message_id,
        "SmsStatus": "received",
        "To": number,
    }
    if kind is not None:
        form["OptOutType"] = kind
    return TwilioCall(url, form)
