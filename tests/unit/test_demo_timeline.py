import re
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alerts.generator import render_rules
from alerts.timing import Timing
from outbound_slo.demo.conductor import count_due
from outbound_slo.demo.pace import build_pace
from outbound_slo.demo.scenario import OUTAGE_ALERTS
from outbound_slo.demo.timeline import Phase, Timeline, plan_timeline, shortest_duration
from outbound_slo.settings import BACKOFF_SECONDS
from outbound_slo.vocabulary.mistakes import UserMistake

SCALES = st.floats(min_value=5, max_value=60)


def length_of(timeline: Timeline, phase: Phase) -> float:
    return next(s.end_s - s.start_s for s in timeline.stretches if s.phase is phase)


def read_seconds(duration: str) -> float:
    """Read one of Prometheus's durations, such as `1m30s` or `7500ms`."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+)(ms|s|m|h)", duration)
    return sum(int(number) * units[unit] for number, unit in parts)


@given(SCALES, st.floats(min_value=0, max_value=2000))
def test_the_phases_fill_the_whole_run_in_order(scale: float, spare_s: float) -> None:
    pace = build_pace(scale)
    duration = shortest_duration(pace) + spare_s
    timeline = plan_timeline(duration, pace)
    assert [s.phase for s in timeline.stretches] == list(Phase)
    ends = [s.end_s for s in timeline.stretches]
    assert [s.start_s for s in timeline.stretches] == [0.0, *ends[:-1]]
    assert all(s.end_s > s.start_s for s in timeline.stretches)
    assert timeline.duration_s == pytest.approx(duration)


@given(SCALES, st.floats(min_value=0, max_value=2000))
def test_each_phase_is_long_enough_for_what_it_has_to_show(scale: float, spare_s: float) -> None:
    pace = build_pace(scale)
    timeline = plan_timeline(shortest_duration(pace) + spare_s, pace)
    # Lengths are differences of starts, so the last digits are noise.
    incident = length_of(timeline, Phase.INCIDENT) - 1e-6
    assert length_of(timeline, Phase.WARM_UP) >= pace.window_s - 1e-6
    assert incident >= pace.until_page_s
    assert length_of(timeline, Phase.RECOVERY) >= pace.until_resolved_s
    assert length_of(timeline, Phase.RECOVERY) >= pace.longest_wait_after(incident)
    assert length_of(timeline, Phase.SETTLE) >= pace.receipt_s + pace.sight_s


@given(SCALES, st.floats(min_value=0, max_value=5000))
def test_no_message_can_lose_its_budget_in_the_incident(scale: float, spare_s: float) -> None:
    pace = build_pace(scale)
    incident = length_of(plan_timeline(shortest_duration(pace) + spare_s, pace), Phase.INCIDENT)
    attempts = [start for start in pace.attempt_starts() if start < incident - 1e-6]
    assert len(attempts) <= pace.attempts - 2


@pytest.mark.parametrize("scale", [20, 30])
def test_a_run_below_the_shortest_is_refused_and_told_how_long_it_has_to_be(scale: float) -> None:
    pace = build_pace(scale)
    least = shortest_duration(pace)
    with pytest.raises(UserMistake, match=r"--duration \S+ is too short") as refusal:
        plan_timeline(least - 0.01, pace)
    named = int(refusal.value.mend.split("Give at least ")[1].split(",")[0])
    assert least <= named < least + 1
    assert plan_timeline(named, pace).duration_s == named


def test_the_default_run_is_about_three_minutes_with_a_long_enough_incident() -> None:
    timeline = plan_timeline(180, build_pace(20))
    assert length_of(timeline, Phase.WARM_UP) == pytest.approx(40)
    assert length_of(timeline, Phase.INCIDENT) == pytest.approx(50)


def test_a_moment_belongs_to_its_phase_and_a_late_one_to_the_last() -> None:
    timeline = plan_timeline(180, build_pace(20))
    assert timeline.phase_at(0) is Phase.WARM_UP
    assert timeline.phase_at(timeline.start_of(Phase.INCIDENT)) is Phase.INCIDENT
    assert timeline.phase_at(timeline.start_of(Phase.INCIDENT) - 0.001) is Phase.WARM_UP
    assert timeline.phase_at(10_000) is Phase.SETTLE


def test_the_longest_wait_follows_from_the_attempts_that_fit_into_the_incident() -> None:
    pace = replace(build_pace(20), backoff_spread=0.0, breaker_open_s=0.0)
    assert pace.attempt_starts()[:4] == (0.0, 3.0, 18.0, 63.0)
    assert pace.longest_wait_after(2) == 3
    assert pace.longest_wait_after(4) == 15
    assert pace.longest_wait_after(50) == 45


@pytest.mark.parametrize("scale", [1, 20, 40])
def test_the_pace_says_what_the_rules_of_that_time_scale_say(scale: float) -> None:
    pace = build_pace(scale)
    rules = [
        rule
        for text in render_rules(Timing(scale)).values()
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if rule.get("alert") in OUTAGE_ALERTS
    ]
    assert {rule["alert"] for rule in rules} == set(OUTAGE_ALERTS)
    longest = max(rules, key=lambda rule: read_seconds(rule["for"]))
    assert read_seconds(longest["for"]) == pytest.approx(pace.for_s)
    assert read_seconds(longest["keep_firing_for"]) == pytest.approx(pace.keep_firing_s)


def test_every_wait_of_the_sender_is_shortened_by_the_same_scale() -> None:
    production, demo = build_pace(1), build_pace(20)
    assert production.backoff_s == BACKOFF_SECONDS
    assert [wait * 20 for wait in demo.backoff_s] == pytest.approx(list(BACKOFF_SECONDS))
    for name in ("breaker_open_s", "recovery_window_s", "poll_s", "window_s", "group_wait_s"):
        assert getattr(demo, name) * 20 == pytest.approx(getattr(production, name))


@pytest.mark.parametrize("scale", [0, 0.5, float("nan"), float("inf")])
def test_a_time_scale_that_slows_down_or_is_no_number_is_refused(scale: float) -> None:
    with pytest.raises(UserMistake, match="time scale"):
        build_pace(scale)


def test_messages_are_due_at_a_steady_rate_until_the_last_one() -> None:
    assert [count_due(t, 8, 10) for t in (0, 0.1, 0.125, 1, 9.999, 10, 500)] == [
        0, 0, 1, 8, 79, 80, 80,
    ]  # fmt: skip
