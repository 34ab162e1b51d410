"""What each panel must say about itself, and where it may lie. Checks are generators of faults."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from dashboards.lint.document import VARIABLE, Document, Panel, list_texts, mapping
from dashboards.lint.rule import Fault, Surroundings

REMOVED: Final = {
    "graph": "timeseries",
    "singlestat": "stat",
    "table-old": "table",
    "grafana-piechart-panel": "piechart",
    "grafana-worldmap-panel": "geomap",
}
"""Panel types that Grafana no longer has, with what took their place."""

_COLUMNS: Final = 24

# Of Grafana's units, those that numbers of a message queue and its machines can have.
_UNITS: Final = frozenset(
    (
        *("none", "short", "locale", "sci", "hex", "string", "percent", "percentunit"),
        *("bool", "bool_yes_no", "bool_on_off", "currencyEUR", "currencyUSD", "currencyGBP"),
        *("bits", "bytes", "kbytes", "mbytes", "gbytes", "tbytes"),
        *("decbits", "decbytes", "deckbytes", "decmbytes", "decgbytes", "dectbytes"),
        *("pps", "bps", "Bps", "binbps", "binBps", "KBs", "MBs", "GBs", "KiBs", "MiBs", "GiBs"),
        *("ns", "µs", "ms", "s", "m", "h", "d", "hertz", "clockms", "clocks", "timeticks"),
        *("dtdurationms", "dtdurations", "dthms", "dtdhms", "dateTimeFromNow", "dateTimeAsIso"),
        *("dateTimeAsLocal", "dateTimeAsSystem", "dateTimeAsUS", "dateTimeAsIsoNoDateIfToday"),
        *("cps", "ops", "reqps", "rps", "wps", "iops", "mps"),
        *("cpm", "opm", "rpm", "wpm", "mpm"),
    )
)
_CUSTOM_UNIT: Final = re.compile(r"(?:prefix|suffix|time|si|count|currency|bool):.+")


def _at(document: Document, panel: Panel, what: str) -> Fault:
    return Fault(what, document, panel.id, panel.name)


def check_data_source(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find panels and queries that name a data source of one installation."""
    chosen = {
        str(each.get("name")) for each in document.variables if each.get("type") == "datasource"
    }
    for panel in document.panels:
        if panel.type == "text":
            continue
        of_queries = [query.document.get("datasource") for query in panel.queries]
        given = [each for each in of_queries if each is not None]
        own = panel.document.get("datasource")
        for source in ([own] if own is not None or not given else []) + given:
            uid = str(source if isinstance(source, str) else mapping(source).get("uid", ""))
            found = VARIABLE.fullmatch(uid)
            if not found or not chosen & set(found.groups()):
                yield _at(document, panel, f"its data source is {uid or 'not given'!r}")
                break


def check_title(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find panels without title or description."""
    for panel in document.panels:
        if not panel.title.strip():
            yield _at(document, panel, "has no title")
        if not str(panel.document.get("description") or "").strip():
            yield _at(document, panel, "has no description")


def check_unit(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find panels whose numbers have no unit, or one that Grafana does not know."""
    for panel in document.panels:
        if panel.type == "text":
            continue
        units = [panel.defaults.get("unit")]
        units += [each.get("value") for each in panel.overrides if each.get("id") == "unit"]
        for unit in map(str, (each or "" for each in units)):
            if not unit:
                yield _at(document, panel, "has no unit")
            elif unit not in _UNITS and not _CUSTOM_UNIT.fullmatch(unit):
                yield _at(document, panel, f"has the unit {unit!r}, which is none of Grafana's")


def check_nothing(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find panels that say nothing of their own where there is no data."""
    for panel in document.panels:
        if panel.type != "text" and not str(panel.defaults.get("noValue") or "").strip():
            yield _at(document, panel, "does not say what no data means")


def check_targets(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find panels that ask nothing."""
    for panel in document.panels:
        if panel.type != "text" and not panel.queries:
            yield _at(document, panel, "has no query")


def check_type(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find panels of types that Grafana has removed."""
    for panel in document.everything:
        if panel.type in REMOVED:
            what = f"is of the removed type {panel.type}; {REMOVED[panel.type]} took its place"
            yield _at(document, panel, what)
        elif not panel.type:
            yield _at(document, panel, "has no type")


def check_numbers(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find panels without a number of their own: links lead to numbers."""
    counted = Counter(panel.id for panel in document.everything)
    for panel in document.everything:
        if panel.id is None or panel.id < 1:
            yield _at(document, panel, "has no number")
        elif counted[panel.id] > 1:
            yield _at(document, panel, f"shares the number {panel.id} with another panel")


def check_panel_titles(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find titles that stand twice below one heading, and headings that stand twice."""
    seen: set[tuple[str, str]] = set()
    heading = ""
    for panel in document.everything:
        section = "" if panel.type == "row" else heading
        if panel.title and (section, panel.title) in seen:
            yield _at(document, panel, f"is the second {panel.title!r} below its heading")
        seen.add((section, panel.title))
        heading = f"row {panel.title}" if panel.type == "row" else heading


def check_grid(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find panels that overlap or leave the grid, and places that stay empty."""
    taken: dict[tuple[int, int], Panel] = {}
    outer = [panel for panel in document.everything if not _is_hidden(document, panel)]
    for panel in outer:
        if panel.place is None:
            yield _at(document, panel, "has no place: gridPos needs whole x, y, w and h")
            continue
        x, y, width, height = panel.place
        if x + width > _COLUMNS:
            yield _at(document, panel, f"reaches column {x + width} of {_COLUMNS}")
            continue
        cells = [(cx, cy) for cx in range(x, x + width) for cy in range(y, y + height)]
        others = {taken[cell].name: None for cell in cells if cell in taken}
        for other in others:
            yield _at(document, panel, f"overlaps {other}")
        taken.update(dict.fromkeys(cells, panel))
    yield from _find_gaps(document, outer, taken)


def _find_gaps(
    document: Document, panels: list[Panel], taken: dict[tuple[int, int], Panel]
) -> Iterator[Fault]:
    rows = {y for _, y in taken}
    for y in range(max(rows, default=-1) + 1):
        empty = [x for x in range(_COLUMNS) if (x, y) not in taken]
        above = [x for x in range(_COLUMNS) if (x, y - 1) not in taken] if y else []
        if empty and empty != above:
            # A gap is told once, by the panel that comes next or that it lies beside.
            near = next((each for each in panels if each.place and each.place[1] >= y), panels[-1])
            columns = f"{empty[0]} to {empty[-1]}" if len(empty) > 1 else str(empty[0])
            yield _at(document, near, f"near it row {y} is empty in column {columns}")


def _is_hidden(document: Document, panel: Panel) -> bool:
    """Tell whether it lies in a collapsed row, whose places count only once it is open."""
    shown = document.json.get("panels")
    return not any(panel.document is each for each in shown) if isinstance(shown, list) else True


def list_panel_texts(panel: Panel) -> list[str]:
    """List every text of a panel, but not of panels in its collapsed row."""
    document = {name: value for name, value in panel.document.items() if name != "panels"}
    return list(list_texts(document))
