"""Dashboards against a real Prometheus: their queries filled in, and a world to ask about."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alerts.generator import render_rules
from alerts.incidents.conditions import HEALTHY, Conditions, Provider
from alerts.incidents.incident import MORNING_S
from alerts.incidents.traffic import STEP_S, record
from alerts.replay.evaluation import FOREVER, evaluate_rules, store_samples
from alerts.replay.tape import Series, Tape, sort_labels, write_samples
from alerts.rule_files import find_rule_files, read_rules
from alerts.timing import Timing
from dashboards.catalogue import all_dashboards
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import PrometheusApi, Sample
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary.alerts import EXPORTER_JOB, SENDER_JOB, Dashboard
from outbound_slo.vocabulary.metrics import Metric

Json = dict[str, Any]

DASHBOARDS: Mapping[Dashboard, Json] = {
    uid: json.loads(json.dumps(document)) for uid, document in all_dashboards().items()
}

HEALTH_S = 60 * 60
"""Seconds for which the world is well before the trouble begins."""

TROUBLE_S = 40 * 60

VALUES = {"channel": "whatsapp", "org_id": "org-a", "__rate_interval": "1m", "__range": "6h"}
"""What Grafana would put in the place of its variables."""


@dataclass(frozen=True)
class Target:
    """One query of a panel."""

    dashboard: Dashboard
    panel: Json
    query: Json

    @property
    def name(self) -> str:
        return f"{self.dashboard}/{self.panel['id']} {self.panel['title']}: {self.query['refId']}"

    @property
    def expression(self) -> str:
        expression: str = self.query["expr"]
        return expression


def fill(expression: str, **changed: str) -> str:
    """Put values in the place of Grafana's variables."""
    values = VALUES | changed
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)


def list_panels() -> Iterator[tuple[Dashboard, Json]]:
    """Every panel but headings."""
    for uid, document in DASHBOARDS.items():
        for panel in document["panels"]:
            if panel["type"] != "row":
                yield uid, panel


def list_targets() -> Iterator[Target]:
    for uid, panel in list_panels():
        for query in panel["targets"]:
            yield Target(uid, panel, query)


MOST_SERIES = 60
"""More lines than that in one panel nobody can read."""


def judge_shape(target: Target, samples: Sequence[Sample]) -> list[str]:
    """Say what is wrong with an answer for the panel that is to draw it."""
    wrong = [
        f"{sample.value} is no number" for sample in samples if not math.isfinite(sample.value)
    ]
    kind = target.panel["type"]
    if kind in {"stat", "gauge"} and len(samples) > 4:
        wrong.append(f"{len(samples)} tiles are too many")
    if kind == "table":
        *_, organize = target.panel["transformations"]
        shown = set(organize["options"]["renameByName"]) | set(organize["options"]["excludeByName"])
        columns = set[str]().union(*(sample.labels for sample in samples))
        wrong += [f"the column {column} has no heading" for column in sorted(columns - shown)]
        if not columns:
            wrong.append("a table has no columns")
        if (target.query["format"], target.query["instant"]) != ("table", True):
            wrong.append("a table wants one instant in the form of a table")
    else:
        names = [_name_series(target.query["legendFormat"], sample) for sample in samples]
        wrong += [f"{name!r} is no name" for name in names if not name.strip() or "{{" in name]
        if len(set(names)) < len(names):
            wrong.append("series can't be told apart")
        if len(names) > MOST_SERIES:
            wrong.append(f"{len(names)} series are too many")
    return wrong


def _name_series(legend: str, sample: Sample) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: sample.labels.get(found[1], ""), legend)


@dataclass(frozen=True)
class World:
    """A Prometheus that holds a story with everything our rules made of it, asked at its end."""

    api: PrometheusApi
    instant: float

    def ask(self, expression: str, **changed: str) -> list[Sample]:
        return self.api.query(fill(expression, **changed), at=self.instant)


Extra = tuple[Metric, str, dict[str, str], Callable[[int], float]]
"""A metric, the suffix of its series, labels, and its value by the seconds since the start."""


def trouble(elapsed: float) -> Conditions:
    """Stay well for an hour; then WhatsApp fails half of all, mostly of one organisation."""
    if elapsed < HEALTH_S:
        return HEALTHY
    ill = Provider(failing=0.45, code="131026", category="Client Error", final=True, call_s=1.6)
    changed = HEALTHY.with_provider(ill, "whatsapp")
    quota = {"org-a": 0.97, "org-b": 0.35}
    return replace(changed, quota_used=quota, notices={"account_update": 1}, forged=30.0)


def play(weather: Callable[[float], Conditions] = trouble, lasts_s: int = TROUBLE_S) -> Tape:
    """Record the story, with what the model of incidents has no word for."""
    tape = record(weather, start_s=MORNING_S, duration_s=HEALTH_S + lasts_s, seed=7)
    instants = [tape.instant(index) for index in range(tape.steps)]
    added = tuple(
        Series(
            metric.name + suffix,
            sort_labels(labels),
            [value(at - tape.start_s) for at in instants],
        )
        for metric, suffix, labels, value in _list_extras(tape)
    )
    return replace(tape, series=(*tape.series, *added))


def _list_extras(tape: Tape) -> Iterator[Extra]:
    start = float(tape.start_s)
    exporter = {"job": EXPORTER_JOB, "instance": "exporter:9109"}
    sender = {"job": SENDER_JOB, "instance": "sender:8080"}
    query = {"pack": "outbound", "query": "organisations"}
    yield m.EXPORTER_INFO, "", {**exporter, "version": "1.0"}, lambda _: 1.0
    yield m.CONFIG_RELOAD_TIME, "", exporter, lambda _: start
    yield m.EXPORTER_REFRESH_DURATION, "", exporter, lambda _: 0.2
    yield m.QUERY_DURATION, "", {**exporter, **query}, lambda _: 0.01
    yield m.QUERY_SUCCESS, "", {**exporter, **query}, lambda _: 1.0
    yield m.QUERY_ERRORS, "", {**exporter, **query, "reason": "timeout"}, lambda at: at // 60
    yield m.QUERY_ERRORS, "", {**exporter, **query, "reason": "corruption"}, lambda _: 0.0
    yield m.QUERY_DROPPED_SERIES, "", {**exporter, **query}, lambda _: 3.0
    yield m.REPLICATION_LAG, "", exporter, lambda _: 0.0
    yield m.REPLICA_LAG, "", {**exporter, "replica": "second"}, lambda _: 0.3
    yield m.SLOT_RETAINED, "", {**exporter, "slot": "second", "active": "true"}, lambda _: 5e8
    yield m.UNIQUE_RECIPIENTS, "", {**exporter, "org_id": "org-a"}, lambda _: 812.0
    for org, failing in (("org-a", 0.4), ("org-b", 0.01)):
        for outcome, share in (("sent", 0.2), ("failed", failing), ("refused", 0.0)):
            labels = {**exporter, "org_id": org, "channel": "whatsapp", "outcome": outcome}
            yield m.ORGANISATION_FINISHED, "", labels, _after_health(share)
        its = {**exporter, "org_id": org}
        on_channel = {**its, "channel": "whatsapp"}
        for status in ("queued", "sending"):
            yield m.ORGANISATION_QUEUE_DEPTH, "", {**on_channel, "status": status}, lambda _: 12.0
        yield m.ORGANISATION_STUCK, "", on_channel, lambda _: 3.0
        yield m.ORGANISATION_WINDOWS, "", its, lambda _: 25.0
        yield m.ORGANISATION_WINDOW_EXPIRATION, "", its, lambda _: 5400.0
        yield m.THROTTLE_REMAINING, "", its, lambda _: 90.0
    yield m.SENDER_STARTED, "", {**sender, "version": "1.0"}, lambda _: start
    for name in ("whatsapp", "sms", "email"):
        yield m.BREAKER_FAILURE_RATE, "", {**sender, "name": name}, lambda _: 45.0
        yield m.BREAKER_SLOW_CALL_RATE, "", {**sender, "name": name}, lambda _: 20.0
        yield m.LIMITED_CLAIMS, "", {**sender, "channel": name}, lambda at: at / 100
    group = {"job": "prometheus", "rule_group": "/etc/prometheus/outbound.yml;outbound-provider"}
    yield m.RULE_FAILURES, "", group, lambda at: at // 300
    yield m.RULE_ITERATIONS_MISSED, "", group, lambda _: 0.0
    lost = {"job": "alertmanager", "integration": "pagerduty"}
    yield m.NOTIFICATIONS_FAILED, "", lost, lambda at: at // 300
    yield m.SHARED_LIMIT_UP, "", {**sender, "store": "redis"}, lambda _: 1.0
    for code, metric in (("session_expired", m.REFUSALS), ("quiet_hours", m.DEFERRALS)):
        labels = {**sender, "channel": "whatsapp", "error_code": code}
        yield metric, "", labels, lambda at: at / 60
    for result in ("requeued", "failed"):
        yield m.RECOVERED, "", {**sender, "result": result}, lambda _: 2.0


def _after_health(per_second: float) -> Callable[[int], float]:
    return lambda at: max(0, at - HEALTH_S) * per_second


def complete(tools: Tools, tape: Tape, directory: Path) -> Tape:
    """Add what the production rules record and raise."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in render_rules(Timing()).items():
        (directory / name).write_text(text, encoding="utf-8")
    made: list[Series] = []
    evaluate_rules(tools, read_rules(find_rule_files(directory)), tape, keep=made.extend)
    return replace(tape, series=(*tape.series, *made))


@contextmanager
def open_world(tools: Tools, tape: Tape, directory: Path) -> Iterator[World]:
    """Start a Prometheus that holds a tape; it scrapes nothing and runs no rule."""
    directory.mkdir(parents=True, exist_ok=True)
    text = directory / "samples.om"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(write_samples(tape, tape.series))
        file.write("# EOF\n")
    store_samples(tools, text, directory / "data")
    with open_prometheus(tools, directory, tape.step_s) as api:
        yield World(api, float(tape.end_s))


@contextmanager
def open_prometheus(tools: Tools, directory: Path, step_s: int = STEP_S) -> Iterator[PrometheusApi]:
    """Start a Prometheus over what `directory` holds, which may be nothing."""
    flags = [
        f"--query.lookback-delta={step_s * 2}s",
        f"--storage.tsdb.retention.time={FOREVER}",
    ]
    with Supervisor(directory / "logs") as supervisor:
        yield start_prometheus(
            supervisor,
            directory,
            compose_configuration([], interval="1m"),
            tools=tools,
            flags=flags,
        )
