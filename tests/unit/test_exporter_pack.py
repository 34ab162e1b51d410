"""The pack `outbound` agrees with the vocabulary, to the letter and in both directions."""

import pytest
from jsonschema import Draft202012Validator

from exporter.loader import load_pack, pack_schema
from exporter.pack import FromMetric, FromQuery, PackMetric
from outbound_slo.vocabulary import metrics as vocabulary
from outbound_slo.vocabulary.errors import ErrorPolicy, explain
from outbound_slo.vocabulary.metrics import (
    METRICS,
    ORGANISATION_FINISHED,
    Metric,
    MetricKind,
    Origin,
)
from outbound_slo.vocabulary.statuses import Channel, MessageStatus, StuckReason

OWN_PREFIX = "outbound_exporter_"
PACK = load_pack("outbound", ErrorPolicy.RUNBOOK)
BY_NAME = {metric.name: metric for metric in PACK.metrics}
EXPECTED = {
    name: metric
    for name, metric in METRICS.items()
    if metric.origin is Origin.EXPORTER and not name.startswith(OWN_PREFIX)
}


def test_the_pack_serves_exactly_what_the_vocabulary_expects_of_the_exporter() -> None:
    assert set(BY_NAME) == set(EXPECTED)


@pytest.mark.parametrize("expected", EXPECTED.values(), ids=lambda metric: metric.name)
def test_type_help_and_labels_are_the_vocabularys(expected: Metric) -> None:
    metric = BY_NAME[expected.name]

    assert (metric.kind, metric.help, metric.labels) == (
        expected.kind,
        expected.help,
        expected.labels,
    )


def test_the_compat_block_holds_the_runbooks_names_and_nothing_else() -> None:
    compat = {metric.name for metric in PACK.metrics if metric.compat}

    assert compat == {name for name, metric in EXPECTED.items() if metric.alias_of}


def test_a_runbooks_name_repeats_the_metric_that_the_vocabulary_says() -> None:
    sources = {
        metric.name: metric.source.metric
        for metric in PACK.metrics
        if metric.compat and isinstance(metric.source, FromMetric)
    }
    # This one counts each stuck message once, which no sum over overlapping reasons can.
    assert set(EXPECTED) - {vocabulary.STUCK_TOTAL.name} >= set(sources)
    assert sources == {name: METRICS[name].alias_of for name in sources}
    assert vocabulary.STUCK_TOTAL.name not in sources


def test_without_compat_neither_the_names_nor_their_queries_remain() -> None:
    lean = PACK.without_compat()

    assert {metric.name for metric in lean.metrics} == {
        name for name, metric in EXPECTED.items() if not metric.alias_of
    }
    assert "stuck_messages" not in {query.name for query in lean.queries}


@pytest.mark.parametrize(
    ("metric", "edges"),
    [
        (vocabulary.SEND_LATENCY, vocabulary.SEND_LATENCY_BUCKETS),
        (vocabulary.DELIVERY_LATENCY, vocabulary.DELIVERY_LATENCY_BUCKETS),
        (vocabulary.DELIVERY_DURATION, vocabulary.DELIVERY_LATENCY_BUCKETS),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else "",
)
def test_histograms_have_the_vocabularys_edges(metric: Metric, edges: tuple[float, ...]) -> None:
    assert BY_NAME[metric.name].buckets == edges


def _zero_filled(metric: Metric, label: str) -> set[str]:
    filled = BY_NAME[metric.name]
    position = filled.labels.index(label)
    return {values[position] for values in filled.zero_fill}


def test_every_channel_and_status_has_a_depth_from_the_start() -> None:
    expected = {(c.label, s.label) for c in Channel for s in MessageStatus}

    assert set(BY_NAME[vocabulary.QUEUE_DEPTH.name].zero_fill) == expected


def test_every_reason_for_being_stuck_is_on_the_page_from_the_start() -> None:
    assert _zero_filled(vocabulary.STUCK, "reason") == {reason.value for reason in StuckReason}
    assert _zero_filled(vocabulary.STUCK, "channel") == {channel.label for channel in Channel}


@pytest.mark.parametrize("code", ["131016", "130", "132069", "timeout", "unknown"])
@pytest.mark.parametrize("metric", [vocabulary.ATTEMPTS, vocabulary.FINISHED], ids=lambda m: m.name)
def test_failures_of_every_known_code_start_at_zero(metric: Metric, code: str) -> None:
    filled = BY_NAME[metric.name]

    assert ("whatsapp", "failed", code) in filled.zero_fill
    assert filled.labels == ("channel", "outcome", "error_code")


def test_providers_of_other_channels_lend_their_codes_to_their_own_channel_only() -> None:
    filled = BY_NAME[vocabulary.ATTEMPTS.name].zero_fill

    assert ("sms", "failed", "21211") in filled
    assert ("email", "failed", "sendgrid_503") in filled
    assert ("whatsapp", "failed", "21211") not in filled
    assert ("email", "failed", "21211") not in filled


@pytest.mark.parametrize("policy", ErrorPolicy)
def test_rate_limit_hits_are_the_failures_that_the_policy_calls_rate_limits(
    policy: ErrorPolicy,
) -> None:
    metrics = {metric.name: metric for metric in load_pack("outbound", policy).metrics}
    source = metrics[vocabulary.RATE_LIMIT_HITS.name].source
    assert isinstance(source, FromMetric)
    codes = source.where["error_code"]

    assert source.metric == vocabulary.ATTEMPTS.name
    assert source.where["outcome"] == {"failed"}
    assert {"130429", "http_429"} <= codes
    for code in codes - {"http_429"}:
        meaning = explain(code, policy)
        assert meaning is not None
        assert meaning.rate_limit
    assert "131026" not in codes


def test_the_two_policies_differ_in_what_a_dead_letters_category_is() -> None:
    name = vocabulary.DEAD_LETTERS.name
    categories = {}
    for policy in ErrorPolicy:
        metrics = {metric.name: metric for metric in load_pack("outbound", policy).metrics}
        categories[policy] = metrics[name].derived["category"].values
    differing = [
        code
        for code, category in categories[ErrorPolicy.RUNBOOK].items()
        if categories[ErrorPolicy.META][code] != category
    ]
    assert differing
    for code in differing:
        for policy in ErrorPolicy:
            meaning = explain(code, policy)
            assert meaning is not None
            assert categories[policy][code] == meaning.category.value


def test_a_code_in_no_catalogue_gets_the_category_unknown() -> None:
    rule = BY_NAME[vocabulary.DEAD_LETTERS.name].derived["category"]

    assert rule.value_for("never seen") == "Unknown"


def test_the_schema_is_a_valid_schema_and_describes_every_key() -> None:
    schema = dict(pack_schema())
    Draft202012Validator.check_schema(schema)

    undescribed = [
        f"{name}.{key}"
        for name, definition in {"pack": schema, **schema["$defs"]}.items()
        for key, entry in definition.get("properties", {}).items()
        if "description" not in entry and "$ref" not in entry
    ]
    assert undescribed == []


def test_every_query_names_the_tables_that_it_reads() -> None:
    for query in PACK.queries:
        assert query.requires.tables
        for table in query.requires.tables:
            assert table in query.sql


@pytest.mark.parametrize("metric", PACK.metrics, ids=lambda metric: metric.name)
def test_zero_filled_series_fit_under_the_maximum(metric: PackMetric) -> None:
    assert len(metric.zero_fill) <= metric.max_series
    if metric.kind is MetricKind.COUNTER and isinstance(metric.source, FromQuery):
        # Which organisations are watched only the database knows: its query fills in zeros.
        assert metric.zero_fill or metric.name == ORGANISATION_FINISHED.name
