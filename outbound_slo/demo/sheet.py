"""The report as people read it: printed at the end of a run."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from outbound_slo.demo.fates import Fate
from outbound_slo.demo.pace import Pace
from outbound_slo.demo.report import Report, Story
from outbound_slo.demo.timeline import Timeline
from outbound_slo.vocabulary.thresholds import Unit
from tracing.tree import draw_message

_MET = Text("met", style="green")
_NOT_MET = Text("NOT MET", style="bold red")


def draw_opening(pace: Pace, timeline: Timeline, story: str) -> RenderableType:
    """Say before the start what will happen, and how much faster than in production."""
    phases = ", ".join(
        f"{stretch.phase} {stretch.end_s - stretch.start_s:.0f} s" for stretch in timeline.stretches
    )
    return Panel(
        Group(
            Text(f"{timeline.duration_s:.0f} s of work: {phases}."),
            Text(f"Incident: {story}."),
            Text(
                f"\nWaits are {pace.scale:g} times shorter than in production; the code and the "
                "rules are the same:"
            ),
            _draw_waits(pace),
            Text("Promises to people (30 s, 120 s) are not scaled: an outage breaks them."),
        ),
        title="outbound-slo demo",
    )


def _draw_waits(pace: Pace) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    rules = f"Timing(scale={pace.scale:g})"
    rows = (
        ("failure rate looks back", (pace.window_s,), rules),
        ("alert's 'for'", (pace.for_s,), rules),
        ("alert's keep_firing_for", (pace.keep_firing_s,), rules),
        ("Alertmanager's group_wait", (pace.group_wait_s,), rules),
        ("back-off between attempts", pace.backoff_s, "OUTBOUND_RETRY_BACKOFF_SECONDS"),
        ("circuit breaker stays open", (pace.breaker_open_s,), "OUTBOUND_BREAKER_OPEN_SECONDS"),
        ("recovery window", (pace.recovery_window_s,), "OUTBOUND_RECOVERY_WINDOW_SECONDS"),
        ("idle sender looks again", (pace.poll_s,), "OUTBOUND_WORKER_POLL_INTERVAL_MS"),
    )
    table.add_row("", Text("production", style="dim"), Text("here", style="dim"), "")
    for name, waits, setting in rows:
        table.add_row(
            name,
            _lengths(wait * pace.scale for wait in waits),
            _lengths(waits),
            Text(setting, style="dim"),
        )
    return table


def draw_report(report: Report, *, stays: bool) -> Iterator[RenderableType]:
    """Draw the report, part by part; files are named where the directory `stays`."""
    yield Rule("Report")
    yield _draw_sla(report)
    yield _draw_incident(report)
    if stays and report.status is not None:
        said = f"What outbound-slo ops status said after the page: {report.status}"
        yield Text(said, no_wrap=True, overflow="ignore")
    if stays and report.dashboards is not None:
        drawn = any(report.dashboards.glob("*.png"))
        alone = "" if drawn else " (pages alone; pictures need Chromium)"
        kept = f"Dashboards over the whole run: {report.dashboards}{alone}"
        yield Text(kept, no_wrap=True, overflow="ignore")
    yield _draw_messages(report)
    yield _draw_story(report.failed)
    yield _draw_story(report.delivered)
    yield _draw_findings(report)
    word, style = ("PASSED", "bold green") if report.is_met else ("FAILED", "bold red")
    unmet = sum(not finding.met for finding in report.findings)
    yield Text(
        f"{word}: the incident was caught and every message survived it"
        if report.is_met
        else f"{word}: {unmet} of {len(report.findings)} findings are not as they have to be",
        style=style,
    )


def _draw_sla(report: Report) -> RenderableType:
    table = Table(title="SLA of runbook 000 (WhatsApp)", title_justify="left")
    table.add_column("indicator")
    table.add_column("promised")
    table.add_column("value", justify="right")
    table.add_column("over")
    table.add_column("worst moment", justify="right")
    table.add_column("")
    for row in report.sla:
        unit = row.promise.unit
        table.add_row(
            row.title,
            row.promise.text,
            _number(row.value, unit),
            row.basis,
            _number(row.worst, unit),
            _MET if row.is_met else _NOT_MET,
        )
    return table


def _draw_incident(report: Report) -> RenderableType:
    evidence, verdict = report.evidence, report.verdict
    alert = verdict.alert or ""
    table = Table(title="The incident", title_justify="left")
    table.add_column("when")
    table.add_column("after the first failure", justify="right")
    table.add_column("what")
    page, resolved = verdict.page, verdict.resolved
    steps = (
        (evidence.first_failure_at, "first failed attempt"),
        (evidence.fired.get(alert), f"{alert} fires in Prometheus"),
        (evidence.reached.get(alert), f"{alert} reaches Alertmanager"),
        (
            page.received_at if page else None,
            f"page: {page.priority} {page.severity}, {page.summary}\n{page.runbook_url}"
            if page
            else "",
        ),
        (evidence.healed_at, "the provider is healed"),
        (resolved.received_at if resolved else None, f"page: {alert} is resolved"),
    )
    for when, what in steps:
        if when is not None:
            table.add_row(_clock(when), _after(evidence.first_failure_at, when), what)
    if verdict.seconds_to_page is not None:
        table.caption = f"Time from first failure to page: {verdict.seconds_to_page:.1f} s"
        table.caption_justify = "left"
    return table


def _draw_messages(report: Report) -> RenderableType:
    reckoning = report.reckoning
    table = Table(title="Messages", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("queued", str(reckoning.queued))
    for fate, count in reckoning.fates.items():
        if fate is not Fate.LOST:
            table.add_row(fate.value, str(count))
    table.add_row("lost", _count(len(reckoning.lost)))
    table.add_row("sent twice", _count(len(reckoning.twice)))
    return table


def _draw_story(story: Story) -> RenderableType:
    if story.message_id is None:
        return Text(f"{story.title}: there was none", style="yellow")
    return Panel(
        draw_message(story.message_id, story.traces),
        title=f"{story.title}: message.id {story.message_id}",
        title_align="left",
    )


def _draw_findings(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for finding in report.findings:
        mark = Text("✓", style="green") if finding.met else Text("✗", style="bold red")
        table.add_row(mark, finding.title, Text(finding.detail, style="dim"))
    return table


def _number(value: float | None, unit: Unit) -> str:
    if value is None:
        return "no data"
    digits = 0 if unit is Unit.MESSAGES else 1
    return f"{value:.{digits}f} {unit}"


def _count(number: int) -> Text:
    return Text(str(number), style="green" if number == 0 else "bold red")


def _lengths(waits: Iterable[float]) -> str:
    """Write waits in one unit: seconds, or minutes where all are whole minutes."""
    seconds = [round(wait, 3) for wait in waits]
    minute = 60
    if all(each >= minute and each % minute == 0 for each in seconds):
        return ", ".join(f"{each / minute:g}" for each in seconds) + " min"
    return ", ".join(f"{each:g}" for each in seconds) + " s"


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")


def _after(start: datetime | None, moment: datetime) -> str:
    return f"{(moment - start).total_seconds():+.1f} s" if start else ""
