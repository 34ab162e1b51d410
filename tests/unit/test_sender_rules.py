from dataclasses import replace

import pytest

from outbound_slo.vocabulary.errors import HouseCode
from sender.outbox import ClaimedMessage
from sender.rules import Deferral, Refusal, judge

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


def test_a_template_with_consent_may_go_without_a_window() -> None:
    assert judge(GOOD, has_provider=True) is None


def test_free_form_may_go_inside_the_window_only() -> None:
    free = replace(GOOD, template_code=None)
    assert judge(replace(free, window_open=True), has_provider=True) is None
    for closed in (False, None):
        found = judge(replace(free, window_open=closed), has_provider=True)
        assert isinstance(found, Refusal)
        assert found.code is HouseCode.SESSION_EXPIRED


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
    found = judge(replace(GOOD, channel=channel, consent=consent), has_provider=True)
    assert isinstance(found, Refusal)
    assert found.code is code


@pytest.mark.parametrize("channel", ["SMS", "EMAIL"])
def test_other_channels_need_no_record_of_consent_and_no_window(channel: str) -> None:
    plain = replace(GOOD, channel=channel, consent=None, template_code=None)
    assert judge(plain, has_provider=True) is None


def test_quota_and_throttle_put_off_and_refuse_nothing() -> None:
    for waiting in (replace(GOOD, quota_wait_s=90.0), replace(GOOD, throttle_wait_s=90.0)):
        found = judge(waiting, has_provider=True)
        assert isinstance(found, Deferral)
        assert found.seconds == 90.0


def test_a_refusal_comes_before_a_deferral() -> None:
    found = judge(replace(GOOD, consent="REVOKED", quota_wait_s=90.0), has_provider=True)
    assert isinstance(found, Refusal)


def test_a_channel_that_is_off_refuses() -> None:
    for message, has_provider in ((GOOD, False), (replace(GOOD, provider_enabled=False), True)):
        found = judge(message, has_provider=has_provider)
        assert isinstance(found, Refusal)
        assert found.code is HouseCode.CHANNEL_DISABLED
