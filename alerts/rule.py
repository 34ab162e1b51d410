"""What a recording and an alert are, before Prometheus's YAML is made of them.

Expressions are PromQL with placeholders, so that no name and no number is written twice:

* `$FAILURE_RATIO` is the metric of that constant in `vocabulary.metrics`;
* `$whatsapp`, `$queued`, … are label values (see `LABEL_VALUES`);
* `$line`, `$minimum`, … are the thresholds that the alert lists under these names;
* windows are production's (`[5m]`, `offset 30d`); the generator scales them;
* `seconds(30d)` is a duration as a number, scaled likewise, and `age(1m)` one that is compared with
  an age and so never gets too short for a busy machine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from types import MappingProxyType
from typing import Final

from alerts.links import TraceSearch
from alerts.timing import MINUTE, Timing, parse_duration
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.alerts import (
    EXPORTER_JOB,
    PRIORITIES,
    RULE_GROUPS,
    AlertName,
    Family,
    Level,
    Priority,
    Severity,
    Slo,
)
from outbound_slo.vocabulary.errors import WINDOW_CODES, WISH_CODES
from outbound_slo.vocabulary.metrics import Metric
from outbound_slo.vocabulary.notices import NoticeKind, NoticeSeverity
from outbound_slo.vocabulary.panels import PANELS, Panel
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus, StuckReason
from outbound_slo.vocabulary.thresholds import Subject, Threshold, Unit

OUTLAST_S: Final = 10 * MINUTE
"""How long an alert that silences others outlives its condition.

What follows from it looks back five minutes and outlives that by `KEEP_FIRING_S`: told after the
cause is over, it would be a page about nothing.
"""

KEEP_FIRING_S: Final = 5 * MINUTE
"""How long an alert outlives its condition.

Longer than `OutboundNoData` needs to fire, so that a page whose data went away is not taken back
before somebody has been told that we are blind.
"""

_ACCOUNT_KINDS: Final = (
    NoticeKind.ACCOUNT_UPDATE,
    NoticeKind.ACCOUNT_ALERT,
    NoticeKind.ACCOUNT_REVIEW,
)

LABEL_VALUES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "whatsapp": Channel.WHATSAPP.label,
        "queued": MessageStatus.QUEUED.label,
        "accepted": AttemptOutcome.SENT.label,
        # What the provider could decide: our own refusals and deferrals judge nobody (D3).
        "judged": "|".join(
            outcome.label
            for outcome in (AttemptOutcome.SENT, AttemptOutcome.FAILED, AttemptOutcome.UNKNOWN)
        ),
        "exporter_job": EXPORTER_JOB,
        # Prometheus names a group by its file and its name.
        "our_groups": f".*;{RULE_GROUPS}",
        "refused": AttemptOutcome.REFUSED.label,
        "failed": AttemptOutcome.FAILED.label,
        "window_codes": "|".join(WINDOW_CODES),
        "wish_codes": "|".join(WISH_CODES),
        "sms": Channel.SMS.label,
        "email": Channel.EMAIL.label,
        "template_quality": NoticeKind.TEMPLATE_QUALITY.value,
        # What an account may do, and what its numbers may; templates have an alert of their own.
        "account_kinds": "|".join(_ACCOUNT_KINDS),
        "number_kinds": f"{NoticeKind.NUMBER_QUALITY}|{NoticeKind.NUMBER_NAME}",
        "notice_critical": NoticeSeverity.CRITICAL.value,
        "notice_warning": NoticeSeverity.WARNING.value,
        "sending_too_long": StuckReason.SENDING_TOO_LONG.value,
        "waiting_too_long": "|".join(
            reason for reason in StuckReason if reason is not StuckReason.SENDING_TOO_LONG
        ),
        "critical": Severity.CRITICAL.value,
        "provider_family": Family.PROVIDER.value,
        "escalation_family": Family.ESCALATION.value,
        "second_level": "|".join(level for level in Level if level >= Level.L2),
        "third_level": "|".join(level for level in Level if level >= Level.L3),
    }
)
"""Placeholders for label values."""

_METRIC_NAMES: Final = {
    constant: metric.name
    for constant, metric in vars(metrics).items()
    if isinstance(metric, Metric)
}
_WINDOW: Final = re.compile(r"(?P<open>\[|\boffset )(?P<count>\d+)(?P<unit>[smhd])\b")
_NUMBER: Final = re.compile(r"\b(?P<kind>seconds|age)\((?P<count>\d+)(?P<unit>[smhd])\)")
# Ages that our own clock makes shrink with it; a latency that was promised to people does not.
_SCALED_SUBJECTS: Final = frozenset(
    {
        Subject.DUE_AGE,
        Subject.SNAPSHOT_AGE,
        Subject.RECEIPT_SILENCE,
        Subject.UNPROCESSED,
        Subject.OUTAGE,
    }
)
# Below this a refresh that a busy machine delays by a few seconds would count as stale.
_SHORTEST_AGE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes and keeps.

    Attributes:
        metric: Its name in the vocabulary.
        expression: PromQL with placeholders.
        labels: Labels to add.

    """

    metric: Metric
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Onset:
    """How long a trouble lasts before an alert's expression has a value.

    Attributes:
        story: The trouble, and the traffic at which the seconds hold.
        seconds: From its beginning, as seen in the database at that moment; production's.

    """

    story: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Alert:
    """One tier of an alert.

    Attributes:
        name: The alert; its tiers share name, family and page in docs/runbooks.
        family: The kind of trouble, which decides what is grouped into one page.
        priority: How soon somebody must act; the severity follows from it.
        level: Up to which level people are called at once.
        expression: PromQL with placeholders; has a value only while the alert's condition holds.
        summary: One line for the pager; Prometheus's template language, with value and unit.
        description: What it means and where to look first; the same language.
        channel: Value of the label `channel`; None where the expression has the label.
        tier: Counts from 1, the mildest; a higher tier silences a lower one.
        lines: Thresholds by placeholder; `line` is the one that the alert is about.
        hold_s: Seconds for which the condition must hold; None: as long as `line` says.
        keep_firing_s: Seconds for which it goes on firing after the condition has ended.
        traces: The search that its link to traces makes; None where traces do not help.
        window_s: Seconds over which it judges; None: the longest window that it reads.
        onset: The trouble that its detection budget is reckoned for; None: one that fills the
            longest window of the expression.
        slo: The objective that it endangers, by its name.
        labels: Further static labels, such as `burn_tier`.

    """

    name: AlertName
    family: Family
    priority: Priority
    level: Level
    expression: str
    summary: str
    description: str
    channel: str | None = None
    tier: int = 1
    lines: Mapping[str, Threshold] = field(default_factory=dict)
    hold_s: float | None = None
    keep_firing_s: float = KEEP_FIRING_S
    traces: TraceSearch | None = None
    window_s: float | None = None
    onset: Onset | None = None
    slo: str = Slo.NONE
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """What the priority says; the Watchdog, which reports nothing bad, has none."""
        if self.family is Family.WATCHDOG:
            return Severity.NONE
        return PRIORITIES[self.priority].severity

    @property
    def line(self) -> Threshold | None:
        """The threshold that the alert is about; None for those that wait for an absence."""
        return self.lines.get("line")

    @property
    def panel(self) -> Panel:
        """Where the page's link leads."""
        return PANELS[self.name]

    @property
    def pending_s(self) -> float:
        """Seconds for which the condition must hold before the alert fires."""
        if self.hold_s is not None:
            return self.hold_s
        return self.line.hold_s if self.line else 0.0


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Recordings, then the alerts that read them: evaluated in this order, in one go.

    Attributes:
        name: The group's name, and with `.yml` its file's.
        recordings: Series to record, each after those it reads.
        alerts: Alerts, each family's tiers upwards.
        interval_s: Seconds between evaluations in production; None: as often as Prometheus scrapes.

    """

    name: str
    recordings: tuple[Recording, ...]
    alerts: tuple[Alert, ...]
    interval_s: float | None = None


def write_expression(expression: str, lines: Mapping[str, Threshold], timing: Timing) -> str:
    """Turn an expression with placeholders into PromQL.

    Raises:
        KeyError: A placeholder names no metric, label value or threshold.

    """
    values = {name: _write_line(line, timing) for name, line in lines.items()}
    text = Template(expression).substitute(_METRIC_NAMES | dict(LABEL_VALUES) | values)
    text = _WINDOW.sub(lambda found: found["open"] + timing.window(_read_seconds(found)), text)
    return _NUMBER.sub(lambda found: _write_seconds(found, timing), text)


def _read_seconds(found: re.Match[str]) -> float:
    return parse_duration(found["count"] + found["unit"])


def _write_seconds(found: re.Match[str], timing: Timing) -> str:
    seconds = _read_seconds(found)
    if found["kind"] == "age":
        return f"{_scale_age(seconds, timing):g}"
    return f"{timing.seconds(seconds):.15g}"


def _scale_age(seconds: float, timing: Timing) -> float:
    return max(timing.seconds(seconds), min(seconds, _SHORTEST_AGE_S))


def _write_line(line: Threshold, timing: Timing) -> str:
    if line.unit is Unit.PERCENT:
        return f"{line.ratio:g}"
    if line.subject in _SCALED_SUBJECTS:
        return f"{_scale_age(line.value, timing):g}"
    return f"{line.value:g}"
