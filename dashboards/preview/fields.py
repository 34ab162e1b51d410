"""What a panel says of one of its fields: its defaults with the overrides that match."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from alerts.links import RUNBOOK_BASE_URL
from dashboards.preview.values import KNOWN_CALCS, PLAIN, search_pattern, threshold_colour
from dashboards.preview.variables import fill
from outbound_slo.vocabulary.mistakes import UserMistake

Json = Mapping[str, Any]

KINDS = frozenset({"timeseries", "stat", "gauge", "table", "row"})
"""Panel types that are drawn."""

SERVED_RUNBOOKS = "/runbooks"
"""Where a live page has the alerts' pages, unless somebody says where else they are."""

NO_DATA = "No data"
NOTHING_SCRAPED = (
    "Prometheus scraped nothing at the end of this range: what stands here is of before, or of "
    "nothing at all."
)
"""What a reader must know before believing that nothing fires."""

_TRANSFORMATIONS = frozenset({"merge", "organize"})
_LABEL = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_FIELD_LABEL = re.compile(r"\$\{__field\.labels\.(\w+)\}")
_WEB = ("http://", "https://", "file://", f"{SERVED_RUNBOOKS}/")
_PARAMETER = re.compile(r"(?<=[?&])((?:from|to|viewPanel|var-\w+)=[^&$#]+)(?=&|$)")
_EXAMPLE_PAGE = re.compile(re.escape(RUNBOOK_BASE_URL) + r"/?(?:(\w+)\.md)?")
_OF_DATA = ("__value", "__field")
_DASHBOARD = re.compile(r"/d/([\w-]+)")


def field_for(panel: Json, *names: str) -> dict[str, Any]:
    """Give the field configuration of a series or column.

    Args:
        panel: The panel.
        names: What it is called; a column also has the name that it had before it was renamed.

    Raises:
        UserMistake: An override chooses its fields by what the preview does not know.

    """
    config = panel.get("fieldConfig", {})
    field = deepcopy(dict(config.get("defaults", {})))
    for override in config.get("overrides", []):
        if any(_matches(override["matcher"], name) for name in names):
            for each in override["properties"]:
                _put(field, each["id"].split("."), deepcopy(each.get("value")))
    if field.get("thresholds", {}).get("mode") == "percentage":
        field["thresholds"] = _measure_steps(panel, field)
    return field


def _measure_steps(panel: Json, field: Json) -> Json:
    """Turn thresholds in percent of the scale into values."""
    ends = (0, 100) if panel.get("type") == "gauge" else (None, None)
    least, most = field.get("min", ends[0]), field.get("max", ends[1])
    if least is None or most is None:
        raise UserMistake("The preview knows thresholds in percent only between min and max", "")
    steps = [
        step | {"value": least + step["value"] / 100 * (most - least)}
        for step in field["thresholds"].get("steps", [])
        if step["value"] is not None
    ]
    lowest = [step for step in field["thresholds"].get("steps", []) if step["value"] is None]
    return {"mode": "absolute", "steps": [*lowest, *steps]}


def _matches(matcher: Json, name: str) -> bool:
    wanted = str(matcher.get("options", ""))
    if matcher["id"] == "byName":
        return wanted == name
    if matcher["id"] == "byRegexp":
        return search_pattern(wanted, name) is not None
    raise UserMistake(f"The preview knows no override {matcher['id']}", "")


def _put(field: dict[str, Any], path: Sequence[str], value: object) -> None:
    for step in path[:-1]:
        below = field.setdefault(step, {})
        if not isinstance(below, dict):
            return
        field = below
    if value is None:
        # As in Grafana: the field has none of its own.
        field.pop(path[-1], None)
    else:
        field[path[-1]] = value


def refuse_unknown(panel: Json) -> None:
    """Refuse what is not drawn as Grafana draws it: better no number than another one.

    Raises:
        UserMistake: The panel is of another type, or asks for what is not known here.

    """
    if panel.get("type") not in KINDS:
        raise UserMistake(f"The preview draws no panel of type {panel.get('type')}", "")
    for each in panel.get("transformations", []):
        if each["id"] not in _TRANSFORMATIONS and not each.get("disabled"):
            raise UserMistake(f"The preview knows no transformation {each['id']}", "")
    if panel["type"] in {"stat", "gauge"}:
        calcs = panel.get("options", {}).get("reduceOptions", {}).get("calcs", [])[:1]
        if not KNOWN_CALCS.issuperset(calcs):
            raise UserMistake(f"The preview knows no calculation {calcs[0]}", "")


def words_for_nothing(panel: Json) -> str:
    """Give what a panel says where Prometheus has no data for it."""
    return panel.get("fieldConfig", {}).get("defaults", {}).get("noValue") or NO_DATA


def name_series(target: Json, labels: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Name a series by its query's legend; without one, by its labels as Grafana does."""
    legend = target.get("legendFormat") or "__auto"
    if legend != "__auto":
        return _LABEL.sub(lambda found: labels.get(found[1], ""), fill(legend, values))
    rest = {name: value for name, value in labels.items() if name != "__name__"}
    if len(rest) == 1:
        return next(iter(rest.values()))
    inside = ", ".join(f'{name}="{value}"' for name, value in sorted(rest.items()))
    metric = labels.get("__name__", "")
    return f"{metric}{{{inside}}}" if inside else metric or str(target.get("expr", ""))


def rename(name: str, field: Json, labels: Mapping[str, str]) -> str:
    """Give a field's display name where it has one."""
    wanted = field.get("displayName") or ""
    filled = _FIELD_LABEL.sub(lambda found: labels.get(found[1], ""), wanted)
    return filled.replace("${__field.name}", name) or name


def choose_colour(field: Json, last: float | None, index: int) -> str:
    """Choose a series' colour: Grafana's name or hex code, or `palette:` and its place in one."""
    colour = field.get("color", {})
    if colour.get("mode") == "fixed":
        return str(colour.get("fixedColor") or f"palette:{index}")
    if colour.get("mode") == "thresholds" and last is not None:
        reached = threshold_colour(last, field)
        return reached if reached != PLAIN else f"palette:{index}"
    return f"palette:{index}"


@dataclass(frozen=True, slots=True)
class Link:
    """A link.

    Attributes:
        title: Its words.
        url: Where it leads; empty where that is in Grafana, or nowhere yet.
        instead: What a reader is told where it can't be followed.

    """

    title: str
    url: str
    instead: str


def list_links(found: Sequence[Json], values: Mapping[str, str]) -> tuple[Link, ...]:
    """Fill in the variables of links; only addresses of the web and other dashboards stay."""
    return tuple(_make_link(link, values) for link in found)


def _make_link(link: Json, values: Mapping[str, str]) -> Link:
    title = fill(link.get("title", ""), values)
    url = _fill_url(link.get("url", ""), values)
    page = _EXAMPLE_PAGE.fullmatch(url)
    if page is None:
        return Link(title, _keep(url), f"In Grafana: {title}")
    # Nobody has published the pages, so the address is the example's; the command has them all.
    return Link(title, "", f"{title}: outbound-slo alerts explain {page[1] or ''}".rstrip())


def _fill_url(url: str, values: Mapping[str, str]) -> str:
    """Fill an address; a value stays within its parameter, a cell's within its step of the path."""
    place, mark, query = url.partition("?")
    whole = {name: quote(value, safe="") for name, value in values.items()}
    cells = {name: value for name, value in whole.items() if name.startswith(_OF_DATA)}
    return fill(place, {**values, **cells}) + mark + fill(query, whole)


def _keep(url: str) -> str:
    dashboard = _DASHBOARD.match(url)
    if dashboard:
        # Of its parameters those that a live page knows.
        asked = "&".join(_PARAMETER.findall(url))
        return f"#{dashboard[1]}?{asked}" if asked else f"#{dashboard[1]}"
    if url == SERVED_RUNBOOKS:
        return url
    return url if url.startswith(_WEB) and "${" not in url else ""
