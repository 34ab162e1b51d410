import pytest

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage, check_message


def _message(channel: Channel, recipient: str) -> NewMessage:
    return NewMessage("org", channel, recipient, template_code="reminder")


@pytest.mark.parametrize(
    ("channel", "recipient"),
    [
        (Channel.WHATSAPP, "+33612345678"),
        (Channel.SMS, "+14155552671"),
        (Channel.EMAIL, "ann.b+c@mail.example.org"),
    ],
)
def test_a_sound_recipient_is_accepted(channel: Channel, recipient: str) -> None:
    check_message(_message(channel, recipient))


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
    ],
)
def test_a_recipient_that_cannot_be_reached_is_refused(
    channel: Channel, recipient: str, said: str
) -> None:
    with pytest.raises(UserMistake, match=said):
        check_message(_message(channel, recipient))


def test_a_message_needs_content_and_an_attempt() -> None:
    with pytest.raises(UserMistake, match="no content"):
        check_message(NewMessage("org", Channel.SMS, "+33612345678"))
    with pytest.raises(UserMistake, match="max_attempts is 0"):
        check_message(NewMessage("org", Channel.SMS, "+33612345678", subject="S", max_attempts=0))
