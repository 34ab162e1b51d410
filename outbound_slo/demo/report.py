"""What a run showed, as one value: printed by `sheet`, written as JSON by `write_json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from outbound_slo.demo.fates import Reckoning
from outbound_slo.demo.judge import Evidence, Finding, Verdict
from outbound_slo.demo.pace import Pace
from outbound_slo.demo.pager import Page
from outbound_slo.demo.sla import SlaRow
from outbound_slo.demo.timeline import Timeline
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import MessageStatus
from tracing.traces import Trace, show_trace

REPORT_FILE = "report.json"


@dataclass(frozen=True, slots=True)
class Story:
    """One message as the trace store tells it.

    Attributes:
        title: Why this message was picked.
        message_id: None where the run had no such message.
        traces: Its traces, the earliest first.

    """

    title: str
    message_id: int | None
    traces: Sequence[Trace]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one run.

    `status` is where the screen of `ops status` at the height of the incident lies, if it was seen;
    `dashboards` is the directory of the dashboards' pages, if they could be made.
    """

    started_at: datetime
    seed: int
    rate: float
    scenario: str
    pace: Pace
    timeline: Timeline
    directory: Path
    sla: Sequence[SlaRow]
    evidence: Evidence
    verdict: Verdict
    reckoning: Reckoning
    webhooks: Mapping[str, int]
    failed: Story
    delivered: Story
    status: Path | None = None
    dashboards: Path | None = None

    @property
    def findings(self) -> Sequence[Finding]:
        """The verdict's findings, and whether the traces tell the same."""
        return (*self.verdict.findings, *judge_stories(self.failed, self.delivered))

    @property
    def is_met(self) -> bool:
        """Whether the demo showed all that it has to: its exit code is 0."""
        return all(finding.met for finding in self.findings)


def judge_stories(failed: Story, delivered: Story) -> tuple[Finding, Finding]:
    """Check that the trace store tells of the failure and of the delivery."""
    code = next(
        (
            trace.root.tags.get(Tag.ERROR_CODE.value)
            for trace in failed.traces
            if trace.root.failed or Tag.ERROR_CODE.value in trace.root.tags
        ),
        None,
    )
    receipts = [
        span
        for trace in delivered.traces
        for span in trace.spans
        if span.name == SpanName.STATUS_UPDATE
        and span.tags.get(Tag.NEW_STATUS.value) == MessageStatus.DELIVERED.value
    ]
    return (
        Finding(
            "A failed message's trace was found",
            code is not None,
            f"message {failed.message_id}, {len(failed.traces)} traces, error.code {code}"
            if code is not None
            else f"no failed trace of message {failed.message_id}",
        ),
        Finding(
            "A delivered message's trace has its receipt",
            bool(receipts),
            f"message {delivered.message_id}, trace {receipts[0].trace_id}"
            if receipts
            else f"no trace of message {delivered.message_id} holds a delivery",
        ),
    )


def write_json(report: Report) -> dict[str, object]:
    """Give the whole report as plain data; times in ISO 8601, lengths in seconds."""
    return {
        "passed": report.is_met,
        "started_at": report.started_at.isoformat(),
        "scenario": report.scenario,
        "seed": report.seed,
        "rate_per_s": report.rate,
        "time_scale": report.pace.scale,
        "directory": str(report.directory),
        "timeline": [
            {"phase": s.phase.value, "start_s": s.start_s, "end_s": s.end_s}
            for s in report.timeline.stretches
        ],
        "findings": [{"title": f.title, "met": f.met, "detail": f.detail} for f in report.findings],
        "incident": _show_incident(report.evidence, report.verdict),
        "ops_status": str(report.status) if report.status else None,
        "dashboards": str(report.dashboards) if report.dashboards else None,
        "messages": _show_messages(report.reckoning),
        "webhooks": dict(report.webhooks),
        "sla": [
            {
                "indicator": row.title,
                "promise": row.promise.text,
                "basis": row.basis,
                "value": row.value,
                "unit": row.promise.unit.value,
                "worst": row.worst,
                "met": row.is_met,
            }
            for row in report.sla
        ],
        "traces": {
            name: {
                "message_id": story.message_id,
                "traces": [show_trace(trace) for trace in story.traces],
            }
            for name, story in (("failed", report.failed), ("delivered", report.delivered))
        },
    }


def _show_incident(evidence: Evidence, verdict: Verdict) -> dict[str, object]:
    alert = verdict.alert or ""
    return {
        "broke_at": _iso(evidence.broke_at),
        "healed_at": _iso(evidence.healed_at),
        "first_failure_at": _iso(evidence.first_failure_at),
        "alert": verdict.alert,
        "fired_at": _iso(evidence.fired.get(alert)),
        "reached_alertmanager_at": _iso(evidence.reached.get(alert)),
        "page": _show_page(verdict.page),
        "resolved_page": _show_page(verdict.resolved),
        "seconds_to_page": verdict.seconds_to_page,
        "seconds_to_resolved": verdict.seconds_to_resolved,
        "pages": [_show_page(page) for page in evidence.pages],
    }


def _show_messages(reckoning: Reckoning) -> dict[str, object]:
    return {
        "queued": reckoning.queued,
        "fates": {fate.name.lower(): count for fate, count in reckoning.fates.items()},
        "lost": [{"id": lost.id, "how": lost.loss.value} for lost in reckoning.lost],
        "sent_twice": [{"id": id_, "times": times} for id_, times in reckoning.twice.items()],
    }


def _show_page(page: Page | None) -> dict[str, object] | None:
    if page is None:
        return None
    return {
        "received_at": page.received_at.isoformat(),
        "state": page.state.value,
        "alert": page.alert,
        "severity": page.severity,
        "priority": page.priority,
        "summary": page.summary,
        "runbook_url": page.runbook_url,
        "started_at": page.started_at.isoformat(),
        "ended_at": _iso(page.ended_at),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
