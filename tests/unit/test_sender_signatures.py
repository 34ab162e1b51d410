"""Signatures against what others made: the providers' own examples, and openssl.

Made with OpenSSL 3.0, on a file `body` without a line feed at its end:
    printf '{"entry":[]}' | openssl dgst -sha256 -hmac s3cret
    openssl ecparam -name prime256v1 -genkey -noout -out k.pem
    openssl ec -in k.pem -pubout -outform DER | base64 -w0
    (printf 1700000000; cat body) | openssl dgst -sha256 -sign k.pem | base64 -w0
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.sendgrid_events import is_timely
from sender.signatures import (
    load_sendgrid_key,
    matches_digest,
    sign_meta,
    sign_twilio,
    verify_meta,
    verify_sendgrid,
    verify_twilio,
)

FORM = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675309"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
]
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIOS_EXAMPLE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="

EVENTS = b'[{"event":"delivered","sg_event_id":"e1","email":"a@example.org"}]'
KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFMOKmTku4BMUekP/6BX/fTseN090ClHP+6rcW6uof/kJ"
    "FMNV7HZzo5xUHbYUyeMVCOdNBVbcEZ6Zx5/LwwggdA=="
)
OTHER_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsdg9NYRgzY5b6aooeQl1Wc3UbYa6oGAB8ExKCVFQPOPz"
    "hInFCWSWA5ENdyGZn7F7BEcdCspSMQeTePJO+iCYUw=="
)
P384_KEY = (
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEyiuC4KvaZeSrq9GQbDx8oQjFjnf4IWut9ScOPC+Y4HmrP4Cn"
    "4uDRmk/HRM+Q5s1U6F738TpWVt9DeYrd3/9TelOZt3LU6ZtdIjZkfDTZ0AsuWniNpdMNcbCRsS3VM7qx"
)
SIGNATURE = (
    "MEQCIGCl/TLhibeWovSrRWQ8EVIn2aOdjPAfOUYxs4XuAlPNAiBil2DkvLiS4M8RC8Xosmr59YZFUVcE"
    "v3KqnoAzaNUWsQ=="
)


def test_twilios_own_example_of_a_signature_is_accepted() -> None:
    # The example of Twilio's security page: its URL, its fields, its token, its result.
    assert sign_twilio(URL, FORM, "12345") == TWILIOS_EXAMPLE
    assert verify_twilio(URL, FORM, TWILIOS_EXAMPLE, "12345")
    changed = [*FORM[:2], ("Digits", "1235"), *FORM[3:]]
    assert not verify_twilio(URL, changed, TWILIOS_EXAMPLE, "12345")
    assert not verify_twilio(URL, FORM, TWILIOS_EXAMPLE, "12346")
    assert not verify_twilio(URL, FORM, "", "12345")
    assert not verify_twilio(URL, FORM, "é", "12345")


def test_repeated_fields_are_signed_in_the_order_of_their_values_and_once() -> None:
    # printf 'https://a.example/xk1k2z9' | openssl dgst -sha1 -hmac t -binary | base64
    expected = "Vw4hfNVtcqibbaSqvY7+Ahsm3iY="
    fields = [("z", "9"), ("k", "2"), ("k", "1"), ("k", "2")]
    assert sign_twilio("https://a.example/x", fields, "t") == expected


def test_a_json_body_is_known_by_its_digest() -> None:
    # printf '{}' | openssl dgst -sha256
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert matches_digest(b"{}", digest)
    assert matches_digest(b"{}", digest.upper())
    assert not matches_digest(b"{ }", digest)
    assert not matches_digest(b"{}", "é")


def test_a_signature_of_metas_is_accepted_under_its_secret_alone() -> None:
    signature = "sha256=55e94cedb4167d0e4e8c20f779a70292819e38da2afea51bf02dc6ecc52542ba"
    body = b'{"entry":[]}'
    assert verify_meta(body, signature, "s3cret")
    assert not verify_meta(body, signature, "new")
    assert not verify_meta(body + b" ", signature, "s3cret")
    assert not verify_meta(body, "", "s3cret")
    assert not verify_meta(body, "sha256=é", "s3cret")


def test_what_openssl_signed_for_sendgrid_is_accepted() -> None:
    key = load_sendgrid_key(KEY)
    assert verify_sendgrid(EVENTS, "1700000000", SIGNATURE, key)
    assert not verify_sendgrid(EVENTS + b" ", "1700000000", SIGNATURE, key)
    assert not verify_sendgrid(EVENTS, "1700000001", SIGNATURE, key)
    assert not verify_sendgrid(EVENTS, "1700000000", SIGNATURE, load_sendgrid_key(OTHER_KEY))


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64", SIGNATURE[:-8], "é"])
def test_a_spoilt_signature_of_sendgrids_is_refused(signature: str) -> None:
    assert not verify_sendgrid(EVENTS, "1700000000", signature, load_sendgrid_key(KEY))


@pytest.mark.parametrize(
    ("text", "fault"),
    [("", "public key"), ("%%", "public key"), ("AAAA", "public key"), (P384_KEY, "P-256")],
)
def test_a_key_that_is_none_is_named(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        load_sendgrid_key(text)


@pytest.mark.parametrize(
    ("timestamp", "timely"),
    [
        ("1700000000", True),
        ("1699913600", True),  # the last try of a day
        ("1699900000", False),
        ("1700000200", True),
        ("1700009999", False),
        ("", False),
        ("soon", False),
    ],
)
def test_a_stale_time_is_refused_and_a_late_try_is_not(timestamp: str, *, timely: bool) -> None:
    assert is_timely(timestamp, 1700000000.0) is timely


@given(st.binary(max_size=200), st.text(min_size=1), st.text(min_size=1))
def test_no_other_secret_makes_the_same_signature(body: bytes, secret: str, other: str) -> None:
    try:
        secret.encode(), other.encode()
    except UnicodeEncodeError:
        return
    # HMAC pads its key with NULs.
    if secret.rstrip("\0") != other.rstrip("\0"):
        assert not verify_meta(body, sign_meta(body, secret), other)
