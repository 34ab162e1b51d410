"""The verdict on a run: was the incident caught from end to end, and did every message survive it.

Pure: what was seen comes in as evidence, findings come out. One finding that is not met makes the
demo exit 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from outbound_slo.demo.fates import Reckoning
from outbound_slo.demo.pager import Page, PageState


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the run showed; times by this machine's clock, None for what never happened.

    Attributes:
        expected: Alerts of which one has to page: the provider's outage has more than one sign.
        broke_at: When the provider was made to fail.
        healed_at: When it was healed.
        first_failure_at: First failed attempt of the incident, from the database.
        fired: First time that Prometheus had each alert firing.
        reached: First time that Alertmanager had it active.
        pages: All that the pager got.

    """

    expected: frozenset[str]
    broke_at: datetime | None
    healed_at: datetime | None
    first_failure_at: datetime | None
    fired: dict[str, datetime]
    reached: dict[str, datetime]
    pages: Sequence[Page]


def date_by_pages(
    seen: Mapping[str, datetime], pages: Sequence[Page], when: Callable[[Page], datetime]
) -> dict[str, datetime]:
    """Give when each alert was at a stage: a look comes late by up to its interval, no page does.

    Args:
        seen: First look that saw it there, by the alert's name.
        pages: What the pager got.
        when: By when a page says that it was there at the latest.

    """
    return {
        name: min([at, *(when(page) for page in pages if page.alert == name)])
        for name, at in seen.items()
    }


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the demo has to show, whether it did, and the detail in a few words."""

    title: str
    met: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings, and the times between them that people ask for.

    Attributes:
        alert: The alert that caught the incident; None if none did.
        page: Its first page.
        resolved: The page that said it was over.
        seconds_to_page: From the first failed attempt to the page.
        seconds_to_resolved: From healing to the page that said so.

    """

    findings: Sequence[Finding]
    alert: str | None
    page: Page | None
    resolved: Page | None
    seconds_to_page: float | None
    seconds_to_resolved: float | None

    @property
    def is_met(self) -> bool:
        """Whether the demo showed all that it has to."""
        return all(finding.met for finding in self.findings)


def find_page(evidence: Evidence) -> Page | None:
    """Give the first page of an expected alert that came after the provider broke."""
    if evidence.broke_at is None:
        return None
    return next(
        (
            page
            for page in evidence.pages
            if page.alert in evidence.expected
            and page.state is PageState.FIRING
            and page.received_at >= evidence.broke_at
        ),
        None,
    )


def find_resolution(evidence: Evidence, page: Page) -> Page | None:
    """Give the page that said after healing that this very alert is over."""
    return next(
        (
            later
            for later in evidence.pages
            if later.fingerprint == page.fingerprint
            and later.state is PageState.RESOLVED
            and evidence.healed_at is not None
            and later.received_at >= evidence.healed_at
        ),
        None,
    )


def judge_run(evidence: Evidence, reckoning: Reckoning) -> Verdict:
    """Judge a run by what it showed."""
    page = find_page(evidence)
    resolved = find_resolution(evidence, page) if page else None
    alert = page.alert if page else _earliest(evidence)
    findings = (
        _judge_failure(evidence),
        _judge_stage("The alert fired in Prometheus", alert, evidence.fired, evidence),
        _judge_stage("It reached Alertmanager", alert, evidence.reached, evidence),
        _judge_page(page, evidence),
        _judge_resolution(page, resolved, evidence),
        Finding("The pager was quiet before the incident", *_judge_quiet(evidence)),
        _judge_lost(reckoning),
        _judge_twice(reckoning),
    )
    return Verdict(
        findings=findings,
        alert=alert,
        page=page,
        resolved=resolved,
        seconds_to_page=_seconds(evidence.first_failure_at, page.received_at if page else None),
        seconds_to_resolved=_seconds(
            evidence.healed_at, resolved.received_at if resolved else None
        ),
    )


def _earliest(evidence: Evidence) -> str | None:
    fired = [(when, name) for name, when in evidence.fired.items() if name in evidence.expected]
    return min(fired)[1] if fired else None


def _judge_failure(evidence: Evidence) -> Finding:
    title = "The provider failed"
    if evidence.first_failure_at is None:
        return Finding(title, False, "no attempt failed with the incident's code")
    return Finding(title, True, f"first failed attempt at {_clock(evidence.first_failure_at)}")


def _judge_stage(
    title: str, alert: str | None, seen: dict[str, datetime], evidence: Evidence
) -> Finding:
    when = seen.get(alert) if alert else None
    if alert is None or when is None:
        return Finding(title, False, f"none of {', '.join(sorted(evidence.expected))} was seen")
    return Finding(title, True, f"{alert} at {_clock(when)}")


def _judge_page(page: Page | None, evidence: Evidence) -> Finding:
    title = "The pager was called"
    if page is None:
        return Finding(title, False, f"no page for {', '.join(sorted(evidence.expected))}")
    parts = {
        "severity": page.severity,
        "priority": page.priority,
        "summary": page.summary,
        "runbook_url": page.runbook_url,
    }
    absent = [name for name, value in parts.items() if not value]
    if absent:
        return Finding(title, False, f"the page of {page.alert} has no {', '.join(absent)}")
    return Finding(title, True, f"{page.priority} {page.severity}, {page.runbook_url}")


def _judge_resolution(page: Page | None, resolved: Page | None, evidence: Evidence) -> Finding:
    title = "When the provider healed, the page said so"
    if evidence.healed_at is None:
        return Finding(title, False, "the provider was not healed in this run")
    if page is None:
        return Finding(title, False, "there was no page to resolve")
    if resolved is None:
        return Finding(title, False, f"no page says that {page.alert} is resolved")
    return Finding(title, True, f"resolved at {_clock(resolved.received_at)}")


def _judge_quiet(evidence: Evidence) -> tuple[bool, str]:
    early = [
        page
        for page in evidence.pages
        if page.state is PageState.FIRING
        and (evidence.broke_at is None or page.received_at < evidence.broke_at)
    ]
    if early:
        names = ", ".join(sorted({page.alert for page in early}))
        return False, f"paged without an incident: {names}"
    return True, "no page"


def _judge_lost(reckoning: Reckoning) -> Finding:
    title = "No message was lost"
    if not reckoning.queued:
        return Finding(title, False, "nothing was queued")
    if not reckoning.lost:
        return Finding(title, True, f"0 of {reckoning.queued}")
    first = reckoning.lost[0]
    detail = f"{len(reckoning.lost)} of {reckoning.queued}; message {first.id}: {first.loss}"
    return Finding(title, False, detail)


def _judge_twice(reckoning: Reckoning) -> Finding:
    title = "No message was sent twice"
    if reckoning.strangers:
        return Finding(
            title, False, f"the provider has {len(reckoning.strangers)} unknown messages"
        )
    if not reckoning.twice:
        return Finding(title, True, f"0 of {reckoning.queued}")
    first = min(reckoning.twice)
    return Finding(
        title,
        False,
        f"{len(reckoning.twice)} of {reckoning.queued}; message {first}: "
        f"{reckoning.twice[first]} times",
    )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")
