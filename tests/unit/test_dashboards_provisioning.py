"""What Grafana reads at its start: data sources and dashboards that fit each other and compose."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.expressions import read_expression
from alerts.lint import is_known
from alerts.promql import Selector, parse, walk
from alerts.series_labels import labels_of
from alerts.timing import Timing, format_duration, parse_duration
from dashboards.imports import FOLDER_TITLE, name_folder
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.spans import TAGS, Tag
from tests.dashboard_parts import DASHBOARDS
from tests.unit.compose import ROOT, read_filled_compose

Json = dict[str, Any]

PROVISIONING = ROOT / "dashboards/provisioning"
HOME = "/etc/grafana/provisioning"
COMPOSE: Json = read_filled_compose()["services"]


def read(path: Path) -> Json:
    """Read a file as Grafana does: variables of the environment filled in, two dollars as one."""
    text = re.sub(
        r"\$(?:(\$)|\{(\w+)\}|(\w+))",
        lambda found: "$" if found[1] else "",
        path.read_text("utf-8"),
    )
    document: Json = yaml.safe_load(text)
    return document


SOURCES: dict[str, Json] = {
    source["uid"]: source
    for source in read(PROVISIONING / "datasources/outbound-slo.yml")["datasources"]
}
BACK: Json = SOURCES["jaeger"]["jsonData"]["tracesToMetrics"]


def test_every_choice_of_a_dashboard_finds_a_data_source() -> None:
    kinds = {source["type"] for source in SOURCES.values()}
    for document in DASHBOARDS.values():
        asked = {
            each["query"] for each in document["templating"]["list"] if each["type"] == "datasource"
        }
        assert asked == kinds == {"prometheus", "jaeger"}
    assert [uid for uid, source in SOURCES.items() if source.get("isDefault")] == ["prometheus"]


def test_an_exemplar_leads_to_its_trace_and_a_span_to_its_metrics() -> None:
    [link] = SOURCES["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert (link["name"], link["datasourceUid"]) == ("trace_id", "jaeger")
    assert SOURCES[link["datasourceUid"]]["type"] == "jaeger"
    assert SOURCES[BACK["datasourceUid"]]["type"] == "prometheus"
    assert SOURCES["jaeger"]["jsonData"]["nodeGraph"] == {"enabled": True}
    assert SOURCES["jaeger"]["jsonData"]["spanBar"]["tag"] in list(Tag)


def test_dollars_that_queries_need_survive_grafanas_reading_of_the_file() -> None:
    queries = [each["query"] for each in BACK["queries"]]
    assert sum("$__tags" in query for query in queries) == 2
    assert all(re.findall(r"\$\w+", query) for query in queries[:2])
    assert {each for query in queries for each in re.findall(r"\$\w+", query)} == {
        "$__tags", "$__rate_interval",
    }  # fmt: skip


@pytest.mark.parametrize("query", BACK["queries"], ids=lambda query: query["name"])
@pytest.mark.parametrize("tags", ["", 'error_code="131026"'], ids=["without", "with an error code"])
def test_a_query_from_a_span_parses_and_reads_what_is_emitted(query: Json, tags: str) -> None:
    expression = query["query"].replace("$__tags", tags).replace("$__rate_interval", "1m")
    tree = parse(expression)
    metrics = read_expression(expression).metrics
    assert metrics
    assert all(map(is_known, metrics))
    for node in walk(tree):
        if isinstance(node, Selector):
            labels = {label for label, _, _ in node.matchers}
            assert labels <= labels_of(node).possible
            if tags and "$__tags" in query["query"]:
                assert "error_code" in labels


def test_tags_that_become_labels_are_set_by_the_sender_and_have_the_labels_form() -> None:
    assert [each["key"] for each in BACK["tags"]] == [Tag.ERROR_CODE]
    assert Tag.ERROR_CODE in TAGS
    for each in BACK["tags"]:
        assert each["value"] == each["key"].replace(".", "_")
    # A span lies within what is shown: the shift to the past is negative.
    assert BACK["spanStartTimeShift"].startswith("-")
    assert parse_duration(BACK["spanEndTimeShift"]) > 0


def test_the_interval_is_the_one_at_which_prometheus_scrapes() -> None:
    interval = SOURCES["prometheus"]["jsonData"]["timeInterval"]
    assert interval == format_duration(Timing().scrape_interval_s)


def test_the_provider_shows_what_compose_mounts_in_the_folder_of_the_import() -> None:
    [provider] = read(PROVISIONING / "dashboards/outbound-slo.yml")["providers"]
    mounts = dict(reversed(each.split(":")[:2]) for each in COMPOSE["grafana"]["volumes"])
    mounted = ROOT / mounts[provider["options"]["path"]]
    assert {path.stem for path in mounted.glob("*.json")} == {uid.value for uid in Dashboard}
    assert (provider["folder"], provider["folderUid"]) == (FOLDER_TITLE, name_folder(FOLDER_TITLE))
    # Grafana keeps folders and dashboards in one list of uids.
    assert provider["folderUid"] not in list(Dashboard)
    assert (provider["allowUiUpdates"], provider["disableDeletion"]) == (False, True)


def test_compose_mounts_every_directory_of_the_provisioning() -> None:
    mounts = {tuple(each.split(":")) for each in COMPOSE["grafana"]["volumes"]}
    for directory in PROVISIONING.iterdir():
        source = f"./dashboards/provisioning/{directory.name}"
        assert (source, f"{HOME}/{directory.name}", "ro") in mounts


def test_data_sources_are_services_of_compose() -> None:
    for source in SOURCES.values():
        host = source["url"].removeprefix("http://").partition(":")[0]
        assert host in COMPOSE["grafana"]["depends_on"]
