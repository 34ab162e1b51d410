"""Meta's webhook bodies against the schema written from its documentation."""

import pytest
from jsonschema import ValidationError

from outbound_slo.simulator.meta_webhooks import (
    InboundText,
    StatusUpdate,
    build_inbound_change,
    build_notification,
    build_status,
    build_status_change,
)
from tests.provider_schemas import check_shape

DISPLAY = "15550783881"
UPDATE = StatusUpdate(
    phone_number_id="106540352242922",
    message_id="wamid.HRw/QVsCShRs8NmKmOHPmZZh",
    status="sent",
    wa_id="33612345678",
    occurred_at=1_795_000_000.9,
    category="utility",
    callback_data='{"m": 41, "a": 2}',
)
FAILED = UPDATE._replace(status="failed", error_code=131026)


@pytest.mark.parametrize("version", [23, 26])
@pytest.mark.parametrize("status", ["sent", "delivered", "read"])
def test_every_status_has_metas_shape(status: str, version: int) -> None:
    change = build_status_change([UPDATE._replace(status=status)], DISPLAY, version)
    check_shape("meta_notification", build_notification("102290129340398", [change]))


def test_a_failed_status_carries_the_error_and_no_contacts() -> None:
    change = build_status_change([FAILED], DISPLAY, 26)
    check_shape("meta_notification", build_notification("102290129340398", [change]))
    assert "contacts" not in str(change)
    assert "'code': 131026" in str(change)


def test_the_schema_refuses_an_error_on_a_status_that_did_not_fail() -> None:
    change = build_status_change([FAILED._replace(status="delivered")], DISPLAY, 26)
    with pytest.raises(ValidationError):
        check_shape("meta_notification", build_notification("102290129340398", [change]))


def test_times_are_strings_of_whole_seconds_and_recipients_have_no_plus() -> None:
    status = build_status(UPDATE, 26)
    assert status["timestamp"] == "1795000000"
    assert status["recipient_id"] == "33612345678"


def test_callback_data_comes_back_as_it_was_given_or_not_at_all() -> None:
    assert build_status(UPDATE, 26)["biz_opaque_callback_data"] == '{"m": 41, "a": 2}'
    without = build_status(UPDATE._replace(callback_data=None), 26)
    assert "biz_opaque_callback_data" not in without


@pytest.mark.parametrize(("version", "present"), [(23, True), (24, False)])
def test_the_conversation_is_left_out_from_version_24_on(version: int, present: bool) -> None:
    assert ("conversation" in build_status(UPDATE, version)) is present


def test_only_the_sent_status_says_when_the_conversation_ends() -> None:
    assert "expiration_timestamp" in str(build_status(UPDATE, 23))
    assert "expiration_timestamp" not in str(build_status(UPDATE._replace(status="delivered"), 23))


def test_read_comes_without_a_price() -> None:
    assert "pricing" in build_status(UPDATE, 26)
    assert "pricing" not in build_status(UPDATE._replace(status="read"), 26)


def test_several_statuses_share_a_change_in_their_order() -> None:
    updates = [UPDATE._replace(status=status) for status in ("delivered", "sent")]
    change = build_status_change(updates, DISPLAY, 26)
    check_shape("meta_notification", build_notification("102290129340398", [change]))
    value = change["value"]
    assert isinstance(value, dict)
    assert [status["status"] for status in value["statuses"]] == ["delivered", "sent"]
    assert len(value["contacts"]) == 1


def test_an_inbound_text_has_metas_shape() -> None:
    message = InboundText("106540352242922", "wamid.HR", "+33612345678", "Ana", "Hi", 1.795e9)
    change = build_inbound_change(message, DISPLAY)
    check_shape("meta_notification", build_notification("102290129340398", [change]))
    assert "'from': '33612345678'" in str(change)
    assert "'name': 'Ana'" in str(change)
