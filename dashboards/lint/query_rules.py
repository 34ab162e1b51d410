"""What queries get wrong that Prometheus answers without a word; each check gives faults."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Final

from alerts.expressions import read_expression, tokenize
from alerts.lint import is_known
from alerts.lint_expressions import check_groups, check_matchers, check_matching
from alerts.promql import (
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
from alerts.series_labels import find_metric, labels_of
from dashboards.lint.board_rules import list_choices
from dashboards.lint.document import PROBE, Document, Panel, Query
from dashboards.lint.rule import Fault, Surroundings
from outbound_slo.vocabulary.metrics import MetricKind

_OF_COUNTERS: Final = frozenset({"rate", "irate", "increase"})
# They ask whether a counter is there, when it changed or how often it began anew.
_WHOLE: Final = frozenset({"absent", "absent_over_time", "changes", "resets", "present_over_time"})
_FOLLOWING: Final = frozenset({"rate", "irate"})
_LEGEND_LABEL: Final = re.compile(r"\{\{\s*([a-zA-Z_]\w*)\s*\}\}")
_FILLED_METRIC: Final = "x"


def _fault(document: Document, panel: Panel | None, query: Query, what: str) -> Fault:
    if panel is None:
        return Fault(f"annotation {query.where}: {what}", document)
    return Fault(f"query {query.where}: {what}", document, panel.id, panel.name)


@cache
def _parse(expression: str) -> Node | None:
    """Read an expression once for all rules; None where it can't be, which another rule tells."""
    try:
        return parse(expression)
    except NotPromQLError:
        return None


def check_promql(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find queries that Prometheus does not take."""
    for panel, query in document.list_queries():
        if complaint := surroundings.refused[query.filled]:
            yield _fault(document, panel, query, complaint)


def check_choices(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find variables whose choices Prometheus can't give."""
    for choice in list_choices(document):
        name = f"its variable {choice.name!r}"
        if not choice.is_function:
            told = "asks neither label_values, label_names, metrics nor query_result"
            yield Fault(f"{name} {told}", document)
        elif complaint := surroundings.refused.get(choice.filled):
            yield Fault(f"{name}: {complaint}", document)
        else:
            for metric in sorted(_unknown(choice.filled, surroundings)):
                yield Fault(f"{name} reads {metric}, which nobody emits", document)


def check_metrics(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find metrics that nobody emits: their panels stay empty, and nobody knows why."""
    for panel, query in document.list_queries():
        for name in sorted(_unknown(query.filled, surroundings)):
            yield _fault(document, panel, query, f"reads {name}, which nobody emits")


def _unknown(expression: str, surroundings: Surroundings) -> set[str]:
    return {
        name
        for name in read_expression(expression).metrics
        if name != _FILLED_METRIC
        and not is_known(name)
        and find_metric(name, surroundings.extra) is None
    }


def check_labels(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find labels that series lack, values they never have, and sides that never match."""
    for panel, query in document.list_queries():
        tree = _parse(query.filled)
        if tree is None:
            continue
        rule = WrittenRule(document.file, {"record": "x", "expr": query.filled})
        for check in (check_groups, check_matchers, check_matching):
            for what in dict.fromkeys(check(rule, tree, surroundings.extra)):
                yield _fault(document, panel, query, what)


def check_legends(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find legends that name a label which the series have no more."""
    for panel, query in document.list_queries():
        tree = _parse(query.filled)
        if panel is None or tree is None:
            continue
        given = labels_of(tree, surroundings.extra)
        for label in dict.fromkeys(_LEGEND_LABEL.findall(str(query.document.get("legendFormat")))):
            if given.is_known and label not in given.possible:
                what = f"its legend names the label {label}, which the series do not have"
                yield _fault(document, panel, query, what)


def check_zoom(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find rates over a fixed range: they miss what lies between two points of a long graph."""
    for panel, query in document.list_queries():
        for function, window in _list_ranges(query.filled):
            if panel is not None and function in _FOLLOWING and window != f"[{PROBE}]":
                yield _fault(
                    document, panel, query, f"{function}() over {window}, not [$__rate_interval]"
                )


def _list_ranges(expression: str) -> Iterator[tuple[str, str]]:
    """Give each function with the range of its argument."""
    tokens = tokenize(expression)
    for position, token in enumerate(tokens):
        if token.kind == "name" and token.text in _FOLLOWING and not token.in_braces:
            for following in tokens[position:]:
                if following.kind == "range":
                    yield token.text, following.text
                    break


def check_counters(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find counters that are shown as they are: they say how long a process has run."""
    for panel, query in document.list_queries():
        tree = _parse(query.filled)
        if panel is None or tree is None:
            continue
        is_counter = partial(_is_counter, surroundings=surroundings)
        for name in dict.fromkeys(filter(is_counter, _list_bare(tree))):
            what = f"shows the counter {name} without rate() or increase()"
            yield _fault(document, panel, query, what)


def _is_counter(name: str, surroundings: Surroundings) -> bool:
    metric = find_metric(name, surroundings.extra)
    if metric is None:
        return name.endswith("_total")
    return metric.kind in {MetricKind.COUNTER, MetricKind.HISTOGRAM}


def _list_bare(node: Node) -> Iterator[str]:
    """Give the metrics that no function of counters reads."""
    match node:
        case Selector(metric=name):
            yield name
        case Call(function=function) if function in _OF_COUNTERS | _WHOLE:
            return
        case Call(arguments=below) | Aggregation(arguments=below):
            for each in below:
                yield from _list_bare(each)
        case Binary(operator="*", left=Literal(number=0)):
            return  # nought where the counter is there
        case Binary(left=left, right=right):
            yield from _list_bare(left)
            # What only decides whether there is a value may be of any size.
            if node.operator not in {"and", "unless"}:
                yield from _list_bare(right)


def check_exemplars(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find exemplars asked of what has none, or where they are not drawn (T15)."""
    for panel, query in document.list_queries():
        if panel is None or query.document.get("exemplar") is not True:
            continue
        if panel.type != "timeseries" or query.document.get("instant") is True:
            yield _fault(document, panel, query, "asks for exemplars where no dots are drawn")
            continue
        tree = _parse(query.filled)
        if tree is not None and not _reads_exemplars(tree, surroundings):
            what = "asks for exemplars, and reads neither a histogram's buckets nor a counter"
            yield _fault(document, panel, query, what)


def _reads_exemplars(tree: Node, surroundings: Surroundings) -> bool:
    for node in walk(tree):
        if isinstance(node, Selector):
            metric = find_metric(node.metric, surroundings.extra)
            if node.metric.endswith("_bucket") or (metric and metric.kind is MetricKind.COUNTER):
                return True
    return False


def check_letters(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find queries of one panel with the same letter: Grafana keeps the answer of one."""
    for panel in document.panels:
        letters: Sequence[str] = [query.where for query in panel.queries]
        for letter, times in Counter(letters).items():
            if times > 1:
                what = f"{times} of its queries have the letter {letter}"
                yield Fault(what, document, panel.id, panel.name)
