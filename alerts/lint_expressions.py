"""What an expression gets wrong about its series: labels they lack, values they never have, NaN.

One check per function, each a generator of findings in words. A rule whose expression can't be read
has none here: promtool says what is wrong with it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from alerts.finding import Finding
from alerts.promql import (
    COMPARISONS,
    SETS,
    Aggregation,
    Binary,
    Call,
    Literal,
    Node,
    NotPromQLError,
    Selector,
    parse,
    walk,
)
from alerts.rule_files import WrittenRule
from alerts.series_labels import SCRAPED, find_metric, is_scalar, labels_of
from alerts.timing import Timing, parse_duration
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary.alerts import ALL_CHANNELS
from outbound_slo.vocabulary.metrics import Metric, MetricKind
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus, StuckReason

_OF_COUNTERS: Final = frozenset({"rate", "irate", "increase"})
# An objective per organisation has one label more than one for all.
_OPTIONAL_OF_OBJECTIVES: Final = frozenset({"org_id"})
_EVALUATIONS: Final = 2
_TEMPLATE_LABEL: Final = re.compile(r"\$labels\.(\w+)")
_ASKED_FOR: Final = re.compile(r"\{\{-?\s*(?:if|with)\s+\$labels\.(\w+)")
_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}")
_LINKS: Final = ("runbook_url", "dashboard_url", "trace_url")

_CHANNELS: Final = frozenset(channel.label for channel in Channel) | {ALL_CHANNELS}
_STATUSES: Final = frozenset(status.label for status in MessageStatus)
_OUTCOMES: Final = frozenset(outcome.label for outcome in AttemptOutcome)
_VALUES: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    (m.QUEUE_DEPTH.name, "status"): _STATUSES,
    (m.STUCK.name, "status"): _STATUSES,
    (m.STUCK.name, "reason"): frozenset(StuckReason),
    (m.ATTEMPTS.name, "outcome"): _OUTCOMES,
    (m.FINISHED.name, "outcome"): _OUTCOMES,
}

Extra = Mapping[str, Metric]
Check = Callable[[WrittenRule, Node, Extra], Iterator[str]]


def lint_expressions(rules: Sequence[WrittenRule], extra: Extra | None = None) -> list[Finding]:
    """Check each rule by itself.

    Args:
        rules: Rules that promtool accepts.
        extra: Metrics of the user's own beside the vocabulary's.

    """
    findings: list[Finding] = []
    for rule in rules:
        try:
            tree = parse(rule.expression)
        except NotPromQLError:
            continue
        name = str(rule.alert or rule.record)
        told = dict.fromkeys(what for check in CHECKS for what in check(rule, tree, extra or {}))
        findings += [Finding(rule.file, name, what) for what in told]
    return findings


def check_counters(_: WrittenRule, tree: Node, extra: Extra) -> Iterator[str]:
    """Find rates of gauges: one that falls would count as a reset, and add its whole value."""
    for node in walk(tree):
        if not (isinstance(node, Call) and node.function in _OF_COUNTERS):
            continue
        for argument in node.arguments:
            metric = find_metric(argument.metric, extra) if isinstance(argument, Selector) else None
            if metric and metric.kind not in {MetricKind.COUNTER, MetricKind.HISTOGRAM}:
                yield f"{node.function}() of {metric.name}, which is a {metric.kind}, no counter"


def check_fragile_aggregation(_: WrittenRule, tree: Node, extra: Extra) -> Iterator[str]:
    """Find `without` on scraped series: it keeps whatever label they will have one day."""
    for node in walk(tree):
        if not (isinstance(node, Aggregation) and node.mode == "without"):
            continue
        if not labels_of(node.arguments[-1], extra).are_certain:
            yield f"{node.operator} without: name the labels to keep, with 'by'"


def check_groups(_: WrittenRule, tree: Node, extra: Extra) -> Iterator[str]:
    """Find labels that are aggregated by, but that the series do not have."""
    for node in walk(tree):
        if not (isinstance(node, Aggregation) and node.mode == "by"):
            continue
        below = labels_of(node.arguments[-1], extra)
        for label in node.labels:
            if below.is_known and label not in below.possible:
                yield f"{node.operator} by {label}: the series have no such label"


def check_matchers(_: WrittenRule, tree: Node, extra: Extra) -> Iterator[str]:
    """Find matchers on labels that a metric lacks, or on values that it never has."""
    for node in walk(tree):
        if not isinstance(node, Selector):
            continue
        own = labels_of(node, extra)
        for label, operator, value in node.matchers:
            if own.is_known and label not in own.possible | SCRAPED:
                yield f"{node.metric} has no label {label}"
                continue
            values = _CHANNELS if label == "channel" else _VALUES.get((node.metric, label))
            wanted = value.split("|") if operator in {"=~", "!~"} else [value]
            for each in wanted:
                is_plain = re.fullmatch(r"\w*", each) is not None
                if values and own.is_known and is_plain and each not in values:
                    yield f"{node.metric} never has {label}={each!r}"


def check_matching(_: WrittenRule, tree: Node, extra: Extra) -> Iterator[str]:
    """Find two sides that can't have the same labels: nothing is ever matched."""
    for node in walk(tree):
        if not isinstance(node, Binary) or node.operator == "or":
            continue
        if is_scalar(node.left) or is_scalar(node.right):
            continue
        left, right = labels_of(node.left, extra), labels_of(node.right, extra)
        if node.mode == "on":
            for label in node.labels:
                missing = [
                    side
                    for side, labels in (("left", left), ("right", right))
                    if labels.is_known and label not in labels.possible
                ]
                if len(missing) == 1:
                    yield f"'{node.operator} on ({label})': the {missing[0]} side has no such label"
            continue
        ignored = frozenset(node.labels)
        lacking = (left.names - ignored) ^ (right.names - ignored)
        if left.are_certain and right.are_certain and lacking and not node.group:
            told = ", ".join(sorted(lacking))
            yield f"'{node.operator}' never matches: only one side has the label {told}"


def check_division(_: WrittenRule, tree: Node, __: Extra) -> Iterator[str]:
    """Find 0/0: it is NaN, which no comparison sees and which stays as long as a window is (T2)."""
    for node in walk(tree):
        if isinstance(node, Binary) and node.operator == "/" and not _is_never_zero(node.right):
            yield "divides by what may be zero: add '> 0' to the divisor"


def check_absence(_: WrittenRule, tree: Node, __: Extra) -> Iterator[str]:
    """Find comparisons of absent(), which is 1 or nothing."""
    for node in walk(tree):
        if isinstance(node, Binary) and node.operator in COMPARISONS:
            for side in (node.left, node.right):
                if isinstance(side, Call) and side.function in {"absent", "absent_over_time"}:
                    yield f"compares {side.function}(), which is 1 or nothing"


def check_wait(rule: WrittenRule, _: Node, __: Extra) -> Iterator[str]:
    """Find a wait that one late evaluation would be enough for."""
    if not rule.alert or "for" not in rule.document:
        return
    shortest = _EVALUATIONS * Timing().scrape_interval_s
    if 0 < parse_duration(str(rule.document["for"])) < shortest:
        yield f"waits for {rule.document['for']}, which is less than two evaluations"


def check_templates(rule: WrittenRule, tree: Node, extra: Extra) -> Iterator[str]:
    """Find texts that read labels which the expression does not give."""
    given = labels_of(tree, extra)
    if not rule.alert or not given.is_known:
        return
    for annotation, text in rule.annotations.items():
        known = given.possible | rule.labels.keys() | set(_ASKED_FOR.findall(str(text)))
        for label in dict.fromkeys(_TEMPLATE_LABEL.findall(str(text))):
            if label not in known:
                yield f"its {annotation} reads the label {label}, which the expression has not"


def check_links(rule: WrittenRule, _: Node, __: Extra) -> Iterator[str]:
    """Find addresses that no browser opens."""
    for annotation in _LINKS:
        if not (rule.alert and annotation in rule.annotations):
            continue
        # What a template puts in is some word of the address.
        address = urlsplit(_TEMPLATE.sub("x", str(rule.annotations[annotation])))
        if address.scheme not in {"http", "https"} or not address.netloc or " " in address.path:
            yield f"its {annotation} is no address: {rule.annotations[annotation]}"
        elif annotation == "dashboard_url" and not re.search(r"/d/[\w-]+", address.path):
            yield "its dashboard_url does not name a dashboard by its uid, as /d/<uid>"


def check_recorded_labels(rule: WrittenRule, tree: Node, extra: Extra) -> Iterator[str]:
    """Find recordings whose labels are not those that the vocabulary promises."""
    metric = find_metric(str(rule.record), extra) if rule.record else None
    given = labels_of(tree, extra)
    if metric is None or not given.are_certain:
        return
    recorded = given.names | rule.labels.keys()
    most = frozenset(metric.labels)
    least = most - _OPTIONAL_OF_OBJECTIVES if "slo" in most else most
    if not least <= recorded <= most:
        promised = ", ".join(metric.labels) or "none"
        yield f"has the labels {', '.join(sorted(recorded)) or 'none'}, not {promised}"


def _is_never_zero(node: Node) -> bool:
    match node:
        case Literal():
            answer = bool(node.number)
        case Call(function="clamp_min", arguments=(_, Literal() as least)):
            answer = (least.number or 0) > 0
        case Aggregation(operator="count"):
            answer = True
        case Aggregation(operator="sum" | "max" | "min" | "avg", arguments=(below,)):
            answer = _is_never_zero(below)
        case Binary():
            answer = _is_guarded(node)
        case _:
            answer = False
    return answer


def _is_guarded(node: Binary) -> bool:
    if node.operator in COMPARISONS:
        number = node.right.number if isinstance(node.right, Literal) else None
        if number is None:
            return False
        known = (node.operator, number)
        above = node.operator == ">" and number >= 0
        return above or (node.operator == ">=" and number > 0) or known == ("!=", 0)
    if node.operator == "or":
        return _is_never_zero(node.left) and _is_never_zero(node.right)
    # Of a product, one factor has to be guarded: the other is a constant as a rule.
    keeps_left = node.operator in SETS or node.operator in {"*", "/"}
    return _is_constant(node) or (keeps_left and _is_never_zero(node.left))


def _is_constant(node: Node) -> bool:
    """Tell whether it is made of numbers only; whoever divides by such a zero sees it at once."""
    return all(isinstance(each, Literal | Binary) for each in walk(node))


CHECKS: Final[tuple[Check, ...]] = (
    check_counters,
    check_fragile_aggregation,
    check_groups,
    check_matchers,
    check_matching,
    check_division,
    check_absence,
    check_wait,
    check_templates,
    check_links,
    check_recorded_labels,
)
"""All checks, in the order in which their findings are told."""
