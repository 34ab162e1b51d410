"""Meta's webhooks about the account rather than a message: templates, restrictions, preferences.

Source: Meta's webhook reference, one page per field, September 2026. What an order leaves out is
filled with the example that the page gives for the kind of event.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class NoticeField(StrEnum):
    """The webhook fields that can be posted on demand."""

    TEMPLATE_STATUS = "message_template_status_update"
    TEMPLATE_QUALITY = "message_template_quality_update"
    ACCOUNT_UPDATE = "account_update"
    ACCOUNT_REVIEW = "account_review_update"
    ACCOUNT_ALERTS = "account_alerts"
    CAPABILITY = "business_capability_update"
    NUMBER_QUALITY = "phone_number_quality_update"
    NUMBER_NAME = "phone_number_name_update"
    USER_PREFERENCES = "user_preferences"


class NoticeOrder(BaseModel):
    """The body of `POST /_control/notices`.

    Attributes:
        field: Meta's name of the webhook field.
        value: What differs from the example: keys of Meta's `value` object. Of a user's
            preference, `wa_id` and `value` (stop or resume) are enough.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: NoticeField
    value: dict[str, object] = Field(default_factory=dict)


class Notice(NamedTuple):
    """One change that concerns no message; `triggered_at` in epoch seconds."""

    field: NoticeField
    value: Mapping[str, object]
    triggered_at: float


_TEMPLATE = {
    "message_template_id": 900_000_000_000_001,
    "message_template_name": "appointment_reminder",
    "message_template_language": "en",
}
_TEMPLATE_EVENTS: Mapping[str, Mapping[str, object]] = {
    "PAUSED": {
        "reason": "NONE",
        "other_info": {
            "title": "FIRST_PAUSE",
            "description": "The template is paused for 3 hours because of its low quality.",
        },
    },
    "DISABLED": {"reason": "NONE", "disable_info": {"disable_date": "1795000000"}},
    "REJECTED": {"reason": "INVALID_FORMAT"},
}
_EXAMPLES: Mapping[NoticeField, Mapping[str, object]] = {
    NoticeField.TEMPLATE_STATUS: {**_TEMPLATE, "message_template_category": "UTILITY"},
    NoticeField.TEMPLATE_QUALITY: {
        "previous_quality_score": "GREEN",
        "new_quality_score": "YELLOW",
        **_TEMPLATE,
    },
    NoticeField.ACCOUNT_REVIEW: {"decision": "APPROVED"},
    NoticeField.ACCOUNT_ALERTS: {
        "entity_type": "PHONE_NUMBER",
        "alert_info": {
            "alert_severity": "WARNING",
            "alert_status": "ACTIVE",
            "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED",
            "alert_description": "The messaging limit is not raised for now.",
        },
    },
    NoticeField.CAPABILITY: {
        "max_daily_conversations_per_business": 2000,
        "max_phone_numbers_per_waba": 25,
    },
    NoticeField.NUMBER_QUALITY: {
        "event": "FLAGGED",
        "current_limit": "TIER_2K",
        "max_daily_conversations_per_business": "TIER_2K",
    },
    NoticeField.NUMBER_NAME: {
        "decision": "APPROVED",
        "requested_verified_name": "Simulated Business",
        "rejection_reason": None,
    },
}
_SHORT_PREFERENCE = frozenset({"wa_id", "value"})
_ACCOUNT_EVENTS: Mapping[str, Mapping[str, object]] = {
    "ACCOUNT_VIOLATION": {"violation_info": {"violation_type": "ADULT"}},
    "ACCOUNT_RESTRICTION": {
        "restriction_info": [
            {
                "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING",
                "expiration": 1_795_000_000,
            }
        ]
    },
    "DISABLED_UPDATE": {
        "ban_info": {"waba_ban_state": "DISABLE", "waba_ban_date": "December 4, 2026"}
    },
}


def build_notice(order: NoticeOrder, metadata: Mapping[str, str], now: float) -> Notice:
    """Fill an order up to what Meta posts; `now` in epoch seconds."""
    example = _build_example(order, metadata, int(now))
    given = order.value
    if order.field is NoticeField.USER_PREFERENCES:
        given = {key: given[key] for key in given if key not in _SHORT_PREFERENCE}
    return Notice(order.field, {**example, **given}, now)


def _build_example(
    order: NoticeOrder, metadata: Mapping[str, str], now: int
) -> Mapping[str, object]:
    """Build the example of a field that fits what the order says."""
    match order.field:
        case NoticeField.TEMPLATE_STATUS:
            event = str(order.value.get("event", "APPROVED"))
            fitting = {"event": event, **_TEMPLATE_EVENTS.get(event, {"reason": "NONE"})}
        case NoticeField.ACCOUNT_UPDATE:
            event = str(order.value.get("event", "ACCOUNT_RESTRICTION"))
            fitting = {"event": event, **_ACCOUNT_EVENTS.get(event, {})}
        case NoticeField.ACCOUNT_ALERTS:
            fitting = {"entity_id": metadata["phone_number_id"]}
        case NoticeField.NUMBER_QUALITY | NoticeField.NUMBER_NAME:
            fitting = {"display_phone_number": metadata["display_phone_number"]}
        case NoticeField.USER_PREFERENCES:
            wa_id = str(order.value.get("wa_id", "33612345678"))
            wish = str(order.value.get("value", "stop"))
            fitting = _build_preference(wa_id, wish, metadata, now)
        case _:
            fitting = {}
    return {**_EXAMPLES.get(order.field, {}), **fitting}


def _build_preference(
    wa_id: str, wish: str, metadata: Mapping[str, str], now: int
) -> dict[str, object]:
    """Build a user's wish about marketing messages: stop or resume."""
    return {
        "messaging_product": "whatsapp",
        "metadata": dict(metadata),
        "contacts": [{"profile": {"name": f"User {wa_id[-4:]}"}, "wa_id": wa_id}],
        "user_preferences": [
            {
                "wa_id": wa_id,
                "detail": f"User requested to {wish} marketing messages",
                "category": "marketing_messages",
                "value": wish,
                "timestamp": now,
            }
        ],
    }
