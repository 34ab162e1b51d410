"""What a panel says of one of its fields: its defaults with the overrides that match."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from dashboards.preview.values import PLAIN, threshold_colour
from dashboards.preview.variables import fill

Json = Mapping[str, Any]

NO_DATA = "No data"
_LABEL = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_FIELD_LABEL = re.compile(r"\$\{__field\.labels\.(\w+)\}")
_WEB = ("http://", "https://", "file://")
_PARAMETER = re.compile(r"(?<=[?&])((?:from|to|var-\w+)=[^&$#]+)(?=&|$)")
_DASHBOARD = re.compile(r"/d/([\w-]+)")


def field_for(panel: Json, name: str) -> dict[str, Any]:
    """Give the field configuration of a series or column by its name."""
    config = panel.get("fieldConfig", {})
    field = deepcopy(dict(config.get("defaults", {})))
    for override in config.get("overrides", []):
        if _matches(override["matcher"], name):
            for each in override["properties"]:
                _put(field, each["id"].split("."), deepcopy(each.get("value")))
    return field


def _matches(matcher: Json, name: str) -> bool:
    wanted = str(matcher.get("options", ""))
    if matcher["id"] == "byName":
        return wanted == name
    if matcher["id"] == "byRegexp":
        # As JavaScript writes it: /pattern/flags, or the pattern alone.
        found = re.fullmatch(r"/(.*)/([a-z]*)", wanted, re.DOTALL)
        pattern, flags = (found[1], found[2]) if found else (wanted, "")
        return re.search(pattern, name, re.IGNORECASE if "i" in flags else 0) is not None
    return False


def _put(field: dict[str, Any], path: Sequence[str], value: object) -> None:
    for step in path[:-1]:
        field = field.setdefault(step, {})
    field[path[-1]] = value


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
    """A link; `url` is empty where it leads into Grafana, which is not there."""

    title: str
    url: str


def list_links(found: Sequence[Json], values: Mapping[str, str]) -> tuple[Link, ...]:
    """Fill in the variables of links; only addresses of the web and other dashboards stay."""
    return tuple(
        Link(fill(link.get("title", ""), values), _keep(fill(link.get("url", ""), values)))
        for link in found
    )


def _keep(url: str) -> str:
    dashboard = _DASHBOARD.match(url)
    if dashboard:
        # Of its parameters those that a live page knows.
        asked = "&".join(_PARAMETER.findall(url))
        return f"#{dashboard[1]}?{asked}" if asked else f"#{dashboard[1]}"
    return url if url.startswith(_WEB) else ""
