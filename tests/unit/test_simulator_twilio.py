"""Twilio's Messages resource: what it takes, what it refuses, what it calls back with."""

from base64 import b64encode
from urllib.parse import urlencode

import pytest

from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.faults import ErrorFault
from outbound_slo.simulator.twilio import TwilioWire, build_callback, build_inbound
from outbound_slo.simulator.wire import Inquiry, Reference, RefusedError, Submission
from tests.provider_schemas import check_shape

NOW = 1_795_000_000.0
ACCOUNT = "AC" + "0a" * 16
FORM = {
    "To": "+33612345678",
    "From": "+15005550006",
    "Body": "Your visit is on Monday.",
    "StatusCallback": "http://127.0.0.1:8080/webhooks/twilio?m=41&a=2",
}


def submit(
    form: dict[str, str], wire: TwilioWire | None = None, *, login: tuple[str, str] | None = None
) -> Submission:
    user, password = login or (ACCOUNT, "token")
    authorization = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
    inquiry = Inquiry(authorization, {"account_sid": ACCOUNT}, urlencode(form).encode())
    return (wire or TwilioWire()).check_send(inquiry, NOW)


def test_a_message_is_taken_with_the_reference_in_its_callback() -> None:
    taken = submit(FORM)
    assert taken.references == (Reference("41", "2"),)
    assert taken.callback_url == FORM["StatusCallback"]
    assert (taken.recipient, taken.sender) == ("+33612345678", "+15005550006")


@pytest.mark.parametrize("sender", ["+15005550006", "MG" + "0b" * 16])
def test_the_answer_is_the_queued_message_in_twilios_shape(sender: str) -> None:
    wire = TwilioWire()
    answer = wire.answer_accepted(
        submit({**FORM, "From": sender}), wire.create_id(create_rng(1)), NOW
    )
    assert answer.status == 201
    check_shape("twilio_message", answer.body)
    assert (answer.body or {})["status"] == "queued"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "0612345678"}, 21211),
        ({"From": ""}, 21603),
        ({"From": "ThisNameIsTooLong"}, 21212),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "ftp://host/path"}, 21609),
        ({"StatusCallback": "http://"}, 21609),
        ({"StatusCallback": "http://[::1"}, 21609),
    ],
)
def test_a_wrong_parameter_has_the_code_of_twilios_dictionary(
    change: dict[str, str], code: int
) -> None:
    with pytest.raises(RefusedError) as caught:
        submit({**FORM, **change})
    answer = caught.value.answer
    check_shape("twilio_error", answer.body)
    assert (answer.status, (answer.body or {})["code"]) == (400, code)


@pytest.mark.parametrize("login", [(ACCOUNT, "wrong"), (ACCOUNT, ""), ("AC" + "ff" * 16, "right")])
def test_wrong_credentials_are_20003(login: tuple[str, str]) -> None:
    with pytest.raises(RefusedError) as caught:
        submit(FORM, TwilioWire("right"), login=login)
    answer = caught.value.answer
    check_shape("twilio_error", answer.body)
    assert (answer.status, (answer.body or {})["code"]) == (401, 20003)


@pytest.mark.parametrize("user", [ACCOUNT, "SK" + "0c" * 16])
def test_the_account_or_an_api_key_may_log_in(user: str) -> None:
    assert submit(FORM, TwilioWire("right"), login=(user, "right")).account == ACCOUNT


@pytest.mark.parametrize("header", ["", "Bearer x", "Basic", "Basic ***", "Basic /w=="])
def test_a_broken_authorization_header_is_20003(header: str) -> None:
    inquiry = Inquiry(header, {"account_sid": ACCOUNT}, b"")
    with pytest.raises(RefusedError) as caught:
        TwilioWire().check_send(inquiry, NOW)
    assert caught.value.answer.status == 401


@pytest.mark.parametrize(("status", "code"), [(500, 20500), (429, 20429), (503, 20503)])
def test_faults_without_a_code_get_the_one_of_their_status(status: int, code: int) -> None:
    fault = ErrorFault(kind="error", http_status=status, retry_after_seconds=3)
    answer = TwilioWire().answer_fault(fault)
    check_shape("twilio_error", answer.body)
    assert (answer.status, (answer.body or {})["code"]) == (status, code)
    assert answer.headers["Retry-After"] == "3"


@pytest.mark.parametrize(("status", "error"), [("sent", None), ("undelivered", 30003)])
def test_callbacks_have_twilios_fields(status: str, error: int | None) -> None:
    callback = build_callback(submit(FORM), "SM" + "0d" * 16, status, error)
    check_shape("twilio_callback", dict(callback.form))
    assert callback.url == FORM["StatusCallback"]
    assert callback.form["MessageStatus"] == status
    assert ("ErrorCode" in callback.form) is (error is not None)


def test_a_message_without_callback_has_no_reference() -> None:
    form = {key: value for key, value in FORM.items() if key != "StatusCallback"}
    taken = submit(form)
    assert taken.callback_url is None
    assert taken.references == (Reference(None),)


@pytest.mark.parametrize(
    "word", ["STOP", " stop\n", "StopAll", "UNSUBSCRIBE", "cancel", "END", "QUIT"]
)
def test_after_a_word_of_stopping_the_pair_is_21610_until_it_starts_again(word: str) -> None:
    wire = TwilioWire()
    assert wire.note_inbound(FORM["To"], FORM["From"], word) == "STOP"
    with pytest.raises(RefusedError) as caught:
        submit(FORM, wire)
    assert dict(caught.value.answer.body or {})["code"] == 21610
    check_shape("twilio_error", caught.value.answer.body)
    assert submit({**FORM, "From": "+15005550007"}, wire).recipient == FORM["To"]
    assert wire.note_inbound(FORM["To"], FORM["From"], "Start") == "START"
    assert submit(FORM, wire).recipient == FORM["To"]


@pytest.mark.parametrize(("text", "kind"), [("help", "HELP"), ("please stop", None), ("Hi", None)])
def test_other_words_stop_nothing(text: str, kind: str | None) -> None:
    wire = TwilioWire()
    assert wire.note_inbound(FORM["To"], FORM["From"], text) == kind
    assert submit(FORM, wire).recipient == FORM["To"]


@pytest.mark.parametrize("kind", ["STOP", None])
def test_an_inbound_sms_has_twilios_shape(kind: str | None) -> None:
    sid = TwilioWire().create_id(create_rng(1))
    call = build_inbound("http://h/t", ACCOUNT, sid, FORM["To"], FORM["From"], "x" * 200, kind)
    check_shape("twilio_inbound", dict(call.form))
    assert (call.form.get("OptOutType"), call.form["NumSegments"]) == (kind, "2")
