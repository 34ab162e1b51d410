"""Reading Meta's webhooks: statuses, inbound messages, wishes. Pure.

Source: Meta's Cloud API webhook reference as of September 2026; T19: one POST may hold a thousand
updates, repeat old ones, and bring them in any order.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from outbound_slo.vocabulary.errors import ErrorPolicy, Retryable, classify
from outbound_slo.vocabulary.statuses import Channel
from sender.meta_notices import read_notices, read_templates
from sender.news import Inbound, News, Wish
from sender.receipts import Receipt, merge
from sender.wire import mapping, mappings, reference, seconds, text

_NO_REFERENCE = (None, None)


def read_meta(body: object, received_s: float, policy: ErrorPolicy) -> News:
    """Read one webhook; what it has of unknown kinds is passed over."""
    return News(
        receipts=read_meta_receipts(body, received_s, policy),
        inbound=read_meta_inbound(body, received_s),
        wishes=read_meta_wishes(body, received_s),
        notices=read_notices(body, received_s),
        templates=read_templates(body, received_s),
    )


def read_reference(opaque: object) -> tuple[int | None, int | None]:
    """Read our own reference out of biz_opaque_callback_data; others' texts give nothing."""
    if not isinstance(opaque, str) or not opaque.startswith("{"):
        return _NO_REFERENCE
    try:
        found = orjson.loads(opaque)
    except orjson.JSONDecodeError:
        return _NO_REFERENCE
    return reference(found.get("m"), found.get("a")) if isinstance(found, dict) else _NO_REFERENCE


def read_meta_receipts(body: object, received_s: float, policy: ErrorPolicy) -> list[Receipt]:
    """Give one receipt per message that the body has statuses of, however many it has."""
    receipts: dict[str, Receipt] = {}
    for value in _values(body):
        for status in mappings(value.get("statuses")):
            receipt = _read_status(status, received_s, policy)
            if receipt is not None:
                name = receipt.provider_message_id
                known = receipts.get(name)
                receipts[name] = receipt if known is None else merge(known, receipt)
    return list(receipts.values())


def _read_status(
    status: Mapping[str, Any], received_s: float, policy: ErrorPolicy
) -> Receipt | None:
    name = status.get("id")
    if not isinstance(name, str):
        return None
    at = seconds(status.get("timestamp"), received_s)
    message_id, attempt_no = read_reference(status.get("biz_opaque_callback_data"))
    match status.get("status"):
        case "sent":
            return Receipt(name, message_id, attempt_no, sent_s=at)
        case "delivered":
            return Receipt(name, message_id, attempt_no, delivered_s=at)
        case "read" | "played":
            return Receipt(name, message_id, attempt_no, read_s=at)
        case "failed":
            code, words = _read_error(status)
            return Receipt(
                name,
                message_id,
                attempt_no,
                failed_s=at,
                error_code=code,
                error_message=words,
                close_budget=classify(code, None, policy).retryable is Retryable.NO,
            )
    return None


def _read_error(status: Mapping[str, Any]) -> tuple[str | None, str | None]:
    for error in mappings(status.get("errors")):
        return text(error.get("code")), text(error.get("title")) or text(error.get("message"))
    return None, None


def read_meta_inbound(body: object, received_s: float) -> list[Inbound]:
    """Give the messages that recipients wrote to us; numbers with `+`."""
    found: list[Inbound] = []
    for value in _values(body):
        for message in mappings(value.get("messages")):
            name, sender = message.get("id"), message.get("from")
            if isinstance(name, str) and isinstance(sender, str) and sender:
                content = mapping(message.get("text")).get("body", "")
                at = seconds(message.get("timestamp"), received_s)
                inbound = Inbound(_number_id(value), _plus(sender), str(content), name, at)
                found.append(inbound)
    return found


def read_meta_wishes(body: object, received_s: float) -> list[Wish]:
    """Give who stopped or resumed marketing messages; for us that holds for every message."""
    found: list[Wish] = []
    for value in _values(body):
        for preference in mappings(value.get("user_preferences")):
            number, wanted = text(preference.get("wa_id")), preference.get("value")
            if number is None or not number.lstrip("+").isdecimal():
                continue
            if wanted in ("stop", "resume"):
                found.append(
                    Wish(
                        Channel.WHATSAPP,
                        _plus(number),
                        stop=wanted == "stop",
                        at_s=seconds(preference.get("timestamp"), received_s),
                        source="whatsapp:user_preferences",
                        phone_number_id=_number_id(value),
                    )
                )
    return found


def _values(body: object) -> Iterator[Mapping[str, Any]]:
    for entry in mappings(mapping(body).get("entry")):
        for change in mappings(entry.get("changes")):
            yield mapping(change.get("value"))


def _number_id(value: Mapping[str, Any]) -> str:
    return text(mapping(value.get("metadata")).get("phone_number_id")) or ""


def _plus(number: str) -> str:
    return "+" + number.lstrip("+")
