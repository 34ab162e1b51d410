"""What expressions get wrong about their series, found without a Prometheus."""

from pathlib import Path
from typing import Any

import pytest

from alerts.extra_metrics import read_extra_lines, read_extra_metrics
from alerts.lint import lint_rules
from alerts.lint_expressions import CHECKS, lint_expressions
from alerts.lint_routes import lint_routes
from alerts.promql import NotPromQLError, parse
from alerts.rule_files import GENERATED, WrittenRule, find_rule_files, read_mapping, read_rules
from alerts.series_labels import labels_of
from outbound_slo.vocabulary.metrics import METRICS, Metric, MetricKind, Origin
from outbound_slo.vocabulary.mistakes import UserMistake


def lint(expression: str, extra: dict[str, Metric] | None = None, **parts: object) -> list[str]:
    rule = WrittenRule("f.yml", {"alert": "A", "expr": expression, **parts})
    return [finding.what for finding in lint_expressions([rule], extra)]


WRONG = [
    (
        "rate(outbound_message_queue_depth[5m]) > 0",
        "rate() of outbound_message_queue_depth, which is a gauge, no counter",
    ),
    (
        "increase(channel:outbound_attempts:increase5m[5m]) > 0",
        "increase() of channel:outbound_attempts:increase5m, which is a gauge, no counter",
    ),
    (
        "sum without (instance) (outbound_message_queue_depth) > 0",
        "sum without: name the labels to keep, with 'by'",
    ),
    (
        "sum by (channel, colour) (outbound_message_queue_depth) > 0",
        "sum by colour: the series have no such label",
    ),
    (
        "max(sum by (channel) (outbound_attempts_total)) by (status) > 0",
        "max by status: the series have no such label",
    ),
    ('outbound_message_queue_depth{colour="red"} > 0', "has no label colour"),
    ('outbound_message_queue_depth{status="SENT"} > 0', "never has status='SENT'"),
    ('outbound_message_queue_depth{channel="WHATSAPP"} > 0', "never has channel='WHATSAPP'"),
    ('outbound_attempts_total{outcome=~"sent|failled"} > 0', "never has outcome='failled'"),
    ('outbound_messages_stuck{reason!="lost"} > 0', "never has reason='lost'"),
    (
        "sum by (channel) (outbound_attempts_total) > sum(outbound_attempts_total)",
        "'>' never matches: only one side has the label channel",
    ),
    (
        "channel:outbound_attempts:sum and outbound:messages_queued:sum > 1",
        "'and' never matches: only one side has the label channel",
    ),
    (
        "sum(outbound_attempts_total) * on (channel) channel:outbound_attempts:sum > 1",
        "'* on (channel)': the left side has no such label",
    ),
    (
        "whatsapp_quota_used / whatsapp_quota_limit > 0.9",
        "divides by what may be zero: add '> 0' to the divisor",
    ),
    ("1 / (whatsapp_quota_limit >= 0) > 1", "divides by what may be zero"),
    ("1 / clamp_min(whatsapp_quota_limit, 0) > 1", "divides by what may be zero"),
    ("absent(outbound_attempts_total) == 0", "compares absent(), which is 1 or nothing"),
]


@pytest.mark.parametrize(("expression", "finding"), WRONG, ids=[wrong[0] for wrong in WRONG])
def test_an_expression_that_promtool_takes_is_found_out(expression: str, finding: str) -> None:
    findings = lint(expression)

    assert [what for what in findings if finding in what], findings


@pytest.mark.parametrize(
    "expression",
    [
        "rate(outbound_attempts_total[5m]) > 0",
        "increase(outbound_send_latency_seconds_count[5m]) > 0",
        "rate(somebody_elses_gauge[5m]) > 0",
        "sum without (channel) (channel:outbound_attempts:sum) > 0",
        "max by (instance) (outbound_message_queue_depth) > 0",
        'outbound_message_queue_depth{job="a",status=~"sent|queued"} > 0',
        'outbound_message_queue_depth{status=~"s.*"} > 0',
        'channel:outbound_attempts:sum{channel="all"} > 0',
        "sum(outbound_attempts_total) > 1 and sum(outbound_dead_letters) > 1",
        "channel:outbound_attempts:sum > 1 and on () sum(outbound_dead_letters) > 1",
        "channel:outbound_attempts:sum - on (channel) group_right () outbound_attempts_total > 1",
        "channel:outbound_attempts:sum > ignoring (channel) sum(outbound_dead_letters)",
        "whatsapp_quota_used / (whatsapp_quota_limit > 0) > 0.9",
        "whatsapp_quota_used / clamp_min(whatsapp_quota_limit, 1) > 0.9",
        "whatsapp_quota_used / sum(whatsapp_quota_limit != 0) > 0.9",
        "whatsapp_quota_used / 100 > 0.9 or whatsapp_quota_used / (1 - 0.5) > 2",
        "absent(outbound_attempts_total)",
        "histogram_quantile(0.9, sum by (le, channel) (outbound_send_latency_seconds_bucket)) > 1",
        "(time() - outbound_exporter_snapshot_timestamp_seconds) > 60 * 2 ^ -1",
        "-outbound_message_queue_depth offset -5m < 0",
        "max_over_time(outbound_message_queue_depth[1h:5m] @ end()) > bool 1 atan2 2",
    ],
)
def test_a_sound_expression_has_no_finding(expression: str) -> None:
    parse(expression)

    assert lint(expression) == []


@pytest.mark.parametrize("text", ["sum(a", "a +", "a{b=", "sum by (a", ")", "a b", ""])
def test_what_is_no_promql_is_left_to_promtool(text: str) -> None:
    with pytest.raises(NotPromQLError):
        parse(text)

    assert lint(text) == []


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("channel:outbound_attempts:sum", {"channel"}),
        ("sum(channel:outbound_attempts:sum)", set()),
        ('absent(up{job="a",instance=~"b"})', {"job"}),
        ('label_replace(org:whatsapp_quota_used:ratio, "to", "", "", "")', {"org_id", "to"}),
        ("vector(1)", set()),
        ("1 - channel:outbound_attempts:sum", {"channel"}),
        ("sum by (channel, le) (outbound_send_latency_seconds_bucket)", {"channel", "le"}),
        ("histogram_quantile(0.9, sum by (x, le) (outbound_send_latency_seconds_bucket))", {"x"}),
        ("quantile_over_time(0.9, channel:outbound_attempts:sum[5m])", {"channel"}),
        ("channel:outbound_attempts:sum - on () sum(outbound_dead_letters)", set()),
        ("channel:outbound_attempts:sum / on () group_left (x) sum by (x) (a)", {"channel", "x"}),
        ("channel:outbound_attempts:sum - ignoring (channel) sum(a)", set()),
        ("topk(3, channel:outbound_attempts:sum)", {"channel"}),
    ],
)  # fmt: skip
def test_labels_are_followed_through_an_expression(expression: str, labels: set[str]) -> None:
    found = labels_of(parse(expression))

    assert found.names == labels
    assert found.are_certain


def test_the_sides_of_or_may_have_different_labels() -> None:
    found = labels_of(parse("channel:outbound_attempts:sum or vector(0)"))

    assert not found.names
    assert found.may_have == {"channel"}


@pytest.mark.parametrize(
    ("annotations", "finding"),
    [
        ({"summary": "{{ $labels.org_id }} {{ $value }}"}, "its summary reads the label org_id"),
        ({"runbook_url": "wiki/A.md"}, "its runbook_url is no address"),
        ({"trace_url": "ftp://j/search"}, "its trace_url is no address"),
        ({"dashboard_url": "https://g/dashboards"}, "does not name a dashboard by its uid"),
    ],
)
def test_texts_and_links_that_lead_nowhere_are_found(
    annotations: dict[str, str], finding: str
) -> None:
    findings = lint("channel:outbound_attempts:sum > 1", annotations=annotations)

    assert len(findings) == 1
    assert finding in findings[0]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("channel:outbound_attempts:sum > 1", "{{ $labels.channel }} {{ $labels.tier }}"),
        ("channel:outbound_attempts:sum > 1", "{{ with $labels.org_id }}{{ . }}{{ end }}"),
        ("channel:outbound_attempts:sum > 1", "{{ if $labels.to }}{{ $labels.to }}{{ end }}"),
        ("somebody_elses > 1", "{{ $labels.org_id }}"),
        ("outbound_message_queue_depth > 1", "{{ $labels.instance }}"),
    ],
)  # fmt: skip
def test_a_text_may_read_what_there_is_or_asks_first(expression: str, text: str) -> None:
    assert lint(expression, labels={"tier": "1"}, annotations={"summary": text}) == []


@pytest.mark.parametrize(("wait", "found"), [("15s", True), ("29s", True), ("30s", False)])
def test_a_wait_takes_two_evaluations(wait: str, found: bool) -> None:
    rule = WrittenRule("f.yml", {"alert": "A", "expr": "up > 0", "for": wait})
    findings = [finding.what for finding in lint_expressions([rule])]

    assert findings == ([f"waits for {wait}, which is less than two evaluations"] if found else [])


def test_a_recording_has_the_labels_that_the_vocabulary_promises() -> None:
    def lint_recording(expr: str, **parts: object) -> list[str]:
        rule = WrittenRule(
            "f.yml", {"record": "org:whatsapp_quota_used:ratio", "expr": expr, **parts}
        )
        return [finding.what for finding in lint_expressions([rule])]

    assert lint_recording("sum by (org_id) (whatsapp_quota_used)") == []
    assert lint_recording("sum(whatsapp_quota_used)", labels={"org_id": "x"}) == []
    assert lint_recording("sum(whatsapp_quota_used)") == ["has the labels none, not org_id"]


def test_every_check_has_said_something_here() -> None:
    rules = [WrittenRule("f.yml", {"alert": "A", "expr": wrong[0]}) for wrong in WRONG]
    silent = {
        check.__name__
        for check in CHECKS
        if not any(list(check(rule, parse(rule.expression), {})) for rule in rules)
    }

    # These have tests of their own above.
    assert silent == {"check_wait", "check_templates", "check_links", "check_recorded_labels"}


def test_metrics_of_the_users_own_are_known(tmp_path: Path) -> None:
    file = tmp_path / "m.yml"
    file.write_text(
        "metrics:\n"
        "  shop_carts: {kind: gauge, labels: [country]}\n"
        "  shop_orders_total: {kind: counter}\n",
        encoding="utf-8",
    )
    extra = dict(read_extra_metrics(file))

    assert lint("rate(shop_carts[5m]) > 1", extra) == [
        "rate() of shop_carts, which is a gauge, no counter"
    ]
    assert lint('shop_carts{city="a"} > 1', extra) == ["shop_carts has no label city"]
    assert lint("rate(shop_orders_total[5m]) > 1", extra) == []


def test_lines_of_the_users_own_are_known(tmp_path: Path) -> None:
    file = tmp_path / "m.yml"
    file.write_text("metrics: {a: {kind: gauge}}\nlines: [0.1, 7]\n", encoding="utf-8")
    rule = WrittenRule("f.yml", {"alert": "A", "expr": "a < 0.1"})
    extra = read_extra_metrics(file)

    def lines_complained_of(lines: frozenset[float]) -> list[str]:
        told = (finding.what for finding in lint_rules([rule], extra=extra, lines=lines))
        return [what for what in told if what.startswith("compares with")]

    assert lines_complained_of(frozenset()) != []
    assert lines_complained_of(read_extra_lines(file)) == []


@pytest.mark.parametrize("lines", ["0.1", "[x]", "[true]", "{a: 1}", ""])
def test_lines_that_are_no_numbers_are_refused(lines: str, tmp_path: Path) -> None:
    (tmp_path / "m.yml").write_text(f"lines: {lines}", encoding="utf-8")

    with pytest.raises(UserMistake, match="'lines' is no list of numbers"):
        read_extra_lines(tmp_path / "m.yml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("metrics: [a]", "'metrics' is no mapping"),
        ("metrics: {a b: {kind: gauge}}", "'a b' is no name of a metric"),
        ("metrics: {a: gauge}", "a needs 'kind'"),
        ("metrics: {a: {kind: gauge, type: x}}", "a needs 'kind'"),
        ("metrics: {a: {kind: number}}", "a is of no known kind"),
        ("metrics: {a: {kind: gauge, labels: x}}", "the labels of a are no list"),
    ],
)
def test_metrics_that_make_no_sense_are_refused(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "m.yml").write_text(text, encoding="utf-8")

    with pytest.raises(UserMistake, match=complaint):
        read_extra_metrics(tmp_path / "m.yml")


ALERTS = [
    WrittenRule("f.yml", {"alert": "Down", "labels": {"priority": "P1", "level": "L2"}}),
    WrittenRule("f.yml", {"alert": "Slow", "labels": {"priority": "P2", "level": "L1"}}),
]


def lint_configuration(**configuration: Any) -> list[str]:  # noqa: ANN401 - YAML
    return [str(finding) for finding in lint_routes("am.yml", configuration, ALERTS)]


ROUTES = {"routes": [{"matchers": ['priority=~"P1|P2"']}]}


def test_an_inhibition_without_an_alert_on_either_side_is_found() -> None:
    told = lint_configuration(
        route=ROUTES,
        inhibit_rules=[
            {"source_matchers": ['alertname="Down"'], "target_matchers": ['priority="P2"']},
            {"source_matchers": ['alertname="Dwn"'], "target_matchers": ['level!~"L1|L2"']},
            {
                "source_matchers": ['alertname="Down"', 'channel="x"'],
                "target_matchers": ["level=L1"],
            },
        ],
    )

    assert told == [
        'am.yml: inhibition 2: its source_matchers match no alert: alertname="Dwn"',
        'am.yml: inhibition 2: its target_matchers match no alert: level!~"L1|L2"',
    ]


def test_an_alert_that_no_route_takes_is_found() -> None:
    told = lint_configuration(route={"routes": [{"matchers": ['priority="P1"', 'level!="L1"']}]})

    lost = "none takes Slow of priority P2 and level L1; it falls to the root's receiver"
    assert told == [f"am.yml: route: {lost}"]


def test_our_own_configuration_speaks_of_our_own_alerts() -> None:
    rules = read_rules(find_rule_files(GENERATED))

    assert (
        lint_routes("alertmanager.yml", read_mapping(GENERATED / "alertmanager.yml"), rules) == []
    )


def test_every_recording_is_named_in_the_vocabulary_and_read_by_somebody() -> None:
    rules = read_rules(find_rule_files(GENERATED))
    recorded = {rule.record for rule in rules if rule.record}
    readers = [rule.expression for rule in rules]
    readers += [path.read_text("utf-8") for path in Path("dashboards/generated").glob("*.json")]
    # Some are for people who ask: the page on objectives names them.
    readers.append(Path("docs/slos.md").read_text("utf-8"))

    assert {name for name in recorded if METRICS[name].origin is not Origin.RECORDING} == set()
    assert {name for name in recorded if not any(name in text for text in readers)} == set()
    assert all(METRICS[name].kind is MetricKind.GAUGE for name in recorded)
