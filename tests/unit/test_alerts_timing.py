"""One number shortens every wait, and nothing becomes too short to work."""

import pytest

from alerts.timing import MINUTE, Timing, format_duration
from outbound_slo.vocabulary.mistakes import UserMistake


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1.5, "1500ms"),
        (15, "15s"),
        (90, "1m30s"),
        (300, "5m"),
        (3600, "1h"),
        (86400, "1d"),
        (90061, "1d1h1m1s"),
    ],
)
def test_durations_are_written_as_prometheus_reads_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_scale_20_turns_five_minutes_into_fifteen_seconds() -> None:
    assert Timing(20).duration(5 * MINUTE) == "15s"
    assert Timing(20).duration(30) == "1500ms"


def test_production_is_left_as_it_is() -> None:
    assert Timing().duration(5 * MINUTE) == "5m"
    assert Timing().window(MINUTE) == "1m"
    assert Timing().scrape_interval_s == 15


def test_a_demonstration_scrapes_every_second() -> None:
    assert Timing(20).scrape_interval_s == 1


@pytest.mark.parametrize("scale", [1, 3, 20, 1000])
def test_a_window_always_holds_four_scrapes(scale: float) -> None:
    timing = Timing(scale)

    window = timing.window(MINUTE)

    least = format_duration(max(MINUTE / scale, 4 * timing.scrape_interval_s))
    assert window == least


@pytest.mark.parametrize("scale", [0, 0.5, -1, float("nan"), float("inf")])
def test_a_scale_that_is_no_acceleration_is_refused(scale: float) -> None:
    with pytest.raises(UserMistake, match="from 1 upwards"):
        Timing(scale)
