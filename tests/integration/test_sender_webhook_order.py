"""Whatever the order of a message's receipts, and however they are batched: one end, never back."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbound_slo.vocabulary.statuses import MessageStatus
from sender.callbacks import Caller
from sender.receipts import Effect, Receipt, Standing, advance
from sender.settlement import Tidings, settle

NAME = "wamid.1"
T0 = 1_700_000_000.0

RECEIPTS = (
    Receipt(NAME, 1, 1, sent_s=T0),
    Receipt(NAME, 1, 1, delivered_s=T0 + 3),
    Receipt(NAME, 1, 1, delivered_s=T0 + 2),
    Receipt(NAME, 1, 1, read_s=T0 + 60),
    Receipt(NAME, 1, 1, failed_s=T0 + 4, error_code="131026"),
    Receipt(NAME, 1, 1, failed_s=T0 + 4, error_code="131026", close_budget=True),
)

RANK = {
    MessageStatus.QUEUED: 0,
    MessageStatus.SENDING: 1,
    MessageStatus.SENT: 2,
    MessageStatus.FAILED: 3,
    MessageStatus.DELIVERED: 4,
}


@dataclass(frozen=True, slots=True)
class Start:
    """Where the message stands before any receipt; its latest attempt is number 1."""

    status: str
    outcome: str
    provider_id: str | None = None
    error_code: str | None = None


STARTS = (
    Start("SENDING", "IN_FLIGHT"),
    Start("SENDING", "UNKNOWN"),
    Start("QUEUED", "UNKNOWN", None, "outcome_unknown"),
    Start("SENT", "SENT", NAME),
    Start("FAILED", "UNKNOWN", None, "outcome_unknown"),
    Start("FAILED", "FAILED", None, "131021"),
)

histories = st.lists(st.sampled_from(RECEIPTS), min_size=1, max_size=7).filter(
    # A message fails in one way only.
    lambda told: len({receipt.close_budget for receipt in told if receipt.failed_s}) < 2
)


class Bench:
    """One message in a real database, put back to its start for each example."""

    def __init__(self, database: str) -> None:
        self.runner = asyncio.Runner()
        self.connection = self.runner.run(psycopg.AsyncConnection.connect(database))

    def apply(self, start: Start, batches: list[list[Receipt]]) -> list[tuple[object, ...]]:
        """Give the state after each batch of webhooks."""
        return self.runner.run(self._apply(start, batches))

    async def _apply(self, start: Start, batches: list[list[Receipt]]) -> list[tuple[object, ...]]:
        states: list[tuple[object, ...]] = []
        async with self.connection.transaction(force_rollback=True):
            await self._fill(start)
            for batch in batches:
                tidings = [
                    Tidings(Caller.WHATSAPP, None, datetime.now(UTC), receipt) for receipt in batch
                ]
                before = states[-1] if states else await self._read()
                settled = await settle(self.connection, tidings)
                states.append(await self._read())
                if before[0] != states[-1][0]:
                    assert Effect.MOVED in {one.effect for one in settled}
        return states

    async def _fill(self, start: Start) -> None:
        await self.connection.execute(
            "INSERT INTO outbound_message (id, org_id, channel, to_recipient, status, error_code,"
            " attempt_count, attempt_seq, provider_message_id, sent_at)"
            " VALUES (1, 'org', 'WHATSAPP', '+33612345678', %s, %s, 1, 1, %s::text,"
            " CASE WHEN %s::text IS NOT NULL THEN now() END)",
            (start.status, start.error_code, start.provider_id, start.provider_id),
        )
        await self.connection.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, outcome,"
            " provider_message_id) VALUES (1, 1, %s, %s)",
            (start.outcome, start.provider_id),
        )

    async def _read(self) -> tuple[object, ...]:
        cursor = await self.connection.execute(
            "SELECT m.status, m.error_code, EXTRACT(EPOCH FROM m.delivered_at)::float8,"
            " EXTRACT(EPOCH FROM m.read_at)::float8, m.attempt_count, m.provider_message_id,"
            " a.outcome, m.sent_at = a.started_at OR m.status = 'FAILED'"
            " FROM outbound_message AS m JOIN outbound_attempt AS a ON a.outbound_message_id = m.id"
        )
        row = await cursor.fetchone()
        assert row is not None
        return tuple(row)

    def close(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.close()


@pytest.fixture
def bench(database: str) -> Iterator[Bench]:
    opened = Bench(database)
    yield opened
    opened.close()


def _split(receipts: list[Receipt], cuts: set[int]) -> list[list[Receipt]]:
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(receipts)), len(receipts)]
    return [receipts[one:two] for one, two in pairwise(edges)]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from(STARTS),
    told=histories,
    shuffle=st.randoms(use_true_random=False),
    cuts=st.sets(st.integers(1, 8)),
)
def test_any_order_repetition_and_batching_of_receipts_ends_in_the_same_state(
    bench: Bench, start: Start, told: list[Receipt], shuffle: object, cuts: set[int]
) -> None:
    once = list(dict.fromkeys(told))
    other = list(told) + told[:2]
    shuffle.shuffle(other)  # type: ignore[attr-defined]  # a random.Random of hypothesis's
    [end] = bench.apply(start, [once])
    states = bench.apply(start, _split(other, cuts))
    assert states[-1] == end
    ranks = [RANK[MessageStatus(start.status)], *(RANK[MessageStatus(str(s[0]))] for s in states)]
    assert ranks == sorted(ranks) or start.error_code == "outcome_unknown"
    later = ranks[1:]
    assert later == sorted(later)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.sampled_from(STARTS), told=histories)
def test_the_statement_does_what_the_rule_says(
    bench: Bench, start: Start, told: list[Receipt]
) -> None:
    standing = Standing(MessageStatus(start.status), start.error_code)
    for receipt in told:
        standing = advance(standing, receipt)
    for batches in ([told], [[receipt] for receipt in told]):
        status, code, delivered_s, read_s = bench.apply(start, batches)[-1][:4]
        assert (status, code) == (standing.status.value, standing.error_code)
        assert (delivered_s, read_s) == (standing.delivered_s, standing.read_s)


@given(
    start=st.sampled_from([*MessageStatus]),
    code=st.sampled_from([None, "outcome_unknown", "131021"]),
    told=histories,
)
def test_the_rule_takes_no_message_backwards(
    start: MessageStatus, code: str | None, told: list[Receipt]
) -> None:
    standing = Standing(start, code if start is MessageStatus.FAILED else None)
    for receipt in told:
        after = advance(standing, receipt)
        unknown = standing.error_code == "outcome_unknown"
        assert RANK[after.status] >= RANK[standing.status] or unknown
        assert advance(after, receipt) == after
        standing = after


def test_a_message_that_the_sweep_gave_up_is_delivered_by_its_late_receipt(bench: Bench) -> None:
    given_up = Start("FAILED", "UNKNOWN", None, "outcome_unknown")
    sent, delivered = RECEIPTS[0], RECEIPTS[1]
    states = bench.apply(given_up, [[sent], [delivered]])
    assert [state[0] for state in states] == ["SENT", "DELIVERED"]
    assert states[-1][6] == "SENT"


def test_two_providers_ids_for_one_attempt_settle_it_once(bench: Bench) -> None:
    first = RECEIPTS[0]
    copied = replace(RECEIPTS[3], provider_message_id="wamid.of-somebody-else")
    [state] = bench.apply(Start("SENDING", "UNKNOWN"), [[first, copied]])
    assert (state[0], state[5]) == ("SENT", NAME)
