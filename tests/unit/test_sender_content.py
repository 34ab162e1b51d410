import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.vocabulary.statuses import Channel
from sender.content import (
    EMAIL_BYTES,
    EMAIL_SUBJECT,
    SMS_TEXT,
    TEMPLATE_NAME,
    TEMPLATE_PARAMETER,
    WHATSAPP_TEXT,
    find_fault,
)
from sender.outbox import ClaimedMessage
from sender.providers.sendgrid import build_body as build_email
from sender.providers.twilio import compose_text
from sender.providers.whatsapp import build_body
from tests.unit.test_sender_rules import GOOD

W, S, E = Channel.WHATSAPP, Channel.SMS, Channel.EMAIL

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def _name(value: object) -> str | None:
    """Keep long texts out of the names of tests."""
    return "long" if isinstance(value, str) and len(value) > 60 else None


payloads = json_values | st.fixed_dictionaries(
    {}, optional={"text": json_values, "language": json_values, "parameters": json_values}
)


def _fault(
    channel: Channel,
    payload: object = None,
    *,
    template: str | None = None,
    subject: str | None = None,
) -> str | None:
    found = find_fault(channel, template_code=template, subject=subject, payload=payload)
    if found is None:
        return None
    assert found.mend
    return found.what


@pytest.mark.parametrize(
    ("channel", "template", "subject", "payload"),
    [
        (W, "reminder", None, None),
        (W, "reminder", None, {}),
        (W, "reminder", None, {"language": "pt_BR", "parameters": ["Ada", 3, 4.5]}),
        (W, "reminder", None, {"language": "fil", "parameters": []}),
        (W, "reminder", None, {"anything": {"else": [1]}}),
        (W, "n" * TEMPLATE_NAME, None, {"parameters": ["x" * TEMPLATE_PARAMETER]}),
        (W, "reminder", None, {"parameters": ["four    spaces"]}),
        (W, None, None, {"text": "x" * WHATSAPP_TEXT}),
        (W, None, None, {"text": "two\nlines"}),
        # 001's fallback queues a subject alone.
        (S, None, "[WhatsApp Fallback] Your appointment", None),
        (S, None, None, {"text": "x" * SMS_TEXT}),
        (S, "reminder", None, {"text": "Hello"}),
        (E, None, "s" * EMAIL_SUBJECT, {"text": "Hello"}),
        (E, None, "Subject", None),
        (E, None, None, {"text": "é" * (EMAIL_BYTES // 2)}),
    ],
    ids=_name,
)
def test_content_within_the_limits_has_no_fault(
    channel: Channel, template: str | None, subject: str | None, payload: object
) -> None:
    assert _fault(channel, payload, template=template, subject=subject) is None


@pytest.mark.parametrize(
    ("channel", "template", "subject", "payload", "said"),
    [
        (W, None, None, None, "There is no content"),
        (W, None, None, {"text": "  "}, "There is no content"),
        (W, None, None, {"text": None}, "There is no content"),
        (W, "", None, {}, "There is no content"),
        (S, "reminder", None, {}, "There is no content"),
        (E, "reminder", " ", None, "There is no content"),
        (W, "reminder", None, ["Ada"], "a JSON array, not an object"),
        (W, "reminder", None, "Ada", "a JSON string, not an object"),
        (W, "reminder", None, 7, "a JSON number, not an object"),
        (W, "reminder", None, True, "a JSON boolean, not an object"),
        (S, None, None, {"text": 7}, "text is a JSON number"),
        (S, None, "Subject", {"text": {"a": 1}}, "text is a JSON object"),
        (
            W,
            None,
            None,
            {"text": "x" * (WHATSAPP_TEXT + 1)},
            "4097 characters, whatsapp takes 4096",
        ),
        (S, None, None, {"text": "x" * (SMS_TEXT + 1)}, "1601 characters, sms takes 1600"),
        (S, None, "x" * (SMS_TEXT + 1), None, "1601 characters, sms takes 1600"),
        (E, None, "s" * (EMAIL_SUBJECT + 1), {"text": "Hello"}, "an e-mail takes 998"),
        (E, None, "two\nlines", {"text": "Hello"}, "line break"),
        (E, None, "two\rlines", {"text": "Hello"}, "line break"),
        (E, None, "Subject", {"text": "é" * (EMAIL_BYTES // 2 + 1)}, "more than 30000000 bytes"),
        (W, "n" * (TEMPLATE_NAME + 1), None, {}, "513 characters, a template's name 512"),
        (W, "reminder", None, {"language": "en-US"}, "language is 'en-US'"),
        (W, "reminder", None, {"language": 1}, "language is 1"),
        (W, "reminder", None, {"parameters": "Ada"}, "parameters are a JSON string"),
        (W, "reminder", None, {"parameters": {"1": "Ada"}}, "parameters are a JSON object"),
        (W, "reminder", None, {"parameters": ["Ada", None]}, "parameter 2 is a JSON null"),
        (W, "reminder", None, {"parameters": [True]}, "parameter 1 is a JSON boolean"),
        (W, "reminder", None, {"parameters": [["Ada"]]}, "parameter 1 is a JSON array"),
        (W, "reminder", None, {"parameters": [""]}, "parameter 1 is empty"),
        (W, "reminder", None, {"parameters": ["a\nb"]}, "line break, a tab"),
        (W, "reminder", None, {"parameters": ["a\tb"]}, "line break, a tab"),
        (W, "reminder", None, {"parameters": ["five     spaces"]}, "four spaces in a row"),
        (W, "reminder", None, {"parameters": ["x" * (TEMPLATE_PARAMETER + 1)]}, "takes 32768"),
        (W, "reminder", None, {"parameters": ["a\x00b"]}, "holds a NUL"),
        (S, None, None, {"text": "a\udc80b"}, "half a surrogate pair"),
        (E, None, "a\x00b", {"text": "Hello"}, "The subject holds a NUL"),
        (W, "a\udc80b", None, None, "The template code holds a NUL or half"),
        (W, "reminder", "a\udc80b", None, "The subject holds a NUL or half"),
    ],
    ids=_name,
)
def test_content_that_breaks_a_limit_is_told_what_and_how_much(
    channel: Channel, template: str | None, subject: str | None, payload: object, said: str
) -> None:
    found = _fault(channel, payload, template=template, subject=subject)
    assert found is not None
    assert said in found


def _claimed(channel: Channel, template: str | None, payload: Any) -> ClaimedMessage:  # noqa: ANN401 - JSON from a row
    values = {name: getattr(GOOD, name) for name in ClaimedMessage.__slots__}
    changed = {"channel": channel.value, "template_code": template, "payload_json": payload}
    return ClaimedMessage(**(values | changed))


@given(st.sampled_from(Channel), st.none() | st.text(max_size=8), payloads)
def test_whatever_a_row_holds_is_refused_or_becomes_a_request(
    channel: Channel,
    template: str | None,
    payload: Any,  # noqa: ANN401 - JSON from a row
) -> None:
    """What passes the check makes a body with text in it; what would break the sender, does not."""
    if find_fault(channel, template_code=template, subject=None, payload=payload):
        return
    message = _claimed(channel, template, payload)
    if channel is Channel.WHATSAPP:
        body = build_body(message)
        content = body["template"] if body["type"] == "template" else body["text"]
        assert json.loads(json.dumps(content)) == content
        assert body["type"] == "template" or str(payload["text"]).strip()
    else:
        assert compose_text(message).strip()
        assert build_email(message, "noreply@example.org")["subject"]


def test_our_reference_fits_where_meta_carries_it() -> None:
    """Meta sends back at most 512 characters of biz_opaque_callback_data; ours are ids alone."""
    values = {name: getattr(GOOD, name) for name in ClaimedMessage.__slots__}
    longest = ClaimedMessage(**(values | {"id": sys.maxsize, "attempt_no": 2**31 - 1}))
    assert len(longest.reference) <= 512
