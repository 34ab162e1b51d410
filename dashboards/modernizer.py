"""Brings what grafanalib 0.7.1 emits to the dashboard schema of Grafana 12. Pure.

grafanalib stopped in January 2024 with dashboards of schema 12 (2016): nulls everywhere, keys of
panels that are gone, gauge options in their old place, the lowest threshold as the text "null".
Grafana migrates such a file at each load and shows it as changed; this module does it once.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Json = dict[str, Any]

SCHEMA_VERSION = 42
"""Schema version that Grafana 12.4 and 13.2 write (@grafana/schema, `defaultDashboard`)."""

_DASHBOARD_LEGACY = frozenset(
    {"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style"}
)
_PANEL_LEGACY = frozenset(
    {
        "cacheTimeout", "color", "columns", "editable", "error", "fontSize", "height",
        "hideTimeOverride", "mappings", "minSpan", "span", "transparent",
    }
)  # fmt: skip
_VARIABLE_LEGACY = frozenset(
    {"auto", "auto_count", "auto_min", "tagValuesQuery", "tagsQuery", "useTags"}
)
_PICKER_LEGACY = frozenset({"time_options"})
_DEFAULTS_LEGACY = frozenset({"calcs", "limit", "override", "title", "values"})

_HEADING = ("collapsed", "gridPos", "id", "panels", "title", "type")

_OPTIONS: Mapping[str, Json] = MappingProxyType(
    {
        "timeseries": {"legend": {"showLegend": True}},
        "stat": {
            "percentChangeColorMode": "standard",
            "showPercentChange": False,
            "wideLayout": True,
        },
        "gauge": {
            "barShape": "flat",
            "barWidthFactor": 0.5,
            "effects": {},
            "minVizHeight": 75,
            "minVizWidth": 75,
            "orientation": "auto",
            "segmentCount": 1,
            "segmentSpacing": 0.3,
            "shape": "gauge",
            "showThresholdLabels": False,
            "showThresholdMarkers": True,
            "sizing": "auto",
        },
        "table": {"cellHeight": "sm", "frameIndex": 0},
    }
)
"""What Grafana 12 expects in a panel's options and grafanalib has no word for."""


def modernize(document: Mapping[str, Any]) -> Json:
    """Rewrite a dashboard as grafanalib encodes it; the argument stays as it is.

    Raises:
        ValueError: It has a panel of a type that this module does not know.

    """
    kept = _without(document, _DASHBOARD_LEGACY)
    kept["schemaVersion"] = SCHEMA_VERSION
    kept["panels"] = [_modernize_panel(panel) for panel in document["panels"]]
    variables = document["templating"]["list"]
    kept["templating"] = {"list": [_modernize_variable(variable) for variable in variables]}
    kept["timepicker"] = _without(document["timepicker"], _PICKER_LEGACY)
    modern: Json = _strip(kept)
    return modern


def _modernize_panel(panel: Mapping[str, Any]) -> Json:
    kind = panel["type"]
    if kind == "row":
        return {name: panel[name] for name in _HEADING}
    if kind not in _OPTIONS:
        raise ValueError(f"Panel {panel['title']!r} has the type {kind}, which is not known here")
    kept = _without(panel, _PANEL_LEGACY)
    if kept.get("repeat") is None:
        kept.pop("repeatDirection", None)
    kept["options"] = _merge(_OPTIONS[kind], panel.get("options", {}))
    defaults = dict(panel["fieldConfig"]["defaults"])
    if kind == "gauge":
        # grafanalib keeps the reduction among the field's defaults, where Grafana 6 had it.
        kept["options"]["reduceOptions"] = {
            "calcs": defaults["calcs"],
            "fields": "",
            "values": defaults["values"],
        }
    if kind == "table":
        defaults["custom"] = _modernize_cells(defaults["custom"])
    if kind == "timeseries":
        defaults["custom"] = _modernize_curves(defaults["custom"])
    kept["fieldConfig"] = {
        "defaults": _modernize_defaults(defaults),
        "overrides": panel["fieldConfig"].get("overrides", []),
    }
    kept["links"] = [_modernize_link(link) for link in panel.get("links", [])]
    return kept


def _modernize_defaults(defaults: Mapping[str, Any]) -> Json:
    kept = _without(defaults, _DEFAULTS_LEGACY)
    steps = [_modernize_step(step) for step in defaults["thresholds"]["steps"] or []]
    if steps:
        kept["thresholds"] = {"mode": defaults["thresholds"]["mode"], "steps": steps}
        # Values take the colour of their step; lines keep a colour each, so that they differ.
        kept["color"] = kept.get("color") or {"mode": "thresholds"}
    else:
        del kept["thresholds"]
    return kept


def _modernize_step(step: Mapping[str, Any]) -> Json:
    value = float(step["value"]) if step["index"] else None
    whole = value is not None and value.is_integer()
    return {"color": step["color"], "value": int(value) if value is not None and whole else value}


def _modernize_curves(custom: Mapping[str, Any]) -> Json:
    """Drop the logarithm's base from a linear scale, and say it where nothing is stacked."""
    kept = dict(custom)
    if custom["scaleDistribution"]["type"] == "linear":
        kept["scaleDistribution"] = {"type": "linear"}
    kept["stacking"] = custom["stacking"] or {"mode": "none", "group": "A"}
    return kept


def _modernize_cells(custom: Mapping[str, Any]) -> Json:
    """Rename a table's `displayMode`, which is `cellOptions.type` since Grafana 9."""
    kept = _without(custom, frozenset({"displayMode"}))
    kept["cellOptions"] = {"type": custom["displayMode"]}
    return kept


def _modernize_link(link: Mapping[str, Any]) -> Json:
    """Fill a panel's link up to a dashboard link: the schema wants it, though three keys count."""
    shape = {
        "asDropdown": False,
        "icon": "external link",
        "includeVars": False,
        "keepTime": False,
        "tags": [],
        "tooltip": "",
        "type": "link",
    }
    return {**shape, **link}


def _modernize_variable(variable: Mapping[str, Any]) -> Json:
    kept = _without(variable, _VARIABLE_LEGACY)
    current = variable["current"]
    chosen = {name: current[name] for name in ("selected", "text", "value") if name in current}
    if chosen.get("value") is None:
        # Without a choice Grafana takes the first one; an empty choice would be taken literally.
        kept["current"] = None
    else:
        kept["current"] = chosen
    return kept


def _without(mapping: Mapping[str, Any], legacy: frozenset[str]) -> Json:
    return {name: value for name, value in mapping.items() if name not in legacy}


def _merge(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """Give `defaults` with what `given` says on top, also inside nested mappings."""
    merged = dict(defaults)
    for name, value in given.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[name] = _merge(below, value)
        else:
            merged[name] = value
    return merged


def _strip(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Drop nulls, but for the lowest threshold's value, where null means minus infinity."""
    if isinstance(value, Mapping):
        is_step = value.keys() == {"color", "value"}
        return {name: _strip(item) for name, item in value.items() if item is not None or is_step}
    if isinstance(value, list):
        return [_strip(item) for item in value]
    return value
