from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.quiet_hours import QuietWindow, find_zones, seconds_until_allowed

PARIS = ZoneInfo("Europe/Paris")
KIGALI = ZoneInfo("Africa/Kigali")
NIGHT = QuietWindow(time(22, 0), time(7, 0))
DAY_S = 86400.0

ZONES = [ZoneInfo(name) for name in sorted(available_timezones())]

# Years whose rules are known; moments anywhere in them, the changes of clocks included.
moments = st.integers(
    int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()),
    int(datetime(2037, 12, 31, tzinfo=UTC).timestamp()),
).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
times = st.times()


@st.composite
def windows(draw: st.DrawFn, longest_h: float) -> QuietWindow:
    """Draw quiet hours of up to `longest_h` hours, to the minute."""
    start = draw(st.integers(0, 1439))
    length = draw(st.integers(1, int(longest_h * 60)))
    end = (start + length) % 1440
    return QuietWindow(time(start // 60, start % 60), time(end // 60, end % 60))


def _at(text: str, zone: ZoneInfo = PARIS) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def _wait_h(text: str, window: QuietWindow = NIGHT, zone: ZoneInfo = PARIS) -> float:
    return seconds_until_allowed(_at(text, zone), window, [zone]) / 3600


@pytest.mark.parametrize(
    ("local", "hours"),
    [
        ("2026-01-15T21:59:59", 0.0),
        ("2026-01-15T22:00:00", 9.0),
        ("2026-01-16T00:00:00", 7.0),
        ("2026-01-16T06:30:00", 0.5),
        ("2026-01-16T07:00:00", 0.0),
        ("2026-01-16T12:00:00", 0.0),
    ],
)
def test_the_runbooks_quiet_hours_cross_midnight(local: str, hours: float) -> None:
    assert _wait_h(local) == hours


def test_the_recipients_clock_counts_and_not_ours() -> None:
    now = datetime(2026, 1, 15, 20, 30, tzinfo=UTC)
    assert seconds_until_allowed(now, NIGHT, [KIGALI]) == 8.5 * 3600
    assert seconds_until_allowed(now, NIGHT, [ZoneInfo("UTC")]) == 0


def test_quiet_hours_may_lie_within_a_day() -> None:
    siesta = QuietWindow(time(13, 0), time(15, 30))
    assert _wait_h("2026-01-15T13:30:00", siesta) == 2.0
    assert _wait_h("2026-01-15T12:59:00", siesta) == 0
    assert _wait_h("2026-01-15T15:30:00", siesta) == 0


@given(moments, times, st.sampled_from(ZONES))
def test_equal_ends_are_no_quiet_hours(now: datetime, moment: time, zone: ZoneInfo) -> None:
    assert seconds_until_allowed(now, QuietWindow(moment, moment), [zone]) == 0


def test_a_night_on_which_the_clock_changes_is_an_hour_shorter_or_longer() -> None:
    assert _wait_h("2026-03-28T22:00:00") == 8.0
    assert _wait_h("2026-10-24T22:00:00") == 10.0


def test_an_end_that_the_clock_jumps_over_comes_with_the_jump() -> None:
    # 02:00 is followed by 03:00 on this night; half past two never comes.
    window = QuietWindow(time(22, 0), time(2, 30))
    wait = seconds_until_allowed(_at("2026-03-29T01:30:00"), window, [PARIS])
    end = (_at("2026-03-29T01:30:00").astimezone(UTC) + timedelta(seconds=wait)).astimezone(PARIS)
    assert end.time() == time(3, 30)


def test_an_end_that_comes_twice_counts_the_second_time() -> None:
    # 03:00 is followed by 02:00 on this night: half past two comes twice.
    window = QuietWindow(time(22, 0), time(2, 30))
    assert _wait_h("2026-10-25T02:10:00", window) == pytest.approx(80 / 60)


@given(moments, windows(longest_h=22), st.sampled_from(ZONES))
def test_a_wait_is_shorter_than_a_day_and_ends_outside_quiet_hours(
    now: datetime, window: QuietWindow, zone: ZoneInfo
) -> None:
    wait = seconds_until_allowed(now, window, [zone])
    end = now + timedelta(seconds=wait)
    assert 0 <= wait < DAY_S
    assert not window.holds(end.astimezone(zone).time())
    assert (wait > 0) == window.holds(now.astimezone(zone).time())


@given(moments, windows(longest_h=23.9), st.lists(st.sampled_from(ZONES), min_size=1, max_size=5))
def test_every_wait_ends_and_what_was_let_go_is_not_put_off_again(
    now: datetime, window: QuietWindow, zones: list[ZoneInfo]
) -> None:
    """Whatever the window and the zones, the message goes after one wait."""
    wait = seconds_until_allowed(now, window, zones)
    end = now + timedelta(seconds=wait)
    assert any(not window.holds(end.astimezone(zone).time()) for zone in zones)


@given(moments, st.lists(st.sampled_from(ZONES), min_size=2, max_size=4))
def test_where_a_number_may_be_in_several_zones_it_is_night_in_none(
    now: datetime, zones: list[ZoneInfo]
) -> None:
    """With nine hours of night, zones within twelve hours of each other share a part of the day."""
    offsets = [(now.astimezone(zone).utcoffset() or timedelta()) for zone in zones]
    wait = seconds_until_allowed(now, NIGHT, zones)
    assert wait < DAY_S
    if max(offsets) - min(offsets) <= timedelta(hours=12):
        end = now + timedelta(seconds=wait)
        assert not any(NIGHT.holds(end.astimezone(zone).time()) for zone in zones)


def test_zones_that_share_no_part_of_the_day_leave_it_to_the_middle_one() -> None:
    long_night = QuietWindow(time(18, 0), time(10, 0))
    zones = [ZoneInfo(name) for name in ("Asia/Tokyo", "Europe/Paris", "America/Los_Angeles")]
    now = _at("2026-01-15T20:00:00")
    assert seconds_until_allowed(now, long_night, zones) == 14 * 3600


@pytest.mark.parametrize(
    ("recorded", "recipient", "names"),
    [
        ("Asia/Tokyo", "+250788123456", ["Asia/Tokyo"]),
        (None, "+250788123456", ["Africa/Kigali"]),
        ("Nowhere/Land", "+250788123456", ["Africa/Kigali"]),
        ("Africa", "+250788123456", ["Africa/Kigali"]),
        ("../zoneinfo", "+250788123456", ["Africa/Kigali"]),
        (None, "+243812345678", ["Africa/Kinshasa", "Africa/Lubumbashi"]),
        # A satellite telephone is in no country.
        (None, "+882161234567", ["Europe/Paris"]),
        (None, "ann@example.org", ["Europe/Paris"]),
        (None, "+1", ["Europe/Paris"]),
    ],
)
def test_a_zone_comes_from_the_preferences_then_the_number_then_the_settings(
    recorded: str | None, recipient: str, names: list[str]
) -> None:
    assert [str(zone) for zone in find_zones(recorded, recipient, PARIS)] == names


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("22:00-07:00", time(22, 0), time(7, 0)),
        ("0:00-23:59", time(0, 0), time(23, 59)),
        (" 9:05-09:05 ", time(9, 5), time(9, 5)),
    ],
)
def test_a_window_is_read_from_text(text: str, start: time, end: time) -> None:
    assert QuietWindow.parse(text) == QuietWindow(start, end)


@pytest.mark.parametrize("text", ["", "22-7", "24:00-07:00", "22:00-07:60", "22:00", "night"])
def test_a_window_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no part of a day"):
        QuietWindow.parse(text)
