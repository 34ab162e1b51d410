"""What evaluating the rules costs at thirty days of data: `make bench-rules`.

One Prometheus holds three days of everything that exporter, sender and Prometheus show in the model
of `alerts.incidents`, and thirty days of what the rules have recorded about objectives and read
again. It runs all our rules beside a baseline of the shape that sloth documents, over the same
counters. Its last line of output is one JSON object.
"""

import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import typer
import yaml

from alerts.catalogue.objectives import OBJECTIVES
from alerts.generator import render_rules
from alerts.incidents.conditions import CHANNELS, Conditions
from alerts.incidents.traffic import record
from alerts.replay.evaluation import store_samples
from alerts.replay.tape import Series, Tape, sort_labels, write_samples
from benchmarks.baselines.ratio_rules import write_rules
from benchmarks.report import Goal, Report
from outbound_slo.embedded.binaries import PROMETHEUS, Tools, find_tools
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary import metrics as m

GOALS: Final = (
    Goal("evaluation_seconds", "s to evaluate all our groups once"),
    Goal("share_of_interval", "of the 15 s between two evaluations", at_most=0.2),
    Goal("slowest_group_seconds", "s of the slowest group"),
    Goal("objectives_vs_baseline", "objectives' groups over the baseline's, the same four"),
    Goal("baseline_seconds", "s to evaluate the baseline once"),
    Goal("rules", "rules of ours"),
    Goal("series", "series that a query at the end finds"),
)

_DAY_S: Final = 86_400
_STEP_S: Final = 60
_INTERVAL_S: Final = 15
# Nothing is scraped here: what was shown last stays in sight while the rules are evaluated. Samples
# of the future would not do, since Prometheus records nothing older than its newest block.
_IN_SIGHT: Final = "1h"
_BASELINE: Final = "baseline"
_RECORDED: Final = re.compile(r"baseline:sli_error:ratio_rate\w+")
_OURS: Final = ("outbound-slo", "outbound-slo-samples")
_EPOCH: Final = "7"
_BAD_SHARE: Final = 0.01
_PER_STEP: Final = 120.0


def run_benchmark(
    rounds: Annotated[int, typer.Option(min=2, help="Evaluations that are measured.")] = 8,
    days: Annotated[int, typer.Option(min=1, help="Days of what rules recorded.")] = 30,
) -> None:
    """Measure the evaluation of all rules."""
    report = Report(GOALS)
    tools = find_tools(PROMETHEUS)
    with tempfile.TemporaryDirectory() as name, Supervisor(Path(name) / "logs") as supervisor:
        directory = Path(name)
        now_s = int(time.time()) // _STEP_S * _STEP_S
        _store(report, tools, directory, _show(now_s), "three days of what is scraped")
        _store(report, tools, directory, _recall(now_s, days), f"{days} days of what is recorded")
        api = _start(supervisor, tools, directory)
        _measure(report, api, rounds)
    report.finish()


def _show(end_s: int) -> Tape:
    """Record three days of the pages of all processes."""
    start_s = end_s - 3 * _DAY_S
    return record(
        lambda _: Conditions(),
        start_s=start_s - start_s % _STEP_S,
        duration_s=3 * _DAY_S,
        seed=1,
        step_s=_STEP_S,
    )


def _recall(end_s: int, days: int) -> Tape:
    """Make the series that objectives' rules recorded and read again over their period."""
    steps = days * _DAY_S // _STEP_S
    start_s = end_s - (steps - 1) * _STEP_S
    return Tape(start_s, _STEP_S, steps, tuple(_objective_series(steps)))


def _objective_series(steps: int) -> Iterator[Series]:
    events = [_PER_STEP * step for step in range(steps)]
    good = [count * (1 - _BAD_SHARE) for count in events]
    hourly = [each if step % 60 == 0 else None for step, each in enumerate(events)]
    hourly_good = [each if step % 60 == 0 else None for step, each in enumerate(good)]
    fresh = [1.0] * steps
    for objective in OBJECTIVES:
        for channel in CHANNELS:
            for sli in ("fast", "budget"):
                given = {"slo": objective.name, "sli": sli, "channel": channel, "epoch": _EPOCH}
                labels = sort_labels(given)
                yield Series(m.SLO_EVENTS.name, labels, events)
                yield Series(m.SLO_GOOD.name, labels, good)
                yield Series(m.SLO_EVENTS_FIRST.name, labels, hourly)
                yield Series(m.SLO_GOOD_FIRST.name, labels, hourly_good)
    freshness = {"slo": "exporter-availability", "sli": "budget", "channel": "all"}
    yield Series(m.SLO_FRESH.name, sort_labels(freshness), fresh)
    for objective in OBJECTIVES:
        for channel in CHANNELS:
            labels = sort_labels({"objective": objective.name, "channel": channel})
            yield Series("baseline:sli_error:ratio_rate5m", labels, [_BAD_SHARE] * steps)


def _store(report: Report, tools: Tools, directory: Path, tape: Tape, what: str) -> None:
    report.tell(f"storing {what}: {len(tape.series)} series of {tape.steps} samples")
    text = directory / "samples.txt"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(write_samples(tape, tape.series))
        file.write("# EOF\n")
    store_samples(tools, text, directory / "prometheus" / "data")
    text.unlink()


def _start(supervisor: Supervisor, tools: Tools, directory: Path) -> PrometheusApi:
    rules = directory / "rules"
    rules.mkdir()
    for name, text in render_rules().items():
        (rules / name).write_text(text, encoding="utf-8")
    (rules / "baseline.yml").write_text(yaml.safe_dump(_write_baseline()), encoding="utf-8")
    configuration = compose_configuration(
        [], rule_files=[rules / "*.yml"], interval=f"{_INTERVAL_S}s"
    )
    return start_prometheus(
        supervisor,
        directory / "prometheus",
        configuration,
        tools=tools,
        flags=["--storage.tsdb.retention.time=100y", f"--query.lookback-delta={_IN_SIGHT}"],
    )


def _write_baseline() -> dict[str, Any]:
    """Write the four objectives in the baseline's shape, over the counters that ours read."""
    counters = {
        "send-success": (
            'outbound_messages_finished_total{outcome="failed"}',
            'outbound_messages_finished_total{outcome=~"sent|failed|unknown"}',
        ),
        "send-latency": ("outbound_send_latency_seconds_count",) * 2,
        "delivery-latency": ("outbound_judged_delivery_latency_seconds_count",) * 2,
        "attempts": (
            'outbound_attempts_total{outcome="failed"}',
            'outbound_attempts_total{outcome=~"sent|failed|unknown"}',
        ),
    }
    groups = []
    for name, (bad, total) in counters.items():
        (group,) = write_rules(bad, total, 0.95)["groups"]
        for rule in group["rules"]:
            rule["labels"] = {"objective": name}
            # Recorded series of all four have one name: each alert is to read its own.
            rule["expr"] = _RECORDED.sub(rf'\g<0>{{objective="{name}"}}', rule["expr"])
        groups.append({"name": f"{_BASELINE}-{name}", "rules": group["rules"]})
    return {"groups": groups}


def _measure(report: Report, api: PrometheusApi, rounds: int) -> None:
    seen: dict[str, dict[str, float]] = defaultdict(dict)
    report.tell(f"{rounds} evaluations, {_INTERVAL_S} s apart")
    for _ in range(rounds):
        time.sleep(_INTERVAL_S)
        for found in api.evaluations():
            seen[found.group][found.at] = found.duration_s
    if broken := [rule.name for rule in api.rules() if rule.error]:
        raise RuntimeError(f"could not be evaluated: {', '.join(broken)}")
    rules = {found.group: found.rules for found in api.evaluations()}
    # The first evaluation opens blocks that nobody has read yet.
    times = {name: median(list(each.values())[1:] or each.values()) for name, each in seen.items()}
    ours = {name: took for name, took in times.items() if not name.startswith(_BASELINE)}
    baseline = sum(took for name, took in times.items() if name.startswith(_BASELINE))
    report.show_rows(
        "Evaluation, median",
        [
            {"group": name, "rules": rules[name], "ms": f"{1000 * took:.1f}"}
            for name, took in sorted(times.items(), key=lambda pair: -pair[1])
        ],
    )
    total = sum(ours.values())
    report.note("evaluation_seconds", total)
    report.note("share_of_interval", total / _INTERVAL_S)
    report.note("slowest_group_seconds", max(ours.values()))
    report.note("objectives_vs_baseline", sum(ours[name] for name in _OURS) / baseline)
    report.note("baseline_seconds", baseline)
    report.note("rules", sum(rules[name] for name in ours))
    (series,) = api.query('count({__name__=~".+"})')
    report.note("series", series.value)


if __name__ == "__main__":
    typer.run(run_benchmark)
