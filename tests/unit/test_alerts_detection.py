"""Detection budgets: what they add up, what they promise, and that a slow setting is told."""

from pathlib import Path

import pytest

from alerts.catalogue import GROUPS
from alerts.detection import Budget, Pace, find_late, list_budgets, pages, read_pace, reckon
from alerts.reach import find_window_s, reads_database
from alerts.rule import Alert, Onset
from alerts.timing import Timing, parse_duration
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.alerts import (
    DETECTED_WITHIN_S,
    AlertName,
    Family,
    Level,
    Priority,
)
from outbound_slo.vocabulary.mistakes import UserMistake

PACE = Pace.production()
ALERTS = {(alert.name, alert.tier): alert for group in GROUPS for alert in group.alerts}
BUDGETS = {(each.alert, each.tier): each for each in list_budgets(PACE)}


def make_alert(expression: str, priority: Priority = Priority.P1, **more: object) -> Alert:
    alert = Alert(
        AlertName.OUTAGE, Family.PROVIDER, priority, Level.L1, expression, "summary", "text"
    )
    for name, value in more.items():
        object.__setattr__(alert, name, value)
    return alert


def test_production_is_the_settings_defaults() -> None:
    assert Pace(10, 15, 15) == PACE
    assert PACE.refresh_s * 1000 == ExporterSettings().refresh_interval_ms
    assert PACE.scrape_s == Timing().scrape_interval_s


def test_a_full_outage_at_one_message_a_second_pages_within_three_minutes() -> None:
    assert DETECTED_WITHIN_S == {AlertName.OUTAGE: 180, AlertName.PROVIDER_DOWN: 180}
    assert find_late(PACE) == []
    outage = BUDGETS[AlertName.OUTAGE, 1]
    down = BUDGETS[AlertName.PROVIDER_DOWN, 1]
    story = "nothing is accepted, at one message per second"
    assert outage == Budget(AlertName.OUTAGE, 1, story, 10, 15, 15, 60, 60, 0)
    assert down == Budget(AlertName.PROVIDER_DOWN, 1, story, 10, 15, 15, 60, 60, 10)
    assert (outage.total_s, down.total_s, down.fires_after_s) == (160, 170, 160)


@pytest.mark.parametrize(
    ("pace", "late"),
    [
        (Pace(20, 15, 15), []),
        (Pace(21, 15, 15), ["WhatsAppProviderDown"]),
        (Pace(30, 15, 15), ["WhatsAppProviderDown"]),
        (Pace(31, 15, 15), ["OutboundOutage", "WhatsAppProviderDown"]),
        (Pace(10, 15, 30), ["WhatsAppProviderDown"]),
        (Pace(10, 60, 15), ["OutboundOutage", "WhatsAppProviderDown"]),
    ],
)
def test_a_slower_setting_is_told(pace: Pace, late: list[str]) -> None:
    assert [finding.subject for finding in find_late(pace)] == late


def test_what_is_told_of_a_slow_setting_is_the_sum() -> None:
    [told] = find_late(Pace(25, 15, 15))

    assert str(told) == (
        "detection: WhatsAppProviderDown: pages after 3m5s, promised are 3m: "
        "refresh 25s + scrape 15s + evaluation 15s + window 1m + for 1m + group_wait 10s"
    )


def test_every_tier_that_pages_has_a_budget_and_no_other() -> None:
    assert BUDGETS.keys() == {
        place for place, alert in ALERTS.items() if alert.severity == "critical"
    }
    assert not pages(ALERTS[AlertName.WATCHDOG, 1])


def test_an_evaluation_ends_what_has_to_hold() -> None:
    alert = make_alert("$QUEUED_TOTAL > 0", hold_s=50)

    assert reckon(alert, PACE).hold_s == 60
    assert reckon(alert, Pace(10, 15, 40)).hold_s == 80


@pytest.mark.parametrize(
    ("expression", "window_s", "database"),
    [
        ("$QUEUED_TOTAL > 0", 0, True),
        ("$ATTEMPTS_1M > 0", 60, True),
        # The ratio is of two differences over five minutes.
        ("$FAILURE_RATIO > 0", 300, True),
        ("$ATTEMPTS_1M > 0 and ${FAILURE_RATIO} > 0", 300, True),
        ("increase($DROPPED_SPANS[10m]) > 0", 600, False),
        ("$QUEUED_TOTAL - $QUEUED_TOTAL offset 1h30m > 0", 5400, True),
        ("$QUEUED_TOTAL - $QUEUED_TOTAL offset 3d > 0", 259200, True),
        ("vector(1)", 0, False),
    ],
)
def test_a_window_is_the_longest_of_all_that_is_read(
    expression: str, window_s: float, database: bool
) -> None:
    alert = make_alert(expression)

    assert find_window_s(alert) == window_s
    assert reads_database(alert) == database
    budget = reckon(alert, PACE)
    assert budget.window_s == window_s
    assert budget.refresh_s == (10 if database else 0)
    assert budget.story == ("the trouble fills the window" if window_s else "the condition holds")


@pytest.mark.parametrize(("tier", "window_s"), [(4, 3600), (3, 21600), (2, 86400), (1, 259200)])
def test_a_budget_is_judged_over_its_tiers_long_window(tier: int, window_s: float) -> None:
    assert find_window_s(ALERTS[AlertName.ERROR_BUDGET_BURN, tier]) == window_s


def test_what_an_alert_says_of_its_trouble_goes_before_its_windows() -> None:
    budget = reckon(make_alert("$FAILURE_RATIO > 0", onset=Onset("half fails", 7)), PACE)

    assert (budget.window_s, budget.story) == (7, "half fails")


def test_the_intervals_of_a_configuration_are_read(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text("global: {scrape_interval: 1m30s, evaluation_interval: 500ms}", "utf-8")
    assert read_pace(file, 10) == Pace(10, 90, 0.5)
    # Prometheus's own default.
    file.write_text("scrape_configs: []", "utf-8")
    assert read_pace(file, 10) == Pace(10, 60, 60)


def test_an_interval_that_is_no_duration_is_named(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text("global: {scrape_interval: soon}", "utf-8")

    with pytest.raises(UserMistake, match=r"prometheus\.yml: global\.scrape_interval is 'soon'"):
        read_pace(file, 10)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15s", 15), ("1h2m3s4ms", 3723.004), ("1w", 604800), ("0", 0), ("1y", 31536000)],
)
def test_durations_are_read_as_prometheus_writes_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "s", "1.5s", "-1s", "15s ", "1x"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)
