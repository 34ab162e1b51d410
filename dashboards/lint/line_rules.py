"""Whether a panel's thresholds are lines of the one table (D21), for what the panel shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final

from alerts.catalogue import GROUPS
from alerts.catalogue.objectives import OBJECTIVES
from alerts.expressions import read_expression
from alerts.rule_files import GENERATED, find_rule_files, read_rules
from alerts.series_labels import find_metric
from dashboards.lines import BAD, GOOD, NOT_MARKED, WARNING, colour_line, step_lines
from dashboards.lint.document import Document, Panel, mapping, mappings
from dashboards.lint.rule import Fault, Surroundings
from dashboards.promql import measure_line
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary.alerts import PRIORITIES
from outbound_slo.vocabulary.thresholds import THRESHOLDS, Comparison, Subject, Threshold, Use

_HOUSE: Final[Mapping[Subject, frozenset[str]]] = {
    Subject.REFRESH: frozenset({m.EXPORTER_REFRESH_DURATION.name}),
    Subject.ORGANISATION_SHARE: frozenset({m.ORGANISATION_FINISHED.name}),
    Subject.PAGES: frozenset({m.ALERTS.name}),
    Subject.TICKETS: frozenset({m.ALERTS.name}),
    Subject.SESSION_WINDOW: frozenset({m.SESSION_EXPIRATION.name}),
}
"""What subjects without an alert are measured by."""

_DRAWN: Final = frozenset({Use.PANEL, Use.SLA, Use.OBJECTIVE})
_UPWARDS: Final = frozenset({Comparison.ABOVE, Comparison.AT_LEAST})


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a colour may change.

    Attributes:
        value: In the base unit of metrics.
        colour: The colour that tells.
        above: Whether it is the colour from the value on, or the one below it.
        metrics: What is measured: a panel must read one of them.

    """

    value: float
    colour: str
    above: bool
    metrics: frozenset[str]


def check_lines(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find thresholds that are no line of the table for any metric that the panel reads."""
    for panel in document.panels:
        read = find_sources(_list_metrics(panel))
        edges = [edge for edge in list_edges() if edge.metrics & read]
        if not edges:
            continue
        for unit, steps in _list_steps(panel):
            for value, below, above in _list_changes(steps):
                measured = round(value / 100, 10) if unit == "percent" else value
                if not any(_is_drawn(edge, measured, below, above) for edge in edges):
                    what = f"changes from {below} to {above} at {value:g}, which is no line of what"
                    yield Fault(f"{what} it shows", document, panel.id, panel.name)


def _is_drawn(edge: Edge, value: float, below: str, above: str) -> bool:
    return edge.value == value and edge.colour == (above if edge.above else below)


def _list_steps(panel: Panel) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    unit = str(panel.defaults.get("unit") or "")
    yield unit, mappings(mapping(panel.defaults.get("thresholds")).get("steps"))
    for each in mappings(mapping(panel.document.get("fieldConfig")).get("overrides")):
        given = {str(one.get("id")): one.get("value") for one in mappings(each.get("properties"))}
        own = str(given.get("unit") or unit)
        yield own, mappings(mapping(given.get("thresholds")).get("steps"))


def _list_changes(steps: list[dict[str, Any]]) -> Iterator[tuple[float, str, str]]:
    for before, after in pairwise(steps):
        value = after.get("value")
        if isinstance(value, int | float):
            yield float(value), _name_colour(before), _name_colour(after)


def _name_colour(step: Mapping[str, Any]) -> str:
    colour = str(step.get("color"))
    return GOOD if colour == NOT_MARKED else colour


def _list_metrics(panel: Panel) -> frozenset[str]:
    found: set[str] = set()
    for query in panel.queries:
        found |= read_expression(query.filled).metrics
    return frozenset(found)


@cache
def list_edges() -> tuple[Edge, ...]:
    """List every place at which a panel's colour may change, and for which metrics."""
    return (*_edges_of_alerts(), *_edges_of_panels(), *_edges_of_objectives())


def _edges_of_alerts() -> Iterator[Edge]:
    for line, judged, pages in _list_judged():
        (_, lowest), (value, _) = step_lines([line])
        for colour in {BAD if pages else WARNING, colour_line(line)}:
            yield Edge(value or 0.0, colour, lowest == GOOD, judged)


def _edges_of_panels() -> Iterator[Edge]:
    for line in THRESHOLDS.values():
        if line.use not in _DRAWN:
            continue
        measured = _metrics_of(line.subject)
        value = measure_line(line)
        if line.use is Use.PANEL:
            yield Edge(value, line.colour, line.comparison in _UPWARDS, measured)
        else:  # a promise says what is good
            yield Edge(value, GOOD, line.comparison in _UPWARDS, measured)


def _edges_of_objectives() -> Iterator[Edge]:
    recorded = frozenset(name for name in _recordings() if "slo" in _labels_of(name))
    for objective in OBJECTIVES:
        yield Edge(round(objective.percent / 100, 10), GOOD, True, recorded)


def _labels_of(name: str) -> tuple[str, ...]:
    metric = find_metric(name)
    return metric.labels if metric else ()


@cache
def _metrics_of(subject: Subject) -> frozenset[str]:
    found = set(_HOUSE.get(subject, frozenset()))
    for line, judged, _ in _list_judged():
        if line.subject is subject:
            found |= judged
    return frozenset(found)


@cache
def _list_judged() -> tuple[tuple[Threshold, frozenset[str], bool], ...]:
    """List each line of an alert with the metrics that it judges, and whether it pages."""
    read: dict[tuple[str, str, str], frozenset[str]] = {}
    for rule in read_rules(find_rule_files(GENERATED)):
        if rule.alert:
            place = (rule.alert, rule.labels.get("tier", ""), rule.labels.get("slo", ""))
            names = find_sources(read_expression(rule.expression).metrics)
            read[place] = read.get(place, frozenset()) | names
    return tuple(
        (line, read[alert.name, str(alert.tier), str(alert.slo)], PRIORITIES[alert.priority].pages)
        for group in GROUPS
        for alert in group.alerts
        for line in alert.lines.values()
        if line.use in {Use.ALERT, Use.ESCALATION}
    )


@cache
def _recordings() -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for rule in read_rules(find_rule_files(GENERATED)):
        if rule.record:
            names = read_expression(rule.expression).metrics
            found[rule.record] = found.get(rule.record, frozenset()) | names
    return found


@cache
def find_sources(names: frozenset[str]) -> frozenset[str]:
    """Give metrics with all that they are recorded from; a histogram's parts as the histogram."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        metric = find_metric(name)
        found |= {name, metric.name if metric else name}
        waiting |= _recordings().get(name, frozenset()) - found
    return frozenset(found)
