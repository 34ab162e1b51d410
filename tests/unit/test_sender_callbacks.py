import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.meta_callbacks import read_meta, read_meta_inbound, read_meta_receipts, read_reference
from sender.receipts import Receipt
from sender.twilio_callbacks import read_twilio_receipt
from sender.wire import MalformedWebhookError, decode

POLICY = ErrorPolicy.RUNBOOK


def _status(name: str, status: str, at: int, **more: object) -> dict[str, object]:
    return {"id": name, "status": status, "timestamp": str(at), "recipient_id": "33"} | more


def _post(*statuses: dict[str, object], messages: list[Any] | None = None) -> dict[str, Any]:
    value: dict[str, object] = {"metadata": {"phone_number_id": "10001"}}
    if statuses:
        value["statuses"] = list(statuses)
    if messages:
        value["messages"] = messages
    change = {"field": "messages", "value": value}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [change]}],
    }


def test_a_thousand_statuses_in_one_post_are_all_read() -> None:
    statuses = [_status(f"wamid.{n}", "sent", 1700000000) for n in range(1000)]
    assert len(read_meta_receipts(_post(*statuses), 0.0, POLICY)) == 1000


def test_statuses_of_one_message_become_one_receipt_in_any_order() -> None:
    mine = '{"m":7,"a":2}'
    first = _status("wamid.1", "sent", 100, biz_opaque_callback_data=mine)
    second = _status("wamid.1", "delivered", 103)
    third = _status("wamid.1", "read", 110)
    for order in ((first, second, third), (third, first, second), (second, second, third, first)):
        [receipt] = read_meta_receipts(_post(*order), 0.0, POLICY)
        assert (receipt.sent_s, receipt.delivered_s, receipt.read_s) == (100, 103, 110)


def test_our_reference_is_read_and_a_strangers_is_ignored() -> None:
    [ours] = read_meta_receipts(
        _post(_status("a", "sent", 1, biz_opaque_callback_data='{"m":7,"a":2}')), 0.0, POLICY
    )
    assert (ours.message_id, ours.attempt_no) == (7, 2)
    for text in ("campaign-7", '{"m":"x","a":1}', "[1]", 7, None):
        [theirs] = read_meta_receipts(
            _post(_status("a", "sent", 1, biz_opaque_callback_data=text)), 0.0, POLICY
        )
        assert (theirs.message_id, theirs.attempt_no) == (None, None)


@pytest.mark.parametrize(("code", "closes"), [(131026, False), (131021, True)])
def test_a_failed_status_closes_the_budget_only_if_no_retry_can_help(
    code: int, *, closes: bool
) -> None:
    failed = _status("a", "failed", 5, errors=[{"code": code, "title": "no"}])
    [receipt] = read_meta_receipts(_post(failed), 0.0, POLICY)
    assert (receipt.error_code, receipt.failed_s) == (str(code), 5)
    assert receipt.close_budget is closes


def test_an_inbound_message_is_read_with_its_number() -> None:
    message = {"id": "wamid.in", "from": "33612345678", "timestamp": "9", "text": {"body": "Hi"}}
    [inbound] = read_meta_inbound(_post(messages=[message]), 0.0)
    assert (inbound.phone_number, inbound.phone_number_id) == ("+33612345678", "10001")
    assert (inbound.body, inbound.at_s) == ("Hi", 9)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"{", "not JSON"),
        (b'{"entry": [], "x": NaN}', "not JSON"),
        (b'{"entry": [], "x": -Infinity}', "not JSON"),
        (b'{"entry": [], "x": 1e999}', "not JSON"),
        (b'{"entry": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_malformed_body_is_named(raw: bytes, text: str) -> None:
    with pytest.raises(MalformedWebhookError, match=text):
        decode(raw)


def test_a_nul_that_the_database_could_not_store_is_left_out() -> None:
    body = decode(json.dumps({"entry": [], "note": "a\x00b"}).encode())
    assert body["note"] == "ab"


def test_a_text_that_only_speaks_of_a_nul_is_kept() -> None:
    body = decode(json.dumps({"entry": [], "note": "a\\u0000b"}).encode())
    assert body["note"] == "a\\u0000b"


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert decode(b'{"entry": [], "note": "a\\ud83d", "\\udfff": 1}') == {
        "entry": [],
        "note": "a?",
        "?": 1,
    }


@pytest.mark.parametrize(
    "reference",
    [
        '{"m":1e999,"a":1}',
        '{"m":NaN,"a":1}',
        '{"m":9223372036854775808,"a":1}',
        '{"m":1,"a":2147483648}',
        '{"m":0,"a":1}',
        '{"m":1,"a":-1}',
        '{"m":[],"a":{}}',
        "[" * 100_000,
    ],
)
def test_a_reference_that_no_attempt_can_have_is_none(reference: str) -> None:
    assert read_reference(reference) == (None, None)


@pytest.mark.parametrize("time", ["nan", "inf", "1e300", "-1", -1e300, [1], None, 2 * 86400 + 51])
def test_a_time_that_no_clock_can_have_told_becomes_the_arrivals(time: object) -> None:
    status = _status("a", "delivered", 0, timestamp=time)
    [receipt] = read_meta_receipts(_post(status), 86400.0 + 50, POLICY)
    assert receipt.delivered_s == 86400.0 + 50


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["entry", "changes", "value", "statuses", "messages", "id", "errors"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["entry", "object"]), anything))
def test_no_shape_of_json_crashes_the_readers(body: dict[str, object]) -> None:
    read_meta(body, 0.0, POLICY)


def test_twilio_statuses_become_receipts() -> None:
    def read(status: str, **more: str) -> list[Receipt]:
        body = {"MessageSid": "SM1", "MessageStatus": status, "m": "7", "a": "1"} | more
        return read_twilio_receipt(body, 50.0, POLICY)

    assert read("queued") == []
    assert read("sent")[0].sent_s == 50.0
    assert read("delivered")[0].delivered_s == 50.0
    [failed] = read("undelivered", ErrorCode="21610")
    assert (failed.failed_s, failed.error_code, failed.close_budget) == (50.0, "21610", True)
    assert (failed.message_id, failed.attempt_no) == (7, 1)
