"""What of a provider's error may enter a span."""

import json

import pytest

from tracing.privacy import scrub_error_body, scrub_text

META = {
    "error": {
        "message": "(#131030) Recipient +33612345678 not in allowed list",
        "type": "OAuthException",
        "code": 131030,
        "error_data": {"messaging_product": "whatsapp", "details": "body: Bonjour Anne"},
        "fbtrace_id": "AbCdEf",
    }
}
TWILIO = {"code": 21211, "message": "The 'To' number 0033612345678 is not valid", "status": 400}
SENDGRID = {"errors": [{"message": "Does not contain a valid address.", "field": "to"}], "id": "x"}


def test_metas_error_keeps_code_and_type_and_loses_number_and_details() -> None:
    kept = scrub_error_body(json.dumps(META))

    assert kept is not None
    assert json.loads(kept) == {
        "error": {
            "code": 131030,
            "type": "OAuthException",
            "message": "(#131030) Recipient [number] not in allowed list",
        }
    }


def test_twilios_flat_error_is_reduced() -> None:
    kept = scrub_error_body(json.dumps(TWILIO).encode())

    assert kept is not None
    assert json.loads(kept) == {
        "code": 21211,
        "message": "The 'To' number [number] is not valid",
        "status": 400,
    }


def test_sendgrids_list_of_errors_is_reduced() -> None:
    kept = scrub_error_body(json.dumps(SENDGRID))

    assert kept is not None
    assert json.loads(kept) == {"errors": [{"message": "Does not contain a valid address."}]}


@pytest.mark.parametrize(
    "body",
    ["<html>502</html>", "", b"\xff\xfe", "[1]", '{"messages": [{"text": "Bonjour"}]}', '"x"'],
)
def test_a_body_without_an_error_object_leaves_nothing(body: str | bytes) -> None:
    assert scrub_error_body(body) is None


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("call +33612345678 now", "call [number] now"),
        ("code 131016", "code 131016"),
        ("Authorization: Bearer abc.def-1", "Authorization: [secret]"),
        ("?access_token=EAAG123&x=1", "?[secret]&x=1"),
        ("wamid.33612345678901", "wamid.33612345678901"),
    ],
)
def test_numbers_and_tokens_are_replaced_and_codes_stay(text: str, scrubbed: str) -> None:
    assert scrub_text(text) == scrubbed


def test_a_long_text_is_cut() -> None:
    assert len(scrub_text("x" * 5000)) == 512
