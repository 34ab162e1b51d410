from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel, Priority
from sender.enqueue import LONGEST_NAME, MOST_ATTEMPTS, NewMessage, check_message

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAIVE = datetime(2026, 3, 3, 13, 0)  # noqa: DTZ001 - a time without a zone is what is tested


def _message(**values: Any) -> NewMessage:  # noqa: ANN401 - any field of a message
    given: dict[str, Any] = {
        "org_id": "org",
        "channel": Channel.SMS,
        "to_recipient": "+33612345678",
        "payload": {"text": "Hello"},
    }
    return NewMessage(**(given | values))


@pytest.mark.parametrize(
    ("channel", "recipient"),
    [
        (Channel.WHATSAPP, "+33612345678"),
        (Channel.SMS, "+14155552671"),
        (Channel.EMAIL, "ann.b+c@mail.example.org"),
        (Channel.EMAIL, "Ann@Example.org"),
        (Channel.EMAIL, "ann@xn--exmple-cua.org"),
    ],
)
def test_a_sound_recipient_is_accepted(channel: Channel, recipient: str) -> None:
    check_message(_message(channel=channel, to_recipient=recipient), NOW)


@pytest.mark.parametrize(
    ("channel", "recipient", "said"),
    [
        (Channel.WHATSAPP, "0612345678", "no country code"),
        (Channel.SMS, "+", "no phone number"),
        (Channel.SMS, "+33 6 12 34 56 78", "E.164"),
        (Channel.SMS, "+3361", "not a possible phone number"),
        (Channel.EMAIL, "+33612345678", "no e-mail address"),
        (Channel.EMAIL, "ann@localhost", "no e-mail address"),
        (Channel.EMAIL, "a b@example.org", "no e-mail address"),
        (Channel.EMAIL, "a..b@example.org", "no e-mail address"),
        (Channel.EMAIL, "é@example.org", "no e-mail address"),
        (Channel.EMAIL, "ann@exämple.org", "Write it as ann@xn--exmple-cua.org"),
        (Channel.EMAIL, "Ann <ann@example.org>", "no e-mail address"),
    ],
)
def test_a_recipient_that_cannot_be_reached_is_refused(
    channel: Channel, recipient: str, said: str
) -> None:
    with pytest.raises(UserMistake, match=said):
        check_message(_message(channel=channel, to_recipient=recipient), NOW)


def test_a_message_of_every_kind_passes() -> None:
    check_message(
        _message(
            idempotency_key="k" * LONGEST_NAME,
            max_attempts=MOST_ATTEMPTS,
            priority=Priority.URGENT,
            scheduled_at=NOW + HOUR,
            expires_at=NOW + 2 * HOUR,
            session_id="conversation-1",
        ),
        NOW,
    )
    check_message(_message(channel=Channel.WHATSAPP, template_code="reminder", payload={}), NOW)
    # 001 falls back to an SMS that has a subject alone.
    check_message(_message(subject="Your appointment", payload={}), NOW)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"payload": {}}, "There is no content"),
        ({"payload": {}, "template_code": "reminder"}, "templates are WhatsApp's"),
        ({"payload": {"text": "x" * 1601}}, r"to \+33612345678: The text has 1601 characters"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"max_attempts": MOST_ATTEMPTS + 1}, "max_attempts is 1001"),
        ({"org_id": " "}, "org_id is empty"),
        ({"idempotency_key": ""}, "idempotency_key is empty"),
        ({"idempotency_key": "message-7"}, "idempotency key message-7 has the form of those"),
        ({"idempotency_key": "k" * (LONGEST_NAME + 1)}, "idempotency_key has 513 characters"),
        ({"run_id": "a\x00b"}, "run_id is no valid text"),
        ({"session_id": "\udc80"}, "session_id is no valid text"),
        ({"expires_at": NAIVE}, "expires_at is 2026-03-03T13:00:00, without a time zone"),
        ({"scheduled_at": NAIVE}, "scheduled_at is 2026-03-03T13:00:00, without a time zone"),
        ({"expires_at": NOW}, "which is over"),
        ({"expires_at": NOW - HOUR}, "which is over"),
        ({"expires_at": NOW + HOUR, "scheduled_at": NOW + HOUR}, "is not after scheduled_at"),
        ({"expires_at": NOW + HOUR, "scheduled_at": NOW + 2 * HOUR}, "is not after scheduled_at"),
    ],
)
def test_what_could_not_be_sent_or_would_be_of_no_use_is_refused(
    values: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserMistake, match=said):
        check_message(_message(**values), NOW)
