"""The incidents' model agrees with itself, and the catalogue with the vocabulary."""

from collections.abc import Mapping
from functools import cache

import pytest

from alerts.incidents.catalogue import BY_NAME, INCIDENTS
from alerts.incidents.conditions import HEALTHY
from alerts.incidents.incident import BEFORE_S, MORNING_S, Incident
from alerts.incidents.traffic import record
from alerts.replay.tape import Tape
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary.metrics import METRICS, MetricKind

AT_START = BEFORE_S // 15
SUFFIXES = ("_bucket", "_count", "_sum")


@cache
def tape_of(name: str) -> Tape:
    return BY_NAME[name].play()


def values(tape: Tape, name: str, /, **labels: str) -> list[float | None]:
    (found,) = (
        series
        for series in tape.series
        if series.name == name and labels.items() <= dict(series.labels).items()
    )
    return list(found.values)


def test_an_outage_shows_in_everything_that_follows_from_it() -> None:
    tape = tape_of("whatsapp-down")
    end = AT_START + BY_NAME["whatsapp-down"].lasts_s // 15
    sent = values(tape, m.ATTEMPTS.name, channel="whatsapp", outcome="sent")
    failed = values(
        tape, m.ATTEMPTS.name, channel="whatsapp", outcome="failed", error_code="131016"
    )
    queued = values(tape, m.QUEUE_DEPTH.name, channel="whatsapp", status="queued")
    breaker = values(tape, m.BREAKER_STATE.name, name="whatsapp")
    receipts = values(tape, m.WEBHOOKS.name, provider="whatsapp", result="accepted")

    assert sent[AT_START] == sent[end - 1]
    assert failed[AT_START - 1] is None
    assert (failed[end - 1] or 0) > 20
    assert (queued[end - 1] or 0) > 2_000
    assert set(breaker[AT_START + 4 : end]) <= {1.0, 2.0}
    assert receipts[AT_START + 20] == receipts[end - 1]
    # A sender does not claim what an open breaker holds back: that gets older, and is due.
    age = values(tape, m.OLDEST_AGE.name, channel="whatsapp", state="due")
    assert (age[end - 1] or 0) > BY_NAME["whatsapp-down"].lasts_s / 2
    overdue = values(tape, m.STUCK.name, channel="whatsapp", status="queued", reason="overdue")
    assert (overdue[end - 1] or 0) > 1_000
    assert (
        values(tape, m.ATTEMPTS.name, channel="sms", outcome="sent")[AT_START]
        != values(tape, m.ATTEMPTS.name, channel="sms", outcome="sent")[end]
    )
    assert (queued[-1] or 0) < 50
    assert breaker[-1] == 0


def test_counters_never_fall_and_depths_add_up() -> None:
    tape = tape_of("poison")
    for series in tape.series:
        kind = METRICS[_base(series.name)].kind
        if kind in {MetricKind.COUNTER, MetricKind.HISTOGRAM} and not series.name.endswith("_sum"):
            known = [value for value in series.values if value is not None]
            assert known == sorted(known), series.name
    dead = values(tape, m.DEAD_LETTERS.name, channel="whatsapp", error_code="131009")
    failed = values(tape, m.QUEUE_DEPTH.name, channel="whatsapp", status="failed")
    assert dead[-1] == failed[-1] == 10 * 240


def test_a_silent_exporter_takes_its_series_along_and_a_stale_one_keeps_them() -> None:
    dead, stale = tape_of("exporter-dead"), tape_of("exporter-stale")

    gone = values(dead, m.QUEUE_DEPTH.name, channel="sms", status="queued")
    assert gone[AT_START - 1] is not None
    assert gone[AT_START] is None
    assert values(dead, "up", job="outbound-exporter")[AT_START] == 0
    assert values(dead, m.BREAKER_STATE.name, name="sms")[AT_START] == 0
    frozen = values(stale, m.ATTEMPTS.name, channel="sms", outcome="sent")
    assert frozen[AT_START - 1] == frozen[AT_START] == frozen[AT_START + 100] != frozen[-1]
    shown = values(stale, m.EXPORTER_SNAPSHOT_AGE.name)
    assert shown[AT_START + 100] == MORNING_S + BEFORE_S - 15


def test_the_noise_follows_from_the_seed() -> None:
    def play(seed: int) -> Tape:
        return record(lambda _: HEALTHY, start_s=MORNING_S, duration_s=600, seed=seed)

    assert play(1) == play(1)
    assert play(1) != play(2)


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda each: each.name)
def test_an_incident_says_what_must_happen(incident: Incident) -> None:
    assert incident.what
    assert incident.source
    assert bool(incident.within_s) == bool(incident.expected)
    assert incident.within_s <= incident.lasts_s


def test_every_series_is_in_the_vocabulary_with_its_labels() -> None:
    assert len(INCIDENTS) >= 15
    assert len(BY_NAME) == len(INCIDENTS)
    for series in tape_of("poison").series:
        metric = METRICS[_base(series.name)]
        scrape = {"job", "instance", "le"} | ({"rule_group"} if metric.name == "up" else set())
        assert set(dict(series.labels)) - scrape <= set(metric.labels), series.name


def _base(name: str) -> str:
    known: Mapping[str, object] = METRICS
    return next(
        (
            name.removesuffix(suffix)
            for suffix in SUFFIXES
            if name.endswith(suffix) and name.removesuffix(suffix) in known
        ),
        name,
    )
