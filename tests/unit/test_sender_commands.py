from datetime import UTC, datetime, timedelta, timezone

import pytest

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Priority
from sender.commands import read_expiry, read_priority, read_time

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
    ],
)
def test_a_message_expires_after_a_length_of_time(written: str, length: timedelta) -> None:
    assert read_expiry(written, None, NOW) == NOW + length


def test_a_message_expires_at_a_time_or_never() -> None:
    assert read_expiry(None, "2026-03-03T13:00:00Z", NOW) == NOW + timedelta(hours=1)
    assert read_expiry(None, None, NOW) is None


@pytest.mark.parametrize(
    ("span", "moment", "said"),
    [
        ("soon", None, "--expires-in 'soon' is no length of time"),
        ("1w", None, "--expires-in '1w' is no length of time"),
        ("-1h", None, "--expires-in '-1h' is no length of time"),
        ("999999999d", None, "ends beyond the calendar"),
        ("1h", "2030-01-01T00:00Z", "--expires-in and --expires-at are both given"),
        (None, "tomorrow", "--expires-at 'tomorrow' is no time"),
        (None, "2030-01-01T00:00", "--expires-at '2030-01-01T00:00' has no time zone"),
    ],
)
def test_an_expiry_that_cannot_be_read_is_one_clear_mistake(
    span: str | None, moment: str | None, said: str
) -> None:
    with pytest.raises(UserMistake, match=said):
        read_expiry(span, moment, NOW)


def test_a_time_is_read_with_its_zone() -> None:
    paris = timezone(timedelta(hours=1))
    expected = datetime(2026, 3, 3, 9, 0, tzinfo=paris)
    assert read_time("--at", "2026-03-03T09:00:00+01:00") == expected
    with pytest.raises(UserMistake, match=r"Add it, as in 2026-03-03T09:00:00\+01:00"):
        read_time("--at", "2026-03-03T09:00")


def test_a_priority_is_read_however_it_is_written() -> None:
    assert [read_priority(word) for word in ("urgent", "Normal", "BULK")] == list(Priority)
    with pytest.raises(UserMistake, match="'asap' is no priority"):
        read_priority("asap")
