"""Meta's webhooks about the account against the schema written from its reference."""

import json

import pytest
from jsonschema import ValidationError
from pydantic import ValidationError as OrderError

from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.meta_notices import NoticeField, NoticeOrder, build_notice
from outbound_slo.simulator.packing import Address, Packer
from outbound_slo.simulator.signatures import create_event_key, sign_meta
from tests.provider_schemas import check_shape

METADATA = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
ADDRESS = Address("http://127.0.0.1:1/", "secret", "token", "102290129340398", create_event_key())
PACKER = Packer(ADDRESS, create_rng(1), lambda: 1.795e9)


def post(field: NoticeField, **value: object) -> dict[str, object]:
    """Give the value of an order's webhook, once its whole body has Meta's shape."""
    notice = build_notice(NoticeOrder(field=field, value=value), METADATA, 1_795_000_000.5)
    parcel = PACKER.pack_single(notice)
    body = json.loads(parcel.body)
    check_shape("meta_notice", body)
    assert parcel.headers["X-Hub-Signature-256"] == sign_meta(parcel.body, "secret")
    (change,) = body["entry"][0]["changes"]
    assert change["field"] == field.value
    found: dict[str, object] = change["value"]
    return found


@pytest.mark.parametrize("field", NoticeField)
def test_every_field_has_metas_shape_without_being_told_more(field: NoticeField) -> None:
    assert post(field)


@pytest.mark.parametrize("event", ["APPROVED", "PAUSED", "DISABLED", "REJECTED", "FLAGGED"])
def test_a_templates_event_brings_what_belongs_to_it(event: str) -> None:
    value = post(NoticeField.TEMPLATE_STATUS, event=event, message_template_name="visit")
    assert (value["event"], value["message_template_name"]) == (event, "visit")
    assert ("other_info" in value) is (event == "PAUSED")
    assert ("disable_info" in value) is (event == "DISABLED")


@pytest.mark.parametrize(
    ("event", "detail"),
    [
        ("ACCOUNT_VIOLATION", "violation_info"),
        ("ACCOUNT_RESTRICTION", "restriction_info"),
        ("DISABLED_UPDATE", "ban_info"),
    ],
)
def test_an_accounts_event_brings_what_belongs_to_it(event: str, detail: str) -> None:
    assert set(post(NoticeField.ACCOUNT_UPDATE, event=event)) == {"event", detail}


def test_a_users_wish_needs_only_number_and_word() -> None:
    value = post(NoticeField.USER_PREFERENCES, wa_id="33687654321", value="resume")
    assert value["user_preferences"] == [
        {
            "wa_id": "33687654321",
            "value": "resume",
            "detail": "User requested to resume marketing messages",
            "category": "marketing_messages",
            "timestamp": 1_795_000_000,
        }
    ]


def test_what_an_order_says_replaces_the_example() -> None:
    value = post(NoticeField.CAPABILITY, max_daily_conversations_per_business=100_000)
    assert value["max_daily_conversations_per_business"] == 100_000


def test_the_schema_refuses_a_value_of_another_field() -> None:
    notice = build_notice(NoticeOrder(field=NoticeField.ACCOUNT_REVIEW), METADATA, 1.795e9)
    wrong = notice._replace(field=NoticeField.ACCOUNT_ALERTS)
    with pytest.raises(ValidationError):
        check_shape("meta_notice", json.loads(PACKER.pack_single(wrong).body))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(OrderError, match="field"):
        NoticeOrder.model_validate({"field": "flows", "value": {}})
