import pytest

from outbound_slo.vocabulary.mistakes import UserMistake
from sender.redaction import Redactor
from sender.sentry import Pace, open_report

KIND = ("handleFailure", "WHATSAPP", "131016", "NoneType")


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_event_of_a_kind_goes_per_interval_and_tells_how_many_did_not() -> None:
    clock = _Clock()
    pace = Pace(60.0, clock)
    assert pace.admit(KIND) == 0
    assert [pace.admit(KIND) for _ in range(5)] == [None] * 5
    assert pace.admit(("other",)) == 0
    clock.now = 60.0
    assert pace.admit(KIND) == 5
    clock.now = 120.0
    assert pace.admit(KIND) == 0


def test_kinds_are_forgotten_beyond_a_thousand() -> None:
    pace = Pace(60.0, _Clock())
    for number in range(1001):
        assert pace.admit((str(number),)) == 0
    assert pace.admit(("1000",)) is None
    assert pace.admit(("0",)) == 0


def test_without_a_dsn_nothing_is_reported() -> None:
    with open_report("", "test", Redactor()) as report:
        assert report is None


@pytest.mark.parametrize("dsn", ["nonsense", "https://host/1", "ftp://key@host/1", "https://k@h"])
def test_a_dsn_that_is_none_is_refused_in_one_line(dsn: str) -> None:
    with pytest.raises(UserMistake, match="SENTRY_DSN"), open_report(dsn, "test", Redactor()):
        pass
