"""Reading SendGrid's event webhook: what became of e-mails, and who wants no more. Pure.

Source: SendGrid's event reference as of September 2026. The custom arguments of the send come back
as fields of the event: `m` and `a` name the attempt.
"""

from collections.abc import Mapping
from typing import Any

from outbound_slo.vocabulary.errors import ErrorPolicy, Retryable, classify
from outbound_slo.vocabulary.statuses import Channel
from sender.news import News, Wish
from sender.receipts import Receipt, merge_all
from sender.wire import mappings, reference, seconds, text

STOPS = frozenset({"unsubscribe", "group_unsubscribe", "spamreport"})
RESUMES = frozenset({"group_resubscribe"})

OLDEST_S = 26 * 3600.0
"""Age in seconds beyond which a signed POST is taken for a replay: SendGrid tries for 24 hours."""

YOUNGEST_S = -300.0
"""How far in seconds SendGrid's clock may be ahead of ours."""


def is_timely(timestamp: str, now_s: float) -> bool:
    """Tell whether the signed time (epoch seconds) can be that of a POST which comes now."""
    try:
        age = now_s - int(timestamp)
    except ValueError:
        return False
    return YOUNGEST_S <= age <= OLDEST_S


def read_event_ids(body: object) -> list[str]:
    """Give the ids of a body's events; SendGrid repeats an event under its old id."""
    return [
        name for event in mappings(body) if (name := text(event.get("sg_event_id"))) is not None
    ]


def keep_events(body: object, names: set[str]) -> list[Mapping[str, Any]]:
    """Give the events with one of the ids, taken out of `names`, and those without an id."""
    kept: list[Mapping[str, Any]] = []
    for event in mappings(body):
        name = text(event.get("sg_event_id"))
        if name is None:
            kept.append(event)
        elif name in names:
            names.discard(name)
            kept.append(event)
    return kept


def read_sendgrid(body: object, received_s: float, policy: ErrorPolicy) -> News:
    """Read one webhook: an array of events, of which each may be of another message."""
    receipts: list[Receipt] = []
    wishes: list[Wish] = []
    for event in mappings(body):
        receipt = _read_receipt(event, received_s, policy)
        if receipt is not None:
            receipts.append(receipt)
        wish = _read_wish(event, received_s)
        if wish is not None:
            wishes.append(wish)
    return News(receipts=merge_all(receipts), wishes=wishes)


def _read_receipt(
    event: Mapping[str, Any], received_s: float, policy: ErrorPolicy
) -> Receipt | None:
    message_id, attempt_no = reference(event.get("m"), event.get("a"))
    # The answer to the send named the part before the dot.
    name = (text(event.get("sg_message_id")) or "").partition(".")[0]
    if not name:
        return None
    at = seconds(event.get("timestamp"), received_s)
    match event.get("event"):
        case "processed" | "deferred":
            return Receipt(name, message_id, attempt_no, sent_s=at)
        case "delivered":
            return Receipt(name, message_id, attempt_no, delivered_s=at)
        case "open" | "click":
            return Receipt(name, message_id, attempt_no, read_s=at)
        case "bounce" | "dropped" as kind:
            code = _find_code(kind, event)
            return Receipt(
                name,
                message_id,
                attempt_no,
                failed_s=at,
                error_code=code,
                error_message=text(event.get("reason")),
                close_budget=classify(code, None, policy).retryable is Retryable.NO,
            )
    return None


def _find_code(kind: str, event: Mapping[str, Any]) -> str:
    """Name a failure: events have no codes, but a bounce of type `blocked` may pass."""
    blocked = kind == "bounce" and event.get("type") == "blocked"
    return "sendgrid_blocked" if blocked else f"sendgrid_{kind}"


def _read_wish(event: Mapping[str, Any], received_s: float) -> Wish | None:
    kind, recipient = event.get("event"), text(event.get("email"))
    if recipient is None or "@" not in recipient or kind not in STOPS | RESUMES:
        return None
    message_id, _ = reference(event.get("m"), event.get("a"))
    at = seconds(event.get("timestamp"), received_s)
    source = "sendgrid:spamreport" if kind == "spamreport" else "sendgrid:unsubscribe"
    return Wish(Channel.EMAIL, recipient, kind in STOPS, at, source, message_id)
