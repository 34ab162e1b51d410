"""All dashboards: what Grafana takes, what links lead to, and that everything shown is emitted."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from alerts.catalogue import GROUPS
from alerts.expressions import read_expression
from alerts.generator import render_rules
from alerts.timing import Timing
from dashboards.artefacts import build_artefacts
from dashboards.boards import TITLES
from dashboards.lines import CONTINUOUS, find_alerts, step_lines
from dashboards.promql import measure_line
from outbound_slo.vocabulary import metrics as vocabulary
from outbound_slo.vocabulary import thresholds
from outbound_slo.vocabulary.alerts import PRIORITIES, AlertName, Dashboard
from outbound_slo.vocabulary.metrics import METRICS, MetricKind, Origin
from outbound_slo.vocabulary.panels import PANELS, Panel
from outbound_slo.vocabulary.thresholds import Subject, Threshold, Unit
from sender.metrics import SenderMetrics
from tests.dashboard_parts import DASHBOARDS, Target, fill, list_panels, list_targets

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted((ROOT / "tests/data/grafana").glob("*.schema.json"))
UNITS = {"none", "short", "s", "percent", "percentunit", "bytes", "cps", "reqps"}
PANELS_SHOWN = list(list_panels())
TARGETS = list(list_targets())
Json = dict[str, Any]


def name_panel(value: object) -> str:
    uid, panel = value  # type: ignore[misc]
    return f"{uid}-{panel['id']}"


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
                inner, *steps = fields["fieldConfig"]["defaults"], *setting["id"].split(".")
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
    uid, panel = shown
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
    assert grafanas <= {"__rate_interval", "__from", "__to", "__value"}


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


# --- what is asked is emitted, and what is emitted is shown --------------------------------------


def _recorded() -> Mapping[str, frozenset[str]]:
    """What each recording reads, by its name."""
    found: dict[str, frozenset[str]] = {}
    for text in render_rules(Timing()).values():
        for rule in yaml.safe_load(text)["groups"][0]["rules"]:
            if name := rule.get("record"):
                read = read_expression(rule["expr"]).metrics
                found[name] = found.get(name, frozenset()) | read
    return found


RECORDED = _recorded()


def _strip(name: str) -> str:
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and base in METRICS and METRICS[base].kind is MetricKind.HISTOGRAM:
            return base
    return name


def _asked(expression: str) -> set[str]:
    return {_strip(name) for name in read_expression(fill(expression)).metrics}


def _emitted() -> set[str]:
    pack = yaml.safe_load((ROOT / "exporter/packs/outbound/pack.yml").read_text("utf-8"))
    own = (ROOT / "exporter/own_metrics.py").read_text("utf-8")
    constants = set(re.findall(r"vocabulary\.([A-Z_]+)", own))
    exporter = {each["name"] for each in [*pack["metrics"], *pack.get("compat", ())]}
    exporter |= {
        metric.name
        for constant, metric in vars(vocabulary).items()
        if constant in constants
    }
    sender = set(re.findall(r"# TYPE (\w+)", SenderMetrics().render().decode()))
    # Shown only where somebody says when the token ends, and which version is called.
    sender |= {"whatsapp_access_token_expires_days"}
    others = {name for name, metric in METRICS.items() if metric.origin is Origin.MONITORING}
    return exporter | sender | set(RECORDED) | others


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_metric_is_in_the_vocabulary_and_emitted_by_somebody(target: Target) -> None:
    asked = _asked(target.expression)
    assert asked
    assert asked <= METRICS.keys()
    assert asked <= _emitted()


_NOT_SHOWN = {
    # Names of the runbooks for numbers that are shown under their own (D2).
    *(
        name
        for name, metric in METRICS.items()
        if metric.origin is Origin.EXPORTER and metric.alias_of
    ),
    # Parts of what is shown: judged by objectives, or by counters of the same events.
    "outbound_judged_delivery_latency_seconds",
    "outbound_judged_messages_sent_total",
    "outbound_judged_messages_reached_total",
    "outbound_oldest_blocked_age_seconds",
    "outbound_webhooks_open",
    "outbound_oldest_webhook_age_seconds",
    "outbound_webhook_last_accepted_timestamp_seconds",
    "outbound_webhook_last_rejected_timestamp_seconds",
    "outbound_rollup_ready",
    "outbound_rollup_verified_timestamp_seconds",
    "outbound_rollup_epoch",
    "outbound_exporter_query_rows",
    "outbound_exporter_query_last_success_timestamp_seconds",
    "outbound_exporter_database_in_recovery",
    "resilience4j_circuitbreaker_buffered_calls",
    "whatsapp_webhook_signature_failures_total",
    "whatsapp_rate_limit_hits_total",
    "outbound_provider_notices_total",
    "outbound_recipient_wishes_total",
}


def test_what_exporters_and_senders_emit_is_shown_or_left_out_on_purpose() -> None:
    ours = {
        name
        for name, metric in METRICS.items()
        if metric.origin in {Origin.EXPORTER, Origin.SENDER}
    }
    annotations = (
        each["expr"]
        for document in DASHBOARDS.values()
        for each in document["annotations"]["list"]
    )
    shown = set[str]().union(
        *(_asked(target.expression) for target in TARGETS), *(map(_asked, annotations))
    )
    assert ours - shown == _NOT_SHOWN


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_rates_are_of_counters_and_follow_the_zoom_or_a_window_that_is_named(
    target: Target,
) -> None:
    expression = target.expression
    for name in re.findall(r"(?:rate|increase)\(([\w:]+)", expression):
        metric = METRICS[_strip(name)]
        # What is recorded from a counter is a gauge to Prometheus, and still only grows.
        assert metric.kind is not MetricKind.GAUGE or metric.origin is Origin.RECORDING
    for kind, window in re.findall(r"(rate|increase)\([^[]*\[([^\]]+)\]", expression):
        fixed = {"5m", "10m", "1h"}
        assert window == "$__rate_interval" or window in fixed
        if window != "$__rate_interval" and kind == "rate":
            # 000 names its own windows: 5 minutes, and the last hour.
            assert (target.dashboard, target.panel["id"]) in {
                (Dashboard.SLA, 8), (Dashboard.SLA, 9),
            }  # fmt: skip


# --- alerts and panels ----------------------------------------------------------------------------


def _sources(names: set[str]) -> set[str]:
    found = {_strip(name) for name in names}
    for name in names:
        found |= _sources(set(RECORDED.get(name, frozenset())) - {name})
    return found


def test_every_alert_leads_to_a_panel_that_exists() -> None:
    assert set(PANELS) == set(AlertName)
    for panel in Panel:
        assert panel.id in {each["id"] for each in DASHBOARDS[panel.dashboard]["panels"]}, panel


@pytest.mark.parametrize(
    "alert",
    [each for group in GROUPS for each in group.alerts],
    ids=lambda alert: f"{alert.name}-{alert.tier}-{alert.slo}",
)
def test_the_panel_shows_what_the_alert_judges_and_links_to_its_page(alert: Any) -> None:
    panel = PANELS[alert.name]
    [shown] = [
        each for each in DASHBOARDS[panel.dashboard]["panels"] if each["id"] == panel.id
    ]
    assert f"${{runbooks}}/{alert.name}.md" in json.dumps(shown["links"])
    # These judge what is not there, or pages; their panels show why.
    if alert.name in {AlertName.WATCHDOG, AlertName.PAGE_UNRESOLVED, AlertName.NO_DATA}:
        return
    rules = {
        rule["alert"]: rule["expr"]
        for text in render_rules(Timing()).values()
        for rule in yaml.safe_load(text)["groups"][0]["rules"]
        if rule.get("alert") == alert.name and rule["labels"]["tier"] == str(alert.tier)
    }
    judged = _sources(set(read_expression(rules[alert.name]).metrics))
    seen = _sources(set[str]().union(*(_asked(each["expr"]) for each in shown["targets"])))
    assert judged & seen


ALERT_LINES = [
    line
    for line in thresholds.THRESHOLDS.values()
    if find_alerts(line.key) and line.subject is not Subject.BUDGET_BURN
]


@pytest.mark.parametrize("line", ALERT_LINES, ids=lambda line: line.key)
def test_a_panel_changes_colour_exactly_where_its_alert_begins_to_wait(line: Threshold) -> None:
    steps = step_lines([line])
    pages = any(PRIORITIES[each.priority].pages for each in find_alerts(line.key))
    scale = measure_line(line) / line.value if line.value else 1
    apart = 1.0 if line.unit not in {Unit.SECONDS, Unit.PERCENT} else 0.5

    for measured in (line.value - apart, line.value, line.value + apart):
        if measured == line.value and line.unit in CONTINUOUS:
            continue  # such a number lies on its line once in a blue moon
        value = measured * scale
        colour = [shown for edge, shown in steps if edge is None or value >= edge][-1]
        expected = ("red" if pages else "yellow") if line.holds(measured) else "green"
        if measured >= 0:
            assert colour == expected, (measured, steps)
