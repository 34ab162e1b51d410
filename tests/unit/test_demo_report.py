import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from outbound_slo.demo.fates import Fate, Loss, Lost, Reckoning
from outbound_slo.demo.judge import Evidence, judge_run
from outbound_slo.demo.pace import build_pace
from outbound_slo.demo.pager import Page, PageState
from outbound_slo.demo.report import Report, Story, write_json
from outbound_slo.demo.scenario import SCENARIOS, STANDING_FAULTS, find_scenario
from outbound_slo.demo.sheet import draw_opening, draw_report
from outbound_slo.demo.sla import SlaRow, write_expressions
from outbound_slo.demo.timeline import plan_timeline
from outbound_slo.simulator.faults import FaultSet
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.thresholds import SLA_QUEUE_DEPTH, SLA_SEND_LATENCY, SLA_TABLE
from tracing.traces import Span, Trace

START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
ALERT = "WhatsAppProviderDown"


def span(name: SpanName, tags: dict[Tag, str | int], *, parent: str | None = None) -> Span:
    return Span(
        trace_id="a" * 32,
        span_id=name.value,
        parent_id=parent,
        name=name.value,
        service="backend",
        kind="internal",
        start_us=1_700_000_000_000_000,
        duration_us=1000,
        failed=False,
        status_message="",
        tags={tag.value: value for tag, value in tags.items()},
        links=(),
    )


FAILED_TRACE = Trace(
    "a" * 32,
    (
        span(
            SpanName.OUTBOUND_MESSAGE_PROCESS,
            {Tag.MESSAGE_ID: 7, Tag.ERROR_CODE: "131016", Tag.STATUS: "QUEUED"},
        ),
    ),
)
DELIVERED_TRACE = Trace(
    "b" * 32,
    (
        span(SpanName.OUTBOUND_MESSAGE_PROCESS, {Tag.MESSAGE_ID: 8, Tag.STATUS: "SENT"}),
        span(
            SpanName.STATUS_UPDATE,
            {Tag.NEW_STATUS: "DELIVERED"},
            parent=SpanName.OUTBOUND_MESSAGE_PROCESS.value,
        ),
    ),
)

SENT_TRACE = replace(
    DELIVERED_TRACE,
    spans=(
        DELIVERED_TRACE.root,
        replace(DELIVERED_TRACE.spans[1], tags={Tag.NEW_STATUS.value: "SENT"}),
    ),
)


def build_report() -> Report:
    page = Page(
        received_at=START + timedelta(seconds=52),
        alert=ALERT,
        state=PageState.FIRING,
        severity="critical",
        priority="P1",
        summary="WhatsApp accepts nothing",
        runbook_url="https://runbooks.example.com/WhatsAppProviderDown.md",
        fingerprint="f1",
        started_at=START,
        ended_at=None,
        labels={},
    )
    evidence = Evidence(
        expected=frozenset({ALERT}),
        broke_at=START + timedelta(seconds=40),
        healed_at=START + timedelta(seconds=90),
        first_failure_at=START + timedelta(seconds=41),
        fired={ALERT: START + timedelta(seconds=51)},
        reached={ALERT: START + timedelta(seconds=51)},
        pages=[
            page,
            replace(page, state=PageState.RESOLVED, received_at=START + timedelta(seconds=120)),
        ],
    )
    reckoning = Reckoning(
        queued=1000,
        fates={Fate.DELIVERED: 900, Fate.SENT: 70, Fate.REFUSED: 30, Fate.LOST: 0},
        lost=(),
        twice={},
        strangers=(),
    )
    pace = build_pace(20)
    return Report(
        started_at=START,
        seed=1,
        rate=7.0,
        scenario="outage",
        pace=pace,
        timeline=plan_timeline(180, pace),
        directory=Path("demo-data"),
        sla=(
            SlaRow("Send latency", SLA_SEND_LATENCY, "whole run", 31.5, 50.0),
            SlaRow("Queue depth", SLA_QUEUE_DEPTH, "at the end", 0.0, 97.0),
        ),
        evidence=evidence,
        verdict=judge_run(evidence, reckoning),
        reckoning=reckoning,
        webhooks={"delivered": 900},
        failed=Story("A message that failed", 7, (FAILED_TRACE,)),
        delivered=Story("A message that was delivered", 8, (DELIVERED_TRACE,)),
    )


def render(report: Report, *, stays: bool = True) -> str:
    console = Console(width=140, file=StringIO(), record=True)
    for part in draw_report(report, stays=stays):
        console.print(part)
    return console.export_text()


def test_the_printed_report_has_every_part() -> None:
    text = render(build_report())
    for expected in (
        "p95 < 30 s",
        "31.5 s",
        "NOT MET",
        "97 messages",
        "Time from first failure to page: 11.0 s",
        f"page: {ALERT} is resolved",
        "message.id 7",
        "message.id 8",
        "PASSED",
    ):
        assert expected in text
    assert re.search(r"lost +│ +0 ", text)
    assert re.search(r"sent twice +│ +0 ", text)


def test_a_broken_promise_does_not_fail_the_demo_but_a_lost_message_does() -> None:
    report = build_report()
    assert report.is_met
    reckoning = replace(report.reckoning, lost=(Lost(7, Loss.EATEN, None),))
    verdict = judge_run(report.evidence, reckoning)
    spoiled = replace(report, reckoning=reckoning, verdict=verdict)
    assert not spoiled.is_met
    text = render(spoiled)
    assert "FAILED: 1 of 10 findings" in text
    assert "message 7: given up although its error passes by itself" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"failed": Story("A message that failed", None, ())},
        {"failed": Story("A message that failed", 7, ())},
        {"failed": Story("A message that failed", 7, (DELIVERED_TRACE,))},
        {"delivered": Story("A message that was delivered", 8, (FAILED_TRACE,))},
        {"delivered": Story("A message that was delivered", 8, ())},
        {"delivered": Story("A message that was delivered", 8, (SENT_TRACE,))},
    ],
)
def test_traces_that_do_not_tell_the_story_fail_the_demo(changes: dict[str, Story]) -> None:
    spoiled = replace(build_report(), **changes)  # type: ignore[arg-type] # fields by name
    assert sum(not finding.met for finding in spoiled.findings) == 1
    assert "FAILED" in render(spoiled)


def test_no_file_is_named_that_is_about_to_go() -> None:
    report = replace(
        build_report(),
        status=Path("demo-data/ops-status.txt"),
        dashboards=Path("demo-data/dashboards"),
    )

    assert "demo-data/ops-status.txt" in render(report)
    assert "demo-data/dashboards" in render(report)
    assert "demo-data" not in render(report, stays=False)


def test_the_json_holds_what_the_sheet_shows() -> None:
    document = json.loads(json.dumps(write_json(build_report())))
    assert document["passed"] is True
    assert document["incident"]["seconds_to_page"] == 11.0
    assert document["incident"]["page"]["priority"] == "P1"
    assert document["incident"]["resolved_page"]["state"] == "resolved"
    assert document["messages"]["lost"] == []
    assert document["messages"]["sent_twice"] == []
    assert document["messages"]["fates"]["delivered"] == 900
    assert [(row["indicator"], row["met"]) for row in document["sla"]] == [
        ("Send latency", False),
        ("Queue depth", True),
    ]
    assert document["traces"]["failed"]["message_id"] == 7
    assert document["traces"]["delivered"]["traces"][0]["traceId"] == "b" * 32
    assert [stretch["phase"] for stretch in document["timeline"]] == [
        "warm-up", "incident", "recovery", "settle",
    ]  # fmt: skip


def test_a_promise_without_data_is_not_kept() -> None:
    assert not SlaRow("Queue depth", SLA_QUEUE_DEPTH, "at the end", None, None).is_met
    report = replace(
        build_report(), sla=(SlaRow("Queue depth", SLA_QUEUE_DEPTH, "at the end", None, None),)
    )
    assert "no data" in render(report)


def test_the_opening_says_by_how_much_the_waits_are_shortened() -> None:
    console = Console(width=100, file=StringIO(), record=True)
    pace = build_pace(20)
    console.print(draw_opening(pace, plan_timeline(180, pace), "the story"))
    text = " ".join(console.export_text().split())
    for expected in (
        "20 times shorter",
        "'for' 5 min 15 s Timing(scale=20)",
        "3, 15, 45, 180,",
        "OUTBOUND_RETRY_BACKOFF_SECONDS",
        "1 min 3 s OUTBOUND_BREAKER_OPEN_SECONDS",
        "10 min 30 s OUTBOUND_RECOVERY_WINDOW_SECONDS",
        "Incident: the story",
    ):
        assert expected in text


def test_every_promise_of_the_table_has_expressions_over_the_run() -> None:
    expressions = write_expressions(181.6)
    assert list(expressions) == [promise.subject for promise in SLA_TABLE]
    for value, worst in expressions.values():
        names = set(metrics.METRICS)
        assert any(name in value for name in names)
        assert any(name in worst for name in names)
        assert "[182s" in worst


def test_the_scenarios_are_orders_that_the_simulator_understands() -> None:
    for scenario in SCENARIOS.values():
        order = FaultSet(faults=(*STANDING_FAULTS, *scenario.faults)).model_dump_json()
        assert FaultSet.model_validate_json(order).faults == (*STANDING_FAULTS, *scenario.faults)
    [outage] = find_scenario("outage").faults
    assert (outage.kind, outage.rate) == ("error", 1.0)
    assert (getattr(outage, "http_status", 0), getattr(outage, "code", 0)) == (500, 131016)


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserMistake, match="Choose one of none, outage"):
        find_scenario("meteor")
