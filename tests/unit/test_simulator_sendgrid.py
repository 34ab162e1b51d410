"""SendGrid's mail send: what it takes and what it refuses."""

import json

import pytest

from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.faults import ErrorFault
from outbound_slo.simulator.sendgrid import SendGridWire
from outbound_slo.simulator.wire import Inquiry, Reference, RefusedError, Submission
from tests.provider_schemas import check_shape

MAIL: dict[str, object] = {
    "personalizations": [
        {"to": [{"email": "ana@example.org"}], "custom_args": {"m": "41", "a": "2"}}
    ],
    "from": {"email": "office@example.org"},
    "subject": "Your visit",
    "content": [{"type": "text/plain", "value": "It is on Monday."}],
}


def submit(mail: object, wire: SendGridWire | None = None, *, key: str = "SG.key") -> Submission:
    authorization = f"Bearer {key}" if key else ""
    raw = mail if isinstance(mail, bytes) else json.dumps(mail).encode()
    return (wire or SendGridWire()).check_send(Inquiry(authorization, {}, raw), 0.0)


def test_a_mail_is_taken_with_its_reference() -> None:
    taken = submit(MAIL)
    assert (taken.recipient, taken.sender) == ("ana@example.org", "office@example.org")
    assert taken.references == (Reference("41", "2"),)


def test_each_personalization_is_a_message_of_its_own() -> None:
    people = [
        {"to": [{"email": "ana@example.org"}], "custom_args": {"m": "1"}},
        {"to": [{"email": "bob@example.org"}]},
    ]
    mail = {**MAIL, "personalizations": people, "custom_args": {"m": "0", "a": "9"}}
    assert submit(mail).references == (Reference("1", "9"), Reference("0", "9"))


def test_the_answer_is_an_empty_202_that_names_the_message() -> None:
    wire = SendGridWire()
    answer = wire.answer_accepted(submit(MAIL), wire.create_id(create_rng(1)), 0.0)
    assert (answer.status, answer.text, answer.body) == (202, "", None)
    assert len(answer.headers["X-Message-Id"]) == 22


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"personalizations": []}, "personalizations"),
        ({"personalizations": ["x"]}, "personalizations.0.to"),
        ({"personalizations": [{"to": []}]}, "personalizations.0.to"),
        ({"personalizations": [{"to": [{"email": "ana"}]}]}, "personalizations.0.to.0.email"),
        ({"from": {"name": "Office"}}, "from.email"),
        ({"subject": ""}, "subject"),
        ({"content": []}, "content"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
        ({"custom_args": "m=1"}, "custom_args"),
        ({"custom_args": {"m": 1}}, "custom_args"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(RefusedError) as caught:
        submit({**MAIL, **change})
    answer = caught.value.answer
    check_shape("sendgrid_error", answer.body)
    assert answer.status == 400
    assert json.dumps(answer.body).count(f'"field": "{field}"') == 1


@pytest.mark.parametrize("raw", [b"", b"[]", b"{"])
def test_a_body_that_is_no_json_object_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        submit(raw)
    check_shape("sendgrid_error", caught.value.answer.body)
    assert caught.value.answer.status == 400


def test_a_template_brings_subject_and_content() -> None:
    mail = {"personalizations": MAIL["personalizations"], "from": MAIL["from"]}
    assert submit({**mail, "template_id": "d-1"}).recipient == "ana@example.org"


@pytest.mark.parametrize("key", ["", "SG.wrong"])
def test_a_wrong_key_is_unauthorized(key: str) -> None:
    with pytest.raises(RefusedError) as caught:
        submit(MAIL, SendGridWire("SG.right"), key=key)
    check_shape("sendgrid_error", caught.value.answer.body)
    assert caught.value.answer.status == 401


def test_too_many_requests_come_with_the_rate_limit_headers() -> None:
    fault = ErrorFault(kind="error", http_status=429, retry_after_seconds=2)
    answer = SendGridWire().answer_fault(fault)
    check_shape("sendgrid_error", answer.body)
    assert answer.status == 429
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.headers["Retry-After"] == "2"


def test_an_outage_is_a_500_with_errors() -> None:
    answer = SendGridWire().answer_fault(ErrorFault(kind="error"))
    check_shape("sendgrid_error", answer.body)
    assert (answer.status, dict(answer.headers)) == (500, {})
