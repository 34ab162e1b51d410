"""Reading Twilio's callbacks: status of an SMS, and texts that stop or start messages. Pure.

A callback is stored as one object of its fields, with `m` and `a` of the query added. Source:
Twilio's pages on status callbacks and on opt-out keywords as of September 2026.
"""

from collections.abc import Mapping
from typing import Any

from outbound_slo.vocabulary.errors import ErrorPolicy, Retryable, classify
from outbound_slo.vocabulary.statuses import Channel
from sender.news import News, Wish
from sender.receipts import Receipt
from sender.wire import mapping, reference, text

DELIVERED = frozenset({"delivered", "read"})
FAILED = frozenset({"failed", "undelivered"})
UNSUBSCRIBED = "21610"

STOP_WORDS = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "ARRET"}
)
START_WORDS = frozenset({"START", "YES", "UNSTOP"})

_SOURCE = "twilio:STOP"


def is_callback(fields: Mapping[str, Any]) -> bool:
    """Tell whether it has what a status callback or an inbound message must have."""
    return "MessageSid" in fields and ("MessageStatus" in fields or "From" in fields)


def read_twilio(body: object, received_s: float, policy: ErrorPolicy) -> News:
    """Read one callback; Twilio tells no times, so the arrival's is taken."""
    fields = mapping(body)
    if "MessageStatus" in fields:
        return News(
            receipts=read_twilio_receipt(fields, received_s, policy),
            wishes=_read_refusal(fields, received_s),
        )
    return News(wishes=_read_keyword(fields, received_s))


def read_twilio_receipt(
    fields: Mapping[str, Any], received_s: float, policy: ErrorPolicy
) -> list[Receipt]:
    """Give the receipt of a status callback; a status that settles nothing gives none."""
    sid, status = fields.get("MessageSid"), fields.get("MessageStatus")
    if not isinstance(sid, str) or not isinstance(status, str):
        return []
    message_id, attempt_no = reference(fields.get("m"), fields.get("a"))
    if status in DELIVERED:
        return [Receipt(sid, message_id, attempt_no, delivered_s=received_s)]
    if status == "sent":
        return [Receipt(sid, message_id, attempt_no, sent_s=received_s)]
    if status not in FAILED:
        return []
    code = text(fields.get("ErrorCode"))
    return [
        Receipt(
            sid,
            message_id,
            attempt_no,
            failed_s=received_s,
            error_code=code,
            error_message=text(fields.get("ErrorMessage")),
            close_budget=classify(code, None, policy).retryable is Retryable.NO,
        )
    ]


def _read_refusal(fields: Mapping[str, Any], received_s: float) -> list[Wish]:
    """Learn from Twilio's refusal that the recipient has stopped our messages before."""
    recipient = text(fields.get("To"))
    if text(fields.get("ErrorCode")) != UNSUBSCRIBED or not _is_number(recipient):
        return []
    message_id, _ = reference(fields.get("m"), fields.get("a"))
    wish = Wish(Channel.SMS, str(recipient), True, received_s, "twilio:21610", message_id)
    return [wish]


def _read_keyword(fields: Mapping[str, Any], received_s: float) -> list[Wish]:
    """Read STOP and START: Twilio's own judgement where it tells it, else the words."""
    sender = text(fields.get("From"))
    if not _is_number(sender):
        return []
    judged = text(fields.get("OptOutType"))
    word = (judged or text(fields.get("Body")) or "").strip(" .!\"'\n").upper().replace("Ê", "E")
    if word in STOP_WORDS:
        return [Wish(Channel.SMS, str(sender), True, received_s, _SOURCE)]
    if word in START_WORDS:
        return [Wish(Channel.SMS, str(sender), False, received_s, _SOURCE)]
    return []


def _is_number(address: str | None) -> bool:
    return address is not None and address.startswith("+") and address[1:].isdecimal()
