"""What the fast lane understands, and what it leaves to the web framework."""

import email.parser
import json

import pytest

from outbound_slo.simulator.lane import BODY_LIMIT, find_target, read_head, write_response
from outbound_slo.simulator.wire import Answer, Provider

PLAIN = b"\r\n".join(
    [
        b"POST /v26.0/1065/messages HTTP/1.1",
        b"Host: 127.0.0.1:9300",
        b"authorization:Bearer token",
        b"Content-Type: application/json",
        b"CONTENT-LENGTH: 12",
    ]
)


def test_a_plain_send_is_read() -> None:
    head = read_head(PLAIN)
    assert head is not None
    assert (head.provider, dict(head.path)) == (
        Provider.META,
        {"version": "v26.0", "object_id": "1065"},
    )
    assert (head.authorization, head.length, head.closes) == ("Bearer token", 12, False)


def test_the_wish_to_close_is_seen() -> None:
    head = read_head(PLAIN + b"\r\nConnection: Close")
    assert head is not None
    assert head.closes


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"GET /v26.0/1065/messages HTTP/1.1\r\nContent-Length: 0",
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"/messages", b"/message_templates"),
        PLAIN.replace(b"/v26.0", b"/_control"),
        PLAIN.replace(b"CONTENT-LENGTH: 12", b"X: y"),
        PLAIN.replace(b": 12", b": twelve"),
        PLAIN.replace(b": 12", b": -1"),
        PLAIN.replace(b": 12", b": " + str(BODY_LIMIT + 1).encode()),
        PLAIN + b"\r\nContent-Length: 12",
        PLAIN + b"\r\nTransfer-Encoding: chunked",
        PLAIN + b"\r\nExpect: 100-continue",
        PLAIN + b"\r\n folded: line",
        PLAIN.replace(b"Host:", b"Host :"),
    ],
)
def test_anything_but_a_plain_send_is_left_to_others(lines: bytes) -> None:
    assert read_head(lines) is None


@pytest.mark.parametrize(
    ("target", "provider"),
    [
        (b"/v18.0/1065/messages", Provider.META),
        (b"/2010-04-01/Accounts/AC0a/Messages.json", Provider.TWILIO),
        (b"/v3/mail/send", Provider.SENDGRID),
    ],
)
def test_each_providers_send_endpoint_is_known(target: bytes, provider: Provider) -> None:
    found = find_target(target)
    assert found is not None
    assert found[0] is provider
    for other in (target + b"/", target + b"?x=1", b"/x" + target, target.upper()):
        assert find_target(other) is None


def test_an_answer_is_written_with_its_length_in_bytes_and_its_headers() -> None:
    raw = write_response(Answer(429, {"title": "Prüfung"}, headers={"Retry-After": "7"}))
    head, _, body = raw.partition(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    headers = email.parser.BytesHeaderParser().parsebytes(fields)
    assert status == b"HTTP/1.1 429 Too Many Requests"
    assert headers["Retry-After"] == "7"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert int(headers["Content-Length"]) == len(body)
    assert json.loads(body) == {"title": "Prüfung"}


def test_a_status_without_a_name_is_written_all_the_same() -> None:
    assert write_response(Answer(599, text="")).startswith(b"HTTP/1.1 599 Unknown\r\n")
