"""The eight questions of runbook 000 on a real store, alike by both of Jaeger's query APIs."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.jaeger_parts import JaegerWithoutThirdApi, Recorder
from tests.pattern_parts import SENT_S, RunbookWorld, tell_runbook_world
from tests.tracing_parts import open_store
from tracing.jaeger import JaegerClient, TraceQuery
from tracing.queries import (
    find_attempts,
    find_closed_windows,
    find_deliveries,
    find_errors,
    find_message,
    find_open_breakers,
    find_recipient,
    measure_sends,
)
from tracing.setup import start_tracing

QUERY = TraceQuery(lookback=timedelta(hours=1))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, RunbookWorld]]:
    path: Path = tmp_path_factory.mktemp("store") / "traces.db"
    with open_store(path) as url:
        tracing = start_tracing(endpoint=url, strict=True)
        world = tell_runbook_world(tracing, time.time_ns())
        tracing.shutdown(60)
        yield url, world


@pytest.fixture(params=[Recorder, JaegerWithoutThirdApi], ids=["v3", "v1"])
def client(told: tuple[str, RunbookWorld], request: pytest.FixtureRequest) -> JaegerClient:
    """Give a client for each API."""
    return JaegerClient(told[0], session=request.param())


@pytest.fixture
def world(told: tuple[str, RunbookWorld]) -> RunbookWorld:
    return told[1]


def test_query_1_gives_request_and_attempts_in_order(
    client: JaegerClient, world: RunbookWorld
) -> None:
    found = find_message(client, 12345, QUERY)

    told = world.delivered
    assert [trace.trace_id for trace in found] == [told.request_trace_id, *told.attempt_trace_ids]
    assert len(find_message(client, 12345, replace(QUERY, limit=2))) == 2


def test_query_2_finds_an_error_within_bounds_of_duration(
    client: JaegerClient, world: RunbookWorld
) -> None:
    def find(low: float | None, high: float | None, operation: str | None = None) -> list[str]:
        query = replace(
            QUERY,
            operation=operation,
            min_duration=None if low is None else timedelta(seconds=low),
            max_duration=None if high is None else timedelta(seconds=high),
        )
        return [each.trace_id for each in find_errors(client, "1", query)]

    assert find(None, None, "whatsapp-cloud-api-send") == [world.provider_error]
    assert find(None, None, "twilio-sms-send") == []
    assert find(5.1, 10) == [world.provider_error]
    assert find(None, 5.1) == []
    assert find(5.3, None) == []


def test_query_3_lists_what_the_runbook_prints(client: JaegerClient, world: RunbookWorld) -> None:
    sent, refused = find_recipient(client, "+33612345678", QUERY)

    assert (sent.trace_id, sent.message_id, sent.status, sent.duration_us) == (
        world.delivered.attempt_trace_ids[1],
        12345,
        "SENT",
        124_000,
    )
    assert (refused.status, refused.error_code, refused.attempt) == ("QUEUED", "130", 1)
    assert sent.start_us - refused.start_us == 60_000_000


def test_query_4_measures_accepted_sends_only(client: JaegerClient) -> None:
    summary = measure_sends(client, QUERY)
    quick = measure_sends(client, replace(QUERY, max_duration=timedelta(seconds=10)))
    calls = measure_sends(client, replace(QUERY, operation="whatsapp-cloud-api-send"))

    assert summary is not None
    assert quick is not None
    assert calls is not None
    assert (summary.count, summary.slow, summary.p50_s, summary.p99_s) == (3, 1, 0.124, 12.0)
    assert summary.mean_s == pytest.approx(sum(SENT_S) / 3)
    assert (quick.count, quick.slow) == (2, 0)
    assert calls.p50_s == pytest.approx(0.119)
    assert measure_sends(client, replace(QUERY, lookback=timedelta(seconds=10))) is None


def test_query_5_tells_channel_and_failure_rate(client: JaegerClient, world: RunbookWorld) -> None:
    [held] = find_open_breakers(client, QUERY)

    assert (held.trace_id, held.channel, held.failure_rate) == (world.held_back, "WHATSAPP", 87.0)


def test_query_6_joins_the_attempt_with_its_webhook(
    client: JaegerClient, world: RunbookWorld
) -> None:
    [delivery] = find_deliveries(client, 12345, QUERY)

    assert delivery.trace_id == world.delivered.attempt_trace_ids[1]
    assert (delivery.provider_message_id, delivery.attempt) == ("wamid.ABC123", 2)
    [receipt] = delivery.receipts
    assert (receipt.status, receipt.received_us - delivery.sent_us) == ("DELIVERED", 125_000_000)
    assert delivery.latency_s == 125.0
    assert find_deliveries(client, 12348, QUERY) == []


def test_query_7_lists_every_attempt_by_start(client: JaegerClient) -> None:
    found = find_attempts(client, 12345, QUERY)

    assert [(each.attempt, each.status, each.error_code) for each in found] == [
        (1, "QUEUED", "130"),
        (2, "SENT", ""),
    ]


def test_query_8_tells_template_and_number(client: JaegerClient, world: RunbookWorld) -> None:
    without, with_template = find_closed_windows(client, QUERY)

    assert (without.trace_id, without.message_id, without.has_template, without.recipient) == (
        world.expired,
        12346,
        False,
        "+33600012346",
    )
    assert (with_template.message_id, with_template.has_template) == (12345, True)
