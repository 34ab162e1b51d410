"""Every query of every panel, asked of a real Prometheus, with an incident in it and empty."""

import math
import re
from collections.abc import Iterator

import pytest

from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.prometheus_api import PrometheusApi, Sample
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.panels import Panel
from tests.dashboard_parts import (
    DASHBOARDS,
    HEALTH_S,
    Target,
    World,
    complete,
    fill,
    judge_shape,
    list_targets,
    open_prometheus,
    open_world,
    play,
)

TARGETS = list(list_targets())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, prometheus_tools: Tools) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    tape = complete(prometheus_tools, play(), directory / "rules")
    with open_world(prometheus_tools, tape, directory / "prometheus") as opened:
        yield opened


@pytest.fixture(scope="module")
def nothing(
    tmp_path_factory: pytest.TempPathFactory, prometheus_tools: Tools
) -> Iterator[PrometheusApi]:
    with open_prometheus(prometheus_tools, tmp_path_factory.mktemp("nothing")) as api:
        yield api


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_query_gives_data_of_its_panels_shape(world: World, target: Target) -> None:
    samples = world.ask(target.expression)

    assert samples
    assert judge_shape(target, samples) == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_query_gives_a_course_where_a_course_is_drawn(world: World, target: Target) -> None:
    if target.query["instant"]:
        assert target.panel["type"] != "timeseries"
        return
    series = world.api.query_range(
        fill(target.expression), world.instant - HEALTH_S, world.instant, 60.0
    )
    assert any(len(each.points) > 10 for each in series)
    for each in series:
        assert all(math.isfinite(value) for _, value in each.points)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_query_of_an_empty_prometheus_says_nothing_and_no_false_fine(
    nothing: PrometheusApi, target: Target
) -> None:
    assert nothing.query(fill(target.expression)) == []


@pytest.mark.parametrize("uid", Dashboard)
def test_alerts_and_starts_are_found_where_they_happened(world: World, uid: Dashboard) -> None:
    fired, senders, exporters = DASHBOARDS[uid]["annotations"]["list"]
    names = {sample.labels["alertname"] for sample in world.ask(fired["expr"])}
    assert {"WhatsAppHighFailureRate", "OutboundErrorBudgetBurn"} <= names
    assert "Watchdog" not in names
    for started in (senders, exporters):
        begun = world.api.query_range(
            fill(started["expr"]), world.instant - 2 * HEALTH_S, world.instant, 30.0
        )
        [series] = begun
        assert series.labels["version"] == "1.0"
        assert 1 <= len(series.points) <= 3, "a start is a moment, not a state"


def test_what_can_be_chosen_is_found(world: World) -> None:
    found = {}
    for variable in DASHBOARDS[Dashboard.ORGANISATION]["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.findall(r"label_values\((\w+), (\w+)\)", variable["query"])[0]
            found[variable["name"]] = {each.labels[label] for each in world.ask(metric)}
    assert found == {"channel": {"whatsapp", "sms", "email"}, "org_id": {"org-a", "org-b"}}


def _read(world: World, panel: Panel, letter: str = "A", **changed: str) -> list[Sample]:
    [target] = [
        each
        for each in TARGETS
        if (each.dashboard, each.panel["id"], each.query["refId"])
        == (panel.dashboard, panel.id, letter)
    ]
    return world.ask(target.expression, **changed)


def test_panels_tell_the_story_of_the_incident(world: World) -> None:
    answers = {
        each.panel["id"]: world.ask(each.expression)
        for each in TARGETS
        if each.dashboard is Dashboard.SLA and each.panel["id"] in {101, 102, 103}
    }
    assert [sample.value for sample in answers[101]] == [0], "we are fine"
    # Of nearly half that fails a breaker may have made an end.
    [provider] = answers[102]
    assert provider.value in {5, 6}, "the provider fails, or the breaker is open"
    [customer] = answers[103]
    assert customer.labels["org_id"] == "org-a"
    assert 0.5 <= customer.value <= 1

    firing = {sample.labels["alertname"] for sample in _read(world, Panel.FIRING)}
    assert {"WhatsAppHighFailureRate", "OutboundErrorBudgetBurn"} <= firing
    codes = {sample.labels["error_code"] for sample in _read(world, Panel.FAILURE_TRENDS)}
    assert codes == {"131026"}
    [share] = _read(world, Panel.FAILURE_TRENDS, "B")
    assert share.value == pytest.approx(0.45, abs=0.1)
    [quota] = _read(world, Panel.QUOTA)
    assert quota.value == pytest.approx(0.97)
    [other] = _read(world, Panel.QUOTA, org_id="org-b")
    assert other.value == pytest.approx(0.35)
    near = {sample.labels["slo"]: sample.value for sample in _read(world, Panel.BURN_RATES)}
    assert near["send-success"] > near["send-latency"]


def test_what_is_counted_for_watched_organisations_alone_says_so_for_others(world: World) -> None:
    ended = [
        each
        for each in TARGETS
        if each.dashboard is Dashboard.ORGANISATION and each.panel["id"] in {6, 7}
    ]
    for target in ended:
        assert world.ask(target.expression, org_id="org-a")
        assert world.ask(target.expression, org_id="org-z") == []
        assert target.panel["fieldConfig"]["defaults"]["noValue"] == "Not watched"
