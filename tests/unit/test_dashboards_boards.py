"""All dashboards: what Grafana takes, what links lead to, and that everything shown is emitted."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from dashboards.artefacts import build_artefacts
from dashboards.boards import TITLES
from outbound_slo.vocabulary.alerts import Dashboard
from tests.dashboard_parts import DASHBOARDS, list_panels, list_targets

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted((ROOT / "tests/data/grafana").glob("*.schema.json"))
UNITS = {"none", "short", "s", "percent", "percentunit", "bytes", "cps", "reqps"}
PANELS_SHOWN = list(list_panels())
TARGETS = list(list_targets())
Json = dict[str, Any]


def name_panel(shown: tuple[Dashboard, Json]) -> str:
    return f"{shown[0]}-{shown[1]['id']}"


@cache
def read_schema(path: Path) -> Json:
    schema: Json = json.loads(path.read_text(encoding="utf-8"))
    return schema


def find_faults(path: Path, document: Json) -> list[str]:
    """Validate panel by panel against its own type: `anyOf` would only say that none fits."""
    schema = read_schema(path)
    kinds = {
        kind["properties"]["type"]["const"]: kind
        for kind in schema["properties"]["panels"]["items"]["anyOf"]
    }
    faults = list(Draft7Validator(schema).iter_errors({**document, "panels": []}))
    for panel in document["panels"]:
        faults += Draft7Validator(kinds[panel["type"]]).iter_errors(panel)
    return [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in faults]


def test_the_schemas_are_those_of_the_grafanas_that_are_named() -> None:
    assert [path.name for path in SCHEMAS] == [
        "dashboard-13.schema.json",
        "dashboard.schema.json",
    ]


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
@pytest.mark.parametrize("uid", Dashboard)
def test_grafanas_schema_takes_every_dashboard(path: Path, uid: Dashboard) -> None:
    assert find_faults(path, DASHBOARDS[uid]) == []
    assert Draft7Validator(read_schema(path)).is_valid(DASHBOARDS[uid])


def _find_objects(value: object, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        yield where
        for key, inner in value.items():
            yield from _find_objects(inner, (*where, key))
    if isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _find_objects(inner, (*where, at))


def _is_open(where: tuple[Any, ...]) -> bool:
    """Whether Grafana's own types allow any key there: words, data links, a transformation."""
    if {"overrides", "transformations", "mappings"} & set(where) or where[-1:] == ("custom",):
        return True
    return "defaults" in where and "links" in where


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
@pytest.mark.parametrize("uid", Dashboard)
def test_an_unknown_key_is_refused_wherever_grafana_has_a_type(path: Path, uid: Dashboard) -> None:
    document = DASHBOARDS[uid]
    kinds = {panel["type"]: panel for panel in document["panels"]}
    small = {**document, "panels": list(kinds.values())}
    tried = [where for where in _find_objects(small) if not _is_open(where)]
    assert len(tried) > 40

    for where in tried:
        changed = json.loads(json.dumps(small))
        inner = changed
        for step in where:
            inner = inner[step]
        inner["unheardOf"] = 1
        assert find_faults(path, changed), where


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_what_overrides_set_is_a_setting_of_the_panels_fields(path: Path) -> None:
    kinds = {
        kind["properties"]["type"]["const"]: kind
        for kind in read_schema(path)["properties"]["panels"]["items"]["anyOf"]
    }
    tried = 0
    for _, panel in PANELS_SHOWN:
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["id"] in {"byName", "byRegexp"}
            fields = json.loads(json.dumps(panel))
            for setting in override["properties"]:
                inner, steps = fields["fieldConfig"]["defaults"], setting["id"].split(".")
                for step in steps[:-1]:
                    inner = inner.setdefault(step, {})
                inner[steps[-1]] = setting["value"]
                tried += 1
            faults = list(Draft7Validator(kinds[panel["type"]]).iter_errors(fields))
            assert [fault.message for fault in faults] == []
    assert tried > 30


def test_transformations_have_the_options_that_they_read() -> None:
    options = {
        "merge": set[str](),
        "organize": {"excludeByName", "indexByName", "renameByName"},
    }
    for _, panel in PANELS_SHOWN:
        for each in panel.get("transformations", ()):
            assert set(each["options"]) <= options[each["id"]]
            assert panel["type"] == "table"


def test_uids_titles_and_files_are_stable() -> None:
    shown = {uid.value: document["title"] for uid, document in DASHBOARDS.items()}
    assert shown == {
        "whatsapp-sla": "WhatsApp Messaging SLA Dashboard",
        "outbound-messaging": "Outbound Messaging",
        "outbound-slo": "Objectives and Error Budgets",
        "outbound-health": "Senders, Exporters and Database",
        "outbound-organisation": "One Organisation",
    }
    assert [document["uid"] for document in DASHBOARDS.values()] == list(Dashboard)
    assert build_artefacts().keys() == {f"dashboards/generated/{uid}.json" for uid in Dashboard}
    assert build_artefacts() == build_artefacts()
    assert set(TITLES) == set(Dashboard)


@pytest.mark.parametrize("uid", Dashboard)
def test_panels_have_numbers_of_their_own_and_lie_beside_each_other(uid: Dashboard) -> None:
    panels = DASHBOARDS[uid]["panels"]
    numbers = Counter(panel["id"] for panel in panels)
    assert max(numbers.values()) == 1
    taken: Counter[tuple[int, int]] = Counter()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        taken.update(
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
    assert max(taken.values()) == 1
    # No hole in the left column: Grafana would move what is below up.
    assert {y for x, y in taken if x == 0} == set(range(max(y for _, y in taken) + 1))


@pytest.mark.parametrize("uid", Dashboard)
def test_every_dashboard_begins_with_the_same_four_answers(uid: Dashboard) -> None:
    heading, *answers = DASHBOARDS[uid]["panels"][:5]
    assert heading["title"] == "Where to look first"
    assert [panel["title"] for panel in answers] == [
        "Is it us?", "Is it the provider?", "Is it one customer?", "Who is called?",
    ]  # fmt: skip
    for panel in answers:
        dashboard, runbook = panel["fieldConfig"]["defaults"]["links"]
        assert dashboard["url"].startswith("/d/")
        assert runbook["url"].startswith("${runbooks}/")


def test_the_five_panels_of_002_have_its_titles_and_uid() -> None:
    panels = {panel["id"]: panel for panel in DASHBOARDS[Dashboard.MESSAGING]["panels"]}
    assert [panels[number]["title"] for number in range(1, 6)] == [
        "Queue Depth by Status (real-time)",
        "Delivery Latency Percentiles",
        "Failure Rate Trends by Error Code",
        "DLQ Size with Alerting Thresholds",
        "WhatsApp Quota Consumption",
    ]
    [_, red, *_] = panels[4]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert (red["value"], red["color"]) == (101, "red")


@pytest.mark.parametrize("shown", PANELS_SHOWN, ids=name_panel)
def test_a_panel_says_what_it_shows_in_what_unit_and_where_to_go_on(
    shown: tuple[Dashboard, Json],
) -> None:
    _, panel = shown
    assert panel["type"] in {"timeseries", "stat", "gauge", "table"}
    assert len(panel["description"]) > 12
    assert panel["description"].rstrip().endswith((".", "?"))
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    pages = re.findall(r"\$\{runbooks\}/(\w+)\.md", json.dumps(panel))
    assert pages
    assert all((ROOT / f"docs/runbooks/{page}.md").is_file() for page in pages)
    assert panel["datasource"]["uid"] == "${datasource}"
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    if panel["type"] == "timeseries":
        assert panel["fieldConfig"]["defaults"]["custom"]["axisLabel"]
        assert all(target["legendFormat"] != "__auto" for target in panel["targets"])


@pytest.mark.parametrize("uid", Dashboard)
def test_every_variable_that_is_used_exists_and_every_one_is_used(uid: Dashboard) -> None:
    document = DASHBOARDS[uid]
    own = {variable["name"] for variable in document["templating"]["list"]}
    text = json.dumps(document)
    used = set(re.findall(r"\$\{(\w+)", text)) | set(re.findall(r"\$(\w+)", text))
    grafanas = {name for name in used if name.startswith("__")}
    assert used - grafanas == own
    assert grafanas <= {"__rate_interval", "__from", "__to", "__value", "__field"}


@pytest.mark.parametrize("uid", Dashboard)
def test_a_tile_without_a_curve_asks_for_now_and_not_for_the_last_value_of_the_range(
    uid: Dashboard,
) -> None:
    tiles = [each for each in DASHBOARDS[uid]["panels"] if each["type"] in {"stat", "gauge"}]
    assert tiles
    for panel in tiles:
        curve = panel["options"].get("graphMode") == "area"
        for target in panel["targets"]:
            assert (target["range"], target["instant"]) == (curve, not curve), panel["title"]


@pytest.mark.parametrize("uid", Dashboard)
def test_links_keep_time_and_choices_and_lead_to_what_exists(uid: Dashboard) -> None:
    document = DASHBOARDS[uid]
    for link in document["links"]:
        if link["url"].startswith("/d/"):
            assert (link["keepTime"], link["includeVars"]) == (True, True)
            assert link["url"].removeprefix("/d/") in DASHBOARDS
    others = {link["url"].removeprefix("/d/") for link in document["links"]} & set(Dashboard)
    assert others == set(Dashboard) - {uid}
    inner = re.findall(r'"(/d/[^"]+)"', json.dumps(document["panels"]))
    assert inner
    for url in inner:
        address, _, query = url.partition("?")
        target = DASHBOARDS[Dashboard(address.removeprefix("/d/"))]
        assert query.startswith("from=${__from}&to=${__to}&var-datasource=")
        panels = re.findall(r"viewPanel=panel-(\d+)", query)
        assert {int(each) for each in panels} <= {panel["id"] for panel in target["panels"]}


@pytest.mark.parametrize("uid", Dashboard)
def test_alerts_and_starts_are_written_across_the_graphs(uid: Dashboard) -> None:
    annotations = DASHBOARDS[uid]["annotations"]["list"]
    assert [each["name"] for each in annotations] == [
        "Alerts", "Senders started", "Exporters started or reloaded",
    ]  # fmt: skip
    for each in annotations:
        shown = set(re.findall(r"\{\{(\w+)\}\}", each["titleFormat"] + each["textFormat"]))
        grouped = set(re.findall(r"\w+", each["expr"].partition("by (")[2].partition(")")[0]))
        assert shown <= grouped == set(each["tagKeys"].split(","))
