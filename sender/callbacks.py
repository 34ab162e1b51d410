"""Reading webhooks: signatures over raw bytes, and what the bodies say. Pure.

Sources: Meta's and Twilio's webhook documentation as of September 2026; D12, D16, D17. One POST
may hold a thousand updates (T19), repeat old ones, and bring them in any order.
"""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from outbound_slo.vocabulary.errors import ErrorPolicy, Retryable, classify
from sender.storable import make_storable

TWILIO_DELIVERED = frozenset({"delivered", "read"})
TWILIO_FAILED = frozenset({"failed", "undelivered"})

_CLOCK_ERROR_S = 86400.0
_LARGEST_BIGINT = 2**63 - 1
_LARGEST_INTEGER = 2**31 - 1


class MalformedWebhookError(ValueError):
    """A body that is not what the provider documents; the text says where."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says of one attempt; times in epoch seconds, by the provider's clock."""

    provider_message_id: str
    message_id: int | None = None
    attempt_no: int | None = None
    sent_s: float | None = None
    delivered_s: float | None = None
    read_s: float | None = None
    failed_s: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    close_budget: bool = False


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from a recipient."""

    phone_number_id: str
    phone_number: str
    body: str
    provider_message_id: str
    at_s: float


def sign_meta(body: bytes, secret: str) -> str:
    """Give the value of X-Hub-Signature-256 for a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify_meta(body: bytes, signature: str, secrets: Iterable[str]) -> bool:
    """Tell whether one of the secrets made the signature; compared in constant time."""
    given = signature.encode()
    matches = [hmac.compare_digest(sign_meta(body, secret).encode(), given) for secret in secrets]
    return any(matches)


def sign_twilio(url: str, form: Mapping[str, str], token: str) -> str:
    """Give the value of X-Twilio-Signature for a form POST to a URL."""
    text = url + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def verify_twilio(url: str, form: Mapping[str, str], signature: str, token: str) -> bool:
    """Tell whether the token made the signature; compared in constant time."""
    return hmac.compare_digest(sign_twilio(url, form, token).encode(), signature.encode())


def read_json(raw: bytes) -> dict[str, Any]:
    """Decode a Meta webhook's body.

    Raises:
        MalformedWebhookError: It is no JSON object with a list `entry`.

    """
    try:
        body = make_storable(json.loads(raw, parse_constant=_finite, parse_float=_finite))
    except ValueError as error:
        raise MalformedWebhookError("the body is not JSON") from error
    except RecursionError as error:
        raise MalformedWebhookError("the body is nested too deeply") from error
    if not isinstance(body, dict):
        raise MalformedWebhookError("the body is not a JSON object")
    if not isinstance(body.get("entry"), list):
        raise MalformedWebhookError("the body has no list 'entry'")
    return body


def _finite(text: str) -> float:
    """Read a number; Python would take NaN, and 1e999 as infinity, which are none in JSON."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _values(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    entries = body.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        changes = entry.get("changes") if isinstance(entry, Mapping) else None
        for change in changes if isinstance(changes, list) else ():
            value = change.get("value") if isinstance(change, Mapping) else None
            if isinstance(value, Mapping):
                yield value


def _items(value: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    found = value.get(key)
    for item in found if isinstance(found, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("id"), str):
            yield item


def _seconds(item: Mapping[str, Any], received_s: float) -> float:
    """Read a time; one that is none, or lies beyond any clock's error, gives the arrival's."""
    try:
        at = float(str(item.get("timestamp")))
    except ValueError:
        return received_s
    return at if 0 <= at <= received_s + _CLOCK_ERROR_S else received_s


def read_reference(text: object) -> tuple[int | None, int | None]:
    """Read our own reference out of biz_opaque_callback_data; others' texts give nothing."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
        if isinstance(found, Mapping):
            message_id, attempt_no = int(found["m"]), int(found["a"])
            if 0 < message_id <= _LARGEST_BIGINT and 0 < attempt_no <= _LARGEST_INTEGER:
                return message_id, attempt_no
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        pass
    return None, None


def read_meta_receipts(
    body: Mapping[str, Any], received_s: float, policy: ErrorPolicy
) -> list[Receipt]:
    """Give one receipt per message that the body has statuses of, however many it has."""
    receipts: dict[str, Receipt] = {}
    for value in _values(body):
        for status in _items(value, "statuses"):
            name = status["id"]
            known = receipts.get(name)
            if known is None:
                reference = read_reference(status.get("biz_opaque_callback_data"))
                known = Receipt(name, *reference)
            receipts[name] = _add_status(known, status, _seconds(status, received_s), policy)
    return list(receipts.values())


def _add_status(
    receipt: Receipt, status: Mapping[str, Any], at: float, policy: ErrorPolicy
) -> Receipt:
    match status.get("status"):
        case "sent":
            return replace(receipt, sent_s=_earlier(receipt.sent_s, at))
        case "delivered":
            return replace(receipt, delivered_s=_earlier(receipt.delivered_s, at))
        case "read" | "played":
            return replace(receipt, read_s=_earlier(receipt.read_s, at))
        case "failed":
            code, text = _first_error(status)
            final = classify(code, None, policy).retryable is Retryable.NO
            return replace(
                receipt,
                failed_s=_earlier(receipt.failed_s, at),
                error_code=code,
                error_message=text,
                close_budget=final,
            )
    return receipt


def _earlier(known: float | None, at: float) -> float:
    return at if known is None else min(known, at)


def _first_error(status: Mapping[str, Any]) -> tuple[str | None, str | None]:
    errors = status.get("errors")
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], Mapping):
        return None, None
    code = errors[0].get("code")
    text = errors[0].get("title") or errors[0].get("message")
    return None if code is None else str(code), None if text is None else str(text)[:500]


def read_meta_inbound(body: Mapping[str, Any], received_s: float) -> list[Inbound]:
    """Give the messages that recipients wrote to us; numbers with `+`."""
    found: list[Inbound] = []
    for value in _values(body):
        metadata = value.get("metadata")
        number_id = metadata.get("phone_number_id", "") if isinstance(metadata, Mapping) else ""
        for message in _items(value, "messages"):
            text = message.get("text")
            content = str(text.get("body", "")) if isinstance(text, Mapping) else ""
            sender = message.get("from")
            if isinstance(sender, str) and sender:
                number = "+" + sender.lstrip("+")
                at = _seconds(message, received_s)
                found.append(Inbound(str(number_id), number, content, message["id"], at))
    return found


def read_twilio_receipt(
    body: Mapping[str, Any], received_s: float, policy: ErrorPolicy
) -> list[Receipt]:
    """Read a Twilio status callback, as stored: the form's fields plus the query's `m` and `a`."""
    sid, status = body.get("MessageSid"), body.get("MessageStatus")
    if not isinstance(sid, str) or not isinstance(status, str):
        return []
    reference = read_reference(json.dumps({"m": body.get("m"), "a": body.get("a")}))
    receipt = Receipt(sid, *reference)
    if status in TWILIO_DELIVERED:
        return [replace(receipt, delivered_s=received_s)]
    if status in TWILIO_FAILED:
        code = str(body.get("ErrorCode") or "") or None
        final = classify(code, None, policy).retryable is Retryable.NO
        return [replace(receipt, failed_s=received_s, error_code=code, close_budget=final)]
    return [replace(receipt, sent_s=received_s)] if status == "sent" else []


def read_receipts(
    provider: str, body: Mapping[str, Any], received_s: float, policy: ErrorPolicy
) -> Sequence[Receipt]:
    """Read a stored webhook of either provider."""
    if provider == "twilio":
        return read_twilio_receipt(body, received_s, policy)
    return read_meta_receipts(body, received_s, policy)
