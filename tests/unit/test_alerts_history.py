"""002's numbers from alerts and incidents, and the file in which the incidents stand."""

from pathlib import Path

import pytest

from alerts.history.accuracy import WEEK_S, PastAlert, weigh
from alerts.history.firings import find_runs
from alerts.history.incidents import PastIncident, read_incidents
from outbound_slo.vocabulary.mistakes import UserMistake

OUTAGE = PastIncident("outage", 10_000, 13_600)
QUIET = PastIncident("nobody saw it", 100_000, 101_000)


def test_the_numbers_of_a_week() -> None:
    alerts = [
        PastAlert("A", 10_120, 13_700),
        PastAlert("B", 10_060, 10_300),
        PastAlert("A", 50_000, 50_300),
    ]

    accuracy = weigh([OUTAGE, QUIET], alerts, 2 * WEEK_S)

    assert accuracy.mttd_s == 60
    assert accuracy.mttr_s == 3_540
    assert accuracy.missed == 1
    assert accuracy.per_week == 1
    assert accuracy.per_month == pytest.approx(60 / 14)
    assert (accuracy.fired, accuracy.false) == (3, 1)
    assert accuracy.false_ratio == pytest.approx(1 / 3)
    assert (accuracy.alerts["A"].fired, accuracy.alerts["A"].false) == (2, 1)
    assert [told.first and told.first.name for told in accuracy.incidents] == ["B", None]


def test_an_alert_before_the_start_counts_as_detection_at_once() -> None:
    accuracy = weigh([OUTAGE], [PastAlert("A", 9_000, 9_800)], WEEK_S)

    assert accuracy.mttd_s == 0
    assert accuracy.false == 0


@pytest.mark.parametrize(
    ("start_s", "end_s", "false", "missed"),
    [
        (9_000, 9_700, 0, 0),
        (9_000, 9_699, 1, 1),
        (13_600, 13_700, 0, 0),
        (13_601, 13_700, 0, 1),
        (13_900, 14_000, 0, 1),
        (13_901, 14_000, 1, 1),
    ],
)
def test_the_grace_has_an_edge_on_both_sides(
    start_s: float, end_s: float, false: int, missed: int
) -> None:
    accuracy = weigh([OUTAGE], [PastAlert("A", start_s, end_s)], WEEK_S, 300)

    assert (accuracy.false, accuracy.missed) == (false, missed)


def test_an_alert_of_another_kind_detects_nothing_and_is_not_false_for_that() -> None:
    named = PastIncident("outage", 10_000, 13_600, frozenset({"B"}))

    accuracy = weigh([named], [PastAlert("A", 10_100, 10_200)], WEEK_S)

    assert (accuracy.missed, accuracy.false) == (1, 0)


def test_without_alerts_and_incidents_there_are_no_means() -> None:
    accuracy = weigh([], [], WEEK_S)

    assert (accuracy.mttd_s, accuracy.mttr_s, accuracy.false_ratio) == (None, None, None)


def test_runs_of_looks_become_firings() -> None:
    assert find_runs([]) == []
    assert find_runs([1, 2, 4]) == [(1, 2), (4, 4)]


def test_times_may_be_quoted_or_not(tmp_path: Path) -> None:
    path = tmp_path / "incidents.yml"
    path.write_text(
        "incidents:\n"
        "  - {what: second, start: 2026-01-05T09:00:00Z, end: 2026-01-05 10:00:00, alerts: [A]}\n"
        '  - {what: first, start: "2026-01-05T09:00:00+01:00", end: "2026-01-05T09:00:00Z"}\n'
    )

    first, second = read_incidents(path)

    assert (first.what, first.start_s, first.end_s) == ("first", 1_767_600_000, 1_767_603_600)
    assert (second.start_s, second.end_s) == (1_767_603_600, 1_767_607_200)
    assert second.alerts == {"A"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("incidents: 3", "incidents"),
        ("incidents: [{what: x, start: 2026-01-05T09:00:00Z}]", "end"),
        ("incidents: [{what: x, start: soon, end: 2026-01-05T09:00:00Z}]", "'soon' is no time"),
        ("incidents: [{what: x, start: 2026-01-05, end: x}]", "'2026-01-05' is no time"),
        ("incidents:\n- {what: x, start: 2026-13-05}", "line 2: month must be in"),
        ("incidents: &a [*a]", "line 1: found unconstructable recursive node"),
        (
            "incidents: [{what: x, start: 2026-01-05T09:00:00Z, end: 2026-01-05T09:00:00Z}]",
            "incidents[0] ends before it starts",
        ),
        (
            "incidents: [{what: x, start: 2026-01-05T09:00:00Z, end: 2026-01-05T10:00:00Z, a: 1}]",
            "a",
        ),
    ],
)
def test_a_bad_file_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "incidents.yml"
    path.write_text(text)

    with pytest.raises(UserMistake) as caught:
        read_incidents(path)

    assert message in str(caught.value)
    assert "incidents.yml" in str(caught.value)
