from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sender.outbox import ClaimedMessage
from sender.providers import sendgrid, twilio, whatsapp
from sender.providers.answer import HttpAnswer
from tests.provider_schemas import check_shape
from tests.unit.test_sender_rules import GOOD


def _answer(status: int | None, body: object = None, **headers: str) -> HttpAnswer:
    at = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
    return HttpAnswer(status, body, headers, None, None, status is not None, None, 0.1, at)


def _error(code: object) -> dict[str, object]:
    return {"error": {"message": "(#1) No", "code": code, "error_data": {"details": "why"}}}


def test_a_template_is_built_as_meta_documents_it() -> None:
    message = replace(GOOD, payload_json={"language": "fr", "parameters": ["Ann", 9]})
    assert whatsapp.build_body(message) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+33612345678",
        "biz_opaque_callback_data": '{"m":1,"a":1}',
        "type": "template",
        "template": {
            "name": "appointment_reminder",
            "language": {"code": "fr"},
            "components": [
                {
                    "type": "body",
                    "parameters": [
                        {"type": "text", "text": "Ann"},
                        {"type": "text", "text": "9"},
                    ],
                }
            ],
        },
    }


def test_free_form_text_is_sent_as_text() -> None:
    message = replace(GOOD, template_code=None, payload_json={"text": "Hello"})
    body = whatsapp.build_body(message)
    assert (body["type"], body["text"]) == ("text", {"preview_url": False, "body": "Hello"})


def test_metas_acceptance_is_read() -> None:
    body = {"messaging_product": "whatsapp", "contacts": [], "messages": [{"id": "wamid.1"}]}
    result = whatsapp.read_answer(_answer(200, body))
    assert result.accepted
    assert result.provider_message_id == "wamid.1"


@pytest.mark.parametrize(
    ("status", "body", "code", "unknown"),
    [
        (400, _error(131021), "131021", False),
        (500, _error(131016), "131016", False),
        (500, None, "http_500", False),
        (500, _error(None), "http_500", False),
        (503, {"error": "busy"}, "http_503", False),
        # Something was accepted, but what can't be told: never to be sent again at once.
        (200, None, "outcome_unknown", True),
        (200, {"messages": []}, "outcome_unknown", True),
    ],
)
def test_metas_refusals_are_read(status: int, body: object, code: str, *, unknown: bool) -> None:
    result = whatsapp.read_answer(_answer(status, body))
    assert (result.accepted, result.error_code, result.unknown) == (False, code, unknown)


def test_the_details_of_an_error_are_its_message() -> None:
    assert whatsapp.read_answer(_answer(400, _error(100))).error_message == "why"


def test_a_nul_in_an_error_can_be_stored() -> None:
    body = {"error": {"code": 100, "message": "a\x00b"}}
    assert whatsapp.read_answer(_answer(400, body)).error_message == "ab"


def test_twilios_answers_are_read() -> None:
    assert twilio.read_answer(_answer(201, {"sid": "SM1"})).provider_message_id == "SM1"
    refused = twilio.read_answer(_answer(400, {"code": 21211, "message": "Invalid"}))
    assert (refused.error_code, refused.error_message) == ("21211", "Invalid")
    assert twilio.read_answer(_answer(200, [])).unknown


@pytest.mark.parametrize(
    ("payload", "subject", "text"),
    [({"text": "T"}, "S", "T"), (None, "S", "S"), (None, None, "appointment_reminder")],
)
def test_an_sms_with_a_subject_alone_sends_the_subject(
    payload: dict[str, object] | None, subject: str | None, text: str
) -> None:
    message: ClaimedMessage = replace(GOOD, payload_json=payload, subject=subject)
    assert twilio.compose_text(message) == text


def test_sendgrids_answers_are_read() -> None:
    accepted = sendgrid.read_answer(_answer(202, None, **{"x-message-id": "sg1"}), GOOD)
    assert accepted.provider_message_id == "sg1"
    refused = sendgrid.read_answer(_answer(401, {"errors": [{"message": "no"}]}), GOOD)
    assert (refused.error_code, refused.error_message) == ("sendgrid_401", "no")


def test_sendgrids_body_carries_our_reference_and_nothing_personal() -> None:
    body = sendgrid.build_body(replace(GOOD, to_recipient="ann@example.org"), "us@example.org")
    assert body["personalizations"] == [
        {"to": [{"email": "ann@example.org"}], "custom_args": {"m": "1", "a": "1"}}
    ]


def test_the_simulators_own_error_shape_is_one_we_read() -> None:
    body = {
        "error": {
            "message": "(#131016) Service unavailable",
            "type": "OAuthException",
            "code": 131016,
            "error_data": {"messaging_product": "whatsapp", "details": "Service unavailable"},
            "fbtrace_id": "ALq9caPWzJptf1qdt_U9blg",
        }
    }
    check_shape("meta_error", body)
    assert whatsapp.read_answer(_answer(500, body)).error_code == "131016"
