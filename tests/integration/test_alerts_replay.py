"""Replays on a real Prometheus, promtool and Alertmanager: what fires, and who is told."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from alerts.commands import app
from alerts.history.accuracy import PastAlert
from alerts.history.firings import read_firings
from alerts.replay.delivery import Hurry, deliver
from alerts.replay.evaluation import evaluate_rules, layer_rules, metrics_read, store_samples
from alerts.replay.pages import collect_calls
from alerts.replay.pending import Firing
from alerts.replay.samples import read_range
from alerts.replay.tape import Series, Tape, sort_labels, write_samples
from alerts.rule_files import GENERATED, WrittenRule, find_rule_files, read_rules
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.replay_parts import ask_promtool, count_up, wander

STEP_S = 15
MONDAY_S = 1_767_603_600

AWKWARD = """\
groups:
  - name: awkward
    rules:
      - {record: 'g:sum', expr: 'sum by (a) (g)'}
      - {record: 'g:high', expr: 'g:sum > 3', labels: {kind: high}}
      - {record: 'c:2m', expr: 'c - min_over_time(c[2m])'}
      - {record: 'c:kept', expr: 'c or last_over_time(c:kept[1m])'}
      - {record: 'c:first', expr: 'c unless on (a) last_over_time(c:first[3m])'}
      - {record: 'g:since', expr: 'last_over_time(g:since[1m]) and g > 2 or (g > 2) * 0 + time()'}
      - {alert: AtOnce, expr: 'g:high', labels: {severity: critical}}
      - {alert: Waits, expr: 'g > 2', for: 45s}
      - {alert: Keeps, expr: 'g > 4', keep_firing_for: 1m}
      - {alert: Both, expr: 'g:sum > 2', for: 30s, keep_firing_for: 40s}
      - {alert: Gone, expr: 'absent(g{a="0"})', for: 15s}
      - {alert: Counts, expr: 'sum by (a) (increase(c[3m])) > 20'}
      - {alert: Falls, expr: 'c:2m < 8 and on (a) g:high', for: 30s}
      - {alert: Offset, expr: 'c - c offset 5m > 50'}
      - {alert: Kept, expr: 'c:kept unless on (a) c'}
      - {alert: First, expr: 'c - on (a) last_over_time(c:first[4m]) > 10'}
      - {alert: Since, expr: 'time() - g:since > 60'}
      - {alert: OnTheHour, expr: 'g > 1 and on () (minute() < 10)', for: 30s}
      - alert: Lasting
        expr: 'max by (a) (ALERTS{alertname="Waits",alertstate="firing"}) > 0'
        for: 1m
"""


def random_tape(seed: int, steps: int) -> Tape:
    random = Random(seed)  # noqa: S311 - noise
    series: list[Series] = []
    for a in "01":
        series += [Series("g", sort_labels({"a": a, "b": b}), wander(random, steps)) for b in "01"]
        series.append(Series("c", sort_labels({"a": a}), count_up(random, steps)))
    return Tape(0, STEP_S, steps, tuple(series))


def outbound_tape(seed: int, steps: int) -> Tape:
    """Random counters and depths under the names of our own rules."""
    random = Random(seed)  # noqa: S311 - noise
    series: list[Series] = []
    for channel in ("whatsapp", "sms"):
        for outcome in ("sent", "failed", "deferred"):
            labels = sort_labels({"channel": channel, "outcome": outcome, "error_code": "x"})
            series += [
                Series(name, labels, count_up(random, steps))
                for name in ("outbound_attempts_total", "outbound_messages_finished_total")
            ]
        depth = [value and value * 900 for value in wander(random, steps)]
        labels = sort_labels({"channel": channel, "status": "queued"})
        series.append(Series("outbound_message_queue_depth", labels, depth))
        age = [value and value * 100 for value in wander(random, steps)]
        labels = sort_labels({"channel": channel, "state": "due"})
        series.append(Series("outbound_oldest_message_age_seconds", labels, age))
    return Tape(0, STEP_S, steps, tuple(series))


def by_instant(
    firings: Sequence[Firing], tape: Tape
) -> dict[tuple[tuple[str, str], ...], list[int]]:
    found: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for firing in firings:
        key = sort_labels(dict(firing.labels) | {"alertname": firing.alert, "alertstate": "firing"})
        end = tape.end_s + STEP_S if firing.end_s is None else firing.end_s
        found.setdefault(key, []).extend(range(firing.start_s, end, STEP_S))
    return {key: sorted(instants) for key, instants in found.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_stage_one_says_what_promtools_clock_says(
    seed: int, tmp_path: Path, prometheus_tools: Tools
) -> None:
    path = tmp_path / "awkward.yml"
    path.write_text(AWKWARD)
    tape = random_tape(seed, 400)
    expected = ask_promtool(prometheus_tools, tmp_path, [path], tape)

    firings = evaluate_rules(prometheus_tools, read_rules([path]), tape)

    names = {dict(labels)["alertname"] for labels in expected}
    assert names >= {"AtOnce", "Waits", "Keeps", "Both", "Counts", "Falls", "OnTheHour", "Lasting"}
    assert names >= {"Kept", "First", "Since"}
    assert by_instant(firings, tape) == expected


def test_stage_one_says_the_same_of_our_own_rules(tmp_path: Path, prometheus_tools: Tools) -> None:
    paths = find_rule_files(GENERATED)
    tape = outbound_tape(5, 160)
    # A rule sees at once what another group records, as if its own came after it.
    others = {path.stem for path in paths} - {"outbound-provider", "outbound-paging"}
    expected = ask_promtool(
        prometheus_tools,
        tmp_path,
        [path.resolve() for path in paths],
        tape,
        order=["outbound-provider", *sorted(others), "outbound-paging"],
    )

    firings = evaluate_rules(prometheus_tools, read_rules(paths), tape)

    assert len(expected) > 5
    assert by_instant(firings, tape) == expected


@pytest.mark.parametrize("expression", ["x:a offset 1m", "x:b or x:a"])
def test_a_rule_that_depends_on_itself_by_way_of_another_is_refused(expression: str) -> None:
    rules = [
        WrittenRule("f.yml", {"record": "x:a", "expr": "x:b + 1"}),
        WrittenRule("f.yml", {"record": "x:b", "expr": expression}),
    ]

    with pytest.raises(UserMistake, match=r"f\.yml: x:a depends on itself"):
        list(layer_rules(rules))


def test_two_rules_of_one_name_may_not_read_it() -> None:
    rules = [
        WrittenRule("f.yml", {"record": "x:a", "expr": "last_over_time(x:a[5m]) or y"}),
        WrittenRule("f.yml", {"record": "x:a", "expr": "z"}),
    ]

    with pytest.raises(UserMistake, match=r"f\.yml: x:a depends on itself"):
        list(layer_rules(rules))


def test_a_rule_may_read_what_it_recorded_before_and_others_come_after_it() -> None:
    reader = WrittenRule("f.yml", {"record": "x:c", "expr": "x:a + 1"})
    keeper = WrittenRule("f.yml", {"record": "x:a", "expr": "y or last_over_time(x:a[5m])"})

    assert list(layer_rules([reader, keeper])) == [[keeper], [reader]]


def test_what_is_asked_of_outside_leaves_out_what_rules_make() -> None:
    assert metrics_read([WrittenRule("f", {"record": "x:a", "expr": "y + ALERTS"})]) == {"y"}


def firing(alert: str, start_s: int, end_s: int | None, **labels: str) -> Firing:
    full = {"family": "f", "channel": "whatsapp", "tier": "1"} | labels
    return Firing(alert, sort_labels(full), start_s, end_s, 1.0)


def test_stage_two_groups_inhibits_and_waits_as_alertmanager_does(
    tmp_path: Path, alertmanager_tools: Tools
) -> None:
    configuration = yaml.safe_load((GENERATED / "alertmanager.yml").read_text())
    page = {"priority": "P1", "level": "L1", "severity": "critical"}
    ticket = {"priority": "P2", "level": "L1", "severity": "warning"}
    firings = [
        firing("Big", 1000, 1300, family="queue", **page),
        firing("Same", 1060, 1300, family="queue", **page),
        firing("Symptom", 1000, 1200, family="queue", **ticket),
        firing("Other", 1000, 1600, family="quota", **ticket),
        firing("Again", 1900, None, family="queue", **page | {"level": "L2"}),
        firing("Watchdog", 0, None),
    ]

    delivery = deliver(alertmanager_tools, tmp_path, configuration, firings, Hurry(50))

    calls = collect_calls(delivery.notifications)
    assert [(call.receiver, call.names()) for call in calls] == [
        ("page-l1", ("Big", "Same")),
        ("tickets", ("Other",)),
        ("page-l2", ("Again",)),
    ]
    first, other, again = calls
    slack = delivery.resolution_s
    # P1 waits 10 s and P2 30 s before they tell, P1 a minute before it tells more.
    assert 1010 <= first.at_s <= 1010 + slack + 20
    assert 1030 <= other.at_s <= 1030 + slack + 20
    assert 1910 <= again.at_s <= 1910 + slack + 20
    assert first.over_s is not None
    assert 1300 <= first.over_s <= 1300 + 60 + slack + 20
    assert again.over_s is None
    assert slack >= 2.5


def test_a_configuration_that_alertmanager_refuses_is_one_line(
    tmp_path: Path, alertmanager_tools: Tools
) -> None:
    configuration = {"route": {"receiver": "nobody"}, "receivers": [{"name": "somebody"}]}

    with pytest.raises(UserMistake, match="nobody"):
        deliver(alertmanager_tools, tmp_path, configuration, [firing("A", 0, 60)], Hurry(100))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


OVERFLOW = (
    Series("up", sort_labels({"job": "outbound-exporter"}), [1.0] * 80),
    *(
        Series(name, sort_labels(labels), [value] * 80)
        for name, labels, value in (
            ("outbound_message_queue_depth", {"channel": "sms", "status": "queued"}, 3.0),
            ("outbound_attempts_total", {"channel": "sms", "outcome": "sent"}, 5.0),
        )
    ),
    Series(
        "outbound_dead_letters",
        sort_labels({"channel": "whatsapp", "error_code": "1", "category": "Policy"}),
        [10.0] * 10 + [1500.0] * 50 + [10.0] * 20,
    ),
    Series(
        "outbound_message_queue_depth",
        sort_labels({"channel": "whatsapp", "status": "queued"}),
        [1.0] * 80,
    ),
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dead letters that overflow for twelve minutes, as a file."""
    path = tmp_path_factory.mktemp("replay") / "samples.om"
    tape = Tape(MONDAY_S, STEP_S, 80, OVERFLOW)
    path.write_text("".join(write_samples(tape, tape.series)) + "# EOF\n")
    return path


def test_a_file_is_replayed_and_what_it_lacks_is_told_once(recorded: Path) -> None:
    told = run("replay", str(recorded), "--speed", "200", "--json")

    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    pages = [row for row in document["rows"] if row["kind"] == "page"]
    assert [(row["alert"], row["tier"], row["to"]) for row in pages] == [
        ("WhatsAppDLQOverflow", "3", "page-l2")
    ]
    # Over the line at 9:02:30, for five minutes, and ten seconds of grouping.
    assert "2026-01-05T09:07:40Z" <= pages[0]["at"] <= "2026-01-05T09:08:50Z"
    assert pages[0]["summary"] == "1500 WhatsApp messages are dead letters (line: > 1000 messages)"
    assert "whatsapp_quota_used" in document["missing"]
    assert "outbound_dead_letters" not in document["missing"]


def test_without_notifications_it_tells_what_fires(recorded: Path) -> None:
    told = run("replay", str(recorded), "--no-notify")

    assert told.exit_code == 0, told.output
    rows = [line for line in told.stdout.splitlines() if "WhatsAppDLQOverflow" in line]
    assert len(rows) == 2
    assert rows[0].startswith("2026-01-05 09:07:30")
    assert "firing" in rows[0]
    assert told.stderr.count("whatsapp_quota_used") == 1
    assert "Watchdog" not in told.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either FILE or --from-prometheus"),
        (["f", "--from-prometheus", "http://127.0.0.1:1"], "either FILE or --from-prometheus"),
        (["--from-prometheus", "http://127.0.0.1:1"], "needs --start and --end"),
        (
            ["--from-prometheus", "http://127.0.0.1:1", "--start", "soon", "--end", "1"],
            "--start 'soon' is no time",
        ),
        (
            ["--from-prometheus", "http://127.0.0.1:1", "--start", "100", "--end", "1"],
            "From --start to --end are 0 steps",
        ),
        (["absent.om"], "absent.om can't be read"),
        (["f", "--speed", "0"], "--speed 0 can't be used"),
        (["f", "--alertmanager-config", "absent.yml"], "absent.yml can't be read"),
    ],
)
def test_a_users_mistake_is_one_line(arguments: list[str], message: str) -> None:
    told = run("replay", *arguments)

    assert isinstance(told.exception, UserMistake)
    assert message in str(told.exception)


@pytest.fixture(scope="module")
def remembering(
    tmp_path_factory: pytest.TempPathFactory, prometheus_tools: Tools
) -> Iterator[PrometheusApi]:
    """Run a Prometheus that holds the overflow, and a week of alerts."""
    directory = tmp_path_factory.mktemp("remembering")
    tape = Tape(MONDAY_S, STEP_S, 80, OVERFLOW)
    minutes = 7 * 24 * 60
    week = Tape(MONDAY_S, 60, minutes, (*alerts_of_a_week(minutes),))
    text = directory / "samples.om"
    text.write_text(
        "".join(write_samples(tape, tape.series))
        + "".join(write_samples(week, week.series))
        + "# EOF\n"
    )
    store_samples(prometheus_tools, text, directory / "data")
    with Supervisor(directory / "logs") as supervisor:
        yield start_prometheus(
            supervisor,
            directory,
            compose_configuration([], interval="1m"),
            tools=prometheus_tools,
            flags=["--storage.tsdb.retention.time=100y", "--query.lookback-delta=59s"],
        )


def alerts_of_a_week(minutes: int) -> Iterator[Series]:
    def fires(alert: str, severity: str, *spans: tuple[int, int]) -> Series:
        values: list[float | None] = [None] * minutes
        for begin, end in spans:
            values[begin : end + 1] = [1.0] * (end + 1 - begin)
        labels = {"alertname": alert, "alertstate": "firing", "severity": severity}
        return Series("ALERTS", sort_labels(labels), values)

    yield fires("Down", "critical", (1_003, 1_040), (5_000, 5_010))
    yield fires("Late", "critical", (1_010, 1_020))
    yield fires("Small", "warning", (1_000, 1_100))


def test_a_range_of_a_prometheus_is_the_tape_that_it_scraped(remembering: PrometheusApi) -> None:
    wanted = frozenset({"outbound_dead_letters", "outbound_message_queue_depth", "other"})

    tape = read_range(remembering, wanted, MONDAY_S, MONDAY_S + 79 * STEP_S, STEP_S)

    assert (tape.start_s, tape.steps) == (MONDAY_S, 80)
    expected = {each for each in map(_fixed, OVERFLOW) if each[0] in wanted}
    assert {_fixed(each) for each in tape.series} == expected


def _fixed(series: Series) -> tuple[Any, ...]:
    return series.name, series.labels, tuple(series.values)


def test_a_range_is_replayed_from_the_command_line(remembering: PrometheusApi) -> None:
    window = ["--start", "2026-01-05T09:00:00Z", "--end", str(MONDAY_S + 79 * STEP_S)]

    told = run("replay", "--from-prometheus", remembering.url, *window, "--no-notify", "--json")

    assert told.exit_code == 0, told.output
    rows = json.loads(told.stdout)["rows"]
    assert sorted((row["alert"], row["tier"]) for row in rows) == [
        ("OutboundDLQOverflow", "1"),
        ("OutboundDLQOverflow", "3"),
        ("WhatsAppDLQOverflow", "1"),
        ("WhatsAppDLQOverflow", "3"),
    ]
    assert {row["at"] for row in rows} == {"2026-01-05T09:07:30Z"}


def test_alerts_are_read_as_they_began_and_ended(remembering: PrometheusApi) -> None:
    week = read_firings(remembering, MONDAY_S, MONDAY_S + 7 * 86_400 - 60, 60)

    assert week == [
        PastAlert("Down", MONDAY_S + 1_003 * 60, MONDAY_S + 1_040 * 60),
        PastAlert("Late", MONDAY_S + 1_010 * 60, MONDAY_S + 1_020 * 60),
        PastAlert("Down", MONDAY_S + 5_000 * 60, MONDAY_S + 5_010 * 60),
    ]


def test_history_gives_the_four_numbers(remembering: PrometheusApi, tmp_path: Path) -> None:
    path = tmp_path / "incidents.yml"
    path.write_text(
        "incidents:\n"
        f"  - {{what: provider down, start: {_iso(1_000)}, end: {_iso(1_045)}}}\n"
        f"  - {{what: nobody saw it, start: {_iso(3_000)}, end: {_iso(3_030)}}}\n"
        f"  - {{what: long before, start: 2025-01-05T09:00:00Z, end: 2025-01-05T10:00:00Z}}\n"
    )
    until = str(MONDAY_S + 7 * 86_400)
    arguments = ["--prometheus", remembering.url, "--incidents", str(path), "--until", until]

    told = run("history", *arguments, "--since", "7d", "--json")

    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert document["mttd_s"] == 180
    assert document["mttr_s"] == 42 * 60
    assert document["missed"] == 1
    assert document["incidents_per_week"] == 2
    assert (document["fired"], document["false_positives"]) == (3, 1)
    assert document["alerts"]["Down"] == {"fired": 2, "false_positives": 1}
    shown = run("history", *arguments, "--since", "7d").stdout
    assert "3.0 min" in shown
    assert "1 of 3 (33%)" in shown
    assert "missed" in shown


@pytest.mark.parametrize(
    ("alert", "complaint"),
    [
        ("WhatsappProviderDown", "Did you mean WhatsAppProviderDown?"),
        ("Downn", "there is no alert Downn, and none fired in that time. Did you mean Down?"),
        ("Down", ""),
        ("Small", ""),
        ("WhatsAppProviderDown", ""),
    ],
)
def test_history_knows_the_alerts_that_an_incident_names(
    remembering: PrometheusApi, tmp_path: Path, alert: str, complaint: str
) -> None:
    path = tmp_path / "incidents.yml"
    times = f"start: {_iso(1_000)}, end: {_iso(1_045)}"
    path.write_text(f"incidents: [{{what: outage, {times}, alerts: [{alert}]}}]")
    until = str(MONDAY_S + 7 * 86_400)
    arguments = ["--prometheus", remembering.url, "--incidents", str(path), "--until", until]

    told = run("history", *arguments, "--since", "7d")

    assert (told.exit_code == 0) is not bool(complaint)
    assert complaint in str(told.exception)


def _iso(minute: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(MONDAY_S + minute * 60))
