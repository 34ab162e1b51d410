"""What promtool accepts and a pager should not: our own checks of alert rules."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from alerts.catalogue.objectives import NUMBERS
from alerts.expressions import Reading, read_expression
from alerts.finding import Finding
from alerts.lint_expressions import lint_expressions
from alerts.rule_files import WrittenRule
from alerts.series_labels import find_metric
from outbound_slo.vocabulary.alerts import (
    PRIORITIES,
    REQUIRED_ANNOTATIONS,
    REQUIRED_LABELS,
    AlertName,
    Level,
    Priority,
    Severity,
)
from outbound_slo.vocabulary.metrics import METRICS, Metric, MetricKind
from outbound_slo.vocabulary.thresholds import THRESHOLDS, Unit, Use

ALWAYS_FIRING: Final = frozenset({AlertName.WATCHDOG.value})
"""Alerts that are meant to fire at all times."""

ABOUT_ABSENCE: Final = frozenset({AlertName.NO_DATA.value, AlertName.EXPORTER_DOWN.value})
"""Pages that end when the data is back: what they are about is that there is none."""

_PARTS: Final = ("_bucket", "_count", "_sum")
_LINES: Final = frozenset({0.0}) | {
    line.ratio if line.unit is Unit.PERCENT else line.value
    for line in THRESHOLDS.values()
    if line.use in {Use.ALERT, Use.MINIMUM, Use.ESCALATION}
}


def lint_rules(
    rules: Sequence[WrittenRule],
    numbers: Mapping[str, frozenset[float]] = NUMBERS,
    *,
    extra: Mapping[str, Metric] | None = None,
    lines: frozenset[float] = frozenset(),
) -> list[Finding]:
    """Check all rules together, since alerts read what other rules record.

    Args:
        rules: The rules.
        numbers: By objective, the numbers that its own alerts may compare with besides the lines of
            the table: shares and minimums that are made from its document.
        extra: Metrics of the user's own beside the vocabulary's.
        lines: Numbers of the user's own that any alert may compare with.

    """
    recorded = frozenset(rule.record for rule in rules if rule.record)
    if extra:
        recorded |= {
            name
            for rule in rules
            for name in read_expression(rule.expression).metrics
            if find_metric(name, extra)
        }
    findings = [
        Finding(rule.file, str(rule.alert or rule.record), what)
        for rule in rules
        for what in _check_rule(rule, recorded, numbers, lines)
    ]
    return findings + list(_check_repetitions(rules)) + lint_expressions(rules, extra)


def _check_rule(
    rule: WrittenRule,
    recorded: frozenset[str],
    numbers: Mapping[str, frozenset[float]],
    lines: frozenset[float],
) -> Iterator[str]:
    reading = read_expression(rule.expression)
    yield from _check_metrics(reading, recorded)
    if rule.alert:
        for check in _ALERT_CHECKS:
            yield from check(rule, reading)
        derived = numbers.get(rule.labels.get("slo", ""), frozenset())
        yield from _check_lines(reading, derived | lines)


def _check_metrics(reading: Reading, recorded: frozenset[str]) -> Iterator[str]:
    for name in sorted(reading.metrics - recorded):
        if not is_known(name):
            yield f"no metric {name} in vocabulary/metrics.py, and no rule records it"


def is_known(name: str) -> bool:
    """Tell whether the vocabulary has a series of this name; a histogram has its parts."""
    if name in METRICS:
        return METRICS[name].kind is not MetricKind.HISTOGRAM
    for part in _PARTS:
        base = METRICS.get(name.removesuffix(part))
        if name.endswith(part) and base is not None:
            return base.kind is MetricKind.HISTOGRAM
    return False


def _check_labels(rule: WrittenRule, reading: Reading) -> Iterator[str]:
    for label in REQUIRED_LABELS:
        if label in rule.labels:
            continue
        if label == "channel" and all("channel" in _labels_of(name) for name in reading.metrics):
            continue
        yield f"has no label {label}"


def _labels_of(name: str) -> tuple[str, ...]:
    base = name
    for part in _PARTS:
        base = base.removesuffix(part)
    metric = METRICS.get(name) or METRICS.get(base)
    return metric.labels if metric else ()


def _check_urgency(rule: WrittenRule, _: Reading) -> Iterator[str]:
    severity, priority = rule.labels.get("severity"), rule.labels.get("priority")
    if priority is not None and priority not in list(Priority):
        yield f"priority {priority} is none of {', '.join(Priority)}"
    elif priority is not None and rule.alert not in ALWAYS_FIRING:
        wanted = PRIORITIES[Priority(priority)].severity
        if severity != wanted:
            yield f"severity {severity} does not go with {priority}, {wanted} does"
    if severity is not None and severity not in list(Severity):
        yield f"severity {severity} is none of {', '.join(Severity)}"
    level = rule.labels.get("level")
    if level is not None and level not in list(Level):
        yield f"level {level} is none of {', '.join(Level)}"


def _check_annotations(rule: WrittenRule, _: Reading) -> Iterator[str]:
    for annotation in REQUIRED_ANNOTATIONS:
        if not rule.annotations.get(annotation):
            yield f"has no annotation {annotation}"
    if "$value" not in rule.annotations.get("summary", "$value"):
        yield "its summary does not give the value"
    page = rule.annotations.get("runbook_url")
    if page and not page.endswith(f"/{rule.alert}.md"):
        yield f"its runbook_url does not end with /{rule.alert}.md"


def _check_firing(rule: WrittenRule, reading: Reading) -> Iterator[str]:
    if rule.alert in ALWAYS_FIRING:
        return
    if reading.has_bool:
        yield "fires always: a comparison with 'bool' gives 0 or 1, and both are a value"
    elif not (reading.compares or reading.has_absent):
        yield "fires whenever its series exist: it compares with nothing"


def _check_lines(reading: Reading, derived: frozenset[float]) -> Iterator[str]:
    for number in reading.compared_with:
        if number not in _LINES | derived:
            yield f"compares with {number:g}, which is no line in vocabulary/thresholds.py"


def _check_memory(rule: WrittenRule, _: Reading) -> Iterator[str]:
    """Want a page to outlive its data, unless it is about their absence."""
    if rule.labels.get("severity") != Severity.CRITICAL or rule.alert in ABOUT_ABSENCE:
        return
    if "keep_firing_for" not in rule.document:
        yield "pages without keep_firing_for: it would be taken back when its data goes away"


def _check_repetitions(rules: Sequence[WrittenRule]) -> Iterator[Finding]:
    places = [
        (rule.file, rule.alert, rule.labels.get("tier"), rule.labels.get("slo"))
        for rule in rules
        if rule.alert
    ]
    names = Counter(place[1:] for place in places)
    for file, alert, tier, slo in places:
        if names[alert, tier, slo] > 1:
            yield Finding(file, str(alert), f"has tier {tier} more than once")


_ALERT_CHECKS: Final[tuple[Callable[[WrittenRule, Reading], Iterator[str]], ...]] = (
    _check_labels,
    _check_urgency,
    _check_annotations,
    _check_firing,
    _check_memory,
)
