"""What is due when: intervals on the steady clock, cron by the time of day, failures soon again."""

import math

import pytest

from exporter.schedule import Agenda, Cron, Every, parse_cron

# A Sunday, 00:00 in UTC.
MIDNIGHT = 1_700_352_000.0
HOUR = 3600.0


def make_agenda() -> Agenda[str]:
    agenda = Agenda[str](base_s=10.0)
    entries = [("plain", None), ("slow", Every(60.0)), ("nightly", parse_cron("0 3 * * *"))]
    agenda.enter(entries, MIDNIGHT, 0.0)
    return agenda


def run_due(agenda: Agenda[str], at: float, *, failing: str = "") -> set[str]:
    due = agenda.due(MIDNIGHT + at, at)
    for key in due:
        agenda.note(key, worked=key != failing, wall=MIDNIGHT + at, steady=at)
    return set(due)


def test_a_query_may_run_more_often_than_all_others() -> None:
    agenda = Agenda[str](base_s=10.0)
    agenda.enter([("plain", None), ("quick", Every(1.0))], MIDNIGHT, 0.0)
    runs = [run_due(agenda, tenth / 10) for tenth in range(101)]

    assert [at for at, ran in enumerate(runs) if "plain" in ran] == [0, 90]
    assert sum("quick" in ran for ran in runs) == 11
    assert agenda.wait_s(MIDNIGHT + 10.0, 10.0) == pytest.approx(1.0)


def test_runs_keep_step_with_the_first_and_make_up_for_none_that_was_missed() -> None:
    agenda = Agenda[str](base_s=10.0)
    agenda.enter([("plain", None)], MIDNIGHT, 0.0)
    for at in (0.0, 10.5, 20.0):
        assert run_due(agenda, at) == {"plain"}
    assert agenda.wait_s(MIDNIGHT + 20.0, 20.0) == 10.0

    run_due(agenda, 75.0)

    assert agenda.wait_s(MIDNIGHT + 75.0, 75.0) == 10.0


def test_jitter_puts_all_runs_but_the_first_off_by_the_same() -> None:
    agenda = Agenda[str](base_s=10.0, jitter=0.5)
    agenda.enter([("plain", None)], MIDNIGHT, 0.0)
    assert run_due(agenda, 0.0) == {"plain"}
    assert agenda.wait_s(MIDNIGHT, 0.0) == 10.5

    run_due(agenda, 10.5)

    assert agenda.wait_s(MIDNIGHT + 10.5, 10.5) == 10.0


def test_at_the_start_the_page_waits_neither_for_what_is_seldom_asked_nor_for_an_hour() -> None:
    agenda = make_agenda()

    assert run_due(agenda, 0.0) == {"plain"}
    assert run_due(agenda, 10.0) == {"plain", "slow"}


def test_each_query_keeps_its_own_interval() -> None:
    agenda = make_agenda()
    runs = {at: run_due(agenda, float(at)) for at in range(0, 130, 10)}

    assert all("plain" in ran for ran in runs.values())
    assert [at for at, ran in runs.items() if "slow" in ran] == [10, 70]


def test_a_cron_query_runs_at_its_hour_once_a_day() -> None:
    agenda = make_agenda()
    hours = [hour for hour in range(50) if "nightly" in run_due(agenda, hour * HOUR)]

    assert hours == [3, 27]


def test_neighbours_run_together_and_a_cron_that_ran_early_not_twice() -> None:
    agenda = make_agenda()
    run_due(agenda, 0.0)

    assert "nightly" in run_due(agenda, 3 * HOUR - 0.9)
    assert "nightly" not in run_due(agenda, 3 * HOUR)
    assert "nightly" not in run_due(agenda, 3 * HOUR + 10)
    assert "nightly" in run_due(agenda, 27 * HOUR)


@pytest.mark.parametrize("key", ["slow", "nightly"])
def test_a_failure_is_tried_again_after_a_refresh_and_not_after_its_interval(key: str) -> None:
    agenda = make_agenda()
    run_due(agenda, 3 * HOUR, failing=key)

    assert key not in agenda.due(MIDNIGHT + 3 * HOUR + 5, 3 * HOUR + 5)
    assert key in run_due(agenda, 3 * HOUR + 10)
    assert key not in agenda.due(MIDNIGHT + 3 * HOUR + 20, 3 * HOUR + 20)


def test_the_wait_is_for_the_first_that_is_due() -> None:
    agenda = make_agenda()
    assert agenda.wait_s(MIDNIGHT, 0.0) == 0.0

    run_due(agenda, 0.0)

    assert agenda.wait_s(MIDNIGHT + 4.0, 4.0) == 6.0
    assert Agenda[str](base_s=10.0).wait_s(MIDNIGHT, 0.0) == math.inf


def test_a_correction_of_the_time_of_day_moves_cron_only() -> None:
    agenda = make_agenda()
    run_due(agenda, 0.0)

    assert agenda.due(MIDNIGHT + 4 * HOUR, 1.0) == {"nightly"}


def test_the_moment_of_the_next_regular_run_is_on_the_steady_clock() -> None:
    agenda = make_agenda()
    run_due(agenda, 0.0)
    run_due(agenda, 10.0)

    assert agenda.renewed_by("slow", MIDNIGHT, 10.0) == 70.0
    assert agenda.renewed_by("nightly", MIDNIGHT + 10.0, 10.0) == 3 * HOUR


def test_a_cron_expression_counts_in_utc() -> None:
    assert Cron("30 14 * * *").after(MIDNIGHT) == MIDNIGHT + 14.5 * HOUR


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "0 0 31 2 *", "at noon"])
def test_an_expression_that_never_fits_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_cron(expression)
