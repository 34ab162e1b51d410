"""The row at the top, in every state of the world that it has a word for.

One Prometheus holds all worlds, each at hours of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from alerts.replay.tape import Series, Tape, sort_labels
from dashboards.triage import FIRST_ID
from dashboards.verdicts import NOBODY_WATCHED, PROVIDER, QUOTA_SPENT, US
from outbound_slo.embedded.binaries import Tools
from outbound_slo.vocabulary.alerts import Dashboard
from tests.dashboard_parts import DASHBOARDS, World, open_world

STEP_S = 60
STEPS = 80
APART_S = 4 * 3600
FIRST_S = 1_767_600_000

Key = str
ORG = "outbound_organisation_messages_finished_total"
DONE = "outbound_messages_finished_total"
PER_MINUTE = {
    f'{ORG}{{org_id="org-42",channel="whatsapp",outcome="failed"}}': 0.0,
    f'{ORG}{{org_id="org-7",channel="whatsapp",outcome="failed"}}': 0.0,
    f'{DONE}{{channel="whatsapp",outcome="failed",error_code="131026"}}': 0.0,
}
"""Growth of counters per minute."""

WELL: Mapping[Key, float | None] = {
    # A timestamp is given by its age.
    "outbound_exporter_snapshot_timestamp_seconds{}": -5.0,
    'up{job="outbound-exporter"}': 1.0,
    'outbound_senders{state="claiming"}': 2.0,
    'outbound_senders{state="idle"}': 0.0,
    "outbound_exporter_refresh_duration_seconds{}": 0.1,
    'outbound_exporter_query_success{pack="outbound",query="organisations"}': 1.0,
    'outbound_database_oldest_snapshot_seconds{holder="transaction"}': 1.0,
    'outbound_oldest_message_age_seconds{channel="whatsapp",state="due"}': 2.0,
    'outbound_channel_paused{channel="whatsapp"}': 0.0,
    'outbound_message_queue_depth{channel="whatsapp",status="queued"}': 3.0,
    'outbound_message_queue_depth{channel="sms",status="queued"}': 0.0,
    'resilience4j_circuitbreaker_state{name="whatsapp",instance="a"}': 0.0,
    'resilience4j_circuitbreaker_state{name="whatsapp",instance="b"}': 0.0,
    'channel:outbound_attempts_failed:ratio5m{channel="whatsapp"}': 0.01,
    'channel:outbound_attempts:increase5m{channel="whatsapp"}': 500.0,
    'channel:outbound_provider_call:p95_5m{channel="whatsapp"}': 0.3,
    'channel:outbound_provider_call:count5m{channel="whatsapp"}': 500.0,
    'whatsapp_quota_used{org_id="org-42"}': 10.0,
    'whatsapp_quota_limit{org_id="org-42"}': 100.0,
    'ALERTS{alertname="Watchdog",alertstate="firing",severity="none"}': 1.0,
}


@dataclass(frozen=True)
class Case:
    """What differs from a world that is well, and what one tile answers then."""

    name: str
    tile: int
    answer: tuple[float, ...]
    differs: Mapping[Key, float | None] = field(default_factory=dict)
    growth: Mapping[Key, float | None] = field(default_factory=dict)
    whose: str = ""


def _find(part: str) -> Key:
    [key] = [key for key in (*WELL, *PER_MINUTE) if part in key]
    return key


_RATIO, _ATTEMPTS = _find("failed:ratio5m"), _find("attempts:increase5m")
_A = _find('instance="a"')
_ORG_42, _ORG_7, _ALL = _find('{org_id="org-42",channel'), _find("org-7"), _find(f"{DONE}{{")
_CLAIMING, _SNAPSHOT = _find("claiming"), _find("exporter_snapshot")
_PAGE = 'ALERTS{alertname="X",alertstate="firing",severity="critical",channel="all"}'
_PAGE_2 = 'ALERTS{alertname="X",alertstate="firing",severity="critical",channel="all",tier="2"}'
_WAITING = 'ALERTS{alertname="Y",alertstate="pending",severity="critical",channel="all"}'
_TWO_EXPORTERS = 'outbound_exporter_snapshot_timestamp_seconds{instance="second"}'
_PAUSED, _DUE = _find("paused"), _find('state="due"')
_US, _PROVIDER, _CUSTOMER, _CALLED = range(4)

CASES = (
    Case("all is well", _US, (0,)),
    Case("the exporter is stale", _US, (5,), {_SNAPSHOT: -61.0}),
    Case("one of two exporters is fresh", _US, (0,), {_SNAPSHOT: -900.0, _TWO_EXPORTERS: -5.0}),
    Case(
        "the exporter is gone, and its numbers with it",
        _US,
        (5,),
        {key: None for key in WELL if key.startswith("outbound_")}
        | {'up{job="outbound-exporter"}': 0.0},
    ),
    Case("no sender claims", _US, (4,), {_CLAIMING: 0.0}),
    Case(
        "a stale exporter knows nothing of senders", _US, (5,), {_SNAPSHOT: -99.0, _CLAIMING: 0.0}
    ),
    Case("a refresh is slow", _US, (3,), {_find("refresh_duration"): 5.0}),
    Case("a query fails", _US, (3,), {_find("query_success"): 0.0}),
    Case("an old transaction is open", _US, (3,), {_find("oldest_snapshot"): 1801.0}),
    Case("messages are due for long", _US, (2,), {_DUE: 301.0}),
    Case("messages are due since the breaker holds them", _US, (0,), {_DUE: 301.0, _A: 1.0}),
    Case("the channel is paused, so messages wait", _US, (1,), {_PAUSED: 1.0, _DUE: 9999.0}),
    Case("nothing is known of senders", _US, (), {_CLAIMING: None}),
    Case("nothing is known of the queue", _US, (), {_DUE: None}),
    Case("the provider is well", _PROVIDER, (0,)),
    Case("one breaker of two is open", _PROVIDER, (6,), {_A: 1.0, _ATTEMPTS: 0.0, _RATIO: 0.0}),
    Case("a third of attempts fails", _PROVIDER, (5,), {_RATIO: 0.34}),
    Case("a breaker probes", _PROVIDER, (4,), {_A: 2.0}),
    Case("a tenth of attempts fails", _PROVIDER, (3,), {_RATIO: 0.1}),
    Case("calls are slow", _PROVIDER, (2,), {_find("p95_5m"): 1.2}),
    Case("three of four attempts fail", _PROVIDER, (1,), {_RATIO: 0.75, _ATTEMPTS: 4.0}),
    Case("nothing is sent", _PROVIDER, (-1,), {_RATIO: 0.0, _ATTEMPTS: 0.0}),
    Case("the senders' pages are missing", _PROVIDER, (), {_A: None, _find('instance="b"'): None}),
    Case("the attempts are missing", _PROVIDER, (), {_RATIO: None, _ATTEMPTS: None}),
    Case("nobody fails", _CUSTOMER, (0,), whose="watched organisations"),
    Case("one has 80 %", _CUSTOMER, (0.8,), {}, {_ORG_42: 8.0, _ORG_7: 2.0, _ALL: 10.0}, "org-42"),
    Case(
        "one has 80 %, and another's quota is used up",
        _CUSTOMER,
        (0.8,),
        {_find("quota_used"): 100.0},
        {_ORG_7: 8.0, _ALL: 10.0},
        "org-7",
    ),
    Case("all fail alike", _CUSTOMER, (0,), {}, {_ORG_42: 4.0, _ORG_7: 4.0, _ALL: 20.0}),
    Case("four failures are nobody's", _CUSTOMER, (0,), {}, {_ORG_42: 0.06, _ALL: 0.06}),
    Case(
        "a quota is used up", _CUSTOMER, (QUOTA_SPENT,), {_find("quota_used"): 100.0}, {}, "org-42"
    ),
    Case("nobody is watched", _CUSTOMER, (NOBODY_WATCHED,), {}, {_ORG_42: None, _ORG_7: None}),
    Case(
        "whether somebody is watched is not known",
        _CUSTOMER,
        (),
        {_find("query_success"): None},
        {_ORG_42: None, _ORG_7: None},
    ),
    Case("nobody is called", _CALLED, (0,)),
    Case("one alert of two tiers fires", _CALLED, (1,), {_PAGE: 1.0, _PAGE_2: 1.0, _WAITING: 1.0}),
    Case("rules are not loaded", _CALLED, (), {_find("Watchdog"): None}),
)


def _parse(key: Key) -> tuple[str, dict[str, str]]:
    name, _, rest = key.partition("{")
    pairs = (pair.partition("=") for pair in rest.rstrip("}").split(",") if pair)
    return name, {label: value.strip('"') for label, _, value in pairs}


def _values(case: Case, key: Key, start_s: int) -> list[float | None]:
    growth = (PER_MINUTE | dict(case.growth)).get(key, 0.0)
    value = (dict(WELL) | dict(case.differs)).get(key, 0.0 if key in PER_MINUTE else None)
    if growth is None or value is None:
        return [None] * STEPS
    if "timestamp" in key:
        return [start_s + at * STEP_S + value for at in range(STEPS)]
    return [value + growth * at for at in range(STEPS)]


def _compose() -> Tape:
    """Lay the worlds behind each other, with hours of nothing between them."""
    gap = APART_S // STEP_S - STEPS
    keys = {*WELL, *PER_MINUTE, *(key for case in CASES for key in case.differs)}
    series = []
    for key in sorted(keys):
        name, labels = _parse(key)
        values: list[float | None] = []
        for number, case in enumerate(CASES):
            values += [*_values(case, key, FIRST_S + number * APART_S), *([None] * gap)]
        series.append(Series(name, sort_labels(labels), values))
    return Tape(FIRST_S, STEP_S, len(CASES) * (STEPS + gap), tuple(series))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, prometheus_tools: Tools) -> Iterator[World]:
    with open_world(prometheus_tools, _compose(), tmp_path_factory.mktemp("worlds")) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_tile_answers_what_is_the_case(worlds: World, case: Case) -> None:
    [panel] = [
        each
        for each in DASHBOARDS[Dashboard.HEALTH]["panels"]
        if each["id"] == FIRST_ID + case.tile
    ]
    end_s = FIRST_S + CASES.index(case) * APART_S + (STEPS - 1) * STEP_S
    there = World(worlds.api, float(end_s))

    samples = there.ask(panel["targets"][0]["expr"])

    assert [sample.value for sample in samples] == pytest.approx(list(case.answer), rel=0.02)
    if case.whose:
        assert samples[0].labels["org_id"] == case.whose


def test_every_verdict_is_tried() -> None:
    for tile, verdicts in ((_US, US), (_PROVIDER, PROVIDER)):
        tried = {case.answer[0] for case in CASES if case.tile == tile and case.answer}
        assert tried == {0, *(each.code for each in verdicts)}


def test_a_quota_of_whatsapp_says_nothing_about_another_channel(worlds: World) -> None:
    [case] = [case for case in CASES if case.name == "a quota is used up"]
    [panel] = [
        each for each in DASHBOARDS[Dashboard.SLA]["panels"] if each["id"] == FIRST_ID + _CUSTOMER
    ]
    end_s = FIRST_S + CASES.index(case) * APART_S + (STEPS - 1) * STEP_S

    samples = World(worlds.api, float(end_s)).ask(panel["targets"][0]["expr"], channel="sms")

    assert QUOTA_SPENT not in {sample.value for sample in samples}


def test_the_words_are_what_the_numbers_stand_for() -> None:
    for tile, verdicts in ((_US, US), (_PROVIDER, PROVIDER)):
        [panel] = [
            each for each in DASHBOARDS[Dashboard.SLA]["panels"] if each["id"] == FIRST_ID + tile
        ]
        [mapping] = panel["fieldConfig"]["defaults"]["mappings"]
        words = {float(code): each["text"] for code, each in mapping["options"].items()}
        assert words == {each.code: each.words for each in verdicts} | {0: "Fine"}
        assert panel["fieldConfig"]["defaults"]["noValue"] == "No data"
