"""The one table of lines: 000's SLA and panels, and the tiers of the alerts."""

import pytest

from outbound_slo.vocabulary.thresholds import (
    ALERT_FAILURE_HIGH,
    ALERT_QUOTA_70,
    SLA_DELIVERY_LATENCY,
    SLA_SEND_LATENCY,
    SLA_STUCK,
    SLA_SUCCESS_RATE,
    SLA_TABLE,
    THRESHOLDS,
    Subject,
    Use,
    panel_steps,
)


def test_the_sla_is_the_table_of_runbook_000() -> None:
    assert [line.text for line in SLA_TABLE] == [
        "p95 < 30 s",
        "p99 < 120 s",
        "> 95 %",
        "< 100 messages",
        "== 0 messages",
        "< 80 %",
    ]


@pytest.mark.parametrize(
    ("subject", "steps"),
    [
        (Subject.SUCCESS_RATE, ((None, "red"), (90, "yellow"), (95, "green"))),
        (Subject.QUEUE_DEPTH, ((None, "green"), (100, "yellow"), (500, "red"))),
        (Subject.STUCK, ((None, "green"), (1, "yellow"), (10, "red"))),
        (Subject.QUOTA, ((None, "green"), (80, "yellow"), (95, "red"))),
        (Subject.RETRY_COUNT, ((None, "green"), (50, "yellow"), (100, "red"))),
        (Subject.DEAD_LETTERS, ((None, "green"), (100, "yellow"), (500, "red"))),
        (Subject.SEND_LATENCY, ((None, "green"), (30, "red"))),
        (Subject.DELIVERY_LATENCY, ((None, "green"), (60, "red"))),
        (Subject.SESSION_WINDOW, ((None, "red"), (3600, "green"))),
    ],
)
def test_panel_steps_are_those_of_runbook_000s_dashboard(
    subject: Subject, steps: tuple[tuple[float | None, str], ...]
) -> None:
    assert panel_steps(subject) == steps


def test_every_line_has_a_key_of_its_own_and_names_its_source() -> None:
    keys = [line.key for line in THRESHOLDS.values()]

    assert len(set(keys)) == len(keys) > 40
    assert all(line.source for line in THRESHOLDS.values())
    assert all(line.key.startswith(f"{line.use}.{line.subject}") for line in THRESHOLDS.values())


def test_alerts_and_recoveries_look_back_and_only_panels_have_colours() -> None:
    lines = THRESHOLDS.values()

    assert {line.use for line in lines if line.hold_s} == {Use.ALERT, Use.RECOVERY}
    assert {line.use for line in lines if line.colour} == {Use.PANEL}


def test_percentages_are_compared_as_shares() -> None:
    assert ALERT_QUOTA_70.ratio == 0.7
    assert ALERT_FAILURE_HIGH.ratio == 0.3


def test_a_line_that_is_no_percentage_has_no_share() -> None:
    with pytest.raises(ValueError, match="not in percent"):
        _ = SLA_SEND_LATENCY.ratio


def test_a_promise_is_kept_up_to_its_line() -> None:
    assert SLA_DELIVERY_LATENCY.holds(119.9)
    assert not SLA_DELIVERY_LATENCY.holds(120)
    assert not SLA_SUCCESS_RATE.holds(95)
    assert SLA_SUCCESS_RATE.holds(95.1)
    assert SLA_STUCK.holds(0)
    assert not SLA_STUCK.holds(1)
