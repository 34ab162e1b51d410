"""For every rule of the lint a dashboard that breaks it; the built-in ones break none."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dashboards.lint.document import Document, fill
from dashboards.lint.line_rules import find_sources, list_edges
from dashboards.lint.linter import lint_documents, read_own
from dashboards.lint.report import build_page, describe_rules
from dashboards.lint.rule import Finding, Rule, Source, Surroundings
from dashboards.lint.rules import RULES
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.metrics import Metric, MetricKind, Origin

Json = dict[str, Any]

WRONG = "sum(rate(up["


def refuse(expressions: Sequence[str]) -> Sequence[str]:
    """Stand in for promtool, which the tests of the command ask."""
    return ["parse error: unclosed" if WRONG in each else "" for each in expressions]


def lint(*documents: Document, extra: dict[str, Metric] | None = None) -> list[Finding]:
    return lint_documents(documents, extra=extra, refuse=refuse)


def copy(uid: Dashboard = Dashboard.SLA) -> Json:
    [own] = [each for each in read_own() if each.uid == uid]
    copied: Json = json.loads(json.dumps(own.json))
    return copied


def panel(document: Json, number: int) -> Json:
    [found] = [each for each in document["panels"] if each["id"] == number]
    kept: Json = found
    return kept


def variable(document: Json, name: str) -> Json:
    [found] = [each for each in document["templating"]["list"] if each["name"] == name]
    kept: Json = found
    return kept


def defaults(document: Json, number: int) -> Json:
    kept: Json = panel(document, number)["fieldConfig"]["defaults"]
    return kept


def target(document: Json, number: int, at: int = 0) -> Json:
    kept: Json = panel(document, number)["targets"][at]
    return kept


def asking(expression: str) -> Callable[[Json], None]:
    """Let panel 4 of 000's dashboard ask something else."""
    return lambda document: target(document, 4).update(expr=expression)


def link(url: str) -> Callable[[Json], None]:
    return lambda document: panel(document, 4)["links"].append({"title": "there", "url": url})


def define(document: Json, name: str, **values: object) -> None:
    document["templating"]["list"].append({"name": name, "label": name, **values})


BREAKAGES: dict[str, list[tuple[Callable[[Json], object], str]]] = {
    "template-datasource-rule": [
        (lambda d: variable(d, "datasource").update(query="loki"), "no variable 'datasource'"),
        (lambda d: variable(d, "jaeger").update(label=""), "'jaeger' has no label"),
    ],
    "template-label-promql-rule": [
        (lambda d: variable(d, "channel").update(query="channels(up)"), "asks neither"),
        (lambda d: variable(d, "channel").update(query=f"label_values({WRONG}, a)"), "unclosed"),
        (lambda d: variable(d, "channel").update(query="label_values(gone, a)"), "reads gone"),
        (lambda d: variable(d, "channel").update(query={"query": "query_result(gone)"}), "gone"),
    ],
    "template-on-time-change-reload-rule": [
        (lambda d: variable(d, "channel").update(refresh=1), "'channel' is not asked again"),
    ],
    "panel-datasource-rule": [
        (lambda d: panel(d, 4).update(datasource={"uid": "prometheus"}), "'prometheus'"),
        (lambda d: target(d, 4).update(datasource="Prometheus"), "'Prometheus'"),
        (lambda d: panel(d, 4).update(datasource={"uid": "${channel}"}), "'${channel}'"),
        (lambda d: [panel(d, 8).pop("datasource"), target(d, 8).pop("datasource")], "not given"),
    ],
    "panel-title-description-rule": [
        (lambda d: panel(d, 4).update(title=" "), "has no title"),
        (lambda d: panel(d, 4).pop("description"), "has no description"),
    ],
    "panel-units-rule": [
        (lambda d: defaults(d, 4).pop("unit"), "has no unit"),
        (lambda d: defaults(d, 4).update(unit="messages"), "'messages', which is none"),
        (
            lambda d: panel(d, 8)["fieldConfig"]["overrides"].append(
                {"matcher": {}, "properties": [{"id": "unit", "value": "parsec"}]}
            ),
            "'parsec'",
        ),
    ],
    "panel-no-targets-rule": [
        (lambda d: panel(d, 4).update(targets=[]), "has no query"),
        (lambda d: panel(d, 8).pop("targets"), "has no query"),
    ],
    "target-promql-rule": [
        (asking(f"{WRONG}5m])"), "query A: parse error: unclosed"),
        (lambda d: d["annotations"]["list"][0].update(expr=WRONG), "annotation Alerts: parse"),
    ],
    "target-rate-interval-rule": [
        (asking("sum(rate(outbound_attempts_total[5m]))"), "rate() over [5m]"),
        (asking('sum(irate(outbound_attempts_total{channel="sms"}[5m]))'), "irate() over [5m]"),
    ],
    "target-counter-agg-rule": [
        (asking("sum(outbound_attempts_total)"), "shows the counter outbound_attempts_total"),
        (asking("max_over_time(gone_total[5m])"), "shows the counter gone_total"),
        (asking("vector(1) > 2 or on () gone_total"), "shows the counter gone_total"),
        (asking("sum(outbound_send_latency_seconds_count)"), "_seconds_count without"),
    ],
    "board-uid": [
        (lambda d: d.pop("uid"), "has no uid"),
        (lambda d: d.update(uid="what's this"), "is not of 1-40"),
        (lambda d: d.update(uid="a" * 41), "is not of 1-40"),
        (lambda d: d.update(uid="outbound-slo"), "another dashboard has the uid outbound-slo"),
    ],
    "board-title": [
        (lambda d: d.pop("title"), "has no title"),
        (lambda d: d.update(title="One Organisation"), "'One Organisation' too"),
    ],
    "panel-number": [
        (lambda d: panel(d, 4).pop("id"), "has no number"),
        (lambda d: panel(d, 4).update(id=5), "shares the number 5"),
    ],
    "panel-heading": [
        (lambda d: panel(d, 4).update(title="Stuck Messages"), "second 'Stuck Messages'"),
        (lambda d: d["panels"][5].update(title=d["panels"][0]["title"]), "second"),
    ],
    "panel-type": [
        (lambda d: panel(d, 1).update(type="graph"), "removed type graph; timeseries took"),
        (lambda d: panel(d, 4).update(type="singlestat"), "removed type singlestat; stat took"),
        (lambda d: panel(d, 4).pop("type"), "has no type"),
    ],
    "panel-nothing": [
        (lambda d: defaults(d, 4).pop("noValue"), "does not say what no data means"),
    ],
    "panel-grid": [
        (lambda d: panel(d, 4)["gridPos"].update(x=5), "overlaps 3 Message Success Rate"),
        (lambda d: panel(d, 6)["gridPos"].update(w=5), "is empty in column 23"),
        (lambda d: panel(d, 6)["gridPos"].update(w=7), "reaches column 25 of 24"),
        (lambda d: panel(d, 9)["gridPos"].update(y=27), "is empty in column 0 to 23"),
        (lambda d: panel(d, 9)["gridPos"].update(y="26"), "has no place"),
        (lambda d: panel(d, 9)["gridPos"].update(y=10**9), "has no place"),
        (lambda d: panel(d, 9)["gridPos"].update(h=10**9), "has no place"),
        (lambda d: panel(d, 9).pop("gridPos"), "has no place"),
    ],
    "panel-lines": [
        (lambda d: defaults(d, 4)["thresholds"]["steps"][2].update(value=600), "red at 600"),
        (lambda d: defaults(d, 4)["thresholds"]["steps"][2].update(color="orange"), "to orange"),
        # 95 is a line of the quota's, and not of the queue's.
        (lambda d: defaults(d, 4)["thresholds"]["steps"][1].update(value=95), "yellow at 95"),
        (lambda d: defaults(d, 7)["thresholds"]["steps"][1].update(value=1800), "at 1800"),
        (
            lambda d: panel(d, 4)["fieldConfig"]["overrides"].append(
                {
                    "matcher": {},
                    "properties": [
                        {
                            "id": "thresholds",
                            "value": {"steps": [{"color": "green"}, {"color": "red", "value": 3}]},
                        }
                    ],
                }
            ),
            "from green to red at 3",
        ),
    ],
    "variable-defined": [
        (asking('sum(outbound_message_queue_depth{channel="$chanel"})'), "variable chanel"),
        (lambda d: d.update(description="of ${tenant:csv}"), "uses the variable tenant"),
        (lambda d: panel(d, 4).update(title="Queue of [[tenant]]"), "uses the variable tenant"),
        (lambda d: define(d, "spare", type="constant", query="1"), "defines the variable spare"),
    ],
    "link-target": [
        (link("${runbooks}/OutboundGone.md"), "runbook page OutboundGone.md"),
        (link("/d/outbound-gone?from=now-1h"), "the dashboard outbound-gone, which"),
        (link("/d/outbound-slo?viewPanel=panel-999"), "panel 999 of outbound-slo"),
        (lambda d: d["links"][0].update(url="/d/gone"), "the dashboard gone, which"),
        (
            lambda d: defaults(d, 4).update(links=[{"url": "https://grafana.test/d/gone/x"}]),
            "the dashboard gone, which",
        ),
    ],
    "target-metric": [
        (asking("sum(outbound_queue_depths)"), "reads outbound_queue_depths, which nobody emits"),
        # A histogram has no series of its own name.
        (asking("max(outbound_send_latency_seconds)"), "reads outbound_send_latency_seconds,"),
        (lambda d: d["annotations"]["list"][0].update(expr="gone > 0"), "annotation Alerts: reads"),
    ],
    "target-labels": [
        (asking('sum(outbound_dead_letters{tenant="a"})'), "has no label tenant"),
        (asking("sum by (tenant) (outbound_dead_letters)"), "sum by tenant"),
        (asking('sum(outbound_dead_letters{channel="fax"})'), "never has channel='fax'"),
        (
            asking(
                "sum by (channel) (outbound_dead_letters)"
                " / sum by (status) (outbound_message_queue_depth)"
            ),
            "'/' never matches",
        ),
    ],
    "target-legend": [
        (
            lambda d: target(d, 4).update(legendFormat="{{status}} of {{tenant}}"),
            "names the label tenant",
        ),
    ],
    "target-exemplar": [
        (lambda d: target(d, 7).update(exemplar=True), "neither a histogram's buckets nor"),
        (lambda d: target(d, 4).update(exemplar=True), "where no dots are drawn"),
        (lambda d: target(d, 1).update(instant=True), "where no dots are drawn"),
    ],
    "target-letter": [
        (lambda d: target(d, 1, 1).update(refId="A"), "2 of its queries have the letter A"),
    ],
}  # fmt: skip


OTHERS = {"board-uid": Dashboard.SLO, "board-title": Dashboard.ORGANISATION}


def test_every_rule_has_a_dashboard_that_breaks_it() -> None:
    assert BREAKAGES.keys() == {rule.name for rule in RULES if rule.check}


@pytest.mark.parametrize(
    ("rule", "breakage", "told"),
    [
        pytest.param(rule, breakage, told, id=f"{rule}: {told}")
        for rule, breakages in BREAKAGES.items()
        for breakage, told in breakages
    ],
)
def test_a_broken_dashboard_is_caught_by_its_rule(
    rule: str, breakage: Callable[[Json], object], told: str
) -> None:
    document = copy()
    breakage(document)
    # One other is enough to share a title or a uid with; links may lead to all of them.
    others = [each for each in read_own() if each.uid == OTHERS.get(rule)]

    findings = [each for each in lint(Document("own.json", document), *others) if each.rule == rule]

    assert any(told in each.what for each in findings), findings
    assert all(each.mend for each in findings)
    mine = next(each for each in findings if told in each.what)
    assert mine.dashboard == (document.get("uid") or "own.json")


def test_the_built_in_dashboards_break_no_rule() -> None:
    assert lint(*read_own()) == []


@pytest.mark.parametrize("rule", [each for each in RULES if each.exemptions], ids=lambda r: r.name)
def test_every_exemption_is_needed(rule: Rule) -> None:
    needed = {
        (each.document.uid, each.panel)
        for document in read_own()
        for each in (rule.check(document, _surround()) if rule.check else ())
    }
    assert {(each.dashboard, each.panel) for each in rule.exemptions} == needed


def _surround() -> Surroundings:
    return Surroundings(read_own(), {}, frozenset(), {}, {})


def test_the_seventeen_rules_are_all_here_and_what_is_left_out_says_why() -> None:
    theirs = [rule for rule in RULES if rule.source is Source.DASHBOARD_LINTER]
    assert len(theirs) == 17
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {rule.name for rule in RULES if rule.left_out} == {
        "template-job-rule", "template-instance-rule", "target-job-rule", "target-instance-rule",
        "target-logql-rule", "target-logql-auto-rule", "uneditable-dashboard",
    }  # fmt: skip
    assert all(len(rule.left_out) > 30 for rule in RULES if not rule.check)
    with pytest.raises(ValueError, match="needs a check or a reason"):
        Rule("neither", Source.HOUSE, "Nothing.")


def test_metrics_of_ones_own_are_known_with_their_labels() -> None:
    document = copy()
    asking('sum by (shop) (rate(shop_orders_total{shop="a"}[$__rate_interval]))')(document)
    others = [each for each in read_own() if each.uid != Dashboard.SLA]
    own = {"shop_orders_total": _metric("shop_orders_total", "shop")}

    assert "target-metric" in {each.rule for each in lint(Document("f", document), *others)}
    assert lint(Document("f", document), *others, extra=own) == []


def _metric(name: str, *labels: str) -> Metric:
    return Metric(name, MetricKind.COUNTER, "", labels, Origin.EXPORTER, "test")


def test_lines_of_a_panel_that_shows_nothing_of_ours_are_its_own_business() -> None:
    document = copy()
    asking("sum(shop_baskets)")(document)
    defaults(document, 4)["thresholds"]["steps"][1]["value"] = 7
    assert "panel-lines" not in {each.rule for each in lint(Document("f", document))}


@pytest.mark.parametrize(
    "expression",
    [
        "sum(resets(outbound_attempts_total[1h]))",
        "absent(outbound_attempts_total)",
        "up and outbound_attempts_total",
        "0 * sum(outbound_attempts_total)",
        "sum(increase(outbound_attempts_total[1h]))",
    ],
)
def test_whoever_asks_only_whether_a_counter_is_there_needs_no_rate(expression: str) -> None:
    document = copy()
    asking(expression)(document)
    found = {each.rule for each in lint(Document("f", document))}
    assert "target-counter-agg-rule" not in found


def test_panels_in_a_collapsed_row_are_checked_and_take_no_place() -> None:
    document = copy()
    hidden = panel(document, 12) | {"id": 50, "title": "Hidden", "type": "graph"}
    last = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in document["panels"])
    row = {
        "type": "row", "id": 49, "title": "More", "collapsed": True,
        "gridPos": {"x": 0, "y": last, "w": 24, "h": 1}, "panels": [hidden],
    }  # fmt: skip
    document["panels"].append(row)
    findings = lint(Document("f", document))
    assert [(each.rule, each.panel) for each in findings] == [("panel-type", "50 Hidden")]


@pytest.mark.parametrize(
    "document",
    [
        {"panels": []},
        {"panels": [None, 7, {}, {"type": "stat"}]},
        {"panels": [{"id": "1", "targets": {"A": 1}, "fieldConfig": [], "gridPos": None}]},
        {"panels": [{"id": 1, "targets": [{"expr": 5}, {"expr": "(("}], "links": "x"}]},
        {"panels": [{"fieldConfig": {"overrides": [{"properties": [{"id": "unit"}]}]}}]},
        {"panels": [], "templating": {"list": [{"type": "query", "query": 5}, {}]}},
        {"panels": [], "templating": [], "annotations": 5, "links": [{"url": 5}]},
    ],
    ids=str,
)
def test_whatever_the_form_of_a_file_the_lint_answers(document: Json) -> None:
    assert lint(Document("strange.json", document))


def test_variables_are_filled_in_whatever_their_spelling() -> None:
    assert fill("a[$__rate_interval]") == fill("a[${__rate_interval}]") == "a[7919s]"
    assert fill('{c="$channel",o="${org_id:regex}",t="[[t]]"}') == '{c="whatsapp",o="x",t="x"}'


def test_recorded_metrics_are_followed_to_what_they_are_recorded_from() -> None:
    recorded = frozenset({"channel:outbound_attempts_failed:ratio5m"})
    assert "outbound_attempts_total" in find_sources(recorded)
    assert len(list_edges()) > 100


def test_the_page_and_the_table_name_every_rule() -> None:
    [(path, text)] = build_page().items()
    assert path == "docs/dashboard-rules.md"
    assert all(f"| `{rule.name}` |" in text for rule in RULES)
    finding = Finding("a", "", "board-uid", "w", "m")
    counted = {row["rule"]: row["found"] for row in describe_rules([finding, finding])}
    assert counted["board-uid"] == 2
    assert counted["board-title"] == 0
    assert counted["target-job-rule"] is None
