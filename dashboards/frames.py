"""What all panels have in common: a query, and the frame around whatever is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafanalib import core

from dashboards.lines import describe, name_alerts
from dashboards.links import link_runbook
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.thresholds import Threshold

Json = dict[str, Any]

DATA_SOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
"""The Prometheus that the viewer chose in the dashboard's variable."""


@dataclass(frozen=True, slots=True)
class Query:
    """A Prometheus query of a panel; grafanalib's own lacks exemplars and a typed data source.

    Attributes:
        expression: PromQL.
        legend: Name of the series; empty for a table.
        instant: Ask for one value instead of a range.
        table: Deliver rows with a column per label.
        exemplars: Ask for exemplars too; worth it only where the expression reads a histogram.

    """

    expression: str
    legend: str = ""
    instant: bool = False
    table: bool = False
    exemplars: bool = False

    def to_target(self, letter: str) -> Json:
        """Render as a target named `letter` in Grafana's current form."""
        return {
            "refId": letter,
            "datasource": dict(DATA_SOURCE),
            "editorMode": "code",
            "expr": self.expression,
            "legendFormat": self.legend or "__auto",
            "format": "table" if self.table else "time_series",
            "instant": self.instant,
            "range": not self.instant,
            "exemplar": self.exemplars,
        }


@dataclass(frozen=True, slots=True)
class Frame:
    """What every panel has, whatever it draws.

    Attributes:
        id: Number within the dashboard, for ever.
        title: The panel's title; a runbook's where it names one.
        place: x, y, width and height in grid units (24 to a row); y from its section's top.
        unit: Grafana's unit id, such as `s`, `percent` or `short`.
        what: What is counted, in a sentence; the rest of the description is made of the lines.
        links: To traces and elsewhere; the runbook pages of its alerts come first by themselves.
        lines: Lines of alerts that are drawn, or colour the value.
        told: Lines that an alert has, but that cannot be drawn in this panel's unit.
        alerts: Alerts that the panel helps with, and that have no line on it.
        promise: What the SLA says about it.

    """

    id: int
    title: str
    place: tuple[int, int, int, int]
    unit: str
    what: str
    links: Sequence[core.DataLink] = ()
    lines: Sequence[Threshold] = ()
    told: Sequence[Threshold] = ()
    alerts: Sequence[AlertName] = ()
    promise: Threshold | None = None
    description: str = field(init=False)

    def __post_init__(self) -> None:
        """Write the description: what, the promise, and when an alert fires."""
        text = describe(self.what, self.promise, (*self.lines, *self.told))
        object.__setattr__(self, "description", text)

    def arguments(self, queries: Sequence[Query]) -> Json:
        """Give the keyword arguments that all of grafanalib's panels share."""
        x, y, width, height = self.place
        targets = [query.to_target(chr(ord("A") + at)) for at, query in enumerate(queries)]
        alerts = dict.fromkeys((*name_alerts((*self.lines, *self.told)), *self.alerts))
        return {
            "id": self.id,
            "title": self.title,
            "gridPos": core.GridPos(x=x, y=y, w=width, h=height),
            "description": self.description,
            "links": [*(link_runbook(alert) for alert in alerts), *self.links],
            "dataSource": dict(DATA_SOURCE),
            "targets": targets,
            "maxDataPoints": None,
        }
