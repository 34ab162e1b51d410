"""The arithmetic of the exporter's benchmarks: what a wrong figure would come from."""

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from benchmarks.exporter import GOALS
from benchmarks.exporter_stand import drop_cached
from benchmarks.fault_matrix import (
    BEFORE,
    FAULTS,
    HEALED,
    SERIES_LIMIT,
    Fault,
    Sight,
    describe,
    judge,
    read_sight,
)
from benchmarks.peers import (
    start_query_exporter,
    write_postgres_exporter,
    write_query_exporter,
    write_sql_exporter,
)
from benchmarks.questions import (
    QUESTIONS,
    Key,
    Pages,
    compare,
    names_of_ours,
    names_of_peer,
    read_figures,
)
from benchmarks.refreshes import Spent, answers_all, divide
from benchmarks.report import Report
from benchmarks.scrapes import ScrapeTimes
from benchmarks.write_cost import divide_turns
from outbound_slo.vocabulary.mistakes import UserMistake

KEYS = [
    "wall_vs_postgres_exporter",
    "wall_vs_query_exporter",
    "db_cpu_vs_postgres_exporter",
    "growth_100k_to_10m",
    "cold_vs_naive",
    "write_cost_single",
    "write_cost_batched",
    "install_lock_wait_ms",
    "mismatches",
    "watched_refresh",
    "watched_refresh_100k",
    "scrape_vs_empty_page",
]
DATABASE = "postgresql://postgres@127.0.0.1:5432/outbox"


def test_the_last_line_has_exactly_these_keys(
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


def test_turns_that_were_too_short_for_the_clock_are_no_ratio() -> None:
    assert divide_turns([(0.0, 5.0), (100.0, 130.0), (100.0, 150.0)]) == 1.4
    assert divide_turns([(0.0, 5.0)]) is None


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


def test_a_page_is_complete_when_every_question_has_an_answer() -> None:
    figures: dict[Key, float] = {(series, ()): 0.0 for series in names_of_peer()}
    assert answers_all(figures)
    figures.popitem()
    assert not answers_all(figures)


def seen(at: float, states: Mapping[str, float], counter: float = 30.0) -> Sight:
    return Sight(at, states, len(states), counter, None)


def find_fault(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)


def test_the_matrix_has_the_twelve_faults_of_the_acceptance_text() -> None:
    assert [fault.name for fault in FAULTS] == [
        "database down",
        "database restarted",
        "database slow",
        "permission revoked",
        "column renamed",
        "NULL",
        "zero rows",
        "duplicate rows",
        "100,000 labels",
        "NaN",
        "rows purged",
        "query never ends",
    ]


@pytest.mark.parametrize(
    ("fault", "sight", "text"),
    [
        ("database down", seen(0, BEFORE), "old numbers"),
        ("database down", seen(0, {}), "right"),
        ("database down", Sight(0, {}, 0, None, None, answered=False), "no page"),
        ("database slow", seen(0, {"new": 20.0, "sent": 1.0}), "right"),
        ("database slow", seen(0, {}), "nothing"),
        ("NULL", seen(0, {"sent": 1.0}), "right"),
        ("NULL", seen(0, {"new": 0.0, "sent": 1.0}), "wrong numbers"),
        ("zero rows", seen(0, {"new": 0.0}), "right"),
        ("zero rows", seen(0, BEFORE), "old numbers"),
        ("duplicate rows", seen(0, {"new": 7.0, "sent": 1.0}), "wrong numbers"),
        ("NaN", seen(0, {"new": math.nan, "sent": 1.0}), "NaN"),
        ("rows purged", seen(0, BEFORE), "right"),
        ("rows purged", seen(0, BEFORE, counter=5.0), "counter fell"),
    ],
)
def test_what_a_page_shows_during_a_fault_has_a_name(fault: str, sight: Sight, text: str) -> None:
    assert describe(find_fault(fault), sight) == text


def test_an_explosion_is_counted_and_not_read() -> None:
    page = "".join(f'trial{{state="s{n}"}} 1\n' for n in range(SERIES_LIMIT + 1))
    sight = read_sight(0.0, page)
    assert (sight.series, sight.states) == (SERIES_LIMIT + 1, {})
    assert describe(find_fault("100,000 labels"), sight) == f"{SERIES_LIMIT + 1} series"


def test_the_pages_of_all_exporters_are_read_alike() -> None:
    ours = 'trial{state="new"} 2\nseen_total 30\nclock 5\n'
    theirs = 'sql_trial{col="trial",state="new"} 2\nsql_seen{col="seen"} 30\nsql_clock{a="b"} 5\n'
    assert (
        read_sight(1.0, ours) == read_sight(1.0, theirs) == Sight(1.0, {"new": 2.0}, 1, 30.0, 5.0)
    )


def test_what_stands_on_a_page_counts_until_the_next_look() -> None:
    sights = [
        seen(9.5, BEFORE),
        seen(10.5, BEFORE),
        seen(12.0, BEFORE),
        seen(15.0, {}),
        seen(21.0, {}),
        seen(23.0, HEALED),
    ]
    course = judge(find_fault("permission revoked"), sights, [0.5, 3.0], began=10.0, ended=20.0)
    assert course.shown == ["old numbers", "right"]
    assert course.wrong_s == 5.0
    assert course.neighbour_age_s == 3.0
    assert course.healed_s == 3.0


def test_a_page_that_is_never_right_again_has_not_healed() -> None:
    course = judge(find_fault("NULL"), [seen(1.0, BEFORE), seen(11.0, {})], [], 0.0, 10.0)
    assert course.wrong_s == 10.0
    assert course.healed_s is None
    assert course.neighbour_age_s is None
