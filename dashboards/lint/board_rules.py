"""What a dashboard must say about itself: uid, title, variables, and links that lead somewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dashboards.lint.document import VARIABLE, Document, Panel, fill, list_texts
from dashboards.lint.panel_rules import list_panel_texts
from dashboards.lint.rule import Fault, Surroundings

_UID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ON_TIME_RANGE: Final = 2
_FUNCTION: Final = re.compile(r"(label_values|label_names|metrics|query_result)\((.*)\)", re.DOTALL)
_LABEL: Final = re.compile(r"(?:(?P<series>.+),\s*)?(?P<label>[a-zA-Z_]\w*)\s*", re.DOTALL)
_RUNBOOK: Final = re.compile(r"(?:\$\{?runbooks\}?|/docs/runbooks)/([\w.-]+?)\.md")
# Within Grafana: "/d/uid", also with a name behind it, and where a panel is named.
_DASHBOARD: Final = re.compile(r"^(?:https?://[^/]+)?/d/([\w-]+|\$\{?\w+\}?)")
_PANEL: Final = re.compile(r"[?&]viewPanel=(?:panel-)?(\d+)")
_LINK_KEYS: Final = ("url", "uri")


def check_uid(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find dashboards without a uid of their own."""
    if not document.uid:
        yield Fault("has no uid", document)
    elif not _UID.fullmatch(document.uid):
        yield Fault(f"its uid {document.uid!r} is not of 1-40 letters, digits, - and _", document)
    others = [each for each in surroundings.documents if each is not document]
    if document.uid and any(each.uid == document.uid for each in others):
        yield Fault(f"another dashboard has the uid {document.uid} too", document)


def check_board_title(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find dashboards without a title of their own."""
    if not document.title.strip():
        yield Fault("has no title", document)
    for other in surroundings.documents:
        if other is not document and other.title == document.title and document.title:
            yield Fault(f"{other.name} has the title {document.title!r} too", document)


def check_chosen_source(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find dashboards on which nobody can choose the Prometheus."""
    sources = [each for each in document.variables if each.get("type") == "datasource"]
    prometheus = [each for each in sources if each.get("query") == "prometheus"]
    if not any(each.get("name") == "datasource" for each in prometheus):
        yield Fault("has no variable 'datasource' that chooses a Prometheus", document)
    for each in sources:
        if not str(each.get("label") or "").strip():
            yield Fault(f"its variable {each.get('name')!r} has no label", document)


def check_reload(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find lists of choices that stay as they were when the time range changes."""
    for each in document.variables:
        if each.get("type") == "query" and each.get("refresh") != _ON_TIME_RANGE:
            what = f"its variable {each.get('name')!r} is not asked again when the range changes"
            yield Fault(what, document)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a variable asks Prometheus.

    Attributes:
        name: The variable.
        is_function: Whether it is one of the functions that Grafana has for it.
        filled: The PromQL within, ready to be parsed; empty where there is none.

    """

    name: str
    is_function: bool
    filled: str = ""


def list_choices(document: Document) -> Iterator[Choice]:
    """Give what each variable asks that has its choices from Prometheus."""
    for each in document.variables:
        if each.get("type") != "query":
            continue
        given = each.get("query")
        query = str(given.get("query", "") if isinstance(given, dict) else given or "").strip()
        found = _FUNCTION.fullmatch(query)
        series = ""
        if found and found[1] == "label_values":
            labelled = _LABEL.fullmatch(found[2])
            series = (labelled["series"] or "") if labelled else found[2]
        elif found and found[1] == "query_result":
            series = found[2]
        yield Choice(str(each.get("name")), found is not None, fill(series))


def check_variables(document: Document, _: Surroundings) -> Iterator[Fault]:
    """Find variables that are used and not defined, or defined and used nowhere."""
    defined = {str(each.get("name")): each for each in document.variables}
    rest = {name: value for name, value in document.json.items() if name != "panels"}
    used = _names([*list_texts(rest)])
    for panel in document.everything:
        own = _names(list_panel_texts(panel))
        used |= own
        for name in sorted(own - defined.keys()):
            yield Fault(f"uses the variable {name}, which is not defined", document, *_of(panel))
    for name in sorted(_names([*list_texts(rest)]) - defined.keys()):
        yield Fault(f"uses the variable {name}, which is not defined", document)
    for name in defined.keys() - used:
        repeated = any(panel.document.get("repeat") == name for panel in document.everything)
        if not repeated:
            yield Fault(f"defines the variable {name}, which nothing uses", document)


def _names(texts: list[str]) -> set[str]:
    found = {
        next(group for group in match.groups() if group)
        for text in texts
        for match in VARIABLE.finditer(text)
    }
    # Prices are no variables, and what begins with two underscores is Grafana's own.
    return {name for name in found if not name.startswith("__") and not name[0].isdigit()}


def check_links(document: Document, surroundings: Surroundings) -> Iterator[Fault]:
    """Find links to runbook pages, dashboards and panels that do not exist."""
    rest = {name: value for name, value in document.json.items() if name != "panels"}
    for url in _list_urls(rest):
        for what in _judge(url, surroundings):
            yield Fault(what, document)
    for panel in document.everything:
        own = {name: value for name, value in panel.document.items() if name != "panels"}
        for url in _list_urls(own):
            for what in _judge(url, surroundings):
                yield Fault(what, document, *_of(panel))


def _judge(url: str, surroundings: Surroundings) -> Iterator[str]:
    for page in _RUNBOOK.findall(url):
        if page not in surroundings.pages:
            yield f"links to the runbook page {page}.md, which does not exist"
    found = _DASHBOARD.match(url)
    if not found or found[1].startswith("$"):
        return
    uid = found[1]
    if uid not in surroundings.known:
        yield f"links to the dashboard {uid}, which does not exist"
        return
    for number in map(int, _PANEL.findall(url)):
        if number not in surroundings.known[uid]:
            yield f"links to panel {number} of {uid}, which does not exist"


def _list_urls(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _LINK_KEYS and isinstance(inner, str):
                yield inner
            else:
                yield from _list_urls(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _list_urls(inner)


def _of(panel: Panel) -> tuple[int | None, str]:
    return panel.id, panel.name
