"""Reading durations and times of Jaeger's query parameters."""

import pytest

from tracing.store.search import read_go_duration, read_timestamp


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("10s", 10 * 10**9),
        ("1.5ms", 1_500_000),
        (".5s", 500_000_000),
        ("1h30m", 5400 * 10**9),
        ("100us", 100_000),
        ("100µs", 100_000),
        ("7ns", 7),
    ],
)
def test_a_go_duration_is_read_as_nanoseconds(text: str, nanoseconds: int) -> None:
    assert read_go_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "-1s", "1d", "1s2", "1.s.5"])
def test_what_is_no_go_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration like 10s"):
        read_go_duration(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.000000001Z", 1_000_000_001),
        ("1970-01-01T02:00:00.5+02:00", 500_000_000),
        ("2026-01-01T00:00:00.123456789Z", 1_767_225_600_123_456_789),
    ],
)
def test_a_time_keeps_its_nanoseconds(text: str, nanoseconds: int) -> None:
    assert read_timestamp(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_timestamp(text)
