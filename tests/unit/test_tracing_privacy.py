"""What of a provider's error may enter a span, and how spans name recipients."""

import base64
import json
import re

import pytest

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import SpanName, Tag
from tests.tracing_parts import FinishedSpans, trace_in_memory
from tracing.privacy import RecipientForm, Recipients, scrub_error_body, scrub_text, scrub_url
from tracing.propagation import NEW_TRACE
from tracing.setup import start_tracing

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
        ("to +33 6 12 34 56 78, please", "to [number], please"),
        ("to (555) 123-4567.", "to [number]."),
        ("to 06.12.34.56.78", "to [number]"),
        ("num33612345678", "num[number]"),
        ("33612345678_ab", "[number]_ab"),
        ("<jane.doe@example.com> is unknown", "<[address]> is unknown"),
        ("HTTP 429 after 3600 s, code 131056", "HTTP 429 after 3600 s, code 131056"),
    ],
)
def test_numbers_and_tokens_are_replaced_and_codes_stay(text: str, scrubbed: str) -> None:
    assert scrub_text(text) == scrubbed


def test_a_long_text_is_cut() -> None:
    assert len(scrub_text("x" * 5000)) == 512


@pytest.mark.parametrize(
    ("url", "scrubbed"),
    [
        ("https://graph.example/v25.0/1/messages", "https://graph.example/v25.0/1/messages"),
        ("https://x.example/a?access_token=t#f", "https://x.example/a"),
        ("https://sid:token@x.example/a@b", "https://x.example/a@b"),
        ("https://sid:to@ken@x.example/a", "https://x.example/a"),
    ],
)
def test_an_address_loses_query_and_credentials(url: str, scrubbed: str) -> None:
    assert scrub_url(url) == scrubbed


def test_no_span_lets_a_number_or_a_token_of_the_provider_through() -> None:
    tracing, memory = trace_in_memory()
    url = "https://sid:token-in-url@api.example/Messages?key=token-in-query"
    with (
        tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS),
        tracing.span(SpanName.TWILIO_SEND) as send,
    ):
        with tracing.span(SpanName.HTTP_CLIENT_REQUEST, {Tag.HTTP_URL: url}) as call:
            call.tag(Tag.HTTP_RESPONSE_BODY, '{"message":"Bearer token-in-body"}')
        send.tag(Tag.ERROR_MESSAGE, "to +33612345678")
        send.fail("refused", "The number +33612345678 is not valid")

    exported = "".join(str(span.message) for span in memory.spans)
    assert "33612345678" not in exported
    assert "token-in" not in exported
    assert "The number [number] is not valid" in exported


@pytest.mark.parametrize(
    ("recipient", "masked"),
    [
        ("+33612345678", "***5678"),
        ("12345", "***45"),
        ("7", "***"),
        ("", "***"),
        ("ada.lovelace@example.org", "***lace@example.org"),
        ("al@example.org", "***l@example.org"),
        ("a@example.org", "***@example.org"),
    ],
)
def test_a_mask_leaves_the_last_four_and_half_at_most(recipient: str, masked: str) -> None:
    assert Recipients(RecipientForm.MASKED).write(recipient) == masked


def test_a_hash_depends_on_its_key_and_tells_nothing_else() -> None:
    one, other = (Recipients(RecipientForm.HASHED, key) for key in ("key", "another"))

    assert one.write("+33612345678") == one.write("+33612345678")
    assert one.write("+33612345678") not in {other.write("+33612345678"), one.write("+33612345679")}
    assert re.fullmatch("[0-9a-f]{32}", one.write("+33612345678"))


def test_a_hash_without_a_key_is_refused() -> None:
    with pytest.raises(UserMistake, match="OUTBOUND_TRACE_RECIPIENTS=hashed needs a key"):
        Recipients(RecipientForm.HASHED)


@pytest.mark.parametrize("form", list(RecipientForm))
def test_the_recipient_stands_in_spans_as_asked(form: RecipientForm) -> None:
    recipients = Recipients(form, "key")
    memory = FinishedSpans()
    tracing = start_tracing(strict=True, sinks=[memory.take], recipients=recipients)
    # The id that WhatsApp gives: base64 with the number inside.
    provider_id = "wamid." + base64.b64encode(b"\x1d\x05\x18\x0b33612345678\x15").decode()
    tags = {Tag.MESSAGE_TO: "+33612345678"}
    with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS, tags, parent=NEW_TRACE):
        tracing.span(SpanName.WHATSAPP_SEND, {Tag.PROVIDER_MESSAGE_ID: provider_id}).end()

    named = {span.tags.get("provider.message.id") for span in memory.spans} - {None}
    assert named == {recipients.write_id(provider_id)}
    assert (named == {provider_id}) is (form is RecipientForm.PLAIN)
    assert {span.tags["message.to"] for span in memory.spans} == {recipients.write("+33612345678")}
    plain = any(b"612345678" in written for written in memory.written)
    assert plain is (form is RecipientForm.PLAIN)
