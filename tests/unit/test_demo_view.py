from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from outbound_slo.demo.pace import build_pace
from outbound_slo.demo.pager import Page, PageState
from outbound_slo.demo.picture import Camera, check_place, save_picture
from outbound_slo.demo.timeline import Phase, plan_timeline
from outbound_slo.demo.view import (
    LiveView,
    PlainView,
    describe_changes,
    describe_queue,
    draw_screen,
    open_view,
)
from outbound_slo.demo.watch import Snapshot
from outbound_slo.vocabulary.mistakes import UserMistake

TIMELINE = plan_timeline(180, build_pace(20))
LINKS = {"Prometheus": "http://127.0.0.1:20001/classic/alerts"}
PAGE = Page(
    received_at=datetime(2026, 11, 22, 3, 0, tzinfo=UTC),
    alert="WhatsAppProviderDown",
    state=PageState.FIRING,
    severity="critical",
    priority="P1",
    summary="WhatsApp accepts nothing [at all]",
    runbook_url="https://runbooks.example.com/WhatsAppProviderDown.md",
    fingerprint="f1",
    started_at=datetime(2026, 11, 22, 3, 0, tzinfo=UTC),
    ended_at=None,
    labels={},
)
CALM = Snapshot(
    phase=Phase.WARM_UP,
    elapsed_s=12.0,
    duration_s=180.0,
    queued=84,
    queue={"QUEUED": 2, "WAITING": 0, "SENDING": 1, "SENT": 9, "DELIVERED": 70, "FAILED": 2},
    rates={"sent": 6.5, "failed": 0.1},
    breaker="closed",
    pending=(),
    firing=(),
    pages=(),
)
BURNING = replace(
    CALM,
    phase=Phase.INCIDENT,
    elapsed_s=60.0,
    breaker="open",
    pending=("OutboundHighFailureRate",),
    firing=("WhatsAppProviderDown",),
    pages=(PAGE,),
)


def render(snapshot: Snapshot, height: int = 50) -> str:
    console = Console(width=140, file=StringIO(), record=True)
    console.print(draw_screen(snapshot, TIMELINE, LINKS, height))
    return console.export_text()


def test_the_screen_shows_phase_queue_rates_and_links() -> None:
    text = render(CALM)
    for expected in (
        "warm-up",
        "12 of 180 s: all is well",
        "84 messages queued so far",
        "delivered",
        "70",
        "sent 6.5/s",
        "circuit breaker closed",
        "quiet",
        LINKS["Prometheus"],
    ):
        assert expected in text


def test_the_screen_shows_what_burns() -> None:
    text = render(BURNING)
    for expected in (
        "the provider fails",
        "circuit breaker open",
        "WhatsAppProviderDown fires",
        "OutboundHighFailureRate is pending",
        "firing P1 critical WhatsAppProviderDown",
        "WhatsApp accepts nothing [at all]",
        PAGE.runbook_url,
    ):
        assert expected in text


def test_a_snapshot_without_anything_can_be_drawn() -> None:
    empty = replace(CALM, queue={}, rates={}, breaker="", queued=0)
    assert "circuit breaker unknown" in render(empty)


@pytest.mark.parametrize("height", [24, 30, 40, 60])
def test_the_screen_fits_into_the_terminal_and_keeps_the_newest_page(height: int) -> None:
    pages = tuple(replace(PAGE, summary=f"page {number} " + "x" * 200) for number in range(9))
    text = render(replace(BURNING, pages=pages), height)
    assert len(text.splitlines()) <= height
    assert "page 8" in text
    assert "page 0" not in text


def test_only_what_changed_becomes_a_line() -> None:
    for before in (CALM, BURNING):
        assert list(describe_changes(before, replace(before, elapsed_s=70.0))) == []
    assert list(describe_changes(CALM, BURNING)) == [
        "== incident: the provider fails",
        "circuit breaker: open",
        "alert fires in Prometheus: WhatsAppProviderDown",
        f"PAGE FIRING P1 critical WhatsAppProviderDown: {PAGE.summary} ({PAGE.runbook_url})",
    ]
    assert list(describe_changes(BURNING, replace(BURNING, firing=()))) == [
        "alert ended in Prometheus: WhatsAppProviderDown"
    ]


def test_the_queue_line_has_every_state_and_rate() -> None:
    assert describe_queue(CALM) == (
        "queued=2 waiting=0 sending=1 sent=9 delivered=70 failed=2"
        " | sent=6.5/s failed=0.1/s | breaker closed"
    )


def test_lines_come_with_changes_and_every_ten_seconds_else_not() -> None:
    console = Console(width=60, file=StringIO(), record=True)
    with PlainView(console) as view:
        for elapsed in (0.0, 1.0, 9.0, 10.5, 11.0):
            view.show(replace(CALM, elapsed_s=elapsed))
        view.show(replace(BURNING, elapsed_s=12.0))
    lines = console.export_text().splitlines()
    assert [line.split("s ")[0].strip() for line in lines] == [
        "0.0", "0.0", "10.5", "12.0", "12.0", "12.0", "12.0", "12.0",
    ]  # fmt: skip
    # Long lines stay whole, and brackets in a summary are text.
    assert any(line.endswith("WhatsAppProviderDown.md)") and "[at all]" in line for line in lines)


def test_a_terminal_gets_the_live_view_and_anything_else_lines() -> None:
    terminal = Console(file=StringIO(), force_terminal=True)
    pipe = Console(file=StringIO(), force_terminal=False)
    assert isinstance(open_view(terminal, TIMELINE, LINKS, plain=False), LiveView)
    assert isinstance(open_view(terminal, TIMELINE, LINKS, plain=True), PlainView)
    assert isinstance(open_view(pipe, TIMELINE, LINKS, plain=False), PlainView)


def test_the_live_view_draws_each_snapshot() -> None:
    output = StringIO()
    console = Console(file=output, force_terminal=True, width=140)
    with LiveView(console, TIMELINE, LINKS) as view:
        view.show(CALM)
        view.show(BURNING)
    assert "the provider fails" in output.getvalue()


def test_the_camera_keeps_the_screen_on_which_the_incident_has_paged(tmp_path: Path) -> None:
    shown = StringIO()
    with Camera(PlainView(Console(file=shown, width=100))) as camera:
        for snapshot in (CALM, BURNING, replace(CALM, phase=Phase.RECOVERY, pages=(PAGE,))):
            camera.show(snapshot)
    assert camera.best == BURNING
    assert "== recovery" in shown.getvalue()
    save_picture(tmp_path / "demo.svg", BURNING, TIMELINE)
    text = (tmp_path / "demo.svg").read_text(encoding="utf-8")
    assert "WhatsAppProviderDown" in text
    assert "127.0.0.1" not in text
    assert "@font-face" not in text


def test_without_an_incident_the_camera_has_the_first_screen() -> None:
    with Camera(PlainView(Console(file=StringIO()))) as camera:
        camera.show(CALM)
        camera.show(replace(CALM, elapsed_s=13.0))
    assert camera.best == CALM


def test_a_picture_has_to_go_where_a_directory_is(tmp_path: Path) -> None:
    check_place(tmp_path / "demo.svg")
    with pytest.raises(UserMistake, match="there is no directory"):
        check_place(tmp_path / "nowhere" / "demo.svg")
    with pytest.raises(UserMistake, match="can't be written"):
        save_picture(tmp_path, CALM, TIMELINE)
