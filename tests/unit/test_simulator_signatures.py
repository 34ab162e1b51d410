"""Signatures against vectors that were made elsewhere, not with this project's code."""

from outbound_slo.simulator.signatures import sign_meta, sign_twilio


def test_meta_signature_equals_what_openssl_makes() -> None:
    # printf '%s' BODY | openssl dgst -sha256 -hmac SECRET
    body = b'{"object":"whatsapp_business_account","entry":[]}'
    assert sign_meta(body, "app-secret-1") == (
        "sha256=0ca28c0f1996234eb6829e59ad3c11a18161f6eb043943d601e420c312432cdf"
    )


def test_meta_signature_covers_bytes_beyond_ascii() -> None:
    # printf '{"text":"Gr\xc3\xbc\xc3\x9fe"}' | openssl dgst -sha256 -hmac 'geheimnis ü'
    assert sign_meta('{"text":"Grüße"}'.encode(), "geheimnis ü") == (
        "sha256=f373a3b0543ec739df6354c839c5a71c4ded17ad2f0456dc9969e8f92856ac19"
    )


def test_twilio_signature_equals_the_published_example() -> None:
    # Twilio's security page, also in the tests of its client libraries; openssl agrees.
    form = {
        "To": "+18005551212",
        "From": "+14158675309",
        "Digits": "1234",
        "Caller": "+14158675309",
        "CallSid": "CA1234567890ABCDE",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign_twilio(url, form, "12345") == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_twilio_signature_covers_the_query_of_a_status_callback() -> None:
    # printf '%s' URL+FIELDS | openssl dgst -sha1 -hmac token-1 -binary | base64
    form = {"To": "+33612345678", "MessageStatus": "delivered", "MessageSid": "SM1"}
    url = "http://127.0.0.1:8080/webhooks/twilio?m=7&a=2"
    assert sign_twilio(url, form, "token-1") == "nog0PXtu1+kAV6vGR9ZiFZKKvM4="
