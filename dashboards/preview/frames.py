"""Panel data: what a Grafana document shows over a range, from an injected Prometheus.

Nothing here reads a clock or a socket. The document is the only model: whatever Grafana would ask
and show is asked and shown.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dashboards.preview.annotations import Mark, list_marks
from dashboards.preview.charts import Chart, Curve, build_chart
from dashboards.preview.fields import (
    NOTHING_SCRAPED,
    Link,
    field_for,
    list_links,
    name_series,
    refuse_unknown,
    rename,
    words_for_nothing,
)
from dashboards.preview.moments import (
    MOST_POINTS,
    SCRAPE_INTERVAL_S,
    TimeRange,
    align,
    choose_step,
    name_intervals,
    parse_interval,
)
from dashboards.preview.tables import Table, build_table
from dashboards.preview.tiles import Tile, build_tiles
from dashboards.preview.variables import Variable, fill, resolve_variables
from outbound_slo.embedded.prometheus_api import Sample, Series
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.mistakes import UserMistake

Json = Mapping[str, Any]

_COLUMNS = 24
_POINTS_PER_COLUMN = 56
"""A full row of panels is about 1,340 pixels wide: a point for each."""


class Source(Protocol):
    """Answers PromQL; `PrometheusApi` is one. Times and steps are in Unix seconds.

    What an expression can't be answered with is a `UserMistake`.
    """

    def query(self, expression: str, at: float | None = None) -> Sequence[Sample]:
        """Evaluate an expression at one instant."""

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> Sequence[Series]:
        """Evaluate an expression at every step."""

    def label_values(self, metric: str, label: str, start: float, end: float) -> Sequence[str]:
        """List the values of a label."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel stands on the grid, 24 units to a row."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class PanelFrame:
    """A panel with its data.

    Attributes:
        key: Unique within the dashboard.
        kind: Grafana's panel type.
        error: Why there is no data, in one line; empty if all is well.
        nothing: What the panel says where there is none.
        options: Grafana's, as they stand in the document.
        leads: Where its values lead, if to somewhere else than its title.

    """

    key: str
    kind: str
    title: str
    description: str
    place: Place
    links: tuple[Link, ...]
    nothing: str
    options: Json
    error: str = ""
    chart: Chart | None = None
    tiles: tuple[Tile, ...] = ()
    table: Table | None = None
    leads: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class DashboardFrame:
    """A dashboard with its data; times in Unix milliseconds, as browsers count them.

    `notes` are failures, `hint` is none.
    """

    uid: str
    title: str
    description: str
    tags: tuple[str, ...]
    start_ms: int
    end_ms: int
    since: str
    until: str
    refresh_s: float
    crosshair: bool
    links: tuple[Link, ...]
    variables: tuple[Variable, ...]
    marks: tuple[Mark, ...]
    panels: tuple[PanelFrame, ...]
    notes: tuple[str, ...] = ()
    hint: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong, a line each."""
        told = (f"{panel.title}: {panel.error}" for panel in self.panels if panel.error)
        return (*self.notes, *told)


@dataclass(frozen=True, slots=True)
class View:
    """What somebody wants to see.

    Attributes:
        range: From when to when.
        since: The beginning in the person's own words.
        until: The end in the person's own words.
        given: Values of variables by name.
        scrape_s: Seconds between scrapes.

    """

    range: TimeRange
    since: str = "now-6h"
    until: str = "now"
    given: Mapping[str, str] | None = None
    scrape_s: float = SCRAPE_INTERVAL_S


def collect_dashboard(document: Json, source: Source, view: View) -> DashboardFrame:
    """Ask for everything that a dashboard shows.

    A query that fails is told in its panel; the others go on.

    Raises:
        UserMistake: The document is no dashboard, or the values of a variable can't be asked for.

    """
    return _Collector(document, source, view).collect()


class _Collector:
    def __init__(self, document: Json, source: Source, view: View) -> None:
        self._document, self._source, self._view = document, source, view
        self._range = view.range
        self._variables = resolve_variables(document, view.given or {}, self._label_values)
        self._values = {each.name: each.value for each in self._variables} | {
            "__from": str(round(self._range.start_s * 1000)),
            "__to": str(round(self._range.end_s * 1000)),
        }

    def _label_values(self, metric: str, label: str) -> Sequence[str]:
        return self._source.label_values(metric, label, self._range.start_s, self._range.end_s)

    def collect(self) -> DashboardFrame:
        document = self._document
        marks, notes = self._collect_marks()
        return DashboardFrame(
            uid=document.get("uid") or "",
            title=fill(document.get("title", ""), self._values),
            description=fill(document.get("description") or "", self._values),
            tags=tuple(document.get("tags", [])),
            start_ms=round(self._range.start_s * 1000),
            end_ms=round(self._range.end_s * 1000),
            since=self._view.since,
            until=self._view.until,
            refresh_s=_read_refresh(document.get("refresh") or ""),
            crosshair=bool(document.get("graphTooltip")),
            links=list_links(document.get("links", []), self._values),
            variables=self._variables,
            marks=marks,
            panels=tuple(self._list_panels()),
            notes=notes,
            hint=find_hint(self._source, self._range.end_s),
        )

    def _collect_marks(self) -> tuple[tuple[Mark, ...], tuple[str, ...]]:
        marks: list[Mark] = []
        notes: list[str] = []
        for query in self._document.get("annotations", {}).get("list", []):
            if query.get("builtIn") or not query.get("enable", True) or not query.get("expr"):
                continue
            try:
                step = parse_interval(fill(query.get("step") or "60s", self._values))
                # Written for the usual Prometheus; one that scrapes faster is asked as much faster.
                step *= min(self._view.scrape_s / SCRAPE_INTERVAL_S, 1.0)
                step = choose_step(self._range, MOST_POINTS, step)
                series = self._ask_range(query["expr"], step, step)
            except UserMistake as mistake:
                notes.append(f"{query.get('name', 'Annotation')}: {mistake.what}")
                continue
            marks += list_marks(query, series, step)
        return tuple(sorted(marks, key=lambda mark: mark.start_ms)), tuple(notes)

    def _list_panels(self) -> Iterator[PanelFrame]:
        found = self._document.get("panels", [])
        seen: set[str] = set()
        for panel in sorted(found, key=lambda each: (each["gridPos"]["y"], each["gridPos"]["x"])):
            frame = self._describe(panel)
            while frame.key in seen:
                # A copied panel may have kept its number.
                frame = replace(frame, key=f"{frame.key}-again")
            seen.add(frame.key)
            try:
                parts = {} if frame.kind == "row" else self._fill_panel(panel)
            except UserMistake as mistake:
                parts = {"error": mistake.what}
            yield replace(frame, **parts)

    def _describe(self, panel: Json) -> PanelFrame:
        grid = panel["gridPos"]
        return PanelFrame(
            key=f"panel-{panel['id']}",
            kind=panel["type"],
            title=fill(panel.get("title", ""), self._values),
            description=fill(panel.get("description") or "", self._values),
            place=Place(grid["x"], grid["y"], grid["w"], grid["h"]),
            links=list_links(panel.get("links", []), self._values),
            nothing=words_for_nothing(panel),
            options=panel.get("options", {}),
        )

    def _fill_panel(self, panel: Json) -> dict[str, Any]:
        kind = panel["type"]
        refuse_unknown(panel)
        targets = [target for target in panel.get("targets", []) if not target.get("hide")]
        step = self._choose_step(panel, targets)
        if kind == "table":
            answers = [(each["refId"], self._ask_instant(each["expr"], step)) for each in targets]
            return {"table": build_table(panel, answers, self._values)}
        grid = align(self._range, step)
        curves = [
            self._make_curve(panel, target, series, grid, step)
            for target in targets
            for series in self._ask_target(target, step)
        ]
        if kind == "timeseries":
            return {"chart": build_chart(panel, curves, round(grid.start_s * 1000), step)}
        return {
            "tiles": build_tiles(panel, curves, grid.start_s, step),
            "leads": self._list_leads(panel, curves),
        }

    def _list_leads(self, panel: Json, curves: Sequence[Curve]) -> tuple[Link, ...]:
        """List where its values lead, if not here; in Grafana a click on a tile offers it."""
        here = f"#{self._document.get('uid')}"
        above = {link.title for link in list_links(panel.get("links", []), self._values)}
        found: dict[Link, None] = {}
        # Who sees no data wants to know where to look all the more.
        for field, labels in [(each.field, each.labels) for each in curves] or [
            (field_for(panel), {})
        ]:
            names = {f"__field.labels.{name}": value for name, value in labels.items()}
            found |= dict.fromkeys(list_links(field.get("links", []), self._values | names))
        return tuple(
            link
            for link in found
            if link.url and link.title not in above
            if link.url.partition("?")[0] != here or "viewPanel=" in link.url
        )

    def _choose_step(self, panel: Json, targets: Sequence[Json]) -> float:
        """Choose one step for the whole panel, so that its series share their instants."""
        asked = [panel.get("interval"), *(target.get("interval") for target in targets)]
        least = [parse_interval(fill(each, self._values)) for each in asked if each]
        points = panel.get("maxDataPoints") or panel["gridPos"]["w"] * _POINTS_PER_COLUMN
        return choose_step(self._range, points, max([self._view.scrape_s, *least]))

    def _ask_target(self, target: Json, step: float) -> Sequence[Series]:
        if target.get("instant") and not target.get("range"):
            return [
                Series(sample.labels, ((sample.at, sample.value),))
                for sample in self._ask_instant(target["expr"], step)
            ]
        return self._ask_range(target["expr"], step, step)

    def _ask_instant(self, expression: str, step: float) -> Sequence[Sample]:
        return self._source.query(self._fill_query(expression, step), at=self._range.end_s)

    def _ask_range(self, expression: str, step: float, interval: float) -> Sequence[Series]:
        grid = align(self._range, step)
        filled = self._fill_query(expression, interval)
        return self._source.query_range(filled, grid.start_s, grid.end_s, step)

    def _fill_query(self, expression: str, step: float) -> str:
        intervals = name_intervals(self._range, step, self._view.scrape_s)
        return fill(expression, self._values | intervals, escaped=True)

    def _make_curve(
        self, panel: Json, target: Json, series: Series, grid: TimeRange, step: float
    ) -> Curve:
        name = name_series(target, series.labels, self._values)
        field = field_for(panel, name)
        values: list[float | None] = [None] * (round((grid.end_s - grid.start_s) / step) + 1)
        for at, value in series.points:
            place = min(round((at - grid.start_s) / step), len(values) - 1)
            if place >= 0 and math.isfinite(value):
                values[place] = value
        return Curve(rename(name, field, series.labels), field, tuple(values), series.labels)


def find_hint(source: Source, end_s: float) -> str:
    """Tell what a reader must know of the whole range; empty where its end has been scraped."""
    try:
        return "" if source.query(f"count({metrics.UP.name})", at=end_s) else NOTHING_SCRAPED
    except UserMistake:
        # Every panel tells that by itself.
        return ""


def _read_refresh(text: object) -> float:
    """Read how often Grafana refreshes, in seconds; "auto" and the like are no times."""
    try:
        return parse_interval(str(text))
    except UserMistake:
        return 0.0
