import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.statuses import Priority
from sender.outbox import ClaimedMessage
from sender.quiet_hours import NO_DEFAULT, QuietPolicy, QuietWindow
from sender.rules import DEFERRALS, REFUSALS, Deferral, Refusal, judge

NIGHT = datetime(2026, 3, 3, 23, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)

GOOD = ClaimedMessage(
    id=1,
    org_id="org",
    channel="WHATSAPP",
    to_recipient="+33612345678",
    template_code="appointment_reminder",
    subject=None,
    payload_json=None,
    attempt_no=1,
    attempt_count=1,
    max_attempts=5,
    session_id=None,
    run_id=None,
    hypothesis_id=None,
    traceparent=None,
    consent="GRANTED",
    window_open=None,
    quota_wait_s=None,
    throttle_wait_s=None,
    provider_enabled=None,
    phone_number_id=None,
    previous_traceparent=None,
)

QUIET: Mapping[str, Any] = {
    "contact_opted_out": False,
    "quiet_from": time(22, 0),
    "quiet_until": time(7, 0),
    "quiet_zone": "Europe/Paris",
}
"""What a claim brings of 003's default preferences."""


def _judge(
    message: ClaimedMessage = GOOD,
    *,
    has_provider: bool = True,
    now: datetime = NOON,
    quiet: QuietPolicy = NO_DEFAULT,
    **changes: Any,  # noqa: ANN401 - any field of a message
) -> Refusal | Deferral | None:
    changed = replace(message, **changes)
    return judge(changed, has_provider=has_provider, now=now, quiet=quiet)


def _code(**changes: Any) -> HouseCode | None:  # noqa: ANN401 - as above
    found = _judge(**changes)
    return None if found is None else found.code


def test_a_template_with_consent_may_go_without_a_window() -> None:
    assert _judge() is None


def test_free_form_may_go_inside_the_window_only() -> None:
    free: dict[str, Any] = {"template_code": None, "payload_json": {"text": "Hello"}}
    assert _judge(**free, window_open=True) is None
    for closed in (False, None):
        assert _code(**free, window_open=closed) is HouseCode.SESSION_EXPIRED


@pytest.mark.parametrize(
    ("channel", "consent", "code"),
    [
        ("WHATSAPP", None, HouseCode.CONSENT_MISSING),
        ("WHATSAPP", "REVOKED", HouseCode.OPTED_OUT),
        ("SMS", "DENIED", HouseCode.OPTED_OUT),
        ("EMAIL", "REVOKED", HouseCode.OPTED_OUT),
    ],
)
def test_without_consent_nothing_goes(channel: str, consent: str | None, code: HouseCode) -> None:
    recipient = "ann@example.org" if channel == "EMAIL" else GOOD.to_recipient
    found = _code(channel=channel, consent=consent, subject="Hello", to_recipient=recipient)
    assert found is code


@pytest.mark.parametrize(
    ("channel", "recipient"), [("SMS", "+33612345678"), ("EMAIL", "ann@example.org")]
)
def test_other_channels_need_no_record_of_consent_and_no_window(
    channel: str, recipient: str
) -> None:
    plain: dict[str, Any] = {"channel": channel, "to_recipient": recipient, "subject": "Hello"}
    assert _judge(**plain, consent=None, template_code=None) is None


def test_an_opt_out_wins_over_consent() -> None:
    assert _code(consent="GRANTED", contact_opted_out=True) is HouseCode.OPTED_OUT


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"expired": True}, HouseCode.MESSAGE_EXPIRED),
        ({"to_recipient": "0612345678"}, HouseCode.RECIPIENT_INVALID),
        ({"to_recipient": "ann@example.org"}, HouseCode.RECIPIENT_INVALID),
        ({"channel": "EMAIL", "to_recipient": "ann"}, HouseCode.RECIPIENT_INVALID),
        ({"payload_json": ["Ada"]}, HouseCode.CONTENT_INVALID),
        ({"payload_json": {"parameters": "Ada"}}, HouseCode.CONTENT_INVALID),
        ({"channel": "SMS"}, HouseCode.CONTENT_INVALID),
        (
            {"template_code": None, "payload_json": {"text": "x" * 4097}, "window_open": True},
            HouseCode.CONTENT_INVALID,
        ),
    ],
)
def test_what_was_put_on_the_queue_in_sql_is_checked_before_the_send(
    changes: dict[str, Any], code: HouseCode
) -> None:
    found = _judge(**changes)
    assert isinstance(found, Refusal)
    assert found.code is code
    assert found.text


def test_every_refusal_is_for_its_own_reason_and_comes_before_every_wait() -> None:
    """Faults are put on a message one above the other: the first in REFUSALS is what is told."""
    layers: list[dict[str, Any]] = [
        {"template_code": None, "payload_json": {"text": "x"}, "window_open": False},
        {"payload_json": {"text": "x" * 5000}},
        {"consent": None},
        {"contact_opted_out": True},
        {"to_recipient": "x"},
        {"expired": True},
    ]
    waiting = {**QUIET, "quota_wait_s": 90.0, "throttle_wait_s": 90.0, "provider_enabled": False}
    told = []
    for layer in layers:
        waiting |= layer
        found = _judge(now=NIGHT, **waiting)
        assert isinstance(found, Refusal)
        told.append(found.code)
    assert told == list(reversed(REFUSALS))


def test_a_contacts_quiet_hours_put_a_message_off_until_their_end() -> None:
    found = _judge(**QUIET, now=NIGHT)
    # 23:00 UTC is midnight in Paris.
    assert found == Deferral(HouseCode.QUIET_HOURS, "The recipient has quiet hours", 7 * 3600)
    assert _judge(**QUIET, now=NOON) is None


@pytest.mark.parametrize(
    "changes", [{"priority": Priority.URGENT.value}, {"quiet_hours_override": True}]
)
def test_urgent_messages_and_those_that_may_disturb_do_not_wait(changes: dict[str, Any]) -> None:
    assert _judge(**QUIET, **changes, now=NIGHT) is None


def test_bulk_and_normal_messages_wait() -> None:
    for priority in (Priority.NORMAL, Priority.BULK):
        assert _code(**QUIET, priority=priority.value, now=NIGHT) is HouseCode.QUIET_HOURS


def test_contacts_without_preferences_have_quiet_hours_only_if_the_settings_say_so() -> None:
    set_up = QuietPolicy(QuietWindow.parse("22:00-07:00"), ZoneInfo("UTC"))
    assert _judge(now=NIGHT) is None
    assert _code(now=NIGHT, quiet=set_up) is HouseCode.QUIET_HOURS
    # Who has chosen none, has none.
    free = {**QUIET, "quiet_until": None}
    assert _judge(**free, now=NIGHT, quiet=set_up) is None


def test_an_email_comes_at_night_unless_its_reader_objects() -> None:
    set_up = QuietPolicy(QuietWindow.parse("22:00-07:00"), ZoneInfo("UTC"))
    mail: dict[str, Any] = {
        "channel": "EMAIL",
        "to_recipient": "ann@example.org",
        "subject": "Hello",
    }
    assert _judge(**mail, now=NIGHT, quiet=set_up) is None
    assert _code(**mail, **QUIET, now=NIGHT, quiet=set_up) is HouseCode.QUIET_HOURS


@pytest.mark.parametrize(
    ("changes", "code", "seconds"),
    [
        ({"quota_wait_s": 90.0}, HouseCode.QUOTA_EXHAUSTED, 90.0),
        ({"throttle_wait_s": 60.0}, HouseCode.THROTTLED, 60.0),
        ({"throttle_wait_s": 60.0, "quota_wait_s": 90.0}, HouseCode.QUOTA_EXHAUSTED, 90.0),
        ({"throttle_wait_s": 90.0, "quota_wait_s": 60.0}, HouseCode.THROTTLED, 90.0),
        ({"provider_enabled": False}, HouseCode.CHANNEL_DISABLED, 60.0),
        ({"has_provider": False}, HouseCode.CHANNEL_DISABLED, 60.0),
        # Quiet hours end seven hours from NIGHT.
        ({**QUIET, "quota_wait_s": 90.0}, HouseCode.QUIET_HOURS, 25200.0),
        ({**QUIET, "quota_wait_s": 30000.0}, HouseCode.QUOTA_EXHAUSTED, 30000.0),
    ],
)
def test_the_longest_wait_is_the_one_that_counts(
    changes: dict[str, Any], code: HouseCode, seconds: float
) -> None:
    found = _judge(now=NIGHT, **changes)
    assert isinstance(found, Deferral)
    assert (found.code, found.seconds) == (code, seconds)
    assert found.code in DEFERRALS


def test_no_reason_quotes_the_recipient_or_the_content() -> None:
    """Error texts go to rows, logs and spans, where personal data has no business."""
    found = [
        _judge(to_recipient="ann@example.org"),
        _judge(payload_json={"parameters": ["secret\nname"]}),
        _judge(template_code=None, payload_json={"text": "secret" * 1000}, window_open=True),
    ]
    for refusal in found:
        assert isinstance(refusal, Refusal)
        assert not re.search("ann|secret", refusal.text)
