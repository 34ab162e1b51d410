"""The links of alerts, as the real promtool fills them in, and what they open."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from alerts.catalogue import GROUPS
from alerts.generator import render_rules
from alerts.links import (
    AFTER_S,
    BEFORE_S,
    SENDS,
    TRACED_SERVICE,
    LinkBases,
    TraceSearch,
    write_dashboard_url,
    write_trace_url,
)
from alerts.rule import Alert
from alerts.timing import Timing
from outbound_slo.embedded.binaries import Tools
from outbound_slo.settings import TracingSettings
from outbound_slo.vocabulary.alerts import ALL_CHANNELS, AlertName, Family
from outbound_slo.vocabulary.panels import Panel
from outbound_slo.vocabulary.spans import PROVIDER_SPANS, SPANS, SpanName, Tag
from outbound_slo.vocabulary.statuses import Channel

ALERTS = [alert for group in GROUPS for alert in group.alerts]
SEARCHED = [alert for alert in ALERTS if alert.traces is not None]
BASES = LinkBases("https://r/", "https://g/", "https://j/", "my backend")
FAR_S = 100 * 60
"""promtool's clock starts at 0; by then an hour has passed, and no time is negative."""


def fill_in(
    template: str, labels: dict[str, str], directory: Path, tools: Tools, expected: str
) -> str:
    """Have promtool fill in a link at minute 100; gives its complaint, empty where it agrees."""
    given = ",".join(f"{label}={json.dumps(text)}" for label, text in labels.items())
    rule = {"alert": "A", "expr": "given > 0", "annotations": {"link": template}}
    test = {
        "rule_files": [str(directory / "rules.yml")],
        "evaluation_interval": "10m",
        "tests": [
            {
                "interval": "10m",
                "input_series": [{"series": f"given{{{given}}}", "values": "1x12"}],
                "alert_rule_test": [
                    {
                        "alertname": "A",
                        "eval_time": f"{FAR_S}s",
                        "exp_alerts": [
                            {"exp_labels": labels, "exp_annotations": {"link": expected}}
                        ],
                    }
                ],
            }
        ],
    }
    rules = {"groups": [{"name": "one", "rules": [rule]}]}
    (directory / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (directory / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")
    told = tools.run("promtool", "test", "rules", str(directory / "test.yml"))
    return "" if told.returncode == 0 else told.stderr or told.stdout


DASHBOARDS = [
    ("whatsapp", {}, 0, 1, "from=2400000&to=6600000&viewPanel=panel-3&var-channel=whatsapp"),
    (None, {"channel": "sms"}, 0, 1, "from=2400000&to=6600000&viewPanel=panel-3&var-channel=sms"),
    (
        None,
        {"channel": "a&b=c d"},
        0,
        1,
        "from=2400000&to=6600000&viewPanel=panel-3&var-channel=a%26b%3Dc+d",
    ),
    (ALL_CHANNELS, {}, 0, 1, "from=2400000&to=6600000&viewPanel=panel-3"),
    # Two of its own windows, where that is more than an hour.
    (ALL_CHANNELS, {}, 2700, 1, "from=600000&to=6600000&viewPanel=panel-3"),
    # A demonstration's hour is three minutes.
    (ALL_CHANNELS, {}, 0, 20, "from=5820000&to=6030000&viewPanel=panel-3"),
    (
        "whatsapp",
        {"org_id": 'a"b&ü\\'},
        0,
        1,
        "from=2400000&to=6600000&viewPanel=panel-3&var-channel=whatsapp&var-org_id=a%22b%26%C3%BC%5C",
    ),
]


@pytest.mark.parametrize(("channel", "labels", "back_s", "scale", "query"), DASHBOARDS)
def test_a_dashboard_opens_at_the_alerts_time_on_its_channel_and_organisation(
    channel: str | None,
    labels: dict[str, str],
    back_s: float,
    scale: float,
    query: str,
    tmp_path: Path,
    prometheus_tools: Tools,
) -> None:
    template = write_dashboard_url(BASES, Panel.SUCCESS_RATE, channel, back_s, Timing(scale))

    expected = f"https://g/d/whatsapp-sla?{query}"
    assert fill_in(template, labels, tmp_path, prometheus_tools, expected) == ""


_TIMES = "lookback=custom&start=2400000000&end=6600000000&limit=20"
FAILED = {Tag.STATUS: "FAILED"}
TRACES = [
    (
        TraceSearch(SpanName.OUTBOUND_MESSAGE_PROCESS, FAILED),
        ALL_CHANNELS,
        {},
        "operation=outbound-message-process&tags=%7B%22status%22%3A%22FAILED%22%7D",
    ),
    (
        TraceSearch(SpanName.OUTBOUND_MESSAGE_PROCESS, FAILED, {Tag.MESSAGE_CHANNEL: "channel"}),
        None,
        {"channel": "sms"},
        (
            "operation=outbound-message-process"
            "&tags=%7B%22status%22%3A%22FAILED%22%2C%22message.channel%22%3A%22SMS%22%7D"
        ),
    ),
    (
        TraceSearch(SpanName.OUTBOUND_MESSAGE_PROCESS, {}, {Tag.MESSAGE_CHANNEL: "channel"}),
        "whatsapp",
        {},
        "operation=outbound-message-process&tags=%7B%22message.channel%22%3A%22WHATSAPP%22%7D",
    ),
    (
        TraceSearch(SpanName.OUTBOUND_MESSAGE_PROCESS, {}, {Tag.ORG_ID: "org_id"}),
        "whatsapp",
        {"org_id": 'a"b&c'},
        "operation=outbound-message-process&tags=%7B%22org.id%22%3A%22a%5C%22b%26c%22%7D",
    ),
    (
        TraceSearch(tags={Tag.ERROR: "true"}),
        ALL_CHANNELS,
        {},
        "tags=%7B%22error%22%3A%22true%22%7D",
    ),
    *(
        (
            TraceSearch(tags={Tag.ERROR: "true"}),
            fixed,
            {} if fixed else {"channel": channel.label},
            f"operation={SENDS[channel]}&tags=%7B%22error%22%3A%22true%22%7D",
        )
        for channel in Channel
        for fixed in (None, channel.label)
    ),
]


@pytest.mark.parametrize(("search", "channel", "labels", "query"), TRACES)
def test_a_trace_search_names_operation_tags_and_times(
    search: TraceSearch,
    channel: str | None,
    labels: dict[str, str],
    query: str,
    tmp_path: Path,
    prometheus_tools: Tools,
) -> None:
    template = write_trace_url(BASES, search, channel, 0, Timing())

    expected = f"https://j/search?service=my%20backend&{query}&{_TIMES}"
    assert fill_in(template, labels, tmp_path, prometheus_tools, expected) == ""


def test_a_tag_of_any_organisation_is_json_once_the_link_is_opened(
    tmp_path: Path, prometheus_tools: Tools
) -> None:
    search = TraceSearch(SpanName.OUTBOUND_MESSAGE_PROCESS, FAILED, {Tag.ORG_ID: "org_id"})
    template = write_trace_url(BASES, search, "whatsapp", 0, Timing())
    odd = 'ä "quoted" \\ 100% +1'

    told = fill_in(template, {"org_id": odd}, tmp_path, prometheus_tools, "nothing like it")

    [got] = [line for line in told.splitlines() if "https://j/search" in line]
    address = got[got.index("https://j/") :].rstrip('"}],\\ ')
    tags = parse_qs(urlsplit(address).query)["tags"][0]
    assert json.loads(tags) == {"status": "FAILED", "org.id": odd}


@pytest.mark.parametrize("alert", SEARCHED, ids=lambda alert: f"{alert.name}-{alert.tier}")
def test_a_searched_tag_is_on_the_span_that_is_searched(alert: Alert) -> None:
    search = alert.traces
    assert search is not None
    operations = [search.operation] if search.operation else sorted(PROVIDER_SPANS)

    for operation in operations:
        assert {*search.tags, *search.labels} <= set(SPANS[operation].carries)
    assert search.tags
    assert set(search.labels.values()) <= {"channel", "org_id"}


def test_traces_help_wherever_messages_fail_or_are_slow() -> None:
    helped = {Family.SUCCESS, Family.LATENCY, Family.STUCK, Family.DEAD_LETTERS, Family.PROVIDER}
    names = {alert.name for alert in ALERTS if alert.family in helped}

    assert names <= {alert.name for alert in SEARCHED}
    assert AlertName.NO_DATA not in {alert.name for alert in SEARCHED}


def test_rules_have_the_links_of_their_alert_and_range() -> None:
    rules = {
        (rule["alert"], rule["labels"]["tier"]): rule["annotations"]
        for text in render_rules(bases=BASES).values()
        for rule in yaml.safe_load(text)["groups"][0]["rules"]
        if "alert" in rule
    }

    for alert in ALERTS:
        written: dict[str, Any] = rules[alert.name.value, str(alert.tier)]
        assert written["dashboard_url"].startswith(f"https://g/d/{alert.panel.dashboard}?from=")
        assert f"&viewPanel=panel-{alert.panel.id}" in written["dashboard_url"]
        assert ("trace_url" in written) == (alert.traces is not None)
    assert BEFORE_S > AFTER_S > 0
    assert set(SENDS) == set(Channel)
    assert SPANS.keys() >= set(SENDS.values()) == PROVIDER_SPANS


def test_the_traced_service_is_the_senders_own_by_default() -> None:
    assert TracingSettings.model_fields["service_name"].default == TRACED_SERVICE
