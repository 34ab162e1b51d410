"""The arithmetic of the exporter's benchmarks: what a wrong figure would come from."""

import io
import json
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from benchmarks.exporter import GOALS
from benchmarks.exporter_stand import drop_cached
from benchmarks.peers import (
    start_query_exporter,
    write_postgres_exporter,
    write_query_exporter,
    write_sql_exporter,
)
from benchmarks.questions import (
    QUESTIONS,
    Pages,
    compare,
    names_of_ours,
    names_of_peer,
    read_figures,
)
from benchmarks.refreshes import Spent, divide
from benchmarks.report import Report
from benchmarks.scrapes import ScrapeTimes
from outbound_slo.vocabulary.mistakes import UserMistake

KEYS = [
    "wall_vs_postgres_exporter",
    "wall_vs_query_exporter",
    "db_cpu_vs_postgres_exporter",
    "growth_100k_to_10m",
    "cold_vs_naive",
    "write_cost_single",
    "write_cost_batched",
    "mismatches",
    "scrape_vs_empty_page",
]
DATABASE = "postgresql://postgres@127.0.0.1:5432/outbox"


def test_the_last_line_has_exactly_the_keys_of_the_acceptance_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Report(GOALS, Console(file=io.StringIO())).finish()
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(line) == KEYS
    assert set(line.values()) == {None}


def test_the_same_number_is_found_on_each_exporters_page() -> None:
    ours = (
        'outbound_message_queue_depth_by_channel{channel="sms",status="sent"} 7\n'
        'outbound_message_delivery_duration_seconds_bucket{channel="sms",le="1.0"} 3\n'
    )
    postgres_exporter = (
        'depth_messages{channel="SMS",status="SENT",server="x"} 7\n'
        'deliveries_messages{channel="SMS",le="1",server="x"} 3\n'
    )
    sql_exporter = (
        'sql_depth{channel="SMS",col="messages",sql_job="x",status="SENT"} 7\n'
        'sql_deliveries{channel="SMS",col="messages",le="1"} 3\n'
    )
    wanted = {("depth_messages", ("sms", "sent")): 7.0, ("deliveries_messages", ("sms", "1")): 3.0}

    assert read_figures(ours, names_of_ours()) == wanted
    assert read_figures(postgres_exporter, names_of_peer()) == wanted
    assert read_figures(sql_exporter, names_of_peer()) == wanted


def test_series_that_differ_in_a_label_nobody_asked_for_are_added_up() -> None:
    page = (
        'outbound_dead_letters{channel="sms",error_code="30003",category="a"} 2\n'
        'outbound_dead_letters{channel="sms",error_code="30003",category="b"} 3\n'
    )
    assert read_figures(page, names_of_ours()) == {("dead_letters_messages", ("sms", "30003")): 5.0}


def test_gauges_are_compared_as_they_stand_and_counters_by_what_they_gained() -> None:
    gauge, counter = ("stuck_messages", ("queued",)), ("outcomes_sent", ("sms",))
    ours = Pages({counter: 0.0, gauge: 4.0}, {counter: 10.0, gauge: 5.0})
    theirs = Pages({counter: 990.0, gauge: 0.0}, {counter: 1000.0, gauge: 5.0})
    assert compare(ours, theirs) == (2, [])

    fallen = Pages(theirs.before, {counter: 1001.0, gauge: 6.0})
    number, differing = compare(ours, fallen)
    assert number == 2
    assert [line.split("[")[0] for line in differing] == ["outcomes_sent", "stuck_messages"]


def test_a_series_that_only_one_of_them_has_differs_unless_it_is_zero() -> None:
    key = ("retries_messages", ("email",))
    empty = Pages({}, {})
    assert compare(Pages({}, {key: 0.0}), empty) == (1, [])
    assert len(compare(Pages({}, {key: 1.0}), empty)[1]) == 1
    assert len(compare(empty, Pages({}, {key: 1.0}))[1]) == 1


def test_every_peer_is_asked_every_question_in_the_runbooks_words() -> None:
    columns = {name for question in QUESTIONS for name in (*question.labels, *question.answers)}
    for_postgres = yaml.safe_load(write_postgres_exporter(QUESTIONS))
    [job] = yaml.safe_load(write_sql_exporter(DATABASE, QUESTIONS))["jobs"]
    for_query = yaml.safe_load(write_query_exporter(DATABASE, QUESTIONS))

    for question in QUESTIONS:
        assert for_postgres[question.name]["query"] == question.statement
        assert question.statement in for_query["queries"][question.name]["sql"]
    assert [query["query"] for query in job["queries"]] == [q.statement for q in QUESTIONS]
    found = {n for query in for_postgres.values() for metric in query["metrics"] for n in metric}
    assert found == columns
    assert set(for_query["metrics"]) == set(names_of_peer())


def test_a_ratio_is_the_median_of_the_rounds_and_leaves_out_what_was_too_little_to_see() -> None:
    def spent(wall_ms: float, cpu_ms: float) -> Spent:
        return Spent(wall_ms=wall_ms, server_ms=0.0, cpu_ms=cpu_ms, blocks=0.0)

    ours = [spent(1.0, 0.0), spent(2.0, 0.0), spent(4.0, 10.0)]
    theirs = [spent(100.0, 10.0), spent(100.0, 20.0), spent(100.0, 30.0)]
    assert divide(theirs, ours, "wall_ms") == 50.0
    assert divide(theirs, ours, "cpu_ms") == 3.0
    assert divide(theirs[:2], ours[:2], "cpu_ms") is None


def test_scrapes_are_compared_at_their_tails() -> None:
    assert ScrapeTimes(1.0, 1.0, 2.0, 5.0).ratio == 2.5


def test_every_file_of_a_stopped_server_is_dropped_from_memory(tmp_path: Path) -> None:
    tmp_path.joinpath("base", "1").mkdir(parents=True)
    for name in ("a", "base/b", "base/1/c"):
        tmp_path.joinpath(name).write_bytes(b"x" * 8192)
    assert drop_cached(tmp_path) == 3


def test_a_peer_that_is_not_installed_is_a_mistake_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(UserMistake, match="bench"):
        start_query_exporter(tmp_path / "query-exporter.yml", 9560)
