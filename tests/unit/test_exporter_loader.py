"""A malformed pack is told in one line: the file, the key, the value, the mend."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.loader import load_pack, load_packs
from exporter.pack import (
    Exemplars,
    FromMetric,
    FromQuery,
    LabelMap,
    PackDatabase,
    Requirements,
    RunsOn,
    WhenFull,
    WhenNull,
    WhenStale,
)
from exporter.schedule import Cron, Every
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.metrics import MetricKind
from outbound_slo.vocabulary.mistakes import UserMistake

POLICY = ErrorPolicy.RUNBOOK
SQL = """
-- name: parcels
-- Parcels by state.
SELECT state, count(*) AS parcels FROM parcel GROUP BY state;

-- name: waits
SELECT edge, count(*) AS parcels, sum(seconds) AS seconds FROM wait GROUP BY edge
"""
Document = dict[str, Any]


def make_document() -> Document:
    return {
        "pack": "post",
        "description": "A post office.",
        "defaults": {"timeout_ms": 500, "absent_after_s": 30, "max_series": 20},
        "label_sets": {"states": ["new", "gone"], "codes": {"catalogue": "sms_error_codes"}},
        "queries": {
            "parcels": {"file": "post.sql", "requires": ["parcel"]},
            "waits": {"file": "post.sql", "timeout_ms": 9},
        },
        "metrics": [
            {
                "name": "parcels",
                "type": "gauge",
                "help": "Parcels.",
                "labels": ["state", "mood"],
                "query": "parcels",
                "value": "parcels",
                "derive": {"mood": {"from": "state", "values": {"gone": "sad"}, "default": "calm"}},
                "zero_fill": [{"state": "states"}],
            },
            {
                "name": "wait_seconds",
                "type": "histogram",
                "help": "Seconds.",
                "query": "waits",
                "value": "parcels",
                "bucket": "edge",
                "total": "seconds",
                "buckets": [1, 5],
                "absent_after_s": 0,
            },
        ],
        "compat": [
            {
                "name": "gone_parcels",
                "type": "gauge",
                "help": "Parcels that are gone.",
                "of": "parcels",
                "where": {"state": ["gone"]},
            }
        ],
    }


def write_pack(folder: Path, document: Document, sql: str = SQL) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "pack.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "post.sql").write_text(sql)
    return str(folder)


def test_a_sound_pack_becomes_queries_and_metrics(tmp_path: Path) -> None:
    pack = load_pack(write_pack(tmp_path / "post", make_document()), POLICY)

    parcels, waits = pack.queries
    assert parcels.sql.endswith("GROUP BY state")
    assert (parcels.timeout_s, parcels.client_timeout_s) == (0.5, 2.5)
    assert parcels.requires == Requirements(tables={"parcel": ()})
    assert (waits.timeout_s, waits.requires) == (0.009, Requirements())
    assert (parcels.schedule, parcels.runs_on, parcels.databases) == (None, RunsOn.ANY, ())
    gauge, histogram, alias = pack.metrics
    assert gauge.source == FromQuery("parcels", "parcels")
    assert gauge.derived == {"mood": LabelMap("state", {"gone": "sad"}, "calm")}
    assert gauge.zero_fill == (("new", "calm"), ("gone", "sad"))
    assert (gauge.max_series, gauge.absent_after_s) == (20, 30)
    assert histogram.kind is MetricKind.HISTOGRAM
    assert histogram.buckets == (1.0, 5.0)
    assert histogram.absent_after_s == 0
    assert alias.source == FromMetric("parcels", {"state": frozenset({"gone"})})
    assert (alias.compat, gauge.compat) == (True, False)


def make_rich_document() -> Document:
    """Use every key that has a default."""
    document = make_document()
    document["defaults"] |= {"interval_s": 20, "when_null": "zero", "when_stale": "zero"}
    document["databases"] = {
        "north": {"url": "${NORTH_URL}", "labels": {"site": "n"}},
        "south": {"url": "${file:/run/secrets/south}", "labels": {"site": "s"}},
    }
    parcels, waits = document["queries"]["parcels"], document["queries"]["waits"]
    parcels |= {"cron": "0 3 * * *", "databases": ["north"], "runs_on": "primary"}
    parcels["requires"] = {
        "tables": {"parcel": ["state"]},
        "privileges": {"parcel": ["SELECT", "DELETE"]},
        "extensions": ["pg_trgm"],
        "indexes": {"parcel_state": "CREATE INDEX CONCURRENTLY parcel_state ON parcel (state)"},
    }
    waits["client_timeout_ms"] = 50
    document["metrics"][0] |= {"when_null": "fail", "when_full": "drop", "when_stale": "hold"}
    document["metrics"][1] |= {
        "unit": "seconds",
        "exemplars": {"query": "parcels", "labels": {"trace_id": "t"}, "value": "v", "at": "a"},
    }
    return document


def test_every_key_of_a_rich_pack_arrives(tmp_path: Path) -> None:
    pack = load_pack(write_pack(tmp_path / "post", make_rich_document()), POLICY)

    parcels, waits = pack.queries
    gauge, histogram, alias = pack.metrics
    assert pack.databases == (
        PackDatabase("north", "${NORTH_URL}", {"site": "n"}),
        PackDatabase("south", "${file:/run/secrets/south}", {"site": "s"}),
    )
    assert (parcels.schedule, parcels.databases) == (Cron("0 3 * * *"), ("north",))
    assert parcels.runs_on is RunsOn.PRIMARY
    assert parcels.requires == Requirements(
        tables={"parcel": ("state",)},
        privileges={"parcel": ("SELECT", "DELETE")},
        extensions=("pg_trgm",),
        indexes={"parcel_state": "CREATE INDEX CONCURRENTLY parcel_state ON parcel (state)"},
    )
    assert (waits.schedule, waits.client_timeout_s, waits.databases) == (Every(20.0), 0.05, ())
    assert (gauge.when_null, gauge.when_full) == (WhenNull.FAIL, WhenFull.DROP)
    assert (gauge.when_stale, alias.when_stale) == (WhenStale.HOLD, WhenStale.HOLD)
    # The default 'zero' is for gauges: a histogram at zero would be a counter that fell.
    assert (histogram.when_stale, histogram.when_null) == (WhenStale.ABSENT, WhenNull.ZERO)
    assert histogram.unit == "seconds"
    assert histogram.exemplars == Exemplars("parcels", {"trace_id": "t"}, "v", "a")


def test_leaving_out_compat_names_leaves_their_base(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "post", make_document())

    (pack,) = load_packs([folder], POLICY, compat=False)

    assert [metric.name for metric in pack.metrics] == ["parcels", "wait_seconds"]


def _set(*steps: str | int, to: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        target: Any = document
        for step in steps[:-1]:
            target = target[step]
        target[steps[-1]] = to

    return change


def _drop(*steps: str | int) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        target: Any = document
        for step in steps[:-1]:
            target = target[step]
        del target[steps[-1]]

    return change


def _both(*changes: Callable[[Document], None]) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for one in changes:
            one(document)

    return change


MISTAKES: list[tuple[Callable[[Document], None], str, str]] = [
    (_drop("queries"), "pack.yml lacks queries", "Add queries"),
    (_set("pack", to="Post Office"), 'pack is "Post Office"', "lower-case"),
    (_set("mertics", to=[]), "key mertics", "Did you mean metrics?"),
    (_set("colour", to="red"), "key colour", "known keys: compat, databases"),
    (_set("metrics", to=[]), "metrics is []", "the pack's metrics"),
    (_set("metrics", 0, "type", to="guage"), 'metrics[0].type is "guage"', "gauge, counter"),
    (_set("metrics", 0, "name", to="no spaces"), 'metrics[0].name is "no spaces"', "metric name"),
    (_set("metrics", 0, "labels", to=["le"]), 'metrics[0].labels[0] is "le"', "not le"),
    (_set("metrics", 0, "help", to=7), "metrics[0].help is 7", "one line"),
    (_drop("metrics", 0, "query"), "neither or both of query and of", "exactly one"),
    (_set("metrics", 0, "of", to="x"), "neither or both of query and of", "exactly one"),
    (_set("metrics", 0, "query", to="parcel"), "metrics[0].query is parcel", "parcels, waits"),
    (_drop("metrics", 0, "value"), "metrics[0] is a gauge and lacks value", "Add value"),
    (_drop("metrics", 1, "bucket"), "metrics[1] is a histogram and lacks bucket", "Add bucket"),
    (_set("metrics", 0, "bucket", to="x"), "metrics[0].bucket means nothing", "Remove it"),
    (_set("metrics", 0, "where", to={}), "metrics[0].where goes with 'of' only", "query"),
    (_set("metrics", 0, "type", to="counter"), "metrics[0].name is parcels", "ends in _total"),
    (_set("metrics", 1, "buckets", to=[5, 1]), "metrics[1].buckets is [5, 1]", "Sort it"),
    (_set("metrics", 1, "buckets", 1, to=float("inf")), "metrics[1].buckets is", "infinity"),
    (_set("metrics", 1, "name", to="parcels"), "metrics[1].name is parcels", "another name"),
    (_set("compat", 0, "name", to="wait_seconds_sum"), "compat[0].name is", "another name"),
    (_set("compat", 0, "of", to="nobody"), "compat[0].of is nobody", "stands before"),
    (_set("compat", 0, "type", to="info"), "compat[0].name is gone_parcels", "ends in _info"),
    (
        _both(_set("compat", 0, "type", to="counter"), _set("compat", 0, "name", to="x_total")),
        "compat[0].type is counter but parcels is a gauge",
        "Make it gauge",
    ),
    (_set("compat", 0, "labels", to=["x"]), "compat[0].labels has x", "Use some of: state"),
    (_set("compat", 0, "where", to={"x": ["y"]}), "compat[0].where has x", "one of its labels"),
    (_set("compat", 0, "where", to={"state": "z"}), 'compat[0].where.state is "z"', "states"),
    (_set("compat", 0, "value", to="x"), "compat[0].value comes from parcels", "Remove it"),
    (_set("metrics", 0, "derive", "x", to={"from": "state", "values": {}}), "derive.x", "Add x"),
    (
        _set("metrics", 0, "derive", "mood", "from", to="mood"),
        "metrics[0].derive.mood.from is mood",
        "a label that a column gives",
    ),
    (
        _set("metrics", 0, "derive", "mood", to={"from": "state", "catalogue": "moods"}),
        'metrics[0].derive.mood.catalogue is "moods"',
        "error_categories",
    ),
    (
        _set("metrics", 0, "zero_fill", 0, to={"mood": ["calm"]}),
        "metrics[0].zero_fill[0] has the labels mood",
        "exactly: state",
    ),
    (
        _set("metrics", 0, "zero_fill", 0, "state", to="stats"),
        'metrics[0].zero_fill[0].state is "stats"',
        "Known label sets: states, codes",
    ),
    (_set("label_sets", "states", to=[True]), "label_sets.states[0] is true", "as a string"),
    (
        _set("label_sets", "codes", "catalogue", to="fax"),
        'label_sets.codes.catalogue is "fax"',
        "sms_error_codes",
    ),
    (_set("queries", "parcels", "file", to="post.txt"), "queries.parcels.file", "an .sql file"),
    (_set("queries", "parcels", "file", to="gone.sql"), "gone.sql, which is not there", "name"),
    (_set("queries", "other", to={"file": "post.sql"}), "has no block other", "-- name: other"),
    (_set("queries", "parcels", "timeout_ms", to=0), "queries.parcels.timeout_ms is 0", "1 to"),
    (_set("defaults", "max_series", to="many"), 'defaults.max_series is "many"', "label sets"),
    (_drop("metrics", 1), "queries.waits feeds no metric", "Remove it or use it"),
    (_set("queries", "waits", "cron", to="at noon"), 'waits.cron is "at noon"', "0 3 * * *"),
    (_set("queries", "waits", "cron", to="0 0 31 2 *"), 'waits.cron is "0 0 31 2', "minute"),
    (
        _both(
            _set("queries", "waits", "cron", to="0 3 * * *"),
            _set("queries", "waits", "interval_s", to=9),
        ),
        "queries.waits has both interval_s and cron",
        "Give one",
    ),
    (_set("queries", "waits", "interval_s", to=0), "waits.interval_s is 0", "0.1 to"),
    (_set("queries", "waits", "client_timeout_ms", to=8), "client_timeout_ms is 8", "more than"),
    (_set("queries", "waits", "databases", to=["x"]), 'databases[0] is "x"', "add 'databases'"),
    (_set("queries", "waits", "runs_on", to="both"), 'waits.runs_on is "both"', "primary"),
    (
        _set("queries", "waits", "requires", to={"table": []}),
        "requires has the key table",
        "tables?",
    ),
    (
        _set("queries", "waits", "requires", to={"privileges": {"wait": ["ALL"]}}),
        'requires.privileges.wait[0] is "ALL"',
        "SELECT, INSERT",
    ),
    (
        _set("queries", "waits", "requires", to={"indexes": {"i": "DROP TABLE wait"}}),
        "requires.indexes.i is",
        "begins with CREATE INDEX",
    ),
    (_set("databases", to={"a": {}}), "databases.a lacks url", "Add url"),
    (_set("databases", to={"a": {"url": "$PG"}}), "databases.a.url has a $ that", "${NAME}"),
    (_set("databases", to={"a": {"url": "${a b}"}}), 'has the reference "${a b}"', "${file:"),
    (
        _set("databases", to={"a": {"url": "x", "labels": {"database": "b"}}}),
        "databases.a.labels.database is always a",
        "Remove it",
    ),
    (
        _set("databases", to={"a": {"url": "x", "labels": {"site": "s"}}, "b": {"url": "y"}}),
        "databases have different labels",
        "same label names",
    ),
    (
        _set("databases", to={"a": {"url": "x", "labels": {"state": "s"}}}),
        "metrics[0].labels has state",
        "another name",
    ),
    (_set("metrics", 1, "unit", to="bytes"), "metrics[1].unit is bytes", "wait_seconds_bytes"),
    (_set("metrics", 1, "when_stale", to="zero"), "metrics[1].when_stale is zero", "never falls"),
    (_set("metrics", 0, "when_stale", to="keep"), 'when_stale is "keep"', "absent, hold or zero"),
    (_set("metrics", 0, "when_null", to=0), "metrics[0].when_null is 0", "absent, zero or fail"),
    (_set("metrics", 0, "when_full", to="x"), 'metrics[0].when_full is "x"', "fail"),
    (_set("compat", 0, "when_null", to="zero"), "compat[0].when_null comes from", "Remove it"),
    (
        _set("metrics", 0, "exemplars", to={"query": "waits", "labels": {"trace_id": "t"}}),
        "metrics[0].exemplars stands at a gauge",
        "counters and histograms",
    ),
    (
        _set("metrics", 1, "exemplars", to={"query": "wait", "labels": {"trace_id": "t"}}),
        "metrics[1].exemplars.query is wait,",
        "parcels, waits",
    ),
    (
        _set("metrics", 1, "exemplars", to={"query": "waits", "labels": {"trace_id": "t"}}),
        "metrics[1].exemplars lacks value",
        "Add value",
    ),
]


@pytest.mark.parametrize(("change", "what", "mend"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_in_a_pack_is_named_with_its_mend(
    tmp_path: Path, change: Callable[[Document], None], what: str, mend: str
) -> None:
    document = make_document()
    change(document)
    folder = write_pack(tmp_path / "post", document)

    with pytest.raises(UserMistake) as caught:
        load_pack(folder, POLICY)

    assert what in caught.value.what
    assert mend in caught.value.mend
    assert f"{folder}/pack.yml" in caught.value.what
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("pack: [1,", "line 1: "),
        ("pack: a\npack: b\n", "line 2: the key pack stands twice"),
        ("? [a]\n: b\n", "line 1: a key is a list or a mapping"),
        ("just words", 'pack.yml is "just words"'),
        ("", "pack.yml is null"),
        ("[" * 900, "pack.yml is nested too deeply"),
    ],
)
def test_text_that_is_no_document_is_named_with_its_line(
    tmp_path: Path, text: str, what: str
) -> None:
    (tmp_path / "pack.yml").write_text(text)

    with pytest.raises(UserMistake) as caught:
        load_pack(str(tmp_path), POLICY)

    assert what in str(caught.value)


def test_bytes_that_are_no_text_are_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "pack.yml").write_bytes(b"pack: \xff\xfe")

    with pytest.raises(UserMistake, match="UTF-8"):
        load_pack(str(tmp_path), POLICY)


def test_sql_before_the_first_name_is_a_users_mistake(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "post", make_document(), sql="SELECT 1;\n" + SQL)

    with pytest.raises(UserMistake, match="SQL before the first"):
        load_pack(folder, POLICY)


def test_an_unknown_pack_is_answered_with_those_that_exist() -> None:
    with pytest.raises(UserMistake, match="one of: outbound"):
        load_pack("inbound", POLICY)


def test_two_packs_may_not_claim_one_metric(tmp_path: Path) -> None:
    one = write_pack(tmp_path / "one", make_document())
    two = write_pack(tmp_path / "two", make_document() | {"pack": "post_two"})

    with pytest.raises(UserMistake, match="post and post_two both have a metric parcels"):
        load_packs([one, two], POLICY)


def test_two_packs_may_not_share_a_name(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "one", make_document())

    with pytest.raises(UserMistake, match="Two packs are called post"):
        load_packs([folder, folder], POLICY)
