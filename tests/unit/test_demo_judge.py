from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from outbound_slo.demo.fates import Fate, Loss, Lost, Reckoning
from outbound_slo.demo.judge import Evidence, date_by_pages, judge_run
from outbound_slo.demo.pager import Page, PageState

BROKE = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HEALED = BROKE + timedelta(seconds=50)
ALERT = "WhatsAppProviderDown"

FIRING = Page(
    received_at=BROKE + timedelta(seconds=12),
    alert=ALERT,
    state=PageState.FIRING,
    severity="critical",
    priority="P1",
    summary="WhatsApp accepts nothing",
    runbook_url="https://runbooks.example.com/WhatsAppProviderDown.md",
    fingerprint="f1",
    started_at=BROKE + timedelta(seconds=11),
    ended_at=None,
    labels={"alertname": ALERT},
)
RESOLVED = replace(
    FIRING, state=PageState.RESOLVED, received_at=HEALED + timedelta(seconds=20), ended_at=HEALED
)
GOOD = Evidence(
    expected=frozenset({ALERT, "WhatsAppHighFailureRate"}),
    broke_at=BROKE,
    healed_at=HEALED,
    first_failure_at=BROKE + timedelta(seconds=2),
    fired={ALERT: BROKE + timedelta(seconds=11)},
    reached={ALERT: BROKE + timedelta(seconds=11)},
    pages=[FIRING, RESOLVED],
)
ALL_SENT = Reckoning(
    queued=100,
    fates=dict.fromkeys(Fate, 0) | {Fate.DELIVERED: 100},
    lost=(),
    twice={},
    strangers=(),
)


def unmet(evidence: Evidence = GOOD, reckoning: Reckoning = ALL_SENT) -> set[str]:
    verdict = judge_run(evidence, reckoning)
    titles = {finding.title for finding in verdict.findings if not finding.met}
    assert verdict.is_met is not bool(titles)
    return titles


def test_an_incident_that_was_caught_from_end_to_end_passes_with_its_times() -> None:
    assert unmet() == set()
    verdict = judge_run(GOOD, ALL_SENT)
    assert verdict.alert == ALERT
    assert verdict.seconds_to_page == 10
    assert verdict.seconds_to_resolved == 20


def test_a_page_dates_its_alert_where_the_look_came_later() -> None:
    late, early = BROKE + timedelta(seconds=13), BROKE + timedelta(seconds=9)
    pages = [FIRING, RESOLVED]
    assert date_by_pages({ALERT: late}, pages, lambda page: page.started_at) == {
        ALERT: FIRING.started_at
    }
    assert date_by_pages({ALERT: early, "Other": late}, pages, lambda page: page.started_at) == {
        ALERT: early, "Other": late,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"first_failure_at": None}, "The provider failed"),
        ({"fired": {}}, "The alert fired in Prometheus"),
        ({"fired": {"OutboundNoData": BROKE}}, "The alert fired in Prometheus"),
        ({"reached": {}}, "It reached Alertmanager"),
        ({"pages": [FIRING]}, "When the provider healed, the page said so"),
    ],
)
def test_each_missing_step_is_named_alone(changes: dict[str, object], title: str) -> None:
    assert unmet(replace(GOOD, **changes)) == {title}  # type: ignore[arg-type] # fields by name


def test_without_a_page_there_is_nothing_to_resolve_either() -> None:
    assert unmet(replace(GOOD, pages=[])) == {
        "The pager was called",
        "When the provider healed, the page said so",
    }


def test_a_page_for_something_else_does_not_count() -> None:
    other = replace(FIRING, alert="OutboundSendLatencyHigh", fingerprint="f2")
    assert "The pager was called" in unmet(replace(GOOD, pages=[other]))


@pytest.mark.parametrize("part", ["severity", "priority", "summary", "runbook_url"])
def test_a_page_without_one_of_its_parts_is_not_good_enough(part: str) -> None:
    poor = replace(FIRING, **{part: ""})  # type: ignore[arg-type] # the name comes from the list
    evidence = replace(GOOD, pages=[poor, RESOLVED])
    assert unmet(evidence) == {"The pager was called"}
    finding = next(f for f in judge_run(evidence, ALL_SENT).findings if not f.met)
    assert part in finding.detail


def test_a_page_that_resolved_before_the_provider_healed_does_not_say_that_it_healed() -> None:
    early = replace(RESOLVED, received_at=HEALED - timedelta(seconds=1))
    title = "When the provider healed, the page said so"
    assert unmet(replace(GOOD, pages=[FIRING, early])) == {title}
    assert unmet(replace(GOOD, pages=[FIRING, early, RESOLVED])) == set()


def test_the_resolution_of_another_alert_does_not_count() -> None:
    other = replace(RESOLVED, fingerprint="f2")
    title = "When the provider healed, the page said so"
    assert unmet(replace(GOOD, pages=[FIRING, other])) == {title}


def test_a_page_before_the_incident_is_a_false_alarm_and_not_the_incidents_page() -> None:
    false_alarm = replace(FIRING, received_at=BROKE - timedelta(seconds=5))
    quiet = "The pager was quiet before the incident"
    assert unmet(replace(GOOD, pages=[false_alarm, FIRING, RESOLVED])) == {quiet}
    assert "The pager was called" in unmet(replace(GOOD, pages=[false_alarm]))


def test_a_resolution_before_the_incident_is_no_false_alarm() -> None:
    stray = replace(RESOLVED, alert="OutboundNoData", received_at=BROKE - timedelta(seconds=5))
    assert unmet(replace(GOOD, pages=[stray, FIRING, RESOLVED])) == set()


def test_a_lost_message_a_second_copy_and_a_stranger_each_fail_the_run() -> None:
    lost = replace(ALL_SENT, lost=(Lost(7, Loss.EATEN, None),))
    assert unmet(reckoning=lost) == {"No message was lost"}
    assert unmet(reckoning=replace(ALL_SENT, twice={7: 2})) == {"No message was sent twice"}
    assert unmet(reckoning=replace(ALL_SENT, strangers=("x",))) == {"No message was sent twice"}


def test_a_run_without_messages_shows_nothing() -> None:
    assert unmet(reckoning=replace(ALL_SENT, queued=0)) == {"No message was lost"}


def test_the_second_sign_of_the_outage_is_good_enough() -> None:
    other = "WhatsAppHighFailureRate"
    when = BROKE + timedelta(seconds=20)
    evidence = replace(
        GOOD,
        fired={other: when},
        reached={other: when},
        pages=[replace(FIRING, alert=other), replace(RESOLVED, alert=other)],
    )
    assert unmet(evidence) == set()
    assert judge_run(evidence, ALL_SENT).alert == other
