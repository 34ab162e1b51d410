"""A dashboard with every kind of panel that a preview draws, and a Prometheus that is a table."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboards.preview.frames import DashboardFrame, View, collect_dashboard
from dashboards.preview.moments import TimeRange
from outbound_slo.embedded.prometheus_api import Sample, Series
from outbound_slo.vocabulary.mistakes import UserMistake

Json = dict[str, Any]

START_S = 1_700_000_100.0
END_S = START_S + 3600
RANGE = TimeRange(START_S, END_S)
HOUR = View(RANGE, "now-1h")

SCRAPED = "count(up)"
"""What a preview asks to know whether anything was scraped."""

RED_FROM_80: Json = {
    "mode": "absolute",
    "steps": [
        {"color": "green", "value": None},
        {"color": "yellow", "value": 50},
        {"color": "red", "value": 80},
    ],
}


@dataclass
class TableOfAnswers:
    """Answers expressions from a table: samples, or series of a value for every step.

    Attributes:
        samples: Labels and value of each series by expression.
        labels: Values of labels by metric and label.
        broken: Expressions that fail.
        asked: What was asked, in order.
        ends: Instants at which it was asked whether anything was scraped.

    """

    samples: Mapping[str, Sequence[tuple[Mapping[str, str], float]]] = field(default_factory=dict)
    labels: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    ends: list[float | None] = field(default_factory=list)

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        if expression == SCRAPED:
            self.ends.append(at)
        else:
            self.asked.append(("instant", expression, at))
        return [Sample(labels, value, at or 0.0) for labels, value in self._find(expression)]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        self.asked.append(("range", expression, start, end, step))
        count = round((end - start) / step) + 1
        return [
            Series(
                labels,
                tuple(
                    (start + at * step, value * (1 + 0.3 * math.sin(at / 9))) for at in range(count)
                ),
            )
            for labels, value in self._find(expression)
        ]

    def label_values(self, metric: str, label: str, start: float, end: float) -> Sequence[str]:
        assert start < end
        return self.labels.get((metric, label), [])

    def _find(self, expression: str) -> Sequence[tuple[Mapping[str, str], float]]:
        if expression in self.broken:
            raise UserMistake(f"Prometheus can't evaluate {expression!r}: no such thing", "")
        if expression == SCRAPED:
            # Whoever has anything has scraped it.
            return [({}, 1.0)] if self.samples else []
        return self.samples.get(expression, ())


def make_target(expression: str, letter: str = "A", **more: object) -> Json:
    return {"refId": letter, "expr": expression, "legendFormat": "__auto", **more}


def make_table_target(expression: str, letter: str = "A") -> Json:
    return make_target(expression, letter, format="table", instant=True, range=False)


def make_panel(kind: str, *targets: Json, **more: Any) -> Json:  # noqa: ANN401 - JSON is anything
    """Make a panel; `defaults`, `overrides` and `options` go to their places."""
    return {
        "id": more.pop("id", 1),
        "type": kind,
        "title": more.pop("title", "Panel"),
        "gridPos": more.pop("place", {"x": 0, "y": 0, "w": 12, "h": 8}),
        "fieldConfig": {
            "defaults": more.pop("defaults", {}),
            "overrides": more.pop("overrides", []),
        },
        "options": more.pop("options", {}),
        "targets": list(targets),
        **more,
    }


def make_dashboard(*panels: Json, **more: object) -> Json:
    return {"uid": "showcase", "title": "Showcase", "panels": list(panels), **more}


def override(name: str, matcher: str = "byName", /, **properties: object) -> Json:
    """Override properties; a double underscore stands for the point in a name."""
    return {
        "matcher": {"id": matcher, "options": name},
        "properties": [
            {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
        ],
    }


def place(x: int, y: int, w: int, h: int) -> Json:
    return {"x": x, "y": y, "w": w, "h": h}


def collect(
    document: Json, source: TableOfAnswers, given: Mapping[str, str] | None = None
) -> DashboardFrame:
    """Collect an hour of a dashboard; what it was made of must be JSON."""
    view = View(RANGE, "now-1h", "now", given)
    return collect_dashboard(json.loads(json.dumps(document)), source, view)


NASTY = "</script><script>alert(1)</script><b>&amp;\u2028"
"""What a label may hold."""

SHOWCASE = make_dashboard(
    make_panel("row", title="Is it us?", id=1, place=place(0, 0, 24, 1)),
    make_panel(
        "timeseries",
        make_target("latency", legendFormat="{{quantile}} of {{org}}", exemplar=True),
        id=2, title="Latency with a line", place=place(0, 1, 12, 8),
        description="From due to accepted. Promised: p95 < 30 s.",
        links=[
            {"title": "Runbook: SendLatencyHigh", "url": "${runbooks}/SendLatencyHigh.md"},
            {"title": "Slow traces", "url": "/explore?left=1"},
        ],
        defaults={
            "unit": "s", "min": 0, "color": {"mode": "palette-classic"},
            "thresholds": {
                "mode": "absolute",
                "steps": [{"color": "transparent", "value": None}, {"color": "red", "value": 2}],
            },
            "custom": {
                "fillOpacity": 8, "lineWidth": 2, "axisLabel": "Seconds",
                "thresholdsStyle": {"mode": "line+area"},
            },
        },
        options={
            "legend": {"displayMode": "table", "calcs": ["lastNotNull", "max", "mean"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    ),
    make_panel(
        "timeseries", make_target("sent", legendFormat="sent"),
        make_target("failed", "B", legendFormat="failed"),
        make_target("queued", "C", legendFormat="queued"),
        id=3, title="Stacked rates beside the queue", place=place(12, 1, 12, 8),
        defaults={
            "unit": "cps", "min": 0,
            "custom": {"fillOpacity": 30, "lineWidth": 1, "stacking": {"mode": "normal"}},
        },
        overrides=[
            override("failed", color={"mode": "fixed", "fixedColor": "red"}),
            override(
                "/^que/", "byRegexp", unit="short", custom__axisPlacement="right",
                custom__axisLabel="Messages", custom__stacking={"mode": "none"},
                custom__fillOpacity=0,
            ),
        ],
        options={"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi"}},
    ),
    make_panel(
        "timeseries", make_target("failed", legendFormat="failed"),
        id=4, title="Bars", place=place(0, 9, 8, 6),
        defaults={"unit": "short", "custom": {"drawStyle": "bars"}},
    ),
    make_panel(
        "stat", make_target("depth", legendFormat="Queued"),
        id=5, title="Queue depth", place=place(8, 9, 4, 4), description="Messages that wait.",
        defaults={"unit": "short", "thresholds": RED_FROM_80},
        options={"colorMode": "value", "graphMode": "area"},
    ),
    make_panel(
        "stat", make_target("breaker", legendFormat="{{instance}}"),
        id=6, title="Breakers", place=place(12, 9, 12, 4),
        defaults={
            "unit": "none",
            "mappings": [
                {"type": "value", "options": {"0": {"text": "CLOSED", "color": "green"}}},
                {
                    "type": "range",
                    "options": {"from": 0.1, "to": 1.5, "result": {"text": "OPEN", "color": "red"}},
                },
                {
                    "type": "range",
                    "options": {"from": 1.5, "result": {"text": "HALF_OPEN", "color": "yellow"}},
                },
            ],
        },
        options={"colorMode": "background", "graphMode": "none", "textMode": "auto"},
    ),
    make_panel("row", title="Or one customer?", id=7, place=place(0, 15, 24, 1)),
    make_panel(
        "gauge", make_target("quota", legendFormat="{{org}}", instant=True, range=False),
        id=8, title="Quota", place=place(0, 16, 8, 8),
        defaults={"unit": "percent", "min": 0, "max": 100, "thresholds": RED_FROM_80},
    ),
    make_panel(
        "table", make_table_target("failures"), make_table_target("attempts", "B"),
        id=9, title="Organisations", place=place(8, 16, 16, 8),
        defaults={"unit": "short", "custom": {"cellOptions": {"type": "auto"}}},
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {"org": 0, "Value #B": 1, "Value #A": 2},
                    "renameByName": {
                        "org": "Organisation", "Value #A": "Failed", "Value #B": "Attempts",
                    },
                },
            },
        ],
        overrides=[
            override(
                "Failed", unit="percentunit", custom__cellOptions={"type": "color-background"},
                thresholds={
                    "steps": [
                        {"color": "green", "value": None}, {"color": "red", "value": 0.1},
                    ]
                },
            ),
            override(
                "Organisation",
                links=[{"title": "This one", "url": "https://x.example/${__value.raw}"}],
            ),
        ],
        options={"sortBy": [{"displayName": "Failed", "desc": True}]},
    ),
    make_panel(
        "stat", make_target("nothing"), id=10, title="Without data", place=place(0, 24, 12, 4),
        defaults={"noValue": "No traffic"},
    ),
    make_panel(
        "timeseries", make_target("nothing"), id=11, title="Lines without data",
        place=place(12, 24, 12, 4), defaults={"noValue": "No open window"},
    ),
    description="One panel of each kind.",
    refresh="30s",
    graphTooltip=1,
    templating={
        "list": [
            {"name": "channel", "label": "Channel", "type": "query",
             "query": "label_values(depth, channel)"},
            {"name": "runbooks", "type": "constant", "hide": 2,
             "query": "https://runbooks.example.com"},
        ]
    },
    annotations={
        "list": [
            {"name": "Alerts", "enable": True, "expr": "ALERTS", "step": "60s",
             "iconColor": "red", "titleFormat": "{{alertname}}", "textFormat": "{{channel}}",
             "tagKeys": "severity"},
        ]
    },
)  # fmt: skip

BUSY: Mapping[str, Sequence[tuple[Mapping[str, str], float]]] = {
    "latency": [
        ({"quantile": "p50", "org": "acme"}, 0.4), ({"quantile": "p95", "org": NASTY}, 1.8),
    ],
    "sent": [({}, 12.5)],
    "failed": [({}, 1.25)],
    "queued": [({}, 120_000.0)],
    "depth": [({}, 64.0)],
    "breaker": [({"instance": "sender-1:8080"}, 0.0), ({"instance": "sender-2:8080"}, 1.0)],
    "quota": [({"org": "acme"}, 97.2), ({"org": "globex"}, 12.0)],
    "failures": [
        ({"org": "acme"}, 0.25), ({"org": "globex"}, 0.0125), ({"org": NASTY}, 0.5),
    ],
    "attempts": [({"org": "acme"}, 4000.0), ({"org": "globex"}, 250.0), ({"org": NASTY}, 2.0)],
    "ALERTS": [({"alertname": "Outage", "channel": "sms", "severity": "critical"}, 1.0)],
}  # fmt: skip


def busy_source() -> TableOfAnswers:
    return TableOfAnswers(BUSY, {("depth", "channel"): ["sms", "whatsapp"]})
