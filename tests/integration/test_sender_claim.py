"""The claim on a real database: one in flight per recipient, fair shares, floors."""

import asyncio
from collections import Counter

import psycopg
import pytest

from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus
from sender.lanes import LaneBook, Verdict
from sender.outbox import (
    Order,
    Pool,
    Settlement,
    claim,
    expire,
    look_for_lanes,
    settle,
    wake_forgotten,
)
from tests.outbox_parts import WHATSAPP, Outbox


@pytest.fixture
def outbox(database: str) -> Outbox:
    return Outbox(database)


def test_of_several_messages_to_one_recipient_one_is_taken_and_the_others_are_parked(
    outbox: Outbox,
) -> None:
    one, two, three = outbox.add("+33600000001", count=3)
    [other] = outbox.add("+33600000002")
    assert set(outbox.claim()) == {one, other}
    assert outbox.turns()[two] == outbox.turns()[three] == ("QUEUED", "PARKED")
    assert outbox.claim() == []


def test_a_settlement_wakes_one_follower_which_goes_next(outbox: Outbox) -> None:
    one, two, three = outbox.add("+33600000001", count=3)
    outbox.claim()
    outbox.settle(one)
    assert outbox.turns()[two] == ("QUEUED", "WOKEN")
    assert outbox.turns()[three] == ("QUEUED", "PARKED")
    outbox.add("+33600000009", due_s=-3000)
    assert outbox.claim(1) == [two]
    assert outbox.turns()[two] == ("SENDING", "OPEN")


def test_a_follower_that_arrives_while_one_is_in_flight_is_parked(outbox: Outbox) -> None:
    [one] = outbox.add("+33600000001")
    outbox.claim()
    [two] = outbox.add("+33600000001")
    found = outbox.claim_all()
    assert [candidate.verdict for candidate in found.candidates] == [Verdict.PARKED]
    outbox.settle(one)
    assert outbox.claim() == [two]


def test_the_urgent_follower_is_woken_before_the_older_one(outbox: Outbox) -> None:
    [one] = outbox.add("+33600000001")
    outbox.claim()
    [older] = outbox.add("+33600000001")
    [urgent] = outbox.add("+33600000001", priority=0)
    outbox.claim()
    outbox.settle(one)
    assert outbox.claim() == [urgent]
    outbox.settle(urgent)
    assert outbox.claim() == [older]


def test_a_message_in_back_off_holds_nobody(outbox: Outbox) -> None:
    one, two = outbox.add("+33600000001", count=2)
    outbox.claim()
    outbox.settle(one, MessageStatus.QUEUED, retry_in_s=3600.0)
    assert outbox.claim() == [two]


def test_in_strict_order_a_message_in_back_off_holds_those_after_it(outbox: Outbox) -> None:
    one, two, three = outbox.add("+33600000001", count=3)
    assert outbox.claim(strict=True) == [one]
    outbox.settle(one, MessageStatus.QUEUED, retry_in_s=3600.0)
    assert outbox.claim(strict=True) == []
    outbox.change("UPDATE outbound_message SET next_retry_at = NULL WHERE id = %s", one)
    assert outbox.claim(strict=True) == [one]
    outbox.settle(one)
    assert outbox.claim(strict=True) == [two]
    outbox.settle(two, MessageStatus.FAILED, close_budget=True)
    assert outbox.claim(strict=True) == [three]


def test_in_strict_order_another_organisation_is_another_conversation(outbox: Outbox) -> None:
    [one] = outbox.add("+33600000001")
    outbox.claim(strict=True)
    outbox.settle(one, MessageStatus.QUEUED, retry_in_s=3600.0)
    [other] = outbox.add("+33600000001", org="other")
    assert outbox.claim(strict=True) == [other]


def test_a_scheduled_message_is_no_earlier_one(outbox: Outbox) -> None:
    outbox.add("+33600000001", due_s=3600)
    [now] = outbox.add("+33600000001")
    assert outbox.claim(strict=True) == [now]


def test_the_database_refuses_two_in_flight_to_one_recipient(outbox: Outbox) -> None:
    outbox.add("+33600000001", count=2)
    with pytest.raises(psycopg.errors.UniqueViolation):
        outbox.change("UPDATE outbound_message SET status = 'SENDING'")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outbound_message SET status = 'QUEUED' WHERE status = 'SENDING'",
        "UPDATE outbound_message SET status = 'FAILED' WHERE status = 'SENDING'",
        "DELETE FROM outbound_message WHERE status = 'SENDING'",
    ],
)
def test_a_hand_that_ends_the_one_in_flight_wakes_the_follower(
    outbox: Outbox, statement: str
) -> None:
    one, two = outbox.add("+33600000001", count=2)
    outbox.claim()
    outbox.change(statement)
    assert outbox.turns()[two] == ("QUEUED", "WOKEN")
    assert len(outbox.claim()) == 1
    assert one


def test_a_parked_message_that_was_failed_and_reset_is_open_again(outbox: Outbox) -> None:
    _, two = outbox.add("+33600000001", count=2)
    outbox.claim()
    outbox.change("UPDATE outbound_message SET status = 'FAILED' WHERE id = %s", two)
    outbox.change("UPDATE outbound_message SET status = 'QUEUED' WHERE id = %s", two)
    assert outbox.turns()[two] == ("QUEUED", "OPEN")


def test_the_sweep_wakes_whom_nobody_woke(outbox: Outbox) -> None:
    one, two, three = outbox.add("+33600000001", count=3)
    outbox.claim()
    outbox.change("ALTER TABLE outbound_message DISABLE TRIGGER outbound_message_wake_update")
    outbox.settle(one)
    outbox.change("ALTER TABLE outbound_message ENABLE TRIGGER outbound_message_wake_update")
    assert outbox.claim() == []
    assert outbox.use(wake_forgotten) == 1
    assert outbox.use(wake_forgotten) == 0
    assert outbox.claim() == [two]
    assert outbox.use(wake_forgotten) == 0
    assert outbox.turns()[three] == ("QUEUED", "PARKED")


def test_a_follower_whose_predecessor_is_just_settling_is_left_for_the_next_claim(
    outbox: Outbox,
) -> None:
    [one] = outbox.add("+33600000001")
    outbox.claim()
    [two] = outbox.add("+33600000001")
    with psycopg.connect(outbox.database) as settling:
        settling.execute("UPDATE outbound_message SET status = 'SENT' WHERE id = %s", (one,))
        found = outbox.claim_all()
        assert [candidate.verdict for candidate in found.candidates] == [Verdict.LEFT]
    assert outbox.turns()[two] == ("QUEUED", "OPEN")
    assert outbox.claim(look=False) == [two]


def test_a_campaign_leaves_room_for_another_organisation_and_for_the_urgent(
    outbox: Outbox,
) -> None:
    for number in range(40):
        outbox.add(f"+3360000{number:04}", org="campaign", due_s=-3000)
    small = [outbox.add(f"+3361000{number:04}", org="small")[0] for number in range(2)]
    [urgent] = outbox.add("+33620000000", org="third", priority=0)
    claimed = outbox.claim(10)
    assert urgent in claimed
    assert set(small) <= {*claimed, *outbox.claim(10)}


def test_an_urgent_message_of_somebody_new_is_met_without_a_look(outbox: Outbox) -> None:
    for number in range(20):
        outbox.add(f"+3360000{number:04}", org="campaign")
    outbox.claim(4)
    [urgent] = outbox.add("+33620000000", org="new", priority=0)
    outbox.add("+33620000001", org="later", priority=0, due_s=60)
    assert urgent in outbox.claim(4, look=False)


def test_every_lane_gets_its_turn_where_there_are_more_lanes_than_places(outbox: Outbox) -> None:
    for org in range(30):
        outbox.add(f"+336000000{org:02}", org=f"org-{org:02}", count=1)
        outbox.add(f"+336100000{org:02}", org=f"org-{org:02}", count=1)
    served: Counter[str] = Counter()
    for _ in range(6):
        for message in outbox.claim_all(10).messages:
            served[message.org_id] += 1
    assert len(served) == 30
    assert max(served.values()) == 2


@pytest.mark.parametrize(
    "limits",
    [
        "throttle_until = now() + interval '1 hour'",
        "messages_sent_count = 10, quota_limit = 10, reset_at = now() + interval '1 hour'",
    ],
)
def test_a_throttled_organisations_messages_are_not_even_claimed(
    outbox: Outbox, limits: str
) -> None:
    outbox.add("+33600000001", org="throttled", count=1)
    [free] = outbox.add("+33600000002", org="free")
    outbox.change("INSERT INTO whatsapp_rate_limit (org_id) VALUES ('throttled')")
    outbox.change(f"UPDATE whatsapp_rate_limit SET {limits}")
    assert outbox.claim() == [free]
    assert outbox.change("SELECT count(*) FROM outbound_attempt") == [(1,)]


def test_a_quota_is_not_overdrawn_by_a_claim(outbox: Outbox) -> None:
    for number in range(10):
        outbox.add(f"+3360000{number:04}")
    outbox.change(
        "INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit)"
        " VALUES ('org', 7, 10)"
    )
    assert len(outbox.claim(10)) == 3


def test_the_wait_for_a_throttle_is_left_out_of_the_send_latency(outbox: Outbox) -> None:
    [number] = outbox.add("+33600000001", due_s=-3000)
    outbox.change(
        "INSERT INTO whatsapp_rate_limit (org_id, throttle_until)"
        " VALUES ('org', now() + interval '1 hour')"
    )
    assert outbox.claim() == []
    outbox.change("UPDATE whatsapp_rate_limit SET throttle_until = NULL")
    assert outbox.claim() == [number]
    [(seconds,)] = outbox.change(
        "SELECT EXTRACT(EPOCH FROM now() - due_since)::float8 FROM outbound_message"
    )
    assert seconds < 60


def test_a_wait_that_nobody_planned_stays_in_the_send_latency(outbox: Outbox) -> None:
    outbox.add("+33600000001", due_s=-3000)
    outbox.change("INSERT INTO whatsapp_rate_limit (org_id) VALUES ('org')")
    assert len(outbox.claim()) == 1
    [(seconds,)] = outbox.change(
        "SELECT EXTRACT(EPOCH FROM now() - due_since)::float8 FROM outbound_message"
    )
    assert seconds > 2900


def test_an_organisation_that_is_switched_off_waits(outbox: Outbox) -> None:
    [number] = outbox.add("+33600000001")
    outbox.change(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id, enabled)"
        " VALUES ('org', '1', false)"
    )
    assert outbox.claim() == []
    outbox.change("UPDATE whatsapp_provider_config SET enabled = true")
    assert outbox.claim() == [number]


def test_a_message_reset_while_in_flight_leaves_its_attempt_marked_when_claimed_again(
    outbox: Outbox,
) -> None:
    [number] = outbox.add("+33600000001")
    outbox.claim()
    outbox.change("UPDATE outbound_message SET status = 'QUEUED', updated_at = now()")
    assert outbox.claim() == [number]
    assert outbox.change(
        "SELECT attempt_no, outcome, possible_duplicate FROM outbound_attempt ORDER BY attempt_no"
    ) == [(1, "UNKNOWN", True), (2, "IN_FLIGHT", False)]


def test_a_message_that_failed_before_leaves_its_attempt_as_it_was(outbox: Outbox) -> None:
    [number] = outbox.add("+33600000001")
    outbox.claim()
    outbox.settle(number, MessageStatus.QUEUED, retry_in_s=0.0)
    assert outbox.claim() == [number]
    assert outbox.change(
        "SELECT outcome, possible_duplicate FROM outbound_attempt WHERE attempt_no = 1"
    ) == [("FAILED", False)]


def test_expired_messages_end_with_their_own_code(outbox: Outbox) -> None:
    [number] = outbox.add("+33600000001")
    outbox.change("UPDATE outbound_message SET expires_at = now() - interval '1 second'")
    assert outbox.claim() == []
    assert outbox.use(expire) == 1
    assert outbox.change(
        "SELECT id, status, error_code, attempt_count = max_attempts FROM outbound_message"
    ) == [(number, "FAILED", "message_expired", True)]


def test_racing_senders_never_have_two_in_flight_to_one_recipient(outbox: Outbox) -> None:
    """Twenty recipients, two hundred messages, four claimers at once: each message is sent once."""
    for number in range(20):
        outbox.add(f"+3360000{number:04}", count=10)
    sent: Counter[int] = Counter()

    async def work(pool: Pool, name: str, done: asyncio.Event) -> None:
        book = LaneBook()
        clock = asyncio.get_running_loop().time
        while not done.is_set():
            states, _ = await look_for_lanes(pool, [WHATSAPP])
            book.note_look(states, clock(), 0.0)
            shares = book.plan({WHATSAPP: 15}, clock(), {})
            found = await claim(pool, worker=name, order=Order({WHATSAPP: 15}, shares))
            book.note_claim(shares, found.candidates, clock(), 0.0)
            results = [
                Settlement(message.id, message.attempt_no, AttemptOutcome.SENT, MessageStatus.SENT)
                for message in found.messages
            ]
            sent.update(message.id for message in found.messages)
            if results:
                await settle(pool, results)
            if sum(sent.values()) >= 200:
                done.set()
            await asyncio.sleep(0)

    async def race(pool: Pool) -> None:
        done = asyncio.Event()
        async with asyncio.timeout(240):
            await asyncio.gather(*(work(pool, f"w{n}", done) for n in range(4)))

    outbox.use(race)
    assert len(sent) == 200
    assert set(sent.values()) == {1}
    assert outbox.change("SELECT DISTINCT status FROM outbound_message") == [("SENT",)]


def test_a_floor_skips_what_was_claimed_and_a_rewind_finds_what_came_below_it(
    outbox: Outbox,
) -> None:
    outbox.add("+33600000001", due_s=-10)
    assert len(outbox.claim(1)) == 1
    [late] = outbox.add("+33600000002", due_s=-100)
    outbox.now -= 10
    assert outbox.claim(1) == []
    assert outbox.claim(1) == [late]
