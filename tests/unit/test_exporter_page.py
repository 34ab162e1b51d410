"""The page passes the strict parsers, whatever label values the database holds."""

import math
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from exporter.collector import Clock, QueryRun, Refresh
from exporter.failures import Failure, Reason
from exporter.loader import load_pack
from exporter.memory import Memory
from exporter.own_metrics import ConfigState
from exporter.pack import Pack, Parts, Series
from exporter.page import Page, Passages, render
from exporter.publication import Publication
from exporter.target import own_target
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.metrics import METRICS, QUERY_ERRORS, MetricKind, Origin
from tests.exporter_parts import parse_openmetrics, pick, read_openmetrics, read_page, read_text

PACK = load_pack("outbound", ErrorPolicy.RUNBOOK)
TARGET = own_target("", [PACK])
BROKEN = Failure(Reason.TIMEOUT, "too slow")


def make_refresh(pack: Pack, made: dict[str, Series], failure: Failure | None = None) -> Refresh:
    runs = []
    for query in pack.queries:
        series = {metric.name: made.get(metric.name, {}) for metric in pack.fed_by(query.name)}
        runs.append(
            QueryRun(
                pack.name,
                query.name,
                0.01,
                3,
                MappingProxyType({} if failure else series),
                failure,
            )
        )
    return Refresh(1_700_000_000.5, 0.25, reached=failure is None, runs=tuple(runs))


def make_numbers(pack: Pack) -> dict[str, Series]:
    made: dict[str, Series] = {}
    for metric in pack.metrics:
        labels = metric.zero_fill[0] if metric.zero_fill else ("x",) * len(metric.labels)
        parts: Parts = tuple(float(n) for n in range(metric.part_count))
        made[metric.name] = {labels: parts}
    return made


def render_once(made: dict[str, Series]) -> Page:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(PACK, made), 100.0)
    return render([memory], ConfigState(), 100.0)


def test_both_strict_parsers_read_the_same_numbers() -> None:
    page = render_once(make_numbers(PACK))
    text = read_text(page.text.plain.decode())

    assert text == read_openmetrics(page.openmetrics.plain.decode())
    assert len(text) > len(PACK.metrics)


def test_every_metric_of_the_exporter_is_on_the_page_under_its_name_and_type() -> None:
    page = render_once(make_numbers(PACK)).text.plain.decode()
    types = dict(
        line.removeprefix("# TYPE ").rsplit(" ", 1)
        for line in page.splitlines()
        if line.startswith("# TYPE ")
    )

    expected = {m.name: m.kind.value for m in METRICS.values() if m.origin is Origin.EXPORTER}
    assert types == expected


def test_help_on_the_page_is_the_vocabularys() -> None:
    page = render_once(make_numbers(PACK)).text.plain.decode()

    for metric in METRICS.values():
        if metric.origin is Origin.EXPORTER:
            assert f"# HELP {metric.name} {metric.help}" in page


def test_buckets_are_cumulative_and_end_with_infinity_and_the_count() -> None:
    text = read_page(render_once(make_numbers(PACK)))
    name = "outbound_send_latency_seconds"
    buckets = {
        float(dict(labels)["le"]): value
        for (sample, labels), value in text.items()
        if sample == f"{name}_bucket"
    }
    ordered = [buckets[edge] for edge in sorted(buckets)]

    # Parts are 0, 1, 2, … per bucket, then the sum.
    assert ordered == [float(n * (n + 1) // 2) for n in range(len(ordered))]
    assert max(buckets) == math.inf
    whatsapp = frozenset({("channel", "whatsapp")})
    assert text[f"{name}_count", whatsapp] == ordered[-1]
    assert text[f"{name}_sum", whatsapp] == len(ordered)


@given(st.dictionaries(st.tuples(st.text()), st.tuples(st.floats(allow_nan=False)), max_size=5))
def test_hostile_label_values_survive_the_page(
    series: dict[tuple[str, ...], tuple[float, ...]],
) -> None:
    page = render_once({"whatsapp_quota_used": series})
    used = pick(read_page(page), "whatsapp_quota_used")

    assert {dict(labels)["org_id"]: value for labels, value in used.items()} == {
        org: value for (org,), (value,) in series.items()
    }


def test_before_the_first_refresh_the_page_says_that_the_database_is_not_up() -> None:
    text = read_page(render([Memory([PACK], patience_s=30)], ConfigState(), 0.0))

    assert text["outbound_exporter_database_up", frozenset()] == 0.0
    assert text["outbound_exporter_snapshot_timestamp_seconds", frozenset()] == 0.0
    assert not any(name.startswith("outbound_message") for name, _ in text)


def test_every_reason_of_every_query_has_an_error_count_from_the_start() -> None:
    text = read_page(render([Memory([PACK], patience_s=30)], ConfigState(), 0.0))
    counted = [value for (name, _), value in text.items() if name == QUERY_ERRORS.name]

    assert counted == [0.0] * (len(PACK.queries) * len(Reason))


def test_a_failure_is_on_the_page_with_its_reason() -> None:
    memory = Memory([PACK], patience_s=30)
    memory.take(make_refresh(PACK, {}, BROKEN), 100.0)
    text = read_page(render([memory], ConfigState(), 100.0))
    query = frozenset({("pack", "outbound"), ("query", "stuck")})

    assert text["outbound_exporter_query_success", query] == 0.0
    assert text[QUERY_ERRORS.name, query | {("reason", "timeout")}] == 1.0
    assert text[QUERY_ERRORS.name, query | {("reason", "schema")}] == 0.0


def test_a_page_that_nobody_refreshes_loses_its_numbers_by_itself() -> None:
    now = [0.0]
    clock = Clock(wall=lambda: 0.0, steady=lambda: now[0])
    publication = Publication([TARGET], 30, clock)
    publication.publish(TARGET, make_refresh(PACK, make_numbers(PACK)))

    now[0] = 59.0
    assert b"\noutbound_message_queue_depth{" in publication.page().text.plain
    now[0] = 60.0
    assert b"\noutbound_message_queue_depth{" not in publication.page().text.plain
    assert b"\noutbound_message_queue_depth{" not in publication.page().openmetrics.plain


def test_between_refreshes_every_reader_gets_the_same_page() -> None:
    clock = Clock(wall=lambda: 0.0, steady=lambda: 0.0)
    publication = Publication([TARGET], 30, clock)
    publication.publish(TARGET, make_refresh(PACK, make_numbers(PACK)))

    assert publication.page() is publication.page()


def test_a_runbooks_gauge_may_end_in_total() -> None:
    families = {
        f.name: f
        for f in parse_openmetrics(render_once(make_numbers(PACK)).openmetrics.plain.decode())
    }

    assert families["outbound_message_stuck_total"].type == MetricKind.GAUGE.value


@given(
    st.lists(
        st.tuples(
            st.sets(st.sampled_from([metric.name for metric in PACK.metrics]), max_size=3),
            st.booleans(),
            st.integers(1, 100),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_a_page_that_takes_over_passages_is_the_page_made_anew(
    story: list[tuple[set[str], bool, int]],
) -> None:
    memory = Memory([PACK], patience_s=30)
    made, now = make_numbers(PACK), 100.0
    passages: Passages = {}
    for changing, fails, seconds in story:
        for name in changing:
            made[name] = {
                key: tuple(part + 1 for part in parts) for key, parts in made[name].items()
            }
        # As from the database: equal, and never the same objects.
        fresh: dict[str, Series] = {name: dict(series) for name, series in made.items()}
        memory.take(make_refresh(PACK, fresh, BROKEN if fails else None), now)
        page = render([memory], ConfigState(), now, passages)
        anew = render([memory], ConfigState(), now)

        assert page.text.plain == anew.text.plain
        assert page.openmetrics.plain == anew.openmetrics.plain
        passages, now = page.passages, now + seconds


def test_what_did_not_change_is_not_written_again() -> None:
    memory = Memory([PACK], patience_s=30)
    made = make_numbers(PACK)
    memory.take(make_refresh(PACK, made), 100.0)
    first = render([memory], ConfigState(), 100.0).passages
    more = dict(made)
    name = "outbound_message_stuck_total"
    more[name] = {key: (parts[0] + 1,) for key, parts in made[name].items()}
    memory.take(make_refresh(PACK, more), 101.0)
    second = render([memory], ConfigState(), 101.0, first).passages

    assert len(first) > 30
    written = {
        metric for (metric, target) in first if second[metric, target] is not first[metric, target]
    }
    assert written == {name}
