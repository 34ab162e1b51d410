"""The four kinds of panels that the dashboards are made of, as grafanalib objects.

grafanalib 0.7.1 has the panels but not today's form of them: `dashboards.modernizer` brings what
it emits up to date. Here only content is said: title, place, unit, lines, queries, links.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafanalib import core

from outbound_slo.vocabulary.thresholds import Subject, panel_steps

Json = dict[str, Any]

DATA_SOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
"""The Prometheus that the viewer chose in the dashboard's variable."""

_NOT_MARKED = "transparent"


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
        id: Number within the dashboard, as in the runbook.
        title: The runbook's title.
        place: x, y, width and height in grid units (24 to a row).
        unit: Grafana's unit id, such as `s`, `percent` or `short`.
        description: Shown at the title: what is counted and which promise is made.
        links: To the runbook page and to traces.

    """

    id: int
    title: str
    place: tuple[int, int, int, int]
    unit: str
    description: str
    links: Sequence[core.DataLink] = field(default_factory=tuple)

    def arguments(self, queries: Sequence[Query]) -> Json:
        """Give the keyword arguments that all of grafanalib's panels share."""
        x, y, width, height = self.place
        targets = [query.to_target(chr(ord("A") + at)) for at, query in enumerate(queries)]
        return {
            "id": self.id,
            "title": self.title,
            "gridPos": core.GridPos(x=x, y=y, w=width, h=height),
            "description": self.description,
            "links": list(self.links),
            "dataSource": dict(DATA_SOURCE),
            "targets": targets,
            "maxDataPoints": None,
        }


def mark_steps(subject: Subject, *, only_bad: bool = False) -> list[core.Threshold]:
    """Turn a subject's lines into grafanalib's steps.

    Args:
        subject: Whose lines.
        only_bad: Leave the good range uncoloured: on a graph only the bad range is filled. Grafana
            draws the line between the two in the colour of the bad one.

    """
    return [
        core.Threshold(
            _NOT_MARKED if only_bad and colour == "green" else colour,
            index,
            0.0 if value is None else float(value),
        )
        for index, (value, colour) in enumerate(panel_steps(subject))
    ]


def draw_lines(
    frame: Frame,
    queries: Sequence[Query],
    *,
    axis: str,
    subject: Subject | None = None,
    overrides: Sequence[Json] = (),
    nothing: str = "No data",
) -> core.TimeSeries:
    """Draw series over time, with the bad range of `subject` filled and its edge drawn."""
    return core.TimeSeries(
        **frame.arguments(queries),
        unit=frame.unit,
        axisLabel=axis,
        lineWidth=2,
        fillOpacity=5,
        legendDisplayMode="table",
        legendCalcs=["lastNotNull", "max"],
        tooltipMode="multi",
        tooltipSort="desc",
        thresholds=mark_steps(subject, only_bad=True) if subject else [],
        thresholdsStyleMode="line+area" if subject else "off",
        overrides=list(overrides),
        valueMin=0,
        extraJson={"fieldConfig": {"defaults": {"noValue": nothing}}},
    )


def show_value(
    frame: Frame,
    queries: Sequence[Query],
    *,
    subject: Subject | None = None,
    mappings: Sequence[core.StatValueMappings] = (),
    background: bool = False,
    curve: bool = False,
    nothing: str = "No data",
    extra: Json | None = None,
) -> core.Stat:
    """Show the last value as a big number, with its curve behind it where `curve` asks."""
    return core.Stat(
        **frame.arguments(queries),
        format=frame.unit,
        thresholds=mark_steps(subject) if subject else [],
        mappings=list(mappings),
        colorMode="background" if background else "value",
        graphMode="area" if curve else "none",
        reduceCalc="lastNotNull",
        noValue=nothing,
        extraJson=extra,
    )


def show_dial(
    frame: Frame, queries: Sequence[Query], *, subject: Subject, nothing: str = "No data"
) -> core.GaugePanel:
    """Show the last value on a dial from 0 to 100."""
    return core.GaugePanel(
        **frame.arguments(queries),
        format=frame.unit,
        thresholds=mark_steps(subject),
        calc="lastNotNull",
        min=0,
        max=100,
        extraJson={"fieldConfig": {"defaults": {"noValue": nothing}}},
    )


def list_rows(
    frame: Frame,
    queries: Sequence[Query],
    *,
    columns: Mapping[str, str],
    sort_by: str,
    overrides: Sequence[Json] = (),
) -> core.Table:
    """List rows with these columns (name in the data to heading), highest `sort_by` first."""
    organize = {
        "id": "organize",
        "options": {"excludeByName": {"Time": True}, "renameByName": dict(columns)},
    }
    return core.Table(
        **frame.arguments(queries),
        unit=frame.unit,
        transformations=[organize],
        sortBy=[core.TableSortByField(displayName=sort_by, desc=True)],
        overrides=list(overrides),
    )
