"""Meta's webhook bodies: status updates and inbound messages.

Source: Meta's webhook reference (messages field, status object), September 2026. From v24.0 on
the conversation object is left out; a failed status comes without contacts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from outbound_slo.simulator.meta import title_of, to_wa_id

_CONVERSATION_LAST_VERSION = 23
_ERRORS_PAGE = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"


class StatusUpdate(NamedTuple):
    """One step of a message's life, as Meta tells it.

    Attributes:
        wa_id: The recipient as Meta names it.
        occurred_at: Epoch seconds.
        error_code: Set with status failed only.

    """

    phone_number_id: str
    message_id: str
    status: str
    wa_id: str
    occurred_at: float
    category: str = "service"
    callback_data: str | None = None
    error_code: int | None = None


class InboundText(NamedTuple):
    """A text message from a user to the business; `sent_at` in epoch seconds."""

    phone_number_id: str
    message_id: str
    sender: str
    name: str
    text: str
    sent_at: float


def build_status(update: StatusUpdate, webhook_version: int) -> dict[str, object]:
    """Build one entry of `statuses[]`."""
    status: dict[str, object] = {
        "id": update.message_id,
        "status": update.status,
        "timestamp": str(int(update.occurred_at)),
        "recipient_id": update.wa_id,
    }
    if update.callback_data is not None:
        status["biz_opaque_callback_data"] = update.callback_data
    if update.status in ("sent", "delivered"):
        free = update.category == "service"
        if webhook_version <= _CONVERSATION_LAST_VERSION:
            conversation: dict[str, object] = {
                "id": update.message_id[-32:],
                "origin": {"type": update.category},
            }
            if update.status == "sent":
                conversation["expiration_timestamp"] = str(int(update.occurred_at) + 86_400)
            status["conversation"] = conversation
        status["pricing"] = {
            "billable": not free,
            "pricing_model": "PMP",
            "type": "free_customer_service" if free else "regular",
            "category": update.category,
        }
    if update.error_code is not None:
        title = title_of(update.error_code)
        status["errors"] = [
            {
                "code": update.error_code,
                "title": title,
                "message": title,
                "error_data": {"details": f"{title}: decided by the simulator"},
                "href": _ERRORS_PAGE,
            }
        ]
    return status


def build_status_change(
    updates: Sequence[StatusUpdate], display_number: str, webhook_version: int
) -> dict[str, object]:
    """Build one change with the statuses of one business number, in the order given."""
    value: dict[str, object] = {
        "messaging_product": "whatsapp",
        "metadata": build_metadata(updates[0].phone_number_id, display_number),
    }
    contacts = {update.wa_id: None for update in updates if update.status != "failed"}
    if contacts:
        value["contacts"] = [
            {"profile": {"name": f"User {wa_id[-4:]}"}, "wa_id": wa_id} for wa_id in contacts
        ]
    value["statuses"] = [build_status(update, webhook_version) for update in updates]
    return {"value": value, "field": "messages"}


def build_inbound_change(message: InboundText, display_number: str) -> dict[str, object]:
    """Build one change with one inbound text."""
    wa_id = to_wa_id(message.sender)
    return {
        "value": {
            "messaging_product": "whatsapp",
            "metadata": build_metadata(message.phone_number_id, display_number),
            "contacts": [{"profile": {"name": message.name}, "wa_id": wa_id}],
            "messages": [
                {
                    "from": wa_id,
                    "id": message.message_id,
                    "timestamp": str(int(message.sent_at)),
                    "text": {"body": message.text},
                    "type": "text",
                }
            ],
        },
        "field": "messages",
    }


def build_notification(
    account_id: str, changes: Sequence[Mapping[str, object]], triggered_at: float | None = None
) -> dict[str, object]:
    """Wrap changes as the body of one POST; those about the account itself say their time."""
    entry: dict[str, object] = {"id": account_id, "changes": list(changes)}
    if triggered_at is not None:
        entry["time"] = int(triggered_at)
    return {"object": "whatsapp_business_account", "entry": [entry]}


def build_metadata(phone_number_id: str, display_number: str) -> dict[str, str]:
    """Build what says which business number a change is about."""
    return {"display_phone_number": display_number, "phone_number_id": phone_number_id}
