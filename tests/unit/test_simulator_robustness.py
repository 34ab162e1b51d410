"""Whatever comes in, a provider takes it or refuses it in its own shape; nothing falls over."""

import json
from base64 import b64encode
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_slo.simulator.accounts import MetaAccount
from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.meta import MetaWire
from outbound_slo.simulator.sendgrid import SendGridWire
from outbound_slo.simulator.twilio import TwilioWire
from outbound_slo.simulator.wire import Inquiry, RefusedError, Submission, Wire
from tests.provider_schemas import check_shape

ACCOUNT = "AC" + "0a" * 16
LOGIN = b64encode(f"{ACCOUNT}:x".encode()).decode()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
META_BODIES = st.fixed_dictionaries(
    {"messaging_product": st.just("whatsapp"), "to": st.just("+33612345678") | VALUES},
    optional={
        "type": st.sampled_from(["text", "template"]) | VALUES,
        "text": st.fixed_dictionaries({"body": VALUES}) | VALUES,
        "template": st.fixed_dictionaries(
            {"name": VALUES, "language": st.fixed_dictionaries({"code": VALUES}) | VALUES}
        ),
        "biz_opaque_callback_data": VALUES | st.just('{"m": {"x": 1}, "a": []}'),
    },
)
SENDGRID_BODIES = st.fixed_dictionaries(
    {
        "personalizations": st.lists(
            st.fixed_dictionaries(
                {"to": st.just([{"email": "a@b.c"}]) | VALUES},
                optional={"custom_args": VALUES, "subject": VALUES},
            )
            | VALUES,
            max_size=3,
        )
        | VALUES
    },
    optional={
        "from": st.just({"email": "a@b.c"}) | VALUES,
        "subject": VALUES,
        "content": st.lists(st.dictionaries(st.sampled_from(["type", "value"]), VALUES)),
        "custom_args": VALUES,
    },
)
TWILIO_FORMS = st.fixed_dictionaries(
    {"To": st.just("+33612345678") | st.text(), "From": st.just("+15005550006") | st.text()},
    optional={"Body": st.text(), "StatusCallback": st.text() | st.just("http://[")},
)


def check(wire: Wire, inquiry: Inquiry, error_shape: str) -> None:
    outcome: Submission | RefusedError
    try:
        outcome = wire.check_send(inquiry, 0.0)
    except RefusedError as refusal:
        outcome = refusal
    if isinstance(outcome, Submission):
        assert outcome.recipient
    else:
        assert 400 <= outcome.answer.status < 500
        check_shape(error_shape, outcome.answer.body)


@settings(max_examples=150, deadline=None)
@given(body=META_BODIES | VALUES, raw=st.binary() | st.none())
def test_meta_takes_or_refuses_any_body(body: object, raw: bytes | None) -> None:
    inquiry = Inquiry(
        "Bearer x",
        {"version": "v26.0", "object_id": "1"},
        json.dumps(body).encode() if raw is None else raw,
    )
    check(MetaWire(MetaAccount(), create_rng(1)), inquiry, "meta_error")


@settings(max_examples=150, deadline=None)
@given(body=SENDGRID_BODIES | VALUES, raw=st.binary() | st.none())
def test_sendgrid_takes_or_refuses_any_body(body: object, raw: bytes | None) -> None:
    data = json.dumps(body).encode() if raw is None else raw
    inquiry = Inquiry("Bearer x", {}, data)
    check(SendGridWire(), inquiry, "sendgrid_error")


@settings(max_examples=150, deadline=None)
@given(form=TWILIO_FORMS, raw=st.binary() | st.none())
def test_twilio_takes_or_refuses_any_form(form: dict[str, str], raw: bytes | None) -> None:
    data = urlencode(form).encode() if raw is None else raw
    inquiry = Inquiry(f"Basic {LOGIN}", {"account_sid": ACCOUNT}, data)
    check(TwilioWire(), inquiry, "twilio_error")


def test_a_body_nested_beyond_reason_is_an_invalid_parameter() -> None:
    deep = b"[" * 100_000
    path = {"version": "v26.0", "object_id": "1"}
    inquiry = Inquiry("Bearer x", path, deep)
    check(MetaWire(MetaAccount(), create_rng(1)), inquiry, "meta_error")
    check(SendGridWire(), inquiry, "sendgrid_error")
